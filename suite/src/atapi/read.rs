//! [READ (10), READ (12), READ CD, READ CAPACITY, SEEK].

use super::*;

/// [READ CAPACITY] The last block's address, and 2,048 bytes a block.
#[testjig::test(on = PiixIde, launch = loaded)]
fn capacity_is_the_last_block(ide: PiixIde) {
    let capacity = good(&drive(&ide), &Cdb::read_capacity());
    assert_eq!(capacity[..4], (BLOCKS - 1).to_be_bytes());
    assert_eq!(capacity[4..], 2048_u32.to_be_bytes());
}

/// [READ (10), READ (12)] Blocks by address, the first and the last among them.
#[testjig::test(on = PiixIde, launch = loaded, vary(first = [0, 1, 0xff, BLOCKS - 2]))]
fn blocks_are_read(ide: PiixIde, first: u32) {
    let cd = drive(&ide);
    let expected = [first, first + 1].map(block_of).concat();
    assert_eq!(good(&cd, &Cdb::read_10(first, 2)), expected);
    assert_eq!(good(&cd, &Cdb::read_12(first, 2)), expected);
    assert_eq!(good(&cd, &Cdb::read_cd(first, 2, 0x10)), expected);
}

/// [READ] A length of 0 is no error, and no data.
#[testjig::test(on = PiixIde, launch = loaded)]
fn no_blocks_are_no_data(ide: PiixIde) {
    let cd = drive(&ide);
    for cdb in [
        Cdb::read_10(1, 0),
        Cdb::read_12(1, 0),
        Cdb::read_cd(1, 0, 0x10),
        Cdb::read_cd(1, 1, 0),
    ] {
        assert_eq!(good(&cd, &cdb), [0_u8; 0], "{cdb:?}");
    }
}

/// [READ, SEEK] An address beyond the medium is out of range; so are blocks that end there, or that wrap around.
#[testjig::test(
    on = PiixIde,
    launch = loaded,
    vary(cdb = [
        Cdb::read_10(BLOCKS, 1), Cdb::read_10(BLOCKS - 1, 2), Cdb::read_10(0xffff_ffff, 1), Cdb::read_12(BLOCKS, 1),
        Cdb::read_12(1, 0xffff_ffff), Cdb::read_12(0x8000_0000, 0x8000_0001), Cdb::read_cd(BLOCKS, 1, 0x10),
        Cdb::read_cd(BLOCKS - 1, 2, 0xf8), Cdb::seek_10(BLOCKS)
    ])
)]
fn beyond_the_medium_is_out_of_range(ide: PiixIde, cdb: Cdb) {
    let cd = drive(&ide);
    let reply = cd.pio(&cdb, 0xfffe);
    assert_sense(&cd, &reply, Sense::OUT_OF_RANGE);
}

/// [SEEK (10)] The last block can be sought.
#[testjig::test(on = PiixIde, launch = loaded)]
fn the_last_block_can_be_sought(ide: PiixIde) {
    good(&drive(&ide), &Cdb::seek_10(BLOCKS - 1));
}

/// [READ CD, all fields] A sector of mode 1: synchronization, minute, second and frame from 00:02:00 on, mode, data, and 288 bytes of
/// error detection and correction.
#[testjig::test(on = PiixIde, launch = loaded, vary(lba = [0, 74, 75, 299]))]
fn a_raw_sector_has_a_header(ide: PiixIde, lba: u32) {
    let sector = good(&drive(&ide), &Cdb::read_cd(lba, 1, 0xf8));
    assert_eq!(sector.len(), 2352);
    assert_eq!(
        sector[..12],
        [0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0]
    );
    let frames = lba + 150;
    let header = [frames / 75 / 60, frames / 75 % 60, frames % 75, 1].map(|value| value as u8);
    assert_eq!(sector[12..16], header);
    assert_eq!(sector[16..16 + BLOCK], block_of(lba));
}

/// [READ CD, all fields] Several, across DRQ blocks that do not end with sectors.
#[testjig::test(on = PiixIde, launch = loaded)]
fn raw_sectors_follow_each_other(ide: PiixIde) {
    let cd = drive(&ide);
    let reply = cd.pio(&Cdb::read_cd(10, 3, 0xf8), 4000);
    assert!(reply.is_good(), "{reply:?}");
    assert_eq!(reply.data.len(), 3 * 2352);
    for (sector, number) in reply.data.chunks(2352).zip(10..) {
        assert_eq!(sector[14], number);
        assert_eq!(sector[16..16 + BLOCK], block_of(number.into()));
    }
}

/// [READ CD] Other fields than user data or all of them are not there.
#[testjig::test(on = PiixIde, launch = loaded, vary(fields = [0x20, 0x80, 0xf0]))]
fn other_fields_are_refused(ide: PiixIde, fields: u8) {
    let cd = drive(&ide);
    let reply = cd.pio(&Cdb::read_cd(0, 1, fields), 0xfffe);
    assert_sense(&cd, &reply, Sense::BAD_FIELD);
}

/// A medium that can't be read at block 20.
fn scratched(launch: Launch) -> Launch {
    launch
        .drive(Drive::new("cd0", numbered(BLOCKS)).read_only(true))
        .arg("-blockdev")
        .arg(
            "driver=blkdebug,node-name=bad,image=cd0,read-only=on,inject-error.0.event=none,inject-error.0.iotype=read,\
             inject-error.0.sector=80,inject-error.0.errno=5",
        )
        .device(device().prop("drive", "bad"))
}

/// A block that can't be read is a check condition; blocks before and after it are read.
#[testjig::test(on = PiixIde, launch = scratched, vary(limit = [2048, 3000]))]
fn a_bad_block_is_a_check_condition(ide: PiixIde, limit: u16) {
    let cd = drive(&ide);
    let reply = cd.pio(&Cdb::read_10(19, 3), limit);
    assert!(reply.sense_key().is_some_and(|key| key != 0), "{reply:?}");
    assert_eq!(good(&cd, &Cdb::read_10(19, 1)), block_of(19));
    assert_eq!(good(&cd, &Cdb::read_10(21, 1)), block_of(21));
}

/// By the bus master, too.
#[testjig::test(on = PiixIde, launch = scratched)]
fn a_bad_block_is_a_check_condition_by_the_bus_master(ide: PiixIde) {
    use testjig::qos::dev::piix_ide::Prd;
    use testjig::qos::mem::GuestAlloc;

    let cd = drive(&ide);
    let buffer = GuestAlloc::of(ide.vm())
        .request(3 * BLOCK as u64)
        .align(0x1_0000)
        .below(1 << 32)
        .buf();
    let table = ide.table(&[Prd::last(buffer.addr() as u32, 3 * BLOCK as u16)]);
    let (status, ending) = cd.dma(&ide.primary().bus_master, &Cdb::read_10(19, 3), &table);
    assert!(ending.status.err(), "{ending:?}");
    assert!(status.interrupt() && !status.active(), "{status:?}");
}
