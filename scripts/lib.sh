# shellcheck shell=bash
# What the scripts share; sourced, never run.

die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

root_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Downloads that outlive `make clean` and serve every checkout of this user.
cache_dir=${XDG_CACHE_HOME:-${HOME:-$root_dir/build}/.cache}/weir

# The version of an installed Debian package, or nothing.
installed_version() {
    dpkg-query -W -f '${db:Status-Status} ${Version}\n' "$1" 2>/dev/null | sed -n 's/^installed //p'
}

# Where the original tarball of the installed nginx-rtmp lies once `make deps` has fetched it. Debian ships no headers
# of nginx-rtmp, and its session structures are what the module is compiled against: the version has to be exact.
rtmp_tarball_dir() {
    local version
    version=$(dpkg-query -W -f '${source:Version}' libnginx-mod-rtmp)
    printf '%s/nginx-rtmp/%s' "$cache_dir" "${version//[^A-Za-z0-9.+~-]/_}"
}

rtmp_tarball() {
    local file
    for file in "$(rtmp_tarball_dir)"/*.orig.tar.*; do
        case $file in *.asc) continue ;; esac
        [ -f "$file" ] && printf '%s' "$file" && return 0
    done
    return 1
}

# fetch_source SOURCE=VERSION DIR [--tar-only]: the files of a Debian source package, or only its original tarball, to DIR.
#
# apt checks them against the signed index of the archive. It needs a deb-src entry for that, which few machines have, so it
# gets a temporary one made of the machine's own sources; nothing outside a temporary folder and DIR is changed.
fetch_source() (
    tmp=$(mktemp -d)
    trap 'rm -rf "$tmp"' EXIT
    mkdir -p "$tmp/parts" "$tmp/lists/partial" "$tmp/cache/archives/partial" "$tmp/download"

    # /etc/apt/sources.list and *.list are one line a source, *.sources are deb822.
    n=0
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [ -s "$file" ] || continue
        n=$((n + 1))
        sed -nE 's/^[[:space:]]*deb[[:space:]]/deb-src /p' "$file" >"$tmp/parts/$n.list"
    done
    for file in /etc/apt/sources.list.d/*.sources; do
        [ -s "$file" ] || continue
        n=$((n + 1))
        sed -E 's/^Types:.*/Types: deb-src/' "$file" >"$tmp/parts/$n.sources"
    done
    [ "$n" -gt 0 ] || die "apt has no package sources to fetch the source of ${1%%=*} from"

    # The sandbox user could not write to the temporary folder; without its own name apt only prints a warning about that.
    apt_options=(
        -o "Dir::Etc::SourceList=/dev/null"
        -o "Dir::Etc::SourceParts=$tmp/parts"
        -o "Dir::State::Lists=$tmp/lists"
        -o "Dir::Cache=$tmp/cache"
        -o "APT::Sandbox::User=$(id -un)"
        -o "Acquire::Languages=none"
    )

    # A third party's source without source packages makes `update` fail; what counts is whether the files come.
    apt-get "${apt_options[@]}" -qq update >"$tmp/log" 2>&1 || true
    if ! (cd "$tmp/download" && apt-get "${apt_options[@]}" -qq source --download-only ${3:+"$3"} "$1") >>"$tmp/log" 2>&1; then
        cat "$tmp/log" >&2
        die "apt could not fetch the source of $1"
    fi

    mkdir -p "$2"
    mv "$tmp"/download/* "$2/"
)
