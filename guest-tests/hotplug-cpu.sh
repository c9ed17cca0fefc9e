#!/bin/sh
# testjig: lane=warm
# A CPU is plugged into a running guest, works, and is plugged out.
in_host() {
    machine=`named_choose machine pc q35`
    start_qemu -M $machine -smp 1,maxcpus=2,sockets=2 && wait_guest || return 1
    qmp device_add --driver=qemu64-x86_64-cpu --id=cpu --socket-id=1 --core-id=0 --thread-id=0 || return 1
    wait_log "2 CPUs" && qmp device_del --id=cpu || return 1
    # With TCG QEMU 11.1 tells of the end of the CPU's interrupt controller, not of the CPU's own.
    wait_event DEVICE_DELETED path=/machine/peripheral/cpu/lapic || return 1
    test `qmp query-cpus-fast | grep -o cpu-index | wc -l` = 1 && get_qemu_status
}
in_guest() {
    cpu=/sys/devices/system/cpu/cpu1
    wait_for $cpu/online && echo 1 >$cpu/online && echo "`nproc` CPUs" && wait_for --gone $cpu/online
}
if test $QEMU_TEST; then in_host; else in_guest; fi
