#!/bin/sh
# Two routers with helpers inside a virtual machine, in namespaces of their own: FTP sessions whose data connection is
# open, or still expected, go on through the standby when the active one dies at once, with and without translation. Then
# the helpers' process of a router is killed under many connections.
#   helpers-takeover.sh ZCTD     the daemon. MANY: how many connections (10000)
# The kernel has one list of stubs for all namespaces, and one enabled is enabled everywhere; hence the dying router's
# processes are stopped before they are killed, so that they do not disable what is the standby's too.
# One verdict a line; exit status 1 when one is bad.
zctd=$1 many=${MANY:-10000}
here=$(cd "$(dirname "$0")" && pwd)
peers=$here/peers.pl
work=$(mktemp -d) && cd "$work" || exit 1
. "$here/helpers-lab.sh"
on() { ip netns exec "$@"; }

without_own_helpers
for ns in client server one two; do
    ip netns add t$ns
    ip -n t$ns link set lo up
done
# A router has the interfaces "client" and "server" while it is active, and "sync" always.
ip link add client netns tone type veth peer name eth0 netns tclient
ip link add server netns tone type veth peer name eth0 netns tserver
ip link add sync netns tone type veth peer name sync netns ttwo
for n in 1:one 2:two; do
    ip -n t${n#*:} address add 10.9.0.${n%:*}/24 dev sync
    ip -n t${n#*:} link set sync up
    on t${n#*:} sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
done
active() { # ROUTER
    ip -n $1 address add 10.1.0.1/24 dev client
    ip -n $1 address add 10.2.0.1/24 dev server
    ip -n $1 address add 10.222.111.1/24 dev server
    ip -n $1 link set client up
    ip -n $1 link set server up
}
active tone
ip -n tclient address add 10.1.0.2/24 dev eth0
ip -n tserver address add 10.2.0.2/24 dev eth0
ip -n tserver address add 10.2.0.3/24 dev eth0
ip -n tserver address add 10.222.111.2/24 dev eth0
for side in client:10.1.0.1 server:10.2.0.1; do
    ip -n t${side%:*} link set eth0 up
    ip -n t${side%:*} route add default via ${side#*:}
done

config() { # ROUTER OWN OTHER
    cat >$1.conf <<END
Sync {
    Mode FTFW { }
    UDP {
        IPv4_address 10.9.0.$2
        IPv4_Destination_Address 10.9.0.$3
        Port 3780
        Interface sync
    }
    Options { ExpectationSync On }
}
Helper {
    Setup on
    Type ftp inet tcp { QueueNum 1 QueueLen 16384 }
}
General {
    HashSize 8192
    HashLimit 65536
    LockFile $work/$1.lock
    LogFile $work/$1.log
    UNIX { Path $work/$1.ctl }
    Filter From Kernelspace { Address Ignore { IPv4_address 127.0.0.1 IPv4_address 10.9.0.0/24 } }
}
END
}
config one 1 2
config two 2 1
"$zctd" helpers --prepare -C one.conf || { verdict "the stub is made" "exit $?"; exit 1; }
for router in one two; do
    on t$router nft -f - <<END || verdict "the rules" "cannot be loaded"
table inet fw {
    ct helper ftp-user { type "ftp" protocol tcp; }
    chain assign {
        type filter hook prerouting priority 0; policy accept;
        tcp dport 21 ct helper set "ftp-user"
    }
    chain forward {
        type filter hook forward priority 0; policy drop;
        ct state established accept
        ct state related counter accept
        iifname "client" tcp dport 21 accept
    }
    # Addresses of other lengths, so that the sequence numbers of control connections change.
    chain pre {
        type nat hook prerouting priority -100;
        ip daddr 192.0.2.99 tcp dport 21 dnat ip to 10.222.111.2
    }
    chain post {
        type nat hook postrouting priority 100;
        ip daddr 10.222.111.2 ct original ip daddr 10.222.111.2 tcp dport 21 snat ip to 10.222.111.1
    }
}
END
    on t$router "$zctd" -d -C $router.conf >$router.out 2>&1 || { verdict "zctd starts" "$(cat $router.out $router.log)"; exit 1; }
done
for router in one two; do
    until_true on t$router "$zctd" wait --synced --timeout 60 -C $router.conf && verdict "router $router is in sync" ok ||
        verdict "router $router is in sync" "$("$zctd" status -C $router.conf | tr '\n' ';')"
    until_true grep -q 'helper ftp inet tcp: reads queue 1' $router.log || verdict "router $router has its helper" "$(tail -n 3 $router.log)"
done

for address in 10.2.0.2 10.222.111.2; do
    on tserver perl "$peers" server $address >>server.log 2>&1 &
    servers="${servers:-} $!"
    until_true on tserver perl -MIO::Socket::IP -e "IO::Socket::IP->new(PeerHost => '$address', PeerPort => 21) or exit 1"
done
# Which server, how, and the point at which the active router dies: 10.222.111.2 is reached with another source address,
# and under another one of its own.
sessions="10.2.0.2:port:half 10.2.0.2:pasv:half 10.2.0.2:eprt:announced 10.2.0.2:epsv:announced
    10.222.111.2:port:half 10.222.111.2:eprt:announced 192.0.2.99:pasv:half 192.0.2.99:epsv:announced"
for s in $sessions; do
    IFS=: read -r address mode point <<END
$s
END
    on tclient perl "$peers" ftp $address $mode "$work/$s" $point >$s.out 2>&1 &
    echo $! >$s.pid
done
for s in $sessions; do
    until_true test -e $s.${s##*:}.here || { verdict "ftp $s up to the take-over" "$(cat $s.out)"; exit 1; }
done
# Eight control connections, four data connections and four expectations.
known() { [ "$("$zctd" -e -C two.conf | grep -c ESTABLISHED)" = 12 ] && [ "$("$zctd" -e expect -C two.conf | grep -c helper=ftp)" = 4 ]; }
until_true known && verdict "the standby knows flows and expectations" ok ||
    verdict "the standby knows flows and expectations" "$("$zctd" -e -C two.conf; "$zctd" -e expect -C two.conf)"
process() { "$zctd" -s helper -C $1.conf | sed -n 's/.*process \([0-9]*\)$/\1/p'; }
both="$(process one) $("$zctd" status --json -C one.conf | sed 's/.*"pid":\([0-9]*\),"time".*/\1/')"
kill -STOP $both
kill -KILL $both
"$zctd" -c -C two.conf || verdict "the standby commits" "exit $?"
ip -n tone link set client netns ttwo
ip -n tone link set server netns ttwo
active ttwo
for s in $sessions; do touch $s.${s##*:}; done
for s in $sessions; do
    wait "$(cat $s.pid)" && verdict "ftp $s goes on after the take-over" ok ||
        verdict "ftp $s goes on after the take-over" "$(tr '\n' ' ' <$s.out)"
done
for s in 10.2.0.2:port 10.2.0.2:epsv 10.222.111.2:port 192.0.2.99:pasv; do
    on tclient perl "$peers" ftp ${s%:*} ${s#*:} >new.out 2>&1 && verdict "ftp $s, begun at the standby" ok ||
        verdict "ftp $s, begun at the standby" "$(tr '\n' ' ' <new.out)"
done
kill $servers

# Many connections, and no process for half of their packets.
echo $((4 * many)) >/proc/sys/net/netfilter/nf_conntrack_max
ulimit -n $((many + 100))
on tserver perl "$here/many.pl" server 10.2.0.3 $many >many-server.out 2>&1 &
server=$!
until_true grep -q ready many-server.out
on tclient perl "$here/many.pl" client 10.2.0.3 $many "$work/many" >many.out 2>&1 &
clients=$!
n=0
until [ -e many.here ] || [ $n -ge 6000 ]; do n=$((n + 1)); sleep 0.1; done
[ -e many.here ] || { verdict "$many connections" "$(cat many.out many-server.out)"; exit 1; }
entries=$(on ttwo cat /proc/sys/net/netfilter/nf_conntrack_count)
echo "     $entries entries in the table; $("$zctd" status -C two.conf | grep 'helper  *ftp')"
child=$(process two)
kill -STOP $child
touch many
until_true test -e many.half
waiting() { on ttwo cat /proc/net/netfilter/nfnetlink_queue; }
echo "     packets in the queue when its process is killed: $(waiting | awk '{ print $3 }')"
kill -KILL $child
touch many.on
wait $clients && verdict "$many connections survive their helper" ok || verdict "$many connections survive their helper" "$(cat many.out)"
wait $server && verdict "their server" ok || verdict "their server" "$(cat many-server.out)"
again() { "$zctd" status --json -C two.conf | grep -q '"restarts":1,'; }
until_true again && verdict "the process is started again, and counted" ok ||
    verdict "the process is started again, and counted" "$("$zctd" status -C two.conf | grep helpers)"
until_true sh -c 'nfct list helper | grep -q enabled' && verdict "its stub is enabled again" ok || verdict "its stub is enabled again" "$(nfct list helper)"
"$zctd" -s helper -C two.conf | sed 's/^/     /'
"$zctd" -k -C two.conf
ended() { ! test -e two.lock; }
until_true ended
grep -hE 'ERROR|panicked' one.log two.log | grep -v 'their process has ended (signal: 9' && verdict "the logs" "have errors"
exit $bad
