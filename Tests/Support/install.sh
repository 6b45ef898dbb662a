#!/bin/sh
# Installs Debian packages, as root, and keeps them from starting services: a benchmark needs
# the programs of haproxy and nginx, not a server on port 80. usage: install.sh PACKAGE...
set -eu
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
fi
apt-get update -q
DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -q --no-install-recommends "$@"
