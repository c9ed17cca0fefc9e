//! Configuration space: what the host bridge says it is, what can be written, and the two ports that lead there.

use std::time::Duration;

use testjig::prelude::*;
use testjig::qmp::commands::QueryStatus;
use testjig::qos::dev::fw_cfg::FwCfg;
use testjig::qos::dev::i440fx::I440fx;
use testjig::qos::pci::{Bdf, Command, ConfigAddress, header};
use testjig::vm::{Drive, Image};

/// [VID] 8086h, [DID] 1237h. [MLT], [PMCCFG] of one processor, [DETURBO], [AXC], [DRT], [FDHC], [MTT], [ERRCMD], [ERRSTS], [TRC]: zero.
#[testjig::test(on = I440fx)]
fn the_bridge_is_an_82441fx(host: I440fx) {
    assert_eq!(host.config().id(), (0x8086, 0x1237));
    let bytes = host.config().bytes();
    for register in [
        0x0d, 0x50, 0x51, 0x52, 0x54, 0x55, 0x56, 0x68, 0x70, 0x90, 0x91, 0x93,
    ] {
        assert_eq!(bytes[register], 0, "{register:#x}");
    }
}

/// [RID] 02h is the stepping that QEMU models. [CLASSC] 060000h, a host bridge. [HEADT] 00h. [BIST] 00h.
#[testjig::test(on = I440fx)]
fn the_bridge_is_a_host_bridge(host: I440fx) {
    assert_eq!(host.config().read::<u32>(header::REVISION_ID), 0x0600_0002);
    assert_eq!(host.config().read::<u16>(header::HEADER_TYPE), 0x0000);
}

/// PCI 2.1 §6.2.4, §6.2.5: registers that are not implemented read as zero. The bridge has no base address and no interrupt.
#[testjig::test(on = I440fx)]
fn the_bridge_decodes_no_addresses_and_interrupts_nobody(host: I440fx) {
    let bytes = host.config().bytes();
    assert_eq!(bytes[0x10..0x28], [0; 0x18]);
    assert_eq!(bytes[0x30..0x40], [0; 0x10]);
}

/// [PCICMD] The bits for special cycles, write-and-invalidate, palette snooping, stepping and fast back-to-back are hardwired to 0, and
/// so are the reserved ones.
#[testjig::test(on = I440fx)]
fn the_command_register_keeps_only_what_is_implemented(host: I440fx) {
    host.config().set_command(Command::from_bits(0xffff));
    assert_eq!(host.config().command().into_bits() & 0xfab8, 0);
    assert!(host.config().command().serr());
    host.config().set_command(Command::new());
    assert_eq!(host.config().command(), Command::new());
}

/// PCI 2.1 §6.2.3: a bit of the status register is cleared by writing 1, and never set by writing.
#[testjig::test(on = I440fx)]
fn writing_the_status_register_sets_nothing(host: I440fx) {
    let before = host.config().read::<u16>(header::STATUS);
    host.config().write::<u16>(header::STATUS, 0xffff);
    assert_eq!(host.config().read::<u16>(header::STATUS) & !before, 0);
}

/// PCI 2.1 §6.1: the registers that identify the device are read-only, as are those that it does not implement.
#[testjig::test(on = I440fx)]
fn read_only_bytes_ignore_writes(host: I440fx) {
    for value in [0x00_u8, 0xff] {
        let before = host.config().bytes();
        for offset in READ_ONLY.into_iter().flatten() {
            host.config().write(offset, value);
        }
        assert_eq!(host.config().bytes(), before, "{value:#x}");
    }
}

/// As above, written with the widest access.
#[testjig::test(on = I440fx)]
fn read_only_dwords_ignore_writes(host: I440fx) {
    for value in [0x0000_0000_u32, 0xffff_ffff] {
        let before = host.config().bytes();
        for offset in [
            0x00, 0x08, 0x10, 0x14, 0x18, 0x1c, 0x20, 0x24, 0x28, 0x2c, 0x34, 0x38,
        ] {
            host.config().write(offset, value);
        }
        assert_eq!(host.config().bytes(), before, "{value:#x}");
    }
}

/// [DRB0–7] Read/write, 8 bits each.
#[testjig::test(on = I440fx)]
fn dram_row_boundaries_keep_what_is_written(host: I440fx) {
    host.config().write::<u32>(0x60, 0x0403_0201);
    host.config().write::<u32>(0x64, 0xf807_0605);
    assert_eq!(host.config().read::<u32>(0x60), 0x0403_0201);
    assert_eq!(host.config().read::<u32>(0x64), 0xf807_0605);
}

/// PCI 2.1 §3.2.2.3: bytes that an access does not enable keep their value.
#[testjig::test(on = I440fx)]
fn a_narrow_write_leaves_its_neighbours_alone(host: I440fx) {
    host.config().write::<u32>(0x60, 0x1111_1111);
    host.config().write::<u8>(0x61, 0x22);
    host.config().write::<u16>(0x62, 0x4433);
    assert_eq!(host.config().read::<u32>(0x60), 0x4433_2211);
    assert_eq!(host.config().read::<u16>(0x61), 0x3322);
}

/// PCI 2.1 §6.1: functions that do not exist read as all ones. The PMC has one function.
#[testjig::test(on = I440fx)]
fn the_bridge_has_one_function(host: I440fx) {
    for function in 1..8 {
        let absent = host.config().pci().function(Bdf::new(0, 0, function));
        assert!(!absent.is_present(), "{function:#x}");
    }
}

/// As above, of devices and buses.
#[testjig::test(on = I440fx)]
fn nothing_answers_where_no_device_is(host: I440fx) {
    for at in [Bdf::new(0, 31, 0), Bdf::new(1, 0, 0), Bdf::new(255, 0, 0)] {
        let absent = host.config().pci().function(at);
        absent.write::<u32>(header::BAR0, 0x1234_5678);
        assert_eq!(absent.bytes(), [0xff; 256], "{at:?}");
    }
}

