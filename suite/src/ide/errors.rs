//! Errors of the medium: reported to the guest, ignored, or kept from it until the user has found a remedy and lets the machine go on.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use testjig::qos::dev::ata::{Address, Channel, Command, Ending, Taskfile, Unit};
use testjig::qos::dev::piix_ide::{Direction, PiixIde, Prd};
use testjig::qos::mem::GuestAlloc;
use testjig::vm::Condition;
use testjig::vm::EdgeKind::Raise;

/// Where the medium is bad.
const BAD: u32 = 100;

/// A request that fails once, of those that touch [`BAD`] where requests have an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fails {
    Read,
    Write,
    Flush,
    Discard,
}

impl Fails {
    fn iotype(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Flush => "flush",
            Self::Discard => "discard",
        }
    }
}

/// A disk on such a medium. `action` is what QEMU does about the error: `report`, `ignore`, `stop`.
fn failing(launch: Launch, fails: Fails, action: &str) -> Launch {
    let sector = match fails {
        Fails::Flush => String::new(),
        _ => format!("inject-error.0.sector={BAD},"),
    };
    launch
        .drive(Drive::new("hd0", Image::zeroed(SECTORS * SECTOR as u64)).discard(true))
        .arg("-blockdev")
        .arg(format!(
            "driver=blkdebug,node-name=bad,image=hd0,discard=unmap,{sector}inject-error.0.event=none,inject-error.0.iotype={},\
             inject-error.0.errno=5,inject-error.0.once=on",
            fails.iotype()
        ))
        .device(
            Device::new("ide-hd")
                .id("disk0")
                .bus("ide.0")
                .prop("unit", 0)
                .prop("drive", "bad")
                .prop("rerror", action)
                .prop("werror", action),
        )
}

/// Waits until an error has stopped the machine.
#[track_caller]
pub(crate) fn wait_stopped(vm: &Vm) {
    let stopped = Condition::new("the machine is stopped by an error", || {
        vm.qmp_raw("query-status", Value::Null)["status"] == "io-error"
    });
    vm.wait_until(stopped, Duration::from_secs(10));
}

fn at_bad(command: Command) -> Taskfile {
    Taskfile::new(command).at(Address::Lba28(BAD)).count(1)
}

/// Waits until the error has stopped the machine, and lets it go on once the device has been seen to be busy.
#[track_caller]
fn resume(vm: &Vm, ide: &Channel) {
    wait_stopped(vm);
    let status = ide.alternate_status();
    assert!(status.busy() && status.ready(), "{status:?}");
    assert!(
        !status.drq() && !status.err() && !status.fault(),
        "{status:?}"
    );
    vm.qmp_raw("cont", json!({}));
    ide.wait_idle();
}

/// [READ SECTOR(S), error outputs] A read error is told by ERR, with an interrupt and without data; the next read is good.
#[testjig::test(on = Channel, launch = |launch| failing(launch, Fails::Read, "report"))]
fn a_read_error_is_reported(ide: Channel, vm: &Vm) {
    let irq = vm.intercept(ide.irq());
    let ending = ide.execute(&at_bad(Command::READ_SECTORS));
    assert!(ending.status.err() && !ending.status.drq(), "{ending:?}");
    assert_eq!(irq.edges(), [Raise]);
    ide.pio_in(&at_bad(Command::READ_SECTORS), SECTOR);
}

/// [WRITE SECTOR(S), error outputs] A write error is told by ERR after the data was taken.
#[testjig::test(on = Channel, launch = |launch| failing(launch, Fails::Write, "report"))]
fn a_write_error_is_reported(ide: Channel, vm: &Vm) {
    ide.issue(&at_bad(Command::WRITE_SECTORS));
    ide.wait_data("WRITE SECTORS");
    ide.write_block(&sector(1));
    assert!(ide.wait_idle().err());
    ide.pio_out(&at_bad(Command::WRITE_SECTORS), &sector(2));
    assert_eq!(vm.disk("hd0").sector(BAD.into()), sector(2)[..]);
}

