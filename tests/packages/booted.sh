#!/bin/bash
# In a container that has booted systemd: a firewall with a peer, which is the original's daemon in a network namespace of
# its own, goes from the original to ours and back, and then to zctd's own unit.
set -euxo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
new=/zct-test/debs/new old=/zct-test/debs/old
apt="apt-get -qq -y --no-install-recommends --allow-downgrades"

# until_ok COMMAND…: it succeeds within half a minute.
until_ok() {
    for _ in $(seq 300); do
        "$@" && return
        sleep 0.1
    done
    systemctl --no-pager status conntrackd zctd || true
    journalctl --no-pager | tail -50
    echo "not within half a minute: $*" >&2
    return 1
}

# daemon_conf ADDRESS PEER INTERFACE DIRECTORY: a firewall of two.
daemon_conf() {
    cat <<TEXT
Sync {
    Mode FTFW {
    }
    UDP {
        IPv4_address $1
        IPv4_Destination_Address $2
        Port 3780
        Interface $3
    }
}
General {
    HashSize 8192
    HashLimit 65535
    LockFile $4.lock
    UNIX {
        Path $4.ctl
    }
    LogFile /var/log/conntrackd.log
    NetlinkBufferSize 2097152
    NetlinkBufferSizeMaxGrowth 8388608
}
TEXT
}

$apt install conntrack conntrackd libnfnetlink0
systemctl stop conntrackd
cp /usr/sbin/conntrackd /usr/sbin/conntrack /zct-test/
# What the peer and the tests go on using; apt would take the libraries away with the packages.
# shellcheck disable=SC2046 # the list is words on purpose
apt-mark manual $(dpkg-query -W -f '${Package} ' 'libnetfilter*' 'libnfnetlink*' 'libmnl*' 'libsystemd0') >/dev/null

ip netns add peer
ip link add sync0 type veth peer name sync0 netns peer
ip addr add 192.0.2.1/24 dev sync0
ip link set sync0 up
ip link set lo up
ip -n peer addr add 192.0.2.2/24 dev sync0
ip -n peer link set sync0 up
daemon_conf 192.0.2.2 192.0.2.1 sync0 /run/peer | sed 's|/var/log/conntrackd.log|/var/log/peer.log|' >/zct-test/peer.conf
ip netns exec peer /zct-test/conntrackd -C /zct-test/peer.conf -d
# The socket in /var/run is the original's.
daemon_conf 192.0.2.1 192.0.2.2 sync0 /var/run/conntrackd >/etc/conntrackd/conntrackd.conf
echo "# of the administrator" >>/etc/conntrackd/conntrackd.conf
find /etc/conntrackd /etc/default/conntrackd -type f -exec sha256sum {} + >/configuration

flow() {
    /zct-test/conntrack -I -p tcp -s "10.0.0.$1" -d 10.0.1.1 --sport 1000 --dport 443 -t 3600 --state ESTABLISHED \
        -u ASSURED,SEEN_REPLY >/dev/null
}
peer_has() {
    ip netns exec peer /zct-test/conntrackd -C /zct-test/peer.conf -e 2>/dev/null | grep -q "src=10.0.0.$1 "
}
property() { systemctl show -P "$2" "$1"; }
runs() { [ "$(property "$1" ActiveState)" = active ]; }
program() { readlink -f "/proc/$(property "$1" MainPID)/exe"; }

systemctl start conntrackd
until_ok runs conntrackd
flow 1
until_ok peer_has 1
echo "ok: a pair of originals replicates"

$apt install $old/zctd_*.deb $old/conntrackd-from-zct_*.deb
until_ok runs conntrackd
[ "$(program conntrackd)" = /usr/sbin/zctd ]
systemctl is-enabled conntrackd
flow 2
until_ok peer_has 2
until_ok peer_has 1
conntrackd -s | grep -F 'cache internal'
conntrackd status || true
sha256sum --quiet -c /configuration
echo "ok: conntrackd-from-zct takes over: it runs, is enabled, replicates, and has changed no file"

before=$(property conntrackd MainPID)
$apt install $new/zctd_*.deb $new/conntrackd-from-zct_*.deb
until_ok runs conntrackd
[ "$(property conntrackd MainPID)" != "$before" ]
flow 3
until_ok peer_has 3
echo "ok: an upgrade restarts it"

