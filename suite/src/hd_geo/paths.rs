//! `bios-geometry` with disks on all sorts of controllers: the path that leads to each, and that a line goes with its disk.

use serde_json::json;

use super::firmware::{lines, logical};
use super::*;
use crate::fw_cfg::PcFwCfg;

/// A disk on nothing, with a logical geometry. The node is called like the device.
fn add(launch: Launch, id: &str, device: Device, chs: Chs) -> Launch {
    let device = device.id(id).prop("drive", format!("on-{id}"));
    launch
        .drive(Drive::new(format!("on-{id}"), blank(1)))
        .device(logical(device, chs))
}

fn scsi(bus: &str, id: u8, lun: u8) -> Device {
    Device::new("scsi-hd")
        .bus(bus)
        .prop("channel", 0)
        .prop("scsi-id", id)
        .prop("lun", lun)
}

fn at(driver: &str, bus: &str, slot: u8) -> Device {
    Device::new(driver)
        .bus(bus)
        .prop("addr", format!("{slot:02x}.0"))
}

/// Of four disks: large ones, and two of which not all numbers are given, which is enough for a line.
const FOUR: [Chs; 4] = [
    Chs::new(10000, 120, 30),
    Chs::new(9000, 120, 30),
    Chs::new(0, 1, 1),
    Chs::new(1, 0, 0),
];
/// Of two: the first can be plugged out.
const TWO: [Chs; 2] = [Chs::new(10000, 120, 30), Chs::new(20, 20, 20)];

/// Adds disks of these geometries, called `d0` and so on.
fn add_all(launch: Launch, geometries: &[Chs], device: impl Fn(u8) -> Device) -> Launch {
    (0..)
        .zip(geometries)
        .fold(launch, |launch, (number, &chs)| {
            add(launch, &format!("d{number}"), device(number), chs)
        })
}

/// The lines of disks of these geometries, each behind its path; sorted.
fn expected<const N: usize>(paths: [String; N], geometries: &[Chs]) -> Vec<String> {
    assert_eq!(N, geometries.len());
    let mut lines: Vec<String> = paths
        .into_iter()
        .zip(geometries)
        .map(|(path, chs)| {
            let (cylinders, heads, sectors) = (chs.cylinders, chs.heads, chs.sectors);
            format!("/pci@i0cf8/{path} {cylinders} {heads} {sectors}")
        })
        .collect();
    lines.sort_unstable();
    lines
}

/// What firmware is told; sorted.
#[track_caller]
fn told(vm: &Vm) -> Vec<String> {
    let mut lines = lines(vm);
    lines.sort_unstable();
    lines
}

/// Controllers of a `pc`.
#[derive(Clone, Copy, Debug)]
enum OnPc {
    Ide,
    Lsi,
    LsiAndVirtio,
}

impl OnPc {
    fn launch(self, launch: Launch) -> Launch {
        match self {
            Self::Ide => add_all(launch, &FOUR, |number| {
                Device::new("ide-hd")
                    .bus(format!("ide.{}", number / 2))
                    .prop("unit", number % 2)
            }),
            Self::Lsi => {
                let launch = launch.device(at("lsi53c895a", "pci.0", 3).id("lsi"));
                add_all(launch, &FOUR, |number| scsi("lsi.0", number, 0))
            }
            Self::LsiAndVirtio => {
                let launch = launch
                    .device(at("lsi53c895a", "pci.0", 3).id("lsi"))
                    .device(at("virtio-scsi-pci", "pci.0", 4).id("virtio"));
                add_all(launch, &FOUR, |number| match number {
                    0 | 1 => scsi("lsi.0", number, 0),
                    _ => scsi("virtio.0", number - 2, number - 1),
                })
            }
        }
    }

    fn paths(self) -> [String; 4] {
        let path = |number: u8| match (self, number) {
            (Self::Ide, _) => format!("ide@1,1/drive@{}/disk@{}", number / 2, number % 2),
            (Self::LsiAndVirtio, 2 | 3) => {
                format!("scsi@4/channel@0/disk@{},{}", number - 2, number - 1)
            }
            _ => format!("scsi@3/channel@0/disk@{number},0"),
        };
        [0, 1, 2, 3].map(path)
    }
}

