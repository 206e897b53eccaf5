#!/bin/bash
# Runs the checks of guest/ under Debian's kernels, zct beside the original: make test-kernels.
#   tests/kernels/run.sh [KERNEL...]        kernels as kernel.sh takes them; without any, 6.1 and 6.12
#   SUITES="listing events"                 only these suites; "helpers" are all of tests/kernels/helpers*.sh but
#                                           helpers-speed, and each of them is a suite too
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
work=$(mktemp -d) root=$work/root guests=()
# Each guest with its pipe is a process group of its own, which ends with this script however the script ends.
set -m
trap 'for guest in "${guests[@]}"; do kill -- "-$guest" 2>/dev/null || true; done; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
mkdir -p "$root"/{zct,usr/sbin,etc/xtables}
cp "$zct" "$root/zct/zct"
cp "$target/release/kernel-guest" "$target/release/zctd" "$root/zct/"
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
tests/kernels/with-libraries.sh "$root" "$root"/zct/zct "$root"/zct/zctd "$root"/zct/kernel-guest \
    "$root"/usr/sbin/* "$root"/usr/lib/x86_64-linux-gnu/conntrack-tools/*.so
# What a guest runs is a line of commands for sh, which set $code. The checks of guest/ and of nfct.sh share one; each
# script of the suite helpers has one of its own, since they leave behind what the others would trip over, and since a
# guest is ended when its time is over.
runs=()
suites=${SUITES:-}
others=$(echo " $suites " | sed -E 's/ nfct / /g; s/ helpers(-[a-z]+)? / /g; s/ helpers(-[a-z]+)? / /g; s/^ +$//')
command=
if [ -z "$suites" ] || [ -n "$others" ]; then
    command="/zct/kernel-guest $others || code=1"
fi
if [[ -e tests/kernels/nfct.sh && -z $suites || " $suites " = *" nfct "* ]]; then
    # The executable of tests/tests/nfct.rs, which nfct.sh runs in the guest.
    nfct_test=$("${CARGO:-cargo}" test --no-run --locked --package zct-tests --test nfct 2>&1 |
        sed -n 's/.*Executable tests\/nfct.rs (\(.*\))$/\1/p')
    [ -x "$nfct_test" ] || { echo "run.sh: tests/tests/nfct.rs does not build" >&2; exit 1; }
    cp "$nfct_test" "$root/zct/nfct-test"
    tests/kernels/with-libraries.sh "$root" "$nfct_test"
    # It runs with sh, with our program as /zct/nfct and the original as /usr/sbin/nfct.
    cp tests/kernels/nfct.sh "$root/zct/"
    command="${command:+$command; }sh /zct/nfct.sh || code=1"
fi
[ -z "$command" ] || runs+=("$command")
cp tests/kernels/helpers*.sh tests/kernels/*.p[lm] tests/fixtures/vyos-udp.conf "$root/zct/"
for script in tests/kernels/helpers*.sh; do
    name=${script##*/} name=${name%.sh}
    [ "$name" != helpers-lab ] || continue
    # What is measured is of use to who asks for it.
    if [[ $name != helpers-speed && (-z $suites || " $suites " = *" helpers "*) || " $suites " = *" $name "* ]]; then
        [ "$name" != helpers-programs ] || tests/kernels/helpers-programs.root "$work/programs"
        runs+=("sh /zct/$name.sh /zct/zctd /usr/sbin/conntrackd || code=1")
    fi
done

# All kernels at the same time, the guests of each one after the other; every line begins with its kernel.
for version in "$@"; do
    kernel=$(tests/kernels/kernel.sh "$version")
    (
        set -o pipefail
        bad=0
        for command in "${runs[@]}"; do
            rm -rf "${work:?}/$version"
            cp -a "$root" "$work/$version"
            [[ $command != *helpers-programs.sh* ]] || cp -a "$work/programs/." "$work/$version/"
            # selinux without a policy gives every packet the same security context, which secmark rules can use.
            ZCT_KERNELS_APPEND=security=selinux tests/kernels/boot.sh "$kernel" "$work/$version" \
                sh -c "code=0; $command; exit \$code" 2>&1 | sed -u "s/^/$version  /" || bad=1
        done
        exit $bad
    ) &
    guests+=($!)
done
bad=0
for guest in "${guests[@]}"; do
    wait "$guest" || bad=1
done
guests=()
exit $bad
