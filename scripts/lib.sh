# shellcheck shell=bash
# Functions that the scripts share. Scripts source this file; it is not a program.

die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

root_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Prints the version of the workspace.
crate_version() { sed -nE 's/^version = "([^"]+)"/\1/p' "$root_dir/Cargo.toml" | head -n 1; }

# Downloads that outlive `make clean` and serve every checkout of this user.
cache_dir=${XDG_CACHE_HOME:-${HOME:-$root_dir/build}/.cache}/weir

# cargo_tool NAME VERSION: prints the path of a tool of cargo: the one in PATH, or else VERSION, which it builds once into the cache.
cargo_tool() (
    found=$(command -v "$1" || true)
    place=$cache_dir/tools/$1-$2
    if [ -z "$found" ] && [ ! -x "$place/bin/$1" ]; then
        mkdir -p "${place%/*}"
        exec 9>"$place.lock"
        flock 9
        if [ ! -x "$place/bin/$1" ]; then
            echo "${0##*/}: building $1 $2, once" >&2
            build=$(mktemp -d)
            trap 'rm -rf "$build"' EXIT
            # A quick build matters more than a fast tool. A profile in the environment is only for Weir's own crates.
            cd "$build" || exit 1
            env CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR="$build" "${CARGO:-cargo}" install --quiet --locked --debug --root "$place" \
                "$1@$2" >&2
        fi
    fi
    printf '%s' "${found:-$place/bin/$1}"
)

# Prints the version of an installed Debian package, or nothing.
installed_version() {
    dpkg-query -W -f '${db:Status-Status} ${Version}\n' "$1" 2>/dev/null | sed -n 's/^installed //p'
}

# Prints the version of the Debian package of nginx-rtmp to build for: the installed version or, on a machine that only builds, the version
# that apt would install. Prints nothing if there is neither.
rtmp_version() {
    local version
    version=$(installed_version libnginx-mod-rtmp)
    [ -n "$version" ] || version=$(LC_ALL=C apt-cache policy libnginx-mod-rtmp 2>/dev/null | sed -n 's/^  Candidate: //p' | grep -vx '(none)' || true)
    printf '%s' "${version%+b[0-9]*}"
}

# Prints the folder for the original tarball of that nginx-rtmp, which `make build-deps` fetches. Debian ships no headers of nginx-rtmp, and
# the module is compiled against its session structures, so the upstream version must match exactly.
rtmp_tarball_dir() {
    local version
    version=$(rtmp_version)
    [ -n "$version" ] || return 1
    printf '%s/nginx-rtmp/%s' "$cache_dir" "${version//[^A-Za-z0-9.+~-]/_}"
}

rtmp_tarball() {
    local dir
    dir=$(rtmp_tarball_dir) || return 1
    orig_tarball "$dir"
}

