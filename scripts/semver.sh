#!/usr/bin/env bash
# Compares the public items of the kit's crates with those of the last release: what breaks a user needs a version that
# says so. The last release is the newest tag vX.Y.Z before this commit; where there is none there is nothing to hold to.
set -euo pipefail
cd "$(dirname "$0")/.."

last=$(git describe --tags --abbrev=0 --match 'v[0-9]*.[0-9]*.[0-9]*' HEAD^ 2>/dev/null || true)
if [ -z "$last" ]; then
    echo "there is no release yet: NOT compared with anything"
    exit
fi
command -v cargo-semver-checks >/dev/null || cargo install --locked cargo-semver-checks@0.51.0
packages=()
for manifest in crates/kit/*/Cargo.toml; do
    # What is new since has nothing to be compared with.
    git cat-file -e "$last:$manifest" 2>/dev/null || continue
    packages+=(--package "$(sed -n 's/^name = "\(.*\)"/\1/p' "$manifest" | head -n 1)")
done
echo "compared with $last:"
cargo semver-checks --baseline-rev "$last" "${packages[@]}"
