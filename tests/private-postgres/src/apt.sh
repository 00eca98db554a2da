# Installs Debian or Ubuntu packages as root, without starting a service and without making a database cluster.
set -e
export DEBIAN_FRONTEND=noninteractive
umask 022
# The scripts in packages expect the whole system, whatever the caller's PATH holds.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
get() { apt-get -q -y -o DPkg::Lock::Timeout=600 "$@"; }
# One package source of several may be out of reach: the install shows whether it matters.
get update || echo "apt-get update failed"
for package; do
    if [ "$package" = postgresql ]; then
        # Before the server's own package, which would make a cluster on port 5432.
        get install --no-install-recommends postgresql-common
        conf=/etc/postgresql-common/createcluster.conf
        grep -q '^ *create_main_cluster' "$conf" || echo 'create_main_cluster = false' >>"$conf"
    fi
    get install --no-install-recommends "$package"
done
