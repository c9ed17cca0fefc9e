#!/bin/sh
# Called by udhcpc with what became of its request. Names are resolved by the agent, so resolv.conf is left as it is.
case $1 in
deconfig)
    ip link set "$interface" up
    ip -4 addr flush dev "$interface"
    ;;
bound | renew)
    ip -4 addr flush dev "$interface"
    ip addr add "$ip/${mask:-24}" dev "$interface"
    for gateway in $router; do
        ip route add default via "$gateway" dev "$interface"
    done
    # A network that no resolver of the agent's is on tells of its own.
    if ! grep -qs '^nameserver 127\.' /etc/resolv.conf; then
        for server in $dns; do
            echo "nameserver $server"
        done >/etc/resolv.conf
    fi
    ;;
esac
exit 0
