//! READ and WRITE SECTOR(S): data through the data register, a sector a DRQ block.

use super::*;
use testjig::qos::dev::ata::{Address, Channel, Command, Taskfile, Unit};

/// Where sector `lba` is in the default translation of [`disk`].
fn chs(lba: u64) -> Address {
    let (track, sector) = (lba / 63, lba % 63 + 1);
    Address::Chs((track / 16) as u16, (track % 16) as u8, sector as u8)
}

/// The ways to say where a sector is.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Chs,
    Lba28,
    Lba48,
}

impl Kind {
    fn address(self, lba: u64) -> Address {
        match self {
            Self::Chs => chs(lba),
            Self::Lba28 => Address::Lba28(lba as u32),
            Self::Lba48 => Address::Lba48(lba),
        }
    }
}

/// [READ SECTOR(S), READ SECTOR(S) EXT] A CHS or LBA address names the same sector; the last one of the disk can be read.
#[testjig::test(on = Channel, launch = disk, vary(kind = [Kind::Chs, Kind::Lba28, Kind::Lba48]))]
fn a_sector_is_read(ide: Channel, vm: &Vm, kind: Kind) {
    let image = vm.disk("hd0");
    // First and last of a track, of a cylinder, and of the translation.
    for (lba, seed) in [0, 62, 63, 16 * 63 - 1, 16 * 63, 40 * 16 * 63 - 1]
        .into_iter()
        .zip(1..)
    {
        image.set_sector(lba, &sector(seed));
        assert_eq!(
            ide.read_sectors(Unit::Device0, kind.address(lba), 1),
            sector(seed),
            "sector {lba}"
        );
    }
}

/// [WRITE SECTOR(S), WRITE SECTOR(S) EXT] reach the medium, and no other sector.
#[testjig::test(on = Channel, launch = disk, vary(kind = [Kind::Chs, Kind::Lba28, Kind::Lba48]))]
fn a_sector_is_written(ide: Channel, vm: &Vm, kind: Kind) {
    let image = vm.disk("hd0");
    ide.write_sectors(Unit::Device0, kind.address(0x1234), &sector(1));
    assert_eq!(image.sector(0x1234), sector(1)[..]);
    assert_eq!(image.sector(0x1233), [0; SECTOR]);
    assert_eq!(image.sector(0x1235), [0; SECTOR]);
}

/// [READ SECTOR(S)] Sectors follow each other across tracks and cylinders.
#[testjig::test(on = Channel, launch = disk, vary(kind = [Kind::Chs, Kind::Lba28, Kind::Lba48], first = [61, 16 * 63 - 2, 254]))]
fn several_sectors_are_read_in_order(ide: Channel, vm: &Vm, kind: Kind, first: u64) {
    let data = pattern(9, 5 * SECTOR);
    vm.disk("hd0").write(first * SECTOR as u64, &data);
    assert_eq!(
        ide.read_sectors(Unit::Device0, kind.address(first), 5),
        data
    );
}

/// [WRITE SECTOR(S)] Sectors follow each other across tracks and cylinders.
#[testjig::test(on = Channel, launch = disk, vary(kind = [Kind::Chs, Kind::Lba28, Kind::Lba48], first = [61, 16 * 63 - 2, 254]))]
fn several_sectors_are_written_in_order(ide: Channel, vm: &Vm, kind: Kind, first: u64) {
    let data = pattern(9, 5 * SECTOR);
    ide.write_sectors(Unit::Device0, kind.address(first), &data);
    let mut written = vec![0; data.len()];
    vm.disk("hd0").read(first * SECTOR as u64, &mut written);
    assert_eq!(written, data);
    assert_eq!(vm.disk("hd0").sector(first + 5), [0; SECTOR]);
}

/// A disk of 2⁴¹ sectors, all of them holes.
fn huge(launch: Launch) -> Launch {
    launch
        .drive(Drive::new("hd0", Image::zeroed(SECTOR as u64 * HUGE)))
        .device(
            Device::new("ide-hd")
                .bus("ide.0")
                .prop("unit", 0)
                .prop("drive", "hd0"),
        )
}

const HUGE: u64 = 1 << 41;

/// [48-bit Address feature set] Each byte of the address counts, and carries into the next: four sectors across each boundary.
#[testjig::test(
    on = Channel,
    launch = huge,
    vary(boundary = [0xff_u64, 0xffff, 0xff_ffff, 0xffff_ffff, 0xff_ffff_ffff])
)]
fn all_bytes_of_a_48_bit_address_count(ide: Channel, vm: &Vm, boundary: u64) {
    let data = pattern(9, 4 * SECTOR);
    vm.disk("hd0").write((boundary - 1) * SECTOR as u64, &data);
    let address = Address::Lba48(boundary - 1);
    assert_eq!(ide.read_sectors(Unit::Device0, address, 4), data);
    let (next, count) = ide.address48();
    assert_eq!((next, count), (boundary + 3, 0));
}

/// [LBA, 28 bits] Each byte of the address counts, the four bits of Device among them, and carries into the next.
#[testjig::test(on = Channel, launch = huge, vary(boundary = [0xff_u32, 0xffff, 0xff_ffff, 0x0eff_ffff]))]
fn all_bits_of_a_28_bit_address_count(ide: Channel, vm: &Vm, boundary: u32) {
    let data = pattern(9, 4 * SECTOR);
    vm.disk("hd0")
        .write(u64::from(boundary - 1) * SECTOR as u64, &data);
    assert_eq!(
        ide.read_sectors(Unit::Device0, Address::Lba28(boundary - 1), 4),
        data
    );
}

