//! Requests to a virtio block device: rings, headers and data in mapped guest memory, beside the same over the wire.
//!
//! 10,000 reads of 4 KiB, one after the other, as a driver without a queue depth makes them; and 32 at a time.

use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use testjig_qos::dev::virtio_blk::{Kind, Request, Status, VirtioBlk};
use testjig_qos::pci::Pci;
use testjig_qos::virtio::{Features, Layout, PciTransport, Virtio};
use testjig_vm::{
    Arch, Cache, Condition, Device, Drive, Finder, Image, Launch, LaunchOptions, Silent, Vm,
    machine,
};

const REQUESTS: u64 = 10_000;
const LEN: u64 = 4096;

fn main() {
    divan::main();
}

fn start() -> Vm {
    let cache = Cache::open().expect("a cache");
    let qemu = Finder::new(Arch::X86_64)
        .find(&cache, &Silent)
        .unwrap_or_else(|error| panic!("{error}"));
    let launch = Launch::new(&machine::Q35)
        .global("virtio-device", "packed", "on")
        .drive(Drive::new("disk", Image::zeroed(64 << 20)))
        .device(
            Device::new("virtio-blk-pci")
                .prop("drive", "disk")
                .prop("addr", "04.0"),
        );
    qemu.launch(&launch, &LaunchOptions::default())
        .unwrap_or_else(|error| panic!("{error}"))
}

fn blk(vm: &Vm) -> VirtioBlk {
    VirtioBlk::new(Virtio::new(PciTransport::modern(&Pci::q35(vm).device(4))))
}

/// The sector of a request: all over the disk.
fn sector(request: u64) -> u64 {
    request * 8 % (128 << 10)
}

#[divan::bench(args = [Layout::Split, Layout::Packed], sample_count = 5)]
fn mapped(bencher: Bencher, layout: Layout) {
    let vm = start();
    let disk = blk(&vm).start(layout);
    let request = disk.request(Kind::IN, 0).receiving(LEN);
    bencher.counter(ItemsCount::new(REQUESTS)).bench_local(|| {
        for number in 0..REQUESTS {
            point(&request, sector(number));
            assert_eq!(disk.run(&request), Status::OK);
            divan::black_box(request.data().to_vec());
        }
    });
}

#[divan::bench(args = [Layout::Split, Layout::Packed], sample_count = 5)]
fn mapped_32_at_a_time(bencher: Bencher, layout: Layout) {
    const DEPTH: u64 = 32;
    let vm = start();
    let disk = blk(&vm).start(layout);
    let requests: Vec<Request> = (0..DEPTH)
        .map(|_| disk.request(Kind::IN, 0).receiving(LEN))
        .collect();
    bencher
        .counter(ItemsCount::new(REQUESTS / DEPTH * DEPTH))
        .bench_local(|| {
            for round in 0..REQUESTS / DEPTH {
                for (number, request) in requests.iter().enumerate() {
                    point(request, sector(round * DEPTH + number as u64));
                    disk.queue().add(&request.segments());
                }
                disk.queue().kick();
                for _ in &requests {
                    disk.queue().wait();
                }
                for request in &requests {
                    assert_eq!(request.status(), Status::OK);
                    divan::black_box(request.data().to_vec());
                }
            }
        });
}

/// Has a request read from another sector.
fn point(request: &Request, sector: u64) {
    request.header().write_le(8, sector);
    request.status_byte().write_le(0, Status::PENDING.0);
}

/// The same with every access to memory on the wire: descriptors, indices, header, status and data.
#[divan::bench(sample_count = 3)]
fn wire_alone(bencher: Bencher) {
    let vm = start();
    let device = Virtio::new(PciTransport::modern(&Pci::q35(&vm).device(4)));
    device.negotiate(Features::VERSION_1);
    let queue = device.queue_sized(0, 256);
    device.start();
    let rings = queue.rings();
    let request = Request::new(&device, Kind::IN, 0).receiving(LEN);
    let (header, status) = (request.header().addr(), request.status_byte().addr());
    let mut made = 0_u16;
    bencher.counter(ItemsCount::new(REQUESTS)).bench_local(|| {
        for number in 0..REQUESTS {
            vm.writel(header, Kind::IN.0);
            vm.writel(header + 4, 0);
            vm.writeq(header + 8, sector(number));
            vm.writeb(status, Status::PENDING.0);
            for (index, segment) in request.segments().iter().enumerate() {
                let desc = rings.desc + 16 * index as u64;
                let last = index == 2;
                let flags = u16::from(segment.device_writes) << 1 | u16::from(!last);
                vm.writeq(desc, segment.addr);
                vm.writel(desc + 8, segment.len);
                vm.writew(desc + 12, flags);
                vm.writew(desc + 14, index as u16 + 1);
            }
            vm.writew(rings.driver + 4 + 2 * u64::from(made % 256), 0);
            made = made.wrapping_add(1);
            vm.writew(rings.driver + 2, made);
            device.notify(0, 0);
            let used = Condition::new("the request is used", || vm.readw(rings.device + 2) == made);
            vm.wait_until(used, Duration::from_secs(10));
            assert_eq!(vm.readb(status), Status::OK.0);
            let mut data = [0; LEN as usize];
            vm.read_mem(request.data().addr(), &mut data);
            divan::black_box(data);
        }
    });
}