# What the unit leaves to it: no more rights than these, and no file system to write to but for run and log.
pid=$(property conntrackd MainPID)
grep -E '^(CapBnd|CapEff|Seccomp|NoNewPrivs)' "/proc/$pid/status"
grep -qE '^CapBnd:\s*0000000000003400$' "/proc/$pid/status"
grep -qE '^CapEff:\s*0000000000001000$' "/proc/$pid/status"
grep -qE '^Seccomp:\s*2$' "/proc/$pid/status"
nsenter --mount --target "$pid" sh -c 'touch /etc/x 2>/dev/null && exit 1; touch /run/x /var/log/x'
# Without a right to signal, and as somebody else, the socket is closed.
[ "$(stat -c '%a %U' /run/conntrackd.ctl)" = "600 root" ]
setpriv --reuid nobody --regid nogroup --clear-groups /usr/sbin/zctd -C /etc/conntrackd/conntrackd.conf -s && exit 1
systemctl reload conntrackd
until_ok grep -q -i 'reread\|reload\|configuration' /var/log/conntrackd.log
runs conntrackd
echo "ok: it runs with what the unit leaves it, and reloads"

systemctl stop conntrackd
[ "$(property conntrackd Result)" = success ]
[ "$(property conntrackd ExecMainStatus)" = 0 ]
[ ! -e /run/conntrackd.ctl ]
[ ! -e /run/conntrackd.lock ]
systemctl start conntrackd
runs conntrackd
# Killed, it comes again and takes over its own leftovers. systemd has counted the starts before.
systemctl reset-failed conntrackd
kill -KILL "$(property conntrackd MainPID)"
killed_and_back() { runs conntrackd && [ "$(property conntrackd NRestarts)" = 1 ]; }
until_ok killed_and_back
conntrackd -s >/dev/null
echo "ok: it stops clean, starts, and starts again when it was killed"

$apt install conntrackd
until_ok runs conntrackd
[ "$(program conntrackd)" = /usr/sbin/conntrackd ]
[ "$(readlink -f /usr/sbin/conntrackd)" = /usr/sbin/conntrackd ]
flow 4
until_ok peer_has 4
until_ok peer_has 2
sha256sum --quiet -c /configuration
echo "ok: the original comes back, with its configuration"

# zctd's own unit, beside the original's package: its own configuration, and everything of its own in /run/zctd.
daemon_conf 192.0.2.1 192.0.2.2 sync0 /run/zctd/zctd | sed 's|/var/log/conntrackd.log|/var/log/zctd.log|' \
    >/etc/zctd/zctd.conf
[ "$(property zctd ActiveState)" = inactive ]
[ "$(systemctl is-enabled zctd)" = disabled ]
systemctl start zctd
until_ok runs zctd
[ "$(property conntrackd ActiveState)" != active ]
flow 5
until_ok peer_has 5
[ "$(stat -c '%a %U' /run/zctd /run/zctd/zctd.ctl /run/zctd/zctd.lock /var/log/zctd.log | xargs)" = \
    "750 root 600 root 600 root 600 root" ]
zctd -s >/dev/null
setpriv --reuid nobody --regid nogroup --clear-groups /usr/sbin/zctd -C /etc/zctd/zctd.conf -s && exit 1
# The log is rotated, and written to under its name again.
logrotate --force /etc/logrotate.d/zctd
[ -s /var/log/zctd.log.1 ]
systemctl reload zctd
until_ok test -s /var/log/zctd.log
echo "ok: zctd.service runs beside the original's package, with /run/zctd closed to others"

# A scheduler is refused with a warning, and allowed by realtime.conf.
sed -i 's|^General {|&\nScheduler { Type FIFO Priority 10 }|' /etc/zctd/zctd.conf
systemctl restart zctd
runs zctd
grep -F "can't set the scheduler" /var/log/zctd.log
mkdir -p /etc/systemd/system/zctd.service.d
cp /usr/share/zctd/realtime.conf /etc/systemd/system/zctd.service.d/
systemctl daemon-reload
systemctl restart zctd
chrt -p "$(property zctd MainPID)" | grep -F SCHED_FIFO
echo "ok: a scheduler by realtime.conf"

$apt purge zctd
[ ! -e /etc/zctd ]
[ ! -e /var/log/zctd.log ]
[ "$(property zctd LoadState)" = not-found ] || [ "$(property zctd ActiveState)" != active ]
echo "ok: purged, it has stopped and left nothing"
