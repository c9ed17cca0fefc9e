//! [SET FEATURES], by its subcommand in Features.

use super::*;
use testjig::qos::dev::ata::{Channel, Command, Ending, Taskfile, Unit};

#[track_caller]
fn set_features(ide: &Channel, subcommand: u16, count: u16) -> Ending {
    ide.execute(
        &Taskfile::new(Command::SET_FEATURES)
            .features(subcommand)
            .count(count),
    )
}

/// [03h, transfer mode] A mode takes the place of any other, of whatever kind.
#[testjig::test(on = Channel, launch = disk)]
fn a_mode_takes_the_place_of_another(ide: Channel) {
    ide.identify(Unit::Device0);
    let select = |mode| {
        assert!(set_features(&ide, 0x03, mode).is_good());
        let identify = ide.identify(Unit::Device0);
        [62, 63, 88].map(|word| identify.word(word) >> 8)
    };
    let (single, multi, ultra, pio) = (0x12, 0x22, 0x45, 0x0c);
    for before in [single, multi, ultra] {
        for (mode, selected) in [
            (single, [4, 0, 0]),
            (multi, [0, 4, 0]),
            (ultra, [0, 0, 0x20]),
            (pio, [0; 3]),
        ] {
            select(before);
            assert_eq!(select(mode), selected, "{mode:#x} after {before:#x}");
        }
    }
}

/// [03h, transfer mode] The selected DMA mode is bit 8 and up of its word; only one mode of all is selected.
#[testjig::test(
    on = Channel,
    launch = disk,
    vary(mode = [0x10, 0x12, 0x20, 0x21, 0x22, 0x40, 0x41, 0x44, 0x45])
)]
fn a_dma_mode_is_selected(ide: Channel, mode: u16) {
    ide.identify(Unit::Device0);
    let ending = set_features(&ide, 0x03, mode);
    assert!(ending.is_good(), "{ending:?}");
    let identify = ide.identify(Unit::Device0);
    let selected = [(0x10, 62), (0x20, 63), (0x40, 88)].map(|(kind, word)| {
        let high = identify.word(word) >> 8;
        assert_eq!(high != 0, mode & 0xf8 == kind, "word {word}");
        high
    });
    assert_eq!(selected.into_iter().sum::<u16>(), 1 << (mode & 7));
    assert_eq!(
        [62, 63, 88].map(|word| identify.word(word) & 0xff),
        [0b111, 0b111, 0b11_1111]
    );
}

/// [03h, transfer mode] A PIO mode leaves no DMA mode selected.
#[testjig::test(on = Channel, launch = disk, vary(mode = [0x00, 0x01, 0x0b, 0x0c]))]
fn a_pio_mode_is_selected(ide: Channel, mode: u16) {
    ide.identify(Unit::Device0);
    let ending = set_features(&ide, 0x03, mode);
    assert!(ending.is_good(), "{ending:?}");
    let identify = ide.identify(Unit::Device0);
    assert_eq!(
        [62, 63, 88].map(|word| identify.word(word)),
        [0b111, 0b111, 0b11_1111]
    );
}

/// [03h, transfer mode] Reserved kinds of modes are aborted.
#[testjig::test(on = Channel, launch = disk, vary(mode = [0x18, 0x28, 0x38, 0x80]))]
fn a_reserved_mode_is_aborted(ide: Channel, mode: u16) {
    let before = ide.identify(Unit::Device0);
    assert!(set_features(&ide, 0x03, mode).is_aborted());
    assert_eq!(ide.identify(Unit::Device0), before);
}

/// [82h, 02h] Disable and enable the write cache: word 85 bit 5.
#[testjig::test(on = Channel, launch = disk)]
fn the_write_cache_is_switched(ide: Channel) {
    let enabled = || ide.identify(Unit::Device0).set1().1;
    assert!(enabled().write_cache());
    assert!(set_features(&ide, 0x82, 0).is_good());
    assert!(!enabled().write_cache() && enabled().nop() && enabled().smart());
    assert!(set_features(&ide, 0x02, 0).is_good());
    assert!(enabled().write_cache() && enabled().nop() && enabled().smart());
}

/// [82h, 02h] The host's cache of the medium follows the drive's.
#[testjig::test(on = Channel, launch = disk)]
fn the_write_cache_is_the_mediums(ide: Channel, vm: &Vm) {
    set_features(&ide, 0x82, 0);
    assert!(vm.hmp("info block").contains("writethrough"));
    set_features(&ide, 0x02, 0);
    assert!(vm.hmp("info block").contains("writeback"));
}

/// Look-ahead, advanced power and acoustic management, release and SERVICE interrupt are accepted, whatever they change.
#[testjig::test(
    on = Channel,
    launch = disk,
    vary(subcommand = [0xaa, 0x55, 0x05, 0x85, 0x42, 0xc2, 0x67, 0x69, 0x96, 0x9a])
)]
fn a_harmless_feature_is_accepted(ide: Channel, subcommand: u16) {
    let before = ide.identify(Unit::Device0);
    let ending = set_features(&ide, subcommand, 0);
    assert!(ending.is_good(), "{ending:?}");
    assert_eq!(ide.identify(Unit::Device0), before);
}

/// A reserved subcommand is aborted; so are the 8-bit transfers of CompactFlash, 01h and 81h, on a disk.
#[testjig::test(on = Channel, launch = disk, vary(subcommand = [0x00, 0x01, 0x81, 0x20, 0xff]))]
fn an_unknown_feature_is_aborted(ide: Channel, subcommand: u16) {
    assert!(set_features(&ide, subcommand, 0).is_aborted());
}

/// A packet device has SET FEATURES too.
#[testjig::test(on = Channel, launch = empty_cd)]
fn a_packet_device_takes_a_transfer_mode(ide: Channel) {
    ide.identify_packet(Unit::Device0);
    assert!(set_features(&ide, 0x03, 0x22).is_good());
    assert_eq!(ide.identify_packet(Unit::Device0).word(63) >> 8, 1 << 2);
}

/// [CompactFlash, Set Features 01h, 81h] Data in bytes instead of words, and back.
#[testjig::test(on = Channel, launch = card)]
fn a_card_transfers_bytes(ide: Channel, vm: &Vm) {
    use testjig::qos::dev::ata::{Address, Reg};

    vm.disk("hd0").set_sector(3, &sector(5));
    assert!(set_features(&ide, 0x01, 0).is_good());
    ide.issue(
        &Taskfile::new(Command::READ_SECTORS)
            .at(Address::Lba28(3))
            .count(1),
    );
    ide.wait_data("READ SECTORS");
    let read: Vec<u8> = (0..SECTOR).map(|_| ide.read(Reg::Data)).collect();
    assert_eq!(read, sector(5));
    assert!(ide.ending().is_good());

    ide.issue(
        &Taskfile::new(Command::WRITE_SECTORS)
            .at(Address::Lba28(4))
            .count(1),
    );
    ide.wait_data("WRITE SECTORS");
    for byte in sector(6) {
        ide.write(Reg::Data, byte);
    }
    ide.wait_idle();
    assert_eq!(vm.disk("hd0").sector(4), sector(6)[..]);

    assert!(set_features(&ide, 0x81, 0).is_good());
    assert_eq!(
        ide.read_sectors(Unit::Device0, Address::Lba28(4), 1),
        sector(6)
    );
}
