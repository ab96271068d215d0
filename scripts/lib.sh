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
