#!/bin/sh
# Installs what the tests need and runs them; without root, in a user namespace of their own.
# With arguments, runs only the integration tests of these names.
set -eu
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/sbin:/sbin"
export PATH

scripts/setup.sh cc:gcc cc:libc6-dev readelf:binutils conntrack:conntrack conntrackd:conntrackd nfct:nfct nft:nftables \
    ip:iproute2 unshare:util-linux bash:bash zsh:zsh fish:fish mandoc:mandoc keepalived:keepalived tmux:tmux \
    promtool:prometheus systemd-analyze:systemd setpriv:util-linux
# A module is no command.
/usr/bin/python3 -c 'import seccomp' 2>/dev/null || scripts/setup.sh "python3-seccomp:python3-seccomp"

if [ "$#" -gt 0 ]; then
    set -- --package zct-tests $(printf -- '--test %s ' "$@") -- --nocapture
else
    set -- --workspace
fi
# A shell that starts this in the background may make it ignore interrupts, which every program under test inherits.
signals=
! env --default-signal=INT true 2>/dev/null || signals="env --default-signal=INT,QUIT,TERM"
if [ "$(id -u)" = 0 ]; then
    exec $signals cargo test --locked --no-fail-fast "$@"
fi
exec unshare --user --map-root-user --net --mount $signals cargo test --locked --offline --no-fail-fast "$@"
