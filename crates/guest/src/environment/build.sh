#!/bin/sh
# Builds the kernel and busybox of testjig's guests from Debian's source packages, in the current directory.
#
# SOURCES is the directory of the packages' files, CONFIG what the kernel has over tinyconfig, CC the compiler, JOBS how many of it run
# at once, OUT where the results go; LINUX and BUSYBOX are the versions of the packages. The same inputs make the same bytes: nothing of
# the time, the user, the machine or the directory goes into them.
set -eu

export LC_ALL=C TZ=UTC SOURCE_DATE_EPOCH=0
export KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 1970' KBUILD_BUILD_USER=testjig KBUILD_BUILD_HOST=testjig KBUILD_BUILD_VERSION=1
export KCONFIG_NOTIMESTAMP=1
unset MAKEFLAGS CFLAGS LDFLAGS ARCH CROSS_COMPILE

# Unpacks a source package as its maintainers build it: with their patches. All or nothing.
unpack() {
    rm -rf "$1.new"
    mkdir "$1.new"
    tar -xf "$SOURCES"/"$1"_"${2%-*}".orig.tar.* -C "$1.new" --strip-components=1
    tar -xf "$SOURCES"/"$1"_"$2".debian.tar.* -C "$1.new"
    (
        cd "$1.new"
        sed '/^#/d;/^$/d' debian/patches/series | while read -r patch _; do
            patch -s -p1 -N -F0 -i "debian/patches/$patch"
        done
    )
    mv "$1.new" "$1"
}

run_make() {
    directory=$1
    shift
    make -C "$directory" CC="$CC" HOSTCC="$CC" HOSTCFLAGS="${TOOLS:+-I$TOOLS/usr/include}" HOSTLDFLAGS="${LIBRARIES:+-L$LIBRARIES}" "$@"
}

linux() {
    test -d linux || unpack linux "$LINUX"
    # An interrupted build goes on where it was.
    if ! test -e linux.out/.configured; then
        rm -rf linux.out
        run_make linux "O=$PWD/linux.out" tinyconfig
        cat "$CONFIG" >>linux.out/.config
        run_make linux "O=$PWD/linux.out" olddefconfig
        grep '^CONFIG_' "$CONFIG" | while read -r line; do
            grep -Fqx "$line" linux.out/.config || { echo "the kernel does not take $line" >&2; exit 1; }
        done
        touch linux.out/.configured
    fi
    run_make linux "O=$PWD/linux.out" "-j$JOBS" vmlinux modules
    # Which modules need which is in them; nobody's depmod is asked.
    rm -rf modules
    run_make linux "O=$PWD/linux.out" INSTALL_MOD_PATH="$PWD/modules" INSTALL_MOD_STRIP=1 DEPMOD=true modules_install
    objcopy -R .comment -S linux.out/vmlinux "$OUT/vmlinux"
    cp linux.out/.config "$OUT/config"
    cat linux.out/include/config/kernel.release >"$OUT/release"
}

busybox() {
    test -d busybox || unpack busybox "$BUSYBOX"
    if ! test -e busybox/.configured; then
        cp busybox/debian/config/pkg/static busybox/.config
        yes '' | run_make busybox -s oldconfig >/dev/null
        touch busybox/.configured
    fi
    run_make busybox "-j$JOBS" busybox
    cp busybox/busybox "$OUT/busybox"
    cp busybox/.config "$OUT/config.busybox"
}

"$1"
