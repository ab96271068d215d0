#!/usr/bin/env bash
# chroot.sh RELEASE DIR [PACKAGE...]: makes a minimal Debian of RELEASE (bookworm, trixie) with these packages in DIR. Needs root.
#
# It uses this machine's own mirrors with the other release's name, and no third-party repositories.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ $# -ge 2 ] || die "usage: chroot.sh RELEASE DIR [PACKAGE...]"
release=$1 dir=$2
shift 2
[ "$(id -u)" = 0 ] || die "a chroot needs root"
command -v mmdebstrap >/dev/null || die "the package mmdebstrap is missing: apt-get install mmdebstrap"
# shellcheck source=/dev/null
here=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME-}")

# The sources in one-line form, only for this release's own suites.
sources=$(mktemp)
trap 'rm -f "$sources"' EXIT
{
    { cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null || true; } |
        sed -nE 's/^[[:space:]]*deb[[:space:]]+(\[[^]]*\][[:space:]]+)?([^[:space:]]+)[[:space:]]+([^[:space:]]+)[[:space:]].*/\2 \3/p'
    for file in /etc/apt/sources.list.d/*.sources; do
        [ ! -f "$file" ] || awk '
            /^URIs:/ { uris = $0; sub(/^URIs:[ \t]*/, "", uris) }
            /^Suites:/ { suites = $0; sub(/^Suites:[ \t]*/, "", suites) }
            function flush(  u, s, i, j, n, m) {
                n = split(uris, u, " "); m = split(suites, s, " ")
                for (i = 1; i <= n; i++) for (j = 1; j <= m; j++) print u[i], s[j]
                uris = suites = ""
            }
            /^[ \t]*$/ { flush() }
            END { flush() }' "$file"
    done
} | awk -v here="$here" -v release="$release" '
    $2 == here || $2 == here "-updates" || $2 == here "-security" {
        sub("^" here, release, $2)
        if (!seen[$1 " " $2]++) print "deb " $1 " " $2 " main"
    }' >"$sources"
[ -s "$sources" ] || die "apt has no source of Debian $here to derive one of $release from"

printf -v packages '%s,' ca-certificates "$@"
mmdebstrap --quiet --variant=apt --mode=root --include="${packages%,}" "$release" "$dir" "$sources"
