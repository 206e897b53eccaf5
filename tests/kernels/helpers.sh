#!/bin/sh
# Userspace helpers inside a virtual machine: FTP and TFTP through a router that admits only what is established or
# related, without translation, with source and with destination NAT, over IPv4 and IPv6; beside the original, which
# manages few of them; hostile commands; and the process of the helpers killed in the middle of a connection.
#   helpers.sh ZCTD [ORIGINAL] [PEERS]     the daemons, and peers.pl
# One verdict a line; exit status 1 when one is bad.
zctd=$1 original=${2:-} peers=${3:-$(dirname "$0")/peers.pl}
work=$(mktemp -d) && cd "$work" || exit 1
bad=0
verdict() { # NAME ok|RESULT
    if [ "$2" = ok ]; then echo "ok   helpers: $1"; else echo "BAD  helpers: $1: $2"; bad=1; fi
}
until_true() { # COMMAND... for up to a minute
    n=0
    until "$@" >/dev/null 2>&1; do
        n=$((n + 1))
        [ $n -lt 600 ] || return 1
        sleep 0.1
    done
}

# The kernel's own helpers have the names that the stubs need.
for m in nf_nat_ftp nf_conntrack_ftp nf_nat_tftp nf_conntrack_tftp; do rmmod $m 2>/dev/null; done
for side in client server; do
    ip netns add $side
    ip link add $side type veth peer name eth0 netns $side
    ip link set $side up
    ip -n $side link set lo up
    ip -n $side link set eth0 up
done
# Addresses of other lengths on the two sides, so that text changes its length.
ip address add 10.1.0.1/24 dev client
ip address add 10.222.111.133/24 dev server
ip -6 address add fd00:1::1/64 dev client nodad
ip -6 address add fd00:2::1/64 dev server nodad
ip -n client address add 10.1.0.2/24 dev eth0
ip -n server address add 10.222.111.2/24 dev eth0
ip -n client -6 address add fd00:1::2/64 dev eth0 nodad
ip -n server -6 address add fd00:2::2/64 dev eth0 nodad
ip -n client route add default via 10.1.0.1
ip -n server route add default via 10.222.111.133
ip -n client -6 route add default via fd00:1::1
ip -n server -6 route add default via fd00:2::1
echo 1 >/proc/sys/net/ipv4/ip_forward
echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
ip netns exec server perl "$peers" server 10.222.111.2 >>server.log 2>&1 &
ip netns exec server perl "$peers" server fd00:2::2 >>server.log 2>&1 &
for address in 10.222.111.2 fd00:2::2; do
    until_true ip netns exec server perl -MIO::Socket::IP -e "IO::Socket::IP->new(PeerHost => '$address', PeerPort => 21) or exit 1"
done

cat >conf <<END
Helper {
    Setup on
    Type ftp inet tcp { QueueNum 1 QueueLen 1024 }
    Type ftp inet6 tcp { QueueNum 2 }
    Type tftp inet udp { QueueNum 3 }
    Type tftp inet6 udp { QueueNum 4 }
}
General {
    LockFile $work/lock
    LogFile $work/log
    UNIX { Path $work/ctl }
}
Stats { LogFile off }
END
rules() { # NAT
    nft -f - <<END
flush ruleset
table inet fw {
    ct helper ftp-user { type "ftp" protocol tcp; }
    ct helper tftp-user { type "tftp" protocol udp; }
    chain assign {
        type filter hook prerouting priority 0; policy accept;
        tcp dport 21 ct helper set "ftp-user"
        udp dport 69 ct helper set "tftp-user"
    }
    chain forward {
        type filter hook forward priority 0; policy drop;
        ct state established accept
        ct state related counter accept
        meta l4proto icmpv6 accept
        iifname "client" tcp dport 21 accept
        iifname "client" udp dport 69 accept
    }
    $1
}
END
}
plain=
snat='chain post { type nat hook postrouting priority 100; oifname "server" meta nfproto ipv4 masquerade; oifname "server" meta nfproto ipv6 masquerade; }'
dnat='chain pre { type nat hook prerouting priority -100; ip daddr 10.1.0.99 dnat ip to 10.222.111.2; ip6 daddr fd00:3::9 dnat ip6 to fd00:2::2; }'

