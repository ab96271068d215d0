#!/usr/bin/env bash
# container-test.sh WORK: runs the steps of packaging/Containerfile in chroots of Debian 12, where no container tool is at hand. Needs root.
#
# FROM makes a chroot, RUN a command in it, COPY copies; other instructions are for the container only. Two steps take what is here:
# `COPY . .` copies the products of `make build` too, and `make build-deps build` becomes `make build-deps`, since compiling takes long.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

[ $# -eq 1 ] || die "usage: container-test.sh WORK"
[ -n "${WEIR_CONTAINER_TEST-}" ] || WEIR_CONTAINER_TEST=1 exec unshare --mount "$0" "$@"
work=$(realpath -m "$1")
[ -x "$root_dir/build/weir" ] || die "nothing is built yet: run \`make build\`"
say() { printf '%s: %s\n' "${0##*/}" "$*"; }
stages=()
finish() {
    for stage in "${stages[@]}"; do umount "$stage/proc" 2>/dev/null || true; done
    rm -rf --one-file-system "$work"
}
rm -rf --one-file-system "$work"
mkdir -p "$work"
trap finish EXIT

inside() { chroot "$stage" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive sh -euc "cd '$folder' && $1"; }

folder=/ stage='' steps=0
# Joined lines, without comments.
while read -r instruction rest; do
    case $instruction in
    FROM)
        name=${rest##* AS }
        [ "${rest%% *}" = docker.io/library/debian:12 ] || die "FROM $rest: this script knows debian:12 only"
        [ "$name" != "$rest" ] || name=last
        stage=$work/$name folder=/
        "$root_dir/scripts/chroot.sh" bookworm "$stage"
        stages+=("$stage")
        mount -t proc proc "$stage/proc"
        cp -L /etc/resolv.conf "$stage/etc/resolv.conf"
        # As in an image: services do not start.
        printf '#!/bin/sh\nexit 101\n' >"$stage/usr/sbin/policy-rc.d"
        chmod 755 "$stage/usr/sbin/policy-rc.d"
        ;;
    WORKDIR)
        folder=$rest
        mkdir -p "$stage$folder"
        ;;
    COPY)
        case $rest in
        '. .') (cd "$root_dir" && tar --exclude=./target --exclude=./.git --exclude='./build/[!Twn]*' -cf - .) | tar -xf - -C "$stage$folder" ;;
        --from=*)
            from=${rest#--from=}
            read -r from what where <<<"$from"
            cp -a "$work/$from$what/." "$stage$where"
            ;;
        *) die "COPY $rest: this script does not know how" ;;
        esac
        ;;
    RUN)
        rest=${rest/make build-deps build/make build-deps}
        say "RUN $rest"
        inside "$rest" >"$work/log" 2>&1 || { tail -n 30 "$work/log" >&2; die "the step failed: RUN $rest"; }
        ;;
    STOPSIGNAL | EXPOSE | CMD) ;;
    *) die "$instruction: unknown to this script" ;;
    esac
    steps=$((steps + 1))
done < <(sed -e '/^#/d' -e '/^[[:space:]]*$/d' "$root_dir/packaging/Containerfile" | sed -e ':again' -e '/\\$/N; s/\\\n//; tagain')
inside 'nginx -t && weir --version && id weir && test -L /etc/nginx/modules-enabled/70-mod-rtmp-weir.conf' >"$work/log" 2>&1 ||
    { cat "$work/log" >&2; die "the image does not have what it should"; }
say "$steps steps of packaging/Containerfile, $(grep '^weir ' "$work/log"), nginx takes the module"
