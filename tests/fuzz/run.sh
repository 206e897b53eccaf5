#!/bin/sh
# Runs each fuzz target for FUZZ_SECONDS (60); with arguments, only the targets of these names.
# A finding is written to tests/fuzz/artifacts and fails the run.
set -eu
cd "$(dirname "$0")"
../../scripts/setup.sh g++:g++
command -v cargo-fuzz >/dev/null 2>&1 || cargo install cargo-fuzz --locked

# Sanitizers and coverage are unstable options, but stable Rust is the same compiler and, on most platforms,
# comes with the run-time of AddressSanitizer: this variable makes it accept them.
export RUSTC_BOOTSTRAP=1
export CARGO_TARGET_DIR="$PWD/target"
host=$(rustc -vV | sed -n 's/^host: //p')
sanitizer=none
if ls "$(rustc --print sysroot)/lib/rustlib/$host"/lib/*.asan.* >/dev/null 2>&1; then
    sanitizer=address
fi

cargo run --quiet --release --example seeds -- target/seeds
mkdir -p target/seeds/config
cp ../../dist/zctd.conf ../fixtures/*.conf target/seeds/config
failed=
for target in ${*:-attr flow expect text peer digest sealed sealed_talk machine config control helpers nfqueue}; do
    echo "$target: ${FUZZ_SECONDS:-60} seconds, sanitizer $sanitizer"
    mkdir -p "corpus/$target" "target/seeds/$target"
    # 4 KiB is more than any message of the kernel; longer inputs only make each run slower.
    cargo fuzz run --fuzz-dir . --target "$host" --sanitizer "$sanitizer" "$target" \
        "corpus/$target" "target/seeds/$target" -- \
        -max_total_time="${FUZZ_SECONDS:-60}" -max_len=4096 -rss_limit_mb=1024 -timeout=10 \
        -print_final_stats=1 -verbosity=0 || failed="$failed $target"
done
if [ -n "$failed" ]; then
    echo "findings in:$failed (inputs under tests/fuzz/artifacts)" >&2
    exit 1
fi
