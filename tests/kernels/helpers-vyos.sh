#!/bin/sh
# The configuration that VyOS renders inside a virtual machine: nfct has made the stubs before, since the file does not say
# Setup, and rpc and tns work through a router that admits only what is established or related.
#   helpers-vyos.sh ZCTD
# One verdict a line; exit status 1 when one is bad.
zctd=$1
here=$(cd "$(dirname "$0")" && pwd)
announce=$here/announce.pl
work=$(mktemp -d) && cd "$work" || exit 1
. "$here/helpers-lab.sh"

client_router_server
server perl "$announce" server 10.222.111.2 fd00:2::2 fe80::2%eth0 >server.log 2>&1 &
until_true grep -q ready server.log || verdict "the servers" "$(cat server.log)"
# The links of the rendered file.
for link in 1:192.0.2 2:198.51.100; do
    ip link add eth${link%:*} type veth peer name peer${link%:*}
    ip address add ${link#*:}.1/24 dev eth${link%:*}
    ip link set eth${link%:*} up
    ip link set peer${link%:*} up
done
# Where this machine has no such folders.
sed "s|/var/lock/|$work/|; s|/var/run/|$work/|; s|LogFile off|LogFile $work/log|; s|Syslog on|Syslog off|" \
    "$here/vyos-udp.conf" >conf
rules() {
    nft -f - <<END
flush ruleset
table ip vyos_conntrack {
    ct helper rpc_tcp { type "rpc" protocol tcp; }
    ct helper rpc_udp { type "rpc" protocol udp; }
    ct helper tns_tcp { type "tns" protocol tcp; }
    chain VYOS_CT_HELPER {
        tcp dport { 111 } ct helper set "rpc_tcp" return
        udp dport { 111 } ct helper set "rpc_udp" return
        tcp dport { 1521, 1525, 1536 } ct helper set "tns_tcp" return
        return
    }
    chain PREROUTING_HELPER {
        type filter hook prerouting priority -5; policy accept;
        counter jump VYOS_CT_HELPER
    }
}
table ip vyos_filter {
    chain FORWARD {
        type filter hook forward priority 0; policy drop;
        ct state { established, related } accept
        iifname "client" meta l4proto { tcp, udp } th dport { 111, 1521 } accept
    }
}
END
}
works() { client perl "$announce" $1 10.222.111.2 >out 2>&1; }
for stub in "rpc inet tcp" "rpc inet udp" "tns inet tcp"; do
    "$here/nfct" helper add $stub || verdict "VyOS: nfct helper add $stub" "exit $?"
done
rules || verdict "VyOS: the rules" "cannot be loaded"
export PATIENCE=8
for case in "rpc udp port" tns; do
    verdict "VyOS: $case is not reached without the daemon" "$(works "$case" && echo 'it is' || echo ok)"
done
unset PATIENCE
conntrack -F >/dev/null 2>&1
"$zctd" -d -C conf >daemon.log 2>&1 || { verdict "VyOS: zctd starts" "$(cat daemon.log log | tail -n 5 | tr '\n' ' ')"; exit 1; }
on() { [ "$(nfct list helper | grep -c enabled)" = 3 ]; }
until_true on && verdict "VyOS: the stubs are enabled" ok || verdict "VyOS: the stubs are enabled" "$(nfct list helper | tr -d '\n\t'; tail -n 5 log)"
for stub in rpc:3 rpc:4 tns:5; do
    nfct list helper | tr -d '\n\t' | grep -q "name = ${stub%:*},.queuenum = ${stub#*:}," &&
        verdict "VyOS: ${stub%:*} has queue ${stub#*:}" ok || verdict "VyOS: ${stub%:*} has queue ${stub#*:}" "$(nfct list helper | tr -d '\n\t')"
done
for case in "rpc udp port" "rpc tcp port" "rpc tcp address" tns; do
    works "$case" && verdict "VyOS: $case" ok || verdict "VyOS: $case" "$(tr '\n' ' ' <out)"
    conntrack -F >/dev/null 2>&1
done
"$zctd" -s helper -C conf | sed 's/^/     /'
"$zctd" -k -C conf
ended() { ! test -e conntrack.lock; }
until_true ended
verdict "VyOS: stubs are disabled when it ends" "$(nfct list helper | grep -q enabled && nfct list helper | tr -d '\n\t' || echo ok)"
grep -E 'ERROR|panicked' log && verdict "VyOS: the log" "has errors"
exit $bad
