#!/bin/sh
# A machine boots to user space, with the CPUs and the memory that it was given.
in_host() {
    machine=`named_choose machine pc q35`
    qemu -M $machine -smp 2 -m 320
}
in_guest() {
    test `nproc` = 2 && awk '/^MemTotal/ { exit !($2 > 240000 && $2 < 327680) }' /proc/meminfo
}
if test $QEMU_TEST; then in_host; else in_guest; fi