/// Writes something, so that there is something to flush.
#[track_caller]
fn dirty(ide: &Channel) {
    ide.write_sectors(Unit::Device0, Address::Lba28(0), &sector(1));
}

/// [FLUSH CACHE, error outputs] So is one of a flush.
#[testjig::test(on = Channel, launch = |launch| failing(launch, Fails::Flush, "report"))]
fn a_flush_error_is_reported(ide: Channel) {
    dirty(&ide);
    let flush = Taskfile::new(Command::FLUSH_CACHE);
    assert!(ide.execute(&flush).status.err());
    assert!(ide.execute(&flush).is_good());
}

/// An error that is ignored is not seen.
#[testjig::test(on = Channel, launch = |launch| failing(launch, Fails::Write, "ignore"))]
fn an_ignored_error_is_not_seen(ide: Channel, vm: &Vm) {
    ide.pio_out(&at_bad(Command::WRITE_SECTORS), &sector(1));
    assert_eq!(vm.disk("hd0").sector(BAD.into()), [0; SECTOR]);
}

/// [rerror=stop] The guest sees a device that takes long; then the data.
#[testjig::test(on = Channel, launch = |launch| failing(launch, Fails::Read, "stop"), needs(running))]
fn a_read_is_done_again(ide: Channel, vm: &Vm) {
    let data = pattern(4, 3 * SECTOR);
    vm.disk("hd0")
        .write(u64::from(BAD - 1) * SECTOR as u64, &data);
    let task = Taskfile::new(Command::READ_SECTORS)
        .at(Address::Lba28(BAD - 1))
        .count(3);
    ide.issue(&task);
    ide.wait_data(task.command);
    let mut read = ide.read_block(SECTOR);
    resume_after_read(vm, &ide);
    for _ in 0..2 {
        ide.wait_data(task.command);
        read.extend(ide.read_block(SECTOR));
    }
    assert_eq!(read, data);
    assert!(ide.ending().is_good());
}

/// As [`resume`]: what the device shows of a read that was stopped is its own affair, but it is no error.
#[track_caller]
fn resume_after_read(vm: &Vm, ide: &Channel) {
    wait_stopped(vm);
    assert!(!ide.alternate_status().err());
    vm.qmp_raw("cont", json!({}));
}

/// [werror=stop] A write by PIO is done again with the data that the device has.
#[testjig::test(on = Channel, launch = |launch| failing(launch, Fails::Write, "stop"), needs(running))]
fn a_write_is_done_again(ide: Channel, vm: &Vm) {
    ide.issue(&at_bad(Command::WRITE_SECTORS));
    ide.wait_data("WRITE SECTORS");
    ide.write_block(&sector(1));
    resume_after_read(vm, &ide);
    let written = Condition::new("the sector is written", || {
        vm.disk("hd0").sector(BAD.into()) == sector(1)[..]
    });
    vm.wait_until(written, Duration::from_secs(10));
    ide.wait_idle();
    assert!(ide.ending().is_good());
}

/// [werror=stop] A flush is done again.
#[testjig::test(on = Channel, launch = |launch| failing(launch, Fails::Flush, "stop"), needs(running))]
fn a_flush_is_done_again(ide: Channel, vm: &Vm) {
    dirty(&ide);
    ide.status();
    let irq = vm.intercept(ide.irq());
    ide.issue(&Taskfile::new(Command::FLUSH_CACHE));
    resume(vm, &ide);
    assert!(ide.ending().is_good());
    assert_eq!(irq.edges(), [Raise]);
}

/// Eight sectors to be trimmed.
fn range(first: u32) -> u64 {
    8 << 48 | u64::from(first)
}

