#!/bin/sh
# testjig: lane=warm
# A disk is plugged in and out while the guest runs: by ACPI on pc, in a PCIe port on q35.
in_host() {
    machine=`named_choose machine pc q35`
    if test $machine = q35; then port="-device pcie-root-port,id=rp" bus=--bus=rp; fi
    truncate -s 8M $tmpdir/disk
    start_qemu -M $machine $port -drive file=$tmpdir/disk,if=none,id=d,format=raw && wait_guest || return 1
    qmp device_add --driver=virtio-blk-pci --id=blk --drive=d --serial=plugged $bus && wait_log "serial: plugged" || return 1
    qmp device_del --id=blk && wait_event DEVICE_DELETED device=blk && get_qemu_status
}
in_guest() {
    wait_for /sys/block/vda/serial || return 1
    # By the shell itself: to start a program takes a guest without KVM a tenth of a second.
    read -r serial </sys/block/vda/serial
    echo "serial: $serial" && wait_for --gone /sys/block/vda
}
if test $QEMU_TEST; then in_host; else in_guest; fi