/// [Sector Count] 00h stands for 256 sectors.
#[testjig::test(on = Channel, launch = disk)]
fn count_0_reads_256_sectors(ide: Channel, vm: &Vm) {
    let data = pattern(9, 256 * SECTOR);
    vm.disk("hd0").write(0, &data);
    let task = Taskfile::new(Command::READ_SECTORS).at(Address::Lba28(0));
    assert_eq!(ide.pio_in(&task, data.len()), data);
}

/// [48-bit Address feature set] The count has two bytes: 0101h is 257 sectors.
#[testjig::test(on = Channel, launch = disk)]
fn both_bytes_of_a_48_bit_count_count(ide: Channel, vm: &Vm) {
    let data = pattern(9, 257 * SECTOR);
    vm.disk("hd0").write(SECTOR as u64, &data);
    let task = Taskfile::new(Command::READ_MULTIPLE_EXT)
        .at(Address::Lba48(1))
        .count(257);
    assert_eq!(ide.pio_in_blocks(&task, data.len(), 16 * SECTOR), data);
}

/// [Sector Count] is counted down to zero.
#[testjig::test(on = Channel, launch = disk)]
fn the_count_ends_at_zero(ide: Channel) {
    ide.read_sectors(Unit::Device0, Address::Lba28(3), 3);
    assert_eq!(ide.ending().count, 0);
    ide.write_sectors(Unit::Device0, Address::Lba28(3), &pattern(1, 3 * SECTOR));
    assert_eq!(ide.ending().count, 0);
}

/// [READ SECTOR(S) without retry, ATA-3] and [WRITE VERIFY] transfer as their siblings do.
#[testjig::test(on = Channel, launch = disk)]
fn variants_transfer_alike(ide: Channel, vm: &Vm) {
    let image = vm.disk("hd0");
    for (command, seed) in [
        (Command::WRITE_SECTORS_NO_RETRY, 1),
        (Command::WRITE_VERIFY, 2),
    ] {
        let task = Taskfile::new(command).at(Address::Lba28(20)).count(1);
        ide.pio_out(&task, &sector(seed));
        assert_eq!(image.sector(20), sector(seed)[..], "{command:?}");
    }
    let task = Taskfile::new(Command::READ_SECTORS_NO_RETRY)
        .at(Address::Lba28(20))
        .count(1);
    assert_eq!(ide.pio_in(&task, SECTOR), sector(2));
}

/// [READ SECTOR(S), error outputs] No sector at that address: ERR with IDNF or ABRT, and no data.
#[testjig::test(
    on = Channel,
    launch = disk,
    vary(address = [Address::Chs(40, 0, 2), Address::Lba28(SECTORS as u32), Address::Lba28(0x0fff_ffff), Address::Lba48(SECTORS), Address::Lba48(0xffff_ffff_ffff)])
)]
fn a_read_beyond_the_disk_fails(ide: Channel, address: Address) {
    let command = match address {
        Address::Lba48(_) => Command::READ_SECTORS_EXT,
        _ => Command::READ_SECTORS,
    };
    let ending = ide.execute(&Taskfile::new(command).at(address).count(1));
    assert!(ending.status.err() && !ending.status.drq(), "{ending:?}");
    assert!(
        ending.error.aborted() || ending.error.id_not_found(),
        "{ending:?}"
    );
}

/// [READ SECTOR(S), error outputs] The sectors before the end of the disk are transferred, the first one after it is not.
#[testjig::test(on = Channel, launch = disk)]
fn a_read_across_the_end_fails_there(ide: Channel, vm: &Vm) {
    vm.disk("hd0").set_sector(SECTORS - 1, &sector(6));
    let task = Taskfile::new(Command::READ_SECTORS)
        .at(Address::Lba28(SECTORS as u32 - 1))
        .count(2);
    ide.issue(&task);
    ide.wait_data(task.command);
    assert_eq!(ide.read_block(SECTOR), sector(6));
    let status = ide.wait_idle();
    assert!(status.err() && !status.drq(), "{status:?}");
}

/// [WRITE SECTOR(S), error outputs] Nothing is written beyond the end; what comes before it is.
#[testjig::test(on = Channel, launch = disk)]
fn a_write_across_the_end_fails_there(ide: Channel, vm: &Vm) {
    let task = Taskfile::new(Command::WRITE_SECTORS)
        .at(Address::Lba28(SECTORS as u32 - 1))
        .count(2);
    ide.issue(&task);
    for seed in [1, 2] {
        ide.wait_data(task.command);
        ide.write_block(&sector(seed));
    }
    let status = ide.wait_idle();
    assert!(status.err() && !status.drq(), "{status:?}");
    assert_eq!(vm.disk("hd0").sector(SECTORS - 1), sector(1)[..]);
    assert_eq!(vm.disk("hd0").len(), SECTORS * SECTOR as u64);
}

/// An error is forgotten when the next command begins.
#[testjig::test(on = Channel, launch = disk)]
fn a_good_command_clears_the_error(ide: Channel) {
    ide.execute(
        &Taskfile::new(Command::READ_SECTORS)
            .at(Address::Lba28(SECTORS as u32))
            .count(1),
    );
    ide.read_sectors(Unit::Device0, Address::Lba28(0), 1);
    assert_eq!(ide.ending().error.into_bits(), 0);
}

/// [READ SECTOR(S)] A packet device aborts it with its signature in the command block.
#[testjig::test(on = Channel, launch = empty_cd)]
fn a_packet_device_aborts_with_its_signature(ide: Channel) {
    use testjig::qos::dev::ata::Signature;

    let ending = ide.execute(&Taskfile::new(Command::READ_SECTORS).count(7));
    assert!(ending.is_aborted(), "{ending:?}");
    assert_eq!(ide.signature(), Signature::ATAPI);
}
