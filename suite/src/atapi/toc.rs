//! [READ TOC/PMA/ATIP]: one session with one data track, and the lead-out behind it.

use super::*;

/// The lead-out's track number.
const LEAD_OUT: u8 = 0xaa;

/// Control of a data track that may not be copied, ADR 1: its position.
const DATA_TRACK: u8 = 0x14;

/// [Format 0] First and last track; track 1 at block 0, the lead-out behind the last block.
#[testjig::test(on = PiixIde, launch = loaded)]
fn one_track_and_the_lead_out(ide: PiixIde) {
    let toc = good(&drive(&ide), &Cdb::read_toc(0, false, 0, 0x100));
    let mut expected = vec![0, 18, 1, 1];
    expected.extend([0, DATA_TRACK, 1, 0, 0, 0, 0, 0]);
    expected.extend([0, DATA_TRACK + 2, LEAD_OUT, 0]);
    expected.extend(BLOCKS.to_be_bytes());
    // Whether the lead-out has the data track's control or its own is no concern of a driver.
    assert_eq!(toc[..13], expected[..13]);
    assert_eq!(toc[14..], expected[14..]);
}

/// [Format 0, MSF] Addresses as minute, second and frame, two seconds of pause before block 0.
#[testjig::test(on = PiixIde, launch = loaded)]
fn addresses_may_be_times(ide: PiixIde) {
    let toc = good(&drive(&ide), &Cdb::read_toc(0, true, 0, 0x100));
    assert_eq!(toc[8..12], [0, 0, 2, 0]);
    let frames = BLOCKS + 150;
    let end = [frames / 75 / 60, frames / 75 % 60, frames % 75].map(|value| value as u8);
    assert_eq!(toc[17..20], end);
}

/// [Format 0, track] The table from a track on: all tracks from 1, the lead-out alone from AAh.
#[testjig::test(on = PiixIde, launch = loaded)]
fn the_table_begins_at_a_track(ide: PiixIde) {
    let cd = drive(&ide);
    let tracks = |from| -> Vec<u8> {
        let toc = good(&cd, &Cdb::read_toc(0, false, from, 0x100));
        toc[4..].chunks(8).map(|descriptor| descriptor[2]).collect()
    };
    assert_eq!(tracks(0), [1, LEAD_OUT]);
    assert_eq!(tracks(1), [1, LEAD_OUT]);
    assert_eq!(tracks(LEAD_OUT), [LEAD_OUT]);
}

/// [Format 0, track] A track that is not there is an invalid field.
#[testjig::test(on = PiixIde, launch = loaded, vary(track = [2, 0xa9, 0xab]))]
fn an_absent_track_is_refused(ide: PiixIde, track: u8) {
    let cd = drive(&ide);
    let reply = cd.pio(&Cdb::read_toc(0, false, track, 0x100), 0xfffe);
    assert_sense(&cd, &reply, Sense::BAD_FIELD);
}

/// [Format 1] Multi-session: the first and last session are 1.
#[testjig::test(on = PiixIde, launch = loaded)]
fn there_is_one_session(ide: PiixIde) {
    let toc = good(&drive(&ide), &Cdb::read_toc(1, false, 0, 12));
    assert_eq!(toc.len(), 12);
    assert_eq!(toc[..4], [0, 10, 1, 1]);
    assert_eq!(toc[4..], [0; 8]);
}

/// [Format 2] The lead-in's entries: first track (A0h), last track (A1h), lead-out (A2h), track 1.
#[testjig::test(on = PiixIde, launch = loaded, vary(msf = [false, true]))]
fn the_full_table_has_four_points(ide: PiixIde, msf: bool) {
    let toc = good(&drive(&ide), &Cdb::read_toc(2, msf, 1, 0x200));
    assert_eq!(
        usize::from(u16::from_be_bytes([toc[0], toc[1]])),
        toc.len() - 2
    );
    assert_eq!(toc[2..4], [1, 1]);
    let points: Vec<u8> = toc[4..].chunks(11).map(|entry| entry[3]).collect();
    assert_eq!(points, [0xa0, 0xa1, 0xa2, 1]);
    let lead_out = &toc[4 + 22..4 + 33];
    if msf {
        let frames = BLOCKS + 150;
        let end = [frames / 75 / 60, frames / 75 % 60, frames % 75].map(|value| value as u8);
        assert_eq!(lead_out[8..], end);
    } else {
        assert_eq!(lead_out[7..], BLOCKS.to_be_bytes());
    }
}

/// [Format 3 and up] There is no program memory area: an invalid field.
#[testjig::test(on = PiixIde, launch = loaded)]
fn other_formats_are_refused(ide: PiixIde) {
    let cd = drive(&ide);
    let reply = cd.pio(&Cdb::read_toc(3, false, 0, 0x100), 0xfffe);
    assert_sense(&cd, &reply, Sense::BAD_FIELD);
}

/// [Allocation length] The table is cut there; its length field is that of all of it.
#[testjig::test(on = PiixIde, launch = loaded, vary(length = [4, 12]))]
fn the_table_is_cut(ide: PiixIde, length: u16) {
    let toc = good(&drive(&ide), &Cdb::read_toc(0, false, 0, length));
    assert_eq!(toc.len(), usize::from(length));
    assert_eq!(toc[..2], [0, 18]);
}
