#!/usr/bin/env bash
# chroot.sh RELEASE DIR [PACKAGE...]: makes a minimal Debian of RELEASE (bookworm, trixie) with these packages in DIR. Needs root.
# chroot.sh RELEASE --sources: only prints apt's sources of RELEASE.
#
# It uses this machine's own mirrors of Debian with the other release's name and their options, such as signed-by. Repositories of others
# are left out: a mirror of Debian has the component main, and its address ends in /debian or /debian-security, or contains /archive/debian.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ $# -ge 2 ] || die "usage: chroot.sh RELEASE DIR [PACKAGE...] | RELEASE --sources"
release=$1 dir=$2
shift 2
# shellcheck source=/dev/null
here=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME-}")
# Tests name another folder and release.
apt_dir=${APT_DIR:-/etc/apt} here=${APT_RELEASE:-$here}

# One line per source: options without brackets, address, suite, components, with tabs between them.
one_line() {
    sed -nE 's/^[[:space:]]*deb[[:space:]]+(\[([^]]*)\][[:space:]]+)?([^[:space:]]+)[[:space:]]+([^[:space:]]+)[[:space:]]+([^#]*).*/\2\t\3\t\4\t\5/p' "$@"
}
deb822() {
    awk '
        function value() { sub(/^[^:]*:[ \t]*/, ""); return $0 }
        function flush(  u, s, i, j, n, m, o) {
            o = (signed != "" ? "signed-by=" signed " " : "") (archs != "" ? "arch=" archs " " : "") (trusted != "" ? "trusted=" trusted " " : "")
            gsub(/ +$/, "", o)
            n = split(uris, u, " "); m = split(suites, s, " ")
            if (types ~ /(^| )deb( |$)/ && enabled !~ /^no/)
                for (i = 1; i <= n; i++) for (j = 1; j <= m; j++) print o "\t" u[i] "\t" s[j] "\t" components
            types = uris = suites = components = signed = archs = trusted = enabled = ""
        }
        /^#/ { next }
        /^[ \t]*$/ { flush() }
        /^Types:/ { types = value() }
        /^URIs:/ { uris = value() }
        /^Suites:/ { suites = value() }
        /^Components:/ { components = value() }
        /^Signed-By:/ { signed = value(); gsub(/ +/, ",", signed) }
        /^Architectures:/ { archs = value(); gsub(/ +/, ",", archs) }
        /^Trusted:/ { trusted = value() }
        /^Enabled:/ { enabled = value() }
        END { flush() }' "$1"
}

sources=$(mktemp)
trap 'rm -f "$sources"' EXIT
{
    for file in "$apt_dir"/sources.list "$apt_dir"/sources.list.d/*.list; do
        [ ! -f "$file" ] || one_line "$file"
    done
    for file in "$apt_dir"/sources.list.d/*.sources; do
        [ ! -f "$file" ] || deb822 "$file"
    done
} | awk -F'\t' -v here="$here" -v release="$release" '
    $2 !~ /\/debian(-security)?\/?$/ && $2 !~ /\/archive\/debian/ { next }
    (" " $4 " ") !~ /[ \t]main[ \t]/ { next }
    $3 == here || $3 == here "-updates" || $3 == here "-security" {
        sub("^" here, release, $3)
        if (!seen[$2 " " $3]++) print "deb " ($1 != "" ? "[" $1 "] " : "") $2 " " $3 " main"
    }' >"$sources"
[ -s "$sources" ] || die "apt has no source of Debian $here to derive one of $release from"
[ "$dir" != --sources ] || { cat "$sources"; exit 0; }
[ "$(id -u)" = 0 ] || die "a chroot needs root"
command -v mmdebstrap >/dev/null || die "the package mmdebstrap is missing: apt-get install mmdebstrap"

# The chroot's own apt reads the same keys.
hooks=()
while read -r key; do
    hooks+=("--setup-hook=install -D -m 0644 '$key' \"\$1$key\"")
done < <(grep -oE 'signed-by=[^] ]+' "$sources" | cut -d= -f2 | tr , '\n' | grep '^/' | sort -u)

printf -v packages '%s,' ca-certificates "$@"
mmdebstrap --quiet --variant=apt --mode=root "${hooks[@]}" --include="${packages%,}" "$release" "$dir" "$sources"
