//! [MODE SENSE, GET CONFIGURATION, READ DISC INFORMATION, READ DISC STRUCTURE, MECHANISM STATUS]: what drive and disc say of themselves.

use super::*;

/// Page codes.
const ERROR_RECOVERY: u8 = 0x01;
const AUDIO_CONTROL: u8 = 0x0e;
const CAPABILITIES: u8 = 0x2a;

/// Profiles.
const CD_ROM: u16 = 0x0008;
const DVD_ROM: u16 = 0x0010;

/// [MODE SENSE, mode parameter header and page] Lengths: of all that follows the first two bytes, and of the page behind its second.
#[testjig::test(on = PiixIde, launch = loaded, vary(page = [ERROR_RECOVERY, AUDIO_CONTROL, CAPABILITIES]))]
fn a_page_has_lengths(ide: PiixIde, page: u8) {
    let data = good(&drive(&ide), &Cdb::mode_sense(0, page, 0x100));
    assert_eq!(
        usize::from(u16::from_be_bytes([data[0], data[1]])),
        data.len() - 2
    );
    assert_eq!(data[6..8], [0, 0], "no block descriptors");
    assert_eq!(data[8] & 0x3f, page);
    assert_eq!(usize::from(data[9]), data.len() - 10);
}

/// [MODE SENSE, page 01h] Five retries.
#[testjig::test(on = PiixIde, launch = loaded)]
fn reads_are_tried_five_times(ide: PiixIde) {
    let data = good(&drive(&ide), &Cdb::mode_sense(0, ERROR_RECOVERY, 0x100));
    assert_eq!(data[10..], [0, 5, 0, 0, 0, 0]);
}

/// [MODE SENSE, page 2Ah] Reads CD-R, CD-RW, DVD-ROM, DVD-R, DVD-RAM, writes nothing; a tray that can be locked and ejected; speeds in
/// kB/s, and kilobytes of buffer.
#[testjig::test(on = PiixIde, launch = loaded)]
fn capabilities_are_a_dvd_drives(ide: PiixIde) {
    let data = good(&drive(&ide), &Cdb::mode_sense(0, CAPABILITIES, 0x100));
    assert_eq!(data[10..12], [0x3b, 0]);
    assert_eq!(data[12..14], [0x71, 0x60]);
    assert_eq!(
        data[14],
        1 << 5 | 1 << 3 | 1,
        "tray, eject, lock; not locked"
    );
    assert_eq!(data[15], 0);
    let words = [16, 18, 20, 22].map(|at| u16::from_be_bytes([data[at], data[at + 1]]));
    assert_eq!(words, [704, 2, 512, 704]);
    assert_eq!(data[24..], [0; 6]);
}

/// [MODE SENSE, page 2Ah bit 1 of byte 6] The tray is locked.
#[testjig::test(on = PiixIde, launch = loaded)]
fn a_locked_tray_is_told(ide: PiixIde) {
    let cd = drive(&ide);
    let locked = || good(&cd, &Cdb::mode_sense(0, CAPABILITIES, 0x100))[14] & 2 != 0;
    assert!(!locked());
    good(&cd, &Cdb::prevent_removal(true));
    assert!(locked());
    good(&cd, &Cdb::prevent_removal(false));
    assert!(!locked());
}

/// [MODE SENSE, allocation length] The data is cut there.
#[testjig::test(on = PiixIde, launch = loaded)]
fn a_page_is_cut(ide: PiixIde) {
    assert_eq!(
        good(&drive(&ide), &Cdb::mode_sense(0, CAPABILITIES, 10)).len(),
        10
    );
}

/// [MODE SENSE, page control] Changeable and default values are not there; nothing is saved.
#[testjig::test(on = PiixIde, launch = loaded)]
fn only_current_values_are_told(ide: PiixIde) {
    let cd = drive(&ide);
    for (control, sense) in [
        (1, Sense::BAD_FIELD),
        (2, Sense::BAD_FIELD),
        (3, Sense::NO_SAVING),
    ] {
        let reply = cd.pio(&Cdb::mode_sense(control, CAPABILITIES, 0x100), 0xfffe);
        assert_sense(&cd, &reply, sense);
    }
}

/// [MODE SENSE] An unknown page is an invalid field.
#[testjig::test(on = PiixIde, launch = loaded)]
fn an_unknown_page_is_refused(ide: PiixIde) {
    let cd = drive(&ide);
    let reply = cd.pio(&Cdb::mode_sense(0, 0x20, 0x100), 0xfffe);
    assert_sense(&cd, &reply, Sense::BAD_FIELD);
}

