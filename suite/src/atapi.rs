//! CD-ROM and DVD drives by the PACKET command. What stands in brackets is a command of MMC-5 or SPC-3, or a register or protocol of
//! ATA/ATAPI-6.
//!
//! Where QEMU departs from the standards there is no test yet:
//!
//! | standard | QEMU 11.1 |
//! |---|---|
//! | [IDENTIFY PACKET DEVICE] word 82 and on: PACKET, DEVICE RESET are supported | zero |
//! | [READ TOC] formats 3 to 5 by byte 2 of the packet | byte 9 alone is looked at |
//! | [READ TOC] a reserved format by byte 9 | as format 3: refused |
//! | [PACKET] data of an odd length: the last byte is half of a word | never transferred (XFAIL) |
//! | [GET CONFIGURATION] features besides the list of profiles | refused |
//! | [REQUEST SENSE] clears what it told | only a unit attention |
//! | [START STOP UNIT] of an open tray: START loads only with LOEJ | does |
//! | a read error of the medium is 3/11h, unrecovered | 5/21h, address out of range |

mod events;
mod information;
mod inquiry;
mod medium;
mod packet;
mod read;
mod toc;

use std::sync::LazyLock;

use testjig::prelude::*;
use testjig::qos::dev::ata::Unit;
use testjig::qos::dev::atapi::{BLOCK, Cdb, Drive as Cd, Reply, Sense};
use testjig::qos::dev::piix_ide::PiixIde;
use testjig::vm::{Drive, Image};

/// Blocks of the usual medium.
const BLOCKS: u32 = 300;

/// A medium on which each block begins with its number.
fn numbered(blocks: u32) -> Image {
    (0..blocks).fold(
        Image::zeroed(u64::from(blocks) * BLOCK as u64),
        |image, block| image.with(u64::from(block) * BLOCK as u64, block_of(block)),
    )
}

/// What block `number` of [`numbered`] holds.
fn block_of(number: u32) -> Vec<u8> {
    let bytes = number.to_le_bytes();
    (0..BLOCK)
        .map(|at| bytes[at % 4] ^ (at / 4) as u8)
        .collect()
}

/// The drive with the usual medium, `cd0`.
fn loaded(launch: Launch) -> Launch {
    // Made once: cases are many.
    static MEDIUM: LazyLock<Image> = LazyLock::new(|| numbered(BLOCKS));
    with_medium(launch, MEDIUM.clone())
}

/// The drive with this medium, `cd0`.
fn with_medium(launch: Launch, medium: Image) -> Launch {
    launch
        .drive(Drive::new("cd0", medium).read_only(true))
        .device(device().prop("drive", "cd0"))
}

/// The drive without a medium, and `cd1` to be inserted.
fn empty(launch: Launch) -> Launch {
    launch
        .drive(Drive::new("cd1", numbered(50)).read_only(true))
        .device(device())
}

fn device() -> Device {
    Device::new("ide-cd")
        .id("cd")
        .bus("ide.0")
        .prop("unit", 0)
        .prop("serial", "CD-42")
}

fn drive(ide: &PiixIde) -> Cd {
    Cd::new(&ide.primary().ata, Unit::Device0)
}

/// Executes a packet that must end well.
#[track_caller]
fn good(cd: &Cd, cdb: &Cdb) -> Vec<u8> {
    let reply = cd.pio(cdb, 0xfffe);
    assert!(reply.is_good(), "{cdb:?}: {reply:?}, {:?}", cd.sense());
    reply.data
}

/// The packet ended with a check condition, and this is why.
#[track_caller]
fn assert_sense(cd: &Cd, reply: &Reply, sense: Sense) {
    assert_eq!(reply.sense_key(), Some(sense.key), "{reply:?}");
    assert!(reply.data.is_empty(), "{} bytes", reply.data.len());
    assert_eq!(cd.sense(), sense);
}
