#!/bin/sh
# What strangers might send to open ports that nobody meant, inside a virtual machine: each attempt of attack.pl goes
# through the kernel, opens nothing, and is counted by its reason. The packets themselves arrive.
# Last comes what other programs may do to the stubs, of which the kernel has one list for all namespaces.
#   helpers-attacks.sh ZCTD
# One verdict a line; exit status 1 when one is bad.
zctd=$1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d) && cd "$work" || exit 1
. "$here/helpers-lab.sh"

without_own_helpers
client_router_server
# Ethernet's largest frames: a packet in the queue is then larger than a page.
for side in client server; do
    ip link set $side mtu 9000
    ip -n $side link set eth0 mtu 9000
done
server perl "$here/attack.pl" server "$work" >server.log 2>&1 &
until_true grep -q ready server.log || verdict "the server" "$(cat server.log)"
configuration >conf
"$zctd" helpers --prepare -C conf || verdict "the stubs are made" "exit $?"
"$zctd" -d -C conf >daemon.log 2>&1 || { verdict "zctd starts" "$(cat daemon.log log | tail -n 5 | tr '\n' ' ')"; exit 1; }
until_true enabled || verdict "the stubs are enabled" "$(nfct list helper | tr -d '\n\t')"

# Lines "TYPE: REASON N" of what has been refused; the daemon is told of it every second.
refused() {
    "$zctd" -s helper -C conf | awk '/^helper / { title = substr($0, 8) } /^  / { sub(":", "", $1); print title, $1, $2 }' >now
}
# Each of the attempts has been counted; what came over TCP more than once if it was sent again.
all_counted() {
    refused
    awk '{ what = $1 " " $2 " " $3 " " $4 }
        FILENAME == "before" { n[what] -= $5 }
        FILENAME == "now" { n[what] += $5 }
        FILENAME == "counts" && (n[what] < $5 || (n[what] > $5 && $3 == "udp:")) { print n[what] + 0, "instead of", $0; bad = 1 }
        END { exit bad }' before now counts >missing
}
attacks() { # PART
    refused
    mv now before
    perl "$here/attack.pl" "$work" $1 || bad=1
    if until_true all_counted; then
        while read -r line; do verdict "counted: $line" ok; done <counts
    else
        verdict "counted" "$(tr '\n' ';' <missing)"
    fi
}
rules || verdict "the rules" "cannot be loaded"
attacks plain
waiting() { awk '{ n += $3 } END { exit n != 0 }' /proc/net/netfilter/nfnetlink_queue; }
until_true waiting && verdict "nothing waits in a queue" ok || verdict "nothing waits in a queue" "$(cat /proc/net/netfilter/nfnetlink_queue)"

# Where nobody can say how to translate: what a group answers, and text over IPv6 that would change its length.
rules 'chain post { type nat hook postrouting priority 100;
    meta nfproto ipv4 udp dport { 427, 1900, 5353 } snat ip to 10.222.111.133:41000-42000
    ip6 saddr fd00:1::2 snat ip6 to fd00:2::1234:5678
}' || verdict "the rules with a translation" "cannot be loaded"
ip -6 address add fd00:2::1234:5678/64 dev server nodad
attacks translated

rules
configuration "MaxExpectations 1 AllowFrom 10.1.0.0/24 AllowFrom fd00::/16" >conf
pid=$("$zctd" status --json -C conf | sed 's/.*"pid":\([0-9]*\),"time".*/\1/')
kill -HUP $pid
renewed() { [ "$(grep -c 'helper tns inet6 tcp: reads queue' log)" = 2 ]; }
until_true renewed || verdict "the settings are read again" "$(tail -n 3 log)"
ip -n client address add 10.1.1.2/32 dev eth0
ip route add 10.1.1.2/32 dev client
attacks settings

said() { grep -q "helper $1: its stub $2" log; }
told() { # NAME TYPE WORDS: what the log says
    name=$1
    shift
    until_true said "$@" && verdict "$name" ok || verdict "$name" "$(tail -n 3 log | tr '\n' ' ')"
}
nfct disable helper ftp inet tcp
told "a stub that another program disables" "ftp inet tcp" "has been disabled"
kill -HUP $pid
told "it is enabled again with the configuration" "ftp inet tcp" "is enabled again"
cat >other.conf <<END
Helper {
    Setup on
    Type tftp inet udp { QueueNum 99 }
}
General {
    LockFile $work/other.lock
    LogFile $work/other.log
    UNIX { Path $work/other.ctl }
}
Stats { LogFile off }
END
ip netns add other
ip netns exec other "$zctd" helpers -C other.conf >other.out 2>&1 &
other=$!
theirs() { nfct list helper | tr -d '\n\t' | grep -q 'name = tftp,.queuenum = 99,.l3protonum = 2,.l4protonum = 17,.priv_data_len = 0,.status = enabled'; }
until_true theirs || verdict "another namespace takes a stub" "$(cat other.out other.log; nfct list helper | tr -d '\n\t')"
grep -q 'was enabled with queue' other.log && verdict "it says whose it was" ok || verdict "it says whose it was" "$(cat other.log)"
told "a stub that another namespace takes" "tftp inet udp" "has been given another queue"
"$zctd" -k -C conf
ended() { ! test -e lock; }
until_true ended
theirs && verdict "it is left to that when the daemon ends" ok || verdict "it is left to that when the daemon ends" "$(nfct list helper | tr -d '\n\t')"
kill -TERM $other
wait $other
verdict "all stubs are disabled in the end" "$(nfct list helper | grep -q enabled && nfct list helper | tr -d '\n\t' || echo ok)"
grep -E 'ERROR|panicked' log && verdict "the log" "has errors"
exit $bad
