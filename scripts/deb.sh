#!/bin/sh
# deb.sh ARCHITECTURE [VERSION]: Debian's packages of zct and zctd, into target/deb. ARCHITECTURE is Debian's word: amd64,
# arm64, armhf, riscv64, s390x. The programs are linked with the C library of the machine that builds them, so packages
# for Debian 12 are built on Debian 12; they install on 13 too.
set -eu
cd "$(dirname "$0")/.."
architecture=$1
version=${2:-$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)}

case $architecture in
    amd64) target=x86_64-unknown-linux-gnu ;;
    arm64) target=aarch64-unknown-linux-gnu ;;
    armhf) target=armv7-unknown-linux-gnueabihf ;;
    riscv64) target=riscv64gc-unknown-linux-gnu ;;
    s390x) target=s390x-unknown-linux-gnu ;;
    *) echo "deb.sh: no Rust target is known for $architecture" >&2; exit 1 ;;
esac
scripts/setup.sh dh:debhelper dpkg-buildpackage:dpkg-dev
[ -n "${BUILT-}" ] || scripts/build.sh "$target"
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct)}"
export SOURCE_DATE_EPOCH

out=${DEB_OUT:-target/deb}
mkdir -p "$out"
PWD0=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/zct-$version
mkdir "$tree"
cp -r dist/debian "$tree/debian"
cp -r docs dist CHANGELOG.md "$tree"
scripts/third_party.sh >"$tree/THIRD-PARTY"
cat >"$tree/debian/changelog" <<TEXT
zct ($version-1) unstable; urgency=medium

  * Release $version: see /usr/share/doc/zct/changelog.gz.

 -- The zct authors <zct@packages.zct.invalid>  $(date --utc --rfc-email --date "@$SOURCE_DATE_EPOCH")
TEXT
log=$work/log
if [ "$architecture" != "$(dpkg --print-architecture)" ]; then
    # There is nothing to compile here and no test to run, but dpkg looks at the compiler, and debhelper warns of tests.
    export DEB_BUILD_OPTIONS=nocheck CC="$(dpkg-architecture -a"$architecture" -qDEB_HOST_GNU_TYPE 2>/dev/null)-gcc"
fi
(cd "$tree" && BUILT="${BUILT:-$PWD0/target/$target/release}" \
    dpkg-buildpackage --build=binary --unsigned-source --unsigned-changes --no-check-builddeps \
    --host-arch="$architecture" >"$log" 2>&1) || { cat "$log" >&2; exit 1; }
grep 'warning' "$log" >&2 || true
cp "$work"/*.deb "$out"
(cd "$work" && ls -- *.deb) | sed "s|^|$out/|"
