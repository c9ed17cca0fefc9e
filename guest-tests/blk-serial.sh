#!/bin/sh
# [Virtio 1.2 §5.2.6.1] A disk tells its serial number, and what is written to it is in the image.
in_host() {
    machine=`named_choose machine pc q35`
    truncate -s 1M $tmpdir/disk
    qemu -M $machine -drive file=$tmpdir/disk,if=none,id=d,format=raw \
        -device virtio-blk-pci,drive=d,serial=testjig-0007 || return 1
    test "`head -c 6 $tmpdir/disk`" = canary
}
in_guest() {
    test "`cat /sys/block/vda/serial`" = testjig-0007 || return 1
    echo canary | dd of=/dev/vda bs=512 conv=sync
}
if test $QEMU_TEST; then in_host; else in_guest; fi
