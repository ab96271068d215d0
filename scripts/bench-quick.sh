#!/usr/bin/env bash
# bench-quick.sh COMMIT: compares the module of this folder with the module of an earlier commit, in one run.
#
# It builds both with the same settings into target/bench-quick, the earlier one from a git worktree there. A target that is slower by more
# than the noise gets the verdict SLOWER.
set -euo pipefail

base=${1:-}
if [ -z "$base" ] || ! commit=$(git rev-parse --verify --quiet "$base^{commit}"); then
	echo "bench-quick: \"$base\" is no commit: run \`make bench-quick BASE=COMMIT\`, for example BASE=HEAD~1" >&2
	exit 2
fi
root=$PWD
folder=$root/target/bench-quick
tree=$folder/tree

# The worktree of an earlier run belongs to another commit.
git worktree remove --force "$tree" 2>/dev/null || rm -rf "$tree"
git worktree prune
mkdir -p "$folder"
git worktree add --quiet --detach "$tree" "$commit"
trap 'git worktree remove --force "$tree"' EXIT
mkdir -p "$tree/build"
ln -sfn "$root/build/headers" "$tree/build/headers"

# build FOLDER NAME: builds the module of FOLDER as NAME.
build() {
	(cd "$1" && CARGO_TARGET_DIR="$folder/target" "${CARGO:-cargo}" build --release --locked -p weir-ngx-module)
	install -m 0644 "$folder/target/release/libngx_rtmp_weir_module.so" "$folder/$2"
}
build "$tree" base.so
build "$root" this.so
export WEIR_BASE_MODULE=$folder/base.so WEIR_MODULE=$folder/this.so
echo "base: $(git log -1 --format='%h %s' "$commit")"
"${CARGO:-cargo}" run --locked --release -p weir-tests --bin bench -- quick
