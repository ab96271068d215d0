#!/usr/bin/env bash
# other-nginx.sh DIR: proves that Weir is not tied to the nginx of one distribution.
#
# Builds another version of nginx (tests/other-nginx pins it) together with the nginx-rtmp that `make headers` unpacked,
# builds the module for these, and has that nginx take the test stream with the sample configuration.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ $# -eq 1 ] || die "usage: other-nginx.sh DIR"
mkdir -p "$1"
dir=$(cd "$1" && pwd)
cargo=${CARGO:-cargo}
rtmp=$root_dir/build/headers/nginx-rtmp
[ -f "$rtmp/config" ] || die "nginx-rtmp's source is not there yet: run \`make headers\`"

pin=$root_dir/tests/other-nginx/Cargo.toml
"$cargo" fetch --quiet --locked --manifest-path "$pin"
manifest=$("$cargo" metadata --format-version 1 --locked --offline --manifest-path "$pin" |
    grep -o '"manifest_path":"[^"]*/nginx-src-[^"]*"' | cut -d'"' -f4)
source=${manifest%/*}/nginx
[ -f "$source/src/core/nginx.h" ] || die "the crate nginx-src holds no nginx"

# configure leaves files in the source, so it works in a copy. The copy's name is the version: another one starts anew.
name=${manifest%/*}
name=${name##*/}
if [ ! -f "$dir/$name/done" ]; then
    rm -rf "${dir:?}/$name"
    mkdir "$dir/$name"
    cp -r "$source" "$dir/$name/src"
    (
        cd "$dir/$name/src"
        ./auto/configure --builddir="$dir/$name/objs" --with-compat --with-threads --with-http_ssl_module \
            --with-cc-opt="-O1 -Wno-error" --add-dynamic-module="$rtmp"
        make -j"$(nproc)"
        # The same without threads, which the module needs. Without SSL nginx-rtmp itself cannot be loaded.
        ./auto/configure --builddir="$dir/$name/bare" --with-compat --with-http_ssl_module --with-cc-opt="-O1 -Wno-error"
        make -j"$(nproc)" -f "$dir/$name/bare/Makefile" binary
    ) >"$dir/$name/log" 2>&1 || { tail -n 20 "$dir/$name/log" >&2; die "nginx could not be built, see $dir/$name/log"; }
    touch "$dir/$name/done"
fi
nginx=$dir/$name/objs/nginx

NGINX_SOURCE_DIR=$dir/$name/src NGINX_BUILD_DIR=$dir/$name/objs NGINX_RTMP_SOURCE_DIR=$rtmp CARGO_TARGET_DIR=$dir/target \
    "$cargo" build --locked -p weir-ngx-module --manifest-path "$root_dir/Cargo.toml"

"$nginx" -V 2>&1 | head -n 1

# The thread pool is looked for when the zone is configured.
bare=$dir/bare
mkdir -p "$bare/logs"
printf 'load_module %s;\nload_module %s;\nweir_zone 1m;\nevents {}\n' \
    "$dir/$name/objs/ngx_rtmp_module.so" "$dir/target/debug/libngx_rtmp_weir_module.so" >"$bare/nginx.conf"
said=$("$dir/$name/bare/nginx" -t -p "$bare" -c nginx.conf 2>&1) && die "an nginx without threads takes the module"
case $said in
*'"weir_zone": this nginx was built without threads (--with-threads) in '*) echo "an nginx without threads is told so" ;;
*) die "an nginx without threads is not told so: $said" ;;
esac

run=$dir/run
rm -rf "$run"
WEIR_NGINX=$nginx WEIR_NGINX_RTMP=$dir/$name/objs/ngx_rtmp_module.so WEIR_MODULE=$dir/target/debug/libngx_rtmp_weir_module.so \
    PREFIX=$run RTMP_PORT=${RTMP_PORT:-20935} HTTP_PORT=${HTTP_PORT:-20980} "$root_dir/scripts/run.sh" >"$dir/run.log" 2>&1 &
pid=$!
trap 'kill -TERM "$pid" 2>/dev/null; wait "$pid" || true' EXIT
for _ in $(seq 200); do
    [ -s "$run/hls/test.m3u8" ] && echo "the test stream came through" && exit 0
    kill -0 "$pid" 2>/dev/null || break
    sleep 0.1
done
cat "$dir/run.log" >&2
die "no playlist came of the test stream, see $run/logs"
