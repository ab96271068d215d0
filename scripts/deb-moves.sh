#!/usr/bin/env bash
# deb-moves.sh DEBS SOURCE: from `make install` to packages. scripts/deb-test.sh runs it in a chroot. SOURCE is a built checkout.
#
# The steps are those of docs/from-source.md, "From make install to packages".
set -euo pipefail

debs=$1 source=$2
fail() { echo "deb-moves: $*"; exit 1; }
apt_get() { apt-get -q -y --no-install-recommends "$@" >/tmp/apt.log 2>&1 || { cat /tmp/apt.log; fail "apt-get $* failed"; }; }
own_toml() { grep -q '^# mine' /etc/weir/weir.toml || fail "$1: the administrator's weir.toml is lost"; }

for prefix in /usr /usr/local; do
    make --silent -C "$source" install PREFIX="$prefix"
    nginx -t -q || fail "nginx refuses what make install PREFIX=$prefix has installed"
    echo '# mine' >/etc/weir/weir.toml

    make --silent -C "$source" uninstall PREFIX="$prefix"
    [ -z "$(find /usr /etc/nginx -name '*weir*' -print -quit)" ] || fail "make uninstall PREFIX=$prefix left $(find /usr /etc/nginx -name '*weir*' -print -quit)"
    own_toml 'make uninstall'
    # dpkg asks about weir.toml, since no package has installed it; this answers "keep mine".
    apt_get -o Dpkg::Options::=--force-confold install "$debs"/*.deb
    own_toml 'the package'
    nginx -t -q || fail 'nginx refuses the package'
    [ "$(readlink /etc/nginx/modules-enabled/70-mod-rtmp-weir.conf)" = /usr/share/nginx/modules-available/mod-rtmp-weir.conf ] || fail 'another file loads the module'

    # Afterwards nobody removes or replaces files of the packages by accident.
    before=$(md5sum /usr/bin/weir /usr/lib/nginx/modules/ngx_rtmp_weir_module.so)
    for target in install uninstall; do
        ! make --silent -C "$source" "$target" PREFIX=/usr >/tmp/make.log 2>&1 || fail "make $target takes files of a package"
        grep -q 'belongs to the package weir' /tmp/make.log || { cat /tmp/make.log; fail "make $target does not say why it refuses"; }
    done
    make --silent -C "$source" uninstall PREFIX=/usr/local
    [ "$(md5sum /usr/bin/weir /usr/lib/nginx/modules/ngx_rtmp_weir_module.so)" = "$before" ] || fail 'files of the packages have changed'
    [ -L /etc/nginx/modules-enabled/70-mod-rtmp-weir.conf ] || fail 'make uninstall PREFIX=/usr/local took the link of the package'
    dpkg --verify weir libnginx-mod-rtmp-weir | grep -v ' c /etc/weir/weir.toml$' && fail 'files of the packages are missing'
    apt_get purge weir libnginx-mod-rtmp-weir
    echo "deb-moves: from PREFIX=$prefix to packages"
done
