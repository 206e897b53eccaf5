#!/bin/sh
# Userspace helpers inside a virtual machine: the ten protocols through a router that admits only what is established or
# related, without translation, with source and with destination NAT, over IPv4 and IPv6; beside the original, whose
# expectations are compared with ours as sets; hostile commands; and the process of the helpers killed under connections.
#   helpers.sh ZCTD [ORIGINAL]     the daemons
# One verdict a line; exit status 1 when one is bad.
zctd=$1 original=${2:-}
here=$(cd "$(dirname "$0")" && pwd)
peers=$here/peers.pl announce=$here/announce.pl
work=$(mktemp -d) && cd "$work" || exit 1
. "$here/helpers-lab.sh"

without_own_helpers
client_router_server
ip route replace 10.1.0.99/32 dev lo
ip -n client route replace 10.1.0.99/32 via 10.1.0.1
server perl "$peers" server 10.222.111.2 >>server.log 2>&1 &
server perl "$peers" server fd00:2::2 >>server.log 2>&1 &
server perl "$announce" server 10.222.111.2 fd00:2::2 fe80::2%eth0 >>server.log 2>&1 &
for address in 10.222.111.2 fd00:2::2; do
    until_true server perl -MIO::Socket::IP -e "IO::Socket::IP->new(PeerHost => '$address', PeerPort => 21) or exit 1"
done
until_true grep -q ready server.log || verdict "the servers" "$(cat server.log)"

configuration >conf
# Only control connections: what is announced on them has to be translated because it is expected.
plain=
snat='chain post { type nat hook postrouting priority 100; oifname "server" iifname "client" masquerade; }'
dnat='chain pre { type nat hook prerouting priority -100; 
    ip daddr 10.1.0.99 tcp dport { 21, 111, 1521, 6566 } dnat ip to 10.222.111.2
    ip daddr 10.1.0.99 udp dport { 69, 111, 10080 } dnat ip to 10.222.111.2
    ip6 daddr fd00:3::9 tcp dport 21 dnat ip6 to fd00:2::2
}'
# All that is forwarded is in a zone, or only what the client sends: then what it opens is in that zone too.
zone='chain zone { type filter hook prerouting priority -300; iifname { "client", "server" } ct zone set 5; }'
half='chain zone { type filter hook prerouting priority -300; iifname "client" ct original zone set 5; }'

