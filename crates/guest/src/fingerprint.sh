#!/bin/sh
# What a guest sees of its machine, and nothing that differs between two boots of the same one.
section() { echo "== $1"; }

section cpu
sed -n 's/^\(vendor_id\|cpu family\|model\|model name\|stepping\|flags\)[[:space:]]*: /\1: /p' /proc/cpuinfo | sort -u
section dmi
for file in /sys/class/dmi/id/*; do
    case ${file##*/} in
    # What is of this start alone, and what is the firmware's own.
    modalias | uevent | product_uuid | *serial | bios_*) ;;
    *) [ -f "$file" ] && echo "${file##*/}: $(cat "$file" 2>/dev/null)" ;;
    esac
done
section pci
for device in /sys/bus/pci/devices/*; do
    [ -d "$device" ] || continue
    echo "${device##*/} $(cat "$device/class") $(cat "$device/vendor"):$(cat "$device/device") $(cat "$device/subsystem_vendor"):$(cat "$device/subsystem_device") rev $(cat "$device/revision")"
    # Start, end and flags of each BAR; where firmware puts them is part of the machine.
    sed -n '/^0x0* 0x0* /!s/^/    /p' "$device/resource"
done
section acpi
for table in /sys/firmware/acpi/tables/*; do
    [ -f "$table" ] || continue
    # The checksum of a table with addresses of its own in it says little; its length says what is in it.
    echo "${table##*/} $(dd if="$table" bs=1 skip=4 count=4 2>/dev/null | od -An -tu4 | tr -d ' ') $(dd if="$table" bs=1 skip=10 count=14 2>/dev/null)"
done
for device in /sys/bus/acpi/devices/*; do
    [ -f "$device/path" ] && [ -f "$device/hid" ] && echo "$(cat "$device/path") $(cat "$device/hid")"
done | sort
section devices
# Of the buses that devices of the machine are on; others hold what the kernel makes up itself.
for bus in pnp platform scsi serio usb virtio; do
    for device in /sys/bus/$bus/devices/*; do
        case ${device##*/} in
        '*' | alarmtimer* | reg-dummy | pcspkr | platform-framebuffer* | scsi_tmf_*) ;;
        *) echo "$bus ${device##*/}" ;;
        esac
    done
done
