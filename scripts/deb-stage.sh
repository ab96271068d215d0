# shellcheck shell=bash
# deb-stage.sh: what scripts/deb-life.sh and scripts/deb-upgrades.sh share. They source this file in the chroot of scripts/deb-test.sh: a
# running nginx with the live stream open/plain, and the steps of the README that protect a second stream.

work=$(mktemp -d)
chmod 755 "$work"
plain='' protected=''
finish() {
    status=$?
    kill $plain $protected 2>/dev/null || true
    # deb-upgrades.sh makes this folder, and no systemd runs.
    rm -rf /run/systemd/system
    service nginx stop >/dev/null 2>&1 || true
    [ "$status" = 0 ] || { tail -n 30 /var/log/nginx/error.log "$work"/*.log || true; }
    rm -rf "$work"
    exit "$status"
}
trap finish EXIT
say() { echo "$(basename "$0" .sh): $*"; }
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

# Starts nginx without Weir, and the stream open/plain.
serve_plain() {
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
    # shellcheck disable=SC2034 # for the scripts that source this file
    master=$(cat /run/nginx.pid)
    picture rtmp://127.0.0.1/open/plain >"$work/plain.log" 2>&1 &
    plain=$!
    until_true 'there is a playlist' test -s /var/lib/hls/open/plain.m3u8
}

# The README's ten minutes: protects the application live, and publishes the stream live/show with a key.
protect() {
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
}

live() { weir stream list | grep -q '^live *show '; }