# One line an expectation, without what changes from run to run: of the seconds left some may be gone already.
plainly() { # CASE
    masked="s/master-src=[^ ]* master-dst=[^ ]* sport=[0-9]* dport=\([0-9]*\)/of-port=\1/; s/^ *\[NEW\] //"
    masked="$masked; s/^2[89][0-9] /300 /; s/^17[0-9] /180 /; s/^2[0-9] /30 /; s/^1[0-5] /16 /"
    case $1 in *ftp*) masked="$masked; s/ sport=0 dport=[0-9]* mask/ sport=0 dport=PORT mask/" ;; esac
    sed "$masked" | sort -u
}
sentinel=4000
# Runs a case, tells $tell of its result, and keeps what was expected meanwhile in $expected. Events come in their order:
# once that of a last request is there, no other one is missing.
try() { # CASE COMMAND...
    name=$1
    shift
    if "$@" >out 2>&1; then result=ok; else result=$(tr '\n' ' ' <out); fi
    sentinel=$((sentinel + 1))
    client perl "$announce" sentinel 10.222.111.2 $sentinel
    until_true grep -q " dport=$sentinel " events || { verdict "$name: events" "none of the request from port $sentinel: $(cat events.err)"; exit 1; }
    grep NEW events | grep -v " dport=$sentinel " | plainly "$name" >"$expected/$name"
    conntrack -F >/dev/null 2>&1
    : >events
    $tell "$name" "$result"
}
ftp() { for mode in $3; do try "ftp $mode$1" client perl "$peers" ftp $2 $mode; done; }
forwarded() { # WHAT ADDRESS: the others that pass through the router
    try "amanda$1" client perl "$announce" amanda $2
    for l4 in udp tcp; do for how in port address; do try "rpc $l4 $how$1" client perl "$announce" rpc $l4 $how $2; done; done
    try "sane$1" client perl "$announce" sane $2
    try "tns$1" client perl "$announce" tns $2
}
all() {
    rules "$plain" || { $tell "the rules" "cannot be loaded"; return; }
    ftp "" 10.222.111.2 "port eprt pasv epsv"
    ftp ", IPv6" fd00:2::2 "eprt epsv"
    try tftp client perl "$peers" tftp 10.222.111.2
    try "tftp, IPv6" client perl "$peers" tftp fd00:2::2
    forwarded "" 10.222.111.2
    forwarded ", IPv6" fd00:2::2
    try mdns perl "$announce" mdns 10.222.111.133
    try "mdns, IPv6" perl "$announce" mdns fe80::1%server
    try slp perl "$announce" slp 10.222.111.133
    try ssdp perl "$announce" ssdp 10.222.111.133
    try dhcpv6 perl "$announce" dhcpv6 fe80::1%server
    rules "$snat" || $tell "the rules for source NAT" "cannot be loaded"
    ftp ", source NAT" 10.222.111.2 "port eprt pasv epsv"
    # fd00:1::2 becomes fd00:2::1: text of the same length, which is what TCP over IPv6 allows.
    ftp ", source NAT, IPv6" fd00:2::2 "eprt epsv"
    try "tftp, source NAT" client perl "$peers" tftp 10.222.111.2
    try "tftp, source NAT, IPv6" client perl "$peers" tftp fd00:2::2
    forwarded ", source NAT" 10.222.111.2
    rules "$dnat" || $tell "the rules for destination NAT" "cannot be loaded"
    ftp ", destination NAT" 10.1.0.99 "port pasv epsv"
    ftp ", destination NAT, IPv6" fd00:3::9 "epsv"
    forwarded ", destination NAT" 10.1.0.99
    rules "$zone" || $tell "the rules for a zone" "cannot be loaded"
    ftp ", zone" 10.222.111.2 "port pasv"
    ftp ", zone, IPv6" fd00:2::2 "epsv"
    try "tftp, zone" client perl "$peers" tftp 10.222.111.2
    try "amanda, zone" client perl "$announce" amanda 10.222.111.2
    rules "$zone
$snat" || $tell "the rules for a zone with source NAT" "cannot be loaded"
    ftp ", zone, source NAT" 10.222.111.2 "port epsv"
    rules "$half" || $tell "the rules for a zone of one direction" "cannot be loaded"
    ftp ", zone of one direction" 10.222.111.2 "pasv"
    nft flush ruleset
}
errors() { ip netns exec "$1" cat /proc/net/snmp | awk '/^Tcp:/ { print $NF }' | tail -n 1; }

# Without a stub, a rule that names a helper would load the kernel's own.
"$zctd" helpers --prepare -C conf || verdict "the stubs are made" "exit $?"
if nfct list helper | grep -q enabled; then verdict "stubs are made disabled" "one is enabled"; else verdict "stubs are made disabled" ok; fi
rules "$plain"
verdict "nothing works without a helper" "$(client env PATIENCE=8 perl "$announce" sane 10.222.111.2 >/dev/null 2>&1 && echo 'it does' || echo ok)"
conntrack -F >/dev/null 2>&1
nft flush ruleset
"$zctd" -d -C conf >daemon.log 2>&1 || { verdict "zctd starts" "$(cat daemon.log log 2>/dev/null | tail -n 5 | tr '\n' ' ')"; exit 1; }
until_true enabled && verdict "the stubs are enabled" ok || verdict "the stubs are enabled" "$(nfct list helper | tr -d '\n\t')"

: >events
conntrack -E expect >>events 2>events.err &
listener=$!
mkdir ours theirs
tell=verdict expected=ours all
verdict "no checksum was wrong" "$([ "$(errors client)" = 0 ] && [ "$(errors server)" = 0 ] && echo ok || echo "$(errors client) and $(errors server)")"
verdict "the servers" "$(grep -v ready server.log || echo ok)"

# Hostile commands open nothing, and are counted.
rules "$plain"
before=$(conntrack -L expect 2>/dev/null | wc -l)
client perl "$peers" lines 10.222.111.2 'USER u' 'PORT 10,9,9,9,200,3' 'PORT 266,1,0,2,200,3' \
    'PORT 10,1,0,2,0,0' 'PORT 10,1,0,2,0,22' 'PORT 10,1,0,2,0,111' 'EPRT |1|10.1.0.2|70000|' >out 2>&1
