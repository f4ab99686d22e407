#!/usr/bin/env bash
# Builds the static binary of the current commit in two different folders, from nothing, each with a
# CARGO_HOME of its own, and compares the two byte for byte.
#
#     docker/test-reproducible.sh [BINARY]
#
# With BINARY, which somebody has built from this commit already, that is the first of the two.
set -euo pipefail
cd "$(dirname "$0")/.."

first=${1:+$(realpath "$1")}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cargo_home=${CARGO_HOME:-$HOME/.cargo}
mkdir -p "$cargo_home/registry"

# Of different lengths, so that a path that gets into the binary also moves what follows it; and with
# a space, which no build may stumble over.
for folder in one "another place"; do
    mkdir -p "$work/$folder/cargo"
    if [ "$folder" = one ] && [ -n "$first" ]; then
        cp "$first" "$work/one/binary"
        continue
    fi
    # Another path to the same downloads and settings.
    for part in registry config.toml; do
        [ ! -e "$cargo_home/$part" ] || ln -s "$cargo_home/$part" "$work/$folder/cargo/$part"
    done
    git clone --quiet . "$work/$folder/berth"
    (
        cd "$work/$folder/berth"
        unset CARGO_TARGET_DIR
        export CARGO_HOME="$work/$folder/cargo"
        export XDG_CACHE_HOME="$work/cache"
        docker/static.sh cargo build --release --locked --quiet -p berth
        cp target/*/release/berth "$work/$folder/binary"
        rm -rf target
    )
done

sums=$(cd "$work" && sha256sum one/binary "another place/binary")
printf '%s\n' "$sums"
if cmp "$work/one/binary" "$work/another place/binary"; then
    echo "1 passed, 0 failed"
else
    echo "the two binaries differ" >&2
    echo "0 passed, 1 failed"
    exit 1
fi
