//! Intel 82078 floppy disk controller on the ISA bus, with DMA channel 2 of the 8237A. Names of registers, commands and tables of the
//! data sheet stand in brackets.
//!
//! Where QEMU departs from the data sheet; the tests of what is a mistake, and cheap to show, are expected to fail:
//!
//! | data sheet | QEMU 10.0 and 11.1 |
//! |---|---|
//! | \[DOR\] 00H after a hardware reset | 0CH: out of reset, DMA on |
//! | \[DOR\] DMAGATE# low takes INT and DRQ from the bus | INT still comes; commands go without DMA |
//! | \[DOR\] RESET# holds the controller until it is set again | reading the MSR ends it |
//! | \[DSR\] 250 kb/s after a hardware reset | 500 kb/s |
//! | \[MSR\] DRV BUSY while a drive seeks | never: seeks take no time |
//! | \[Non-DMA mode\] an interrupt for each byte, or each FIFO threshold | one for the whole transfer |
//! | \[Non-DMA mode\] a write ends with a result | not without MT: it waits for a reset |
//! | \[Read Data, Result Phase Table\] the sector after the last one, without DMA too | the last one |
//! | \[Read Data\] without implied seek the head stays where it is | transfers always seek |
//! | \[ST1\] ND, \[ST2\] WC for a cylinder that isn't there | no bit |
//! | \[Read Data\] a sector of another size than N is not found | found, and read as if it were of that size |
//! | \[Read Deleted Data\], \[Write Deleted Data\] | end at once, abnormally |
//! | \[Read Track\] begins at the index hole, whatever R is | begins at R |
//! | \[Scan\] SN if no sector satisfies, SH only if one is equal | SH always |
//! | \[Scan Low or Equal\] the disk's byte is lower, \[Scan High or Equal\] higher | the reverse |
//! | \[Format Track\] writes IDs and filler; NW on a protected disk | writes nothing, ends normally |
//! | \[Format Track\] the disk's other tracks keep their sectors | all have SC sectors then |
//! | \[Read ID\] without a disk finds no ID | 10.0 ends normally; 11.1 is right |
//! | \[Write Data\] NW on a protected disk, without DMA too | no result: waits for a reset |
//! | \[Specify\] SRT and HUT as \[Dumpreg\] shows them: bits 7:4 and 3:0 | SRT in 3:0, HUT forgotten |
//! | \[Specify\] ND as \[Dumpreg\] shows it | inverted |
//! | \[Configure\] POLL: no interrupts after a reset | they come |
//! | \[Lock\] what it keeps, and a software reset without it | all is kept, always |
//! | \[Powerdown Mode\] one parameter | takes two |
//! | \[Drive Specification\] NRP: no result | a result only with NRP, of the parameters |
//! | a second drive that is not there | \[ST3\], seeks and interrupts as if it were |

mod change;
mod configuration;
mod deleted;
mod dma;
mod drives;
mod errors;
mod geometry;
mod identity;
mod invalid;
mod migration;
mod phases;
mod pio;
mod properties;
mod read_id;
mod registers;
mod reset;
mod robust;
mod scan;
mod seek;
mod sense;
mod sun;
mod transfer;
mod write;

use testjig::prelude::*;
use testjig::qos::dev::i8237::{Direction, I8237, Mode};
use testjig::qos::dev::i82078::{
    Chs, DataRate, Geometry, I82078, InterruptCode, SECTOR, Specify, St1, St2, TransferStatus,
};
use testjig::qos::mem::{GuestAlloc, GuestBuf};
use testjig::vm::{Drive, Image};

/// The usual disk.
const DISK: Geometry = Geometry::MB_1_44;

/// A 1.44 MB disk of zeroes, `fd0`, in drive 0.
fn diskette(launch: Launch) -> Launch {
    disk_in(launch, 0, DISK)
}

/// A disk of zeroes in a drive; `fd0` and `drive0` are names of drive 0.
fn disk_in(launch: Launch, unit: u8, disk: Geometry) -> Launch {
    launch.drive(image(unit, disk)).device(drive(unit))
}

