#!/usr/bin/env bash
# webrtc-client.sh: the clients for WebRTC and WebSocket that the tests use, from PyPI into build/webrtc-client, as
# tests/webrtc/requirements.txt pins them. Does nothing, and needs no network, when they are there.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

pinned=$root_dir/tests/webrtc/requirements.txt
place=$root_dir/build/webrtc-client

cmp -s "$pinned" "$place/requirements.txt" && exit 0
rm -rf "$place"
mkdir -p "$root_dir/build"
python3 -m venv "$place"
"$place/bin/pip" --quiet --disable-pip-version-check install --only-binary :all: --no-deps -r "$pinned"
"$place/bin/python" -c "import aiortc, websockets"
# Last, so that what was interrupted is done again.
cp "$pinned" "$place/requirements.txt"
