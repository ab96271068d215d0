#!/usr/bin/env bash
# deb-lintian.sh PACKAGE...: checks .changes, .dsc or .deb files with lintian --pedantic. Fails on each report that scripts/lintian-known
# does not have, and on a misspelt word of the programs that is in Weir's own source.
set -euo pipefail
export LC_ALL=C
. "$(dirname "$0")/lib.sh"

[ $# -ge 1 ] || die "usage: deb-lintian.sh PACKAGE..."
command -v lintian >/dev/null || die "the package lintian is missing: apt-get install lintian"
said=$(mktemp)
trap 'rm -f "$said"' EXIT
lintian --allow-root --pedantic --display-info --fail-on none "$@" >"$said" || { cat "$said" >&2; die "lintian failed"; }

# `I: weir: TAG WORDS [FILE:LINE]` becomes `weir: TAG FILE`. Lines of lintian that begin with N are notes.
reports() {
    awk '/^[A-MO-Z]: / {
        line = substr($0, 4)
        file = ""
        if (match(line, / \[[^][]*\]$/)) {
            file = " " substr(line, RSTART + 2, RLENGTH - 3)
            sub(/:[0-9]+$/, "", file)
        }
        match(line, /^[^:]+: [^ ]+/)
        print substr(line, 1, RLENGTH) file
    }' "$said" | sort -u
}
known() { grep -v '^#' "$root_dir/scripts/lintian-known" | sort -u; }

unknown=$(comm -23 <(reports) <(known))
if [ -n "$unknown" ]; then
    cat "$said" >&2
    die "lintian finds faults that scripts/lintian-known does not have: $unknown"
fi

# The packages of another release may need such a line, so this is only a note.
stale=$(comm -13 <(reports) <(known))
[ -z "$stale" ] || printf '%s: note: lintian does not report these lines of scripts/lintian-known here:\n%s\n' "${0##*/}" "$stale"

# lintian takes machine code and the texts of crates for misspelt words. A word of Weir's own texts is a fault.
ours() { grep -rnwF --include='*.rs' --include='*.html' --include='*.js' --exclude-dir={target,build,vendor,.git,missing-sources} -e "$1" "$root_dir"; }
while read -r word; do
    ! ours "$word" >&2 || die "lintian: \"$word\" is misspelt"
done < <(sed -nE 's/^.: [^:]+: spelling-error-in-binary ([^ ]+) .* \[.*/\1/p' "$said" | sort -u)
printf '%s: %s reports, all of them known\n' "${0##*/}" "$(reports | wc -l)"
