#!/usr/bin/env bash
# sanitized-nginx.sh DIR: builds the installed nginx and nginx-rtmp with AddressSanitizer and UndefinedBehaviorSanitizer.
#
#   DIR/nginx                 nginx of the installed upstream version
#   DIR/ngx_rtmp_module.so    nginx-rtmp of the installed upstream version
#
# Uses Debian's source package with its patches if the mirror has it. Otherwise it uses the original tarball with the headers of the package
# nginx-dev, so that all layouts match the installed nginx. Weir's module is the same as in the other tests. Quick if the packages have not
# changed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ $# -eq 1 ] || die "usage: sanitized-nginx.sh DIR"
for package in nginx nginx-dev libnginx-mod-rtmp dpkg-dev; do
    [ -n "$(installed_version "$package")" ] || die "the package $package is missing: run \`make deps\`"
done
rtmp=$(rtmp_tarball) || die "nginx-rtmp's source has not been fetched yet: run \`make deps\`"

mkdir -p "$1"
dir=$(cd "$1" && pwd)
exec 9>"$dir/lock"
flock 9
stamp="nginx $(installed_version nginx), libnginx-mod-rtmp $(installed_version libnginx-mod-rtmp), $(sha256sum <"$0")"
[ -f "$dir/stamp" ] && [ "$(cat "$dir/stamp")" = "$stamp" ] && exit 0
rm -rf "$dir/stamp" "$dir/src" "$dir/objs" "$dir/nginx-rtmp"

source=$(dpkg-query -W -f '${source:Package}=${source:Version}' nginx)
version=${source#*=}
downloads=$cache_dir/nginx/${version//[^A-Za-z0-9.+~-]/_}
dsc=("$downloads"/*.dsc)
if [ ! -f "${dsc[0]}" ]; then
    fetch_source "$source" "$downloads" 2>"$dir/log" || fetch_source "$source" "$downloads" --tar-only
    dsc=("$downloads"/*.dsc)
fi
if [ -f "${dsc[0]}" ]; then
    dpkg-source -x --no-check --no-copy "${dsc[0]}" "$dir/src" >"$dir/log" 2>&1 || { cat "$dir/log" >&2; die "$source cannot be unpacked"; }
else
    tarball=$(orig_tarball "$downloads") || die "the source of $source came without an original tarball"
    mkdir "$dir/src"
    tar -xf "$tarball" -C "$dir/src" --strip-components=1
    # Some of Debian's patches add fields to structures.
    cp -rL /usr/share/nginx/src/src/. "$dir/src/src/"
    echo "${0##*/}: the mirror lacks the source package of $source; nginx is built from $(basename "$tarball") without Debian's patches" >&2
fi
mkdir "$dir/nginx-rtmp"
tar -xf "$rtmp" -C "$dir/nginx-rtmp" --strip-components=1

# nginx does these things on purpose in many places: it reads bytes as words, adds 0 to null pointers, and copies 0 bytes from them.
# nginx-rtmp makes arrays of length 0, and puts nothing into them.
tolerated=alignment,pointer-overflow,nonnull-attribute,shift,vla-bound
sanitize="-fsanitize=address,undefined -fno-sanitize=$tolerated -fno-omit-frame-pointer"

# The layouts must match Debian's flags. NGX_DEBUG_PALLOC gives each object of a pool its own allocation, so the sanitizer sees its bounds.
# Debug logging changes no layout, but it has a sanitizer finding of its own, which occurs only with the debug log.
NGX_CONF_FLAGS=()
. /usr/share/nginx/src/conf_flags
flags=()
for flag in "${NGX_CONF_FLAGS[@]}"; do
    [ "$flag" = --with-debug ] || flags+=("$flag")
done

# Options of the sanitizers for every start. The first wrong access ends the process. nginx does not free all memory when it exits, and each
# of its modules has globals with the same names. Freed memory is not reused for a while, but the amount is limited so that the tests can
# still detect growth.
cat >"$dir/options.c" <<'END'
const char *__asan_default_options(void)
{
    return "detect_leaks=0:abort_on_error=1:disable_coredump=1:quarantine_size_mb=4:detect_odr_violation=0";
}

const char *__ubsan_default_options(void)
{
    return "print_stacktrace=1";
}
END
gcc -O1 -fPIC -c -o "$dir/options.o" "$dir/options.c"
(
    cd "$dir/src"
    ./configure "${flags[@]}" --builddir="$dir/objs" --add-dynamic-module="$dir/nginx-rtmp" \
        --with-cc-opt="-g -O1 -fPIC -Wno-error -DNGX_DEBUG_PALLOC=1 $sanitize" --with-ld-opt="-fPIC $sanitize $dir/options.o"
    make -j"$(nproc)"
) >"$dir/log" 2>&1 || { tail -n 20 "$dir/log" >&2; die "nginx could not be built, see $dir/log"; }

install -m 0755 "$dir/objs/nginx" "$dir/nginx"
install -m 0644 "$dir/objs/ngx_rtmp_module.so" "$dir/ngx_rtmp_module.so"
printf '%s\n' "$stamp" >"$dir/stamp"
