//! Registers: what they begin as, and what software can't change.

use super::*;
use testjig::qos::dev::acpi_pci_hotplug::AcpiPciHotplug;
use testjig::qos::dev::ahci::{Cmd, Ghc, HostReg, PortInterrupt};
use testjig::qos::pci::header;

/// [§2.1] Class code 010601h; AHCI registers in BAR 5, the index and data pair of the ICH9 in BAR 4.
#[testjig::test(on = Ahci)]
fn the_function_is_an_ahci_hba(hba: Ahci) {
    assert_eq!(hba.function().class() >> 8, 0x0106);
    assert_eq!(hba.function().read::<u8>(header::CLASS_CODE), 0x01);
    assert!(hba.bar().size() >= 0x400);
    assert_eq!(hba.function().iomap(4).size(), 32);
}

/// [§3.1.1, §3.1.4] Six ports, all implemented; 32 command slots, queueing, 64-bit addresses, generation 1.
#[testjig::test(on = Ahci)]
fn capabilities_are_an_ich9s(hba: Ahci) {
    let cap = hba.cap();
    assert_eq!((cap.ports(), cap.slots(), cap.speed()), (5, 31, 1));
    assert!(cap.queueing() && cap.addresses64() && cap.ahci_only());
    assert!(
        !cap.multiplier()
            && !cap.switching()
            && !cap.notification()
            && !cap.enclosure()
            && !cap.coalescing()
    );
    assert_eq!(hba.read(HostReg::Pi), 0b11_1111);
    assert_eq!(hba.read(HostReg::Vs) >> 16, 1);
}

/// [§3.1] CAP, PI and VS can't be written, what is not there reads as zero.
#[testjig::test(on = Ahci)]
fn host_registers_are_read_only(hba: Ahci) {
    let registers = [HostReg::Cap, HostReg::Pi, HostReg::Vs];
    let before = registers.map(|reg| hba.read(reg));
    for reg in registers {
        hba.write(reg, 0);
        hba.write(reg, u32::MAX);
    }
    assert_eq!(registers.map(|reg| hba.read(reg)), before);
    for reg in [
        HostReg::CccCtl,
        HostReg::CccPorts,
        HostReg::EmLoc,
        HostReg::EmCtl,
        HostReg::Cap2,
        HostReg::Bohc,
    ] {
        hba.write(reg, u32::MAX);
        assert_eq!(hba.read(reg), 0, "{reg:?}");
    }
}

/// [§3.1.2] AE stays set, IE is written, everything else is zero; [§3.1.3] nothing interrupts.
#[testjig::test(on = Ahci)]
fn only_the_interrupt_enable_is_written(hba: Ahci) {
    assert_eq!(hba.read(HostReg::Is), 0);
    assert_eq!(hba.ghc(), Ghc::new().with_ahci(true));
    hba.set_ghc(Ghc::from(0x7fff_fffe));
    assert_eq!(hba.ghc(), Ghc::new().with_ahci(true).with_interrupts(true));
    hba.set_ghc(Ghc::new());
    assert_eq!(hba.ghc(), Ghc::new().with_ahci(true));
}

/// [§3.3] After power-on a port stands, nothing pending, nothing enabled, nothing received.
#[testjig::test(on = Ahci, launch = disk)]
fn a_port_begins_idle(hba: Ahci) {
    for number in 0..6 {
        let port = hba.port(number);
        for reg in [
            PortReg::Is,
            PortReg::Ie,
            PortReg::Sctl,
            PortReg::Serr,
            PortReg::Sact,
            PortReg::Ci,
            PortReg::Sntf,
            PortReg::Fbs,
        ] {
            assert_eq!(port.read(reg), 0, "port {number}: {reg:?}");
        }
        assert_eq!(
            port.cmd(),
            Cmd::new().with_spin_up(true).with_power_on(true),
            "port {number}"
        );
        assert_eq!(port.read(PortReg::Tfd), 0x7f, "port {number}");
        assert_eq!(port.read(PortReg::Sig), u32::MAX, "port {number}");
        // Their low bits are reserved: what they point to is aligned.
        assert_eq!(port.read(PortReg::Clb) & 0x3ff, 0, "port {number}");
        assert_eq!(port.read(PortReg::Fb) & 0xff, 0, "port {number}");
    }
}

