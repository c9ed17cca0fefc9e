#!/bin/sh
# testjig: agent=isa
# With -nodefaults there is what the machine's board has, and no card, disk, drive or display.
in_host() {
    machine=`named_choose machine pc q35`
    qemu -M $machine -nodefaults
}
in_guest() {
    cat /sys/bus/pci/devices/*/class
    # Network, display, serial and other controllers that are cards.
    ! grep -q '^0x0[2379]' /sys/bus/pci/devices/*/class && test -z "`ls /sys/block`" && test "`ls /sys/class/net`" = lo
}
if test $QEMU_TEST; then in_host; else in_guest; fi
