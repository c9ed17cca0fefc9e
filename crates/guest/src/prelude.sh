# Read before a test's host half, by the shell that reads that. What has to change the shell itself is a function; the other words are
# programs on PATH.
start_qemu() {
    pid=$(command start_qemu "$@") || return
    export pid
}
# QEMU is no child of this shell; the status of its guest half is known to another.
wait() {
    if [ "$#" = 1 ] && [ "$1" = "${pid-}" ]; then
        get_qemu_status
    else
        command wait "$@"
    fi
}
skip() {
    command skip "$@"
    exit 77
}
