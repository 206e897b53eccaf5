#!/bin/bash
# sync.sh [FLOWS [ROUNDS]]: two firewalls that replicate each other's flows, with zctd and with conntrackd in
# turn. Writes medians to perf/SYNC.md and every run to perf/raw/sync.csv. Needs root and an idle machine.
set -euo pipefail
cd "$(dirname "$0")/.."
flows=${1:-300000} rounds=${2:-5}
target=${CARGO_TARGET_DIR:-target}/release
target=$(realpath "$target")
zct=$target/zct yardstick=$target/yardstick
declare -A daemon=([zctd]=$target/zctd [conntrackd]=/usr/sbin/conntrackd)
[ "$(id -u)" = 0 ] || { echo "The size of the table is a limit of the machine: run it as root." >&2; exit 1; }
scripts/setup.sh conntrackd:conntrackd nft:nftables ip:iproute2

dir=$(mktemp -d)
a=zct-sync-a-$$ b=zct-sync-b-$$
limit=$(cat /proc/sys/net/netfilter/nf_conntrack_max)
buckets=$(cat /proc/sys/net/netfilter/nf_conntrack_buckets)
pids=()
stop() {
    local p
    for p in "${pids[@]}"; do kill -9 "$p" 2>/dev/null || true; wait "$p" 2>/dev/null || true; done
    pids=()
    ip netns del "$a" 2>/dev/null || true
    ip netns del "$b" 2>/dev/null || true
    rm -f "$dir"/*.lock "$dir"/*.ctl
}
finish() {
    stop
    rm -rf "$dir"
    sysctl -qw net.netfilter.nf_conntrack_max="$limit" net.netfilter.nf_conntrack_buckets="$buckets"
}
trap finish EXIT
sysctl -qw net.netfilter.nf_conntrack_max=$((flows * 4)) net.netfilter.nf_conntrack_buckets=$((flows * 2))

# NODE OWN PEER INTERFACE SCHEDULER
configure() {
    cat >"$dir/$1.conf" <<CONF
Sync {
    Mode FTFW {
        ResendQueueSize $((flows * 2))
    }
    UDP {
        IPv4_address $2
        IPv4_Destination_Address $3
        Port 3780
        Interface $4
        SndSocketBuffer 16777216
        RcvSocketBuffer 16777216
        Checksum on
    }
}
General {
    HashSize $((flows / 4))
    HashLimit $((flows * 2))
    LogFile $dir/$1.log
    LockFile $dir/$1.lock
    UNIX {
        Path $dir/$1.ctl
    }
    NetlinkBufferSize 536870912
    NetlinkBufferSizeMaxGrowth 536870912
$5
    Filter From Userspace {
        Address Ignore {
            IPv4_address 10.9.9.0/24
        }
    }
}
CONF
}

# PROGRAM NODE: starts a daemon and waits until it answers.
start() {
    ip netns exec "$2" "${daemon[$1]}" -C "$dir/$2.conf" >/dev/null 2>&1 &
    pids+=($!)
    until ip netns exec "$2" "${daemon[$1]}" -C "$dir/$2.conf" -s >/dev/null 2>&1; do sleep 0.05; done
}
# PROGRAM NODE WORD...: sends a control command to the daemon.
ask() { local p=$1 n=$2; shift 2; ip netns exec "$n" "${daemon[$p]}" -C "$dir/$n.conf" "$@"; }
# NODE COUNT MS: waits until it knows that many of the peer's flows, asking every MS milliseconds. Answers cost the
# daemon some CPU: a millisecond is for rows of time, and not for rows of CPU.
await() { "$yardstick" await "$dir/$1.ctl" "$2" --every "$3"; }
ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }
now() { date +%s%N; }
seconds() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.3f", (b - a) / 1e9 }'; }
hertz=$(getconf CLK_TCK)
micro() { awk -v t="$1" -v n="$2" -v h="$hertz" 'BEGIN { printf "%.2f", t / h / n * 1e6 }'; }

raw=perf/raw/sync.csv
mkdir -p perf/raw
echo "round,program,row,value" >$raw
record() { echo "$round,$program,$1,$2" >>$raw; echo "round $round, $program: $1 $2" >&2; }

prepare() {
    stop
    ip netns add "$a"
    ip netns add "$b"
    ip link add y0 netns "$a" type veth peer name y0 netns "$b"
    ip -n "$a" addr add 10.9.9.1/24 dev y0
    ip -n "$b" addr add 10.9.9.2/24 dev y0
    for n in "$a" "$b"; do
        ip -n "$n" link set lo up
        ip -n "$n" link set y0 up
        ip netns exec "$n" sysctl -qw net.netfilter.nf_conntrack_events=1
    done
    # Each as it runs by default: conntrackd in real time, though here at the lowest priority; zctd normally.
    scheduler=
    [ "$1" != conntrackd ] || scheduler="    Scheduler {
        Type RR
        Priority 1
    }"
    configure "$a" 10.9.9.1 10.9.9.2 y0 "$scheduler"
    configure "$b" 10.9.9.2 10.9.9.1 y0 "$scheduler"
    start "$1" "$a"
    start "$1" "$b"
}

# ROW-SUFFIX WORD...: a table's worth of flows, made at one node and replicated to the other.
replicate() {
    local suffix=$1
    shift
    ta=$(ticks "$pa") tb=$(ticks "$pb")
    ip netns exec "$a" "$yardstick" load "$flows" "$@" >/dev/null
    await "$b" "$flows" 100
    record "active-cpu$suffix-us" "$(micro $(($(ticks "$pa") - ta)) "$flows")"
    record "backup-cpu$suffix-us" "$(micro $(($(ticks "$pb") - tb)) "$flows")"
}

for round in $(seq "$rounds"); do
    for program in conntrackd zctd; do
        prepare $program
        pa=${pids[0]} pb=${pids[1]}
        replicate -paced rate=30000
        prepare $program
        pa=${pids[0]} pb=${pids[1]}
        ra=$(rss "$pa") rb=$(rss "$pb")
        replicate ""
        record active-bytes $((($(rss "$pa") - ra) * 1024 / flows))
        record backup-bytes $((($(rss "$pb") - rb) * 1024 / flows))

        # The active node sends everything, to a backup that knows nothing.
        ask $program "$b" -f external
        await "$b" 0 1
        t=$(now)
        ask $program "$a" -B
        await "$b" "$flows" 1 && record bulk-s "$(seconds "$t" "$(now)")"

        # The backup starts afresh and asks for everything.
        kill -9 "$pb"
        wait "$pb" 2>/dev/null || true
        rm -f "$dir/$b.lock" "$dir/$b.ctl"
        start $program "$b"
        t=$(now)
        ask $program "$b" -n
        await "$b" "$flows" 1 && record resync-s "$(seconds "$t" "$(now)")"

        # The active node dies, and the backup takes over.
        kill -9 "$pa"
        wait "$pa" 2>/dev/null || true
        t=$(now)
        ask $program "$b" -c
        record commit-s "$(seconds "$t" "$(now)")"
        have=$(ip netns exec "$b" "$zct" -C)
        [ "$have" -ge "$flows" ] || echo "$program: $have of $flows flows committed" >&2
    done
done
stop

median() { awk -F, -v p="$1" -v r="$2" '$2 == p && $3 == r { print $4 }' $raw | sort -n | awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)]; else print "-" }'; }
{
    cat <<HEAD
# zctd beside conntrackd

Made by \`perf/sync.sh $flows $rounds\` on $(date -u +%Y-%m-%d); do not edit. Medians of $rounds rounds in which the programs
took turns: two daemons of a kind in two namespaces, FT-FW over UDP on a veth link, $flows flows of the benchmark's mix
inserted at full speed or at the rate that the row gives. The commit is that of a backup whose peer has been killed. Linux $(uname -r), $(nproc) processors; raw runs in
raw/sync.csv. CPU is that of the daemon's process, in ticks of 1/$hertz s. As they do unasked, conntrackd runs in real
time (SCHED_RR) and zctd does not.

| row | goal | conntrackd 1.4.7 | zctd | zctd / conntrackd |
|---|---|---|---|---|
HEAD
    while IFS='|' read -r row what goal; do
        o=$(median conntrackd "$row") z=$(median zctd "$row")
        awk -v w="$what" -v g="$goal" -v o="$o" -v z="$z" 'BEGIN {
            r = (o == "-" || z == "-" || o == 0) ? "-" : sprintf("%.2f", z / o)
            printf "| %s | %s | %s | %s | %s |\n", w, g, o, z, r }'
    done <<'ROWS'
active-cpu-us|active: CPU a new flow, microseconds|<= 0.6 x
backup-cpu-us|backup: CPU a flow received, microseconds|<= 0.5 x
active-cpu-paced-us|active, 30,000 new flows a second: CPU a flow, microseconds|<= 0.4 x
backup-cpu-paced-us|backup, 30,000 flows a second: CPU a flow, microseconds|<= 0.35 x
active-bytes|active: memory a flow, bytes|<= 112
backup-bytes|backup: memory a flow, bytes|<= 112
commit-s|commit of all flows, seconds|<= 0.5 x
bulk-s|bulk (`-B`) of all flows, seconds|<= 0.04 x
resync-s|resync (`-n`) of a restarted backup, seconds|<= 0.8 x
ROWS
} >perf/SYNC.md
cat perf/SYNC.md
