#!/usr/bin/env bash
# other-nginx.sh DIR: proves that Weir is not tied to the nginx of one distribution.
#
# Builds another version of nginx (tests/other-nginx pins it) together with the nginx-rtmp that `make headers` unpacked,
# builds the module for these, and has that nginx load both with the sample configuration.
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
    ) >"$dir/$name/log" 2>&1 || { tail -n 20 "$dir/$name/log" >&2; die "nginx could not be built, see $dir/$name/log"; }
    touch "$dir/$name/done"
fi
nginx=$dir/$name/objs/nginx

NGINX_SOURCE_DIR=$dir/$name/src NGINX_BUILD_DIR=$dir/$name/objs NGINX_RTMP_SOURCE_DIR=$rtmp CARGO_TARGET_DIR=$dir/target \
    "$cargo" build --locked -p weir-ngx-module --manifest-path "$root_dir/Cargo.toml"

mkdir -p "$dir"/run/{logs,hls,dash,state,temp}
"$root_dir/scripts/render-single-node.sh" "$dir/run" 1935 8080 |
    sed -e "s|^load_module .*/ngx_rtmp_module.so;|load_module $dir/$name/objs/ngx_rtmp_module.so;|" \
        -e "s|^load_module .*/ngx_rtmp_weir_module.so;|load_module $dir/target/debug/libngx_rtmp_weir_module.so;|" \
        >"$dir/run/nginx.conf"
"$nginx" -V 2>&1 | head -n 1
"$nginx" -t -p "$dir/run" -c "$dir/run/nginx.conf" -e "$dir/run/logs/error.log"