/// What a bus master does at the bad sector, from a buffer or to it.
struct Dma {
    ide: PiixIde,
    buffer: testjig::qos::mem::GuestBuf,
    table: testjig::qos::mem::GuestSlice<Prd>,
}

impl Dma {
    fn new(ide: PiixIde) -> Self {
        let alloc = GuestAlloc::of(ide.vm());
        let buffer = alloc
            .request(SECTOR as u64)
            .align(0x1000)
            .below(1 << 32)
            .buf();
        let table = ide.table(&[Prd::last(buffer.addr() as u32, SECTOR as u16)]);
        Self { ide, buffer, table }
    }

    fn start(&self, fails: Fails) {
        let port = self.ide.primary();
        let (task, direction) = match fails {
            Fails::Read => (at_bad(Command::READ_DMA), Direction::ToMemory),
            Fails::Write => (at_bad(Command::WRITE_DMA), Direction::FromMemory),
            _ => (
                Taskfile::new(Command::DATA_SET_MANAGEMENT)
                    .features(1)
                    .count(1),
                Direction::FromMemory,
            ),
        };
        port.bus_master.prepare(&self.table, direction);
        port.ata.issue(&task);
        port.bus_master.start();
    }

    #[track_caller]
    fn finish(&self) -> Ending {
        let port = self.ide.primary();
        let status = port.bus_master.wait();
        assert!(status.interrupt() && !status.active(), "{status:?}");
        port.bus_master.stop();
        port.ata.ending()
    }
}

/// [READ DMA, WRITE DMA, error outputs] ERR, the interrupt, the bus master no longer active.
#[testjig::test(
    on = PiixIde,
    launch = |launch| failing(launch, fails, "report"),
    vary(fails = [Fails::Read, Fails::Write, Fails::Discard])
)]
fn a_dma_error_is_reported(ide: PiixIde, fails: Fails) {
    let dma = Dma::new(ide);
    dma.buffer.fill(0);
    if fails == Fails::Discard {
        dma.buffer.write_le(0, range(BAD - 4));
    }
    dma.start(fails);
    let ending = dma.finish();
    assert!(ending.status.err() && !ending.status.drq(), "{ending:?}");
}

/// [rerror=stop, werror=stop] A transfer by bus master is done again, with its table.
#[testjig::test(
    on = PiixIde,
    launch = |launch| failing(launch, fails, "stop"),
    vary(fails = [Fails::Read, Fails::Write]),
    needs(running)
)]
fn a_dma_transfer_is_done_again(ide: PiixIde, vm: &Vm, fails: Fails) {
    let dma = Dma::new(ide);
    let image = vm.disk("hd0");
    if fails == Fails::Read {
        image.set_sector(BAD.into(), &sector(3));
    } else {
        dma.buffer.write(0, &sector(3));
    }
    dma.start(fails);
    wait_stopped(vm);
    assert!(dma.ide.primary().bus_master.status().active());
    vm.qmp_raw("cont", json!({}));
    assert!(dma.finish().is_good());
    assert_eq!(image.sector(BAD.into()), sector(3)[..]);
    assert_eq!(dma.buffer.to_vec(), sector(3));
}

/// [werror=stop] So is a TRIM.
#[testjig::test(on = PiixIde, launch = |launch| failing(launch, Fails::Discard, "stop"), needs(running))]
fn a_trim_is_done_again(ide: PiixIde, vm: &Vm) {
    let dma = Dma::new(ide);
    let image = vm.disk("hd0");
    image.write(96 * SECTOR as u64, &[0x77; 8 * SECTOR]);
    dma.buffer.fill(0);
    dma.buffer.write_le(0, range(96));
    dma.start(Fails::Discard);
    wait_stopped(vm);
    assert_eq!(image.sector(BAD.into()), [0x77; SECTOR]);
    vm.qmp_raw("cont", json!({}));
    assert!(dma.finish().is_good());
    assert_eq!(image.sector(BAD.into()), [0; SECTOR]);
}