/// [§3.3.10] Where a disk is: communication established, an active interface of generation 1; where none is, nothing.
#[testjig::test(on = Ahci, launch = disk)]
fn a_device_is_detected(hba: Ahci) {
    let ssts = hba.port(0).ssts();
    assert_eq!((ssts.detection(), ssts.speed(), ssts.power()), (3, 1, 1));
    assert_eq!(hba.port(1).ssts().into_bits(), 0);
}

/// [§3.3.8–3.3.10] PxTFD, PxSIG and PxSSTS are read-only.
#[testjig::test(on = Ahci, launch = disk)]
fn status_registers_are_read_only(hba: Ahci) {
    let port = hba.port(0);
    let registers = [
        PortReg::Tfd,
        PortReg::Sig,
        PortReg::Ssts,
        PortReg::Sntf,
        PortReg::Fbs,
    ];
    let before = registers.map(|reg| port.read(reg));
    for reg in registers {
        port.write(reg, 0x5555_5555);
    }
    assert_eq!(registers.map(|reg| port.read(reg)), before);
}

/// [§3.3.1–3.3.4] Bases of command list and FIS area, both halves, read as written.
#[testjig::test(on = Ahci)]
fn bases_have_64_bits(hba: Ahci) {
    let port = hba.port(2);
    port.set_bases(0x1234_5678_9abc_dc00, 0xfedc_ba98_7654_3200);
    let halves = [PortReg::Clb, PortReg::Clbu, PortReg::Fb, PortReg::Fbu].map(|reg| port.read(reg));
    assert_eq!(halves, [0x9abc_dc00, 0x1234_5678, 0x7654_3200, 0xfedc_ba98]);
}

/// [§3.3.6] PxIE has a bit for each of PxIS; the reserved ones are zero.
#[testjig::test(on = Ahci)]
fn interrupt_enables_are_those_of_interrupts(hba: Ahci) {
    let port = hba.port(0);
    port.write(PortReg::Ie, u32::MAX);
    assert_eq!(port.read(PortReg::Ie), PortInterrupt::ALL.into_bits());
    port.write(PortReg::Ie, 0);
    assert_eq!(port.read(PortReg::Ie), 0);
}

/// [§3.3.7] CR, FR, CCS and the other status bits can't be written; a power state is left at once.
#[testjig::test(on = Ahci)]
fn status_bits_of_the_command_register_are_read_only(hba: Ahci) {
    let port = hba.port(3);
    let status = Cmd::new()
        .with_slot(31)
        .with_receiving(true)
        .with_running(true)
        .with_hot_plug(true)
        .with_external(true)
        .with_power_state(1);
    port.change_cmd(|cmd| Cmd::from(cmd.into_bits() | status.into_bits()));
    assert_eq!(
        port.cmd(),
        Cmd::new().with_spin_up(true).with_power_on(true)
    );
}

/// [§3.3.7] ATAPI and the LED are software's.
#[testjig::test(on = Ahci)]
fn software_bits_of_the_command_register_are_kept(hba: Ahci) {
    let port = hba.port(3);
    port.change_cmd(|cmd| cmd.with_atapi(true).with_led(true));
    assert!(port.cmd().atapi() && port.cmd().led());
}

/// [§3.3.11] PxSCTL keeps limits of speed and power states.
#[testjig::test(on = Ahci, launch = disk)]
fn limits_are_kept(hba: Ahci) {
    let port = hba.port(0);
    port.write(PortReg::Sctl, 0x310);
    assert_eq!(port.read(PortReg::Sctl), 0x310);
}

/// [§3] Bytes, words and dwords are read; quadwords of two registers, where they are aligned.
#[testjig::test(on = Ahci)]
fn parts_of_registers_are_read(hba: Ahci) {
    let cap = hba.read(HostReg::Cap);
    let bytes = cap.to_le_bytes();
    for (byte, offset) in bytes.into_iter().zip(0..) {
        assert_eq!(hba.bar().read::<u8>(offset), byte);
    }
    assert_eq!(hba.bar().read::<u16>(2), (cap >> 16) as u16);
    let both = u64::from(hba.read(HostReg::Ghc)) << 32 | u64::from(cap);
    assert_eq!(hba.bar().read::<u64>(0), both);
    assert_eq!(hba.vm().readw(hba.bar().address() + 3), (both >> 24) as u16);
}

