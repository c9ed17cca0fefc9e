#!/bin/sh
# testjig: lane=warm
# Memory is plugged into a running guest, is used, and is plugged out.
in_host() {
    machine=`named_choose machine pc q35`
    start_qemu -M $machine -m 256,slots=1,maxmem=1G && wait_guest || return 1
    qmp object-add --qom-type=memory-backend-ram --id=m --size=0x8000000 || return 1
    qmp device_add --driver=pc-dimm --id=dimm --memdev=m && wait_log "larger" || return 1
    qmp device_del --id=dimm && wait_event DEVICE_DELETED device=dimm && get_qemu_status
}
in_guest() {
    # The first block of 128 MiB above 4 GiB.
    block=/sys/devices/system/memory/memory32
    before=`awk '/^MemTotal/ { print $2 }' /proc/meminfo`
    wait_for $block/state && echo online_movable >$block/state || return 1
    awk "/^MemTotal/ { exit !(\$2 == $before + 131072) }" /proc/meminfo && echo larger && wait_for --gone $block
}
if test $QEMU_TEST; then in_host; else in_guest; fi
