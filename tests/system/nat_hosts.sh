#!/usr/bin/env bash
# A small internet on this machine: "server" in the core, "alice" and "bob" each behind a NAT, all in network namespaces that
# live as long as this script does. Run as: nat_hosts.sh KIND KIND, a kind for each NAT:
#
#   restricted  endpoint-independent mapping, address- and port-dependent filtering: what nftables' masquerade does
#   symmetric   address- and port-dependent in both: masquerade with a random port for each connection
#   no-udp      restricted, and UDP does not get through
#   none        no NAT: alice or bob is in the core
#
# It says {"server": pid, "alice": pid, "bob": pid} when all is there, a process in each namespace for nsenter, and takes
# everything down when its standard input ends. Exit code 77: network namespaces or nftables are not permitted here.
set -euo pipefail

kind_alice=${1:?kind of the NAT of alice} kind_bob=${2:?kind of the NAT of bob}

if [ "${DUET_NAT_HOSTS:-}" != 1 ]; then
    if [ "$(id -u)" != 0 ] || ! unshare --net true 2>/dev/null; then
        echo "nat_hosts: network namespaces are not permitted here" >&2
        exit 77
    fi
    exec env DUET_NAT_HOSTS=1 unshare --net --kill-child --fork bash "$0" "$kind_alice" "$kind_bob"
fi

pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true' EXIT

# A namespace, kept by a process that does nothing. Its id is in $pid.
namespace() {
    unshare --net sleep infinity </dev/null >/dev/null 2>&1 &
    pid=$!
    pids+=("$pid")
    for _ in $(seq 100); do
        [ "$(readlink "/proc/$pid/ns/net")" != "$(readlink /proc/self/ns/net)" ] && break
        sleep 0.01
    done
    inside "$pid" ip link set lo up
}

inside() { nsenter "--net=/proc/$1/ns/net" -- "${@:2}"; }

# Joins namespace $1 as interface $2 with address $3 to namespace $4 as interface $5; there the other end has no address yet.
cable() {
    ip link add cable0 type veth peer name cable1
    ip link set cable0 netns "$1" name "$2"
    ip link set cable1 netns "$4" name "$5"
    inside "$1" ip addr add "$3" dev "$2"
    inside "$1" ip link set "$2" up
    inside "$4" ip link set "$5" up
}

# The core is a switch, with a router that takes what is for elsewhere and drops it: where the kernel says at once that there is
# no way to a peer's private address, coturn gives up the allocation.
namespace
core=$pid
inside "$core" ip link add switch0 type bridge
inside "$core" ip addr add 203.0.113.254/24 dev switch0
inside "$core" ip link set switch0 up

plug_in() { # namespace, interface, address
    port=$((${port:-0} + 1))
    cable "$1" "$2" "$3" "$core" "port$port"
    inside "$core" ip link set "port$port" master switch0
}

masquerade() { # namespace, kind
    local how=masquerade block=""
    [ "$2" = symmetric ] && how="masquerade fully-random"
    [ "$2" = no-udp ] && block="meta l4proto udp drop"
    inside "$1" nft -f - <<EOF
table ip nat {
    chain postrouting {
        type nat hook postrouting priority 100
        oifname "outside" $how
    }
}
table ip filter {
    chain forward {
        type filter hook forward priority 0
        iifname "outside" ct state new drop
        $block
    }
    chain input {
        type filter hook input priority 0
        iifname "outside" ct state new drop
    }
}
EOF
    inside "$1" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
}

# A host, behind a NAT unless that is none. Its process is in $host.
host_behind() { # kind, last number of the outside address
    namespace
    host=$pid
    if [ "$1" = none ]; then
        plug_in "$host" outside "203.0.113.$2/24"
        return
    fi
    namespace
    plug_in "$pid" outside "203.0.113.$2/24"
    cable "$host" inside 10.0.0.2/24 "$pid" inside
    inside "$pid" ip addr add 10.0.0.1/24 dev inside
    inside "$host" ip route add default via 10.0.0.1
    masquerade "$pid" "$1"
}

if ! nft list ruleset >/dev/null 2>&1; then
    echo "nat_hosts: nftables is not permitted here" >&2
    exit 77
fi
namespace
server=$pid
plug_in "$server" outside 203.0.113.1/24
inside "$server" ip route add default via 203.0.113.254
host_behind "$kind_alice" 2
alice=$host
host_behind "$kind_bob" 3
bob=$host
echo "{\"server\": $server, \"alice\": $alice, \"bob\": $bob}"
cat >/dev/null
