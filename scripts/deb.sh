#!/usr/bin/env bash
# deb.sh OUT [RELEASE]: builds the Debian packages of this checkout and puts them in OUT, which it empties first.
#
# Without RELEASE, or with this machine's own release, it builds here. For another release (bookworm, trixie) it builds in a chroot, which
# needs root and mmdebstrap. Assembling the source package uses the network; the build does not, which without root needs a user namespace.
# BUILD_CLOCK=+400d sets the clock of a build on this machine ahead, by faketime: scripts/deb-reproducible.sh compares such a build.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ $# -ge 1 ] || die "usage: deb.sh OUT [RELEASE]"
out=$(realpath -m "$1")
# shellcheck source=/dev/null
here=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME-}")
release=${2:-$here}
work=$root_dir/build/deb-$release
options="noautodbgsym ${DEB_BUILD_OPTIONS-}"

# Packages of several releases in one archive need different versions, and those of the later release are upgrades.
case $release in
bookworm) suffix='~deb12u1' ;;
trixie) suffix='~deb13u1' ;;
*) suffix='' ;;
esac
# Name of the source's folder in WORK.
tree=$("$root_dir/scripts/source-package.sh" "$work" "$suffix" | tail -n 1)

build_here() {
    local tool toolchain without_network=(unshare -n) clock=()
    for tool in dpkg-buildpackage dh dh_nginx; do
        command -v "$tool" >/dev/null || die "$tool is missing: run \`make build-deps\`"
    done
    # debhelper sets another HOME, in which rustup finds no toolchain, so the real programs come first in PATH.
    toolchain=$(rustc --print sysroot)/bin
    [ -x "$toolchain/cargo" ] || toolchain=$(dirname "$(command -v cargo)")
    [ "$(id -u)" = 0 ] || without_network=(unshare --map-root-user -n)
    # Files keep their real times, and so do waits.
    [ -z "${BUILD_CLOCK-}" ] || clock=(env NO_FAKE_STAT=1 FAKETIME_DONT_FAKE_MONOTONIC=1 faketime -f "$BUILD_CLOCK")
    # rustup's Rust is not a Debian package, so dpkg cannot check the dependencies. `make build-deps` has checked them.
    (cd "$tree" && env -u MAKEFLAGS -u MAKELEVEL -u CARGO_TARGET_DIR PATH="$toolchain:$PATH" DEB_BUILD_OPTIONS="$options" \
        "${without_network[@]}" "${clock[@]}" dpkg-buildpackage --no-sign --no-check-builddeps)
}

# Makes the chroot. The source package has the nginx-rtmp of this machine, and the module fits no other.
prepare_chroot() {
    local theirs ours
    trap 'rm -rf --one-file-system "$chroot"' EXIT
    "$root_dir/scripts/chroot.sh" "$release" "$chroot" build-essential
    cp -L /etc/resolv.conf "$chroot/etc/resolv.conf"
    chroot "$chroot" apt-get -q -q update
    theirs=$(chroot "$chroot" env LC_ALL=C apt-cache policy libnginx-mod-rtmp | sed -n 's/^  Candidate: \([0-9]*:\)\{0,1\}//p' | sed 's/-[^-]*$//')
    ours=$(cat "$tree/debian/nginx-rtmp.version")
    [ "$theirs" = "$ours" ] ||
        die "$release has nginx-rtmp ${theirs:-(none)}, this machine $ours, and the module fits one only: run \`make deb\` on a machine with $release"
}

build_in_chroot() {
    mkdir "$chroot/build" && cp -a "$work"/weir* "$chroot/build/" || return 1
    chroot "$chroot" sh -c "cd /build/${tree##*/} && \
        DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends build-dep ./" || return 1
    unshare -n --mount sh -c 'mount -t proc proc "$1/proc" && mount --bind /dev "$1/dev" &&
        exec chroot "$1" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEB_BUILD_OPTIONS="$2" \
            sh -c "cd /build/$3 && dpkg-buildpackage --no-sign"' sh "$chroot" "$options" "${tree##*/}" || return 1
    find "$chroot/build" -maxdepth 1 -type f -exec cp -t "$work" {} +
}

build=build_here chroot=$work/chroot
if [ "$release" != "$here" ]; then
    build=build_in_chroot
    prepare_chroot
fi
# bash ignores `set -e` in a function whose failure is handled here.
"$build" >"$work/build.log" 2>&1 || { tail -n 40 "$work/build.log" >&2; die "the build failed, see $work/build.log"; }

rm -rf "$out"
mkdir -p "$out"
cd "$work"
mv -- *.deb *.dsc *.orig*.tar.* *.debian.tar.* *.changes *.buildinfo "$out/"
cd "$out"
sha256sum -- *.deb *.dsc *.orig*.tar.* *.debian.tar.* >SHA256SUMS
printf '%s\n' "$out"/*.deb
