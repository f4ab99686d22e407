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

# Where it was built must not be in the binary, or two builds of one commit differ. Encoded, which
# comes before RUSTFLAGS and splits at a control character, because a folder's name may have a space.
separator=$(printf '\037')
sysroot=$(rustc --print sysroot)
CARGO_ENCODED_RUSTFLAGS="-Ctarget-feature=+crt-static\
${separator}--remap-path-prefix=${sysroot}=/rust\
${separator}--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo\
${separator}--remap-path-prefix=$(pwd)=/src"
export CARGO_ENCODED_RUSTFLAGS

# The configure script of jemalloc refuses a folder with a space; what is built on the way then lies elsewhere.
case $(pwd) in
*[[:space:]]*)
    : "${CARGO_BUILD_BUILD_DIR:=${XDG_CACHE_HOME:-$HOME/.cache}/berth-build/$(pwd | cksum | cut -d ' ' -f 1)}"
    export CARGO_BUILD_BUILD_DIR
    CARGO_ENCODED_RUSTFLAGS="${CARGO_ENCODED_RUSTFLAGS}${separator}--remap-path-prefix=${CARGO_BUILD_BUILD_DIR}=/src/target"
    ;;
esac

# The allocator gives memory back after a fifth of a second; no huge pages, wherever the system gives them to all.
JEMALLOC_SYS_WITH_MALLOC_CONF=background_thread:true,dirty_decay_ms:200,muzzy_decay_ms:0,narenas:2,tcache_max:4096,thp:never
export JEMALLOC_SYS_WITH_MALLOC_CONF

exec "$@" --target "$target"
