#!/bin/sh
# block.sh PAGE HEADING LANGUAGE NUMBER|count: prints a fenced block of a Markdown page: block NUMBER of LANGUAGE in the section HEADING,
# without the indentation of a list. `count` prints how many there are. Tests run the commands of the docs with it, also in chroots.
set -eu

[ $# -eq 4 ] || { echo 'usage: block.sh PAGE HEADING LANGUAGE NUMBER|count' >&2; exit 2; }
awk -v heading="$2" -v language="$3" -v wanted="$4" '
    !fenced && /^ *```/ {
        fenced = 1
        indent = index($0, "`") - 1
        taken = depth && substr($0, indent + 4) == language
        found += taken
        next
    }
    fenced && /^ *```$/ { fenced = 0; next }
    fenced { if (taken && found == wanted) print substr($0, indent + 1); next }
    /^#+ / {
        own = index($0, " ") - 1
        if (substr($0, own + 2) == heading) depth = own
        else if (own <= depth) depth = 0
    }
    END {
        if (wanted == "count") print found + 0
        else exit found < wanted
    }' "$1" || { echo "$1: section \"$2\" has no block $4 of $3" >&2; exit 1; }
