#!/bin/sh
# primary-backup.sh primary|backup|fault
#
# What keepalived runs when a firewall with zctd becomes the active one, the standby, or faulty: see keepalived.conf
# beside this file. While a node is not active, and while it takes over, its gate is closed: what would be forwarded,
# and what is meant for the shared addresses, is dropped before connection tracking sees it, ARP too. So the addresses
# answer only once the connections are in the kernel, and no packet of theirs is taken for the first of a new one.
# Everything else, such as VRRP and administration by the node's own addresses, passes. keepalived announces the
# addresses before that: neighbours may send here at once, since the gate holds, and do not ask a dead node any longer.
#
# keepalived does not wait for one of these to end before it begins the next. The one that it began last decides: a
# take-over that is outdated does not open the gate, and whatever comes late does nothing.
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
# A directory that is empty after a boot.
RUNTIME="${RUNTIME-/run}"
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

# When this script was begun: ticks since the boot, and among those of the same tick its number.
mine=$(sed 's/.*) //' "/proc/$$/stat" | cut -d ' ' -f 20)
mine="${mine:-0} $$"
# Where the latest one writes the same. Where nothing can be written, each counts as the latest.
latest="$RUNTIME/zct-failover"
OUTDATED=3
if ! true 2>/dev/null >>"$latest.lock"; then
    say "can't write to $RUNTIME: of two scripts at a time the one that ends last decides"
    latest=/dev/null
fi

# Runs a command while no other of these scripts does; without flock(1) of util-linux it just runs it.
alone() {
    (
        [ "$latest" = /dev/null ] || ! command -v flock >/dev/null 2>&1 || {
            exec 9>>"$latest.lock"
            flock 9
        }
        "$@"
    )
}

# Becomes the latest, unless that was begun after this one, and runs a command.
claim() {
    newer=$(printf '%s\n%s\n' "$(cat "$latest" 2>/dev/null)" "$mine" | sort -k 1,1n -k 2,2n | tail -n 1)
    [ "$newer" = "$mine" ] || return $OUTDATED
    echo "$mine" >"$latest" || rm -f "$latest"
    "$@"
}

# Runs a command if this is still the latest.
still() {
    [ ! -s "$latest" ] || [ "$(cat "$latest")" = "$mine" ] || return $OUTDATED
    "$@"
}

# The end of a script that is not, with its word and the status of what it tried.
unless_outdated() {
    [ "$2" != $OUTDATED ] || {
        say "$1: the node has another state by now"
        exit 0
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
    alone claim true
    unless_outdated primary $?
    # The peer's connections into the kernel, before anything passes.
    zctd -c
    zctd wait --committed --timeout "$PATIENCE"
    alone still open_gate
    unless_outdated primary $?
    # From now on they are this node's own: what is known of the peer is forgotten, and the peer, when it is
    # back, is sent everything.
    zctd -f
    zctd -R
    zctd -B
    ;;
backup)
    alone claim close_gate
    unless_outdated backup $?
    # The connections in this kernel belong to the other node now; those that it knows are asked for.
    zctd -t
    zctd -n
    ;;
fault)
    alone claim close_gate
    unless_outdated fault $?
    zctd -t
    ;;
*)
    echo "usage: $0 primary|backup|fault" >&2
    exit 2
    ;;
esac
