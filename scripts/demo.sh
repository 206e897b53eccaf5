#!/bin/sh
# Two firewalls, a client and a server in namespaces of their own: the active firewall dies under a transfer, and the
# other one goes on. Needs the release; nothing of this machine is touched, and nothing is left, however it ends.
set -eu
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/sbin:/sbin"
export PATH

scripts/setup.sh nft:nftables ip:iproute2 unshare:util-linux
demo=${ZCT_DEMO:-}
if [ -z "$demo" ]; then
    "${CARGO:-cargo}" build --quiet --package zct-tests --bin demo
    demo=target/debug/demo
fi
user=
[ "$(id -u)" = 0 ] || user="--user --map-root-user"
# The shell is the first process of a process namespace: when it ends, the kernel ends all others in there, and with
# them their networks and files go.
# shellcheck disable=SC2086,SC2016 # options or nothing; $1 belongs to the inner shell
exec unshare $user --net --mount --pid --fork --kill-child --mount-proc sh -c '
    trap "exit 130" INT TERM HUP
    mount -t tmpfs none /run
    "$1" &
    wait $!' sh "$demo"
