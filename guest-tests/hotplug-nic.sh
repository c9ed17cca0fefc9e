#!/bin/sh
# testjig: lane=warm
# A network card is plugged into a running guest, serves it, and is plugged out.
in_host() {
    machine=`named_choose machine pc q35`
    nic=`named_choose nic virtio-net-pci e1000 rtl8139`
    if test $machine = q35; then port="-device pcie-root-port,id=rp" bus=--bus=rp; fi
    start_qemu -M $machine $port -netdev user,id=n && wait_guest || return 1
    qmp device_add --driver=$nic --id=nic --netdev=n $bus && wait_log "fetched" || return 1
    qmp device_del --id=nic && wait_event DEVICE_DELETED device=nic && get_qemu_status
}
in_guest() {
    wait_for /sys/class/net/eth0 && udhcpc -i eth0 -f -n -q && wget -q -O /dev/null http://testjig.example || return 1
    echo fetched && wait_for --gone /sys/class/net/eth0
}
if test $QEMU_TEST; then in_host; else in_guest; fi
