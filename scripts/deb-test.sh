#!/usr/bin/env bash
# deb-test.sh DEBS [RELEASE]: checks the packages of DEBS with lintian, installs them in a chroot of RELEASE beside a running nginx with a
# live stream and uses them: first key to restart, upgrade, removal, purge. Also checks what an installation costs. Needs root. Without the
# network once everything is downloaded.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ $# -ge 1 ] || die "usage: deb-test.sh DEBS [RELEASE]"
# The mounts in the chroot exist only for this program.
[ -n "${WEIR_DEB_TEST-}" ] || WEIR_DEB_TEST=1 exec unshare --mount "$0" "$@"
debs=$(realpath "$1")
# shellcheck source=/dev/null
release=${2:-$(. /etc/os-release && printf '%s' "${VERSION_CODENAME-}")}
chroot=$root_dir/build/deb-test-$release
say() { printf '%s: %s\n' "${0##*/}" "$*"; }

# What a package may have, for an administrator with nginx, nginx-rtmp and ffmpeg.
most_packages=20
most_download=30000000
most_module=3000000

"$root_dir/scripts/deb-lintian.sh" "$debs"/*.changes

rm -rf --one-file-system "$chroot"
"$root_dir/scripts/chroot.sh" "$release" "$chroot"
trap 'umount "$chroot/proc"; rm -rf --one-file-system "$chroot"' EXIT
mount -t proc proc "$chroot/proc"
cp -L /etc/resolv.conf "$chroot/etc/resolv.conf"
mkdir "$chroot/debs"
cp "$debs"/*.deb "$chroot/debs/"
cp "$root_dir/debian/tests/publish-and-revoke" "$root_dir"/scripts/{block,deb-stage,deb-life,deb-upgrades,deb-moves}.sh "$root_dir/README.md" "$chroot/debs/"

inside() { chroot "$chroot" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"; }

# Services must not start in a chroot.
printf '#!/bin/sh\nexit 101\n' >"$chroot/usr/sbin/policy-rc.d"
chmod 755 "$chroot/usr/sbin/policy-rc.d"
# Nobody answers apt's questions here, and recommended packages are not what is tested.
printf 'APT::Get::Assume-Yes "true";\nAPT::Install-Recommends "false";\n' >"$chroot/etc/apt/apt.conf.d/90unattended"
inside apt-get -q -q update
began=$(date +%s)
inside apt-get -q -q install nginx libnginx-mod-rtmp ffmpeg curl make systemd >/dev/null
say "a server with nginx, nginx-rtmp and ffmpeg took $(($(date +%s) - began)) s of a bare chroot"

# again SED OUT DEB...: packs packages again, with a changed control file.
again() {
    local change=$1 out=$2 deb place
    shift 2
    mkdir -p "$out"
    for deb; do
        place=$(mktemp -d)
        dpkg-deb --raw-extract "$deb" "$place/root"
        sed -i -E "$change" "$place/root/DEBIAN/control"
        dpkg-deb --root-owner-group -Znone --build "$place/root" "$out/" >/dev/null
        rm -rf "$place"
    done
}
# The same packages with a later version, for upgrades: Weir's, nginx's, and an nginx-rtmp that the module does not fit.
again 's/^(Version: .*)/\1+next/; s/(libnginx-mod-rtmp-weir \(= [^)]*)\)/\1+next)/' "$chroot/debs/next" "$debs"/*.deb
mkdir "$chroot/debs/theirs"
inside sh -c 'cd /debs/theirs && apt-get -q -q download nginx nginx-common libnginx-mod-rtmp' 2>/dev/null
again 's/^(Version: .*)/\1+next/; s/(nginx-common \(= [^)]*)\)/\1+next)/' "$chroot/debs/nginx" "$chroot"/debs/theirs/nginx*.deb
again 's/^Version: .*/Version: 1:9.0+dfsg-1/' "$chroot/debs/rtmp" "$chroot"/debs/theirs/libnginx-mod-rtmp_*.deb
(cd "$chroot/debs" && dpkg-scanpackages rtmp >Packages 2>/dev/null)
echo 'deb [trusted=yes] file:/debs ./' >"$chroot/debs/sources.list"

