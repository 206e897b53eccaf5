# What the scripts of the suite helpers share; sourced by each of them, in a virtual machine.
# Verdicts are lines; $bad is the exit status.
bad=0
verdict() { # NAME ok|RESULT
    if [ "$2" = ok ]; then echo "ok   helpers: $1"; else echo "BAD  helpers: $1: $2"; bad=1; fi
}
until_true() { # COMMAND... for up to two minutes, however long the command itself takes
    since=$(cut -d. -f1 /proc/uptime)
    until "$@" >/dev/null 2>&1; do
        [ "$(cut -d. -f1 /proc/uptime)" -lt $((since + 120)) ] || return 1
        sleep 0.1
    done
}
# The kernel's own helpers have the names that the stubs need.
without_own_helpers() {
    for m in nf_nat_ftp nf_conntrack_ftp nf_nat_tftp nf_conntrack_tftp; do rmmod $m 2>/dev/null; done
}
client() { ip netns exec client "$@"; }
server() { ip netns exec server "$@"; }

# A client and a server in namespaces of their own, and this machine as the router between them. Addresses have other
# lengths on the two sides, so that text changes its length.
client_router_server() {
    for side in client server; do
        ip netns add $side
        ip link add $side type veth peer name eth0 netns $side
        ip link set $side up
        ip -n $side link set lo up
        ip -n $side link set eth0 up
    done
    ip address add 10.1.0.1/24 dev client
    ip address add 10.222.111.133/24 dev server
    ip -6 address add fd00:1::1/64 dev client nodad
    ip -6 address add fd00:2::1/64 dev server nodad
    ip -6 address add fe80::1/64 dev server nodad
    ip -n client address add 10.1.0.2/24 dev eth0
    ip -n server address add 10.222.111.2/24 dev eth0
    ip -n client -6 address add fd00:1::2/64 dev eth0 nodad
    ip -n server -6 address add fd00:2::2/64 dev eth0 nodad
    ip -n server -6 address add fe80::2/64 dev eth0 nodad
    ip -n client route add default via 10.1.0.1
    ip -n server route add default via 10.222.111.133
    ip -n client -6 route add default via fd00:1::1
    ip -n server -6 route add default via fd00:2::1
    ip route add 239.0.0.0/8 dev server
    echo 1 >/proc/sys/net/ipv4/ip_forward
    echo 1 >/proc/sys/net/ipv6/conf/all/forwarding
}

types="amanda:inet:udp amanda:inet6:udp dhcpv6:inet6:udp ftp:inet:tcp ftp:inet6:tcp mdns:inet:udp mdns:inet6:udp
    rpc:inet:tcp rpc:inet:udp rpc:inet6:tcp rpc:inet6:udp sane:inet:tcp sane:inet6:tcp slp:inet:udp
    ssdp:inet:tcp ssdp:inet:udp tftp:inet:udp tftp:inet6:udp tns:inet:tcp tns:inet6:tcp"
stubs=20
configuration() { # [MORE]: what each type has beside its queue
    queue=0
    echo "Helper {"
    echo "    Setup on"
    for type in $types; do
        queue=$((queue + 1))
        echo "    Type $(echo $type | tr : ' ') { QueueNum $queue QueueLen 1024 ${1:-} }"
    done
    cat <<END
}
General {
    LockFile $work/lock
    LogFile $work/log
    UNIX { Path $work/ctl }
}
Stats { LogFile off }
END
}
enabled() { [ "$(nfct list helper | grep -c enabled)" = $stubs ]; }

# Only what is established or related passes, beside the control connections and the router's own requests.
rules() { # [NAT]
    nft -f - <<END
flush ruleset
table inet fw {
    ct helper amanda-user { type "amanda" protocol udp; }
    ct helper dhcpv6-user { type "dhcpv6" protocol udp; }
    ct helper ftp-user { type "ftp" protocol tcp; }
    ct helper mdns-user { type "mdns" protocol udp; }
    ct helper rpc-tcp-user { type "rpc" protocol tcp; }
    ct helper rpc-udp-user { type "rpc" protocol udp; }
    ct helper sane-user { type "sane" protocol tcp; }
    ct helper slp-user { type "slp" protocol udp; }
    ct helper ssdp-user { type "ssdp" protocol udp; }
    ct helper tftp-user { type "tftp" protocol udp; }
    ct helper tns-user { type "tns" protocol tcp; }
    chain assign {
        type filter hook prerouting priority 0; policy accept;
        tcp dport 21 ct helper set "ftp-user"
        tcp dport 111 ct helper set "rpc-tcp-user"
        tcp dport 1521 ct helper set "tns-user"
        tcp dport 6566 ct helper set "sane-user"
        udp dport 69 ct helper set "tftp-user"
        udp dport 111 ct helper set "rpc-udp-user"
        udp dport 10080 ct helper set "amanda-user"
    }
    chain assign-local {
        type filter hook output priority 0; policy accept;
        udp dport 427 ct helper set "slp-user"
        udp dport 547 ct helper set "dhcpv6-user"
        udp dport 1900 ct helper set "ssdp-user"
        udp dport 5353 ct helper set "mdns-user"
    }
    chain forward {
        type filter hook forward priority 0; policy drop;
        ct state established accept
        ct state related counter accept
        meta l4proto icmpv6 accept
        iifname "client" tcp dport { 21, 111, 1521, 6566 } accept
        iifname "client" udp dport { 69, 111, 10080 } accept
    }
    chain input {
        type filter hook input priority 0; policy drop;
        ct state established accept
        ct state related accept
        meta l4proto { icmp, icmpv6 } accept
    }
    ${1:-}
}
END
}
