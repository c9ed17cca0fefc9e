#!/bin/sh
# testjig: agent=isa
# What a guest sees of a machine type stays what it was: CPU, DMI, PCI, ACPI, devices.
in_host() {
    machine=`named_choose machine pc-i440fx-9.0 pc-q35-9.0`
    qemu -M $machine -net none >$tmpdir/printed || return 1
    sed -n '/^== cpu/,/^== end/p' $tmpdir/printed | tr -d '\r' | golden fingerprint/$machine
}
in_guest() {
    fingerprint && echo "== end"
}
if test $QEMU_TEST; then in_host; else in_guest; fi
