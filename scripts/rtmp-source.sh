#!/usr/bin/env bash
# Fetches the original tarball of the installed libnginx-mod-rtmp into the cache. Needs no root.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ -n "$(installed_version libnginx-mod-rtmp)" ] || die "the package libnginx-mod-rtmp is missing: run \`make deps\`"
rtmp_tarball >/dev/null && exit 0

source=$(dpkg-query -W -f '${source:Package}=${source:Version}' libnginx-mod-rtmp)
fetch_source "$source" "$(rtmp_tarball_dir)" --tar-only
rtmp_tarball >/dev/null || die "the source of $source came without an original tarball"
