#!/bin/bash
# Builds a release twice, from clones of the commit in two directories, with cargo's own directory in two places, and
# compares every file: make test-reproducible.
#   TARGETS="x86_64-unknown-linux-musl" ARCHITECTURES="amd64"    what is built, as for scripts/release.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD
: "${TARGETS=x86_64-unknown-linux-musl}"
: "${ARCHITECTURES=amd64}"
export TARGETS ARCHITECTURES
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
home=${CARGO_HOME:-$HOME/.cargo}
work=$(mktemp -d /var/tmp/zct-reproducible.XXXXXX)
trap 'rm -rf "$work"' EXIT

# A path of another length, which would move everything behind it if it were in a program.
for place in first second/and-deeper; do
    tree=$work/$place/tree
    git clone --quiet --no-hardlinks "$here" "$tree"
    mkdir "$work/$place/cargo"
    # The same crates, by another path.
    cp -r "$home/registry" "$work/$place/cargo/"
    [ ! -d "$home/bin" ] || ln -s "$home/bin" "$work/$place/cargo/bin"
    for file in config.toml config; do
        [ ! -e "$home/$file" ] || ln -s "$home/$file" "$work/$place/cargo/"
    done
    echo "reproducible: building in $tree"
    (cd "$tree" && PREVIEW=1 CARGO_HOME=$work/$place/cargo scripts/release.sh "$version" >"$work/log" 2>&1) ||
        { tail -40 "$work/log" >&2; exit 1; }
done
built=$work/first/tree/target/release-$version
[ "$(wc -l <"$built/SHA256SUMS")" -ge 4 ]
if ! diff -r "$built" "$work/second/and-deeper/tree/target/release-$version"; then
    echo "reproducible: the two differ; diffoscope shows in what" >&2
    exit 1
fi
# Each program names what it is made of: itself and what it shares with the other one, as the SBOM does.
for archive in "$built"/zct-"$version"-*-linux-*.tar.gz; do
    tar xzf "$archive" -C "$work"
    for program in zct zctd; do
        file=$work/$(basename "$archive" .tar.gz)/$program
        tests/reproducible/parts.py "$file" "$program" zct-wire zct-engine memchr
    done
done
cat "$built/SHA256SUMS"
echo "reproducible: both builds are the same, byte for byte"
