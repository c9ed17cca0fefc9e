#!/bin/sh
# [Virtio 1.2 §5.3] Ports carry bytes both ways, each its own, and one whose guest reads late loses nothing.
in_host() {
    for port in one two; do
        mkfifo $tmpdir/$port.in $tmpdir/$port.out
        ports="$ports -chardev pipe,id=$port,path=$tmpdir/$port -device virtserialport,bus=own.0,chardev=$port,name=$port"
    done
    start_qemu -device virtio-serial-pci,id=own $ports || return 1
    head -c 300000 /dev/urandom >$tmpdir/bytes
    cat $tmpdir/bytes >$tmpdir/two.in &
    echo "to the guest" >$tmpdir/one.in
    test "`head -n 1 $tmpdir/one.out`" = "from the guest" || return 1
    test "`head -c 32 $tmpdir/two.out`" = "`md5sum <$tmpdir/bytes | head -c 32`" || return 1
    get_qemu_status
}
port() {
    echo /dev/`grep -lx $1 /sys/class/virtio-ports/*/name | cut -d / -f 5`
}
in_guest() {
    read line <`port one` && test "$line" = "to the guest" || return 1
    echo "from the guest" >`port one`
    # The other port has been full for a while.
    head -c 300000 `port two` | md5sum | head -c 32 >/tmp/sum && cat /tmp/sum >`port two`
}
if test $QEMU_TEST; then in_host; else in_guest; fi
