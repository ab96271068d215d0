#!/usr/bin/env bash
# s3-server.sh: installs the server that the tests upload recordings to, from PyPI into build/s3-server. tests/s3/requirements.txt pins the
# version. Does nothing, and needs no network, if it is there.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

pinned=$root_dir/tests/s3/requirements.txt
place=$root_dir/build/s3-server

cmp -s "$pinned" "$place/requirements.txt" && exit 0
rm -rf "$place"
mkdir -p "$root_dir/build"
python3 -m venv "$place"
"$place/bin/pip" --quiet --disable-pip-version-check install --only-binary :all: --no-deps -r "$pinned"
"$place/bin/moto_server" --help >/dev/null
# This copy marks a complete installation. It comes last, so that the next run starts again after an interruption.
cp "$pinned" "$place/requirements.txt"
