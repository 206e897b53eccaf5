#!/bin/sh
# Checks what building the workspace does not: zct-wire builds without its features and where there is no standard
# library, both crates for others can be packed, and the fuzz targets compile.
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

# The fuzz targets are a workspace of their own, because of their flags; here they are only compiled, without the
# fuzzer's run-time, which would need a C++ compiler.
fuzz=tests/fuzz/Cargo.toml
if $CARGO fetch --quiet --locked --manifest-path $fuzz; then
    CUSTOM_LIBFUZZER_PATH=$PWD/none/libnone.a $CARGO clippy --quiet --locked --manifest-path $fuzz \
        --target-dir target/fuzz --bins --examples -- -D warnings
else
    echo "lint: the crates of tests/fuzz cannot be had; its targets were not compiled" >&2
fi
