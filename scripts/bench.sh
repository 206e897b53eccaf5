#!/bin/sh
# bench.sh FLOWS [OPTION...]: measures zct beside Debian's conntrack on this many flows; the options are those of
# perf/src/bin/bench.rs. Expects the release to be built, and installs the programs it needs.
set -eu
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/sbin:/sbin"
export PATH

scripts/setup.sh cc:gcc cc:libc6-dev conntrack:conntrack nft:nftables ip:iproute2
cargo build --release --locked --quiet --package zct --package zct-perf
if [ "$(id -u)" != 0 ]; then
    echo "The size of the table and of event buffers are limits of the machine: run it as root." >&2
    exit 1
fi
flows=$1
shift
exec "${CARGO_TARGET_DIR:-target}/release/bench" --flows "$flows" "$@"
