#!/bin/sh
# Real servers and clients through zctd's helpers, inside a virtual machine, over a router that admits only what is
# established or related beside the control connections. Each is tried without its helper first, and has to fail.
#   helpers-programs.sh ZCTD
# One verdict a line; exit status 1 when one is bad.
zctd=$1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d) && cd "$work" || exit 1
. "$here/helpers-lab.sh"

without_own_helpers
client_router_server
ip route add 224.0.0.0/4 dev server
for side in client server; do ip -n $side route add 224.0.0.0/4 dev eth0; done
server=10.222.111.2
configuration >conf
"$zctd" helpers --prepare -C conf || verdict "the stubs are made" "exit $?"

# vsftpd, for anonymous users.
for address in "listen=YES listen_address=$server" "listen_ipv6=YES listen_address6=fd00:2::2"; do
    printf '%s\n' $address background=NO anonymous_enable=YES no_anon_password=YES anon_root=/srv secure_chroot_dir=/empty \
        port_enable=YES pasv_enable=YES isolate=NO isolate_network=NO seccomp_sandbox=NO connect_from_port_20=NO >"vsftpd${address%%=*}"
    server vsftpd "$work/vsftpd${address%%=*}" >>vsftpd.log 2>&1 &
done
server in.tftpd -L -4 -a $server:69 -s /srv >tftpd.log 2>&1 &
# The registry of RPC, and two services that are registered there: mountd, and the kernel's NFS.
server rpcbind -f -w >rpcbind.log 2>&1 &
registry() { server rpcinfo -p 127.0.0.1; }
until_true registry || verdict "rpcbind" "$(tr '\n' ' ' <rpcbind.log)"
mount -t tmpfs tmpfs /srv
printf 'hello from a file\n' >/srv/file
nfs=
if mount -t nfsd nfsd /proc/fs/nfsd 2>nfsd.log; then
    nfs=yes
    server exportfs -i -o rw,fsid=1,insecure,no_subtree_check '*:/srv' >>nfsd.log 2>&1
    server sh -c 'mount -t nfsd nfsd /proc/fs/nfsd; rpc.nfsd -N 4 1' >>nfsd.log 2>&1
fi
server sh -c 'mount -t nfsd nfsd /proc/fs/nfsd; exec rpc.mountd -F' >mountd.log 2>&1 &
# avahi without the bus, for the name x.local. dig cannot ask it: its socket takes answers of the group's address alone.
cat >avahi.conf <<END
[server]
host-name=x
use-ipv6=no
allow-interfaces=eth0
enable-dbus=no
END
server avahi-daemon --no-drop-root --no-chroot --no-rlimits -f "$work/avahi.conf" >avahi.log 2>&1 &
# saned with a scanner that is none; its client knows of the net alone.
mkdir sane
echo net >sane/dll.conf
: >sane/net.conf
echo test >/etc/sane.d/dll.conf
: >/etc/sane.d/test.conf
echo 10.1.0.0/24 >/etc/sane.d/saned.conf
# It looks its own name up before it lets anyone in.
hostname lab
server env SANE_DEBUG_SANED=4 saned -l -b $server >saned.log 2>&1 &
# minissdpd, to which a program announces the description of a device, as miniupnpd does.
server minissdpd -d -i eth0 -p "$work/ssdp.pid" -s "$work/ssdp.sock" >ssdp.log 2>&1 &
server perl "$here/device.pl" "$work/ssdp.sock" $server >device.log 2>&1 &
until_true grep -q ready device.log || verdict "minissdpd" "$(cat ssdp.log device.log | tr '\n' ' ')"

