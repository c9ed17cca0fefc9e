//! Migration: another QEMU goes on where this one stopped.

use serde_json::json;

use super::*;
use crate::ide::{migrate, target, wait_stopped};

/// The port of the machine that went on: the same addresses.
fn ci(vm: &Vm, engine: &Engine) -> u32 {
    let bar = engine.port().hba().bar().address();
    vm.readl(bar + engine.port().offset(PortReg::Ci))
        | vm.readl(bar + engine.port().offset(PortReg::Sact))
}

/// A port that runs goes on: the target executes what is issued there, by list and tables that went along.
#[testjig::test(on = Ahci, launch = disk, needs(running))]
fn a_port_goes_on(hba: Ahci, vm: &Vm, qemu: &Qemu, launch: Launch) {
    let target = target(qemu, launch);
    let data = pattern(30, SECTOR);
    target.disk("hd0").write(3 * SECTOR as u64, &data);
    let engine = hba.port(0).start();
    let buffer = buffer(&hba, SECTOR);
    engine.prepare(0, &Request::new(&read(3, 1), &[whole(&buffer)]));

    migrate(vm, &target);
    let bar = hba.bar().address();
    target.writel(bar + engine.port().offset(PortReg::Ci), 1);
    let done = testjig::vm::Condition::new("PxCI clear", || ci(&target, &engine) == 0);
    target.wait_until(done, std::time::Duration::from_secs(10));
    assert_eq!(target.ram().read_vec(buffer.addr(), SECTOR), data);
    target.stop();
}

/// A disk whose first read of sector 100 fails and stops the machine.
fn failing(launch: Launch) -> Launch {
    launch
        .drive(Drive::new("hd0", Image::zeroed(SECTORS * SECTOR as u64)))
        .arg("-blockdev")
        .arg(
            "driver=blkdebug,node-name=bad,image=hd0,inject-error.0.event=none,inject-error.0.iotype=read,\
             inject-error.0.sector=100,inject-error.0.errno=5,inject-error.0.once=on",
        )
        .device(hd("bad", 0).prop("rerror", "stop"))
}

/// A command that waits for the user's remedy goes along, queued or not: the target does it again, from its own medium.
#[testjig::test(on = Ahci, launch = failing, needs(running), vary(queued = [false, true]))]
fn a_stopped_command_goes_on(hba: Ahci, vm: &Vm, qemu: &Qemu, queued: bool) {
    let healthy = Launch::new(vm.launch().machine())
        .drive(Drive::new("hd0", Image::zeroed(SECTORS * SECTOR as u64)))
        .device(hd("hd0", 0).prop("rerror", "stop"));
    let target = target(qemu, healthy);
    let data = pattern(31, SECTOR);
    target.disk("hd0").write(100 * SECTOR as u64, &data);
    let engine = hba.port(0).start();
    let buffer = buffer(&hba, SECTOR);
    let task = if queued {
        Taskfile::new(Command::READ_FPDMA_QUEUED)
            .at(Address::Lba48(100))
            .features(1)
    } else {
        read(100, 1)
    };
    engine.prepare(0, &Request::new(&task, &[whole(&buffer)]));
    if queued {
        engine.port().write(PortReg::Sact, 1);
    }
    engine.issue(1);
    wait_stopped(vm);

    migrate(vm, &target);
    assert_eq!(ci(&target, &engine), 1);
    target.qmp_raw("cont", json!({}));
    let done = testjig::vm::Condition::new("PxCI and PxSACT clear", || ci(&target, &engine) == 0);
    target.wait_until(done, std::time::Duration::from_secs(10));
    assert_eq!(target.ram().read_vec(buffer.addr(), SECTOR), data);
    target.stop();
}
