#!/usr/bin/env bash
# Fetches the original tarball of the installed libnginx-mod-rtmp into the cache. Needs no root.
#
# apt checks the tarball against the signed index of the archive. It needs a deb-src entry for that, which few machines
# have, so it gets a temporary one made of the machine's own sources; nothing outside a temporary folder is changed.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ -n "$(installed_version libnginx-mod-rtmp)" ] || die "the package libnginx-mod-rtmp is missing: run \`make deps\`"
rtmp_tarball >/dev/null && exit 0

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
[ "$n" -gt 0 ] || die "apt has no package sources to fetch nginx-rtmp's source from"

# The sandbox user could not write to the temporary folder; without its own name apt only prints a warning about that.
apt_options=(
    -o "Dir::Etc::SourceList=/dev/null"
    -o "Dir::Etc::SourceParts=$tmp/parts"
    -o "Dir::State::Lists=$tmp/lists"
    -o "Dir::Cache=$tmp/cache"
    -o "APT::Sandbox::User=$(id -un)"
    -o "Acquire::Languages=none"
)
source=$(dpkg-query -W -f '${source:Package}=${source:Version}' libnginx-mod-rtmp)

# A third party's source without source packages makes `update` fail; what counts is whether the tarball comes.
apt-get "${apt_options[@]}" -qq update >"$tmp/log" 2>&1 || true
if ! (cd "$tmp/download" && apt-get "${apt_options[@]}" -qq source --tar-only --download-only "$source") >>"$tmp/log" 2>&1; then
    cat "$tmp/log" >&2
    die "apt could not fetch the source of $source"
fi

mkdir -p "$(rtmp_tarball_dir)"
mv "$tmp"/download/*.orig.tar.* "$(rtmp_tarball_dir)/"
rtmp_tarball >/dev/null || die "the source of $source came without an original tarball"
