#!/usr/bin/env bash
# Checks that each vendored file matches the checksum in its vendor.lock, and that debian/copyright.in names its licence and its holders.
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

    # The paragraph of debian/copyright.in with these files.
    short=${dir#"$root_dir"/}
    paragraph=$(awk -v files="$short/*" 'BEGIN { RS = "" } index($0, files) { print; exit }' "$root_dir/debian/copyright.in")
    [ -n "$paragraph" ] || die "debian/copyright.in does not name $short"
    case $paragraph in *"${sources#"$root_dir"/}/*"*) ;; *) die "debian/copyright.in does not name ${sources#"$root_dir"/} beside $short" ;; esac
    licence=$(sed -n 's/^licence //p' "$lock")
    grep -qx "License: $licence" <<<"$paragraph" || die "debian/copyright.in names another licence of $short than $licence"
    # Compressed code contains no package that the lock does not name, and debian/copyright.in names them all.
    while read -r part; do
        case " $(sed -n 's/^name //p' "${lock%/*}"/../*/vendor.lock "$lock" | tr '\n' ' ') " in *" $part "*) continue ;; esac
        grep -q "^bundles $part " "$lock" || die "$short contains $part, which its vendor.lock does not name (bundles)"
    done < <(grep -rhoE " from ['\"][@a-z][^'\"]*['\"];?$" "$sources" --include=*.js --include=*.mjs --include=*.ts |
        sed -nE "s/.* from ['\"]((@[^/]*\/)?[^/'\"]*).*/\\1/p" | sort -u)
    while read -r part _ _ licence _; do
        [ -s "$sources/node_modules/$part/LICENSE" ] || die "$part has no licence in ${sources#"$root_dir"/}"
        awk -v files="node_modules/$part/*" 'BEGIN { RS = "" } index($0, files)' "$root_dir/debian/copyright.in" | grep -qx "License: $licence" ||
            die "debian/copyright.in does not name $part with the licence $licence"
    done < <(sed -n 's/^bundles //p' "$lock")

    # Years and a name; addresses, and the example in the text of a licence, are no part of them.
    found=
    while IFS= read -r holder; do
        found=1
        grep -qF "$holder" <<<"$paragraph" || die "debian/copyright.in does not name a holder of $short: $holder"
    done < <(sed -nE 's/^[[:space:]]*Copyright (\([cC]\) )?([0-9][0-9a-z-]*),? ([^(<]*[^(<[:space:].]).*/\2, \3/p' "$dir/LICENSE")
    [ -n "$found" ] || die "$short/LICENSE names no holder"
done
