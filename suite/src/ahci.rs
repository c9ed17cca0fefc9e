//! Serial ATA by AHCI: the ICH9's HBA. Sections in brackets are those of AHCI 1.3.1, where no other standard is named.
//!
//! Where QEMU departs from the specifications there is no test yet:
//!
//! | specification | QEMU 11.1 |
//! |---|---|
//! | [§3.1.5] VS of a device of that age: 1.2 | 1.0 |
//! | [§5.4.1] the PIO setup FIS precedes the data's interrupt for data to the device, too | none for the first DRQ block |
//! | [Serial ATA] a DMA setup FIS before the data of a queued command | none |
//! | [§3.3.8] PxTFD is 7Fh, and [§3.3.9] PxSIG FFFFFFFFh, from a reset until the first FIS | so, but the FIS comes at once |
//! | [§6.2.2] a command FIS that can't be fetched: HBFS | the command stays issued |
//! | [§6.1.5] more bytes than descriptors for, by DMA: OFS | the command ends without it |
//! | [§3.3.7] PxCMD.CLO clears BSY and DRQ | nothing |
//! | [§3.3.7] PxCMD.CCS | always 0 |
//! | PxTFD shows BSY from the moment a command is issued | keeps the last command's end until the next FIS |
//! | a DMA command without descriptors is the HBA's to end | 10.0 aborts (an assertion in `ide_dma_cb`); 11.1 does not |

mod commands;
mod errors;
mod interrupts;
mod migration;
mod packet;
mod queued;
mod registers;
mod reset;

use testjig::prelude::*;
use testjig::qos::dev::ahci::{Ahci, Descriptor, Engine, Outcome, PortReg, Request};
use testjig::qos::dev::ata::{Address, Command, SECTOR, Taskfile};
use testjig::qos::mem::{GuestAlloc, GuestBuf};
use testjig::vm::{Drive, Image};

/// Sectors of the usual disk.
const SECTORS: u64 = 0x1_2345;

/// The disk `hd0` on port 0.
fn disk(launch: Launch) -> Launch {
    launch
        .drive(Drive::new("hd0", Image::zeroed(SECTORS * SECTOR as u64)).discard(true))
        .device(hd("hd0", 0))
}

/// A disk with this node on a port.
fn hd(node: &str, port: u8) -> Device {
    Device::new("ide-hd")
        .id(format!("disk{port}"))
        .bus(format!("ide.{port}"))
        .prop("drive", node)
}

/// So many bytes that differ from sector to sector and within each, and between seeds.
fn pattern(seed: u8, bytes: usize) -> Vec<u8> {
    (0..bytes)
        .map(|at| (at as u8).wrapping_mul(7) ^ (at >> 8) as u8 ^ seed.wrapping_mul(29))
        .collect()
}

#[track_caller]
fn buffer(hba: &Ahci, bytes: usize) -> GuestBuf {
    let request = GuestAlloc::of(hba.vm()).request(bytes as u64);
    request.align(0x1000).buf()
}

fn whole(buffer: &GuestBuf) -> Descriptor {
    Descriptor::new(buffer.addr(), buffer.len() as u32)
}

fn read(lba: u64, sectors: u16) -> Taskfile {
    Taskfile::new(Command::READ_DMA_EXT)
        .at(Address::Lba48(lba))
        .count(sectors)
}

/// Reads one sector, and is content with it.
#[track_caller]
fn assert_reads(engine: &Engine, vm: &Vm) {
    let data = pattern(77, SECTOR);
    vm.disk("hd0").write(77 * SECTOR as u64, &data);
    let buffer = buffer(engine.port().hba(), SECTOR);
    let outcome = engine.execute(&Request::new(&read(77, 1), &[whole(&buffer)]));
    assert!(outcome.is_good(), "{outcome:?}");
    assert_eq!(buffer.to_vec(), data);
}

/// Where the medium is bad.
const BAD: u32 = 100;

/// A command that the medium fails once: those with data at [`BAD`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failing {
    Read,
    QueuedRead,
    Write,
    QueuedWrite,
    Flush,
}

impl Failing {
    const ALL: [Self; 5] = [
        Self::Read,
        Self::QueuedRead,
        Self::Write,
        Self::QueuedWrite,
        Self::Flush,
    ];

    /// The kind of request that fails.
    fn iotype(self) -> &'static str {
        match self {
            Self::Read | Self::QueuedRead => "read",
            Self::Write | Self::QueuedWrite => "write",
            Self::Flush => "flush",
        }
    }

    /// Issues it in slot 0, with one sector of data in `buffer`. Before a flush there is something to flush.
    #[track_caller]
    fn issue(self, engine: &Engine, buffer: &GuestBuf) {
        let queued = |command| {
            let task = Taskfile::new(command).at(Address::Lba48(BAD.into()));
            task.features(1)
        };
        let write = |lba| {
            let task = Taskfile::new(Command::WRITE_DMA).at(Address::Lba28(lba));
            Request::new(&task.count(1), &[whole(buffer)]).to_device()
        };
        let request = match self {
            Self::Read => Request::new(&read(BAD.into(), 1), &[whole(buffer)]),
            Self::QueuedRead => Request::new(&queued(Command::READ_FPDMA_QUEUED), &[whole(buffer)]),
            Self::Write => write(BAD),
            Self::QueuedWrite => {
                Request::new(&queued(Command::WRITE_FPDMA_QUEUED), &[whole(buffer)]).to_device()
            }
            Self::Flush => {
                assert!(engine.execute(&write(0)).is_good());
                Request::new(&Taskfile::new(Command::FLUSH_CACHE), &[])
            }
        };
        engine.prepare(0, &request);
        if matches!(self, Self::QueuedRead | Self::QueuedWrite) {
            engine.port().write(PortReg::Sact, 1);
        }
        engine.issue(1);
    }

    /// What memory and medium hold once it is done, of what they held before.
    fn moves<'a>(self, memory: &'a [u8], medium: &'a [u8]) -> [&'a [u8]; 2] {
        match self.iotype() {
            "read" => [medium, medium],
            "write" => [memory, memory],
            _ => [memory, medium],
        }
    }
}

/// Ended with ERR in the device's status, and the interrupt of that.
#[track_caller]
fn assert_failed(outcome: &Outcome) {
    assert!(outcome.status.err(), "{outcome:?}");
    assert!(outcome.interrupts.task_file(), "{outcome:?}");
}
