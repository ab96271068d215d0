#!/bin/sh
# without-module.sh [DIR]: lets nginx start while Weir's module is missing. What needed a key or a token is closed, nothing is opened.
#
# In the files below DIR (default: /etc/nginx), `weir_publish` becomes `deny publish all;`, `weir_play` becomes a `deny`, and `weir_api` and
# `weir_stat` become `return 503;`. All other directives of Weir go, and `rtmp_auto_push on;`: without Weir, nginx-rtmp as a dynamic module
# does not survive a reload with it. DIR.weir has the files as they were.
set -eu
dir=${1:-/etc/nginx}
kept=$dir.weir
[ -d "$dir" ] || { echo "$dir: no such folder" >&2; exit 1; }
[ ! -e "$kept" ] || { echo "$kept exists already: move it away, or back to $dir" >&2; exit 1; }
cp -a "$dir" "$kept"

others='api_token|drain_timeout|duplicate|gop_cache|guard|idle_publisher|key_file|limit_unauthenticated|max_bitrate|max_viewers|merge_write'
others="$others|min_free|pair_secret|push|push_allow|push_deny|push_to|resolver|secret|session_timeout|tls_verify|trusted_certificate|viewers|zone"
# `off` asks for nothing, so nothing takes its place.
grep -rlE 'weir_|rtmp_auto_push' "$dir" | while IFS= read -r file; do
    sed -i --follow-symlinks -E \
        -e 's/\$(weir_masked_(request|uri)|\{weir_masked_(request|uri)\})/-/g' \
        -e 's/(^|[[:space:];{#])weir_(publish|play)[[:space:]]+off[[:space:]]*;/\1/g' \
        -e 's/(^|[[:space:];{#])weir_publish[[:space:]][^;]*;/\1deny publish all;/g' \
        -e 's/(^|[[:space:];{#])weir_play[[:space:]][^;]*app=[^;]*;/\1deny all;/g' \
        -e 's/(^|[[:space:];{#])weir_play[[:space:]][^;]*;/\1deny play all;/g' \
        -e 's/(^|[[:space:];{#])weir_(api|stat)([[:space:]][^;]*)?;/\1return 503;/g' \
        -e 's/(^|[[:space:];{#])rtmp_auto_push[[:space:]]+on[[:space:]]*;/\1/g' \
        -e "s/(^|[[:space:];{#])weir_($others)[[:space:]][^;]*;/\\1/g" \
        "$file"
done
echo "closed what Weir protected; $kept has the files as they were. Next: nginx -t"
