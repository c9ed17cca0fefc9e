//! [GET EVENT STATUS NOTIFICATION]: the media class.

use serde_json::json;

use super::*;

const MEDIA: u8 = 1 << 4;

/// Event code and media status of one poll.
#[track_caller]
fn poll(cd: &Cd) -> (u8, u8) {
    let data = good(cd, &Cdb::get_event_status(true, MEDIA, 8));
    assert_eq!(data.len(), 8);
    assert_eq!(data[..2], [0, 4], "length");
    assert_eq!(data[2], 4, "class");
    (data[4] & 0xf, data[5])
}

/// Nothing has happened: no change; the medium is there, or not.
#[testjig::test(on = PiixIde, launch = loaded)]
fn a_quiet_drive_has_no_event(ide: PiixIde) {
    let cd = drive(&ide);
    assert_eq!(poll(&cd), (0, 2));
    assert_eq!(poll(&cd), (0, 2));
}

/// Media status: neither bit without a medium.
#[testjig::test(on = PiixIde, launch = empty)]
fn an_empty_drive_has_no_medium(ide: PiixIde) {
    assert_eq!(poll(&drive(&ide)), (0, 0));
}

/// An open tray is status bit 0; a new medium is event 2, told once.
#[testjig::test(on = PiixIde, launch = empty)]
fn a_new_medium_is_told_once(ide: PiixIde, vm: &Vm) {
    let cd = drive(&ide);
    vm.qmp_raw("blockdev-open-tray", json!({"id": "cd"}));
    assert_eq!(poll(&cd), (0, 1));
    vm.qmp_raw(
        "blockdev-insert-medium",
        json!({"id": "cd", "node-name": "cd1"}),
    );
    vm.qmp_raw("blockdev-close-tray", json!({"id": "cd"}));
    assert_eq!(poll(&cd), (2, 2));
    assert_eq!(poll(&cd), (0, 2));
}

/// The user's wish for a locked medium is event 1, told once.
#[testjig::test(on = PiixIde, launch = loaded)]
fn an_eject_request_is_told_once(ide: PiixIde, vm: &Vm) {
    let cd = drive(&ide);
    good(&cd, &Cdb::prevent_removal(true));
    vm.qmp_raw("blockdev-open-tray", json!({"id": "cd"}));
    assert_eq!(poll(&cd), (1, 2));
    assert_eq!(poll(&cd), (0, 2));
}

/// Of other classes there is nothing: NEA, no event available, and media is what is supported.
#[testjig::test(on = PiixIde, launch = loaded, vary(classes = [0, 1 << 1, 1 << 6]))]
fn other_classes_have_no_events(ide: PiixIde, classes: u8) {
    let data = good(&drive(&ide), &Cdb::get_event_status(true, classes, 8));
    assert_eq!(data.len(), 4);
    assert_eq!(data[2] & 0x80, 0x80);
    assert_eq!(data[3], MEDIA);
}

/// [Allocation length] The answer is cut there.
#[testjig::test(on = PiixIde, launch = loaded)]
fn the_answer_is_cut(ide: PiixIde) {
    assert_eq!(
        good(&drive(&ide), &Cdb::get_event_status(true, MEDIA, 4)).len(),
        4
    );
}

/// Asynchronous notification is not supported: an invalid field.
#[testjig::test(on = PiixIde, launch = loaded)]
fn asynchronous_notification_is_refused(ide: PiixIde) {
    let cd = drive(&ide);
    let reply = cd.pio(&Cdb::get_event_status(false, MEDIA, 8), 8);
    assert_sense(&cd, &reply, Sense::BAD_FIELD);
}