# The nginx-rtmp that a release's tarball brings along, if it is the one to build for, or if apt knows none.
bundled_rtmp() {
    local wanted
    [ -f "$root_dir/nginx-rtmp/ngx_rtmp.h" ] && [ -f "$root_dir/debian/nginx-rtmp.version" ] || return 1
    wanted=$(rtmp_version)
    wanted=${wanted#*:}
    [ -z "$wanted" ] || [ "${wanted%-*}" = "$(cat "$root_dir/debian/nginx-rtmp.version")" ] || return 1
    printf '%s' "$root_dir/nginx-rtmp"
}

# Prints the original tarball in DIR, if there is one.
orig_tarball() {
    local file
    for file in "$1"/*.orig.tar.*; do
        case $file in *.asc) continue ;; esac
        [ -f "$file" ] && printf '%s' "$file" && return 0
    done
    return 1
}

# fetch_source SOURCE[=VERSION] DIR [--tar-only [RELEASE]]: fetches the files of a Debian source package, or only its original tarball, to
# DIR. Without a version, it fetches the newest. RELEASE is another release of Debian than this machine's.
#
# A mirror often lacks the files of a version that is brand new or was superseded recently. The original tarball is the same for every
# Debian revision of an upstream version, so --tar-only takes it from any revision that the mirror has.
#
# apt checks the files against the signed index of the archive. It needs a deb-src entry for that, which few machines have, so this function
# makes a temporary entry from the machine's own sources. It changes nothing outside of a temporary folder and DIR.
fetch_source() (
    tmp=$(mktemp -d)
    trap 'rm -rf "$tmp"' EXIT
    mkdir -p "$tmp/parts" "$tmp/lists/partial" "$tmp/cache/archives/partial" "$tmp/download"

    # /etc/apt/sources.list and *.list have one source per line, *.sources are deb822.
    n=0 lists=(/etc/apt/sources.list /etc/apt/sources.list.d/*.list) deb822=(/etc/apt/sources.list.d/*.sources)
    if [ -n "${4-}" ]; then
        lists=("$tmp/release.list") deb822=()
        "$root_dir/scripts/chroot.sh" "$4" --sources >"$tmp/release.list"
    fi
    for file in "${lists[@]}"; do
        [ -s "$file" ] || continue
        n=$((n + 1))
        sed -nE 's/^[[:space:]]*deb[[:space:]]/deb-src /p' "$file" >"$tmp/parts/$n.list"
    done
    for file in "${deb822[@]}"; do
        [ -s "$file" ] || continue
        n=$((n + 1))
        sed -E 's/^Types:.*/Types: deb-src/' "$file" >"$tmp/parts/$n.sources"
    done
    [ "$n" -gt 0 ] || die "apt has no package sources to fetch the source of ${1%%=*} from"

    # apt's sandbox user could not write to the temporary folder. Without this option, apt prints a warning about that.
    apt_options=(
        -o "Dir::Etc::SourceList=/dev/null"
        -o "Dir::Etc::SourceParts=$tmp/parts"
        -o "Dir::State::Lists=$tmp/lists"
        -o "Dir::Cache=$tmp/cache"
        -o "APT::Sandbox::User=$(id -un)"
        -o "Acquire::Languages=none"
    )

    # A third-party repository without source packages makes `update` fail. The files that apt finds below decide.
    apt-get "${apt_options[@]}" -qq update >"$tmp/log" 2>&1 || true

    candidates=("$1")
    if [ "${3-}" = --tar-only ]; then
        name=${1%%=*} upstream=${1#*=}
        upstream=${upstream%-*}
        while read -r version; do
            [ "${version%-*}" != "$upstream" ] || [ "$name=$version" = "$1" ] || candidates+=("$name=$version")
        done < <(apt-cache "${apt_options[@]}" showsrc "$name" 2>/dev/null | sed -n 's/^Version: //p' | sort -urV)
    fi
    for candidate in "${candidates[@]}"; do
        if (cd "$tmp/download" && apt-get "${apt_options[@]}" -qq source --download-only ${3:+"$3"} "$candidate") >>"$tmp/log" 2>&1; then
            mkdir -p "$2"
            mv "$tmp"/download/* "$2/"
            exit 0
        fi
        rm -rf "${tmp:?}"/download/*
    done
    cat "$tmp/log" >&2
    die "apt could not fetch the source of $1"
)

# pinned_nginx: prints the folder with the source of the nginx that tests/other-nginx pins.
pinned_nginx() {
    local pin=$root_dir/tests/other-nginx/Cargo.toml manifest
    "${CARGO:-cargo}" fetch --quiet --locked --manifest-path "$pin" || return 1
    manifest=$("${CARGO:-cargo}" metadata --format-version 1 --locked --offline --manifest-path "$pin" |
        grep -o '"manifest_path":"[^"]*/nginx-src-[^"]*"' | cut -d'"' -f4)
    printf '%s/nginx' "${manifest%/*}"
}

# nginx_version SOURCE: prints the version of a source of nginx.
nginx_version() { sed -nE 's/^#define NGINX_VERSION +"([^"]+)"/\1/p' "$1/src/core/nginx.h"; }

# pack_folder TARBALL FOLDER: packs a folder. The same files give the same bytes, with SOURCE_DATE_EPOCH as their time.
pack_folder() {
    tar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=go=rX,u+rw,a-s \
        -C "$(dirname "$2")" -cf - "$(basename "$2")" | xz -T1 -3 >"$1"
}

# readable_of LOCK: prints the folder with the readable form of vendored browser code.
readable_of() {
    local first
    first=$(sed -n 's/^files \([^ ]*\).*/\1/p' "$1")
    printf '%s/debian/missing-sources/%s' "$root_dir" "${first##*/}"
}

# sum_of_folder DIR: prints one checksum of the names and bytes of all files in DIR.
sum_of_folder() (
    cd "$1" && LC_ALL=C find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
)
