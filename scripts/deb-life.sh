#!/usr/bin/env bash
# deb-life.sh DEBS: the life of an installation with a live stream. scripts/deb-test.sh runs it in a chroot that has nginx, nginx-rtmp and
# ffmpeg, with an init script that may start nginx. DEBS has the packages, DEBS/next the same with a later version.
#
# Installs Weir beside a running nginx, protects a stream by the steps of the README, upgrades, removes and purges. The first publisher and the
# protected one are never interrupted.
set -euo pipefail

debs=$1
work=$(mktemp -d)
chmod 755 "$work"
plain='' protected=''
finish() {
    status=$?
    kill $plain $protected 2>/dev/null || true
    service nginx stop >/dev/null 2>&1 || true
    [ "$status" = 0 ] || { tail -n 30 /var/log/nginx/error.log "$work"/*.log || true; }
    rm -rf "$work"
    exit "$status"
}
trap finish EXIT
say() { echo "deb-life: $*"; }
fail() { say "$*"; exit 1; }

until_true() {
    local what=$1
    shift
    for _ in $(seq 300); do
        "$@" >"$work/last" 2>&1 && return 0
        sleep 0.1
    done
    cat "$work/last"
    fail "did not happen: $what"
}

apt_get() { apt-get -q -y --no-install-recommends "$@" >"$work/apt.log" 2>&1 || { cat "$work/apt.log"; fail "apt-get $* failed"; }; }
# To be run in the background.
picture() { exec ffmpeg -nostdin -loglevel error -re -f lavfi -i testsrc2=size=160x120:rate=10 -c:v libx264 -preset ultrafast -g 10 -f flv "$1"; }
sequence() { sed -n 's/^#EXT-X-MEDIA-SEQUENCE://p' "/var/lib/hls/$1.m3u8"; }
further_than() { [ "$(sequence "$1")" -gt "$2" ]; }
# on_air WHEN APP/NAME PUBLISHER: the same publisher still runs, and the playlist of its stream advances.
on_air() {
    kill -0 "$3" || fail "$1: the publisher of $2 has lost its connection"
    until_true "$1: the playlist of $2 advances" further_than "$2" "$(sequence "$2")"
}

mkdir -p /var/lib/hls/open /var/lib/hls/live
chown www-data /var/lib/hls/*
cat >/etc/nginx/rtmp.conf <<'CONF'
rtmp {
    server {
        listen 127.0.0.1:1935;
        application open { live on; hls on; hls_path /var/lib/hls/open; hls_fragment 1s; }
    }
}
CONF
echo 'include /etc/nginx/rtmp.conf;' >>/etc/nginx/nginx.conf
service nginx start >/dev/null
until_true 'nginx runs' test -s /run/nginx.pid
master=$(cat /run/nginx.pid)
picture rtmp://127.0.0.1/open/plain >"$work/plain.log" 2>&1 &
plain=$!
until_true 'there is a playlist' test -s /var/lib/hls/open/plain.m3u8

began=$(date +%s%N)
apt_get install "$debs"/*.deb
installed=$(date +%s%N)
on_air 'after the installation' open/plain "$plain"
[ "$(cat /run/nginx.pid)" = "$master" ] || fail 'the installation has replaced the master'

# The README's ten minutes.
protecting=$(date +%s%N)
cat >/etc/nginx/rtmp.conf <<'CONF'
weir_zone 4m state=/var/lib/weir-nginx/state;
rtmp {
    server {
        listen 127.0.0.1:1935;
        application open { live on; hls on; hls_path /var/lib/hls/open; hls_fragment 1s; }
        application live { live on; weir_publish key; hls on; hls_path /var/lib/hls/live; hls_fragment 1s; }
    }
}
CONF
echo 'server { listen 127.0.0.1:8080; location /api/ { weir_api; access_log off; } }' >/etc/nginx/conf.d/weir.conf
nginx -t -q
nginx -s reload
export WEIR_API=http://127.0.0.1:8080/api
until_true 'the API answers' curl -fsS "$WEIR_API/v1/health"
key=$(weir key add live show --json | sed -nE 's/.*"key": ?"([^"]+)".*/\1/p')
[ -n "$key" ] || fail 'there is no key'
! timeout 20 ffmpeg -nostdin -loglevel quiet -re -f lavfi -i testsrc2=size=160x120:rate=10 -t 2 -f flv rtmp://127.0.0.1/live/show || fail 'a publisher without a key was let in'
picture "rtmp://127.0.0.1/live/$key" >/dev/null 2>&1 &
protected=$!
until_true 'the protected stream has a playlist' test -s /var/lib/hls/live/show.m3u8
first=$(date +%s%N)
say "apt install took $(((installed - began) / 1000000)) ms, the steps to the first protected stream $(((first - protecting) / 1000000)) ms"
on_air 'after the reload' open/plain "$plain"

live() { weir stream list | grep -q '^live *show '; }
until_true 'the stream is listed' live
apt_get install "$debs"/next/*.deb
[ "$(cat /run/nginx.pid)" = "$master" ] || fail 'the upgrade of the package has replaced the master'
on_air 'after the upgrade of the packages' live/show "$protected"
on_air 'after the upgrade of the packages' open/plain "$plain"
weir key list | grep -q show || fail 'the key is gone after the upgrade'

# The new module runs after the upgrade of nginx in place: a second master, while the first one serves its streams.
service nginx upgrade >"$work/service.log" 2>&1 || fail 'nginx could not be upgraded in place'
other_master() { [ -s /run/nginx.pid ] && [ "$(cat /run/nginx.pid)" != "$master" ]; }
until_true 'a second master runs' other_master
until_true 'its API answers' curl -fsS "$WEIR_API/v1/health"
on_air 'after the upgrade in place' live/show "$protected"
on_air 'after the upgrade in place' open/plain "$plain"
weir key list | grep -q show || fail 'the key is gone after the upgrade in place'

apt_get remove libnginx-mod-rtmp-weir weir
on_air 'after the removal' live/show "$protected"
kill -0 "$(cat /run/nginx.pid)" || fail 'nginx ended with the removal'
[ -f /var/lib/weir-nginx/state ] || fail 'the removal took the state'
! nginx -t -q 2>/dev/null || fail 'nginx.conf has directives of Weir, and nginx -t does not say so'

apt_get install "$debs"/next/*.deb
nginx -t -q
weir key list | grep -q show || fail 'the key is gone after removal and installation'
on_air 'after another installation' live/show "$protected"

apt_get purge libnginx-mod-rtmp-weir weir
on_air 'after the purge' live/show "$protected"
[ ! -e /var/lib/weir-nginx ] || fail 'the purge left the state'
# nginx without Weir, after its lines are gone.
sed -i '/weir_zone/d; /weir_publish/d' /etc/nginx/rtmp.conf
rm /etc/nginx/conf.d/weir.conf
nginx -t -q
say 'the live streams have survived installation, reload, upgrade, removal and purge'
