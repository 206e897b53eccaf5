#!/bin/sh
# Checks what the two crates for others promise and the workspace does not check: zct-wire builds without its features
# and where there is no standard library, and both can be packed.
set -eu
cd "$(dirname "$0")/.."
: "${CARGO:=cargo}"

bare() {
    for there in "$(rustc --print sysroot)"/lib/rustlib/*-none*; do
        [ ! -d "$there/lib" ] || basename "$there"
    done | head -n 1
}

target=$(bare)
if [ -z "$target" ] && command -v rustup > /dev/null; then
    rustup --quiet target add thumbv7m-none-eabi || :
    target=$(bare)
fi
if [ -n "$target" ]; then
    $CARGO check --quiet --locked --package zct-wire --package zct-helpers --target "$target"
else
    echo "lint: no target without a standard library is installed; zct-wire and zct-helpers were not built for one" >&2
fi

for features in "" peer text; do
    $CARGO clippy --quiet --locked --package zct-wire --no-default-features --features "$features" -- -D warnings
done

for crate in zct-wire zct-engine; do
    $CARGO package --quiet --locked --offline --allow-dirty --no-verify --list --package "$crate" > /dev/null
done
