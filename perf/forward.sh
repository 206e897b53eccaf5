#!/bin/bash
# forward.sh [FLOWS [SECONDS]]: what reading the table costs the packets of another processor. A router in a namespace
# of its own tracks FLOWS flows and forwards datagrams on the first processor, while a program reads its table again and
# again on the second. Prints packets forwarded a second, medians of three rounds in which the readers take turns.
# Needs root, two processors and an idle machine; takes about two minutes with 1,000,000 flows.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/sbin:/sbin"
flows=${1:-1000000} seconds=${2:-5}
target=$(realpath "${CARGO_TARGET_DIR:-target}/release")
zct=$target/zct yardstick=$target/yardstick
[ "$(id -u)" = 0 ] || { echo "The size of the table is a limit of the machine: run it as root." >&2; exit 1; }
scripts/setup.sh conntrack:conntrack nft:nftables ip:iproute2 taskset:util-linux

a=zct-forward-a-$$ r=zct-forward-r-$$ b=zct-forward-b-$$
dir=$(mktemp -d)
limit=$(cat /proc/sys/net/netfilter/nf_conntrack_max)
buckets=$(cat /proc/sys/net/netfilter/nf_conntrack_buckets)
finish() {
    local n
    for n in "$a" "$r" "$b"; do ip netns del "$n" 2>/dev/null || true; done
    sysctl -qw net.netfilter.nf_conntrack_max="$limit" net.netfilter.nf_conntrack_buckets="$buckets"
    rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP
sysctl -qw net.netfilter.nf_conntrack_max=$((flows * 2)) net.netfilter.nf_conntrack_buckets="$flows"

for n in "$a" "$r" "$b"; do
    ip netns add "$n"
    ip -n "$n" link set lo up
done
ip link add x0 netns "$a" type veth peer name x0 netns "$r"
ip link add x1 netns "$r" type veth peer name x1 netns "$b"
ip -n "$a" addr add 172.31.1.2/24 dev x0
ip -n "$r" addr add 172.31.1.1/24 dev x0
ip -n "$r" addr add 172.31.2.1/24 dev x1
ip -n "$b" addr add 172.31.2.2/24 dev x1
for end in "$a x0" "$r x0" "$r x1" "$b x1"; do
    # shellcheck disable=SC2086 # two words on purpose
    set -- $end
    ip -n "$1" link set "$2" up
done
ip -n "$a" route add default via 172.31.1.1
ip -n "$b" route add default via 172.31.2.1
ip netns exec "$r" sysctl -qw net.ipv4.ip_forward=1
ip netns exec "$r" nft 'add table t; add chain t c { type filter hook forward priority 0; policy accept; }; add rule t c ct state new,established accept'
# Nobody listens there: what arrives is dropped without an answer.
ip netns exec "$b" nft 'add table t; add chain t c { type filter hook input priority 0; }; add rule t c meta l4proto udp drop'
ip netns exec "$r" "$yardstick" load "$flows" 2>/dev/null
[ "$(ip netns exec "$r" "$zct" -C)" -ge "$flows" ]

received() { ip -n "$b" -j -s link show x1 | grep -o '"rx":{[^}]*}' | grep -o '"packets":[0-9]*' | cut -d: -f2; }

names=(nothing original netlink netlink-filter bpf bpf-filter)
# NAME: the reader's command line.
words() {
    case $1 in
    nothing) echo ;;
    original) echo "conntrack -L" ;;
    netlink) echo "$zct -L --reader netlink" ;;
    netlink-filter) echo "$zct -L -s 10.0.0.200 --reader netlink" ;;
    bpf) echo "$zct -L --reader bpf" ;;
    bpf-filter) echo "$zct -L -s 10.0.0.200 --reader bpf" ;;
    esac
}
for round in 1 2 3; do
    for name in "${names[@]}"; do
        line=$(words "$name")
        runs=0
        before=$(received)
        ip netns exec "$a" taskset -c 0 "$yardstick" blast 172.31.2.2 "$seconds" >"$dir/sent" &
        sender=$!
        while [ -n "$line" ] && kill -0 $sender 2>/dev/null; do
            # shellcheck disable=SC2086 # words on purpose
            ip netns exec "$r" taskset -c 1 $line >/dev/null 2>&1
            runs=$((runs + 1))
        done
        wait $sender
        echo "$round $name $((($(received) - before) / seconds)) $runs" >>"$dir/rows"
    done
done
echo "| reader, on the other processor | packets forwarded a second | of those without a reader | times it read $flows flows |"
echo "|---|---:|---:|---:|"
median() { awk -v n="$1" -v c="$2" '$2 == n { print $c }' "$dir/rows" | sort -n | sed -n 2p; }
alone=$(median nothing 3)
for name in "${names[@]}"; do
    line=$(words "$name")
    line=${line//$target\//}
    rate=$(median "$name" 3)
    printf "| %s | %s | %s %% | %s |\n" "\`${line:-nothing}\`" "$rate" $((rate * 100 / alone)) "$(median "$name" 4)"
done
