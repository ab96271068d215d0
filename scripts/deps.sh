#!/usr/bin/env bash
# deps.sh [build | deb | long | bench]: installs the Debian packages for the build, `make run` and the tests, and fetches nginx-rtmp's
# source. Needs neither root nor the network if everything is there.
#
#   deps.sh build    installs only what the build needs; nothing of it is loaded by an nginx
#   deps.sh deb      installs what the packages of `make deb` need
#   deps.sh long     adds what only `make test-long` needs
#   deps.sh bench    adds what only `make bench` needs
set -euo pipefail
. "$(dirname "$0")/lib.sh"

rust_wanted=$(sed -nE 's/^rust-version = "([^"]+)"/\1/p' "$root_dir/Cargo.toml")

build_packages=(
    # what the module is compiled against
    nginx-dev dpkg-dev
    # bindgen reads C headers with libclang, and some crates contain C
    gcc libc6-dev make libclang-dev ca-certificates
    # the history of `weir serve`
    libsqlite3-dev pkg-config
)
packages=(
    "${build_packages[@]}"
    # nginx itself, and the module beside Weir's
    nginx libnginx-mod-rtmp
    # the test stream, and the script behind `make run`
    ffmpeg fonts-dejavu-core curl
    # the tests: a browser, two machines with one address, network namespaces, an XML parser, promtool, wrong uses of memory
    chromium chromium-driver keepalived systemd iproute2 libxml2-utils prometheus valgrind strace
    # the tests: Python for the servers that receive recordings and pushed streams, PHP for a snippet of the docs
    python3-venv php-cli
    # the tests: TLS in front of a push target, and certificates for it
    libnginx-mod-stream openssl
    # the tests: encoders and players beside ffmpeg, and a library for tokens
    gstreamer1.0-tools gstreamer1.0-plugins-bad mpv rtmpdump python3-jwt
    # the tests: a camera that speaks RTSP
    gir1.2-gst-rtsp-server-1.0 python3-gi
    # the tests: the store that several origins share
    etcd-server
    # the tests: samples of a firewall and of the rotation of logs; a terminal for `weir init`
    nftables logrotate bsdutils
    # the tests: clocks that differ and jump
    faketime
    # make check: the scripts
    shellcheck
)

case ${1-} in
"") ;;
build) packages=("${build_packages[@]}") ;;
# debhelper comes with nginx-dev
deb) packages=("${build_packages[@]}" busybox xz-utils lintian mmdebstrap faketime rpm rpmlint python3-venv) ;;
# OBS Studio, and a virtual screen for it; a client and a server for certificates
long) packages+=(obs-studio xvfb certbot pebble) ;;
# the peer for TLS in front of nginx-rtmp, and a load of HTTP requests
bench) packages+=(stunnel4 wrk) ;;
*) die "usage: deps.sh [build | deb | long | bench]" ;;
esac

# True when PATH has a rustc that is new enough, and its cargo.
rust_is_new_enough() {
    local version
    command -v cargo >/dev/null || return 1
    version=$(rustc --version 2>/dev/null | cut -d' ' -f2) || return 1
    [ -n "$version" ] && dpkg --compare-versions "${version%%-*}" ge "$rust_wanted"
}

[ -r /etc/debian_version ] && command -v apt-get >/dev/null || die "this is no Debian: install the packages that $0 names by hand"

# Debian has a newer Rust for browsers besides its own older one.
if ! rust_is_new_enough; then
    packages+=(rustc-web cargo-web)
    [ "${1-}" = build ] || [ "${1-}" = deb ] || packages+=(rustfmt-web rust-web-clippy)
fi

missing=()
for package in "${packages[@]}"; do
    [ -n "$(installed_version "$package")" ] || missing+=("$package")
done

if [ ${#missing[@]} -gt 0 ]; then
    as_root=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || die "sudo is missing: as root, run: apt-get install ${missing[*]}"
        as_root=(sudo)
    fi
    # Building Weir must not add servers that start at boot, so this script stops the services that it installs.
    new_services=()
    for service in nginx prometheus keepalived; do
        [ -n "$(installed_version "$service")" ] || new_services+=("$service")
    done
    case " ${missing[*]} " in *" certbot "*) new_services+=(certbot.timer) ;; esac

    "${as_root[@]}" apt-get -q update
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install "${missing[@]}"

    if [ ${#new_services[@]} -gt 0 ] && [ -d /run/systemd/system ]; then
        "${as_root[@]}" systemctl --quiet disable --now "${new_services[@]}"
        echo "installed, but neither running nor starting at boot: ${new_services[*]} (systemctl enable --now nginx)"
    fi
fi

rust_is_new_enough || die "the rustc on PATH is older than $rust_wanted ($(command -v rustc || echo none found))"

exec "$root_dir/scripts/rtmp-source.sh"
