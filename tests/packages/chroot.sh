#!/bin/bash
# In a chroot where no service can be started: what dpkg and apt do with the packages.
set -euxo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
new=/zct-test/debs/new old=/zct-test/debs/old
version=$(cat /zct-test/version)
apt="apt-get -qq -y --no-install-recommends --allow-downgrades"

# Every file that a package may bring or make; what dpkg, apt and ld.so note is not the package's.
files() {
    find /etc /usr /var /run /lib/ -xdev ! -path '/var/lib/dpkg/*' ! -path '/var/cache/*' ! -path '/var/log/*' \
        ! -path '/var/lib/apt/*' ! -path /etc/ld.so.cache ! -path '/var/lib/systemd/deb-systemd-*' | sort
}
sound() { [ -z "$(dpkg --audit)" ] && $apt check; }
installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

files >/before
$apt install $new/zct_*.deb $new/zctd_*.deb
zct -V
zctd -v
[ "$(dpkg-query -W -f '${Version}' zct)" = "$version-1" ]
ldd /usr/sbin/zct /usr/sbin/zctd
# As it is delivered, only the addresses of its link are missing.
zctd --check >/dev/null
sound
echo "ok: zct and zctd install and run"

$apt install conntrack conntrackd nfct
[ "$(readlink -f /usr/sbin/conntrack)" = /usr/sbin/conntrack ]
sound
echo "ok: beside conntrack, conntrackd and nfct"

$apt purge zct zctd conntrack conntrackd nfct
$apt autoremove --purge
files >/after
diff /before /after
echo "ok: purged, they leave nothing"

$apt install $old/zct_*.deb $old/zctd_*.deb
echo '# edited' >>/etc/zctd/zctd.conf
$apt install $new/zct_*.deb $new/zctd_*.deb
tail -1 /etc/zctd/zctd.conf | grep -qx '# edited'
[ "$(dpkg-query -W -f '${Version}' zctd)" = "$version-1" ]
$apt remove zct zctd
[ ! -e /usr/sbin/zctd ]
[ -e /etc/zctd/zctd.conf ]
$apt purge zct zctd
[ ! -e /etc/zctd ]
[ ! -e /etc/logrotate.d/zctd ]
echo "ok: an upgrade and a removal keep the edited configuration, a purge does not"

$apt install conntrack conntrackd nfct
$apt install /zct-test/debs/dummy/*.deb
echo '# edited' >>/etc/conntrackd/conntrackd.conf
find /etc/conntrackd -type f -exec sha256sum {} + >/configuration
originals=$(conntrack -V)
$apt install $new/*.deb
conntrack -V | grep -F 'conntrack v1.4.9 (conntrack-tools)'
nfct version | grep -F 1.4.9
conntrackd -v | grep -F zctd
# Shells load completions by the name that is typed.
for name in conntrack conntrackd nfct zct zctd; do
    [ -e "/usr/share/bash-completion/completions/$name" ]
    [ -e "/usr/share/fish/vendor_completions.d/$name.fish" ]
done
! installed conntrack
! installed conntrackd
installed needs-conntrack
# Where the system's directories are one, removing the original's unit must not take ours along.
[ -e /lib/systemd/system/conntrackd.service ]
systemd-analyze verify --man=no /lib/systemd/system/conntrackd.service /lib/systemd/system/zctd.service
sha256sum --quiet -c /configuration
sound
echo "ok: the original is replaced, and what depends on it stays"

$apt install conntrack conntrackd nfct
[ "$(conntrack -V)" = "$originals" ]
! installed conntrack-from-zct
! installed conntrackd-from-zct
installed needs-conntrack
sha256sum --quiet -c /configuration
[ -e /lib/systemd/system/conntrackd.service ]
dpkg -V conntrackd conntrack nfct | grep -v conntrackd.conf && exit 1
sound
echo "ok: and comes back, its configuration untouched"

# The same by dpkg alone, which removes the original after it has unpacked ours.
dpkg -i --auto-deconfigure $new/*.deb
dpkg -V conntrack-from-zct conntrackd-from-zct zct zctd | grep -v '/usr/share/\(doc\|man\|locale\)' && exit 1
installed needs-conntrack
sha256sum --quiet -c /configuration
sound
echo "ok: by dpkg too"
