//! CompactFlash cards. What stands in brackets is a command of the CompactFlash specification.

use super::*;
use testjig::qos::dev::ata::{Address, Channel, Command, Ending, Taskfile, Unit};

/// [Request Sense] 09h in Error: miscellaneous error; ERR is clear.
#[testjig::test(on = Channel, launch = card)]
fn an_extended_error_is_told(ide: Channel) {
    let ending = ide.execute(&Taskfile::new(Command::CFA_REQUEST_EXTENDED_ERROR));
    assert!(ending.status.ready() && !ending.status.err(), "{ending:?}");
    assert_eq!(ending.error.into_bits(), 0x09);
}

/// [Translate Sector] Bytes 0–6 of the answer are the address as it was given, and as a block address, most significant byte first.
#[testjig::test(on = Channel, launch = card)]
fn an_address_is_translated(ide: Channel) {
    let task = Taskfile::new(Command::CFA_TRANSLATE_SECTOR).at(Address::Chs(0x21, 5, 7));
    let answer = ide.pio_in(&task, SECTOR);
    let lba = (0x21 * 16 + 5) * 63 + 7 - 1;
    assert_eq!(answer[..2], [0x00, 0x21]);
    assert_eq!(answer[2] & 0x0f, 5);
    assert_eq!(answer[3], 7);
    assert_eq!(
        answer[4..7],
        [(lba >> 16) as u8, (lba >> 8) as u8, lba as u8]
    );
    assert_eq!(answer[0x13], 0, "not erased");
}

/// [Translate Sector] A block address is itself.
#[testjig::test(on = Channel, launch = card)]
fn a_block_address_is_translated(ide: Channel) {
    let task = Taskfile::new(Command::CFA_TRANSLATE_SECTOR).at(Address::Lba28(0x12_3456));
    let answer = ide.pio_in(&task, SECTOR);
    assert_eq!(answer[4..7], [0x12, 0x34, 0x56]);
}

/// [Write Sector without Erase, Write Multiple without Erase] write as their siblings do.
#[testjig::test(on = Channel, launch = card)]
fn writes_without_erase_write(ide: Channel, vm: &Vm) {
    let task = Taskfile::new(Command::CFA_WRITE_SECTORS_WITHOUT_ERASE)
        .at(Address::Lba28(9))
        .count(1);
    ide.pio_out(&task, &sector(1));
    assert_eq!(vm.disk("hd0").sector(9), sector(1)[..]);

    ide.execute(&Taskfile::new(Command::SET_MULTIPLE_MODE).count(2));
    let data = pattern(2, 2 * SECTOR);
    let task = Taskfile::new(Command::CFA_WRITE_MULTIPLE_WITHOUT_ERASE)
        .at(Address::Lba28(10))
        .count(2);
    ide.pio_out_blocks(&task, &data, 2 * SECTOR);
    let mut written = vec![0; data.len()];
    vm.disk("hd0").read(10 * SECTOR as u64, &mut written);
    assert_eq!(written, data);
}

/// [Erase Sector] ends well; [Wear Level] says 00h in Sector Count: nothing to level.
#[testjig::test(on = Channel, launch = card)]
fn nothing_is_worn(ide: Channel) {
    assert!(
        ide.execute(&Taskfile::new(Command::CFA_ERASE_SECTORS).count(3))
            .is_good()
    );
    let ending = ide.execute(&Taskfile::new(Command::SECURITY_FREEZE_LOCK).count(3));
    assert!(ending.is_good(), "{ending:?}");
    assert_eq!(ending.count, 0);
}

/// [Sense Condition of IBM's Microdrive, 01h] A temperature; any other subcommand is aborted.
#[testjig::test(on = Channel, launch = card)]
fn the_temperature_is_told(ide: Channel) {
    let sense = Taskfile::new(Command::SENSE_CONDITION);
    let ending = ide.execute(&sense.features(1));
    assert!(ending.is_good(), "{ending:?}");
    assert_eq!(ending.count, 0x50);
    assert!(ide.execute(&sense.features(2)).is_aborted());
}

/// A card sets its blocks back at a reset: none.
#[testjig::test(on = Channel, launch = card)]
fn a_reset_disables_blocks(ide: Channel) {
    ide.execute(&Taskfile::new(Command::SET_MULTIPLE_MODE).count(2));
    ide.software_reset();
    let read = Taskfile::new(Command::READ_MULTIPLE).count(1);
    assert!(ide.execute(&read).is_aborted());
}

/// A card has the commands of a disk, but for those of packet devices.
#[testjig::test(on = Channel, launch = card)]
fn a_card_is_a_disk(ide: Channel, vm: &Vm) {
    ide.write_sectors(Unit::Device0, Address::Lba28(77), &sector(3));
    assert_eq!(vm.disk("hd0").sector(77), sector(3)[..]);
    let refused = |command| -> Ending { ide.execute(&Taskfile::new(command)) };
    assert!(refused(Command::PACKET).is_aborted());
    assert!(refused(Command::DEVICE_RESET).is_aborted());
}

/// [Identify Device] Words of a card's own: 0F00h capabilities, PIO mode 2, valid words, flow control, cycle times.
#[testjig::test(on = Channel, launch = card)]
fn a_card_tells_its_timing(ide: Channel) {
    let identify = ide.identify(Unit::Device0);
    let words = [22, 47, 49, 51, 53, 63, 64, 65, 66, 68].map(|word| identify.word(word));
    assert_eq!(words, [4, 0x8010, 0x0f00, 2, 3, 0x0203, 1, 150, 150, 180]);
}

/// A card that is resized tells so.
#[testjig::test(on = Channel, launch = card)]
fn a_resize_of_a_card_is_seen(ide: Channel, vm: &Vm) {
    ide.identify(Unit::Device0);
    let sectors = 0x2_0345_u64;
    vm.qmp_raw(
        "block_resize",
        serde_json::json!({"node-name": "hd0", "size": sectors * SECTOR as u64}),
    );
    let identify = ide.identify(Unit::Device0);
    assert_eq!(u64::from(identify.lba28_sectors()), sectors);
    assert_eq!((identify.word(7), identify.word(8)), (2, 0x345));
}
