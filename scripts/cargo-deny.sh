#!/usr/bin/env bash
# cargo-deny.sh: checks licences, banned crates and sources of all dependencies by deny.toml.
#
# Uses cargo-deny of PATH, or builds it once, which takes about three minutes; later runs take seconds.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# The newest version that the oldest Rust of this workspace builds.
deny=$(cargo_tool cargo-deny 0.18.9)

cd "$root_dir"
# Several versions of one crate are a warning, which deny.toml lists; only errors are printed.
exec "$deny" --locked --log-level error check --hide-inclusion-graph licenses bans sources
