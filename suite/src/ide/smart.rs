//! [SMART feature set]: a subcommand in Features, C2h and 4Fh in LBA High and Mid.

use super::*;
use testjig::qos::dev::ata::{Address, Channel, Command, Ending, Taskfile};

const KEY: u32 = 0xc2_4f00;

/// Subcommands.
const READ_DATA: u16 = 0xd0;
const READ_THRESHOLDS: u16 = 0xd1;
const AUTOSAVE: u16 = 0xd2;
const EXECUTE_OFFLINE: u16 = 0xd4;
const READ_LOG: u16 = 0xd5;
const ENABLE: u16 = 0xd8;
const DISABLE: u16 = 0xd9;
const RETURN_STATUS: u16 = 0xda;

fn smart(subcommand: u16, lba_low: u8) -> Taskfile {
    Taskfile::new(Command::SMART)
        .features(subcommand)
        .at(Address::Lba28(KEY | u32::from(lba_low)))
        .count(1)
}

#[track_caller]
fn execute(ide: &Channel, subcommand: u16, lba_low: u8) -> Ending {
    ide.execute(&smart(subcommand, lba_low))
}

/// Reads a structure and checks its last byte: all 512 sum up to zero.
#[track_caller]
fn read(ide: &Channel, subcommand: u16, lba_low: u8) -> Vec<u8> {
    let data = ide.pio_in(&smart(subcommand, lba_low), SECTOR);
    let sum = data.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte));
    assert_eq!(sum, 0, "checksum");
    data
}

/// [SMART RETURN STATUS] No threshold is exceeded: C2h and 4Fh stay in LBA High and Mid.
#[testjig::test(on = Channel, launch = disk)]
fn the_drive_is_healthy(ide: Channel) {
    let ending = execute(&ide, RETURN_STATUS, 0);
    assert!(ending.is_good(), "{ending:?}");
    assert_eq!(ending.lba[1..], [0x4f, 0xc2]);
}

/// [SMART] Without the key in LBA Mid and High every subcommand is aborted.
#[testjig::test(on = Channel, launch = disk, vary(key = [0_u32, 0xc2_0000, 0x00_4f00, 0x2c_f400]))]
fn the_key_is_needed(ide: Channel, key: u32) {
    let task = Taskfile::new(Command::SMART)
        .features(RETURN_STATUS)
        .at(Address::Lba28(key));
    assert!(ide.execute(&task).is_aborted());
}

/// [SMART DISABLE OPERATIONS] All subcommands but ENABLE OPERATIONS are aborted from then on.
#[testjig::test(on = Channel, launch = disk)]
fn it_can_be_disabled_and_enabled(ide: Channel) {
    assert!(execute(&ide, DISABLE, 0).is_good());
    for subcommand in [RETURN_STATUS, READ_DATA, AUTOSAVE, DISABLE] {
        assert!(execute(&ide, subcommand, 0).is_aborted(), "{subcommand:#x}");
    }
    assert!(execute(&ide, ENABLE, 0).is_good());
    assert!(execute(&ide, RETURN_STATUS, 0).is_good());
}

/// [SMART] Undefined subcommands are aborted.
#[testjig::test(on = Channel, launch = disk, vary(subcommand = [0x00, 0xcf, 0xd3, 0xdb]))]
fn an_unknown_subcommand_is_aborted(ide: Channel, subcommand: u16) {
    assert!(execute(&ide, subcommand, 0).is_aborted());
}

/// [SMART READ DATA] Attributes of twelve bytes from byte 2 on; each has its identifier once, and a normalized value of 1 to 253.
#[testjig::test(on = Channel, launch = disk)]
fn attributes_are_told(ide: Channel) {
    let data = read(&ide, READ_DATA, 0);
    assert_eq!(data[0], 1);
    let attributes: Vec<&[u8]> = data[2..362]
        .chunks(12)
        .take_while(|entry| entry[0] != 0)
        .collect();
    let ids: Vec<u8> = attributes.iter().map(|entry| entry[0]).collect();
    assert_eq!(ids, [1, 3, 4, 5, 9, 12, 190]);
    for entry in attributes {
        assert!(
            (1..=253).contains(&entry[3]) && entry[4] <= entry[3],
            "{entry:?}"
        );
    }
}

/// [SMART READ DATA] Off-line collection and self-test: what is supported, and how many minutes they take.
#[testjig::test(on = Channel, launch = disk)]
fn capabilities_are_told(ide: Channel) {
    let data = read(&ide, READ_DATA, 0);
    assert_eq!(
        data[363], 0,
        "self-test execution status: completed without error"
    );
    assert_eq!(
        u16::from_le_bytes([data[364], data[365]]),
        0x120,
        "seconds of off-line collection"
    );
    assert_eq!(
        data[367],
        1 << 4 | 1 << 3 | 1,
        "off-line, off-line immediate, self-test"
    );
    assert_eq!(
        u16::from_le_bytes([data[368], data[369]]),
        3,
        "saves attributes"
    );
    assert_eq!(data[370], 1, "error logging");
    assert_eq!(data[372..375], [2, 54, 1], "minutes of the self-tests");
}

