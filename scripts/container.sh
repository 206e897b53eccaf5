#!/bin/sh
# container.sh [TARGET]: the root directory of a container image with the static programs and nothing else, into
# target/container, and, as root on a machine of that kind, a try of it by chroot in a network namespace of its own.
set -eu
cd "$(dirname "$0")/.."
target="${1:-$(uname -m)-unknown-linux-musl}"
scripts/build.sh "$target"

image=target/container root=target/container/root
rm -rf "$image"
install -d "$root/usr/sbin" "$root/etc/zctd" "$root/run/zctd" "$root/run/lock" "$root/var/log" "$root/usr/share/doc/zct"
ln -s /run "$root/var/run"
ln -s /run/lock "$root/var/lock"
install -m 755 "target/$target/release/zct" "target/$target/release/zctd" "$root/usr/sbin"
ln -s zct "$root/usr/sbin/conntrack"
ln -s zct "$root/usr/sbin/nfct"
ln -s zctd "$root/usr/sbin/conntrackd"
install -m 644 LICENSE-MIT LICENSE-APACHE "$root/usr/share/doc/zct"
scripts/third_party.sh >"$root/usr/share/doc/zct/THIRD-PARTY"
cp dist/container/Containerfile "$image"

if [ "$(id -u)" != 0 ] || [ "${target%%-*}" != "$(uname -m)" ]; then
    echo "container.sh: $image is made; trying it takes root, and a machine of that kind" >&2
    exit 0
fi
tried=$(mktemp -d)
trap 'rm -rf "$tried"' EXIT
cp -a "$root/." "$tried"
printf 'General {\nLogFile on\nUNIX {\nPath /run/zctd/zctd.ctl\n}\n}\nStats {\n}\n' >"$tried/etc/zctd/zctd.conf"
PATH="$PATH:/usr/sbin:/sbin" unshare --net sh -euc '
    root=$1
    chroot=$(command -v chroot)
    try() { env -i "$chroot" "$root" "$@"; }
    # In the foreground, as a container runs it: there is no /dev here, which -d would need.
    try /usr/sbin/zctd >/dev/null 2>&1 &
    trap "kill $! 2>/dev/null || :" EXIT
    for _ in $(seq 100); do
        ! try /usr/sbin/zctd wait --ready --timeout 0 2>/dev/null || break
        sleep 0.1
    done
    try /usr/sbin/conntrack -I -p udp -s 192.0.2.1 -d 192.0.2.2 --sport 1 --dport 2 -t 60
    try /usr/sbin/zct -L -o json | grep -q "\"src\":\"192.0.2.1\""
    try /usr/sbin/nfct list timeout
    for _ in $(seq 100); do
        ! try /usr/sbin/zctd -i | grep -q src=192.0.2.1 || break
        sleep 0.1
    done
    try /usr/sbin/zctd -i | grep -q src=192.0.2.1
    try /usr/sbin/zctd -k
    wait' sh "$tried"
[ ! -e "$tried/run/zctd/zctd.ctl" ]
echo "container.sh: $image is made, and its programs run with it as their root directory"
