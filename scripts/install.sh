#!/bin/sh
# install.sh DESTDIR PREFIX LINKS: the programs, further names for them, manual pages and completions.
set -eu
cd "$(dirname "$0")/.."
root=$1$2 links=$3
sbin=$root/sbin man=$root/share/man

install -d "$sbin" "$man/man5" "$man/man8" "$root/share/bash-completion/completions" "$root/share/zsh/site-functions" \
    "$root/share/fish/vendor_completions.d"
install -m 755 target/release/zct target/release/zctd "$sbin"
install -m 644 docs/*.5 "$man/man5"
install -m 644 docs/*.8 "$man/man8"
install -d "$root/lib/systemd/system" "$root/share/zctd"
sed "s|/usr/sbin/|$2/sbin/|" dist/zctd.service >"$root/lib/systemd/system/zctd.service"
# Examples: what keepalived runs, alert rules for Prometheus and the tests of these, a dashboard for Grafana.
install -m 644 dist/zctd.conf dist/realtime.conf dist/zctd.rules.yml dist/zctd.rules.test.yml dist/zctd.grafana.json "$root/share/zctd"
for file in keepalived.conf primary-backup.sh; do
    sed "s|/usr/|$2/|g" "dist/$file" >"$root/share/zctd/$file"
done
chmod 755 "$root/share/zctd/primary-backup.sh"
for program in zct nfct zctd; do
    install -m 644 "docs/completions/$program.bash" "$root/share/bash-completion/completions/$program"
    install -m 644 "docs/completions/_$program" "$root/share/zsh/site-functions"
    install -m 644 "docs/completions/$program.fish" "$root/share/fish/vendor_completions.d"
done
for name in $links; do
    if [ "$name" = conntrackd ]; then
        ln -sf zctd "$sbin/$name"
    else
        ln -sf zct "$sbin/$name"
    fi
    # bash and fish load a file by the name that is typed; zsh is told of both in the file.
    case $name in
        conntrack) like=zct ;;
        conntrackd) like=zctd ;;
        *) continue ;;
    esac
    ln -sf "$like" "$root/share/bash-completion/completions/$name"
    ln -sf "$like.fish" "$root/share/fish/vendor_completions.d/$name.fish"
done
echo "installed under $root${links:+, also as: $links}"
