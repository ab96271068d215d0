#!/usr/bin/env bash
# webrtc-client.sh: installs the WebRTC and WebSocket clients of the tests, from PyPI into build/webrtc-client.
# tests/webrtc/requirements.txt pins the versions. Does nothing, and needs no network, if they are there.
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
# This copy marks a complete installation. It comes last, so that the next run starts again after an interruption.
cp "$pinned" "$place/requirements.txt"
