//! The geometry in the configuration space of a virtio block device (Virtio 1.2 §5.2.4): the same rules as for IDE, but for heads, of
//! which there may be 255, and the translation, which it does not have.

use super::*;
use testjig::qos::dev::virtio_blk::VirtioBlk;
use testjig::qos::pci::Pci;
use testjig::qos::virtio::{PciTransport, Virtio};
use testjig::vm::{LaunchErrorKind, LaunchOptions};

const SLOT: u8 = 4;

fn plugged(launch: Launch, image: Image, change: impl FnOnce(Device) -> Device) -> Launch {
    let device = Device::new("virtio-blk-pci")
        .prop("addr", format!("{SLOT:02x}.0"))
        .prop("drive", "hd0");
    launch
        .drive(Drive::new("hd0", image))
        .device(change(device))
}

#[track_caller]
fn geometry(vm: &Vm) -> Chs {
    let function = Pci::pc(vm).device(SLOT);
    let blk = VirtioBlk::new(Virtio::new(PciTransport::modern(&function)));
    let geometry = blk.config().geometry();
    Chs::new(
        geometry.cylinders,
        geometry.heads.into(),
        geometry.sectors.into(),
    )
}

/// Disks, and what geometry they have.
#[derive(Clone, Copy, Debug)]
enum Disk {
    Blank,
    Large,
    OwnTable,
    TranslatedTable,
}

impl Disk {
    fn image(self) -> Image {
        match self {
            Self::Blank => blank(500 * CYLINDER + 1),
            Self::Large => blank(20000 * CYLINDER),
            Self::OwnTable => partitioned(500 * CYLINDER, Partition::ending_at(7, 32)),
            Self::TranslatedTable => partitioned(1200 * CYLINDER, Partition::ending_at(254, 63)),
        }
    }

    fn chs(self) -> Chs {
        match self {
            Self::Blank => Chs::new(500, 16, 63),
            Self::Large => Chs::new(16383, 16, 63),
            Self::OwnTable => Chs::new((500 * CYLINDER / 256) as u16, 8, 32),
            Self::TranslatedTable => Chs::new(1200, 16, 63),
        }
    }
}

/// Size and partition table tell the geometry.
#[testjig::test(
    on = Pc,
    launch = |launch| plugged(launch, disk.image(), |device| device),
    vary(disk = [Disk::Blank, Disk::Large, Disk::OwnTable, Disk::TranslatedTable])
)]
fn the_disk_tells_the_geometry(vm: &Vm, disk: Disk) {
    assert_eq!(geometry(vm), disk.chs());
}

/// Up to 65,535 cylinders, 255 heads and 255 sectors can be given.
#[testjig::test(
    on = Pc,
    launch = |launch| plugged(launch, blank(5000), |device| {
        device.prop("cyls", 65535).prop("heads", 255).prop("secs", 255)
    })
)]
fn a_given_geometry_counts(vm: &Vm) {
    assert_eq!(geometry(vm), Chs::new(65535, 255, 255));
}

/// Not 256 heads.
#[testjig::test(on = Pc)]
fn heads_256_are_refused(qemu: &Qemu, launch: Launch) {
    let launch = plugged(launch, blank(5000), |device| {
        device.prop("cyls", 10).prop("heads", 256).prop("secs", 10)
    });
    let Err(error) = qemu.launch(&launch, &LaunchOptions::default()) else {
        panic!("the machine started: {}", launch.to_args().join(" "));
    };
    assert_eq!(error.kind(), LaunchErrorKind::BadOption, "{error}");
    assert!(
        error.stderr().contains("heads must be between 1 and 255"),
        "{error}"
    );
}

/// The firmware's `bios-geometry` has a line of a virtio disk, and one of a SCSI disk, in Open Firmware's notation.
#[testjig::test(on = Pc, launch = with_logical_geometries)]
fn logical_geometries_are_told(vm: &Vm) {
    use testjig::qos::dev::fw_cfg::FwCfg;

    let contents = FwCfg::io(vm).contents("bios-geometry");
    let text = String::from_utf8_lossy(&contents);
    assert_eq!(
        text,
        "/pci@i0cf8/scsi@4/disk@0,0 1000 255 61\n/pci@i0cf8/scsi@5/channel@0/disk@0,0 900 254 60\0"
    );
}

fn with_logical_geometries(launch: Launch) -> Launch {
    plugged(launch, blank(5000), |device| {
        device
            .prop("lcyls", 1000)
            .prop("lheads", 255)
            .prop("lsecs", 61)
    })
    .drive(Drive::new("hd1", blank(5000)))
    .device(
        Device::new("virtio-scsi-pci")
            .id("scsi")
            .prop("addr", "05.0"),
    )
    .device(
        Device::new("scsi-hd")
            .bus("scsi.0")
            .prop("drive", "hd1")
            .prop("lcyls", 900)
            .prop("lheads", 254)
            .prop("lsecs", 60),
    )
}
