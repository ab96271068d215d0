#!/usr/bin/env bash
# third-party.sh FILE: writes the notices of all third-party code that the module, `weir` and the installed pages contain.
#
# The first part lists each crate with its licence, the second lists each licence text once, with the crates that use it. The data comes
# from the sources that cargo has built, so the file cannot differ from the programs.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ $# -eq 1 ] || die "usage: third-party.sh FILE"
cargo=${CARGO:-cargo}
file=$(realpath -m "$1")
cd "$root_dir"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Lists the linked crates: no build scripts, no proc-macros, nothing of the tests.
host=$("$cargo" -vV | sed -n 's/^host: //p')
"$cargo" tree --locked --package weir-ngx-module --package weir --edges normal,no-proc-macro --target "$host" \
    --prefix none --format '{p}|{l}' | sed -E 's/ \(\*\)$//; s/ \(proc-macro\)//' | grep -v -e ' (/' -e '^$' | sort -u >"$work/crates"

# Finds the folder of each crate: in cargo's output, name and version precede the path of the manifest.
"$cargo" metadata --format-version 1 --locked --filter-platform "$host" |
    grep -oE '"name":"[^"]+","version":"[^"]+","id":|"manifest_path":"[^"]+"' |
    awk -F'"' '$2 == "name" { crate = $4 " v" $8 } $2 == "manifest_path" { sub("/Cargo.toml$", "", $4); print crate "|" $4 }' |
    sort >"$work/folders"

# license_file NAME-VERSION FILE: adds a crate to the users of the text in FILE. Crates of one project often share a text that differs only
# in its line endings.
mkdir "$work/texts" "$work/users"
license_file() {
    local sum
    sum=$(tr -d '\r' <"$2" | sed -E 's/[[:space:]]+$//' | tr -s '\n ' | sha256sum | cut -d' ' -f1)
    [ -f "$work/texts/$sum" ] || tr -d '\r' <"$2" >"$work/texts/$sum"
    printf '%s\n' "$1" >>"$work/users/$sum"
}

while IFS='|' read -r crate license; do
    folder=$(sed -n "s|^$crate\|||p" "$work/folders" | head -n 1)
    [ -d "$folder" ] || die "cargo names no folder of $crate"
    [ -n "$license" ] || die "$crate names no licence"
    printf '%s|%s\n' "${crate/ v/ }" "$license" >>"$work/list"
    found=
    for text in "$folder"/{LICEN[CS]E,COPYING,COPYRIGHT,NOTICE,UNLICENSE,licen[cs]e,copying,notice}* "$folder"/LICEN[CS]ES/*; do
        [ -f "$text" ] || continue
        license_file "${crate/ v/ }" "$text"
        found=1
    done
    [ -n "$found" ] && continue
    # Weir uses such a crate under Apache-2.0. Its text is the same for every crate, so the text of LICENSE applies.
    [[ " ${license//\// OR } " == *" Apache-2.0 "* && $license != *" AND "* ]] || die "$crate ships no licence text and is not under Apache-2.0: $license"
    license_file "${crate/ v/ }" LICENSE
    printf '%s\n' "${crate/ v/ }" >>"$work/without"
done <"$work/crates"

for lock in nginx-conf/*/www/vendor/vendor.lock sidecar/src/web/admin/pages/vendor/*/vendor.lock; do
    name=$(sed -n 's/^name //p' "$lock") version=$(sed -n 's/^version //p' "$lock")
    printf '%s %s|%s\n' "$name" "$version" "$(sed -n 's/^licence //p' "$lock")" >>"$work/list"
    license_file "$name $version" "${lock%/*}/LICENSE"
    while read -r name version _ licence _; do
        printf '%s %s|%s\n' "$name" "$version" "$licence" >>"$work/list"
        license_file "$name $version" "$(readable_of "$lock")/node_modules/$name/LICENSE"
    done < <(sed -n 's/^bundles //p' "$lock")
done

mkdir -p "${file%/*}"
{
    echo "Third-party notices"
    echo "==================="
    echo
    echo "Weir's module and its program weir contain the following crates; the pages contain what npm is named for below. Where a licence offers a"
    echo "choice (OR), the text of each licence that its authors ship is below."
    echo
    sort -f "$work/list" | awk -F'|' '{ printf "  %-40s %s\n", $1, $2 }'
    if [ -s "$work/without" ]; then
        echo
        echo "These ship no licence text. Weir uses them under Apache-2.0; the text is below, under their names:"
        echo
        sed 's/^/  /' "$work/without"
    fi
    for users in "$work"/users/*; do
        echo
        echo "--------------------------------------------------------------------------------"
        sort -fu "$users" | paste -sd, | sed 's/,/, /g' | fold -s -w 100
        echo "--------------------------------------------------------------------------------"
        echo
        cat "$work/texts/${users##*/}"
    done
} >"$work/notices"
install -m 0644 "$work/notices" "$file"
