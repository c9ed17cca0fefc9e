//! Tests of the virtio SCSI host device. Sections are of Virtio 1.2; commands are of SPC-4 and SBC-3.

mod blocks;
mod commands;
mod control;
mod events;
mod tasks;

use std::time::Duration;

use serde_json::json;
use testjig::devices::VIRTIO_SCSI_DRIVE;
use testjig::prelude::*;
use testjig::qos::dev::virtio_scsi::*;
use testjig::qos::virtio::{Features, Layout, Segment};

/// More of the host's time than any of this takes.
const SECOND: Duration = Duration::from_secs(5);
/// The graph's disk.
const DISK: Lun = Lun::new(0, 0);
/// Sectors of it.
const SECTORS: u64 = (8 << 20) / 512;

/// Bytes that differ within a sector and from seed to seed.
fn pattern(len: usize, seed: u8) -> Vec<u8> {
    (0..len)
        .map(|at| (at as u8) ^ (at / 512) as u8 ^ seed)
        .collect()
}

/// A started adapter whose disk has nothing to tell any more.
#[track_caller]
fn ready(scsi: &VirtioScsi) -> Hba {
    let hba = scsi.start(Layout::Split);
    hba.ready(DISK);
    hba
}

/// READ (10) or WRITE (10) of so many sectors (SBC-3 §5.11, §5.32).
fn transfer(opcode: u8, sector: u32, count: u16) -> [u8; 10] {
    let [a, b, c, d] = sector.to_be_bytes();
    let [high, low] = count.to_be_bytes();
    [opcode, 0, a, b, c, d, 0, high, low, 0]
}

const READ_10: u8 = 0x28;
const WRITE_10: u8 = 0x2a;
