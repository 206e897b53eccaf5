#!/bin/sh
# build.sh TARGET [CARGO ARGUMENTS…]: zct and zctd for a Rust target, into target/TARGET/release, so that whoever builds
# the same commit with the same Rust gets the same bytes, wherever the tree and cargo's own directory are. With
# cargo-auditable, which a release needs, the programs carry the list of what they are made of.
set -eu
cd "$(dirname "$0")/.."
: "${CARGO:=cargo}"
target=$1
shift

# They join those of .cargo/config.toml.
flags="'--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo', '--remap-path-prefix=$PWD=/zct'"
case $target in
    *-musl*) flags="$flags, '-Ctarget-feature=+crt-static'" ;;
esac
auditable=
! $CARGO auditable --version >/dev/null 2>&1 || auditable=auditable
# shellcheck disable=SC2086 # a word or nothing
CROSS_BUILD_ONLY=1 exec scripts/cross.sh "$target" \
    $CARGO $auditable build --config "target.$target.rustflags=[$flags]" --release --locked --target "$target" \
    --package zct --package zctd "$@"