/// [§3.3] Registers of ports that are not implemented, and reserved ones, are zero and stay so.
#[testjig::test(on = Ahci)]
fn absent_registers_are_zero(hba: Ahci) {
    let absent = hba.port(6);
    absent.write(PortReg::Ie, u32::MAX);
    assert_eq!(absent.read(PortReg::Ie), 0);
    // Of the host, of port 0, of ports from 6 on.
    let reserved = [
        0x2c..0x100,
        0x11c..0x120,
        0x144..0x180,
        0x400..hba.bar().size(),
    ];
    for offset in reserved.into_iter().flat_map(|range| range.step_by(4)) {
        hba.bar().write::<u32>(offset, u32::MAX);
        assert_eq!(hba.bar().read::<u32>(offset), 0, "{offset:#x}");
    }
}

/// [ICH9 §15.2, AHCI Index Data Pair] The same registers by index and data ports.
#[testjig::test(on = Ahci)]
fn the_index_data_pair_reaches_registers(hba: Ahci) {
    let pair = hba.function().iomap(4);
    let (index, data) = (0x10, 0x14);
    pair.write::<u32>(index, HostReg::Pi as u32);
    assert_eq!(pair.read::<u32>(data), hba.read(HostReg::Pi));
    let ie = hba.port(1).offset(PortReg::Ie) as u32;
    pair.write::<u32>(index, ie | 0xf000_0003);
    assert_eq!(pair.read::<u32>(index), ie, "reserved bits");
    pair.write::<u32>(data, 0x41);
    assert_eq!(hba.port(1).read(PortReg::Ie), 0x41);
    assert_eq!(pair.read::<u32>(0), 0);
}

/// [SATA capability, ICH9 §15.1] Where the index and data pair is: BAR 4, dword 4.
#[testjig::test(on = Ahci)]
fn the_sata_capability_tells_the_pair(hba: Ahci) {
    let capability = hba.function().capability(0x12).expect("it has one");
    assert_eq!(capability.read::<u16>(2), 0x10);
    assert_eq!(capability.read::<u32>(4), 4 << 4 | 8);
}

/// [§3] Writes are dwords on dword boundaries; another one changes nothing.
#[testjig::test(on = Ahci)]
fn an_unaligned_write_changes_nothing(hba: Ahci) {
    let ie = hba.port(0).offset(PortReg::Ie);
    hba.port(0).write(PortReg::Ie, 0x41);
    hba.vm().writeb(hba.bar().address() + ie + 1, 0xff);
    hba.vm().writew(hba.bar().address() + ie + 2, 0xffff);
    assert_eq!(hba.port(0).read(PortReg::Ie), 0x41);
}

/// An HBA without disks can be unplugged while the machine runs, and another one plugged in its place.
#[testjig::test(on = Pc)]
fn an_hba_is_hot_plugged(vm: &Vm) {
    use serde_json::json;
    use testjig::qos::pci::Pci;

    let pci = Pci::pc(vm);
    for ports in [6, 6] {
        vm.qmp_raw(
            "device_add",
            json!({"driver": "ich9-ahci", "id": "hot", "bus": "pci.0", "addr": "07.0"}),
        );
        let function = pci.device(7);
        assert!(function.is_present());
        let hba = Ahci::new(function);
        assert_eq!(hba.cap().ports() + 1, ports);
        vm.qmp_raw("device_del", json!({"id": "hot"}));
        AcpiPciHotplug::new(vm).eject(7);
        assert!(!pci.device(7).is_present());
        drop(hba);
    }
}

/// The same HBA, plugged into a `pc`.
#[testjig::test(on = Pc, launch = plugged)]
fn an_hba_can_be_plugged_in(vm: &Vm) {
    use testjig::qos::pci::Pci;

    let hba = Ahci::find(&Pci::pc(vm));
    let engine = hba.port(2).start();
    assert_reads(&engine, vm);
}

fn plugged(launch: Launch) -> Launch {
    launch
        .device(Device::new("ich9-ahci").id("ahci"))
        .drive(Drive::new("hd0", Image::zeroed(SECTORS * SECTOR as u64)))
        .device(Device::new("ide-hd").bus("ahci.2").prop("drive", "hd0"))
}
