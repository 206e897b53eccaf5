#!/bin/sh
# The daemon's whole test run with the capabilities, system calls and address families that dist/zctd.service leaves it,
# enforced by the kernel: make test-hardening.
#   tests/hardening/run.sh [TEST…]      names of files in tests/tests; without any, all that are about the daemon
set -eu
cd "$(dirname "$0")/../.."
PATH="$PATH:/usr/sbin:/sbin"
cargo build --release --locked --quiet --package zct --package zctd

if [ $# = 0 ]; then
    # faults_system takes file systems and descriptors away, which needs rights beyond the unit's from the start.
    set -- zctd_commit zctd_control zctd_filter zctd_lifecycle zctd_metrics zctd_start zctd_stats zctd_status sync_after \
        faults_kill faults_links faults_peer faults_strangers faults_clients faults_kernel
fi
export ZCTD_CONFINED="$PWD/target/release/zctd" ZCTD_BIN="$PWD/tests/hardening/zctd"
exec scripts/test.sh "$@"
