#!/bin/sh
# Installs those of the programs given as COMMAND:PACKAGE that are missing; where it cannot, says what to do.
# Daemons among them are not started: a listener left running slows every namespace of the machine.
set -eu

packages=
for word in "$@"; do
    command -v "${word%%:*}" >/dev/null 2>&1 || packages="$packages ${word#*:}"
done
[ -n "$packages" ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
    echo "missing programs; as root on Debian: apt-get install$packages" >&2
    exit 1
fi
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
    trap 'rm -f $policy' EXIT
fi
echo "installing:$packages"
apt-get update -qq
# shellcheck disable=SC2086 # the list is words on purpose
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
