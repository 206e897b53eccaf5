#!/bin/bash
# cluster.sh [FLOWS [ROUNDS]]: two, three and five firewalls that know each other's flows: what a new flow costs the node
# that has it and each of the others. Writes medians to the last section of perf/SYNC.md and every run to
# perf/raw/cluster.csv. Needs root and an idle machine; takes some four minutes with 120,000 flows and 3 rounds.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/sbin:/sbin"
flows=${1:-120000} rounds=${2:-3} rate=30000
target=$(realpath "${CARGO_TARGET_DIR:-target}/release")
zct=$target/zct yardstick=$target/yardstick
declare -A daemon=([zctd]=$target/zctd)
[ "$(id -u)" = 0 ] || { echo "The size of the table is a limit of the machine: run it as root." >&2; exit 1; }
scripts/setup.sh ip:iproute2

dir=$(mktemp -d)
. perf/sync/nodes.sh
. perf/sync/cluster.sh
limit=$(cat /proc/sys/net/netfilter/nf_conntrack_max)
buckets=$(cat /proc/sys/net/netfilter/nf_conntrack_buckets)
finish() {
    disband
    rm -rf "$dir"
    sysctl -qw net.netfilter.nf_conntrack_max="$limit" net.netfilter.nf_conntrack_buckets="$buckets"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP
# Every node has all flows of the one, and none of them in its table: the limit is that of one namespace.
sysctl -qw net.netfilter.nf_conntrack_max=$((flows * 4)) net.netfilter.nf_conntrack_buckets=$((flows * 2))

raw=perf/raw/cluster.csv
mkdir -p perf/raw
echo "round,links,nodes,row,value" >$raw
record() {
    echo "$round,$links,$nodes,$1,$2" >>$raw
    echo "$(date +%T) round $round, $nodes nodes, $links: $1: $2" >&2
}
short() { echo "round $round, $nodes nodes, $links: $1" >&2; }

variant=zctd
started=$(now)
for round in $(seq "$rounds"); do
    for links in udp sealed group; do
        for nodes in 2 3 5; do share; done
    done
done
disband
took=$(seconds "$started" "$(now)")

# LINKS NODES ROW
median() {
    awk -F, -v l="$1" -v n="$2" -v r="$3" '$2 == l && $3 == n && $4 == r { print $5 }' $raw | sort -n |
        awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)]; else print "-" }'
}
rest=$(sed '/^## More than two nodes$/,$d' perf/SYNC.md)
{
    echo "$rest"
    cat <<HEAD

## More than two nodes

Made by \`perf/cluster.sh $flows $rounds\` on $(date -u +%Y-%m-%d) in ${took%.*} s; do not edit this section. Medians of $rounds
round(s). Nodes in namespaces on a bridge, each with a \`Peer\` block for each of the others: plain over UDP, sealed over UDP,
and sealed in one multicast group. $flows flows of the benchmark's mix are made on one node, $rate a second, and known to all
when a row ends. CPU is that of a daemon's process for each flow, of the other nodes the mean; datagrams are those that the
one node has sent. Linux $(uname -r), $(nproc) processors; raw runs in raw/cluster.csv.

| links | nodes | active: CPU a flow, µs | each other: CPU a flow, µs | datagrams | active: memory a flow, bytes | each other |
|---|---|---|---|---|---|---|
HEAD
    for links in udp sealed group; do
        for nodes in 2 3 5; do
            case $links in
            udp) name='UDP, plain' ;;
            sealed) name='UDP, sealed' ;;
            group) name='group, sealed' ;;
            esac
            echo "| $name | $nodes | $(median $links $nodes active-cpu-us) | $(median $links $nodes member-cpu-us) |" \
                "$(median $links $nodes datagrams) | $(median $links $nodes active-bytes) |" \
                "$(median $links $nodes member-bytes) |"
        done
    done
} >perf/SYNC.md.new
mv perf/SYNC.md.new perf/SYNC.md
sed -n '/^## More than two nodes$/,$p' perf/SYNC.md
