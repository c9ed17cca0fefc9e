//! Virtqueues on a real device: what setting one up costs, and that both layouts carry requests round after round.

use testjig_qos::dev::virtio_blk::{Kind, Request, SECTOR, Status, VirtioBlk};
use testjig_qos::mem::GuestAlloc;
use testjig_qos::pci::Pci;
use testjig_qos::virtio::{Layout, MmioSlots, PciTransport, Virtio};
use testjig_vm::{
    Arch, Cache, Device, Drive, Finder, Image, Launch, LaunchOptions, MachineType, Silent, Vm,
    machine,
};

fn start(machine: &'static MachineType, driver: &str) -> Vm {
    let cache = Cache::open().expect("a cache");
    let qemu = match Finder::new(Arch::X86_64).find(&cache, &Silent) {
        Ok(qemu) => qemu,
        Err(error) => panic!("{error}"),
    };
    let mut device = Device::new(driver).prop("drive", "disk");
    device = if machine == &machine::MICROVM {
        device.bus("virtio-mmio-bus.0")
    } else {
        device.prop("addr", "04.0")
    };
    let launch = Launch::new(machine)
        .global("virtio-mmio", "force-legacy", "off")
        .global("virtio-device", "packed", "on")
        .drive(Drive::new("disk", Image::zeroed(1 << 20)))
        .device(device);
    match qemu.launch(&launch, &LaunchOptions::default()) {
        Ok(vm) => vm,
        Err(error) => panic!("{error}\n{}", error.command_line()),
    }
}

fn on_pci(vm: &Vm) -> Virtio {
    Virtio::new(PciTransport::modern(&Pci::q35(vm).device(4)))
}

fn on_mmio(vm: &Vm) -> Virtio {
    Virtio::new(MmioSlots::microvm(vm).slot(0))
}

#[track_caller]
fn costs_ten_round_trips_at_most(vm: &Vm, device: &Virtio) {
    for layout in [Layout::Split, Layout::Packed] {
        device.negotiate_layout(layout);
        vm.sync();
        let before = vm.round_trips();
        let queue = device.queue_sized(0, 256);
        vm.sync();
        let trips = vm.round_trips() - before;
        assert_eq!(queue.size(), 256);
        assert!(trips <= 10, "{layout:?}: {trips} round trips");
    }
}

#[test]
fn a_virtqueue_of_256_entries_costs_ten_round_trips_at_most_on_pci() {
    let vm = start(&machine::Q35, "virtio-blk-pci");
    costs_ten_round_trips_at_most(&vm, &on_pci(&vm));
}

#[test]
fn a_virtqueue_of_256_entries_costs_ten_round_trips_at_most_on_mmio() {
    let vm = start(&machine::MICROVM, "virtio-blk-device");
    costs_ten_round_trips_at_most(&vm, &on_mmio(&vm));
}

/// Requests to add and take cost no round trip but the notification's; waiting is the device's.
#[test]
fn adding_requests_costs_no_round_trip() {
    let vm = start(&machine::Q35, "virtio-blk-pci");
    let blk = VirtioBlk::new(on_pci(&vm));
    let disk = blk.start(Layout::Packed);
    vm.sync();
    let before = vm.round_trips();
    let requests: Vec<Request> = (0..50)
        .map(|sector| disk.request(Kind::IN, sector).receiving(SECTOR))
        .collect();
    for request in &requests {
        disk.queue().add(&request.segments());
    }
    assert_eq!(vm.round_trips(), before);
    disk.queue().kick();
    for _ in &requests {
        disk.queue().wait();
    }
    assert!(
        requests
            .iter()
            .all(|request| request.status() == Status::OK)
    );
}

/// Positions of both rings wrap at 65,536 entries, and at the packed ring's size.
#[test]
fn indices_wrap_as_often_as_need_be() {
    let vm = start(&machine::Q35, "virtio-blk-pci");
    let blk = VirtioBlk::new(on_pci(&vm));
    for layout in [Layout::Split, Layout::Packed] {
        blk.device().negotiate_layout(layout);
        let queue = blk.device().queue_sized(0, 256);
        blk.device().start();
        let flushes: Vec<Request> = (0..100)
            .map(|_| Request::new(blk.device(), Kind::FLUSH, 0))
            .collect();
        for _ in 0..660 {
            for flush in &flushes {
                queue.add(&flush.segments());
            }
            queue.kick();
            for _ in &flushes {
                queue.wait();
            }
        }
        assert_eq!(queue.free_descriptors(), 256, "{layout:?}");
    }
}

/// A device looks for a further buffer after the one that the driver has seen used, be the ring dropped or not.
#[test]
fn a_dropped_ring_stays_until_the_machine_has_answered() {
    let vm = start(&machine::Q35, "virtio-blk-pci");
    let disk = VirtioBlk::new(on_pci(&vm)).start(Layout::Split);
    vm.sync();
    let ring = disk.queue().raw().split().avail_event();
    let was: u16 = vm.ram().read_le(ring);
    drop(disk);
    let alloc = GuestAlloc::of(&vm);
    drop(alloc.buf(16));
    assert_eq!(vm.ram().read_le::<u16>(ring), was);
    vm.readb(ring);
    drop(alloc.buf(16));
    assert_ne!(vm.ram().read_le::<u16>(ring), was);
}

#[test]
fn a_dropped_ring_is_looked_at_at_the_end() {
    let vm = start(&machine::Q35, "virtio-blk-pci");
    let disk = VirtioBlk::new(on_pci(&vm)).start(Layout::Split);
    let ring = disk.queue().raw().split().avail_event();
    drop(disk);
    assert_eq!(GuestAlloc::faults(&vm), []);
    assert_eq!(vm.ram().read_le::<u16>(ring), 0xdddd);
}
