#!/usr/bin/env bash
# audience.sh HTTP_PORT: two viewers of live/test over Low-Latency HLS, and a person who writes in its chat, until SIGTERM. `make run` calls it.
#
# A WebSocket needs no program but bash: its handshake is text, and a client's frame with a mask of zeros is its text after six bytes.
set -euo pipefail
# Frames are bytes.
export LC_ALL=C

port=${1:?usage: audience.sh HTTP_PORT}
viewers=()
trap 'kill "${viewers[@]}" 2>/dev/null || true; exit 0' TERM INT HUP

# Prints a frame with a text of at most 125 bytes.
frame() { printf "\\x81\\x$(printf %02x $((128 + ${#1})))\\x00\\x00\\x00\\x00%s" "$1"; }

# Asks for the playlist again and again, as a player does.
watch() {
    local list=http://127.0.0.1:$port/tv/stream/live/test/llhls/index.m3u8
    while sleep 2; do
        curl --silent --noproxy '*' --max-time 5 --user-agent "viewer $1" "$list" >/dev/null || true
    done
}

for name in 1 2; do
    watch "$name" &
    viewers+=($!)
done

# The pages of `weir serve` answer a moment after nginx.
connect() {
    local status line
    exec 3<>"/dev/tcp/127.0.0.1/$port" || return 1
    printf 'GET /tv/v1/ws HTTP/1.1\r\nHost: 127.0.0.1:%s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: d2VpcmQgYXVkaWVuY2U4MA==\r\n\r\n' "$port" >&3
    read -r status <&3 || return 1
    [[ $status == *" 101 "* ]] || return 1
    while read -r line <&3 && [ "$line" != $'\r' ]; do :; done
}
# Joins the chat. At first, the daemon may not know yet who may watch the stream: it answers "unavailable". Each `}` ends a part of an answer.
join() {
    local part
    # The bytes after the mask are the text itself, because the mask is zero.
    frame '{"type":"join","app":"live","stream":"test","name":"Weir"}' >&3
    while IFS= read -r -d '}' -t 5 part <&3; do
        case $part in
        *'"chat.welcome"'*) return 0 ;;
        *'"error"'*)
            echo "the chat refuses: {${part#*\{}}"
            return 1
            ;;
        esac
    done
    return 1
}
tries=0
until connect && join; do
    tries=$((tries + 1))
    if [ "$tries" -ge 60 ]; then
        echo "nobody can join the chat" >&2
        wait
    fi
    sleep 1
done
frame '{"type":"chat","text":"Hello. This chat is on the watch page."}' >&3
cat <&3 >/dev/null &
viewers+=($!)
# Each answer to a ping keeps the connection. A pong that nobody has asked for counts, too.
while sleep 15; do printf '\x8a\x80\x00\x00\x00\x00' >&3; done
