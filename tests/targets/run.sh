#!/bin/bash
# The unit tests on other machines, emulated, as root: make test-targets.
#   tests/targets/run.sh [TARGET…]      Rust's names; without any s390x, whose byte order is the other one
# qemu-user carries out an emulated program's system calls on this machine's kernel. Then the emulated zct is to create
# a flow and list it in a network namespace of its own. An emulator that knows no netfilter netlink refuses the socket;
# what the kernel and conntrackd said and was recorded is decoded in any case, by the unit tests of zct-wire and zctd.
set -euo pipefail
cd "$(dirname "$0")/../.."
: "${CARGO:=cargo}"
[ $# -gt 0 ] || set -- s390x-unknown-linux-gnu
# Emulation is slow: small programs, those parts that are tested optimised a little, and one seed of each simulation.
export CARGO_PROFILE_DEV_DEBUG=0 SIMULATE_SEEDS=1
# Static, so that the emulator need not put another machine's directories before this one's.
export QEMU_LD_PREFIX=

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The tests that the emulator cannot run on a target, as options of a test program; says on standard error why.
skipped() {
    while read -r name targets reason; do
        # shellcheck disable=SC2254 # a pattern
        case $1 in $targets) ;; *) continue ;; esac
        echo "$1: not run: $name: $reason" >&2
        echo "--skip $name"
    done < <(grep '^[^#]' tests/targets/skipped.txt)
}

for target in "$@"; do
    cross() { scripts/cross.sh "$target" "$@"; }
    options=(--config "target.$target.rustflags=['-Ctarget-feature=+crt-static']" --quiet --locked --target "$target")
    for package in zct-wire zct-engine zct zctd; do
        options+=(--config "profile.dev.package.$package.opt-level=1")
    done
    mapfile -t skip < <(skipped "$target" | tr ' ' '\n')
    if ! cross "$CARGO" test "${options[@]}" --package zct-wire --package zct-engine --package zct-helpers --package zct \
        --package zctd --lib --no-fail-fast -- "${skip[@]}" >"$work/log" 2>&1; then
        cat "$work/log" >&2
        echo "$target: unit tests fail" >&2
        exit 1
    fi
    tests=$(sed -n 's/^test result: ok\. \([0-9]*\) passed.*/\1/p' "$work/log" | awk '{ n += $1 } END { print n + 0 }')
    [ "$tests" -gt 500 ] || { cat "$work/log" >&2; echo "$target: only $tests tests" >&2; exit 1; }

    cross "$CARGO" build "${options[@]}" --package zct --package zctd --bins
    built=${CARGO_TARGET_DIR:-target}/$target/debug
    # What stands before an emulated program: the same that ran the tests, if anything.
    runner=$(cross printenv "CARGO_TARGET_$(printf %s "$target" | tr 'a-z-' 'A-Z_')_RUNNER" || true)
    # shellcheck disable=SC2086 # a command or nothing
    $runner "$built/zctd" --check -C dist/zctd.conf >"$work/check" 2>&1 || { cat "$work/check" >&2; exit 1; }
    # shellcheck disable=SC2016 # belongs to the inner shell
    listed=$(unshare --net sh -euc '
        $0 -I -p udp -s 192.0.2.1 -d 192.0.2.2 --sport 1 --dport 2 -t 60
        $0 -L -o json' "$runner $built/zct" 2>&1) || true
    case $listed in
        *'"src":"192.0.2.1"'*) listed='zct lists a table' ;;
        *'Protocol not supported'*) listed='the emulator refuses netfilter netlink, recorded messages are decoded' ;;
        *) echo "$target: zct does not list what it created: $listed" >&2; exit 1 ;;
    esac
    echo "$target: $tests unit tests pass; zctd checks its configuration; $listed"
done
