# Several nodes on a bridge, for perf/cluster.sh to source after nodes.sh: it sets dir, flows, rate, links and nodes.
# shellcheck shell=bash disable=SC2154

bridge=zct-cluster-$$
members=()

member_of() { echo "zct-cluster-$1-$$"; }

disband() {
    local n
    stop
    for n in "${members[@]}" "$bridge"; do ip netns del "$n" 2>/dev/null || true; done
    members=()
}

# NUMBER: the file of a node that knows all others.
enlist() {
    local own=$1 other peers='' group='' keys='' link
    [ "$links" = udp ] || keys=$(auth "$own")
    [ "$links" != group ] || group="Multicast { IPv4_address 225.0.0.50 Group 3780 IPv4_interface 172.31.9.$own
        Interface y0 SndSocketBuffer 16777216 RcvSocketBuffer 16777216 }"
    for other in $(seq "$nodes"); do
        [ "$other" != "$own" ] || continue
        link=
        [ "$links" = group ] || link="UDP { IPv4_address 172.31.9.$own IPv4_Destination_Address 172.31.9.$other
            Port 3780 Interface y0 SndSocketBuffer 16777216 RcvSocketBuffer 16777216 }"
        peers="$peers
    Peer fw-$other {
        NodeID $other
        $link
    }"
    done
    cat >"$dir/$(member_of "$own").conf" <<CONF
Sync {
    Mode FTFW {
        ResendQueueSize $((flows * 2))
    }
    NodeID $own
    $keys
    $group
    $peers
}
General {
    HashSize $((flows / 4))
    HashLimit $((flows * 2))
    LogFile $dir/$(member_of "$own").log
    LockFile $dir/$(member_of "$own").lock
    UNIX {
        Path $dir/$(member_of "$own").ctl
    }
    NetlinkBufferSize 536870912
    NetlinkBufferSizeMaxGrowth 536870912
    Filter From Userspace {
        Address Ignore {
            IPv4_address 172.31.9.0/24
        }
    }
}
CONF
}

# NUMBER: Auth with a key that all read.
auth() {
    [ -f "$dir/key" ] || "${daemon[zctd]}" genkey "$dir/key" >/dev/null
    echo "Auth {
        Key 1 file:$dir/key
        ActiveKey 1
    }"
}

# Starts all nodes.
gather() {
    local n it
    disband
    ip netns add "$bridge"
    ip -n "$bridge" link add br0 type bridge mcast_snooping 0
    ip -n "$bridge" link set br0 up
    for n in $(seq "$nodes"); do
        it=$(member_of "$n")
        members+=("$it")
        ip netns add "$it"
        ip -n "$it" link set lo up
        ip netns exec "$it" sysctl -qw net.netfilter.nf_conntrack_events=1
        ip link add y0 netns "$it" type veth peer name "p$n" netns "$bridge"
        ip -n "$bridge" link set "p$n" master br0
        ip -n "$bridge" link set "p$n" up
        ip -n "$it" addr add "172.31.9.$n/24" dev y0
        ip -n "$it" link set y0 up
        enlist "$n"
    done
    for it in "${members[@]}"; do start "$it"; done
}

# COUNT: waits until all others know that many flows of the first node.
all_know() {
    local it
    for it in "${members[@]:1}"; do await "$it" "$1" 100 >/dev/null || return 1; done
}

# Datagrams that a node has sent over all its links.
sent_by() {
    { ask "$1" status --json 2>/dev/null || true; } | grep -o '"tx":{[^}]*}' | grep -o '"packets":[0-9]*' |
        awk -F: '{ n += $2 } END { print n + 0 }'
}

# The load, and what it has cost.
share() {
    local first it n before=() size=() sent others=0 grown=0
    gather
    first=${members[0]}
    # What a start and the first proof cost is not of interest.
    load "$first" 1000 0
    all_know 1000 || { short 'the first flows were not replicated'; return 0; }
    ip netns exec "$first" "$zct" -F >/dev/null 2>&1
    all_know 0 || { short 'what has ended is still known'; return 0; }
    for it in "${pids[@]}"; do
        before+=("$(ticks "$it")")
        size+=("$(rss "$it")")
    done
    sent=$(sent_by "$first")
    load "$first" "$flows" "$rate"
    all_know "$flows" || { short "$flows flows were not replicated"; return 0; }
    record active-cpu-us "$(micro $(($(ticks "${pids[0]}") - before[0])) "$flows")"
    record active-bytes $((($(rss "${pids[0]}") - size[0]) * 1024 / flows))
    for n in $(seq 1 $((nodes - 1))); do
        others=$((others + $(ticks "${pids[n]}") - before[n]))
        grown=$((grown + $(rss "${pids[n]}") - size[n]))
    done
    record member-cpu-us "$(micro "$others" $((flows * (nodes - 1))))"
    record member-bytes $((grown * 1024 / flows / (nodes - 1)))
    record datagrams $(($(sent_by "$first") - sent))
}
