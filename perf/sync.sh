#!/bin/bash
# sync.sh [FLOWS [ROUNDS]]: two firewalls that replicate each other's flows, with zctd and with conntrackd in turn, in
# real time and not. Writes medians to perf/SYNC.md, plots beside it, and every run to perf/raw/sync.csv. Needs root
# and an idle machine; takes some ten minutes with 300,000 flows and 5 rounds. Tables of more than three times as
# many flows are measured once.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/sbin:/sbin"
flows=${1:-300000} rounds=${2:-5}
large=$((flows * 10 / 3 / 1000 * 1000))
target=$(realpath "${CARGO_TARGET_DIR:-target}/release")
zct=$target/zct yardstick=$target/yardstick
declare -A daemon=([zctd]=$target/zctd [conntrackd]=/usr/sbin/conntrackd)
[ "$(id -u)" = 0 ] || { echo "The size of the table is a limit of the machine: run it as root." >&2; exit 1; }
scripts/setup.sh conntrackd:conntrackd nft:nftables ip:iproute2 chrt:util-linux keepalived:keepalived

dir=$(mktemp -d)
. perf/sync/nodes.sh
. perf/sync/sealed.sh
limit=$(cat /proc/sys/net/netfilter/nf_conntrack_max)
buckets=$(cat /proc/sys/net/netfilter/nf_conntrack_buckets)
finish() {
    stop
    rm -rf "$dir"
    sysctl -qw net.netfilter.nf_conntrack_max="$limit" net.netfilter.nf_conntrack_buckets="$buckets"
}
trap finish EXIT
trap 'exit 130' INT TERM HUP
# FLOWS: the machine's table for so many flows on each node.
table() { sysctl -qw net.netfilter.nf_conntrack_max=$(($1 * 4)) net.netfilter.nf_conntrack_buckets=$(($1 * 2)); }

raw=perf/raw/sync.csv
mkdir -p perf/raw
echo "round,program,row,at,value" >$raw
round=1
# ROW AT VALUE: AT is the size of the table, or the rate; 0 is as fast as the kernel makes them.
record() {
    echo "$round,$variant,$1,$2,$3" >>$raw
    echo "$(date +%T) round $round, $variant: $1 at $2: $3" >&2
}
short() { echo "round $round, $variant: $1" >&2; }

# COUNT RATE: flows made at one node and replicated to the other, and what that costs the daemons.
replicate() {
    local ta tb
    ta=$(ticks "$pa") tb=$(ticks "$pb")
    load "$a" "$1" "$2"
    await "$b" "$1" 100 >/dev/null || { short "$1 flows at $2 a second were not replicated"; return 0; }
    # At full speed it is a row of one size.
    [ "$2" != 0 ] || [ "$1" = "$flows" ] || return 0
    record active-cpu-us "$2" "$(micro $(($(ticks "$pa") - ta)) "$1")"
    record backup-cpu-us "$2" "$(micro $(($(ticks "$pb") - tb)) "$1")"
}

# COUNT: memory, bulk, resync and commit of a table.
tables() {
    local count=$1 ra rb t longest have
    prepare "$count"
    ra=$(rss "$pa") rb=$(rss "$pb")
    replicate "$count" 0
    record active-bytes "$count" $((($(rss "$pa") - ra) * 1024 / count))
    record backup-bytes "$count" $((($(rss "$pb") - rb) * 1024 / count))

    # The active node sends everything, to a backup that knows nothing.
    ask "$b" -f external
    await "$b" 0 1 >/dev/null || { short "the external cache is not empty"; return 0; }
    t=$(now)
    ask "$a" -B
    if await "$b" "$count" 1 >/dev/null; then record bulk-s "$count" "$(seconds "$t" "$(now)")"; fi

    # The backup starts afresh and asks for everything.
    slay "$pb"
    rm -f "$dir/$b.lock" "$dir/$b.ctl"
    start "$b"
    t=$(now)
    ask "$b" -n
    if longest=$(await "$b" "$count" 1 "$a"); then
        record resync-s "$count" "$(seconds "$t" "$(now)")"
        record answer-s "$count" "$longest"
    fi

    # The active node dies, and the backup takes over.
    slay "$pa"
    t=$(now)
    ask "$b" -c || short "the commit has failed"
    record commit-s "$count" "$(seconds "$t" "$(now)")"
    have=$(ip netns exec "$b" "$zct" -C)
    [ "$have" -ge "$count" ] || short "$have of $count flows committed"
}

