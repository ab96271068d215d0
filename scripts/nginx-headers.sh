#!/usr/bin/env bash
# nginx-headers.sh DIR: prepares the sources that the module is compiled against.
#
#   DIR/nginx/src    nginx's source tree (package nginx-dev)
#   DIR/nginx/objs   that source configured as Debian configured its nginx: with other flags the layouts differ
#   DIR/nginx-rtmp   nginx-rtmp's source: of the installed version, or of the one that apt would install; from the tarball of a release
#                    if that brings the same version along
#
# Quick if the packages have not changed since the last run. A packager can provide the first two with NGINX_SOURCE_DIR and NGINX_BUILD_DIR,
# and the third with NGINX_RTMP_SOURCE_DIR; this script does not prepare provided sources.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ $# -eq 1 ] || die "usage: nginx-headers.sh DIR"

for dir in "${NGINX_SOURCE_DIR:-/}" "${NGINX_BUILD_DIR:-/}" "${NGINX_RTMP_SOURCE_DIR:-/}"; do
    [ -d "$dir" ] || die "$dir is no folder (NGINX_SOURCE_DIR, NGINX_BUILD_DIR, NGINX_RTMP_SOURCE_DIR)"
done
needs_nginx=1 needs_rtmp=1
if [ -n "${NGINX_SOURCE_DIR:-}${NGINX_BUILD_DIR:-}" ]; then
    [ -n "${NGINX_SOURCE_DIR:-}" ] && [ -n "${NGINX_BUILD_DIR:-}" ] || die "set both NGINX_SOURCE_DIR and NGINX_BUILD_DIR, or neither"
    needs_nginx=
fi
[ -z "${NGINX_RTMP_SOURCE_DIR:-}" ] || needs_rtmp=
[ -n "$needs_nginx$needs_rtmp" ] || exit 0

for package in ${needs_nginx:+nginx-dev} dpkg-dev; do
    [ -n "$(installed_version "$package")" ] || die "the package $package is missing: run \`make build-deps\`"
done
for tool in gcc make; do
    command -v "$tool" >/dev/null || die "the package $tool is missing: run \`make build-deps\`"
done

# configure writes absolute paths, so a moved checkout needs a new run.
stamp="${needs_nginx:+nginx-dev $(installed_version nginx-dev), }${needs_rtmp:+libnginx-mod-rtmp $(rtmp_version), }in $(realpath -m "$1")"
[ -f "$1/stamp" ] && [ "$(cat "$1/stamp")" = "$stamp" ] && exit 0

tarball='' bundled=''
if [ -n "$needs_rtmp" ]; then
    bundled=$(bundled_rtmp) || tarball=$(rtmp_tarball) || die "nginx-rtmp's source has not been fetched yet: run \`make build-deps\`"
fi

# The stamp is removed first and written last, so that an interrupted run never looks complete.
mkdir -p "$1"
dir=$(cd "$1" && pwd)
exec 9>"$dir/lock"
flock 9
rm -rf "$dir/stamp" "$dir/nginx" "$dir/nginx-rtmp"

if [ -n "$needs_rtmp" ]; then
    mkdir -p "$dir/nginx-rtmp"
    if [ -n "$bundled" ]; then
        cp -r "$bundled/." "$dir/nginx-rtmp/"
    else
        tar -xf "$tarball" -C "$dir/nginx-rtmp" --strip-components=1
    fi
    [ -f "$dir/nginx-rtmp/ngx_rtmp.h" ] || die "${bundled:-$tarball} holds no ngx_rtmp.h"
fi

if [ -n "$needs_nginx" ]; then
    mkdir -p "$dir/nginx/src"
    # `auto` and `configure` leave files in the tree, so the whole tree is copied.
    cp -rL /usr/share/nginx/src/. "$dir/nginx/src/"
    cd "$dir/nginx/src"
    NGX_CONF_FLAGS=()
    . ./conf_flags
    ./configure \
        --with-cc-opt="$(dpkg-buildflags --get CFLAGS) -fPIC $(dpkg-buildflags --get CPPFLAGS)" \
        --with-ld-opt="$(dpkg-buildflags --get LDFLAGS) -fPIC" \
        "${NGX_CONF_FLAGS[@]}" --builddir="$dir/nginx/objs" >"$dir/configure.log" 2>&1 ||
        { tail -n 20 "$dir/configure.log" >&2; die "nginx's configure failed, see $dir/configure.log"; }
fi

printf '%s\n' "$stamp" >"$dir/stamp"