/// 82371SB data sheet: the PIIX3 is a device of three functions beside the PMC; QEMU adds the PIIX4's power management as the fourth.
#[testjig::test(on = I440fx)]
fn the_south_bridge_is_device_1(host: I440fx) {
    let id = |function| host.config().pci().function(Bdf::new(0, 1, function)).id();
    assert_eq!(id(0), (0x8086, 0x7000), "ISA bridge");
    assert_eq!(id(1), (0x8086, 0x7010), "IDE controller");
    assert_eq!(id(3), (0x8086, 0x7113), "power management");
}

/// A device without an address of its own gets the first function of the next free slot.
#[testjig::test(on = I440fx, launch = |l| l.device(Device::new("pci-testdev")))]
fn an_added_device_gets_the_next_free_slot(host: I440fx) {
    let id = |device| host.config().pci().function(Bdf::new(0, device, 0)).id();
    assert_eq!([id(2), id(3)], [(0x1b36, 0x0005), (0xffff, 0xffff)]);
}

/// [CONFADD] A dword register: what is written is read back.
#[testjig::test(on = I440fx)]
fn confadd_reads_back(host: I440fx) {
    let ports = host.ports();
    let address = ConfigAddress::of(Bdf::new(0x5a, 0x1b, 6), 0xa8);
    ports.select(address);
    assert_eq!(ports.selected(), address);
}

/// [CONFADD] Only dword accesses reach it; bytes and words pass through to the ports of other devices.
#[testjig::test(on = I440fx)]
fn confadd_takes_dwords_only(host: I440fx) {
    let space = host.ports();
    let address = ConfigAddress::of(I440fx::BDF, 0x58);
    space.select(address);
    space.ports().outb(0, 0xff);
    space.ports().outw(2, 0xffff);
    assert_eq!(space.selected(), address);
}

/// [CONFADD] Bit 31 = 0: accesses to CONFDATA are no configuration cycles.
#[testjig::test(on = I440fx)]
fn confdata_is_dead_while_disabled(host: I440fx) {
    let space = host.ports();
    host.config().write::<u32>(0x60, 0x1111_1111);
    space.select(ConfigAddress::of(I440fx::BDF, 0x60).with_enable(false));
    space.ports().outl(4, 0x2222_2222);
    assert_eq!(space.ports().inl(4), 0xffff_ffff);
    assert_eq!(host.config().read::<u32>(0x60), 0x1111_1111);
}

/// [CONFDATA] Its four ports are the four bytes of the dword.
#[testjig::test(on = I440fx)]
fn confdata_has_a_port_for_each_byte(host: I440fx) {
    let space = host.ports();
    space.select(ConfigAddress::of(I440fx::BDF, header::VENDOR_ID));
    let bytes = [4, 5, 6, 7].map(|port| space.ports().inb(port));
    assert_eq!(bytes, [0x86, 0x80, 0x37, 0x12]);
    assert_eq!(
        [space.ports().inw(4), space.ports().inw(6)],
        [0x8086, 0x1237]
    );
}

/// PCI 2.1 §6.2.2: after RST# the command register is 0. PIIX3 data sheet, [RCR]: port 0xcf9 can pull it.
#[testjig::test(on = I440fx, vary(reset = [Reset::Monitor, Reset::Port0xcf9]))]
fn reset_clears_the_command_register_and_keeps_the_identity(host: I440fx, vm: &Vm, reset: Reset) {
    let identity = host.config().read::<u32>(header::VENDOR_ID);
    host.config()
        .set_command(Command::new().with_serr(true).with_memory(true));
    host.config().write::<u8>(header::INTERRUPT_LINE, 0x5a);
    host.config().write::<u8>(header::CACHE_LINE_SIZE, 0x10);

    reset.pull(vm);
    assert_eq!(host.config().command(), Command::new());
    assert_eq!(host.config().read::<u8>(header::INTERRUPT_LINE), 0);
    assert_eq!(host.config().read::<u8>(header::CACHE_LINE_SIZE), 0);
    assert_eq!(host.config().read::<u32>(header::VENDOR_ID), identity);
}

/// IEEE 1275, PCI bus binding: firmware names a host bridge by its address, here the port of CONFADD.
#[testjig::test(on = I440fx, launch = boot_from_disk)]
fn firmware_is_told_the_port_of_confadd(vm: &Vm) {
    let order = FwCfg::io(vm).contents("bootorder");
    assert_eq!(order, b"/pci@i0cf8/scsi@4/disk@0,0\0");
}

fn boot_from_disk(launch: Launch) -> Launch {
    let disk = Device::new("virtio-blk-pci")
        .prop("drive", "disk")
        .prop("addr", 4)
        .prop("bootindex", 0);
    launch
        .drive(Drive::new("disk", Image::zeroed(MIB)))
        .device(disk)
}

/// Offsets that hold no writable bit: identity, status's neighbours of the header, what is not implemented.
const READ_ONLY: [std::ops::Range<u16>; 3] = [0x00..0x04, 0x08..0x0c, 0x0d..0x3c];

#[derive(Debug)]
enum Reset {
    Monitor,
    Port0xcf9,
}

impl Reset {
    fn pull(self, vm: &Vm) {
        match self {
            Self::Monitor => vm.reset(),
            Self::Port0xcf9 => {
                // Events reach the monitor from its first use on.
                vm.qmp(QueryStatus);
                vm.outb(0xcf9, 0x02);
                vm.outb(0xcf9, 0x06);
                vm.wait_event("RESET", Duration::from_secs(30));
            }
        }
    }
}
