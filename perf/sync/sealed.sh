# Sealed peers beside plain ones, for perf/sync.sh to source, which sets flows, round and variant and has the functions
# used here: the same load on the same nodes, in turn, so that the two rows of a pair are of the same minute.
# shellcheck shell=bash disable=SC2154

# NODE ID: Auth for a node's configuration, with a key that both read.
auth() {
    [ -f "$dir/key" ] || "${daemon[zctd]}" genkey "$dir/key" >/dev/null
    echo "NodeID $2
    Auth {
        Key 1 file:$dir/key
        ActiveKey 1
    }"
}

# Datagrams that a node has sent, in sync or not.
datagrams() { { ask "$1" status --json 2>/dev/null || true; } | grep -o '"tx":{[^}]*}' | member packets; }

# New flows at a rate, a bulk of them, and the same load again: CPU of both daemons, datagrams, time, the longest lag.
sealed() {
    local rate=30000 count=$((flows * 2 / 5)) name ta tb sent t most
    for name in plain sealed; do
        sealing=$([ $name = plain ] || echo yes)
        prepare "$flows"
        # What a start and the first proof cost is not of interest.
        load "$a" 1000 0
        await "$b" 1000 10 >/dev/null || { short "$name: the first flows were not replicated"; sealing=; return 0; }
        ip netns exec "$a" "$zct" -F >/dev/null 2>&1
        await "$b" 0 10 >/dev/null || { short "$name: the backup still knows what has ended"; sealing=; return 0; }
        ta=$(ticks "$pa") tb=$(ticks "$pb") sent=$(datagrams "$a")
        load "$a" "$count" $rate
        await "$b" "$count" 100 >/dev/null || { short "$name: $count flows were not replicated"; sealing=; return 0; }
        record "$name-active-cpu-us" $rate "$(micro $(($(ticks "$pa") - ta)) "$count")"
        record "$name-backup-cpu-us" $rate "$(micro $(($(ticks "$pb") - tb)) "$count")"
        record "$name-datagrams" $rate $(($(datagrams "$a") - sent))
        ask "$b" -f external
        await "$b" 0 1 >/dev/null || { short "$name: the external cache is not empty"; sealing=; return 0; }
        t=$(now)
        ask "$a" -B
        await "$b" "$count" 1 >/dev/null && record "$name-bulk-s" "$count" "$(seconds "$t" "$(now)")"
        ip netns exec "$a" "$zct" -F >/dev/null 2>&1
        await "$b" 0 10 >/dev/null || { short "$name: the backup still knows what has ended"; sealing=; return 0; }
        most=$(longest_lag "$a" load "$a" "$count" $rate)
        record "$name-lag-s" $rate "$most"
        [ $name = plain ] || [ "$(ask "$a" status --json | member proofs)" -gt 0 ] || short "nothing was sealed"
    done
    sealing=
}
