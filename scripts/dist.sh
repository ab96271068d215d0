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

# The licences that debian/copyright is made of: the tarball makes Debian packages too.
cp "$root_dir/debian/copyright.in" "$tree/debian/"
# cargo finds the crates beside the source.
grep -q '^\[source.vendored\]' "$tree/.cargo/config.toml" || cat >>"$tree/.cargo/config.toml" <<'TOML'

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

# cargo-cyclonedx writes a file beside the manifest of each crate of the workspace: in the packed source it disturbs nobody.
cd "$tree"
locks=(nginx-conf/*/www/vendor/vendor.lock sidecar/src/web/admin/pages/vendor/*/vendor.lock)
for crate in ngx-module sidecar; do
    "$cyclonedx" cyclonedx --quiet --spec-version 1.5 --manifest-path "$crate/Cargo.toml" --format json --override-filename sbom.cdx
done
"$root_dir/scripts/sbom.pl" ngx-module/sbom.cdx.json "$tree" >"$out/$name-ngx-module.cdx.json"
"$root_dir/scripts/sbom.pl" sidecar/sbom.cdx.json "$tree" "${locks[@]}" >"$out/$name-weir.cdx.json"
(cd "$out" && sha256sum -- * >"$work/SHA256SUMS" && mv "$work/SHA256SUMS" .)
printf '%s\n' "$out"/*