/// [SMART READ DATA, vendor's thresholds of ATA-3] The same attributes, each with its threshold, below its value.
#[testjig::test(on = Channel, launch = disk)]
fn thresholds_are_below_the_values(ide: Channel) {
    let (data, thresholds) = (read(&ide, READ_DATA, 0), read(&ide, READ_THRESHOLDS, 0));
    assert_eq!(thresholds[0], 1);
    for (value, threshold) in data[2..362].chunks(12).zip(thresholds[2..362].chunks(12)) {
        assert_eq!(value[0], threshold[0]);
        assert!(
            value[0] == 0 || threshold[1] < value[3],
            "attribute {}",
            value[0]
        );
    }
    assert_eq!(
        thresholds[3..]
            .iter()
            .step_by(12)
            .take(7)
            .copied()
            .collect::<Vec<_>>(),
        [6, 0, 0x14, 0x24, 0, 0, 0x32]
    );
}

/// [SMART ENABLE/DISABLE ATTRIBUTE AUTOSAVE] 00h disables, F1h enables: bit 7 of the off-line status; anything else is aborted.
#[testjig::test(on = Channel, launch = disk)]
fn autosave_is_switched(ide: Channel) {
    let autosave = || read(&ide, READ_DATA, 0)[362] & 0x80 != 0;
    assert!(autosave());
    assert!(execute(&ide, AUTOSAVE, 0x00).is_good());
    assert!(!autosave());
    assert!(execute(&ide, AUTOSAVE, 0xf1).is_good());
    assert!(autosave());
    assert!(execute(&ide, AUTOSAVE, 0x55).is_aborted());
}

/// [SMART READ LOG, 01h] The summary error log: version 1, no entry, no error.
#[testjig::test(on = Channel, launch = disk)]
fn the_error_log_is_empty(ide: Channel) {
    let log = read(&ide, READ_LOG, 0x01);
    assert_eq!(log[..511].iter().filter(|&&byte| byte != 0).count(), 1);
    assert_eq!(log[0], 1);
}

/// [SMART READ LOG] Other logs are not there.
#[testjig::test(on = Channel, launch = disk, vary(log = [0x02, 0x07, 0x80]))]
fn an_absent_log_is_aborted(ide: Channel, log: u8) {
    assert!(execute(&ide, READ_LOG, log).is_aborted());
}

/// [SMART EXECUTE OFF-LINE IMMEDIATE] Each self-test is logged in the next descriptor of 24 bytes, its number in byte 0 and its status,
/// completed, in byte 1; byte 508 of the log is the index of the last.
#[testjig::test(on = Channel, launch = disk)]
fn self_tests_are_logged(ide: Channel) {
    let log = read(&ide, READ_LOG, 0x06);
    assert_eq!((log[0], log[508]), (1, 0));
    assert!(log[2..506].iter().all(|&byte| byte == 0));
    for test in [1, 2] {
        assert!(execute(&ide, EXECUTE_OFFLINE, test).is_good());
    }
    let log = read(&ide, READ_LOG, 0x06);
    assert_eq!(log[508], 2);
    assert_eq!((log[2], log[3]), (1, 0));
    assert_eq!((log[26], log[27]), (2, 0));
    assert_eq!(read(&ide, READ_DATA, 0)[363], 0);
}

/// [SMART READ LOG, 06h] Twenty-one descriptors, used in turn: the twenty-second test takes the first again.
#[testjig::test(on = Channel, launch = disk)]
fn the_log_of_self_tests_goes_around(ide: Channel) {
    for _ in 0..21 {
        execute(&ide, EXECUTE_OFFLINE, 1);
    }
    assert_eq!(read(&ide, READ_LOG, 0x06)[508], 21);
    execute(&ide, EXECUTE_OFFLINE, 2);
    let log = read(&ide, READ_LOG, 0x06);
    assert_eq!((log[508], log[2], log[26]), (1, 2, 1));
}

/// [SMART EXECUTE OFF-LINE IMMEDIATE] An unknown test is aborted.
#[testjig::test(on = Channel, launch = disk, vary(test = [0x03, 0x40, 0xff]))]
fn an_unknown_self_test_is_aborted(ide: Channel, test: u8) {
    assert!(execute(&ide, EXECUTE_OFFLINE, test).is_aborted());
    assert_eq!(read(&ide, READ_LOG, 0x06)[508], 0);
}
