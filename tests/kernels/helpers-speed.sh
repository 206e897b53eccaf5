#!/bin/sh
# Packets through one queue, zctd's helpers beside the original's, inside a virtual machine: datagrams of a flow that has
# the helper tftp and no command in them. What a second of an emulated machine is worth nobody knows; only the ratio counts.
#   helpers-speed.sh ZCTD ORIGINAL
# One verdict a line; exit status 1 when one is bad.
zctd=$1 original=$2
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d) && cd "$work" || exit 1
. "$here/helpers-lab.sh"

without_own_helpers
client_router_server
types="tftp:inet:udp" stubs=1
configuration >conf
packets=20000
# Sends with as many packets under way as the queue takes, and says how many arrive, in how many milliseconds.
through() {
    server perl "$here/flood.pl" count 10.222.111.2 $packets >counted 2>&1 &
    counter=$!
    until_true grep -q ready counted
    client perl "$here/flood.pl" send 10.222.111.2 $packets "$work/counted" >sent 2>&1 || cat sent
    wait $counter
    tail -n 1 counted
    conntrack -F >/dev/null 2>&1
}
measured() { # NAME: three times, the best counts
    best=0
    for round in 1 2 3; do
        set -- "$1" $(through)
        [ "$2" = $packets ] || { verdict "$1: packets through the queue" "$2 of $packets"; return; }
        rate=$((packets * 1000 / $3))
        [ $rate -le $best ] || best=$rate
    done
    echo "     $1: $best packets a second"
}
"$zctd" helpers --prepare -C conf || verdict "the stub is made" "exit $?"
tftp_rules() {
    nft -f - <<END
flush ruleset
table inet fw {
    ct helper tftp-user { type "tftp" protocol udp; }
    chain assign { type filter hook prerouting priority 0; policy accept; udp dport 69 ct helper set "tftp-user"; }
    chain forward { type filter hook forward priority 0; policy accept; }
}
END
}
tftp_rules || verdict "the rules" "cannot be loaded"
ended() { ! test -e lock; }
measured "no helper"
none=$best
"$zctd" -d -C conf || { verdict "zctd starts" "exit $?"; exit 1; }
until_true enabled
measured zctd
ours=$best
seen() { [ "$("$zctd" -s helper -C conf | awk '/^packets:/ { print $2 }')" -ge $((3 * packets)) ]; }
until_true seen || verdict "all packets went through the queue" "$("$zctd" -s helper -C conf)"
"$zctd" -k -C conf
until_true ended
nft flush ruleset
nfct flush helper 2>/dev/null
sed -i '/^Stats/d' conf
rm -f lock log
"$original" -d -C conf || { verdict "the original starts" "exit $?"; exit 1; }
tftp_rules || verdict "the rules" "cannot be loaded"
measured original
echo "     zctd to the original: $((ours * 100 / best)) %; to no helper: $((ours * 100 / none)) %"
[ $bad != 0 ] || verdict "all packets came through the queues" ok
"$original" -k -C conf
until_true ended
exit $bad
