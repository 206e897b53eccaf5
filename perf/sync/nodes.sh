# Two nodes in namespaces of their own, joined by a veth link, for perf/sync.sh to source: it sets dir, target,
# yardstick, zct and the array daemon.
# shellcheck shell=bash disable=SC2154

a=zct-sync-a-$$ b=zct-sync-b-$$ c=zct-sync-c-$$
pids=()
# Where no measurement asks for more.
mode_options='' sync_options='' sealing=''

stop() {
    local p
    for p in "${pids[@]}"; do kill -9 "$p" 2>/dev/null || true; done
    for p in "${pids[@]}"; do wait "$p" 2>/dev/null || true; done
    pids=()
    for p in "$a" "$b" "$c"; do ip netns del "$p" 2>/dev/null || true; done
    rm -f "$dir"/*.lock "$dir"/*.ctl "$dir"/*.metrics "$dir"/*.pid
}

# NODE OWN PEER TABLE: the configuration of a node for a table of this size. Its NodeID is its address's last number.
configure() {
    local scheduler='' metrics='' keys=''
    [ -z "$sealing" ] || keys=$(auth "$1" "${2##*.}")
    # In real time at the lowest priority: the original's own choice, the highest, leaves nothing to anybody else.
    case $variant in
    *-rr) scheduler='Scheduler { Type RR Priority 1 }' ;;
    esac
    [ "${variant%-rr}" != zctd ] || metrics="Metrics { Listen unix:$dir/$1.metrics
}"
    cat >"$dir/$1.conf" <<CONF
Sync {
    Mode FTFW {
        ResendQueueSize $(($4 * 2))
        $mode_options
    }
    UDP {
        IPv4_address $2
        IPv4_Destination_Address $3
        Port 3780
        Interface y0
        SndSocketBuffer 16777216
        RcvSocketBuffer 16777216
        Checksum on
    }
    $sync_options
    $keys
}
General {
    HashSize $(($4 / 4))
    HashLimit $(($4 * 2))
    LogFile $dir/$1.log
    LockFile $dir/$1.lock
    UNIX {
        Path $dir/$1.ctl
    }
    NetlinkBufferSize 536870912
    NetlinkBufferSizeMaxGrowth 536870912
    $scheduler
    Filter From Userspace {
        Address Ignore {
            IPv4_address 172.31.9.0/24
        }
    }
}
$metrics
CONF
}

program() { echo "${daemon[${variant%-rr}]}"; }

# NODE: starts a daemon and waits until it answers.
start() {
    ip netns exec "$1" "$(program)" -C "$dir/$1.conf" >/dev/null 2>&1 &
    pids+=($!)
    local it=$! left=200
    until ip netns exec "$1" "$(program)" -C "$dir/$1.conf" -s >/dev/null 2>&1; do
        left=$((left - 1))
        [ $left -gt 0 ] || { echo "$variant does not start" >&2; tail -3 "$dir/$1.log" >&2; return 1; }
        sleep 0.05
    done
    # The original takes real time by itself, and has no word against it.
    [ "$variant" != conntrackd ] || chrt -o -p 0 "$it"
}

# NODE WORD...: sends a control command to the daemon.
ask() { local n=$1; shift; ip netns exec "$n" "$(program)" -C "$dir/$n.conf" "$@"; }

# NODE COUNT MS [OTHER]: waits until it knows that many of the peer's flows, asking every MS milliseconds, and the
# other node too; prints the longest time that an answer took. Answers cost the daemon some CPU: a millisecond is for
# rows of time, and not for rows of CPU.
await() { "$yardstick" await "$dir/$1.ctl" "$2" --every "$3" ${4:+--also "$dir/$4.ctl"}; }

# NODE COUNT RATE: makes flows there.
load() { ip netns exec "$1" "$yardstick" load "$2" --rate "$3" 2>/dev/null; }

ticks() { awk '{ print $14 + $15 }' "/proc/$1/stat"; }
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }
now() { date +%s%N; }
seconds() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.4f", (b - a) / 1e9 }'; }
hertz=$(getconf CLK_TCK)
micro() { awk -v t="$1" -v n="$2" -v h="$hertz" 'BEGIN { printf "%.2f", t / h / n * 1e6 }'; }

# TABLE: two new nodes, whose daemons are $pa and $pb.
prepare() {
    stop
    local n
    for n in "$a" "$b"; do
        ip netns add "$n"
        ip -n "$n" link set lo up
        ip netns exec "$n" sysctl -qw net.netfilter.nf_conntrack_events=1
    done
    ip link add y0 netns "$a" type veth peer name y0 netns "$b"
    ip -n "$a" addr add 172.31.9.1/24 dev y0
    ip -n "$b" addr add 172.31.9.2/24 dev y0
    ip -n "$a" link set y0 up
    ip -n "$b" link set y0 up
    configure "$a" 172.31.9.1 172.31.9.2 "$1"
    configure "$b" 172.31.9.2 172.31.9.1 "$1"
    start "$a"
    start "$b"
    pa=${pids[0]} pb=${pids[1]}
}

# PID: ends a daemon as a power failure does.
slay() {
    kill -9 "$1"
    wait "$1" 2>/dev/null || true
}
