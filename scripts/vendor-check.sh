#!/usr/bin/env bash
# Checks that each vendored file matches the checksum in its vendor.lock.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

for lock in "$root_dir"/nginx-conf/*/www/vendor/vendor.lock "$root_dir"/sidecar/src/web/admin/pages/vendor/*/vendor.lock; do
    dir=${lock%/*}
    (cd "$dir" && sed -n 's/^sha256 //p' vendor.lock | sha256sum --check --strict --quiet) ||
        die "${dir#"$root_dir"/} differs from its vendor.lock"
    sources=$(readable_of "$lock")
    [ "$(sum_of_folder "$sources")" = "$(sed -n 's/^sources-sha256 //p' "$lock")" ] ||
        die "${sources#"$root_dir"/} differs from ${lock#"$root_dir"/}"
    # The origin of a file that the lock does not name is unknown.
    for file in "$dir"/*; do
        name=${file##*/}
        [ "$name" = vendor.lock ] || grep -q "^sha256 [0-9a-f]\{64\}  $name\$" "$lock" ||
            die "${file#"$root_dir"/} is not in vendor.lock"
    done
done
