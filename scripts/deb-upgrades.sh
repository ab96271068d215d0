#!/usr/bin/env bash
# deb-upgrades.sh DEBS: upgrades of nginx and nginx-rtmp beside Weir, with live streams. scripts/deb-test.sh runs it like deb-life.sh.
# DEBS/theirs has the packages of nginx and nginx-rtmp, DEBS/nginx a later nginx, DEBS/rtmp an nginx-rtmp that the module does not fit.
#
# The commands are those of docs/operations.md, "Upgrade" and "nginx does not start without the module".
set -euo pipefail

debs=$1
# shellcheck source=scripts/deb-stage.sh
. "$(dirname "$0")/deb-stage.sh"

both_on_air() {
    on_air "$1" live/show "$protected"
    on_air "$1" open/plain "$plain"
}
same_master() { [ "$(cat /run/nginx.pid)" = "$master" ] || fail "$1: nginx has another master"; }
installed() { dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }

serve_plain
apt_get install "$debs"/*.deb
protect
until_true 'the stream is listed' live

# A machine with systemd, as far as packages see it: this systemctl says what they ask for, and does nothing.
mkdir -p /run/systemd/system "$work/bin"
cat >"$work/bin/systemctl" <<SH
#!/bin/sh
echo "\$*" >>$work/systemctl.log
case \$* in *is-enabled*) echo enabled ;; *LoadState*) echo LoadState=loaded ;; esac
SH
chmod 755 "$work/bin/systemctl"
policy=$(cat /usr/sbin/policy-rc.d)
with_systemd=(-o "DPkg::Path=$work/bin:$PATH")
restarts() { grep -c '^--quiet --system restart nginx.service$\|^restart nginx.service$' "$work/systemctl.log"; }

# Debian's package restarts nginx with each of its upgrades.
printf '#!/bin/sh\nexit 0\n' >/usr/sbin/policy-rc.d
apt_get "${with_systemd[@]}" install --reinstall "$debs"/theirs/nginx-common_*.deb
[ "$(restarts)" -ge 1 ] || { cat "$work/systemctl.log"; fail "the package of nginx no longer restarts nginx: change docs/operations.md"; }
: >"$work/systemctl.log"

# An upgrade with streams on air.
cat >/usr/sbin/policy-rc.d <<'SH'
#!/bin/sh
case $1 in nginx | nginx.service) exit 101 ;; esac
SH
chmod 755 /usr/sbin/policy-rc.d
apt_get "${with_systemd[@]}" install "$debs"/nginx/nginx_*.deb "$debs"/nginx/nginx-common_*.deb
! grep -E '(restart|stop|reload|start).* nginx' "$work/systemctl.log" || fail 'the upgrade of nginx acts on nginx in spite of policy-rc.d'
rm /usr/sbin/policy-rc.d
dpkg-query -W -f '${Version}' nginx | grep -q 'next$' || fail 'nginx has not been upgraded'
same_master 'after the upgrade of nginx'
both_on_air 'after the upgrade of nginx'
nginx -t -q
kill -USR2 "$(cat /run/nginx.pid)"
other_master() { [ -s /run/nginx.pid ] && [ "$(cat /run/nginx.pid)" != "$master" ]; }
until_true 'a second master runs' other_master
until_true 'the second master answers' curl -fsS "$WEIR_API/v1/health"
kill -QUIT "$(cat /run/nginx.pid.oldbin)"
both_on_air 'after the exchange of the masters'
weir key list | grep -q show || fail 'the key is gone after the exchange of the masters'
master=$(cat /run/nginx.pid)

# An upgrade restarts the daemon if it runs, and a removal stops it. A first installation does not start it.
: >"$work/systemctl.log"
apt_get "${with_systemd[@]}" install --reinstall "$debs"/weir_*.deb
grep -q 'try-restart.* weir.service' "$work/systemctl.log" || { cat "$work/systemctl.log"; fail 'an upgrade does not restart the daemon'; }
! grep -q ' stop .*weir.service' "$work/systemctl.log" || fail 'an upgrade stops the daemon'
apt_get "${with_systemd[@]}" remove weir
grep -q 'stop.* weir.service' "$work/systemctl.log" || { cat "$work/systemctl.log"; fail 'a removal does not stop the daemon'; }
: >"$work/systemctl.log"
apt_get "${with_systemd[@]}" install "$debs"/weir_*.deb
! grep -E '(^| )(start|restart) .*weir\.service' "$work/systemctl.log" || fail 'an installation starts the daemon'
say 'the daemon restarted by an upgrade, and stopped by a removal'
rm -r /run/systemd/system
printf '%s\n' "$policy" >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
say 'nginx upgraded with streams on air'

# An nginx-rtmp that the module does not fit: `upgrade` keeps it back, and so does `full-upgrade` while the module is on hold.
archive=(-o "Dir::Etc::SourceList=$debs/sources.list" -o Dir::Etc::SourceParts=/dev/null -o APT::Get::List-Cleanup=0)
apt_get "${archive[@]}" update
apt_get "${archive[@]}" upgrade
installed libnginx-mod-rtmp-weir || fail 'apt-get upgrade has removed the module'
apt-mark hold libnginx-mod-rtmp-weir >/dev/null
apt_get "${archive[@]}" full-upgrade
installed libnginx-mod-rtmp-weir || fail 'apt-get full-upgrade has removed a module on hold'
dpkg-query -W -f '${Version}' libnginx-mod-rtmp | grep -qv '^1:9' || fail 'nginx-rtmp has been upgraded beside a module that does not fit it'
apt-mark unhold libnginx-mod-rtmp-weir >/dev/null

# Without the hold `full-upgrade` removes the module. Streams stay on air, and nginx.conf is refused rather than open.
apt_get "${archive[@]}" full-upgrade
! installed libnginx-mod-rtmp-weir || fail 'the module is installed beside an nginx-rtmp that it does not fit'
grep -q 'has directives of Weir' "$work/apt.log" || fail 'the removal does not say that nginx will not start'
same_master 'after the removal that apt forced'
both_on_air 'after the removal that apt forced'
! nginx -t >"$work/refused.log" 2>&1 || fail 'nginx takes the directives of Weir without the module'
grep -q 'unknown directive "weir_' "$work/refused.log" || { cat "$work/refused.log"; fail 'nginx refuses something else'; }

# The command of the docs: nginx starts, and what needed a key is closed.
sh /usr/share/doc/weir/examples/without-module.sh
nginx -t -q
kill $plain $protected
wait $plain $protected || true
service nginx restart >"$work/service.log" 2>&1 || fail 'nginx does not start without the module'
until_true 'nginx runs' test -s /run/nginx.pid
publishes() { timeout 30 ffmpeg -nostdin -loglevel quiet -re -f lavfi -i testsrc2=size=160x120:rate=10 -t 2 -c:v libx264 -f flv "$1"; }
! publishes rtmp://127.0.0.1/live/stranger || fail 'without the module a stranger may publish'
until_true 'an application without Weir is open as before' publishes rtmp://127.0.0.1/open/plain
[ "$(curl -s -o /dev/null -w '%{http_code}' "$WEIR_API/v1/health")" = 503 ] || fail 'the API is not closed'
say 'without the module: nginx starts, and nobody publishes to the protected application'

# And back.
rm -r /etc/nginx
mv /etc/nginx.weir /etc/nginx
apt_get install --allow-downgrades "$debs"/theirs/libnginx-mod-rtmp_*.deb "$debs"/libnginx-mod-rtmp-weir_*.deb
nginx -t -q
nginx -s reload
until_true 'the API answers again' curl -fsS "$WEIR_API/v1/health"
weir key list | grep -q show || fail 'the key is gone'
picture "rtmp://127.0.0.1/live/$key" >/dev/null 2>&1 &
protected=$!
until_true 'the key is valid again' live
apt_get purge libnginx-mod-rtmp-weir weir
say 'the module is back, with its keys'
