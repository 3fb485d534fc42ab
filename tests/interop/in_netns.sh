#!/usr/bin/env bash
# Runs a command inside a network namespace of its own: loopback up, and a veth end with 10.99.0.1/24 and a default
# route, so that browsers gather candidates and nothing can leave the machine. Where namespaces are not permitted the
# command runs as it is, with DUET_NETNS unset: it must then keep to 127.0.0.1.
set -euo pipefail

if [ "$(id -u)" = 0 ] && unshare --net true 2>/dev/null; then
    exec unshare --net --kill-child --fork bash -c '
        set -e
        ip link set lo up
        ip link add duet0 type veth peer name duet1
        ip addr add 10.99.0.1/24 dev duet0
        ip -6 addr add fd99::1/64 dev duet0 nodad
        ip link set duet0 up
        ip link set duet1 up
        ip route add default via 10.99.0.2
        export DUET_NETNS=1
        exec "$@"' in_netns "$@"
fi
echo "in_netns: network namespaces are not permitted here: loopback only" >&2
exec "$@"
