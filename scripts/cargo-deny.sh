#!/usr/bin/env bash
# cargo-deny.sh: checks licences, banned crates and sources of all dependencies against deny.toml.
#
# Uses cargo-deny in PATH, or builds it once, which takes about three minutes; later runs take seconds.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# The newest version that the oldest supported Rust of this workspace can build.
deny=$(cargo_tool cargo-deny 0.18.9)

cd "$root_dir"
# Several versions of one crate cause only a warning, and this script prints only errors.
exec "$deny" --locked --log-level error check --hide-inclusion-graph licenses bans sources
