#!/usr/bin/env bash
# run.sh: runs the whole product on loopback, in one folder, until Ctrl-C. `make run` calls it after `make build`.
#
# It reads from the environment: RTMP_PORT, HTTP_PORT, PREFIX (the folder), TEST_STREAM (0 leaves the key to your own encoder, and simulates
# nobody), and the variables of render-single-node.sh. WEIR_NGINX and WEIR_BIN name programs other than the installed nginx and the built
# weir. nginx and its workers run as the user who runs this script.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

rtmp_port=${RTMP_PORT:-1935}
http_port=${HTTP_PORT:-8080}
prefix=${PREFIX:-.run}
test_stream=${TEST_STREAM:-1}
# Port of the pages of `weir serve`, behind nginx: WEB_PORT, or the first free port from 8090 on.
web_port=${WEB_PORT:-}
for port in {8090..8189}; do
    [ -z "$web_port" ] || break
    [ -n "$(ss -Hltn "sport = :$port")" ] || web_port=$port
done
export WEB_PORT=$web_port
# Port of WebRTC (UDP and TCP): WEBRTC_PORT, or the first free port from 99 above WEB_PORT on, so that runs that start together differ.
webrtc_port=${WEBRTC_PORT:-}
first=$((web_port < 65300 ? web_port + 99 : web_port - 299))
for port in $(seq "$first" $((first + 99))); do
    [ -z "$webrtc_port" ] || break
    [ -n "$(ss -Hltun "sport = :$port")" ] || webrtc_port=$port
done
weir=${WEIR_BIN:-$root_dir/build/weir}
api=http://127.0.0.1:$http_port/api

# All connections are on loopback, so they need no proxy.
export NO_PROXY=127.0.0.1 no_proxy=127.0.0.1 WEIR_API=$api

# Each part leads a process group of its own, so that Ctrl-C reaches only this script, and the parts end in order.
nginx_pid=
daemon_pid=
stream_pid=
audience_pid=
sockets=

running() { [ -n "$1" ] && kill -0 "$1" 2>/dev/null; }

stop() {
    local pid=$1 tries=100
    [ -n "$pid" ] || return 0
    kill -TERM "$pid" 2>/dev/null || true
    while running "$pid" && [ $((tries--)) -gt 0 ]; do sleep 0.1; done
    # The rest of the group has had ten seconds to end.
    kill -KILL -- "-$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
}

stop_all() {
    trap '' INT TERM HUP
    stop "$audience_pid"
    stop "$stream_pid"
    stop "$daemon_pid"
    stop "$nginx_pid"
    [ -z "$sockets" ] || rm -rf "$sockets"
}

check_port() {
    local variable=$1 port=$2
    [[ $port =~ ^[1-9][0-9]{0,4}$ && $port -le 65535 ]] || die "$variable=$port is no port"
    [ -z "$(ss -Hltn "sport = :$port" | awk '$4 ~ /^(127\.0\.0\.1|0\.0\.0\.0|\*|\[::\]):/')" ] ||
        die "port $port is taken: choose another one with $variable="
}

start_nginx() {
    "$root_dir/scripts/render-single-node.sh" "$prefix" "$rtmp_port" "$http_port" >"$prefix/conf/nginx.conf"
    setsid "${WEIR_NGINX:-nginx}" -p "$prefix" -c "$prefix/conf/nginx.conf" -e "$prefix/logs/error.log" -g 'daemon off;' 9>&- &
    nginx_pid=$!
    local tries=100
    until curl --silent --fail --noproxy '*' --max-time 2 --output /dev/null "$api/v1/health"; do
        running "$nginx_pid" || die "nginx did not start, see $prefix/logs/error.log"
        [ $((tries--)) -gt 0 ] || die "the API did not answer within 10 seconds, see $prefix/logs/error.log"
        sleep 0.1
    done
}

# Starts the daemon with its sample configuration, with other folders and ports. Its socket is in a folder of its own, because the path of a
# socket must be short.
start_daemon() {
    sockets=$(mktemp -d "${TMPDIR:-/tmp}/weir-XXXXXXXX")
    sed -e "s|^api = .*|api = \"$api\"|" \
        -e "s|^rtmp = .*|rtmp = \"rtmp://127.0.0.1:$rtmp_port\"|" \
        -e "/^\[daemon\]/,/^listen/s|^listen = .*|listen = \"off\"|" \
        -e "/^\[nginx\]/,/^\[daemon\]/s|^# secret_file = .*|secret_file = \"$prefix/weir.secret\"|" \
        -e "/^\[web\]/,/^\[/s|^#url = .*|url = \"http://127.0.0.1:$http_port/tv\"|" \
        -e "/^\[web\]/,/^listen/s|^listen = .*|listen = \"127.0.0.1:$web_port\"|" \
        -e "s|^#socket = .*|socket = \"$sockets/weir.sock\"|" \
        -e "s|^#log = .*|log = \"text\"|" \
        -e "s|^#admins_file = .*|admins_file = \"$prefix/admins\"|" \
        -e "s|/var/lib/weir/|$prefix/|" \
        "$root_dir/nginx-conf/weir.toml" >"$prefix/conf/weir.toml"
    # The daemon also records the live streams, and keeps the last hour.
    cat >>"$prefix/conf/weir.toml" <<TOML

[chat]
enabled = true
file = "$prefix/chat.db"

[history]
file = "$prefix/history.db"

[webrtc]
listen = "127.0.0.1:$webrtc_port"

[[record]]
app = "live"
stream = "*"
folder = "$prefix/recordings"
split = "10m"
keep = "1h"
TOML
    setsid "$weir" serve --config "$prefix/conf/weir.toml" >"$prefix/logs/weir.log" 2>&1 9>&- &
    daemon_pid=$!
    local tries=100
    until [ -S "$sockets/weir.sock" ]; do
        running "$daemon_pid" || die "weir serve did not start: $(tail -n 1 "$prefix/logs/weir.log")"
        [ $((tries--)) -gt 0 ] || die "weir serve was not ready within 10 seconds, see $prefix/logs/weir.log"
        sleep 0.1
    done
}

