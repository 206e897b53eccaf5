#!/bin/bash
# boot.sh KERNEL ROOT COMMAND...: boots a kernel with the files in the folder ROOT, runs the command there as
# root, and passes on its standard output, standard error and exit status. KERNEL is what kernel.sh printed.
# busybox, init and the modules are added to ROOT. The machine is emulated, so that this works everywhere; the
# guest is about 35 times slower than its host.
#   ZCT_KERNELS_SECONDS  the guest is ended after this many seconds, with status 124 (1200)
#   ZCT_KERNELS_APPEND   more words for the kernel's command line
# Status 125: the guest ended before its command did; the end of its log is shown.
set -euo pipefail
[ $# -ge 3 ] || { echo "usage: boot.sh KERNEL ROOT COMMAND..." >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
kernel=$1 root=$2
shift 2

work=$(mktemp -d)
qemu=
# The process started here is timeout(1), which passes the signal on to the guest.
trap '[ -z "$qemu" ] || kill "$qemu" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

chmod 755 "$root"
mkdir -p "$root"/{bin,proc,sys,dev,tmp,run,root,applets,modules,etc}
cp "$(command -v busybox)" "$root/bin/busybox"
cp "$here/init" "$root/init"
cp "$kernel"/modules/* "$kernel/order" "$root/modules/"
printf ' %q' exec "$@" >"$root/run/command"
"$here/with-libraries.sh" "$root" "$root/bin/busybox"
(cd "$root" && find . | cpio -o -H newc -R 0:0 --quiet) >"$work/initrd"

# An oops is a failure, not a line in a log: panic=-1 with -no-reboot ends qemu. no_timer_check: that check
# fails on a busy host.
timeout -k 5 "${ZCT_KERNELS_SECONDS:-1200}" qemu-system-x86_64 -accel tcg -cpu Nehalem -smp 1 -m 512 \
    -no-user-config -nodefaults -display none -no-reboot \
    -serial "file:$work/log" -serial stdio -serial "file:$work/err" -serial "file:$work/status" \
    -kernel "$kernel/vmlinuz" -initrd "$work/initrd" \
    -append "console=ttyS0 loglevel=5 panic=-1 oops=panic no_timer_check mitigations=off nokaslr ${ZCT_KERNELS_APPEND:-}" \
    </dev/null 2>"$work/qemu" &
qemu=$!
ended=0
wait "$qemu" || ended=$?
qemu=
cat "$work/err" >&2
if [ -s "$work/status" ]; then
    exit "$(tr -d '\r' <"$work/status")"
fi
tail -n 40 "$work/log" >&2
grep -v "TCG doesn't support requested feature" "$work/qemu" >&2 || true
if [ "$ended" = 124 ] || [ "$ended" = 137 ]; then
    echo "boot.sh: no end after ${ZCT_KERNELS_SECONDS:-1200} s" >&2
    exit 124
fi
echo "boot.sh: the guest ended before its command did" >&2
exit 125
