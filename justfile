# List the recipes.
default:
    @just --list --unsorted

# Serve on port 8080, or on $PORT.
run *args:
    cargo run -- {{ args }}

# Run every test that needs nothing but Rust.
test *args:
    cargo test --workspace {{ args }}

# Have Prometheus' own promtool judge the exposition (Debian: apt-get install prometheus).
test-promtool:
    cargo test -p berth --test it promtool -- --ignored

# Run the tests of the process against the static release binary.
test-static: build-static
    BERTH_BIN="$PWD/target/berth" cargo test -p berth --test it

# Format the code.
fmt:
    cargo fmt --all

# Clippy and rustdoc, with warnings as errors, and the formatting.
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --locked

# Build target/berth: one static, stripped file that needs nothing of the system it runs on.
build-static:
    #!/usr/bin/env bash
    set -euo pipefail
    # With an explicit target, the flag does not reach build scripts and procedural macros, which
    # cannot be static.
    target=$(rustc -vV | sed -n 's/^host: //p')
    RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked -p berth --target "$target"
    cp "target/$target/release/berth" target/berth
    # ldd ends with an error on a file that is not dynamic, which is what we want to hear.
    linkage=$(ldd target/berth 2>&1 || true)
    case $linkage in
        *"statically linked"* | *"not a dynamic executable"*) ;;
        *) echo "target/berth is not static: $linkage" >&2; exit 1 ;;
    esac
    echo "target/berth: $(stat -c %s target/berth) bytes, statically linked"

# Everything that CI checks.
check:
    .ci/run
