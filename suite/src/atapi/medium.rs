//! Medium and tray: absent, changed, locked, ejected by guest and user.

use serde_json::{Value, json};

use super::*;

/// Packets that need a medium are not ready without one; those that don't are good.
#[testjig::test(on = PiixIde, launch = empty)]
fn without_a_medium_the_drive_is_not_ready(ide: PiixIde) {
    let cd = drive(&ide);
    for cdb in [
        Cdb::test_unit_ready(),
        Cdb::read_capacity(),
        Cdb::read_10(0, 1),
        Cdb::read_cd(0, 1, 0x10),
        Cdb::seek_10(0),
        Cdb::read_toc(0, false, 0, 20),
        Cdb::read_disc_information(0, 34),
        Cdb::read_disc_structure(0, 0, 0, 100),
    ] {
        let reply = cd.pio(&cdb, 0xfffe);
        assert_sense(&cd, &reply, Sense::NO_MEDIUM);
    }
    good(&cd, &Cdb::mechanism_status(8));
    good(&cd, &Cdb::set_cd_speed());
    good(&cd, &Cdb::inquiry(36));
}

/// [REQUEST SENSE] Fixed format, current error, ten more bytes; nothing to tell after power-on.
#[testjig::test(on = PiixIde, launch = loaded)]
fn sense_data_has_fixed_format(ide: PiixIde) {
    let cd = drive(&ide);
    let data = good(&cd, &Cdb::request_sense(0xff));
    assert_eq!(data.len(), 18);
    assert_eq!(data[0] & 0x7f, 0x70);
    assert_eq!(data[7], 10);
    assert_eq!(cd.sense(), Sense::NONE);
    assert_eq!(good(&cd, &Cdb::request_sense(8)).len(), 8);
}

#[track_caller]
fn insert(vm: &Vm) {
    vm.qmp_raw(
        "blockdev-insert-medium",
        json!({"id": "cd", "node-name": "cd1"}),
    );
    vm.qmp_raw("blockdev-close-tray", json!({"id": "cd"}));
}

#[track_caller]
fn open_tray(vm: &Vm, force: bool) {
    vm.qmp_raw("blockdev-open-tray", json!({"id": "cd", "force": force}));
}

/// [Unit attention, MMC-5 §4.1.6] A new medium: not ready while it is changed, then a unit attention, told once; then it is read.
#[testjig::test(on = PiixIde, launch = empty)]
fn a_new_medium_is_a_unit_attention(ide: PiixIde, vm: &Vm) {
    let cd = drive(&ide);
    open_tray(vm, false);
    insert(vm);
    let reply = cd.pio(&Cdb::test_unit_ready(), 0);
    assert_sense(&cd, &reply, Sense::NO_MEDIUM);
    let reply = cd.pio(&Cdb::test_unit_ready(), 0);
    assert_sense(&cd, &reply, Sense::MEDIUM_CHANGED);
    good(&cd, &Cdb::test_unit_ready());
    assert_eq!(good(&cd, &Cdb::read_10(49, 1)), block_of(49));
    assert_eq!(good(&cd, &Cdb::read_capacity())[..4], 49_u32.to_be_bytes());
}

/// [Unit attention] INQUIRY, REQUEST SENSE and GET CONFIGURATION are done while one is pending; REQUEST SENSE alone clears it.
#[testjig::test(on = PiixIde, launch = empty)]
fn a_unit_attention_waits_for_request_sense(ide: PiixIde, vm: &Vm) {
    let cd = drive(&ide);
    open_tray(vm, false);
    insert(vm);
    cd.pio(&Cdb::test_unit_ready(), 0);
    assert_eq!(cd.pio(&Cdb::test_unit_ready(), 0).sense_key(), Some(6));
    good(&cd, &Cdb::inquiry(36));
    good(&cd, &Cdb::get_configuration(0, 20));
    let refused = cd.pio(&Cdb::read_10(0, 1), 2048);
    assert!(refused.ending.status.err(), "{refused:?}");
    assert!(refused.ending.error.media_changed() || refused.ending.error.sense_key() == 6);
    assert_eq!(cd.sense(), Sense::MEDIUM_CHANGED);
    assert_eq!(good(&cd, &Cdb::read_10(0, 1)), block_of(0));
}

