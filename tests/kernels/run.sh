#!/bin/bash
# Runs the checks of guest/ under Debian's kernels, zct beside the original: make test-kernels.
#   tests/kernels/run.sh [KERNEL...]        kernels as kernel.sh takes them; without any, 6.1 and 6.12
#   SUITES="listing events"                 only these suites
#   ZCT=target/.../zct                      this program instead of a fresh release build: the static one, say
# A kernel takes a minute or two and, the first time, a download of 70 to 110 MB. Each verdict is a line; the
# exit status is 1 when any of them is bad.
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH=$PATH:/usr/sbin:/sbin
[ $# -gt 0 ] || set -- 6.1 6.12
[ "$(uname -m)" = x86_64 ] || { echo "run.sh: the kernels are those of amd64" >&2; exit 1; }

scripts/setup.sh qemu-system-x86_64:qemu-system-x86 busybox:busybox cpio:cpio depmod:kmod xz:xz-utils zstd:zstd \
    conntrack:conntrack nfct:nfct conntrackd:conntrackd nft:nftables ip:iproute2 perl:perl-base

target=${CARGO_TARGET_DIR:-target}
"${CARGO:-cargo}" build --release --locked --quiet --package zct --package zctd --package zct-tests \
    --bin zct --bin zctd --bin kernel-guest
zct=${ZCT:-$target/release/zct}
# The executable of tests/tests/nfct.rs, which nfct.sh runs in the guest.
nfct_test=$("${CARGO:-cargo}" test --no-run --locked --package zct-tests --test nfct 2>&1 |
    sed -n 's/.*Executable tests\/nfct.rs (\(.*\))$/\1/p')
[ -x "$nfct_test" ] || { echo "run.sh: tests/tests/nfct.rs does not build" >&2; exit 1; }

work=$(mktemp -d) root=$work/root guests=()
# Each guest with its pipe is a process group of its own, which ends with this script however the script ends.
set -m
trap 'for guest in "${guests[@]}"; do kill -- "-$guest" 2>/dev/null || true; done; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
mkdir -p "$root"/{zct,usr/sbin,etc/xtables}
cp "$zct" "$root/zct/zct"
cp "$target/release/kernel-guest" "$target/release/zctd" "$root/zct/"
cp "$nfct_test" "$root/zct/nfct-test"
ln -s zct "$root/zct/conntrack"
ln -s zct "$root/zct/nfct"
for program in conntrack nfct conntrackd nft ip setpriv perl; do
    cp "$(command -v $program)" "$root/usr/sbin/"
done
cp /etc/protocols "$root/etc/" 2>/dev/null || true # names of protocols, where there are any
printf '%s\n' '1 one' '7 seven' '70 seventy' >"$root/etc/xtables/connlabel.conf"
mkdir -p "$root/usr/lib/x86_64-linux-gnu"
cp -a /usr/lib/x86_64-linux-gnu/perl-base "$root/usr/lib/x86_64-linux-gnu/"
# The original's helpers, which it loads by their names.
cp -a /usr/lib/x86_64-linux-gnu/conntrack-tools "$root/usr/lib/x86_64-linux-gnu/"
tests/kernels/with-libraries.sh "$root" "$root"/zct/zct "$root"/zct/zctd "$root"/zct/kernel-guest "$root"/zct/nfct-test \
    "$root"/usr/sbin/* "$root"/usr/lib/x86_64-linux-gnu/conntrack-tools/*.so
# The suite nfct, if chosen, is a separate script: it runs with sh, with our program as /zct/nfct and the
# original as /usr/sbin/nfct; it prints its verdicts, and its exit status counts.
suites=${SUITES:-} command='code=0'
others=$(echo " $suites " | sed 's/ nfct / /; s/ helpers / /')
if [ -z "$suites" ] || [ "$others" != " " ]; then
    command+="; /zct/kernel-guest $others || code=1"
fi
if [[ -e tests/kernels/nfct.sh && -z $suites || " $suites " = *" nfct "* ]]; then
    cp tests/kernels/nfct.sh "$root/zct/"
    command+='; sh /zct/nfct.sh || code=1'
fi
# So is the suite helpers.
if [[ -z $suites || " $suites " = *" helpers "* ]]; then
    cp tests/kernels/helpers{,-takeover}.sh tests/kernels/{peers,announce,many}.pl "$root/zct/"
    command+='; sh /zct/helpers.sh /zct/zctd /usr/sbin/conntrackd || code=1; sh /zct/helpers-takeover.sh /zct/zctd || code=1'
fi

# All at the same time, each guest on a processor of its own; every line begins with its kernel.
for version in "$@"; do
    kernel=$(tests/kernels/kernel.sh "$version")
    cp -a "$root" "$work/$version"
    # selinux without a policy gives every packet the same security context, which secmark rules can use.
    (set -o pipefail; ZCT_KERNELS_APPEND=security=selinux tests/kernels/boot.sh "$kernel" "$work/$version" \
        sh -c "$command; exit \$code" 2>&1 |
        sed -u "s/^/$version  /") &
    guests+=($!)
done
bad=0
for guest in "${guests[@]}"; do
    wait "$guest" || bad=1
done
guests=()
exit $bad
