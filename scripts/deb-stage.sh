# shellcheck shell=bash
# deb-stage.sh: what scripts/deb-life.sh and scripts/deb-upgrades.sh share. They source this file in the chroot of scripts/deb-test.sh: a
# running nginx with the live stream open/plain, and the steps of the README that protect a second stream. The configurations and commands
# of these steps are the blocks of the README itself (DEBS/README.md). This script takes no step that the README does not have.

work=$(mktemp -d)
chmod 755 "$work"
plain='' protected=''
finish() {
    status=$?
    kill $plain $protected 2>/dev/null || true
    # deb-upgrades.sh makes this folder, and no systemd runs.
    rm -rf /run/systemd/system
    service nginx stop >/dev/null 2>&1 || true
    [ "$status" = 0 ] || { tail -n 30 /var/log/nginx/error.log "$work"/*.log || true; }
    rm -rf "$work"
    exit "$status"
}
trap finish EXIT
say() { echo "$(basename "$0" .sh): $*"; }
fail() { say "$*"; exit 1; }

until_true() {
    local what=$1
    shift
    for _ in $(seq 300); do
        "$@" >"$work/last" 2>&1 && return 0
        sleep 0.1
    done
    cat "$work/last"
    fail "did not happen: $what"
}

apt_get() { apt-get -q -y --no-install-recommends "$@" >"$work/apt.log" 2>&1 || { cat "$work/apt.log"; fail "apt-get $* failed"; }; }
# To be run in the background.
picture() { exec ffmpeg -nostdin -loglevel error -re -f lavfi -i testsrc2=size=160x120:rate=10 -c:v libx264 -preset ultrafast -g 10 -f flv "$1"; }
# Prints the number of the newest segment of APP/NAME.
sequence() {
    local folder=/var/lib/hls/open
    case $1 in live/*) folder=/var/lib/weir-nginx/hls ;; esac
    sed -n 's/.*-\([0-9]*\)\.ts$/\1/p' "$folder/${1#*/}.m3u8" | tail -n 1
}
further_than() { [ "$(sequence "$1")" -gt "$2" ]; }
# on_air WHEN APP/NAME PUBLISHER: the same publisher still runs, and the playlist of its stream advances.
on_air() {
    kill -0 "$3" || fail "$1: the publisher of $2 has lost its connection"
    until_true "$1: the playlist of $2 advances" further_than "$2" "$(sequence "$2")"
}

# Starts nginx without Weir, and the stream open/plain.
open='application open { live on; hls on; hls_path /var/lib/hls/open; hls_fragment 1s; }'
serve_plain() {
    install -d -o www-data /var/lib/hls /var/lib/hls/open
    echo "rtmp { server { listen 1935; $open } }" >/etc/nginx/rtmp.conf
    echo 'include /etc/nginx/rtmp.conf;' >>/etc/nginx/nginx.conf
    service nginx start >/dev/null
    until_true 'nginx runs' test -s /run/nginx.pid
    # shellcheck disable=SC2034 # for the scripts that source this file
    master=$(cat /run/nginx.pid)
    picture rtmp://127.0.0.1/open/plain >"$work/plain.log" 2>&1 &
    plain=$!
    until_true 'there is a playlist' test -s /var/lib/hls/open/plain.m3u8
}

# readme HEADING LANGUAGE NUMBER: prints a block of the README. Lines of a console that begin with "$ " are commands.
# shellcheck disable=SC2154 # the scripts that source this file have set `debs`
readme() { "$debs/block.sh" "$debs/README.md" "$@"; }
sudo() { "$@"; }

# README, "Install": the command for the server.
install_as_readme() {
    local line
    line=$(readme Install sh 1 | grep apt-get) || fail 'the README has no apt-get in "Install"'
    (cd "$debs" && eval "$line") >"$work/apt.log" 2>&1 || { cat "$work/apt.log"; fail "the command of the README fails: $line"; }
}

# README, "Ten minutes to a protected stream", steps 1 to 6: protects the application live, publishes the stream live/show with a key, and
# plays it. The application open, which this nginx has already, stays.
ten='Ten minutes to a protected stream'
protect() {
    local url
    [ "$(readme "$ten" nginx count) $(readme "$ten" sh count) $(readme "$ten" console count)" = '2 2 3' ] ||
        fail "the README has other blocks in \"$ten\" than this script runs"
    readme "$ten" nginx 1 | sed "/listen 1935;/a $open" >/etc/nginx/rtmp.conf
    grep -q 'application open' /etc/nginx/rtmp.conf || fail 'the README no longer listens on port 1935'
    eval "$(readme "$ten" sh 1)"
    readme "$ten" nginx 2 >/etc/nginx/conf.d/weir.conf
    eval "$(readme "$ten" sh 2)" 2>"$work/reload.log" || { cat "$work/reload.log"; fail 'nginx refuses the configuration of the README'; }
    WEIR_API=http://127.0.0.1:8080/api
    until_true 'the API answers' curl -fsS "$WEIR_API/v1/health"
    key=$(eval "$(readme "$ten" console 1 | sed -n 's/^\$ //p')" | sed -n 's/^Stream key: //p')
    [ -n "$key" ] || fail 'there is no key'
    ! timeout 20 ffmpeg -nostdin -loglevel quiet -re -f lavfi -i testsrc2=size=160x120:rate=10 -t 2 -f flv rtmp://127.0.0.1/live/show || fail 'a publisher without a key was let in'
    picture "rtmp://127.0.0.1/live/$key" >/dev/null 2>&1 &
    protected=$!
    url=$(grep -oE 'http://stream\.example\.org:[0-9]+/[a-z/]+\.m3u8' "$debs/README.md" | head -n 1 | sed 's/stream\.example\.org/127.0.0.1/')
    until_true "a player shows $url" ffmpeg -nostdin -loglevel error -i "$url" -frames:v 1 -f null -
}

live() { eval "$(readme "$ten" console 2 | sed -n 's/^\$ //p')" | grep -q '^live *show '; }
