#!/usr/bin/env bash
# deb-reproducible.sh WORK: builds the Debian packages of this checkout twice, in two folders, and compares them. The second build has another
# user, umask, locale, time zone, home folder and number of jobs, and a clock that is 400 days ahead.
#
# Needs root, or user namespaces. A profile of the environment (CARGO_PROFILE_RELEASE_OPT_LEVEL=0) makes both builds quicker.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ $# -eq 1 ] || die "usage: deb-reproducible.sh WORK"
command -v faketime >/dev/null || die "the package faketime is missing: apt-get install faketime"
work=$(realpath -m "$1")
first=$work/first
second=$work/second/in-a-folder-with-a-longer-name
rm -rf "$work"
cd "$root_dir"
for place in "$first" "$second"; do
    mkdir -p "$place"
    git ls-files -z --cached --others --exclude-standard | tar --null --ignore-failed-read -T - -cf - | tar -xf - -C "$place"
done
unset MAKEFLAGS MAKELEVEL

(cd "$first" && umask 022 && TZ=UTC LC_ALL=C.UTF-8 scripts/deb.sh build/deb >/dev/null)
# rustup, cargo and Weir's cache are those of this user; everything else looks for another home.
(cd "$second" && umask 027 && env TZ=Pacific/Auckland LC_ALL=C LANG=de_DE.UTF-8 USER=builder LOGNAME=builder BUILD_CLOCK='+400d' CARGO_BUILD_JOBS=1 \
    CARGO_HOME="${CARGO_HOME:-$HOME/.cargo}" RUSTUP_HOME="${RUSTUP_HOME:-$HOME/.rustup}" XDG_CACHE_HOME="${XDG_CACHE_HOME:-$HOME/.cache}" HOME="$work/home" \
    unshare --user --map-user=1234 --map-group=1234 scripts/deb.sh build/deb >/dev/null)

same=1
for deb in "$first"/build/deb/*.deb; do
    name=${deb##*/}
    if cmp -s "$deb" "$second/build/deb/$name"; then
        sha256sum "$deb" | sed "s|$first/build/deb/||"
        continue
    fi
    same=
    echo "$name differs, in these files:"
    for place in "$first" "$second"; do
        mkdir -p "$place/unpacked/$name"
        dpkg-deb --raw-extract "$place/build/deb/$name" "$place/unpacked/$name"
    done
    diff -rq "$first/unpacked/$name" "$second/unpacked/$name" || true
done
[ -n "$same" ] || die "the two builds are in $work"
rm -rf "$work"
echo "${0##*/}: two builds gave the same packages"