/// The current profile, and the listed ones with whether each is current.
fn profiles(configuration: &[u8]) -> (u16, Vec<(u16, bool)>) {
    let list = configuration[12..].chunks(4);
    (
        u16::from_be_bytes([configuration[6], configuration[7]]),
        list.map(|entry| (u16::from_be_bytes([entry[0], entry[1]]), entry[2] & 1 != 0))
            .collect(),
    )
}

/// [GET CONFIGURATION, feature 0000h] The list of profiles; without a medium none is current.
#[testjig::test(on = PiixIde, launch = empty)]
fn without_a_medium_no_profile_is_current(ide: PiixIde) {
    let data = good(&drive(&ide), &Cdb::get_configuration(0, 0x200));
    assert_eq!(data.len(), 20);
    assert_eq!(data[..4], 16_u32.to_be_bytes());
    assert_eq!(data[8..12], [0, 0, 3, 8]);
    assert_eq!(
        profiles(&data),
        (0, vec![(DVD_ROM, false), (CD_ROM, false)])
    );
}

/// [GET CONFIGURATION] What fits a CD is one.
#[testjig::test(on = PiixIde, launch = loaded)]
fn a_small_medium_is_a_cd(ide: PiixIde) {
    let data = good(&drive(&ide), &Cdb::get_configuration(0, 0x200));
    assert_eq!(
        profiles(&data),
        (CD_ROM, vec![(DVD_ROM, false), (CD_ROM, true)])
    );
}

/// The last block of a CD of 80 minutes, 360,000 sectors of 2,048 bytes, in sectors of 512.
const CD_BLOCKS: u64 = 80 * 60 * 75;

/// [GET CONFIGURATION] What is longer than 80 minutes is a DVD.
#[testjig::test(
    on = PiixIde,
    launch = |launch| with_medium(launch, Image::zeroed(blocks * BLOCK as u64)),
    vary(blocks = [CD_BLOCKS, CD_BLOCKS + 1])
)]
fn a_large_medium_is_a_dvd(ide: PiixIde, blocks: u64) {
    let data = good(&drive(&ide), &Cdb::get_configuration(0, 0x200));
    let is_dvd = blocks > CD_BLOCKS;
    let current = if is_dvd { DVD_ROM } else { CD_ROM };
    assert_eq!(
        profiles(&data),
        (current, vec![(DVD_ROM, is_dvd), (CD_ROM, !is_dvd)])
    );
}

/// [GET CONFIGURATION, allocation length] The data is cut there, however long it may be.
#[testjig::test(on = PiixIde, launch = loaded, vary(length = [8, 0xffff]))]
fn the_configuration_is_cut(ide: PiixIde, length: u16) {
    let data = good(&drive(&ide), &Cdb::get_configuration(0, length));
    assert_eq!(data.len(), usize::from(length).min(20));
}

/// [GET CONFIGURATION] Other features than the first are not told.
#[testjig::test(on = PiixIde, launch = loaded, vary(first = [1, 0x100]))]
fn other_features_are_refused(ide: PiixIde, first: u16) {
    let cd = drive(&ide);
    let reply = cd.pio(&Cdb::get_configuration(first, 0x200), 0xfffe);
    assert_sense(&cd, &reply, Sense::BAD_FIELD);
}

/// [READ DISC INFORMATION] A finalized disc of one session with one track, for unrestricted use.
#[testjig::test(on = PiixIde, launch = loaded)]
fn the_disc_is_finalized(ide: PiixIde) {
    let data = good(&drive(&ide), &Cdb::read_disc_information(0, 0x100));
    assert_eq!(data.len(), 34);
    assert_eq!(data[..8], [0, 32, 0x0e, 1, 1, 1, 1, 0x20]);
    assert!(data[8..].iter().all(|&byte| byte == 0));
}

/// [READ DISC INFORMATION] Track resources and POW resources are Blu-ray's.
#[testjig::test(on = PiixIde, launch = loaded, vary(kind = [1, 2]))]
fn other_disc_information_is_refused(ide: PiixIde, kind: u8) {
    let cd = drive(&ide);
    let reply = cd.pio(&Cdb::read_disc_information(kind, 0x100), 0xfffe);
    assert_sense(&cd, &reply, Sense::BAD_FIELD);
}

