//! Events: targets that come and go, parameters that change.

use testjig::qmp::commands::{BlockdevAdd, DeviceAdd, DeviceDel};

use super::*;

/// Plugs a disk in as target 3.
fn plug(vm: &Vm) {
    let node = BlockdevAdd::new("null-co", "late").prop("size", 1 << 20);
    vm.qmp(node);
    vm.qmp(
        DeviceAdd::new("scsi-hd")
            .prop("id", "late-hd")
            .prop("bus", "scsi.0")
            .prop("scsi-id", 3)
            .prop("lun", 1)
            .prop("drive", "late"),
    );
}

/// [5.6.6.3] A target that comes is told of, with where to look, and works; one that goes as well.
#[testjig::test(on = VirtioScsi, needs(running))]
fn targets_that_come_and_go_are_told_of(scsi: VirtioScsi, vm: &Vm) {
    let hba = ready(&scsi);
    let late = Lun::new(3, 1);
    let room = hba.give_event();
    plug(vm);
    hba.events().wait();
    let come = hba.event_in(&room);
    assert_eq!(
        (come.event, come.reason),
        (event::TRANSPORT_RESET, event::RESCAN)
    );
    assert_eq!(come.lun.place(), late.place());
    hba.ready(late);

    let room = hba.give_event();
    vm.qmp(DeviceDel::new("late-hd"));
    hba.events().wait();
    let gone = hba.event_in(&room);
    assert_eq!(
        (gone.event, gone.reason),
        (event::TRANSPORT_RESET, event::REMOVED)
    );
    assert_eq!(gone.lun.place(), late.place());
}

/// [5.6.6.3] What could not be told for want of room is known to have been missed.
#[testjig::test(on = VirtioScsi, needs(running))]
fn events_without_room_are_missed(scsi: VirtioScsi, vm: &Vm) {
    let hba = ready(&scsi);
    plug(vm);
    let room = hba.give_event();
    hba.events().wait();
    let missed = hba.event_in(&room);
    assert_eq!(missed.event, event::NONE | event::MISSED);
}

/// [5.6.6.3] A disk whose capacity changes is told of, with the sense code of that.
#[testjig::test(on = VirtioScsi, needs(running))]
fn a_changed_capacity_is_told_of(scsi: VirtioScsi, vm: &Vm) {
    let hba = ready(&scsi);
    let room = hba.give_event();
    vm.qmp_raw(
        "block_resize",
        json!({ "node-name": VIRTIO_SCSI_DRIVE, "size": 16 << 20 }),
    );
    hba.events().wait();
    let changed = hba.event_in(&room);
    assert_eq!(changed.event, event::PARAM_CHANGE);
    assert_eq!(changed.lun.place(), DISK.place());
    // Capacity data have changed: code 0x2a, qualifier 0x09.
    assert_eq!(changed.reason, 0x092a);
}

/// [5.6.3] A driver that does not want to know of targets is not told.
#[testjig::test(on = VirtioScsi, needs(running))]
fn a_driver_that_does_not_ask_is_not_told(scsi: VirtioScsi, vm: &Vm) {
    scsi.device().negotiate(
        Features::ALL
            - Features::RING_PACKED
            - Features::ACCESS_PLATFORM
            - ScsiFeature::HOTPLUG
            - Features::BAD_FEATURE,
    );
    let hba = scsi.start_negotiated();
    hba.ready(DISK);
    let room = hba.give_event();
    plug(vm);
    hba.ready(Lun::new(3, 1));
    assert!(!hba.events().has_used());
    assert_eq!(room.to_vec(), [0; 16]);
}
