#!/usr/bin/env bash
# source-package.sh DIR [SUFFIX]: assembles Debian's source package of this checkout in DIR. SUFFIX, for example ~deb12u1, is added to the
# version of the packages, so that packages for several releases differ.
#
#   DIR/weir-VERSION                    the source, with debian/, vendor/ and nginx-rtmp/
#   DIR/weir_VERSION.orig.tar.xz        the checkout without debian/
#   DIR/weir_VERSION.orig-vendor.tar.xz     all crates that a Linux build uses, without prebuilt libraries
#   DIR/weir_VERSION.orig-nginx-rtmp.tar.xz the original tarball of Debian's nginx-rtmp
#
# Needs the network, or a filled cache of cargo; building the package needs neither. The same checkout gives the same tarballs.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ $# -ge 1 ] && [ $# -le 2 ] || die "usage: source-package.sh DIR [SUFFIX]"
cargo=${CARGO:-cargo}
out=$(realpath -m "$1")
cd "$root_dir"
command -v dpkg-parsechangelog >/dev/null || die "the package dpkg-dev is missing: run \`make build-deps\`"

version=$(dpkg-parsechangelog -S Version | sed 's/-[^-]*$//')
[ "${version//\~/-}" = "$(crate_version)" ] || die "debian/changelog is of version $version, Cargo.toml of $(crate_version)"
SOURCE_DATE_EPOCH=$(dpkg-parsechangelog -S Timestamp)
export SOURCE_DATE_EPOCH

rm -rf "$out"
tree=$out/weir-$version
mkdir -p "$tree"

# What git knows and what is new; in an unpacked tarball all that no build has made, also if that is in the checkout of something else.
if [ "$(git rev-parse --show-toplevel 2>/dev/null)" = "$root_dir" ]; then
    git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' file; do
        [ ! -e "$file" ] && [ ! -L "$file" ] || printf '%s\0' "$file"
    done | tar --null -T - -cf - | tar -xf - -C "$tree"
else
    tar --exclude=./build --exclude=./target --exclude=./.run --exclude=./vendor --exclude=./nginx-rtmp -cf - . | tar -xf - -C "$tree"
fi
mv "$tree/debian" "$out/debian"
pack_folder "$out/weir_$version.orig.tar.xz" "$tree"

"$cargo" vendor --locked --versioned-dirs "$tree/vendor" >/dev/null 2>"$out/vendor.log" || { cat "$out/vendor.log" >&2; die "cargo vendor failed"; }
"$root_dir/scripts/prune-vendor.pl" "$tree/vendor" "$cargo"
pack_folder "$out/weir_$version.orig-vendor.tar.xz" "$tree/vendor"

"$root_dir/scripts/rtmp-source.sh" --tarball
tarball=$(rtmp_tarball) || die "nginx-rtmp's source could not be fetched"
mkdir "$tree/nginx-rtmp"
tar -xf "$tarball" -C "$tree/nginx-rtmp" --strip-components=1
cp "$tarball" "$out/weir_$version.orig-nginx-rtmp.tar.${tarball##*.tar.}"

mv "$out/debian" "$tree/debian"
[ -z "${2-}" ] || sed -i "1s/)/$2)/" "$tree/debian/changelog"
rtmp=$(rtmp_version)
rtmp=${rtmp#*:}
printf '%s\n' "${rtmp%-*}" >"$tree/debian/nginx-rtmp.version"
"$root_dir/scripts/deb-copyright.pl" "$tree/vendor" "$tree/debian/copyright.in" >"$tree/debian/copyright"
rm -f "$out/vendor.log" "$tree/debian/copyright.in"
printf '%s\n' "$tree"