got() { grep -q 'hello from a file' got; }
fetched() { rm -f got; client "$@" >out 2>&1; got; }
nfs_read() {
    client sh -c "mkdir -p /tmp/mnt && mount.nfs -o vers=3,nolock,proto=tcp,soft,timeo=50,retrans=1 $server:/srv /tmp/mnt && cat /tmp/mnt/file >$work/got && umount /tmp/mnt" >out 2>&1
    got
}
scanned() { # SECONDS
    client env SANE_CONFIG_DIR="$work/sane" timeout -k 2 $1 scanimage -d net:$server:test:0 --format pnm --mode Gray --resolution 50 -x 20 -y 20 >got 2>out
    head -c 2 got | grep -q P5
}
# Each case: a name, and what has to succeed.
cases() { # WHAT IS SAID OF EACH
    $1 "vsftpd and tnftp, active" fetched timeout 60 tnftp -A -o got ftp://$server/file
    $1 "vsftpd and tnftp, passive" fetched timeout 60 tnftp -p -o got ftp://$server/file
    $1 "vsftpd and curl, PORT" fetched curl -sS -m 60 -P - --disable-eprt -o got ftp://$server/file
    $1 "vsftpd and curl, EPRT" fetched curl -sS -m 60 -P - -o got ftp://$server/file
    $1 "vsftpd and curl, PASV" fetched curl -sS -m 60 --disable-epsv -o got ftp://$server/file
    $1 "vsftpd and curl, EPSV" fetched curl -sS -m 60 -o got ftp://$server/file
    $1 "vsftpd and curl, EPRT over IPv6" fetched curl -sS -m 60 -P - -o got "ftp://[fd00:2::2]/file"
    $1 "vsftpd and curl, EPSV over IPv6" fetched curl -sS -m 60 -o got "ftp://[fd00:2::2]/file"
    $1 "tftpd-hpa and tftp-hpa" fetched timeout 60 tftp -4 $server -c get file got
    $1 "rpcbind, mountd and rpcinfo, UDP" client timeout 60 rpcinfo -T udp $server 100005 3
    $1 "rpcbind, mountd and rpcinfo, TCP" client timeout 60 rpcinfo -T tcp $server 100005 3
    [ -z "$nfs" ] || $1 "rpcbind and a mount of NFS version 3" nfs_read
    $1 "saned and scanimage" scanned 60
    $1 "avahi and a query of our own" perl "$here/announce.pl" mdns 10.222.111.133
    $1 "minissdpd and upnpc" device_found
}
device_found() { timeout 60 upnpc -m server -l >out 2>&1; grep -q "http://$server:8080/desc.xml" out; }
works() { name=$1; shift; if "$@" >out1 2>&1; then verdict "$name" ok; else verdict "$name" "$(cat out1 out | tr '\n' ' ')"; fi; }

rules || verdict "the rules" "cannot be loaded"
# Without the helpers' process the data connections do not pass; a few are enough, since each waits for its end.
fails() { name=$1; shift; if "$@" >/dev/null 2>&1; then verdict "$name, without a helper" "works"; else verdict "$name, without a helper, fails" ok; fi; }
fails "vsftpd and curl, EPSV" fetched curl -sS -m 8 -o got ftp://$server/file
fails "tftpd-hpa and tftp-hpa" fetched timeout 8 tftp -4 $server -c get file got
fails "saned and scanimage" scanned 8
conntrack -F >/dev/null 2>&1
"$zctd" -d -C conf >daemon.log 2>&1 || { verdict "zctd starts" "$(cat daemon.log log | tail -n 5 | tr '\n' ' ')"; exit 1; }
until_true enabled || verdict "the stubs are enabled" "$(nfct list helper | tr -d '\n\t')"
cases works
[ -n "$nfs" ] || echo "     this kernel has no NFS server here: $(tr '\n' ' ' <nfsd.log)"
"$zctd" -s helper -C conf | awk '/^helper/ { title = $0 } /^expectations made:/ && $3 { print "     " title, $3, "expectations" }'
"$zctd" -k -C conf
ended() { ! test -e lock; }
until_true ended
grep -E 'ERROR|panicked' log && verdict "the log" "has errors"
for log in vsftpd tftpd rpcbind mountd nfsd saned avahi ssdp; do [ ! -s $log.log ] || [ $bad = 0 ] || tail -n 12 $log.log | sed "s/^/     $log: /"; done
exit $bad
