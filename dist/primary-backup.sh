#!/bin/sh
# primary-backup.sh primary|backup|fault
#
# What keepalived runs when a firewall with zctd becomes the active one, the standby, or faulty: see keepalived.conf
# beside this file. While a node is not active, and while it takes over, its gate is closed: what would be forwarded,
# and what is meant for the shared addresses, is dropped before connection tracking sees it, ARP too. So the addresses
# answer only once the connections are in the kernel, and no packet of theirs is taken for the first of a new one.
# Everything else, such as VRRP and administration by the node's own addresses, passes.
#
# These can be set in /etc/default/zct-failover. Without INTERFACES there is no gate.
set -u
# The interfaces that traffic comes in by, and the shared IPv4 addresses that keepalived moves.
INTERFACES="${INTERFACES-}"
ADDRESSES="${ADDRESSES-}"
ZCTD="${ZCTD-/usr/sbin/zctd}"
# Without one, zctd's own choice: /etc/zctd/zctd.conf or /etc/conntrackd/conntrackd.conf.
CONFIGURATION="${CONFIGURATION-}"
# Seconds after which traffic has to flow, with the peer's connections or without.
PATIENCE="${PATIENCE-10}"
if [ -r /etc/default/zct-failover ]; then
    . /etc/default/zct-failover
fi

say() {
    if command -v logger >/dev/null 2>&1; then
        logger -t zct-failover -p daemon.notice -- "$1"
    else
        echo "zct-failover: $1" >&2
    fi
}

# A command of the daemon; what it says goes where the daemon's own messages go.
zctd() {
    "$ZCTD" ${CONFIGURATION:+-C "$CONFIGURATION"} "$@" || {
        say "zctd $*: exit status $?"
        return 1
    }
}

# The words as the elements of a set.
set_of() {
    out=
    for word in $1; do
        out="$out${out:+, }$2$word$2"
    done
    echo "{ $out }"
}

open_gate() {
    nft list table inet zct_gate >/dev/null 2>&1 || return 0
    echo 'delete table inet zct_gate; delete table arp zct_gate' | nft -f -
}

close_gate() {
    [ -n "$INTERFACES" ] || return 0
    addresses= arp=
    if [ -n "$ADDRESSES" ]; then
        addresses="ip daddr $(set_of "$ADDRESSES" '') drop"
        arp="arp daddr ip $(set_of "$ADDRESSES" '') drop"
    fi
    # Made anew in one step, whether it was there or not.
    nft -f - <<RULES
table inet zct_gate
delete table inet zct_gate
table arp zct_gate
delete table arp zct_gate
table inet zct_gate {
    chain prerouting {
        type filter hook prerouting priority -400; policy accept;
        iifname $(set_of "$INTERFACES" '"') fib daddr type unicast drop
        $addresses
    }
}
table arp zct_gate {
    chain input {
        type filter hook input priority 0; policy accept;
        $arp
    }
}
RULES
}

case "${1-}" in
primary)
    # The peer's connections into the kernel, before anything passes.
    zctd -c
    zctd wait --committed --timeout "$PATIENCE"
    open_gate
    # From now on they are this node's own: what is known of the peer is forgotten, and the peer, when it is
    # back, is sent everything.
    zctd -f
    zctd -R
    zctd -B
    ;;
backup)
    close_gate
    # The connections in this kernel belong to the other node now; those that it knows are asked for.
    zctd -t
    zctd -n
    ;;
fault)
    close_gate
    zctd -t
    ;;
*)
    echo "usage: $0 primary|backup|fault" >&2
    exit 2
    ;;
esac
