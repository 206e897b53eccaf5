#!/bin/sh
# Runs every fuzz target for FUZZ_SECONDS seconds, 60 by default; with words, only the targets of these names.
# What is found stays in corpus/, what fails in artifacts/ with the command that repeats it.
set -eu
cd "$(dirname "$0")"
: "${FUZZ_SECONDS:=60}"
case $FUZZ_SECONDS in
'' | *[!0-9]* | 0)
    echo "FUZZ_SECONDS is '$FUZZ_SECONDS', not a number of seconds" >&2
    exit 2
    ;;
esac

command -v cargo-fuzz >/dev/null 2>&1 || cargo install cargo-fuzz --locked
if ! command -v c++ >/dev/null 2>&1; then
    echo "libFuzzer is C++: apt-get install g++" >&2
    exit 1
fi
# Sanitizer and coverage options are unstable; this makes the stable compiler take them as a nightly would.
export RUSTC_BOOTSTRAP=1

cargo run --quiet --locked --example seeds -- corpus
[ "$#" -gt 0 ] || set -- attr flow expect text
for target; do
    echo "fuzzing $target for $FUZZ_SECONDS seconds"
    # One input may take a second at most, and 4096 bytes are more than any message of one flow.
    cargo fuzz run --fuzz-dir . "$target" -- \
        -max_total_time="$FUZZ_SECONDS" -max_len=4096 -timeout=1 -print_final_stats=1 -verbosity=0
done
