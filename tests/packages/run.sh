#!/bin/bash
# The Debian packages, tried in a chroot and then in a container that boots systemd: make test-packages.
#   tests/packages/run.sh [bookworm|trixie…]     both without any
#   BUILT=DIRECTORY                              the programs in there instead of a fresh build
# As root, on amd64. A release's base system is made once, in target/packages. Each step is a line; the first that fails
# ends the run and shows what it printed.
set -euo pipefail
cd "$(dirname "$0")/../.."
PATH=$PATH:/usr/sbin:/sbin
[ $# -gt 0 ] || set -- bookworm trixie
[ "$(id -u)" = 0 ] || { echo "run.sh: needs root, for chroot and containers" >&2; exit 1; }

scripts/setup.sh mmdebstrap:mmdebstrap systemd-nspawn:systemd-container lintian:lintian dh:debhelper \
    dpkg-buildpackage:dpkg-dev
cache=$PWD/target/packages
mkdir -p "$cache"
work=$(mktemp -d /var/tmp/zct-packages.XXXXXX)
trap 'rm -rf "$work"' EXIT

echo "packages: building"
export DEB_OUT=$work/debs/new
scripts/deb.sh amd64 >/dev/null
# The same programs as an older release, to upgrade from.
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
BUILT=${BUILT:-$PWD/target/x86_64-unknown-linux-gnu/release} DEB_OUT=$work/debs/old \
    scripts/deb.sh amd64 "0.0.1" >/dev/null
lintian --allow-root --fail-on error --suppress-tags initial-upload-closes-no-bugs "$work"/debs/new/*.deb
echo "packages: lintian finds no error"

# What kubelet's and neutron's packages ask for.
mkdir -p "$work/dummy/DEBIAN" "$work/debs/dummy"
cat >"$work/dummy/DEBIAN/control" <<TEXT
Package: needs-conntrack
Version: 1
Architecture: all
Maintainer: The zct authors <zct@packages.zct.invalid>
Depends: conntrack (>= 1:1.4.6), conntrackd, nfct
Description: a package that depends on the original's packages
TEXT
dpkg-deb --root-owner-group --build "$work/dummy" "$work/debs/dummy" >/dev/null

for release in "$@"; do
    base=$cache/$release.tar
    if [ ! -e "$base" ]; then
        echo "$release: making a base system"
        # The original's packages stay in apt's cache, so that the tests need no network.
        mmdebstrap --quiet --format=tar --variant=minbase --mode=root --skip=cleanup/apt \
            --include=systemd,systemd-sysv,dbus,logrotate,iproute2,init-system-helpers,procps \
            --customize-hook='chroot "$1" apt-get -qq -y --no-install-recommends -d install conntrack conntrackd nfct' \
            "$release" "$base.new" "deb http://deb.debian.org/debian $release main"
        mv "$base.new" "$base"
    fi
    for part in chroot booted; do
        root=$work/$release-$part
        mkdir "$root"
        tar xf "$base" -C "$root"
        mkdir "$root/zct-test"
        cp -r "$work/debs" tests/packages/*.sh "$root/zct-test/"
        echo "$version" >"$root/zct-test/version"
        case $part in
            chroot)
                printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
                chmod +x "$root/usr/sbin/policy-rc.d"
                chroot "$root" bash /zct-test/chroot.sh >"$work/log" 2>&1 || touch "$work/failed"
                ;;
            booted)
                cp tests/packages/zct-test.service "$root/etc/systemd/system/"
                mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
                ln -s ../zct-test.service "$root/etc/systemd/system/multi-user.target.wants/"
                # systemd of trixie wants to be asked before it runs on a machine with the old control groups. The
                # container is off when its test has ended; the limit is for one that hangs.
                timeout 300 systemd-nspawn --quiet --register=no --keep-unit --private-network -D "$root" \
                    --boot systemd.unit=multi-user.target SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1 \
                    >"$work/boot" 2>&1 </dev/null || true
                cat "$work/boot" "$root/zct-test/log" >"$work/log" 2>/dev/null || true
                [ -e "$root/zct-test/passed" ] || touch "$work/failed"
                ;;
        esac
        grep '^ok: ' "$work/log" | sed "s/^ok:/$release $part:/" || true
        if [ -e "$work/failed" ]; then
            tail -60 "$work/log" >&2
            echo "$release $part: failed" >&2
            exit 1
        fi
        rm -rf "$root"
    done
done
echo "packages: all passed"
