#!/bin/bash
# The recipe of dist/openwrt, as far as it can be tried without OpenWrt: its Makefile is read with stand-ins for OpenWrt's
# own, builds both programs for musl as OpenWrt does (cargo install), and installs them; the script for procd runs with
# stand-ins for procd's functions.
#   tests/openwrt/run.sh [TARGET]      a musl target of Rust, else this machine's
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${1:-$(uname -m)-unknown-linux-musl}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir -p "$work"/{include,feeds/packages/lang/rust,root}
cat >"$work/rules.mk" <<'TEXT'
INSTALL_DIR := install -d -m 755
INSTALL_BIN := install -m 755
INSTALL_CONF := install -m 600
LN := ln -sf
TEXT
# A package's parts are defined before BuildPackage is called for it, and its recipe runs once everything is read.
cat >"$work/include/package.mk" <<'TEXT'
define BuildPackage
  $(if $(value Package/$(1)),,$(error no Package/$(1)))
  $(if $(value Package/$(1)/install),,$(error no Package/$(1)/install))
  install-$(1): compile
	$(call Package/$(1)/install,$(ROOT)/$(1))
  ALL += install-$(1)
endef
TEXT
cat >"$work/feeds/packages/lang/rust/rust-package.mk" <<'TEXT'
define Build/Compile/Cargo
	cargo install --quiet --locked --profile release --target $(TARGET) --root $(PKG_INSTALL_DIR) --path $(PKG_BUILD_DIR)/$(1)
endef
TEXT
cat >"$work/all.mk" <<'TEXT'
include Makefile
.DEFAULT_GOAL := all
compile:
	$(Build/Compile)
all: $(ALL)
TEXT
flags=
case $target in *-musl*) flags=-Ctarget-feature=+crt-static ;; esac
RUSTFLAGS=$flags CROSS_BUILD_ONLY=1 CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target} scripts/cross.sh "$target" \
    make --no-print-directory -C dist/openwrt -f "$work/all.mk" TOPDIR="$work" INCLUDE_DIR="$work/include" \
    PKG_BUILD_DIR="$PWD" PKG_INSTALL_DIR="$work/installed" ROOT="$work/tree" TARGET="$target" >"$work/log" 2>&1 ||
    { tail -40 "$work/log" >&2; exit 1; }

for file in zct/usr/sbin/{zct,conntrack,nfct} zctd/usr/sbin/{zctd,conntrackd} zctd/etc/{init.d/zctd,config/zctd,zctd/zctd.conf}
do
    [ -e "$work/tree/$file" ] || { echo "openwrt: $file is missing" >&2; exit 1; }
done
case $target in
    "$(uname -m)"-*) "$work/tree/zct/usr/sbin/conntrack" -V && "$work/tree/zctd/usr/sbin/conntrackd" -v ;;
esac
stated=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
grep -qx "PKG_VERSION:=$stated" dist/openwrt/Makefile || { echo "openwrt: the recipe is not of version $stated" >&2; exit 1; }

# The script, enabled and not, with a configuration that can be used and one that cannot.
cat >"$work/procd.sh" <<'TEXT'
config_load() { :; }
config_get_bool() { eval "$1=\$ENABLED"; }
config_get() { eval "$1=\$FILE"; }
procd_open_instance() { echo open; }
procd_set_param() { echo "$*"; }
procd_close_instance() { echo close; }
mkdir() { :; }
TEXT
init() {
    sed "s|/usr/sbin/zctd|$work/tree/zctd/usr/sbin/zctd|" dist/openwrt/files/zctd.init >"$work/init"
    ENABLED=$1 FILE=$2 sh -euc '. "$1"; . "$2"; start_service' sh "$work/procd.sh" "$work/init" 2>"$work/said"
}
case $target in
    "$(uname -m)"-*)
        [ -z "$(init 0 dist/zctd.conf)" ]
        init 1 dist/zctd.conf | grep -qx "command $work/tree/zctd/usr/sbin/zctd -C dist/zctd.conf"
        echo 'Nonsense {' >"$work/bad.conf"
        ! init 1 "$work/bad.conf" >"$work/out"
        [ ! -s "$work/out" ]
        ;;
esac
echo "openwrt: the recipe builds and installs for $target"
