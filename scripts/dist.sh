#!/usr/bin/env bash
# dist.sh OUT: makes the source tarball of a release, with all crates and nginx-rtmp's headers, its checksum, and SBOMs of the module and of
# `weir` (CycloneDX). Building from the tarball needs no network. The same checkout gives the same tarball.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ $# -eq 1 ] || die "usage: dist.sh OUT"
out=$(realpath -m "$1")
work=$root_dir/build/dist-src
tree=$("$root_dir/scripts/source-package.sh" "$work" | tail -n 1)
name=${tree##*/}
cyclonedx=$(cargo_tool cargo-cyclonedx 0.5.9)

# cargo finds the crates in the source tree.
cat >>"$tree/.cargo/config.toml" <<'TOML'

[source.crates-io]
replace-with = "vendored"

[source.vendored]
directory = "vendor"
TOML

rm -rf "$out"
mkdir -p "$out"
SOURCE_DATE_EPOCH=$(cd "$root_dir" && dpkg-parsechangelog -S Timestamp)
export SOURCE_DATE_EPOCH
pack_folder "$out/$name.tar.xz" "$tree"

cd "$root_dir"
for crate in ngx-module sidecar; do
    "$cyclonedx" cyclonedx --quiet --manifest-path "$crate/Cargo.toml" --format json --override-filename "$name-${crate}.cdx"
    find . -name "$name-$crate.cdx.json" -not -path "./$crate/*" -not -path './target/*' -not -path './build/*' -delete
    mv "$crate/$name-$crate.cdx.json" "$out/"
done
(cd "$out" && sha256sum -- * >"$work/SHA256SUMS" && mv "$work/SHA256SUMS" .)
printf '%s\n' "$out"/*
