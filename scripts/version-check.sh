#!/usr/bin/env bash
# Checks that each file that names Weir's version names the version of Cargo.toml, and prints the files that differ. In CHANGELOG.md that is
# the newest section with a date. Before the first release, which debian/changelog shows too, there is none.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

cd "$root_dir"
version=$(crate_version)
[ -n "$version" ] || die "Cargo.toml names no version"
differs=0

# is FILE WHAT FOUND: reports FILE if what it names is not the version.
is() {
    [ "$3" = "$version" ] || { echo "${0##*/}: $1: $2 is of version ${3:-(none)}, Cargo.toml of $version" >&2; differs=1; }
}

# The crates without a source are those of the workspace.
while read -r crate found; do
    is Cargo.lock "$crate" "$found"
done < <(awk -F'"' '
    function flush() { if (name != "" && !source) print name, version; name = "" }
    /^\[\[package\]\]/ { flush(); source = 0 }
    /^name = / { name = $2 }
    /^version = "/ { version = $2 }
    /^source = / { source = 1 }
    END { flush() }' Cargo.lock)
is debian/changelog 'the first entry' "$(sed -nE '1s/^weir \((.*)-[^-]*\) .*/\1/p' debian/changelog | tr '~' -)"
is packaging/rpm/weir.spec Version "$(sed -nE 's/^Version: +//p' packaging/rpm/weir.spec)"
is packaging/rpm/weir.spec 'the first entry of %changelog' "$(sed -nE '/^%changelog/,$s/^\* .* - (.*)-[^-]*$/\1/p' packaging/rpm/weir.spec | head -n 1)"
is packaging/alpine/APKBUILD pkgver "$(sed -n 's/^pkgver=//p' packaging/alpine/APKBUILD)"
is docs/from-source.md 'the tarball' "$(sed -nE 's/^tar -xf weir-(.*)\.tar\.xz$/\1/p' docs/from-source.md)"
is docs/from-source.md 'the folder of the tarball' "$(sed -nE 's/^cd weir-(.*)$/\1/p' docs/from-source.md)"
newest=$(sed -nE 's/^## \[(.*)\] - [0-9]{4}-[0-9]{2}-[0-9]{2}$/\1/p' CHANGELOG.md | head -n 1)
[ -z "$newest" ] && [ "$(grep -c '^weir (' debian/changelog)" = 1 ] || is CHANGELOG.md 'the newest section with a date' "$newest"
[ "$(grep '^## ' CHANGELOG.md | head -n 1)" = '## [Unreleased]' ] || { echo "${0##*/}: CHANGELOG.md: the first section must be [Unreleased]" >&2; differs=1; }
while read -r heading; do
    echo "${0##*/}: CHANGELOG.md: $heading: must be [X.Y.Z] - YYYY-MM-DD" >&2
    differs=1
done < <(grep '^## ' CHANGELOG.md | grep -vxE '## \[(Unreleased\]|[0-9]+\.[0-9]+\.[0-9]+[^]]*\] - [0-9]{4}-[0-9]{2}-[0-9]{2})')
exit "$differs"
