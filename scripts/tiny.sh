#!/bin/sh
# The smallest programs: musl, and the standard library built anew for size and without what prints backtraces, which is
# a sixth of a program; no tables for unwinding, since a panic aborts, and relocations packed. What runs once a command
# is smaller than in a release, and not as fast. A panic still says what and where. Building the standard library is not
# stable yet (cargo's -Z build-std); RUSTC_BOOTSTRAP lets the stable toolchain do it, so that no other is needed. Then they
# are run in an empty root directory.
set -eu
cd "$(dirname "$0")/.."
: "${CARGO:=cargo}"
target="${1:-$(uname -m)-unknown-linux-musl}"

if ! command -v rustup >/dev/null; then
    echo "make tiny: needs rustup, for the source of the standard library and for $target" >&2
    exit 1
fi
rustup --quiet component add rust-src
rustup --quiet target add "$target"
flags="'-Ctarget-feature=+crt-static', '-Cforce-unwind-tables=no', '-Clink-arg=-Wl,-z,pack-relative-relocs'"
RUSTC_BOOTSTRAP=1 $CARGO build --config "target.$target.rustflags=[$flags]" --config 'profile.release.opt-level="z"' \
    --release --locked --target "$target" \
    -Z build-std=std,panic_abort -Z build-std-features=optimize_for_size --package zct --package zctd
built="target/$target/release"
ls -l "$built/zct" "$built/zctd"

if [ "$(id -u)" != 0 ] || [ "$target" != "$(uname -m)-unknown-linux-musl" ]; then
    echo "make tiny: not tried out: that takes root, and a target of this machine" >&2
    exit 0
fi
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
cp "$built/zct" "$built/zctd" "$root"
printf 'General {\n}\nStats {\n}\n' >"$root/zctd.conf"
PATH="$PATH:/usr/sbin:/sbin"
# In a namespace of their own, with a table of its own.
shown=$(unshare --net sh -euc '
    chroot "$0" /zct -I -p udp -s 192.0.2.1 -d 192.0.2.2 --sport 1 --dport 2 -t 60
    chroot "$0" /zct -L -o json' "$root")
case "$shown" in
    *'"src":"192.0.2.1"'*) ;;
    *) echo "make tiny: zct does not list what it created: $shown" >&2; exit 1 ;;
esac
chroot "$root" /zctd --check -C /zctd.conf >/dev/null 2>&1
echo "make tiny: both run in an empty root directory"
