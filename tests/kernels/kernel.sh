#!/bin/bash
# kernel.sh VERSION: prints a folder with Debian's newest kernel of that version, ready for boot.sh:
#   vmlinuz     the kernel
#   modules/    the modules a test may need, uncompressed
#   order       their file names, each after those it depends on
# VERSION is the beginning of a package's version: 6.1, 6.12, 6.12.115. A kernel that has been fetched is used
# until its folder is removed, so that runs stay comparable and work without a network.
set -euo pipefail

cache=${XDG_CACHE_HOME:-$HOME/.cache}/zct-kernels
want=${1:?usage: kernel.sh VERSION}

# The modules that the tests need; their dependencies are found by modprobe. A name that a kernel does not
# have is built in or unknown to it. crc32c comes first because libcrc32c asks for an implementation by the
# name of the algorithm, which no dependency shows.
names=(crc32c_generic crc32c-intel nf_conntrack nf_conntrack_netlink nfnetlink_cttimeout nfnetlink_cthelper
    nfnetlink_queue nf_nat nf_tables nft_objref nft_ct nft_nat nft_chain_nat nft_queue nf_flow_table
    nf_flow_table_inet nft_flow_offload nft_masq nf_conntrack_ftp nf_conntrack_tftp veth nfsd nfsv3)

# The highest of the versions on standard input that equals $want or begins with it and a separator.
newest() {
    awk -v want="$want" 'index($0, want) == 1 && substr($0, length(want) + 1) ~ /^([.+-]|$)/' | sort -V | tail -n 1
}

# Package versions on offer of the generic kernel: not the real-time, cloud, debug or unsigned ones.
offered() {
    apt-cache "$@" pkgnames linux-image- | sed -n 's/^linux-image-\([0-9].*-amd64\)$/\1/p' |
        { grep -Ev -- '-(rt|cloud)-amd64$' || true; }
}

# Debian 12 has both 6.1 and 6.12 in its security archive; other releases ask that archive without touching
# the system's own lists. Its keys are in debian-archive-keyring.
bookworm() {
    local root=$cache/apt
    mkdir -p "$root"/{lists/partial,archives/partial,empty}
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s main\n' \
        'http://deb.debian.org/debian bookworm' 'http://deb.debian.org/debian-security bookworm-security' >"$root/sources.list"
    private=(-o "Dir::Etc::sourcelist=$root/sources.list" -o "Dir::Etc::sourceparts=$root/empty"
        -o "Dir::State::lists=$root/lists" -o "Dir::Cache=$root" -o APT::Architecture=amd64)
    apt-get "${private[@]}" -qq update >&2
}

# Downloads the package to $cache/VERSION/image.deb and prints VERSION.
fetch() {
    local version private=()
    # apt's own user cannot write root's files; the package is verified either way.
    local download=(-qq -o APT::Sandbox::User= download)
    version=$(offered | newest)
    if [ -z "$version" ]; then
        bookworm
        version=$(offered "${private[@]}" | newest)
    fi
    [ -n "$version" ] || { echo "kernel.sh: no package linux-image-$want*-amd64 is on offer; try apt-get update" >&2; return 1; }
    mkdir -p "$cache/$version"
    (cd "$work" && apt-get "${private[@]}" "${download[@]}" "linux-image-$version" >&2)
    mv "$work"/linux-image-*.deb "$cache/$version/image.deb"
    echo "$version"
}

# Takes what is needed out of the package.
unpack() {
    local store=$1 tree=$work/tree file
    dpkg-deb -x "$store/image.deb" "$tree"
    [ -d "$tree/lib/modules" ] || ln -sT usr/lib "$tree/lib"
    local release
    release=$(ls "$tree/lib/modules")
    rm -rf "$store/modules" "$store/order"
    mkdir "$store/modules"
    cp "$tree/boot/vmlinuz-$release" "$store/vmlinuz"
    depmod -b "$tree" "$release"
    for name in "${names[@]}"; do
        # The lines read "insmod FILE [OPTIONS]" or "builtin NAME".
        modprobe -d "$tree" -S "$release" --show-depends "$name" 2>/dev/null || true
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r file; do
        cp "$file" "$store/modules/"
        file=$store/modules/${file##*/}
        case $file in
            *.xz) xz -d "$file" ;;
            *.zst) zstd -qd --rm "$file" ;;
        esac
        file=${file##*/}
        echo "${file%.ko*}.ko" >>"$store/order"
    done
    grep -qx nf_conntrack_netlink.ko "$store/order" || { echo "kernel.sh: no conntrack modules in $store/image.deb" >&2; return 1; }
}

mkdir -p "$cache"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Two simultaneous runs must not fill the same folder.
exec 9>"$cache/lock"
flock 9
version=$(cd "$cache" && for f in */image.deb; do [ ! -e "$f" ] || echo "${f%/*}"; done | newest)
[ -n "$version" ] || version=$(fetch)
store=$cache/$version
# The package is unpacked again when this script has changed.
sum=$(sha256sum <"$0")
if [ "$(cat "$store/unpacked-by" 2>/dev/null)" != "$sum" ]; then
    unpack "$store"
    echo "$sum" >"$store/unpacked-by"
fi
echo "$store"