# The value of a member of zctd's status, wherever it stands.
member() { grep -o "\"$1\":[0-9.]*" | cut -d: -f2; }
lag() { ask "$1" status --json 2>/dev/null | grep -o '"lag":{[^}]*}' | member seconds || true; }
lost() { { ask "$1" status --json || true; } | grep -o '"losses":.*' | member estimate | awk '{ n += $1 } END { print n + 0 }'; }

# NODE COMMAND...: runs it in the background while the node is asked for its lag; prints the longest.
longest_lag() {
    local node=$1 it most=0
    shift
    "$@" >/dev/null 2>&1 &
    it=$!
    while kill -0 $it 2>/dev/null; do
        most=$({ echo "$most"; lag "$node"; } | sort -n | tail -1)
        sleep 0.2
    done
    wait $it || short "the load was not carried out" >&2
    echo "$most"
}

# A table that grows as fast as the kernel makes flows: the longest time in which zctd served nothing else.
grow() {
    local count=$((2 * large))
    table "$count"
    prepare "$count"
    "$yardstick" sample "$dir/$a.metrics" zctd_reactor_turn_max_seconds >/dev/null
    "$yardstick" sample "$dir/$b.metrics" zctd_reactor_turn_max_seconds >/dev/null
    load "$a" "$count" 0
    await "$b" "$count" 100 >/dev/null || { short "$count flows were not replicated"; return 0; }
    record active-turn-s "$count" "$("$yardstick" sample "$dir/$a.metrics" zctd_reactor_turn_max_seconds)"
    record backup-turn-s "$count" "$("$yardstick" sample "$dir/$b.metrics" zctd_reactor_turn_max_seconds)"
}

# As many flows end as begin, for a minute.
sustain() {
    local rate=50000 living=100000 s=$1 ra rb most left
    prepare $((living * 4))
    # Until the first have ended, memory grows.
    ip netns exec "$a" "$yardstick" churn $((rate * 5)) --rate $rate --living $living 2>/dev/null ||
        { short "the load was not carried out"; return 0; }
    ip netns exec "$a" "$zct" -F >/dev/null 2>&1
    await "$b" 0 100 >/dev/null || { short "the backup still knows what has ended"; return 0; }
    ra=$(rss "$pa") rb=$(rss "$pb")
    most=$(longest_lag "$a" ip netns exec "$a" "$yardstick" churn $((rate * s)) --rate $rate --living $living)
    left=$(ip netns exec "$a" "$zct" -C)
    await "$b" "$left" 100 >/dev/null || short "$left flows live, and the backup does not know just these"
    record sustained-lag-s $rate "$most"
    record sustained-lost $rate $(($(lost "$a") + $(lost "$b")))
    record active-growth-kib $rate $(($(rss "$pa") - ra))
    record backup-growth-kib $rate $(($(rss "$pb") - rb))
}

# Eight of ten flows end after a second: datagrams, and CPU of the active daemon, with SyncAfter and without.
short_lived() {
    local rate=50000 s=$1 name t
    for name in all after; do
        sync_options=
        [ $name = all ] || sync_options='Options { SyncAfter 3 }'
        prepare $((rate * s))
        t=$(ticks "$pa")
        ip netns exec "$a" "$yardstick" churn $((rate * s)) --rate $rate --living $((rate * s)) --short 8 2>/dev/null ||
            { short "the load was not carried out"; return 0; }
        # The last of the long ones are announced, and the last of the short ones end, within a few seconds.
        sleep 4
        record "$name-datagrams" $rate "$(ask "$a" status --json 2>/dev/null | grep -o '"tx":{[^}]*}' | member packets)"
        record "$name-active-cpu-us" $rate "$(micro $(($(ticks "$pa") - t)) $((rate * s)))"
        record "$name-lost" $rate $(($(lost "$a") + $(lost "$b")))
    done
    sync_options=
}

