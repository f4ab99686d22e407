#!/usr/bin/env bash
# Runs every fuzz target for SECONDS each, two at a time: `crates/fuzz/run.sh [SECONDS]`, 15 if not
# said. Ends with an error if an input breaks a property, and says how to see it again.
#
# Sanitizers are off: they need a nightly toolchain, and find what the code cannot have, since it
# forbids `unsafe`. Coverage guides the fuzzer on stable, too.
set -euo pipefail
cd "$(dirname "$0")"

seconds=${1:-15}
[[ $seconds =~ ^[1-9][0-9]*$ ]] || { echo "usage: $0 [SECONDS]" >&2; exit 2; }

mkdir -p target
scratch=$(mktemp -d "$PWD/target/run.XXXXXX")
trap 'rm -rf "$scratch"' EXIT

skip() {
    echo "fuzz: SKIPPED: $*"
    exit 0
}

# Not every build of rustc has the LLVM pass, and one that takes the flag may still do nothing.
can_instrument() {
    echo 'fn main() {}' | rustc --edition 2024 --emit obj -o "$scratch/probe.o" \
        -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table - &&
        grep -q __sanitizer_cov_8bit_counters_init "$scratch/probe.o"
}
can_instrument >"$scratch/probe" 2>&1 ||
    skip "$(rustc --version) cannot instrument for coverage: $(grep -m 1 . "$scratch/probe" || echo "nothing was counted")"
[ -n "${CXX:-}" ] || command -v c++ >/dev/null ||
    skip "the fuzzer's engine needs a C++ compiler (Debian: apt-get install g++)"

# It only starts what others build, so how fast it is itself does not matter.
cargo fuzz --version >/dev/null 2>&1 || cargo install --quiet --locked --debug cargo-fuzz
# cargo fuzz has no --locked, and would write a lock file that fell behind anew.
cargo metadata --locked --format-version 1 >/dev/null
cargo fuzz build --fuzz-dir . -s none

run() { # run TARGET
    local target=$1 log="target/$1.log" status=0 runs cov input
    mkdir -p "corpus/$target" "$scratch/$target"
    TMPDIR="$scratch/$target" cargo fuzz run --fuzz-dir . -s none "$target" \
        "corpus/$target" "seeds/$target" -- \
        -max_total_time="$seconds" -timeout=10 -print_final_stats=1 >"$log" 2>&1 || status=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    cov=$(sed -n 's/^#.* cov: \([0-9]*\) .*/\1/p' "$log")
    if [ "$status" -eq 0 ]; then
        printf '%-22s %9d runs  %7d/s  coverage %5d, %5d at first  %3d s\n' "$target" \
            "$runs" $((runs / seconds)) "${cov##*$'\n'}" "${cov%%$'\n'*}" "$seconds"
        return
    fi
    input=$(sed -n "s|.*Test unit written to .*/\(artifacts/$target/.*\)|\1|p" "$log" | head -1)
    {
        echo "$target: FAILED"
        if [ -n "$input" ]; then
            grep -m 1 -A 3 -E 'panicked at|ERROR: ' "$log" || true
            echo "  input:    crates/fuzz/$input"
            echo "  again:    cargo fuzz run --fuzz-dir crates/fuzz -s none $target crates/fuzz/$input"
            echo "  smaller:  cargo fuzz tmin --fuzz-dir crates/fuzz -s none $target crates/fuzz/$input"
        else
            tail -n 20 "$log"
        fi
        echo "  the log:  crates/fuzz/$log"
    } >&2
    return 1
}

lane() { # lane TARGET...: one after the other, all of them even if one fails
    local target status=0
    for target; do
        run "$target" || status=1
    done
    return "$status"
}

mapfile -t targets < <(cargo fuzz list --fuzz-dir .)
[ "${#targets[@]}" -gt 0 ] || { echo "fuzz: there are no targets" >&2; exit 1; }
first=() second=()
for target in "${targets[@]}"; do
    if [ "${#first[@]}" -le "${#second[@]}" ]; then first+=("$target"); else second+=("$target"); fi
done
failed=0
lane "${first[@]}" &
lane_pid=$!
lane "${second[@]}" || failed=1
wait "$lane_pid" || failed=1
exit "$failed"