# What apt fetches and installs for the two packages on a machine that serves streams already.
log=$root_dir/build/deb-install.log
inside sh -c 'apt-get -q -y --no-install-recommends --download-only install /debs/*.deb' >"$log" 2>&1 || { tail -n 30 "$log" >&2; die "apt cannot install the packages"; }
say "apt: $(grep -hE ' newly installed,|^Need to get |^After this ' "$log" | paste -sd' ')"
say "packages: $(cd "$debs" && stat -c '%n %s bytes' -- *.deb | paste -sd,)"
packages=$(sed -nE 's/.* ([0-9]+) newly installed,.*/\1/p' "$log")
[ "$packages" -le "$most_packages" ] || die "$packages packages are installed, and at most $most_packages should be"
# apt does not count local files as downloads, so the total after the slash.
download=$(sed -nE 's/^Need to get ([^ ]+ [kM]?B\/)?([0-9.,]+) ([kM]?)B of archives.*/\2\3/p' "$log" | tr -d , | sed 's/k/e3/; s/M/e6/')
awk -v bytes="$download" -v most="$most_download" 'BEGIN { exit !(bytes + 0 > 0 && bytes + 0 <= most) }' || die "apt would fetch $download bytes, and at most $most_download is allowed"
module=$(dpkg-deb --fsys-tarfile "$debs"/libnginx-mod-rtmp-weir_*.deb | tar -xOf - ./usr/lib/nginx/modules/ngx_rtmp_weir_module.so | wc -c)
program=$(dpkg-deb --fsys-tarfile "$debs"/weir_*.deb | tar -xOf - ./usr/bin/weir | wc -c)
say "the module has $module bytes, weir $program"
[ "$module" -le "$most_module" ] || die "the module has $module bytes, and at most $most_module are allowed"

# The command has its own network and processes, so it affects no other nginx, and its processes end with it.
alone() {
    unshare -n --mount --pid --fork --kill-child sh -c 'ip link set lo up; mount -t proc proc "$1/proc"; mount --bind /dev "$1/dev"; root=$1; shift
        exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"' sh "$chroot" "$@"
}

# This nginx may be started, reloaded and upgraded by packages.
printf '#!/bin/sh\n[ "$1" = nginx ] || exit 101\n' >"$chroot/usr/sbin/policy-rc.d"
cp -a "$chroot/etc/nginx" "$chroot/etc/nginx.before"
for life in life upgrades; do
    say "$life, with live streams:"
    alone bash "/debs/deb-$life.sh" /debs
    rm -rf "$chroot/etc/nginx"
    cp -a "$chroot/etc/nginx.before" "$chroot/etc/nginx"
    rm -rf "$chroot/var/lib/weir-nginx" "$chroot/var/lib/hls"
done
rm -rf "$chroot/etc/nginx.before"
printf '#!/bin/sh\nexit 101\n' >"$chroot/usr/sbin/policy-rc.d"