transfer() { # NAME WORDS...
    name=$1
    shift
    if ip netns exec client perl "$peers" "$@" >out 2>&1; then echo ok; else tr '\n' ' ' <out; fi
    conntrack -F >/dev/null 2>&1
}
all() { # a function that is told of each: NAME RESULT
    rules "$plain" || { $1 rules "cannot be loaded"; return; }
    for mode in port eprt pasv epsv; do $1 "ftp $mode" "$(transfer x ftp 10.222.111.2 $mode)"; done
    for mode in eprt epsv; do $1 "ftp $mode, IPv6" "$(transfer x ftp fd00:2::2 $mode)"; done
    $1 tftp "$(transfer x tftp 10.222.111.2)"
    $1 "tftp, IPv6" "$(transfer x tftp fd00:2::2)"
    rules "$snat"
    for mode in port eprt pasv epsv; do $1 "ftp $mode, source NAT" "$(transfer x ftp 10.222.111.2 $mode)"; done
    # fd00:1::2 becomes fd00:2::1: text of the same length, which is what TCP over IPv6 allows.
    for mode in eprt epsv; do $1 "ftp $mode, source NAT, IPv6" "$(transfer x ftp fd00:2::2 $mode)"; done
    $1 "tftp, source NAT" "$(transfer x tftp 10.222.111.2)"
    $1 "tftp, source NAT, IPv6" "$(transfer x tftp fd00:2::2)"
    rules "$dnat"
    ip route replace 10.1.0.99/32 dev lo 2>/dev/null
    ip -n client route replace 10.1.0.99/32 via 10.1.0.1
    for mode in port pasv epsv; do $1 "ftp $mode, destination NAT" "$(transfer x ftp 10.1.0.99 $mode)"; done
    $1 "ftp epsv, destination NAT, IPv6" "$(transfer x ftp fd00:3::9 epsv)"
    nft flush ruleset
}
theirs() { if [ "$2" = ok ]; then echo "     the original: $1: ok"; else echo "     the original: $1: fails ($2)"; fi; }
errors() { ip netns exec "$1" cat /proc/net/snmp | awk '/^Tcp:/ { print $NF }' | tail -n 1; }

# Without a stub, a rule that names a helper would load the kernel's own.
"$zctd" helpers --prepare -C conf || verdict "the stubs are made" "exit $?"
if nfct list helper | grep -q enabled; then verdict "stubs are made disabled" "one is enabled"; else verdict "stubs are made disabled" ok; fi
rules "$plain"
verdict "nothing works without a helper" "$([ "$(transfer x tftp 10.222.111.2)" != ok ] && echo ok || echo 'it does')"
nft flush ruleset
"$zctd" -d -C conf >daemon.log 2>&1 || { verdict "zctd starts" "$(cat daemon.log log 2>/dev/null | tail -n 5 | tr '\n' ' ')"; exit 1; }
four() { [ "$(nfct list helper | grep -c enabled)" = 4 ]; }
until_true four && verdict "the stubs are enabled" ok || verdict "the stubs are enabled" "$(nfct list helper | tr -d '\n\t')"

all verdict
verdict "no checksum was wrong" "$([ "$(errors client)" = 0 ] && [ "$(errors server)" = 0 ] && echo ok || echo "$(errors client) and $(errors server)")"

# Hostile commands open nothing, and are counted.
rules "$plain"
before=$(conntrack -L expect 2>/dev/null | wc -l)
ip netns exec client perl "$peers" lines 10.222.111.2 'USER u' 'PORT 10,9,9,9,200,3' 'PORT 266,1,0,2,200,3' \
    'PORT 10,1,0,2,0,0' 'PORT 10,1,0,2,0,22' 'PORT 10,1,0,2,0,111' 'EPRT |1|10.1.0.2|70000|' >out 2>&1
verdict "hostile commands open nothing" "$([ "$(conntrack -L expect 2>/dev/null | wc -l)" = "$before" ] && echo ok || conntrack -L expect)"
told() { "$zctd" -s helper -C conf | grep -q "$1:"; }
for why in foreign-address malformed port-zero privileged-port reserved-port; do
    until_true told $why && verdict "refused as $why" ok || verdict "refused as $why" "$("$zctd" -s helper -C conf | tr '\n' ' ')"
done

# The process of the helpers dies in the middle of a connection: it goes on, and so do new ones.
ip netns exec client perl "$peers" ftp 10.222.111.2 port "$work/go" >killed.out 2>&1 &
client=$!
until_true test -e "$work/go.here"
child=$("$zctd" -s helper -C conf | sed -n 's/.*process \([0-9]*\)$/\1/p')
kill -9 "$child"
other() { now=$("$zctd" -s helper -C conf | sed -n 's/.*process \([0-9]*\)$/\1/p'); [ -n "$now" ] && [ "$now" != "$child" ]; }
until_true other && verdict "the process is started again" ok || verdict "the process is started again" "$(tail -n 3 log | tr '\n' ' ')"
until_true four
touch "$work/go"
wait $client && verdict "a connection survives its helper" ok || verdict "a connection survives its helper" "$(tr '\n' ' ' <killed.out)"
conntrack -F >/dev/null 2>&1

"$zctd" -s helper -C conf | sed 's/^/     /'
"$zctd" -k -C conf
ended() { ! test -e lock; }
until_true ended
verdict "stubs are disabled when it ends" "$(nfct list helper | grep -q enabled && nfct list helper | tr -d '\n\t' || echo ok)"
verdict "connections pass without it" "$(ip netns exec client perl "$peers" lines 10.222.111.2 'USER u' >out 2>&1 && echo ok || tr '\n' ' ' <out)"
grep -E 'ERROR|panicked' log && verdict "the log" "has errors"
nft flush ruleset
nfct flush helper 2>/dev/null

if [ -n "$original" ]; then
    rm -f lock log
    sed -i '/^Stats/d' conf
    "$original" -d -C conf >daemon.log 2>&1 && all theirs
    "$original" -k -C conf
fi
exit $bad
