#!/usr/bin/env bash
# Builds the static binary of the current commit in two different folders, from nothing, and compares
# the two byte for byte.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Of different lengths, so that a path that gets into the binary also moves what follows it.
for folder in one another/place; do
    mkdir -p "$work/$folder"
    git clone --quiet . "$work/$folder/berth"
    (
        cd "$work/$folder/berth"
        unset CARGO_TARGET_DIR
        docker/static.sh cargo build --release --locked --quiet -p berth
        cp target/*/release/berth "$work/$folder/binary"
        rm -rf target
    )
done

sums=$(cd "$work" && sha256sum one/binary another/place/binary)
printf '%s\n' "$sums"
if cmp "$work/one/binary" "$work/another/place/binary"; then
    echo "1 passed, 0 failed"
else
    echo "the two binaries differ" >&2
    echo "0 passed, 1 failed"
    exit 1
fi
