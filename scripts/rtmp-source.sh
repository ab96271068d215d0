#!/usr/bin/env bash
# rtmp-source.sh [--tarball]: fetches the original tarball of Debian's libnginx-mod-rtmp into the cache: of the installed version, or of the
# one that apt would install. Needs no root. Does nothing when the tarball is there. Without --tarball it also does nothing in the unpacked
# tarball of a release, which has that source.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

version=$(rtmp_version)
[ -n "$version" ] || die "apt knows no package libnginx-mod-rtmp: run \`apt-get update\`"
[ "${1-}" = --tarball ] || ! bundled_rtmp >/dev/null || exit 0
rtmp_tarball >/dev/null && exit 0

source=$(apt-cache show "libnginx-mod-rtmp=$version" 2>/dev/null | sed -n 's/^Source: \([^ ]*\).*/\1/p' | head -n 1)
fetch_source "${source:-libnginx-mod-rtmp}=$version" "$(rtmp_tarball_dir)" --tar-only
rtmp_tarball >/dev/null || die "the source of libnginx-mod-rtmp $version came without an original tarball"
