#!/bin/sh
# Instructions per flow for every piece of work, counted by callgrind: the same on every run, whatever else
# the machine does. Shows the difference from the baseline; with --write, makes a new one.
# The counts belong to a compiler and a processor architecture: the baseline names both.
set -eu
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/sbin:/sbin"

scripts/setup.sh cc:gcc cc:libc6-dev valgrind:valgrind
cargo build --release --locked --quiet --package zct-perf --bin micro
micro=${CARGO_TARGET_DIR:-target}/release/micro
baseline=perf/callgrind-baseline.txt
out=$(mktemp) now=$(mktemp)
trap 'rm -f "$out" "$now"' EXIT

# Instructions of one run.
count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$micro" "$1" "$2" >"$out" 2>&1 || {
        cat "$out" >&2
        exit 1
    }
    sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$out"
}

{
    echo "# Instructions a flow, by perf/callgrind.sh. $(rustc --version | cut -d' ' -f1,2), $(uname -m)"
    for piece in $("$micro"); do
        few=$(count "$piece" 10)
        many=$(count "$piece" 30)
        flows=$(sed -n 's/^\([0-9]*\) flows a round.*/\1/p' "$out")
        [ -n "$few" ] && [ -n "$many" ] && [ -n "$flows" ] || {
            cat "$out" >&2
            exit 1
        }
        awk -v piece="$piece" -v few="$few" -v many="$many" -v flows="$flows" \
            'BEGIN { printf "%-22s %9.1f\n", piece, (many - few) / 20 / flows }'
    done
} >"$now"

if [ "${1:-}" = --write ]; then
    cp "$now" $baseline
    cat $baseline
    exit 0
fi
[ "$(head -1 $baseline)" = "$(head -1 "$now")" ] || {
    echo "the baseline is from elsewhere, so differences may mean nothing:"
    head -1 $baseline "$now" | grep '^#'
}
printf '%-22s %9s %9s %9s\n' "instructions a flow" baseline now change
awk '/^#/ { next }
    FNR == NR { was[$1] = $2; next }
    !($1 in was) { printf "%-22s %9s %9.1f       new\n", $1, "-", $2; next }
    { printf "%-22s %9.1f %9.1f %+8.1f%%\n", $1, was[$1], $2, 100 * ($2 / was[$1] - 1); delete was[$1] }
    END { for (piece in was) printf "%-22s %9.1f %9s      gone\n", piece, was[piece], "-" }' $baseline "$now"
