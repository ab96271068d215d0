#!/usr/bin/env bash
# from-source-test.sh: runs the commands of docs/from-source.md, "For another nginx" and "For the packages of nginx.org". Needs root, and
# what `make deps build` leaves.
#
# The commands run on this machine. /usr, /etc and the checkout are overlays meanwhile, in a mount namespace of their own, so nothing of
# what the commands install stays. Debian's nginx takes the place of nginx.org's: it has the source that `nginx -V` describes, in nginx-dev.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

if [ -z "${WEIR_FROM_SOURCE-}" ]; then
    [ "$(id -u)" = 0 ] || die "overlays need root"
    # Not below the checkout: the upper folder of an overlay cannot be in the lower one.
    work=$(mktemp -d /var/tmp/weir-from-source.XXXXXX)
    trap 'rm -rf --one-file-system "$work"' EXIT
    WEIR_FROM_SOURCE=$work unshare --mount "$0"
    exit
fi
work=$WEIR_FROM_SOURCE
page=$root_dir/docs/from-source.md
say() { printf '%s: %s\n' "${0##*/}" "$*"; }
block() { "$root_dir/scripts/block.sh" "$page" "$@"; }
# has HEADING LANGUAGE NUMBER: a block that this script does not run would be a block that nobody tests.
has() { [ "$(block "$1" "$2" count)" = "$3" ] || die "docs/from-source.md has another number of blocks of $2 in \"$1\" than this script runs"; }

# over FOLDER: from here on, changes of FOLDER go to the work folder.
over() {
    local name=${1//\//_}
    mkdir "$work/$name" "$work/$name.work"
    mount -t overlay overlay -o "lowerdir=$1,upperdir=$work/$name,workdir=$work/$name.work" "$1" || die "$1 cannot be an overlay"
}
over /usr
over /etc
over "$root_dir"
mkdir "$work/bin"
printf '#!/bin/sh\nexec "$@"\n' >"$work/bin/sudo"
chmod 755 "$work/bin/sudo"

# commands TEXT: runs the text in a shell of its own, in the checkout.
commands() {
    (cd "$root_dir" && env -u MAKEFLAGS -u MAKELEVEL -u CARGO_TARGET_DIR PATH="$work/bin:$PATH" bash -euo pipefail -x -c "$1") \
        >"$work/log" 2>&1 || { tail -n 40 "$work/log" >&2; die "a command of docs/from-source.md fails"; }
}
# on_top HEADING FILE: puts the lines that the section has for nginx.conf at the top of FILE. Weir's directive shows that they work.
on_top() {
    { block "$1" nginx 1 && echo 'weir_zone 1m;' && cat "$2"; } >"$work/nginx.conf"
    cp "$work/nginx.conf" "$2"
}

another='For another nginx'
has "$another" sh 4
has "$another" nginx 1
source=$(pinned_nginx)
version=$(nginx_version "$source")
block "$another" sh 1 | grep -qx "cd /usr/src/nginx-$version" || die "tests/other-nginx pins nginx $version, docs/from-source.md has another version"
cp -r "$source" "/usr/src/nginx-$version"
# A release of nginx has this script at the top, its repository in a folder.
[ -f "/usr/src/nginx-$version/configure" ] || cp "/usr/src/nginx-$version/auto/configure" "/usr/src/nginx-$version/"
cp -r "$root_dir/build/headers/nginx-rtmp" /usr/src/nginx-rtmp-module
# starts WHEN: Debian's nginx, with its own configuration, starts.
starts() { nginx -t 2>"$work/log" || { cat "$work/log" >&2; die "Debian's nginx does not start $1"; }; }
starts 'before the commands'
commands "$(block "$another" sh 1)"
commands "$(block "$another" sh 2)"
starts "beside the module for nginx $version"
on_top "$another" /usr/local/nginx/conf/nginx.conf
commands "$(block "$another" sh 3)"
grep -q 'syntax is ok' "$work/log" || { cat "$work/log" >&2; die "nginx -t does not say what docs/from-source.md expects"; }
/usr/local/bin/weir --version >/dev/null
say "\"$another\": nginx $version, built and installed, takes the module"
commands "$(block "$another" sh 4)"
say "\"$another\": $(tail -n 1 "$work/log")"

org='For the packages of nginx.org'
has "$org" sh 3
has "$org" nginx 1
version=$(nginx -v 2>&1 | sed 's|.*nginx/||; s| .*||')
cp -r /usr/share/nginx/src "/usr/src/nginx-$version"
mkdir -p /etc/nginx/modules
commands "$(block "$org" sh 1)"
# The second and the third step share a variable.
commands "$(block "$org" sh 2; echo "cd '$root_dir'"; block "$org" sh 3)"
# nginx.org's nginx.conf does not read this folder, and its nginx resolves relative paths against /etc/nginx.
sed -i '/modules-enabled/d' /etc/nginx/nginx.conf
on_top "$org" /etc/nginx/nginx.conf
nginx -p /etc/nginx -t 2>"$work/log" || { cat "$work/log" >&2; die "nginx refuses the modules"; }
grep -q 'syntax is ok' "$work/log" || { cat "$work/log" >&2; die "nginx -t does not say what docs/from-source.md expects"; }
say "\"$org\": nginx $version of Debian takes both modules"