/// IDE by channel and device, SCSI by controller, channel, target and unit.
#[testjig::test(
    on = Pc,
    launch = |launch| controllers.launch(launch),
    vary(controllers = [OnPc::Ide, OnPc::Lsi, OnPc::LsiAndVirtio])
)]
fn a_path_leads_to_each_disk_of_a_pc(vm: &Vm, controllers: OnPc) {
    assert_eq!(told(vm), expected(controllers.paths(), &FOUR));
}

/// Buses of a Q35 that take conventional devices: a bridge on the root bus, and one behind a port.
fn with_bridges(launch: Launch) -> Launch {
    launch
        .device(at("pcie-pci-bridge", "pcie.0", 1).id("bridge"))
        .device(at("pcie-root-port", "pcie.0", 2).id("root-port"))
        .device(Device::new("pcie-pci-bridge").bus("root-port").id("behind"))
}

/// Controllers of a Q35.
#[derive(Clone, Copy, Debug)]
enum OnQ35 {
    Sata,
    Lsi,
    VirtioBlk,
}

impl OnQ35 {
    fn launch(self, launch: Launch) -> Launch {
        match self {
            Self::Sata => {
                // And one of which nothing is given.
                let launch = add(
                    launch,
                    "none",
                    Device::new("ide-hd").bus("ide.5"),
                    Chs::new(0, 0, 0),
                );
                add_all(launch, &FOUR, |number| {
                    Device::new("ide-hd").bus(format!("ide.{number}"))
                })
            }
            Self::Lsi => {
                let launch = with_bridges(launch).device(at("lsi53c895a", "bridge", 3).id("lsi"));
                add_all(launch, &FOUR, |number| scsi("lsi.0", number, 0))
            }
            Self::VirtioBlk => add_all(with_bridges(launch), &FOUR, |number| {
                at("virtio-blk-pci", "bridge", 3 + number)
            }),
        }
    }

    fn paths(self) -> [String; 4] {
        [0, 1, 2, 3].map(|number: u8| match self {
            Self::Sata => format!("pci8086,2922@1f,2/drive@{number}/disk@0"),
            Self::Lsi => format!("pci-bridge@1/scsi@3/channel@0/disk@{number},0"),
            Self::VirtioBlk => format!("pci-bridge@1/scsi@{}/disk@0,0", 3 + number),
        })
    }
}

/// Serial ATA by port, and all that is behind a bridge through that.
#[testjig::test(
    on = Q35,
    launch = |launch| controllers.launch(launch),
    vary(controllers = [OnQ35::Sata, OnQ35::Lsi, OnQ35::VirtioBlk])
)]
fn a_path_leads_to_each_disk_of_a_q35(vm: &Vm, controllers: OnQ35) {
    assert_eq!(told(vm), expected(controllers.paths(), &FOUR));
}

/// Two virtio disks of the one kind or the other; on a Q35 behind a port and a bridge.
fn two(launch: Launch, is_scsi: bool) -> Launch {
    let (launch, bus) = match launch.machine().name {
        "q35" => (with_bridges(launch), "behind"),
        _ => (launch, "pci.0"),
    };
    if is_scsi {
        let launch = launch.device(at("virtio-scsi-pci", bus, 2).id("virtio"));
        add_all(launch, &TWO, |number| scsi("virtio.0", number, 0))
    } else {
        add_all(launch, &TWO, |number| at("virtio-blk-pci", bus, 2 + number))
    }
}

/// A disk that was plugged out has no line from the next reset on.
#[testjig::test(on = PcFwCfg, launch = |launch| two(launch, is_scsi), vary(is_scsi = [false, true]))]
fn a_line_goes_with_its_disk(vm: &Vm, is_scsi: bool) {
    let bus = match vm.launch().machine().name {
        "q35" => "pci-bridge@2/pci-bridge@0/",
        _ => "",
    };
    let path = |number: u8| {
        if is_scsi {
            format!("{bus}scsi@2/channel@0/disk@{number},0")
        } else {
            format!("{bus}scsi@{}/disk@0,0", 2 + number)
        }
    };
    assert_eq!(told(vm), expected([path(0), path(1)], &TWO));
    vm.qmp_raw("device_del", json!({"id": "d0"}));
    // What is plugged into a bus of PCI goes with it.
    vm.reset();
    assert_eq!(told(vm), expected([path(1)], &TWO[1..]));
}
