#!/usr/bin/env bash
# deb-life.sh DEBS: the life of an installation with a live stream. scripts/deb-test.sh runs it in a chroot that has nginx, nginx-rtmp and
# ffmpeg, with an init script that may start nginx. DEBS has the packages, DEBS/next the same with a later version.
#
# Installs Weir beside a running nginx, protects a stream by the steps of the README, upgrades, downgrades, removes and purges. The first
# publisher and the protected one are never interrupted.
set -euo pipefail

debs=$1
# shellcheck source=scripts/deb-stage.sh
. "$(dirname "$0")/deb-stage.sh"

serve_plain
began=$(date +%s%N)
install_as_readme
installed=$(date +%s%N)
on_air 'after the installation' open/plain "$plain"
[ "$(cat /run/nginx.pid)" = "$master" ] || fail 'the installation has replaced the master'

protecting=$(date +%s%N)
protect
first=$(date +%s%N)
say "the README's apt-get install took $(((installed - began) / 1000000)) ms, its steps to the picture of a protected stream $(((first - protecting) / 1000000)) ms"
[ $(((installed - began + first - protecting) / 1000000000)) -lt 600 ] || fail 'the first protected stream took more than ten minutes'
on_air 'after the reload' open/plain "$plain"
# weir.toml is the file of the package, and no daemon runs.
weir doctor >"$work/doctor.log" 2>&1 || fail 'weir doctor finds a problem in a correct installation'

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

# Back to the earlier version, the same version again, and what dpkg-reconfigure does.
apt_get install --allow-downgrades "$debs"/*.deb
apt_get install --reinstall "$debs"/*.deb
dpkg-reconfigure weir libnginx-mod-rtmp-weir >"$work/reconfigure.log" 2>&1 || fail 'the packages cannot be configured again'
nginx -t -q
on_air 'after the downgrade' live/show "$protected"
on_air 'after the downgrade' open/plain "$plain"
weir key list | grep -q show || fail 'the key is gone after the downgrade'

apt_get remove libnginx-mod-rtmp-weir weir
grep -q 'has directives of Weir' "$work/apt.log" || fail 'the removal does not say that nginx will not start'
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
[ ! -e /var/lib/weir-nginx/state ] || fail 'the purge left the state'
# nginx without Weir, after its lines are gone.
sed -i '/weir_/d; /^rtmp_auto_push/d' /etc/nginx/rtmp.conf
rm /etc/nginx/conf.d/weir.conf
nginx -t -q
say 'the live streams have survived installation, reload, upgrade, downgrade, removal and purge'