verdict "hostile commands open nothing" "$([ "$(conntrack -L expect 2>/dev/null | wc -l)" = "$before" ] && echo ok || conntrack -L expect)"
told() { "$zctd" -s helper -C conf | grep -q "$1:"; }
for why in foreign-address malformed port-zero privileged-port reserved-port; do
    until_true told $why && verdict "refused as $why" ok || verdict "refused as $why" "$("$zctd" -s helper -C conf | tr '\n' ' ')"
done

# The process of the helpers dies in the middle of a connection: it goes on, and so do new ones.
client perl "$peers" ftp 10.222.111.2 port "$work/go" login >killed.out 2>&1 &
session=$!
until_true test -e "$work/go.login.here"
child=$("$zctd" -s helper -C conf | sed -n 's/.*process \([0-9]*\)$/\1/p')
kill -9 "$child"
other() { now=$("$zctd" -s helper -C conf | sed -n 's/.*process \([0-9]*\)$/\1/p'); [ -n "$now" ] && [ "$now" != "$child" ]; }
until_true other && verdict "the process is started again" ok || verdict "the process is started again" "$(tail -n 3 log | tr '\n' ' ')"
until_true enabled
touch "$work/go.login"
wait $session && verdict "a connection survives its helper" ok || verdict "a connection survives its helper" "$(tr '\n' ' ' <killed.out)"
conntrack -F >/dev/null 2>&1

"$zctd" -s helper -C conf | sed 's/^/     /'
"$zctd" -k -C conf
ended() { ! test -e lock; }
until_true ended
verdict "stubs are disabled when it ends" "$(nfct list helper | grep -q enabled && nfct list helper | tr -d '\n\t' || echo ok)"
verdict "connections pass without it" "$(client perl "$peers" lines 10.222.111.2 'USER u' >out 2>&1 && echo ok || tr '\n' ' ' <out)"
grep -E 'ERROR|panicked' log | grep -v 'their process has ended (signal: 9' && verdict "the log" "has errors"
nft flush ruleset
nfct flush helper 2>/dev/null

# The row of the table of intended differences (tests/src/differences/table.rs) for what the original expects otherwise,
# and for a transfer that fails with it.
row_of_expectations() { # CASE
    case $1 in
        amanda*) echo "Z helpers amanda" ;;
        dhcpv6) echo "Z helpers dhcpv6" ;;
        "ftp p"*zone*) echo "Z helpers zone" ;;
        "ftp epsv"* | "ftp eprt"*IPv6) echo "Z helpers ftp" ;;
        rpc*address*) echo "Z helpers rpc" ;;
        ssdp) echo "Z helpers ssdp" ;;
        "tns, IPv6" | "tns, destination NAT") echo "Z helpers tns" ;;
    esac
}
row_of_failure() { # CASE
    case $1 in
        dhcpv6 | ssdp) ;;
        "ftp port, source NAT" | "ftp eprt, source NAT" | tftp*NAT*) echo "Z helpers NAT" ;;
        "ftp pasv, destination NAT" | rpc*port*destination* | "sane, destination NAT") echo "Z helpers NAT" ;;
        *) row_of_expectations "$1" ;;
    esac
}
beside() { # CASE WHAT DIFFERS ROW: DIFFERS is empty when they are the same
    case "$3:$4" in
        :) verdict "$2 as the original's: $1" ok ;;
        :*) verdict "$2 as the original's: $1" "no difference, but there is a row for it: $4" ;;
        *:) verdict "$2 as the original's: $1" "$3" ;;
        *) verdict "$2 beside the original's: $1: $4" ok ;;
    esac
}
theirs() { beside "$1" result "$([ "$2" = ok ] || echo "$2")" "$(row_of_failure "$1")"; }
if [ -n "$original" ]; then
    rm -f lock log
    sed -i '/^Stats/d' conf
    # Most of its transfers under NAT wait for what never comes.
    if "$original" -d -C conf >daemon.log 2>&1; then
        export PATIENCE=8
        tell=theirs expected=theirs all
        "$original" -k -C conf
        for name in ours/*; do
            name=${name#ours/}
            beside "$name" expectations "$(diff "theirs/$name" "ours/$name")" "$(row_of_expectations "$name")"
        done
    else
        verdict "the original starts" "$(tr '\n' ' ' <daemon.log)"
    fi
fi
kill $listener
exit $bad