# cold|hot: keepalived on both nodes; the active one dies with all flows. How long the shared address does not answer.
take_over() {
    local count=$large n number keepers=() gap quiet
    mode_options='' sync_options=''
    [ "$1" = cold ] || mode_options='DisableExternalCache On'
    table $((count * 2))
    prepare "$count"
    ip netns add "$c"
    ip -n "$c" link add br0 type bridge
    ip -n "$c" addr add 10.1.0.1/24 dev br0
    ip -n "$c" link set br0 up
    number=1
    for n in "$a" "$b"; do
        ip link add c0 netns "$n" type veth peer name "p$number" netns "$c"
        ip -n "$c" link set "p$number" master br0
        ip -n "$c" link set "p$number" up
        ip -n "$n" addr add "10.1.0.1$number/24" dev c0
        ip -n "$n" link set c0 up
        ip netns exec "$n" sysctl -qw net.ipv4.icmp_ratelimit=0
        mkdir -p "$dir/run$number"
        rm -f "$dir/run$number"/* "$dir/state$number"
        cat >"$dir/notify$number" <<NOTIFY
#!/bin/sh
INTERFACES=c0 ADDRESSES=10.1.0.254 PATIENCE=60 RUNTIME=$dir/run$number ZCTD=${daemon[zctd]} CONFIGURATION=$dir/$n.conf \
    $PWD/dist/primary-backup.sh "\$1"
echo "\$1" >$dir/state$number
NOTIFY
        chmod 755 "$dir/notify$number"
        cat >"$dir/keepalived$number" <<KEEPALIVED
global_defs {
    vrrp_version 3
    script_user root
    vrrp_garp_master_delay 1
}
vrrp_instance v {
    interface c0
    state BACKUP
    nopreempt
    virtual_router_id 61
    priority $((110 - 10 * number))
    advert_int 0.1
    virtual_ipaddress {
        10.1.0.254/24 dev c0
    }
    notify_master "$dir/notify$number primary"
    notify_backup "$dir/notify$number backup"
}
KEEPALIVED
        ip netns exec "$n" keepalived -n -P -p "$dir/k$number.pid" -r "$dir/v$number.pid" \
            -f "$dir/keepalived$number" >/dev/null 2>&1 &
        pids+=($!)
        keepers+=($!)
        local left=300
        until grep -qs "$([ $number = 1 ] && echo primary || echo backup)" "$dir/state$number"; do
            left=$((left - 1))
            [ $left -gt 0 ] || { short "keepalived does not come to its state"; return 0; }
            sleep 0.1
        done
        number=$((number + 1))
    done
    load "$a" "$count" 0
    if [ "$1" = cold ]; then
        await "$b" "$count" 100 >/dev/null || { short "$count flows were not replicated"; return 0; }
    else
        left=300
        until [ "$(ip netns exec "$b" "$zct" -C)" -ge "$count" ]; do
            left=$((left - 1))
            [ $left -gt 0 ] || { short "the flows are not in the standby's kernel"; return 0; }
            sleep 0.2
        done
    fi
    quiet=$dir/silence
    ip netns exec "$c" "$yardstick" silence 10.1.0.254 "$([ "$1" = cold ] && echo 12 || echo 3)" >"$quiet" &
    n=$!
    sleep 1
    # All at once, like a power failure.
    ip -n "$a" link set c0 down
    ip -n "$a" link set y0 down
    pkill -9 -P "${keepers[0]}" || true
    kill -9 "${keepers[0]}" "$pa"
    wait $n
    gap=$(cat "$quiet")
    record "take-over-$1-s" "$count" "$gap"
    for number in 1 2; do pkill -9 -P "${keepers[$((number - 1))]}" 2>/dev/null || true; done
    mode_options=
}

started=$(now)
table "$flows"
for round in $(seq "$rounds"); do
    for variant in conntrackd-rr zctd-rr conntrackd zctd; do
        prepare "$flows"
        replicate $((flows * 2 / 5)) 30000
        tables "$flows"
    done
    variant=zctd
    sealed
done
round=1
# For the plots, and what is too long for every round. In real time, but for what the goals say of zctd as it runs.
for variant in conntrackd-rr zctd-rr; do
    for count in $((flows / 10)) $((flows / 3)); do tables "$count"; done
    for rate in 10000 100000; do
        prepare "$flows"
        replicate $((flows / 5)) $rate
    done
done
table "$large"
for variant in conntrackd-rr zctd-rr; do tables "$large"; done
variant=zctd
grow
sustain $((flows >= 300000 ? 60 : 5))
short_lived $((flows >= 300000 ? 10 : 5))
take_over hot
take_over cold
stop
took=$(seconds "$started" "$(now)")

# PROGRAM ROW AT
median() {
    awk -F, -v p="$1" -v r="$2" -v t="$3" '$2 == p && $3 == r && $4 == t { print $5 }' $raw | sort -n |
        awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)]; else print "-" }'
}
ratio() { awk -v o="$1" -v z="$2" 'BEGIN { if (o == "-" || z == "-" || o == 0) print "-"; else printf "%.2f", z / o }'; }
{
    cat <<HEAD
# zctd beside conntrackd

Made by \`perf/sync.sh $flows $rounds\` on $(date -u +%Y-%m-%d) in ${took%.*} s; do not edit. Medians of $rounds round(s) in
which the programs took turns; rows of other sizes than $flows, and those with zctd alone, are of one round. Two daemons of a
kind in two namespaces, FT-FW over UDP on a veth link, flows of the benchmark's mix inserted at full speed or at the rate
that the row gives. CPU is that of the daemon's process, in ticks of 1/$hertz s. The commit is that of a backup whose peer
has been killed. Linux $(uname -r), $(nproc) processors; raw runs in raw/sync.csv. Real time is SCHED_RR, which conntrackd
takes unasked, here at the lowest priority; zctd runs normally unasked.

| row | goal | conntrackd, real time | zctd, real time | zctd / conntrackd | conntrackd | zctd | zctd / conntrackd |
|---|---|---|---|---|---|---|---|
HEAD
    while IFS='|' read -r row at what goal; do
        or=$(median conntrackd-rr "$row" "$at") zr=$(median zctd-rr "$row" "$at")
        o=$(median conntrackd "$row" "$at") z=$(median zctd "$row" "$at")
        echo "| $what | $goal | $or | $zr | $(ratio "$or" "$zr") | $o | $z | $(ratio "$o" "$z") |"
    done <<ROWS
active-cpu-us|0|active: CPU a new flow, microseconds|<= 0.40 x
backup-cpu-us|0|backup: CPU a flow received, microseconds|<= 0.20 x
active-cpu-us|30000|active, 30,000 new flows a second: CPU a flow, microseconds|<= 0.40 x
backup-cpu-us|30000|backup, 30,000 flows a second: CPU a flow, microseconds|<= 0.35 x
active-bytes|$flows|active, $flows flows: memory a flow, bytes|<= 84
backup-bytes|$flows|backup, $flows flows: memory a flow, bytes|<= 84
active-bytes|$large|active, $large flows: memory a flow, bytes|<= 84
backup-bytes|$large|backup, $large flows: memory a flow, bytes|<= 84
bulk-s|$flows|bulk (\`-B\`) of $flows flows, seconds|reported
resync-s|$flows|resync (\`-n\`) of a restarted backup, $flows flows, seconds|<= 0.8 x
resync-s|$large|the same, $large flows|<= 0.8 s
answer-s|$large|longest answer to \`-s\` of either daemon meanwhile, seconds|<= 0.05
commit-s|$flows|commit of $flows flows, seconds|<= 0.5 x
commit-s|$large|commit of $large flows, seconds|reported
active-turn-s|$((2 * large))|active, growing from 0 to $((2 * large)) flows: longest turn, seconds|<= 0.010
backup-turn-s|$((2 * large))|backup, the same|<= 0.010
sustained-lost|50000|50,000 new and 50,000 ended flows a second: losses|0
sustained-lag-s|50000|the same: longest lag, seconds|<= 0.1
active-growth-kib|50000|the same: growth of the active daemon, KiB|flat
backup-growth-kib|50000|the same: growth of the backup, KiB|flat
all-datagrams|50000|50,000 new flows a second, 8 of 10 for a second: datagrams without SyncAfter|
after-datagrams|50000|the same with SyncAfter 3|<= 0.25 x
all-active-cpu-us|50000|active, without SyncAfter: CPU a new flow, microseconds|
after-active-cpu-us|50000|the same with SyncAfter 3|
plain-active-cpu-us|30000|active, 30,000 new flows a second, plain: CPU a flow, microseconds|
sealed-active-cpu-us|30000|the same, sealed|reported
plain-backup-cpu-us|30000|backup, plain: CPU a flow, microseconds|
sealed-backup-cpu-us|30000|the same, sealed|reported
plain-datagrams|30000|datagrams of the active for $((flows * 2 / 5)) flows, plain|
sealed-datagrams|30000|the same, sealed|reported
plain-lag-s|30000|longest lag, 30,000 new flows a second, plain, seconds|
sealed-lag-s|30000|the same, sealed|reported
plain-bulk-s|$((flows * 2 / 5))|bulk of $((flows * 2 / 5)) flows, plain, seconds|
sealed-bulk-s|$((flows * 2 / 5))|the same, sealed|reported
take-over-hot-s|$large|take-over, $large flows, advert_int 0.1, DisableExternalCache: silence, seconds|<= 0.46
take-over-cold-s|$large|the same with a commit|reported
ROWS
    cat <<TAIL

Of the 0.46 s of a take-over 0.36 are keepalived's: three announcements and the standby's skew.

![Commit and resync over the size of the table](sync-sizes.svg)

![CPU of the daemons over the rate of new flows](sync-rates.svg)
TAIL
    # The section of perf/cluster.sh stays as it is.
    echo
    sed -n '/^## More than two nodes$/,$p' perf/SYNC.md
} >perf/SYNC.md.new
mv perf/SYNC.md.new perf/SYNC.md
"$target/sync-plots" $raw perf/sync-sizes.svg perf/sync-rates.svg
cat perf/SYNC.md
