//! Plugging in and out, and going elsewhere.

use testjig::qmp::commands::{DeviceAdd, DeviceDel};
use testjig::qos::dev::acpi_pci_hotplug::AcpiPciHotplug;
use testjig::qos::pci::Pci;
use testjig::qos::virtio::{PciTransport, Virtio};
use testjig::vm::Object;

use super::*;

/// A PC with a drive that no device has.
fn with_drive(launch: Launch) -> Launch {
    launch.drive(Drive::new(VIRTIO_BLK_DRIVE, Image::zeroed(VIRTIO_BLK_SIZE)))
}

const SLOT: u8 = 5;

/// Plugs a block device in.
fn plug(vm: &Vm) {
    let device = DeviceAdd::new("virtio-blk-pci")
        .prop("id", VIRTIO_BLK_ID)
        .prop("drive", VIRTIO_BLK_DRIVE)
        .prop("bus", "pci.0")
        .prop("addr", format!("{SLOT:02x}.0"));
    vm.qmp(device);
}

/// [PCI hot-plug] A device that is plugged in is found, and works.
#[testjig::test(on = Pc, needs(running), launch = with_drive)]
fn a_plugged_disk_works(pc: Pc) {
    let vm = pc.vm();
    let pci = Pci::pc(vm);
    assert!(!pci.device(SLOT).is_present());
    plug(vm);
    assert!(pci.device(SLOT).is_present());
    let blk = VirtioBlk::new(Virtio::new(PciTransport::modern(&pci.device(SLOT))));
    let disk = blk.start(Layout::Split);
    disk.write(1, &pattern(BYTES, 0x33));
    assert_eq!(image(vm).sector(1)[..], pattern(BYTES, 0x33));
}

/// [PCI hot-plug] A device that is plugged out in the middle of its work is gone, and its drive serves another.
#[testjig::test(on = Pc, needs(running), launch = with_drive)]
fn a_disk_is_plugged_out_and_in_again(pc: Pc) {
    let vm = pc.vm();
    let pci = Pci::pc(vm);
    plug(vm);
    let blk = VirtioBlk::new(Virtio::new(PciTransport::modern(&pci.device(SLOT))));
    let disk = blk.start(Layout::Split);
    disk.write(1, &pattern(BYTES, 0x44));

    vm.qmp(DeviceDel::new(VIRTIO_BLK_ID));
    AcpiPciHotplug::new(vm).eject(SLOT);
    vm.wait_event("DEVICE_DELETED", SECOND);
    assert!(!pci.device(SLOT).is_present());
    drop((disk, blk));
    // Another driver of the host bridge, which knows of no mapping that went with the device.
    let pci = Pci::pc(vm);

    plug(vm);
    let blk = VirtioBlk::new(Virtio::new(PciTransport::modern(&pci.device(SLOT))));
    assert_eq!(
        blk.start(Layout::Split).read(1, SECTOR),
        pattern(BYTES, 0x44)
    );
}

/// A machine that goes elsewhere takes its device along: features, virtqueue, position in the ring.
#[testjig::test(on = OnPci<VirtioBlk>, needs(running), vary(layout = LAYOUTS))]
fn a_device_goes_on_elsewhere(
    blk: OnPci<VirtioBlk>,
    vm: &Vm,
    qemu: &Qemu,
    launch: Launch,
    layout: Layout,
) {
    let disk = blk.start(layout);
    for _ in 0..3 {
        assert_eq!(disk.flush(), Status::OK);
    }
    // A request that is shown and not notified of.
    let write = disk.request(Kind::OUT, 7).sending(&pattern(BYTES, 0x70));
    disk.queue().add(&write.segments());
    disk.queue().expose();

    let target = migrate(vm, qemu, &launch);
    // The same registers, where they were mapped.
    let notify = blk.device().pci().notify_address(0);
    target.writew(notify.expect("its registers are in memory"), 0);
    let status = write.status_byte().addr();
    let done = Condition::new("the request is done where it went", || {
        target.ram().read_le::<u8>(status) == Status::OK.0
    });
    target.wait_until(done, SECOND);
    assert_eq!(image(&target).sector(7)[..], pattern(BYTES, 0x70));
    target.stop();
}

/// A device that a thread of its own serves does the same as another.
#[testjig::test(on = OnPci<VirtioBlk>, needs(running), launch = |launch| launch
    .object(Object::new("iothread", "own"))
    .global("virtio-blk-device", "iothread", "own")
    .global("virtio-blk-device", "num-queues", 2))]
fn a_thread_of_its_own_serves_the_same(blk: OnPci<VirtioBlk>, vm: &Vm) {
    for layout in LAYOUTS {
        blk.device().negotiate_layout(layout);
        let disk = blk.start_negotiated(2);
        let bytes = pattern(4 * BYTES, 0x66);
        disk.write(16, &bytes);
        assert_eq!(disk.read(16, 4 * SECTOR), bytes, "{layout:?}");
        let read = disk.request(Kind::IN, 17).receiving(SECTOR);
        disk.queues()[1].run(&read.segments());
        assert_eq!(read.data().to_vec(), bytes[BYTES..2 * BYTES], "{layout:?}");
        assert_eq!(image(vm).sector(19)[..], bytes[3 * BYTES..], "{layout:?}");
        blk.device().reset();
    }
}