# Uses the key of an earlier run in this folder if the state still has it, or else makes a new key.
make_key() {
    local id answer
    id=$(cat "$prefix/stream.id" 2>/dev/null || true)
    if [ -n "$id" ] && [ -s "$prefix/stream.key" ]; then
        answer=$("$weir" key list --app live --json)
        [[ $answer != *"\"$id\""* ]] || return 0
    fi
    answer=$("$weir" key add live test --note 'make run' --json)
    json_string id "$answer" >"$prefix/stream.id"
    json_string key "$answer" >"$prefix/stream.key"
    [ -s "$prefix/stream.key" ] || die "weir key add printed no key"
}

json_string() { grep -o "\"$1\": *\"[^\"]*\"" <<<"$2" | head -n 1 | cut -d'"' -f4; }

start_test_stream() {
    # A page that is still open must not find files of an earlier run.
    rm -f "$prefix"/{hls,dash}/test[.-]*
    setsid "$weir" test-stream --key-file "$prefix/stream.key" --name test "rtmp://127.0.0.1:$rtmp_port/live" \
        >"$prefix/logs/test-stream.log" 2>&1 9>&- &
    stream_pid=$!
}

# Two viewers and a line in the chat, so that no page of the test stream is empty. They have no part in what this script reports.
start_audience() {
    setsid "$root_dir/scripts/audience.sh" "$http_port" >"$prefix/logs/audience.log" 2>&1 9>&- &
    audience_pid=$!
}

[ -x "$weir" ] && [ -f "${WEIR_MODULE:-$root_dir/build/ngx_rtmp_weir_module.so}" ] || die "nothing is built yet: run \`make build\`"
check_port RTMP_PORT "$rtmp_port"
check_port HTTP_PORT "$http_port"
check_port WEB_PORT "$web_port"

umask 077
mkdir -p "$prefix"
prefix=$(cd "$prefix" && pwd)
mkdir -p "$prefix"/{conf,logs,hls,dash,media,state,temp}
exec 9>"$prefix/lock"
flock -n 9 || die "another run uses the folder $prefix: choose another one with PREFIX="

trap stop_all EXIT
trap 'exit 0' INT TERM HUP

# `weir link` needs it, although no application asks for tokens.
[ -f "$prefix/weir.secret" ] || "$weir" secret new "$prefix/weir.secret"
start_nginx
make_key
start_daemon
if [ "$test_stream" != 0 ]; then
    start_test_stream
    start_audience
fi
# With an account, the admin logs in. A new folder has no account and needs a setup link.
dashboard=http://127.0.0.1:$http_port/tv/admin/
if [[ $("$weir" admin list --config "$prefix/conf/weir.toml" --json) = '{"accounts":[]}' ]]; then
    dashboard=$("$weir" admin setup-link --ttl 1d --url "http://127.0.0.1:$http_port/tv" --config "$prefix/conf/weir.toml" 2>/dev/null)
fi

cat <<TEXT

  Page        http://127.0.0.1:$http_port/?stream=test
  Dashboard   $dashboard
  Watch       http://127.0.0.1:$http_port/tv/watch/live/test (half a second of delay)
  HLS         http://127.0.0.1:$http_port/ladder/live/test/master.m3u8
  Statistics  http://127.0.0.1:$http_port/stat
  API         $api
  Recordings  $prefix/recordings (the last hour)
  WHIP        http://127.0.0.1:$http_port/tv/stream/live/test/whip (the stream key is the bearer token)
  Live        ${weir#"$root_dir/"} top --api $api
  Link        ${weir#"$root_dir/"} link live test --api $api --config $prefix/conf/weir.toml
  Jobs        ${weir#"$root_dir/"} job list --socket $sockets/weir.sock

  Server      rtmp://127.0.0.1:$rtmp_port/live
  Stream Key  $(cat "$prefix/stream.key")

TEXT
if [ -n "$stream_pid" ]; then
    echo "The test stream is using this key. This script also simulates two viewers, and \"Weir\" in the chat."
    echo "TEST_STREAM=0 leaves the key to your encoder, and simulates nobody. Ctrl-C stops everything."
else
    echo "Ctrl-C stops everything."
fi

wait -n "$nginx_pid" "$daemon_pid" ${stream_pid:+"$stream_pid"} || true
running "$nginx_pid" || die "nginx has ended, see $prefix/logs/error.log"
running "$daemon_pid" || die "weir serve has ended, see $prefix/logs/weir.log"
tail -n 5 "$prefix/logs/test-stream.log" >&2
die "the test stream has ended, see $prefix/logs/test-stream.log"