/// The usual disk in both drives.
fn two_diskettes(launch: Launch) -> Launch {
    disk_in(diskette(launch), 1, DISK)
}

/// The usual disk, write protected.
fn write_protected(launch: Launch) -> Launch {
    let protected = image(0, DISK).read_only(true);
    launch.drive(protected).device(drive(0))
}

/// A drive 0 without a disk.
fn empty_drive(launch: Launch) -> Launch {
    launch.device(Device::new("floppy").id("drive0").prop("unit", 0))
}

fn image(unit: u8, disk: Geometry) -> Drive {
    let size = disk.len() * SECTOR as u64;
    Drive::new(format!("fd{unit}"), Image::zeroed(size))
}

fn drive(unit: u8) -> Device {
    Device::new("floppy")
        .id(format!("drive{unit}"))
        .prop("unit", unit)
        .prop("drive", format!("fd{unit}"))
}

/// 512 bytes that no other number gives.
fn pattern(number: u64) -> [u8; SECTOR] {
    let mut bytes = [0; SECTOR];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = (number * 37 + index as u64 * 11 + (index as u64 >> 8) * 5) as u8;
    }
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// Puts its own pattern into each sector of a run on `fd0`, and returns what they hold together.
#[track_caller]
fn fill(vm: &Vm, first: Chs, count: u64) -> Vec<u8> {
    let disk = vm.disk("fd0");
    let first = DISK.index(first);
    let mut all = Vec::new();
    for number in first..first + count {
        disk.set_sector(number, &pattern(number));
        all.extend_from_slice(&pattern(number));
    }
    all
}

/// Out of reset, at the usual disk's data rate, with DMA.
#[track_caller]
fn ready(fdc: &I82078) {
    fdc.reset();
    fdc.set_rate(DataRate::Kbps500);
    fdc.run(Specify::DMA);
}

/// As [`ready`], without DMA.
#[track_caller]
fn ready_without_dma(fdc: &I82078) {
    ready(fdc);
    fdc.run(Specify::PIO);
}

/// Memory full of 0xee, and channel 2 ready to move so many bytes to it.
#[track_caller]
fn dma_to_memory(vm: &Vm, len: u64) -> GuestBuf {
    let memory = dma_memory(vm, len);
    memory.fill(0xee);
    start_dma(vm, Direction::ToMemory, &memory);
    memory
}

/// Memory with these bytes, and channel 2 ready to move them to the controller.
#[track_caller]
fn dma_from_memory(vm: &Vm, bytes: &[u8]) -> GuestBuf {
    let memory = dma_memory(vm, bytes.len() as u64);
    memory.write(0, bytes);
    start_dma(vm, Direction::FromMemory, &memory);
    memory
}

#[track_caller]
fn dma_memory(vm: &Vm, len: u64) -> GuestBuf {
    let request = GuestAlloc::of(vm).request(len);
    request.below(I8237::REACH).within(I8237::WINDOW).buf()
}

#[track_caller]
fn start_dma(vm: &Vm, direction: Direction, memory: &GuestBuf) {
    let dma = I8237::new(vm);
    let mode = Mode::single(direction);
    dma.program(I82078::DMA, mode, memory.addr(), memory.len());
    dma.unmask(I82078::DMA);
}

/// The command ended normally on this drive, and `at` is the sector after its last one.
#[track_caller]
fn assert_ended(status: TransferStatus, drive: u8, at: Chs) {
    assert_eq!(status.st0.code(), InterruptCode::Normal, "{status:?}");
    assert_eq!(status.st0.drive(), drive, "{status:?}");
    assert_eq!(status.st0.head(), at.head, "{status:?}");
    assert_eq!((status.st1, status.st2), (St1::new(), St2::new()));
    assert_eq!((status.at, status.size), (at, 2));
}

/// The command ended abnormally, with these bits and nothing transferred.
#[track_caller]
fn assert_refused(status: TransferStatus, st1: St1, at: Chs) {
    assert_eq!(status.st0.code(), InterruptCode::Abnormal, "{status:?}");
    assert_eq!((status.st1, status.st2), (st1, St2::new()));
    assert_eq!((status.at, status.size), (at, 2));
}
