#!/usr/bin/env bash
# deb-test.sh DEBS [RELEASE]: installs the packages of DEBS in a chroot of RELEASE beside a running nginx with a live stream and uses them: first
# key to restart, upgrade, removal, purge. Needs root. Without the network once everything is downloaded.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ $# -ge 1 ] || die "usage: deb-test.sh DEBS [RELEASE]"
# The mounts in the chroot exist only for this program.
[ -n "${WEIR_DEB_TEST-}" ] || WEIR_DEB_TEST=1 exec unshare --mount "$0" "$@"
debs=$(realpath "$1")
# shellcheck source=/dev/null
release=${2:-$(. /etc/os-release && printf '%s' "${VERSION_CODENAME-}")}
chroot=$root_dir/build/deb-test-$release
rm -rf --one-file-system "$chroot"
"$root_dir/scripts/chroot.sh" "$release" "$chroot"
trap 'umount "$chroot/proc"; rm -rf --one-file-system "$chroot"' EXIT
mount -t proc proc "$chroot/proc"
cp -L /etc/resolv.conf "$chroot/etc/resolv.conf"
mkdir "$chroot/debs"
cp "$debs"/*.deb "$chroot/debs/"
cp "$root_dir/debian/tests/publish-and-revoke" "$root_dir/scripts/deb-life.sh" "$chroot/debs/"

# The same packages with a later version, for an upgrade.
mkdir "$chroot/debs/next"
for deb in "$debs"/*.deb; do
    next=$(mktemp -d)
    dpkg-deb --raw-extract "$deb" "$next/root"
    sed -i -E 's/^(Version: .*)/\1+next/; s/(libnginx-mod-rtmp-weir \(= [^)]*)\)/\1+next)/' "$next/root/DEBIAN/control"
    dpkg-deb --root-owner-group -Znone --build "$next/root" "$chroot/debs/next/" >/dev/null
    rm -rf "$next"
done

# Services must not start in a chroot.
printf '#!/bin/sh\nexit 101\n' >"$chroot/usr/sbin/policy-rc.d"
chmod 755 "$chroot/usr/sbin/policy-rc.d"

inside() { chroot "$chroot" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"; }
say() { printf '%s: %s\n' "${0##*/}" "$*"; }

inside apt-get -q -q update
inside apt-get -q -q -y --no-install-recommends install nginx libnginx-mod-rtmp ffmpeg curl systemd >/dev/null

# What apt fetches and installs for the two packages on a machine that serves streams already.
inside sh -c 'apt-get -q -y --no-install-recommends --download-only install /debs/*.deb' >"$root_dir/build/deb-install.log" 2>&1 ||
    { tail -n 30 "$root_dir/build/deb-install.log" >&2; die "apt cannot install the packages"; }
say "apt: $(grep -hE ' newly installed,|^Need to get |^After this ' "$root_dir/build/deb-install.log" | paste -sd' ')"
say "packages: $(cd "$debs" && stat -c '%n %s bytes' -- *.deb | paste -sd,)"

# The command has its own network and processes, so it affects no other nginx, and its processes end with it.
alone() {
    unshare -n --mount --pid --fork --kill-child sh -c 'ip link set lo up; mount -t proc proc "$1/proc"; mount --bind /dev "$1/dev"; root=$1; shift
        exec chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"' sh "$chroot" "$@"
}

say 'the life of an installation with live streams:'
# This nginx may be started, reloaded and upgraded by packages.
printf '#!/bin/sh\n[ "$1" = nginx ] || exit 101\n' >"$chroot/usr/sbin/policy-rc.d"
cp -a "$chroot/etc/nginx" "$chroot/etc/nginx.before"
alone bash /debs/deb-life.sh /debs
rm -rf "$chroot/etc/nginx"
mv "$chroot/etc/nginx.before" "$chroot/etc/nginx"
printf '#!/bin/sh\nexit 101\n' >"$chroot/usr/sbin/policy-rc.d"

inside sh -c 'apt-get -q -y --no-install-recommends install /debs/*.deb' >"$root_dir/build/deb-install.log" 2>&1 ||
    { tail -n 30 "$root_dir/build/deb-install.log" >&2; die "apt could not install the packages"; }
say "installed, weir and the module take $(inside dpkg-query -W -f '${Installed-Size}\n' weir libnginx-mod-rtmp-weir | paste -sd' ') KiB"

inside test -L /etc/nginx/modules-enabled/70-mod-rtmp-weir.conf || die "the module is not enabled"
inside nginx -t
inside getent passwd weir >/dev/null || die "the user weir is missing"
[ "$(inside stat -c '%U:%G %a' /var/lib/weir)" = 'weir:www-data 750' ] || die "/var/lib/weir: $(inside stat -c '%U:%G %a' /var/lib/weir)"
inside weir serve --check --config /etc/weir/weir.toml || die "weir.toml as it is installed is refused"
say 'first key to restart:'
alone bash /debs/publish-and-revoke

say 'installed again, removed, purged:'
inside sh -c 'echo "# edited" >>/etc/weir/weir.toml; apt-get -q -y --no-install-recommends install --reinstall /debs/*.deb' >/dev/null
inside grep -q '# edited' /etc/weir/weir.toml || die "an edited weir.toml was lost"
inside sh -c 'install -d -o www-data -m 700 /var/lib/weir-nginx; touch /var/lib/weir-nginx/state'
inside apt-get -q -y remove weir libnginx-mod-rtmp-weir >/dev/null
inside nginx -t
inside test -f /var/lib/weir-nginx/state || die "removal took the state file"
inside test -f /etc/weir/weir.toml || die "removal took weir.toml"
inside apt-get -q -y purge weir libnginx-mod-rtmp-weir >/dev/null
for left in /var/lib/weir-nginx /etc/weir/weir.toml /etc/nginx/modules-enabled/70-mod-rtmp-weir.conf; do
    inside test ! -e "$left" || die "purge left $left"
done
inside nginx -t
say 'all of it works'
