#!/usr/bin/env bash
# Fetches the vendored browser code again, with the versions that its vendor.lock pins. For maintainers; needs npm. The `files` of a lock
# are put in the lock's folder. The `sources` (files and folders with the readable form of compressed code) are put where packagers and
# lintian look for them: in debian/missing-sources, in a folder with the name of the first of `files`. What compressed code contains of
# other packages (`bundles`) is put there in node_modules, with its licence.
#
# To move to another version: change `version` and `integrity` (npm view NAME dist.integrity), run this script, and commit the files
# together with the checksums that it writes.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

command -v npm >/dev/null || die "the package npm is missing"
command -v node >/dev/null || die "the package nodejs is missing"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

for lock in "$root_dir"/nginx-conf/*/www/vendor/vendor.lock "$root_dir"/sidecar/src/web/admin/pages/vendor/*/vendor.lock; do
    dir=${lock%/*}
    field() { sed -n "s/^$1 //p" "$lock"; }
    name=$(field name) version=$(field version) integrity=$(field integrity)

    # With a lock file of its own, `npm ci` checks the integrity itself. It runs no script of the package.
    rm -rf "$tmp/package"
    mkdir "$tmp/package"
    wanted="\"$name\": \"$version\"" pinned="\"node_modules/$name\": {\"version\": \"$version\", \"integrity\": \"$integrity\"}"
    while read -r part of sum _; do
        wanted+=", \"$part\": \"$of\""
        pinned+=", \"node_modules/$part\": {\"version\": \"$of\", \"integrity\": \"$sum\"}"
    done < <(field bundles)
    cat >"$tmp/package/package.json" <<JSON
{"name": "vendor", "version": "0.0.0", "private": true, "dependencies": {$wanted}}
JSON
    cat >"$tmp/package/package-lock.json" <<JSON
{"name": "vendor", "version": "0.0.0", "lockfileVersion": 3, "requires": true, "packages": {
  "": {"name": "vendor", "version": "0.0.0", "dependencies": {$wanted}}, $pinned}}
JSON
    (cd "$tmp/package" && npm ci --ignore-scripts --no-audit --no-fund --silent) ||
        die "npm could not fetch $name $version with the pinned integrity"

    checksums=
    for source in $(field files); do
        file=${source##*/}
        install -m 0644 "$tmp/package/node_modules/$name/$source" "$dir/$file"
        checksums+="sha256 $(cd "$dir" && sha256sum "$file")"$'\n'
    done
    sources=$(readable_of "$lock")
    rm -rf "$sources"
    mkdir -p "$sources"
    for source in $(field sources); do
        (cd "$tmp/package/node_modules/$name" && cp -R --parents --no-preserve=mode "$source" "$sources/")
    done
    while read -r part _ _ _ file; do
        (cd "$tmp/package" && cp --parents --no-preserve=mode "node_modules/$part/$file" "node_modules/$part/LICENSE" "$sources/")
    done < <(field bundles)
    { grep -vE '^(sources-)?sha256 ' "$lock"; printf '%ssources-sha256 %s\n' "$checksums" "$(sum_of_folder "$sources")"; } >"$tmp/lock"
    cat "$tmp/lock" >"$lock"
done
