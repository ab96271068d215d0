#!/usr/bin/env bash
# cargo-deny.sh: checks licences, banned crates and sources of all dependencies by deny.toml.
#
# Uses cargo-deny of PATH. Without it, builds the version below once into the cache, which takes about three minutes; later runs take
# seconds. The cache outlives `make clean` and serves every checkout of this user.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

# The newest version that the oldest Rust of this workspace builds.
version=0.18.9
cargo=${CARGO:-cargo}

deny=$(command -v cargo-deny || true)
if [ -z "$deny" ]; then
    place=$cache_dir/tools/cargo-deny-$version
    deny=$place/bin/cargo-deny
    if [ ! -x "$deny" ]; then
        mkdir -p "${place%/*}"
        exec 9>"$place.lock"
        flock 9
        if [ ! -x "$deny" ]; then
            echo "${0##*/}: building cargo-deny $version, once" >&2
            build=$(mktemp -d)
            trap 'rm -rf "$build"' EXIT
            # Quick to build matters more than quick to run. A profile of the environment is for Weir's own crates.
            (
                cd "$build"
                env CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR="$build" "$cargo" install --quiet --locked --debug --root "$place" \
                    "cargo-deny@$version"
            )
        fi
    fi
fi

cd "$root_dir"
# Several versions of one crate are a warning, which deny.toml lists; only errors are printed.
exec "$deny" --locked --log-level error check --hide-inclusion-graph licenses bans sources
