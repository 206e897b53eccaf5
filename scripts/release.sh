#!/bin/bash
# release.sh VERSION: everything that a release consists of, into target/release-VERSION:
#   zct-VERSION-TARGET.tar.gz  the static programs, manual pages, completions, examples and licences, for each of TARGETS
#   *.deb                      Debian's packages, for each of ARCHITECTURES
#   zct-VERSION.tar.gz         the sources as they are committed
#   zct-VERSION-openwrt.tar.gz the package directory for OpenWrt
#   zct-VERSION.cdx.json       what the programs are made of; each program carries the list too (cargo audit bin FILE)
#   THIRD-PARTY                the licences of that
#   SHA256SUMS
# Nothing in it depends on where and when it is built, given the same Rust, C compiler and Debian; make test-reproducible
# compares two builds.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${CARGO:=cargo}"
version=$1
: "${TARGETS=x86_64-unknown-linux-musl aarch64-unknown-linux-musl armv7-unknown-linux-musleabihf riscv64gc-unknown-linux-musl}"
: "${ARCHITECTURES=amd64 arm64}"

fail() {
    echo "release.sh: $1" >&2
    exit 1
}
stated=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
[ "$version" = "$stated" ] || fail "Cargo.toml has version $stated, not $version"
grep -q "^## $version\b" CHANGELOG.md || fail "CHANGELOG.md has no section '## $version'"
! grep "^## $version\b" CHANGELOG.md | grep -q 'not released' || [ -n "${PREVIEW-}" ] ||
    fail "CHANGELOG.md says that $version is not released yet; PREVIEW=1 builds it all the same"
[ -z "$(git status --porcelain)" ] || fail "what is not committed would not be in the sources: $(git status --short | head -1)"
$CARGO auditable --version >/dev/null 2>&1 || fail "cargo-auditable is missing: cargo install --locked cargo-auditable"
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
export LC_ALL=C.UTF-8

out=$PWD/target/release-$version
rm -rf "$out"
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The same names, order, owners and times whoever packs them, and from what file system.
pack() {
    (cd "$work" && find "$1" -type d -exec chmod 755 {} + && tar --create --sort=name --owner=0 --group=0 --numeric-owner \
        --mtime="@$SOURCE_DATE_EPOCH" --format=gnu "$1") | gzip -9 --no-name >"$out/$1.tar.gz"
}

export TARGETS
scripts/third_party.sh >"$out/THIRD-PARTY"
scripts/sbom.sh "$version" >"$out/zct-$version.cdx.json"
git archive --format=tar --prefix="zct-$version/" HEAD | gzip -9 --no-name >"$out/zct-$version.tar.gz"
# OpenWrt's recipe, with the checksum of these sources.
mkdir -p "$work/zct-$version-openwrt"
cp -r dist/openwrt/. "$work/zct-$version-openwrt"
sum=$(sha256sum <"$out/zct-$version.tar.gz")
sed -i "s/^PKG_HASH:=.*/PKG_HASH:=${sum%% *}/" "$work/zct-$version-openwrt/Makefile"
pack "zct-$version-openwrt"
for target in $TARGETS; do
    scripts/build.sh "$target"
    for program in zct zctd; do
        readelf --wide --sections "target/$target/release/$program" | grep ' \.dep-v0 ' >/dev/null ||
            fail "$program for $target does not carry the list of what it is made of"
    done
    name=zct-$version-$target
    mkdir "$work/$name"
    install -m 755 "target/$target/release/zct" "target/$target/release/zctd" "$work/$name"
    install -m 644 README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE "$out/THIRD-PARTY" "$work/$name"
    install -m 644 -D --target-directory "$work/$name/man" docs/*.8 docs/*.5
    install -m 644 -D --target-directory "$work/$name/completions" docs/completions/*
    install -m 644 -D --target-directory "$work/$name/examples" dist/*.conf dist/*.yml dist/*.json dist/zctd.service
    install -m 755 dist/primary-backup.sh "$work/$name/examples"
    pack "$name"
done
for architecture in $ARCHITECTURES; do
    DEB_OUT=$out scripts/deb.sh "$architecture"
done
(cd "$out" && sha256sum -- * >"$work/sums" && mv "$work/sums" SHA256SUMS)
ls -l "$out"