/// [MECHANISM STATUS] Eight bytes: idle, one slot, no table of them.
#[testjig::test(on = PiixIde, launch = loaded)]
fn the_mechanism_is_idle(ide: PiixIde) {
    let cd = drive(&ide);
    assert_eq!(
        good(&cd, &Cdb::mechanism_status(0x100)),
        [0, 0, 0, 0, 0, 1, 0, 0]
    );
    assert_eq!(good(&cd, &Cdb::mechanism_status(4)).len(), 4);
}

const DVD: u64 = 4_700_000_000 / BLOCK as u64;

fn dvd(launch: Launch) -> Launch {
    with_medium(launch, Image::zeroed(DVD * BLOCK as u64))
}

/// [READ DISC STRUCTURE, format 00h] Physical format: a DVD-ROM of 120 mm with one layer, its last block.
#[testjig::test(on = PiixIde, launch = dvd)]
fn a_dvd_has_a_physical_format(ide: PiixIde) {
    let data = good(&drive(&ide), &Cdb::read_disc_structure(0, 0, 0, 0x1000));
    assert_eq!(data.len(), 2048 + 4);
    assert_eq!(data[..2], 2050_u16.to_be_bytes());
    assert_eq!(data[4..8], [1, 0x0f, 1, 0]);
    let last = (DVD as u32 - 1).to_be_bytes();
    assert_eq!(data[8..12], [0; 4]);
    assert_eq!(data[12..16], last);
    assert_eq!(data[16..20], last);
}

/// [READ DISC STRUCTURE, formats 01h, 04h, FFh] Copyright: none; manufacturing: blank; the list of formats, each readable and not
/// writable.
#[testjig::test(on = PiixIde, launch = dvd)]
fn a_dvd_has_other_formats(ide: PiixIde) {
    let cd = drive(&ide);
    let structure = |format| good(&cd, &Cdb::read_disc_structure(0, 0, format, 0x1000));
    assert_eq!(structure(0x01), [0, 6, 0, 0, 0, 0, 0, 0]);
    let manufacturing = structure(0x04);
    assert_eq!(manufacturing.len(), 2048 + 4);
    assert_eq!(manufacturing[..2], 2050_u16.to_be_bytes());
    let list = structure(0xff);
    assert_eq!(
        usize::from(u16::from_be_bytes([list[0], list[1]])),
        list.len() - 2
    );
    let formats: Vec<(u8, u8, u16)> = list[4..]
        .chunks(4)
        .map(|entry| (entry[0], entry[1], u16::from_be_bytes([entry[2], entry[3]])))
        .collect();
    assert_eq!(
        formats,
        [
            (0, 0x40, 2052),
            (1, 0x40, 8),
            (3, 0x40, 192),
            (4, 0x40, 2052)
        ]
    );
}

/// [READ DISC STRUCTURE, format 00h] A layer that the disc does not have is an invalid field.
///
/// QEMU up to 11.1 clears its reply buffer, which is the packet, before it looks at the packet's layer.
#[testjig::test(on = PiixIde, launch = dvd, xfail = "QEMU ignores the layer number of READ DISC STRUCTURE")]
fn an_absent_layer_is_refused(ide: PiixIde) {
    let cd = drive(&ide);
    let reply = cd.pio(&Cdb::read_disc_structure(0, 1, 0, 0x1000), 0xfffe);
    assert_sense(&cd, &reply, Sense::BAD_FIELD);
}

/// [READ DISC STRUCTURE] Another kind of medium, no burst cutting area, and formats that are not there.
#[testjig::test(
    on = PiixIde,
    launch = dvd,
    vary(cdb = [
        Cdb::read_disc_structure(1, 0, 0, 0x1000),
        Cdb::read_disc_structure(0, 0, 0x03, 0x1000), Cdb::read_disc_structure(0, 0, 0x10, 0x1000),
        Cdb::read_disc_structure(0, 0, 0x80, 0x1000)
    ])
)]
fn other_structures_are_refused(ide: PiixIde, cdb: Cdb) {
    let cd = drive(&ide);
    let reply = cd.pio(&cdb, 0xfffe);
    assert_sense(&cd, &reply, Sense::BAD_FIELD);
}

/// [READ DISC STRUCTURE] A CD has none of a DVD's formats: incompatible format.
#[testjig::test(on = PiixIde, launch = loaded)]
fn a_cd_has_no_structure(ide: PiixIde) {
    let cd = drive(&ide);
    let reply = cd.pio(&Cdb::read_disc_structure(0, 0, 0, 0x1000), 0xfffe);
    assert_sense(&cd, &reply, Sense::new(5, 0x30));
}