/// [START STOP UNIT, LOEJ] The guest opens the tray and closes it again.
#[testjig::test(on = PiixIde, launch = loaded)]
fn the_guest_opens_and_closes_the_tray(ide: PiixIde, vm: &Vm) {
    let cd = drive(&ide);
    // Events from before the monitor is first used may be lost.
    vm.qmp_raw("query-status", Value::Null);
    good(&cd, &Cdb::start_stop_unit(false, true));
    let event = vm.wait_event("DEVICE_TRAY_MOVED", std::time::Duration::from_secs(10));
    assert_eq!(event.data()["tray-open"], json!(true));
    let reply = cd.pio(&Cdb::test_unit_ready(), 0);
    assert_sense(&cd, &reply, Sense::NO_MEDIUM);
    good(&cd, &Cdb::start_stop_unit(true, true));
    let event = vm.wait_event("DEVICE_TRAY_MOVED", std::time::Duration::from_secs(10));
    assert_eq!(event.data()["tray-open"], json!(false));
    assert_eq!(good(&cd, &Cdb::read_10(3, 1)), block_of(3));
}

/// [START STOP UNIT] Start and stop without LOEJ leave the tray alone, and so do power conditions.
#[testjig::test(on = PiixIde, launch = loaded)]
fn stop_leaves_the_tray_alone(ide: PiixIde) {
    let cd = drive(&ide);
    good(&cd, &Cdb::start_stop_unit(false, false));
    good(&cd, &Cdb::start_stop_unit(true, false));
    let standby_and_eject = Cdb::new(0x1b).with(4, &[0x32]);
    good(&cd, &standby_and_eject);
    good(&cd, &Cdb::test_unit_ready());
}

/// [PREVENT ALLOW MEDIUM REMOVAL] While removal is prevented the guest's own eject is refused: 53h, medium removal prevented.
#[testjig::test(on = PiixIde, launch = loaded)]
fn a_locked_tray_stays_closed(ide: PiixIde) {
    let cd = drive(&ide);
    good(&cd, &Cdb::prevent_removal(true));
    let reply = cd.pio(&Cdb::start_stop_unit(false, true), 0);
    assert!(reply.sense_key().is_some());
    assert_eq!(cd.sense().code, 0x53);
    good(&cd, &Cdb::test_unit_ready());
    good(&cd, &Cdb::prevent_removal(false));
    good(&cd, &Cdb::start_stop_unit(false, true));
}

/// [PREVENT ALLOW MEDIUM REMOVAL] Without a medium a locked tray stays closed as well, as an illegal request.
#[testjig::test(on = PiixIde, launch = empty)]
fn an_empty_locked_tray_stays_closed(ide: PiixIde) {
    let cd = drive(&ide);
    good(&cd, &Cdb::prevent_removal(true));
    let reply = cd.pio(&Cdb::start_stop_unit(false, true), 0);
    assert_sense(&cd, &reply, Sense::new(5, 0x53));
}

/// A locked tray does not open for the user, but for one who insists; a reset unlocks it.
#[testjig::test(on = PiixIde, launch = loaded)]
fn the_user_may_insist(ide: PiixIde, vm: &Vm) {
    let cd = drive(&ide);
    good(&cd, &Cdb::prevent_removal(true));
    open_tray(vm, false);
    good(&cd, &Cdb::test_unit_ready());
    open_tray(vm, true);
    let reply = cd.pio(&Cdb::test_unit_ready(), 0);
    assert_sense(&cd, &reply, Sense::NO_MEDIUM);
}

/// [Software reset, hardware reset] unlock the tray.
#[testjig::test(on = PiixIde, launch = loaded)]
fn a_reset_unlocks_the_tray(ide: PiixIde) {
    let cd = drive(&ide);
    good(&cd, &Cdb::prevent_removal(true));
    cd.ata().software_reset();
    good(&cd, &Cdb::start_stop_unit(false, true));
}
