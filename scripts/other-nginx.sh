#!/usr/bin/env bash
# other-nginx.sh DIR [NGINX [RTMP]]: proves that Weir does not depend on the nginx of one distribution.
#
# Builds the nginx in the source tree NGINX (default: the version that tests/other-nginx pins) together with the nginx-rtmp in RTMP
# (default: the source from `make headers`). NGINX may also be a release of Debian, for example trixie: apt fetches the upstream source of
# its nginx. Then builds the module for these, loads it in that nginx, and publishes the test stream to it with the sample configuration.
# With LINK=static nginx-rtmp is a part of nginx (--add-module), as many guides build it.
# SUITES="module guard" then runs these suites of tests/ with that nginx, which needs LINK=dynamic and `make build`.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ $# -ge 1 ] && [ $# -le 3 ] || die "usage: other-nginx.sh DIR [NGINX [RTMP]]"
mkdir -p "$1"
dir=$(cd "$1" && pwd)
link=${LINK:-dynamic}
case $link in
dynamic) add=--add-dynamic-module ;;
static) add=--add-module ;;
*) die "LINK=$link: must be dynamic or static" ;;
esac
[ -z "${SUITES-}" ] || [ "$link" = dynamic ] || die "SUITES needs LINK=dynamic: the tests load nginx-rtmp as a module"
cargo=${CARGO:-cargo}

rtmp=${3:-$root_dir/build/headers/nginx-rtmp}
[ -f "$rtmp/config" ] || die "$rtmp is no source of nginx-rtmp: run \`make headers\`, or name another one"
rtmp=$(cd "$rtmp" && pwd)

# of_release RELEASE: prints the folder with the source of that release's nginx. It is fetched once, until `make clean`.
of_release() {
    local place=$dir/source-$1 tarball
    if [ ! -d "$place/nginx" ]; then
        rm -rf "$place"
        fetch_source nginx "$place" --tar-only "$1"
        tarball=$(orig_tarball "$place") || die "the source of the nginx of $1 has no original tarball"
        mkdir "$place/unpacked"
        tar -xf "$tarball" -C "$place/unpacked" --strip-components=1
        mv "$place/unpacked" "$place/nginx"
    fi
    printf '%s' "$place/nginx"
}

if [[ ${2-} =~ ^[a-z]+$ ]] && [ ! -d "$2" ]; then
    source=$(of_release "$2")
elif [ -n "${2-}" ]; then
    source=$2
else
    source=$(pinned_nginx)
fi
[ -f "$source/src/core/nginx.h" ] || die "$source is no source of nginx"
version=$(nginx_version "$source")

# configure leaves files in the source, so it works on a copy. Each nginx and nginx-rtmp has a copy of its own.
name=nginx-$version-$(cat "$rtmp"/*.[ch] | sha256sum | cut -c1-8)
[ "$link" = dynamic ] || name=$name-$link
if [ ! -f "$dir/$name/done" ]; then
    rm -rf "${dir:?}/$name"
    mkdir "$dir/$name"
    cp -r "$source" "$dir/$name/src"
    (
        cd "$dir/$name/src"
        # A release of nginx has this script at the top, its repository in a folder.
        [ -f configure ] || cp auto/configure .
        ./configure --builddir="$dir/$name/objs" --with-compat --with-threads --with-http_ssl_module --with-http_v2_module \
            --with-http_auth_request_module --with-http_realip_module --with-http_sub_module --with-stream --with-stream_ssl_module \
            --with-cc-opt="-O1 -Wno-error" "$add=$rtmp"
        make -j"$(nproc)"
        # Builds the same nginx without threads, which the module needs. Without SSL, nginx-rtmp itself cannot be loaded.
        flags=(--builddir="$dir/$name/bare" --with-compat --with-http_ssl_module --with-cc-opt="-O1 -Wno-error")
        [ "$link" = dynamic ] || flags+=("$add=$rtmp")
        ./configure "${flags[@]}"
        make -j"$(nproc)" -f "$dir/$name/bare/Makefile" binary
    ) >"$dir/$name/log" 2>&1 || { tail -n 20 "$dir/$name/log" >&2; die "nginx could not be built, see $dir/$name/log"; }
    touch "$dir/$name/done"
fi
nginx=$dir/$name/objs/nginx
rtmp_module=$dir/$name/objs/ngx_rtmp_module.so
[ "$link" = dynamic ] || rtmp_module=static

NGINX_SOURCE_DIR=$dir/$name/src NGINX_BUILD_DIR=$dir/$name/objs NGINX_RTMP_SOURCE_DIR=$rtmp CARGO_TARGET_DIR=$dir/target \
    "$cargo" build --locked -p weir-ngx-module --manifest-path "$root_dir/Cargo.toml"

"$nginx" -V 2>&1 | sed -n 1p

# The module looks for the thread pool when the configuration has a zone.
bare=$dir/bare
mkdir -p "$bare/logs"
{
    [ "$link" = static ] || echo "load_module $rtmp_module;"
    printf 'load_module %s;\nweir_zone 1m;\nevents {}\n' "$dir/target/debug/libngx_rtmp_weir_module.so"
} >"$bare/nginx.conf"
said=$("$dir/$name/bare/nginx" -t -p "$bare" -c nginx.conf 2>&1) && die "an nginx without threads takes the module"
case $said in
*'"weir_zone": this nginx was built without threads (--with-threads) in '*) echo "an nginx without threads is refused with the reason" ;;
*) die "an nginx without threads is not told so: $said" ;;
esac

run=$dir/run
rm -rf "$run"
WEIR_NGINX=$nginx WEIR_NGINX_RTMP=$rtmp_module WEIR_MODULE=$dir/target/debug/libngx_rtmp_weir_module.so \
    PREFIX=$run RTMP_PORT=${RTMP_PORT:-20935} HTTP_PORT=${HTTP_PORT:-20980} "$root_dir/scripts/run.sh" >"$dir/run.log" 2>&1 &
pid=$!
stop() {
    kill -TERM "$pid" 2>/dev/null
    wait "$pid" || true
}
trap stop EXIT
for _ in $(seq 200); do
    if [ -s "$run/hls/test.m3u8" ] || ! kill -0 "$pid" 2>/dev/null; then break; fi
    sleep 0.1
done
if [ ! -s "$run/hls/test.m3u8" ]; then
    cat "$dir/run.log" >&2
    die "no playlist came of the test stream, see $run/logs"
fi
echo "the test stream came through"
[ -n "${SUITES-}" ] || exit 0
trap - EXIT
stop

suites=()
for suite in $SUITES; do suites+=(--test "$suite"); done
WEIR_NGINX=$nginx WEIR_NGINX_RTMP=$rtmp_module WEIR_MODULE=$dir/target/debug/libngx_rtmp_weir_module.so \
    "$cargo" test --locked --no-fail-fast -p weir-tests "${suites[@]}" --manifest-path "$root_dir/Cargo.toml" -- --test-threads=3
