#!/bin/sh
# install.sh DESTDIR PREFIX LINKS: the programs, further names for zct, manual pages and completions.
set -eu
cd "$(dirname "$0")/.."
root=$1$2 links=$3
sbin=$root/sbin man=$root/share/man/man8

install -d "$sbin" "$man" "$root/share/bash-completion/completions" "$root/share/zsh/site-functions" \
    "$root/share/fish/vendor_completions.d"
install -m 755 target/release/zct target/release/zctd "$sbin"
for page in docs/*.8; do
    install -m 644 "$page" "$man"
done
install -m 644 docs/completions/zct.bash "$root/share/bash-completion/completions/zct"
install -m 644 docs/completions/_zct "$root/share/zsh/site-functions"
install -m 644 docs/completions/zct.fish "$root/share/fish/vendor_completions.d"
for name in $links; do
    ln -sf zct "$sbin/$name"
    [ "$name" != conntrack ] || ln -sf zct "$root/share/bash-completion/completions/conntrack"
done
echo "installed under $root${links:+, zct also as: $links}"
