#!/usr/bin/env bash
# dist-test.sh DIST WORK: proves that the tarball in DIST builds without a network, without a checkout and without anything in a home folder;
# that checksums and SBOMs fit; and that the same commit gives the same files in another folder, locale, time zone and with another umask.
# Leaves the built source in WORK. Needs root, or user namespaces.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ $# -eq 2 ] || die "usage: dist-test.sh DIST WORK"
dist=$(realpath "$1")
work=$(realpath -m "$2")
say() { printf '%s: %s\n' "${0##*/}" "$*"; }

(cd "$dist" && sha256sum --quiet --strict -c SHA256SUMS) || die "the checksums do not fit"
tarball=$(find "$dist" -name 'weir-*.tar.xz')
name=$(basename "$tarball" .tar.xz)
grep -q " $name.tar.xz$" "$dist/SHA256SUMS" || die "SHA256SUMS does not name $name.tar.xz"

rm -rf "$work"
mkdir -p "$work/home"
tar -xf "$tarball" -C "$work"
prebuilt=$(find "$work/$name" \( -name '*.a' -o -name '*.so' -o -name '*.o' -o -name '*.exe' -o -name '*.dll' \) -type f)
[ -z "$prebuilt" ] || die "the tarball has built files in it: $prebuilt"

# The programs of the toolchain, since rustup finds none of its own in an empty home folder.
toolchain=$(rustc --print sysroot)/bin
[ -x "$toolchain/cargo" ] || toolchain=$(dirname "$(command -v cargo)")
without_network=(unshare -n)
[ "$(id -u)" = 0 ] || without_network=(unshare --map-root-user -n)
profile=()
while IFS= read -r setting; do profile+=("$setting"); done < <(env | grep '^CARGO_PROFILE_' || true)
began=$SECONDS
"${without_network[@]}" env -i PATH="$toolchain:/usr/sbin:/usr/bin:/sbin:/bin" HOME="$work/home" "${profile[@]}" \
    make -C "$work/$name" build >"$work/build.log" 2>&1 || { tail -n 40 "$work/build.log" >&2; die "the tarball does not build offline"; }
say "the tarball builds without a network, in $((SECONDS - began)) seconds"
"$work/$name/build/weir" --version

python3 -m venv "$work/sbom"
"$work/sbom/bin/pip" --quiet --disable-pip-version-check install --only-binary :all: --no-deps -r "$root_dir/tests/sbom/requirements.txt"
"$work/sbom/bin/python" "$root_dir/tests/sbom/check.py" "$work/$name/build/THIRD-PARTY-NOTICES" "$dist"/*.cdx.json

cd "$root_dir"
if [ "$(git rev-parse --show-toplevel 2>/dev/null)" = "$root_dir" ]; then
    # The files as they are here, not only what is committed.
    mkdir -p "$work/again/with a longer name"
    git ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -T - -cf - | tar -xf - -C "$work/again/with a longer name"
    (umask 077 && cd "$work/again/with a longer name" && TZ=Pacific/Auckland LC_ALL=C LANG=C scripts/dist.sh build/dist >/dev/null)
    diff -r "$dist" "$work/again/with a longer name/build/dist" || die "the same source gave other files"
    rm -rf "$work/again"
    say 'a second folder gives the same files'
fi
