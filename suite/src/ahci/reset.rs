//! Resets: of the HBA, of a port, of the device by software, of the machine.

use super::*;
use testjig::qos::dev::ahci::{Cmd, Ghc, HostReg, PortInterrupt, RegisterFis, received};
use testjig::qos::dev::ata::{DeviceControl, Error, Signature};

/// [§10.4.3] HBA reset: HR clears itself, interrupts are disabled, ports stand idle; it works on afterwards, however often.
#[testjig::test(on = Ahci, launch = disk)]
fn an_hba_reset_stops_everything(hba: Ahci, vm: &Vm) {
    let mut engine = hba.port(0).start();
    for round in 0..2 {
        hba.enable_interrupts();
        engine.port().enable_interrupts(PortInterrupt::ALL);
        engine.execute(&Request::new(&Taskfile::new(Command(0xff)), &[]));
        hba.reset();
        assert_eq!(hba.ghc(), Ghc::new().with_ahci(true));
        assert_eq!(hba.read(HostReg::Is), 0);
        let port = hba.port(0);
        for reg in [
            PortReg::Is,
            PortReg::Ie,
            PortReg::Sctl,
            PortReg::Serr,
            PortReg::Sact,
            PortReg::Ci,
        ] {
            assert_eq!(port.read(reg), 0, "{reg:?}");
        }
        assert_eq!(
            port.cmd(),
            Cmd::new().with_spin_up(true).with_power_on(true)
        );
        engine = port.start();
        assert_reads(&engine, vm);
        assert_writes(&engine, vm, round);
        let room = buffer(&hba, SECTOR);
        let identify = Taskfile::new(Command::IDENTIFY_DEVICE);
        let outcome = engine.execute(&Request::new(&identify, &[whole(&room)]));
        assert!(outcome.is_good(), "{outcome:?}");
    }
}

/// Writes one sector, of what no other seed gives, and is content with it.
#[track_caller]
fn assert_writes(engine: &Engine, vm: &Vm, seed: u8) {
    let data = pattern(seed, SECTOR);
    let buffer = buffer(engine.port().hba(), SECTOR);
    buffer.write(0, &data);
    let task = Taskfile::new(Command::WRITE_DMA_EXT).at(Address::Lba48(78));
    let outcome = engine.execute(&Request::new(&task.count(1), &[whole(&buffer)]).to_device());
    assert!(outcome.is_good(), "{outcome:?}");
    assert_eq!(vm.disk("hd0").sector(78), data[..]);
}

/// [§10.4.2] Port reset: what is pending is gone, the signature is received again.
#[testjig::test(on = Ahci, launch = disk)]
fn a_port_reset_brings_the_signature(hba: Ahci, vm: &Vm) {
    let engine = hba.port(0).start();
    engine.execute(&Request::new(&Taskfile::new(Command(0xff)), &[]));
    engine.stop();
    engine.fis().fill(0);
    engine.port().reset();
    assert_eq!(engine.port().read(PortReg::Ci), 0);
    assert_eq!(engine.port().read(PortReg::Sig), 0x101);
    let fis = engine.received(received::REGISTER);
    assert_eq!(fis[0], 0x34);
    assert_eq!(Error::from(fis[3]), Error::DIAGNOSTIC_PASSED);
    engine.port().change_cmd(|cmd| cmd.with_start(true));
    assert_reads(&engine, vm);
}

/// [§3.3.11] Only going from DET 1 to DET 0 resets.
#[testjig::test(on = Ahci, launch = disk)]
fn other_writes_of_det_do_not_reset(hba: Ahci) {
    let engine = hba.port(0).start();
    engine.fis().fill(0);
    engine.port().write(PortReg::Sctl, 0x300);
    engine.port().write(PortReg::Sctl, 0x001);
    assert_eq!(engine.received(received::REGISTER), [0; 20]);
    engine.port().write(PortReg::Sctl, 0x000);
    assert_eq!(engine.received(received::REGISTER)[0], 0x34);
}

/// [§10.4.1] Software reset: two control FISes, SRST set and clear; the signature is received.
#[testjig::test(on = Ahci, launch = disk)]
fn a_software_reset_brings_the_signature(hba: Ahci, vm: &Vm) {
    let engine = hba.port(0).start();
    engine.fis().fill(0);
    let control = |reset| {
        let fis = RegisterFis::control(DeviceControl::new().with_reset(reset).into());
        Request::of_fis(fis, &[])
            .options(|options| options.with_reset(reset).with_clear_busy(reset))
    };
    engine.prepare(0, &control(true));
    engine.issue(1);
    vm.sync();
    assert_eq!(
        engine.port().read(PortReg::Ci),
        0,
        "the first is done by R_OK"
    );
    assert_eq!(engine.received(received::REGISTER), [0; 20]);
    engine.prepare(1, &control(false));
    engine.issue(2);
    vm.sync();
    let fis = engine.received(received::REGISTER);
    assert_eq!(fis[0], 0x34);
    let signature = Signature {
        count: fis[12],
        lba_low: fis[4],
        lba_mid: fis[5],
        lba_high: fis[6],
    };
    assert_eq!(signature, Signature::ATA);
    assert_reads(&engine, vm);
}

/// A reset of the machine stops ports and takes their interrupts away; the device is there.
#[testjig::test(on = Ahci, launch = disk)]
fn a_machine_reset_stops_everything(hba: Ahci, vm: &Vm) {
    use testjig::qos::pci::Pci;

    let engine = hba.port(0).start();
    engine.port().enable_interrupts(PortInterrupt::ALL);
    hba.enable_interrupts();
    assert_reads(&engine, vm);
    vm.reset();
    drop((engine, hba));
    let hba = Ahci::find(&Pci::q35(vm));
    assert_eq!(hba.ghc(), Ghc::new().with_ahci(true));
    assert_eq!(
        hba.port(0).cmd(),
        Cmd::new().with_spin_up(true).with_power_on(true)
    );
    assert_reads(&hba.port(0).start(), vm);
}

/// A queued command in flight is given up by a port reset, and by one of the HBA.
#[testjig::test(on = Ahci, launch = slow, vary(whole_hba = [false, true], writes = [false, true]))]
fn a_reset_ends_a_queued_command(hba: Ahci, whole_hba: bool, writes: bool) {
    let command = if writes {
        Command::WRITE_FPDMA_QUEUED
    } else {
        Command::READ_FPDMA_QUEUED
    };
    let engine = hba.port(0).start();
    let buffer = buffer(&hba, SECTOR);
    let task = Taskfile::new(command)
        .at(Address::Lba48(1))
        .features(1)
        .count(2 << 3);
    let request = Request::new(&task, &[whole(&buffer)]);
    let request = if writes { request.to_device() } else { request };
    engine.prepare(2, &request);
    engine.port().write(PortReg::Sact, 1 << 2);
    engine.issue(1 << 2);
    if whole_hba {
        hba.reset();
    } else {
        engine.port().reset();
    }
    assert_eq!(engine.port().read(PortReg::Sact), 0);
    assert_eq!(engine.port().read(PortReg::Ci), 0);
}

/// A disk of so few bytes a second that a second request takes a while, and no longer than that.
fn slow(launch: Launch) -> Launch {
    use testjig::vm::Object;

    launch
        .object(Object::new("throttle-group", "slowly").prop("x-bps-total", 2048))
        .drive(Drive::new("hd0", Image::zeroed(SECTORS * SECTOR as u64)))
        .arg("-blockdev")
        .arg("driver=throttle,node-name=slow,throttle-group=slowly,file=hd0")
        .device(hd("slow", 0))
}
