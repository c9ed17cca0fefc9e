//! ATA disks and CD-ROM drives on the PC's IDE channels. What stands in brackets is the command or register of ATA/ATAPI-6, where no
//! other standard is named.
//!
//! Where QEMU departs from the standard there is no test yet:
//!
//! | standard | QEMU 11.1 |
//! |---|---|
//! | [READ SECTOR(S)] beyond the last sector sets IDNF or ABRT | ABRT alone, without the address |
//! | [READ VERIFY SECTOR(S)], [SEEK] check the address | any address is taken |
//! | [IDENTIFY DEVICE] word 59 follows SET MULTIPLE MODE | keeps what it was at the first IDENTIFY |
//! | [INITIALIZE DEVICE PARAMETERS] changes words 54–58 | does not |
//! | [SET FEATURES] before the first IDENTIFY is seen in its words | is lost: the first one starts from the defaults |
//! | [SET FEATURES] single word DMA modes 3–7, multiword 3–7, Ultra 6–7 are not supported | accepted |
//! | word 85, [SMART] DISABLE OPERATIONS clears bit 0 | does not |
//! | word 82 bit 3: the Power Management feature set, mandatory | clear, though its commands are there |
//! | [CHECK POWER MODE] after STANDBY IMMEDIATE answers 00h | FFh, always |
//! | [EXECUTE DEVICE DIAGNOSTIC] is executed by both devices | by the selected one |
//! | word 83 of a CompactFlash card: bit 2, the CFA feature set | clear; set in word 86 |

mod bus_master;
mod card;
mod commands;
mod errors;
mod features;
mod identify;
mod interrupt;
mod migration;
mod multiple;
mod pio;
mod power;
mod registers;
mod reset;
mod smart;

pub(crate) use errors::wait_stopped;
pub(crate) use migration::{migrate, target};

use testjig::prelude::*;
use testjig::qos::dev::ata::SECTOR;
use testjig::vm::{Drive, Image};

/// Sectors of the usual disk, whose default translation is 40 cylinders, 16 heads, 63 sectors: one sector is left over.
const SECTORS: u64 = 40 * 16 * 63 + 1;

/// An empty disk, `hd0`, as device 0 of the primary channel.
fn disk(launch: Launch) -> Launch {
    disk_with(launch, |device| device)
}

/// As [`disk`], its device changed.
fn disk_with(launch: Launch, change: impl FnOnce(Device) -> Device) -> Launch {
    let device = Device::new("ide-hd")
        .id("disk0")
        .bus("ide.0")
        .prop("unit", 0)
        .prop("drive", "hd0");
    launch
        .drive(Drive::new("hd0", Image::zeroed(SECTORS * SECTOR as u64)))
        .device(change(device))
}

/// A second disk of 2,048 sectors, `hd1`, as device 1.
fn two_disks(launch: Launch) -> Launch {
    disk(launch)
        .drive(Drive::new("hd1", Image::zeroed(2048 * SECTOR as u64)))
        .device(
            Device::new("ide-hd")
                .bus("ide.0")
                .prop("unit", 1)
                .prop("drive", "hd1"),
        )
}

/// A CompactFlash card, `hd0`, as device 0.
fn card(launch: Launch) -> Launch {
    launch
        .drive(Drive::new("hd0", Image::zeroed(SECTORS * SECTOR as u64)))
        .device(
            Device::new("ide-cf")
                .bus("ide.0")
                .prop("unit", 0)
                .prop("drive", "hd0"),
        )
}

/// An empty CD-ROM drive, `cd0`, as device 0.
fn empty_cd(launch: Launch) -> Launch {
    launch.device(Device::new("ide-cd").id("cd0").bus("ide.0").prop("unit", 0))
}

/// A CD-ROM drive as device 0, with a medium of 64 blocks, `cd0`, in it.
fn cd(launch: Launch) -> Launch {
    let medium = Image::zeroed(64 * 2048);
    launch
        .drive(Drive::new("cd0", medium).read_only(true))
        .device(
            Device::new("ide-cd")
                .id("cd")
                .bus("ide.0")
                .prop("unit", 0)
                .prop("drive", "cd0"),
        )
}

/// So many bytes that differ from sector to sector and within each, and between seeds.
fn pattern(seed: u8, bytes: usize) -> Vec<u8> {
    (0..bytes)
        .map(|at| (at as u8).wrapping_mul(7) ^ (at >> 8) as u8 ^ seed.wrapping_mul(29))
        .collect()
}

/// One sector of [`pattern`].
fn sector(seed: u8) -> Vec<u8> {
    pattern(seed, SECTOR)
}
