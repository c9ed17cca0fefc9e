//! Migration: another QEMU goes on where this one stopped.

use serde_json::json;

use super::errors::bad;
use super::*;
use crate::ide::{migrate, target, wait_stopped};

/// Of the machines that move: what a migration takes is mostly a look at each page of memory.
const MEMORY: u64 = 16 * MIB;

/// The port of the machine that went on: the same addresses.
fn ci(vm: &Vm, engine: &Engine) -> u32 {
    let bar = engine.port().hba().bar().address();
    vm.readl(bar + engine.port().offset(PortReg::Ci))
        | vm.readl(bar + engine.port().offset(PortReg::Sact))
}

/// A port that runs goes on: the target executes what is issued there, queued or not, by list and tables that went along.
#[testjig::test(on = Ahci, launch = |launch| disk(launch.memory(MEMORY)), needs(running), vary(queued = [false, true]))]
fn a_port_goes_on(hba: Ahci, vm: &Vm, qemu: &Qemu, launch: Launch, queued: bool) {
    let target = target(qemu, launch);
    let data = pattern(30, SECTOR);
    target.disk("hd0").write(3 * SECTOR as u64, &data);
    let engine = hba.port(0).start();
    let buffer = buffer(&hba, SECTOR);
    let task = if queued {
        Taskfile::new(Command::READ_FPDMA_QUEUED)
            .at(Address::Lba48(3))
            .features(1)
    } else {
        read(3, 1)
    };
    engine.prepare(0, &Request::new(&task, &[whole(&buffer)]));

    migrate(vm, &target);
    let bar = hba.bar().address();
    if queued {
        target.writel(bar + engine.port().offset(PortReg::Sact), 1);
    }
    target.writel(bar + engine.port().offset(PortReg::Ci), 1);
    let done = testjig::vm::Condition::new("PxCI and PxSACT clear", || ci(&target, &engine) == 0);
    target.wait_until(done, std::time::Duration::from_secs(10));
    assert_eq!(target.ram().read_vec(buffer.addr(), SECTOR), data);
    target.stop();
}

/// A command that waits for the user's remedy goes along, queued or not: the target does it again, with its own medium.
#[testjig::test(
    on = Ahci,
    launch = |launch| bad(launch.memory(MEMORY), failing.iotype(), "stop"),
    vary(failing = Failing::ALL),
    needs(running)
)]
fn a_stopped_command_goes_on(hba: Ahci, vm: &Vm, qemu: &Qemu, failing: Failing) {
    let healthy = Launch::new(vm.launch().machine())
        .memory(MEMORY)
        .drive(Drive::new("hd0", Image::zeroed(SECTORS * SECTOR as u64)))
        .device(hd("hd0", 0).prop("rerror", "stop").prop("werror", "stop"));
    let target = target(qemu, healthy);
    let [data, medium] = [31, 32].map(|seed| pattern(seed, SECTOR));
    target.disk("hd0").set_sector(BAD.into(), &medium);
    let engine = hba.port(0).start();
    let buffer = buffer(&hba, SECTOR);
    buffer.write(0, &data);
    failing.issue(&engine, &buffer);
    wait_stopped(vm);

    migrate(vm, &target);
    assert_eq!(ci(&target, &engine), 1);
    target.qmp_raw("cont", json!({}));
    let done = testjig::vm::Condition::new("PxCI and PxSACT clear", || ci(&target, &engine) == 0);
    target.wait_until(done, std::time::Duration::from_secs(10));
    let [memory, medium] = failing.moves(&data, &medium);
    assert_eq!(target.ram().read_vec(buffer.addr(), SECTOR), memory);
    assert_eq!(target.disk("hd0").sector(BAD.into())[..], *medium);
    target.stop();
}
