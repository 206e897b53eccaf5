#!/bin/bash
# The unit tests on other machines, emulated: make test-targets.
#   tests/targets/run.sh [TARGET…]      Rust's names; without any: 64 and 32 bits, both byte orders
# qemu-user carries out an emulated program's system calls on this machine's kernel. It does not know
# NETLINK_NETFILTER and refuses such a socket, so no table is listed there: instead the messages that the tests build in
# the machine's own byte order are read and rendered, and zctd's protocol is replayed from the recorded exchanges
# with the original. The programs' names, help and checks of configurations run too.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${CARGO:=cargo}"
[ $# -gt 0 ] || set -- s390x-unknown-linux-gnu armv7-unknown-linux-gnueabihf aarch64-unknown-linux-gnu \
    riscv64gc-unknown-linux-gnu
export CARGO_PROFILE_DEV_DEBUG=0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# What needs the kernel of the emulated machine: BPF, netlink beyond routes, and calls that qemu-user lacks.
skip=$(sed -n 's/^\([^# ].*\)$/--skip \1/p' tests/targets/skipped.txt | tr '\n' ' ')
for target in "$@"; do
    cross() { scripts/cross.sh "$target" "$CARGO" "$@"; }
    # shellcheck disable=SC2086 # options
    if ! cross test --quiet --locked --target "$target" --package zct-wire --package zct-engine --package zct \
        --package zctd --lib --no-fail-fast -- $skip >"$work/log" 2>&1; then
        grep -E '^(test result|error|---- |thread|failures:|    )|panicked' "$work/log" | tail -60 >&2
        echo "$target: unit tests fail" >&2
        exit 1
    fi
    tests=$(sed -n 's/^test result: ok\. \([0-9]*\) passed.*/\1/p' "$work/log" | awk '{ n += $1 } END { print n + 0 }')
    cross run --quiet --locked --target "$target" --package zct --bin zct -- -V >"$work/out" 2>&1
    cross run --quiet --locked --target "$target" --package zctd --bin zctd -- --check -C dist/zctd.conf >>"$work/out" 2>&1
    grep -q '^zct v' "$work/out"
    echo "$target: $tests unit tests pass; zct and zctd run"
done
