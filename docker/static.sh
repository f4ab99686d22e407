#!/bin/sh
# Runs a cargo command with the flags of the static, reproducible release build, such as
#
#     docker/static.sh cargo build --release --locked -p berth
#
# The image, `just build-static` and the test of reproducibility share them here.
set -eu

# With an explicit target, the flags do not reach build scripts and procedural macros, which cannot
# be static. The result is in target/<target>/release.
target=$(rustc -vV | sed -n 's/^host: //p')

# Where it was built must not be in the binary, or two builds of one commit differ.
RUSTFLAGS="-C target-feature=+crt-static \
--remap-path-prefix=$(pwd)=/src \
--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
export RUSTFLAGS

exec "$@" --target "$target"
