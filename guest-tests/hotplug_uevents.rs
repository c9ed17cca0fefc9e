//! A disk that is plugged in is announced by the guest's kernel as a PCI device and as a disk, keeps what is written to it, and is
//! announced gone when it is plugged out.

use std::fs;

use testjig_guest::halves::*;

/// The test.
pub static TEST: GuestTest = guest_test!(host, guest, warm);

fn host(test: &Host) {
    let board = test.choose("machine", &[Board::Pc, Board::Q35]);
    let image = test.disk(1 << 20);
    let machine = test.machine(board).drive("d", &image).start();
    let disk = Device::new("virtio-blk-pci").id("blk").prop("drive", "d");
    let disk = machine.plug(disk.prop("serial", "plugged"));
    machine.wait_told("written");
    machine.unplug(disk);
    machine.finish();
    assert!(fs::read(image).expect("an image").starts_with(b"canary"));
}

fn guest(guest: &Guest) {
    // [Virtio 1.2 §4.1.2] Vendor 0x1af4; a transitional block device is 0x1001, one that is not 0x1042.
    let pci = guest.uevent(&["ACTION=add", "SUBSYSTEM=pci", "PCI_CLASS=10000"]);
    assert!(["1AF4:1001", "1AF4:1042"].contains(&&pci["PCI_ID"]));
    let disk = guest.uevent(&["ACTION=add", "SUBSYSTEM=block"]);
    assert_eq!((&disk["DEVNAME"], &disk["DEVTYPE"]), ("vda", "disk"));
    assert_eq!(guest.read("/sys/block/vda/serial"), "plugged");
    guest.write("/dev/vda", "canary");
    guest.sh("sync");
    guest.tell("written");
    guest.uevent(&["ACTION=remove", "SUBSYSTEM=block", "DEVNAME=vda"]);
    guest.uevent(&["ACTION=remove", "SUBSYSTEM=pci", "PCI_CLASS=10000"]);
}
