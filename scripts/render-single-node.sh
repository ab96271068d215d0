#!/usr/bin/env bash
# render-single-node.sh PREFIX RTMP_PORT HTTP_PORT: prints nginx-conf/single-node/nginx.conf, adapted for a run in PREFIX.
#
# The output is the sample itself with other folders and ports, on loopback, with the module of `make build`. The workers run as the user
# who runs this script, even as root, so no other user needs access to the folders of the checkout. WEB_PORT is the port of the pages of
# `weir serve`. WEIR_NGINX, WEIR_NGINX_RTMP and WEIR_MODULE replace the installed nginx, its nginx-rtmp and the built module.
# WEIR_NGINX_RTMP=static: nginx-rtmp is a part of that nginx.
#
# Unlike the sample, the application pushes to the targets of the dashboard, and the file PREFIX/weir.secret signs tokens if it exists.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ $# -eq 3 ] || die "usage: render-single-node.sh PREFIX RTMP_PORT HTTP_PORT"
prefix=$1 rtmp_port=$2 http_port=$3
sample=$root_dir/nginx-conf/single-node

modules=$("${WEIR_NGINX:-nginx}" -V 2>&1 | sed -n 's/.*--modules-path=\([^ ]*\).*/\1/p')
rtmp_module=${WEIR_NGINX_RTMP:-$modules/ngx_rtmp_module.so}
weir_module=${WEIR_MODULE:-$root_dir/build/ngx_rtmp_weir_module.so}

# These paths become part of nginx.conf and of sed's expressions.
load_rtmp="load_module $rtmp_module;\\
"
[ "$rtmp_module" != static ] || rtmp_module=/ load_rtmp=
for path in "$prefix" "$root_dir" "$rtmp_module" "$weir_module"; do
    case $path in
        *[!A-Za-z0-9/._+@%,-]*) die "the path $path has a character that nginx.conf would need quoted" ;;
        /*) ;;
        *) die "$path is no absolute path" ;;
    esac
done

user="user $(id -un) $(id -gn);"
# Only root can change the user. nginx would log that at each start, so the line is removed for other users.
[ "$(id -u)" = 0 ] || user=

# The default folders for request bodies belong to the system's nginx.
temp=
for kind in client_body proxy fastcgi uwsgi scgi; do
    temp+="\\
    ${kind}_temp_path $prefix/temp/$kind;"
done

# Without the file, the line of the sample stays a comment.
secret="&"
[ ! -f "$prefix/weir.secret" ] || secret="weir_secret $prefix/weir.secret;"

sed -e "s|^user .*|$user|" \
    -e "s|^pid .*|pid $prefix/nginx.pid;|" \
    -e "s|^include /etc/nginx/modules-enabled/.*|${load_rtmp}load_module $weir_module;|" \
    -e "s|^http {|&$temp|" \
    -e "s|^#weir_secret .*|$secret|" \
    -e "s|^\( *\)weir_publish key;|&\n\1weir_push on;|" \
    -e "s|listen 1935;|listen 127.0.0.1:$rtmp_port;|" \
    -e "s|listen 8080;|listen 127.0.0.1:$http_port;|" \
    -e "s|http://127.0.0.1:8090/|http://127.0.0.1:${WEB_PORT:-8090}/|" \
    -e "s|/var/log/nginx/|$prefix/logs/|" \
    -e "s|/srv/weir/www|$sample/www|" \
    -e "s|state=/var/lib/weir-nginx/|state=$prefix/state/|" \
    -e "s|/var/lib/weir-nginx|$prefix|" \
    -e "s|/var/lib/weir/|$prefix/|" \
    -e "/^#/d" \
    "$sample/nginx.conf"