say 'from make install to packages:'
# What `make install` reads, with the programs of the packages: they fit the nginx of the chroot.
mkdir "$chroot/source" "$chroot/source/build"
(cd "$root_dir" && tar -cf - Makefile Cargo.toml ./*.md LICENSE docs nginx-conf) | tar -xf - -C "$chroot/source"
dpkg-deb --fsys-tarfile "$debs"/weir_*.deb | tar -xOf - ./usr/bin/weir >"$chroot/source/build/weir"
dpkg-deb --fsys-tarfile "$debs"/weir_*.deb | tar -xOf - --wildcards './usr/share/doc/weir/THIRD-PARTY-NOTICES*' | zcat -f >"$chroot/source/build/THIRD-PARTY-NOTICES"
dpkg-deb --fsys-tarfile "$debs"/libnginx-mod-rtmp-weir_*.deb | tar -xOf - ./usr/lib/nginx/modules/ngx_rtmp_weir_module.so >"$chroot/source/build/ngx_rtmp_weir_module.so"
chmod 755 "$chroot/source/build/weir"
# `weir` needs the library of the package.
inside apt-get -q -q -y --no-install-recommends install libsqlite3-0 >/dev/null
inside bash /debs/deb-moves.sh /debs /source

inside sh -c 'apt-get -q -y --no-install-recommends install /debs/*.deb' >"$log" 2>&1 || { tail -n 30 "$log" >&2; die "apt could not install the packages"; }
say "installed, weir and the module take $(inside dpkg-query -W -f '${Installed-Size}\n' weir libnginx-mod-rtmp-weir | paste -sd' ') KiB"

inside test -L /etc/nginx/modules-enabled/70-mod-rtmp-weir.conf || die "the module is not enabled"
inside nginx -t
inside getent passwd weir >/dev/null || die "the user weir is missing"
[ "$(inside stat -c '%U:%G %a' /var/lib/weir)" = 'weir:www-data 750' ] || die "/var/lib/weir: $(inside stat -c '%U:%G %a' /var/lib/weir)"
inside weir serve --check --config /etc/weir/weir.toml || die "weir.toml as it is installed is refused"
say 'first key to restart:'
alone bash /debs/publish-and-revoke

say 'installed again, configured again, removed, purged:'
inside sh -c 'echo "# edited" >>/etc/weir/weir.toml; apt-get -q -y --no-install-recommends install --reinstall /debs/*.deb' >/dev/null
inside dpkg-reconfigure weir libnginx-mod-rtmp-weir
inside grep -q '# edited' /etc/weir/weir.toml || die "an edited weir.toml was lost"
inside nginx -t
# The state of the module, a folder with HLS, and an empty folder.
inside sh -c 'install -d -o www-data -m 700 /var/lib/weir-nginx /var/lib/weir-nginx/hls /var/lib/weir-nginx/dash
    touch /var/lib/weir-nginx/state /var/lib/weir-nginx/hls/show.m3u8'
# What the daemon keeps for itself, and what belongs to the administrator.
private='admins admins.lock admins.sessions history.db history.db-wal history.db-shm chat.db chat.db.damaged-1 pair.db pair.db-wal pair.db.damaged-2-shm hooks/a/1 notify/instance-a fleet/gala.json keepalived.fifo'
public='recordings/live/show.mp4 media/live/show/index.m3u8 thumbnails/live/show.jpg slate/slate.flv upstream.conf'
inside sh -c 'cd /var/lib/weir; for file; do mkdir -p "$(dirname "$file")"; echo secret >"$file"; done' sh $private $public
inside apt-get -q -y remove weir libnginx-mod-rtmp-weir >/dev/null
inside nginx -t
for kept in /var/lib/weir-nginx/state /etc/weir/weir.toml /var/lib/weir/pair.db; do
    inside test -f "$kept" || die "removal took $kept"
done
inside apt-get -q -y purge weir libnginx-mod-rtmp-weir >/dev/null
for left in /var/lib/weir-nginx/state /var/lib/weir-nginx/dash /etc/weir/weir.toml /etc/nginx/modules-enabled/70-mod-rtmp-weir.conf; do
    inside test ! -e "$left" || die "purge left $left"
done
inside test -f /var/lib/weir-nginx/hls/show.m3u8 || die "purge took the HLS that a running nginx may write"
[ "$(inside sh -c 'cd /var/lib/weir && find . -type f | sed "s|^./||" | sort' | paste -sd' ')" = "$(printf '%s\n' $public | sort | paste -sd' ')" ] ||
    die "purge left in /var/lib/weir: $(inside find /var/lib/weir -type f | paste -sd' ')"
inside nginx -t
say 'all of it works'
