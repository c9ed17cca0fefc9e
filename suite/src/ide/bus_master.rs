//! Bus-master DMA. Sections in brackets are those of *Programming Interface for Bus Master IDE Controller*, revision 1.0, or registers
//! of the PIIX3 (290550).
//!
//! Where QEMU departs from the data sheets there is no test yet:
//!
//! | data sheet | QEMU 11.1 |
//! |---|---|
//! | a descriptor table that is too short: the data that it has room for is moved | nothing is moved |
//! | the bus master keeps from a multiple of 64 KiB inside a region | crosses it |
//! | \[BMISTA\] bit 1 after an access that no target answers | stays clear |
//! | \[BMICOM, BMISTA\] may be accessed as part of a word or dword | all ones are read, writes are lost |
//! | \[IDETIM\] bit 15 makes a channel decode its ports | they are always decoded |

mod control;
mod tables;
mod transfers;
mod trim;

use super::*;
use testjig::qos::dev::ata::{Address, Command, Ending, Taskfile};
use testjig::qos::dev::piix_ide::{BmStatus, BusMaster, Direction, PiixIde, Port, Prd};
use testjig::qos::mem::{GuestAlloc, GuestBuf};

/// The status after a transfer whose table fits: the interrupt, and the bus master no longer active [§3.1, Table].
const DONE: BmStatus = BmStatus::new().with_interrupt(true);

fn read(lba: u32, sectors: u16) -> Taskfile {
    Taskfile::new(Command::READ_DMA)
        .at(Address::Lba28(lba))
        .count(sectors)
}

fn write(lba: u32, sectors: u16) -> Taskfile {
    Taskfile::new(Command::WRITE_DMA)
        .at(Address::Lba28(lba))
        .count(sectors)
}

/// A buffer for so many bytes, which a bus master can reach and a region can describe.
#[track_caller]
fn buffer(ide: &PiixIde, bytes: usize) -> GuestBuf {
    let request = GuestAlloc::of(ide.vm()).request(bytes as u64);
    request.align(0x1_0000).below(1 << 32).buf()
}

/// One descriptor for all of a buffer of up to 64 KiB.
fn whole(buffer: &GuestBuf) -> Prd {
    Prd::last(buffer.addr() as u32, buffer.len() as u16)
}

/// A good end: the table is used up, the device is ready.
#[track_caller]
fn assert_done((status, ending): (BmStatus, Ending)) {
    assert_eq!(status, DONE, "{ending:?}");
    assert!(ending.is_good(), "{ending:?}");
}
