#!/bin/sh
# Builds the release and lists this machine's flows. If that shows nothing, says why, and shows the same in a
# private namespace with example flows.
set -u
cd "$(dirname "$0")/.." || exit 1
PATH="$PATH:/usr/sbin:/sbin"

if ! command -v cargo >/dev/null 2>&1; then
    echo "cargo is not installed: apt install cargo on Debian 13, else https://rustup.rs; Rust 1.85 or newer" >&2
    exit 1
fi
if ! command -v cc >/dev/null 2>&1; then
    scripts/setup.sh cc:gcc cc:libc6-dev || exit 1
fi
cargo build --release --quiet --package zct --package zctd || exit 1
cargo build --release --quiet --package zct --example example_flows || exit 1
zct=target/release/zct

echo "The flows of this machine ($zct -L):"
errors=$(mktemp) || exit 1
trap 'rm -f "$errors"' EXIT
lines=$(mktemp) || exit 1
trap 'rm -f "$errors" "$lines"' EXIT
"$zct" -L >"$lines" 2>"$errors"
status=$?
cat "$lines" "$errors"
if [ "$status" = 0 ] && [ -s "$lines" ]; then
    exit 0
fi

echo
if [ "$status" = 0 ]; then
    echo "No flows: nothing is tracked here until a firewall rule asks for it (nft: ct state ...)."
elif grep -q CAP_NET_ADMIN "$errors"; then
    echo "Reading the table needs CAP_NET_ADMIN: run as root, or: sudo $zct -L"
else
    echo "This kernel did not answer. As root: modprobe nf_conntrack_netlink"
fi

user=
[ "$(id -u)" = 0 ] || user="--user --map-root-user"
# shellcheck disable=SC2086 # options or nothing
if ! unshare $user --net true 2>"$errors"; then
    cat "$errors" >&2
    echo "A private network namespace is not allowed here either, so there is nothing to show." >&2
    exit 1
fi
echo "The same in a private network namespace with example flows:"
# shellcheck disable=SC2086,SC2016 # options or nothing; $1 belongs to the inner shell
unshare $user --net sh -c '
    target/release/examples/example_flows || exit 1
    for words in "-L" "-L -p tcp --state ESTABLISHED -o extended,id" "-L -f ipv6 -o json" "-C"; do
        printf "\n\$ zct %s\n" "$words"
        "$1" $words || exit 1
    done' sh "$zct"
