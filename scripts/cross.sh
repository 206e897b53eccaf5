#!/bin/sh
# cross.sh TARGET COMMAND…: runs a command with what cargo needs to build for a Rust target, and to run what it built by
# qemu where this machine cannot. Installs what is missing, as root. COMMAND's cargo needs `--target TARGET` itself.
set -eu
cd "$(dirname "$0")/.."
target=$1
shift

if ! command -v rustup >/dev/null; then
    rustc --print target-libdir --target "$target" 2>/dev/null | xargs ls >/dev/null 2>&1 || {
        echo "cross.sh: needs the standard library for $target: rustup target add $target" >&2
        exit 1
    }
elif ! rustup target list --installed | grep -qx "$target"; then
    rustup --quiet target add "$target"
fi

linker='' qemu='' machine=${target%%-*}
case $target in
    "$(uname -m)"-*) ;;
    # Everything that a static musl program is linked from comes with Rust, its linker too.
    *-musl*) linker=rust-lld ;;
    aarch64-*-gnu) gcc=aarch64-linux-gnu libc=libc6-dev-arm64-cross ;;
    armv7-*-gnueabihf) gcc=arm-linux-gnueabihf libc=libc6-dev-armhf-cross ;;
    riscv64gc-*-gnu) gcc=riscv64-linux-gnu libc=libc6-dev-riscv64-cross ;;
    s390x-*-gnu) gcc=s390x-linux-gnu libc=libc6-dev-s390x-cross ;;
    x86_64-*-gnu) gcc=x86_64-linux-gnu libc=libc6-dev-amd64-cross ;;
    *) echo "cross.sh: no linker is known for $target" >&2; exit 1 ;;
esac
if [ -n "${gcc-}" ]; then
    linker=$gcc-gcc
    # The compiler's name without its C library would find no crt1.o.
    [ -e "/usr/$gcc/lib/crt1.o" ] || scripts/setup.sh "no-such-command:gcc-$gcc" "no-such-command:$libc"
fi
case $machine in
    "$(uname -m)") ;;
    aarch64 | s390x | x86_64) qemu=qemu-$machine ;;
    armv7) qemu=qemu-arm ;;
    riscv64gc) qemu=qemu-riscv64 ;;
esac

variable=CARGO_TARGET_$(printf %s "$target" | tr 'a-z-' 'A-Z_')
[ -z "$linker" ] || export "${variable}_LINKER=$linker"
if [ -n "$qemu" ]; then
    [ -n "${CROSS_BUILD_ONLY-}" ] || scripts/setup.sh "$qemu:qemu-user"
    export "${variable}_RUNNER=$qemu"
    # Where the emulated program's libraries are. It sees every file there in the place of this machine's own, `/` and
    # a /tmp among them, so who runs static programs sets it to nothing.
    [ -z "${gcc-}" ] || export QEMU_LD_PREFIX="${QEMU_LD_PREFIX-/usr/$gcc}"
fi
exec "$@"
