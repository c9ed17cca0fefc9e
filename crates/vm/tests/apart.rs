//! A test that leaves nothing as it was leaves no trace in the machines forked beside it and after it.

mod common;

use std::path::Path;
use std::time::Duration;

use common::qemu;
use serde_json::json;
use testjig_qtest::{Command, PortWidth, Reply, Width};
use testjig_vm::{
    Device, Drive, EdgeKind, Image, Interface, Launch, LaunchOptions, Netdev, Pin, Template, Vm,
    machine,
};

const MEMORY: u64 = 8 << 20;
const DISK: u64 = 1 << 20;
/// The machines that must be pristine; with every so many of them there is a new vandal, alive beside them.
const PRISTINE: usize = 200;
const VANDALS: usize = 10;

/// A PC with something of each kind: a disk that is written, timers, interrupts, DMA, a network card, memory of a card's own.
fn launch() -> Launch {
    let image = Image::zeroed(DISK).with(0, vec![0xd1; DISK as usize]);
    Launch::new(&machine::PC)
        .memory(MEMORY)
        .cpus(2)
        .drive(Drive::new("d", image.clone()).interface(Interface::Ide))
        .drive(Drive::new("v", image))
        .device(Device::new("virtio-blk-pci").prop("drive", "v"))
        .netdev(Netdev::packets("n"))
        .device(Device::new("e1000").prop("netdev", "n"))
        .device(Device::new("usb-ehci"))
        .device(Device::new("ich9-intel-hda"))
        .device(Device::new("virtio-scsi-pci"))
}

/// All that a machine shows of itself.
#[derive(PartialEq)]
struct State {
    /// Every device's, timers included, as QEMU saves it for a migration.
    devices: Vec<u8>,
    memory: [Vec<u8>; 2],
    disks: [Vec<u8>; 2],
    /// Configuration space of PCI, then what ports answer; some change by being read, in each machine alike.
    ports: Vec<u32>,
    /// The virtual clock, before it is moved.
    time: u64,
    /// How often the timer ticks and the clock alarms in the first seconds.
    edges: Vec<EdgeKind>,
}

impl State {
    fn of(vm: &Vm, scratch: &Path) -> Self {
        let time = vm.session(|session| session.clock_now()).unwrap();
        let irq = vm.intercept(Pin::input("ioapic", 8));
        let memory = [
            vm.ram().read_vec(0, 0xa0000),
            vm.ram().read_vec(1 << 20, (MEMORY - (1 << 20)) as usize),
        ];
        let disks = ["d", "v"].map(|id| {
            let mut bytes = vec![0; DISK as usize];
            vm.disk(id).read(0, &mut bytes);
            bytes
        });
        let devices = saved_devices(vm, scratch);
        let ports = ports(vm);
        vm.clock().step(Duration::from_secs(3));
        Self {
            devices,
            memory,
            disks,
            ports,
            time,
            edges: irq.edges(),
        }
    }

    /// What differs, in words.
    fn differences(&self, other: &Self) -> Vec<&'static str> {
        [
            (self.devices != other.devices, "devices"),
            (self.memory != other.memory, "memory"),
            (self.disks[0] != other.disks[0], "the IDE disk"),
            (self.disks[1] != other.disks[1], "the virtio disk"),
            (self.ports != other.ports, "ports"),
            (self.time != other.time, "time"),
            (self.edges != other.edges, "timers"),
        ]
        .into_iter()
        .filter_map(|(differs, what)| differs.then_some(what))
        .collect()
    }
}

/// The state of all devices, without guest memory. The command is Xen's by name; it is in every QEMU.
fn saved_devices(vm: &Vm, scratch: &Path) -> Vec<u8> {
    let file = scratch.join(format!("{}.state", vm.pid()));
    vm.qmp_raw(
        "xen-save-devices-state",
        json!({"filename": file, "live": true}),
    );
    let state = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert!(state.len() > 10_000, "{} bytes are no state", state.len());
    without_the_host_s_time(state)
}

/// The section "timer" (number of its instance and its version, four bytes each) has what QEMU subtracts from the host's clocks.
fn without_the_host_s_time(mut state: Vec<u8>) -> Vec<u8> {
    const NAME: &[u8] = b"\x05timer\0\0\0\0\0\0\0\x02";
    let mut windows = state.windows(NAME.len());
    let start = windows
        .position(|window| window == NAME)
        .expect("a section \"timer\"")
        + NAME.len();
    state[start..start + 24].fill(0);
    state
}

fn ports(vm: &Vm) -> Vec<u32> {
    let mut commands = Vec::new();
    for function in (0..8_u32).flat_map(|slot| [slot << 3, slot << 3 | 1]) {
        for register in (0..0x100).step_by(4) {
            commands.push(out(PortWidth::L, 0xcf8, config(function, register)));
            commands.push(Command::In {
                width: PortWidth::L,
                port: 0xcfc,
            });
        }
    }
    commands.extend((0..0x400).map(|port| Command::In {
        width: PortWidth::B,
        port,
    }));
    let replies = vm.session(|session| session.run(&commands)).unwrap();
    replies
        .into_iter()
        .filter_map(|reply| match reply {
            Reply::Value(value) => Some(value as u32),
            _ => None,
        })
        .collect()
}

fn config(function: u32, register: u32) -> u32 {
    1 << 31 | function << 8 | register
}

fn out(width: PortWidth, port: u16, value: u32) -> Command {
    Command::Out { width, port, value }
}

/// Numbers that look random, the same each time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }
}

/// Leaves nothing as it was: all of memory, both disks, every register that a port, a base address or configuration space leads to.
/// Only what resets or ends the machine, and so undoes it, is left out.
fn vandalise(vm: &Vm, seed: u64) {
    // Keyboard controller, fast reset, PCI's address and the reset beside it.
    const UNDO: [u16; 6] = [0x64, 0x92, 0xcf8, 0xcf9, 0xcfa, 0xcfb];
    let mut numbers = Numbers(seed);
    vm.ram().fill(0, 0xa0000, 0xa5);
    vm.ram().fill(1 << 20, (MEMORY - (1 << 20)) as usize, 0xa5);
    for id in ["d", "v"] {
        vm.disk(id).write(4096, &[0x5d; 8192]);
    }

    let mut commands = Vec::new();
    // Each function's base addresses where they meet nothing, then memory, ports and mastering on.
    for slot in 1..8_u32 {
        for function in [slot << 3, slot << 3 | 1] {
            for bar in 0..6 {
                let place = 0xe000_0000 + slot * 0x0200_0000 + bar * 0x0040_0000;
                commands.push(out(PortWidth::L, 0xcf8, config(function, 0x10 + 4 * bar)));
                commands.push(out(PortWidth::L, 0xcfc, place));
            }
            commands.push(out(PortWidth::L, 0xcf8, config(function, 4)));
            commands.push(out(PortWidth::W, 0xcfc, 7));
            commands.push(out(PortWidth::L, 0xcf8, config(function, 0x3c)));
            commands.push(out(PortWidth::B, 0xcfc, numbers.next()));
        }
        for bar in 0..6 {
            let place = 0xe000_0000 + slot * 0x0200_0000 + bar * 0x0040_0000;
            commands.extend((0..0x400).step_by(4).map(|offset| Command::Write {
                width: Width::L,
                addr: u64::from(place + offset),
                value: numbers.next().into(),
            }));
        }
    }
    // I/O APIC, HPET, local APIC.
    for base in [0xfec0_0000_u64, 0xfed0_0000, 0xfee0_0000] {
        commands.extend((0..0x400).step_by(16).map(|offset| Command::Write {
            width: Width::L,
            addr: base + offset,
            value: numbers.next().into(),
        }));
    }
    commands.extend(
        (0..0x400)
            .filter(|port| !UNDO.contains(port))
            .map(|port| out(PortWidth::B, port, numbers.next())),
    );
    // [MC146818A, Registers A and B] The divider runs, ticks at 2 Hz and updates interrupt; the timer counts from 0xffff in mode 2.
    for (port, value) in [
        (0x70, 0x0a),
        (0x71, 0x2f),
        (0x70, 0x0b),
        (0x71, 0x52),
        (0x43, 0x34),
        (0x40, 0xff),
        (0x40, 0xff),
    ] {
        commands.push(out(PortWidth::B, port, value));
    }
    // [ATA, WRITE SECTORS] A sector is half written when the machine is left alone.
    for (port, value) in [
        (0x1f6, 0xe0),
        (0x1f2, 4),
        (0x1f3, 9),
        (0x1f4, 0),
        (0x1f5, 0),
        (0x1f7, 0x30),
    ] {
        commands.push(out(PortWidth::B, port, value));
    }
    commands.extend((0..300).map(|_| out(PortWidth::W, 0x1f0, numbers.next())));
    vm.session(|session| session.run_each(&commands)).unwrap();
    vm.clock().step(Duration::from_millis(1500));
}

fn fork(template: &Template) -> Vm {
    template
        .fork(false)
        .unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn no_trace_of_a_vandal_is_in_two_hundred_forks() {
    let scratch = tempfile::tempdir().unwrap();
    let fresh = State::of(&common::start(&launch()), scratch.path());
    let template = qemu()
        .template(&launch(), &LaunchOptions::default())
        .unwrap_or_else(|error| panic!("{error}"));

    let mut vandal = None;
    for number in 0..PRISTINE {
        if number % (PRISTINE / VANDALS) == 0 {
            let vm = fork(&template);
            vandalise(&vm, number as u64);
            // The one before ends only now: there is always one at work.
            vandal = Some(vm);
        }
        let state = State::of(&fork(&template), scratch.path());
        assert_eq!(fresh.differences(&state), [""; 0], "machine {number}");
        if let Some(vm) = &vandal {
            vm.clock().step(Duration::from_millis(100));
        }
    }
}

/// What the test above looks at shows what a vandal does: each part of it.
#[test]
fn a_vandal_s_own_machine_differs_in_everything() {
    let scratch = tempfile::tempdir().unwrap();
    let fresh = State::of(&common::start(&launch()), scratch.path());
    let vandal = common::start(&launch());
    vandalise(&vandal, 0);
    let state = State::of(&vandal, scratch.path());
    assert_eq!(
        fresh.differences(&state),
        [
            "devices",
            "memory",
            "the IDE disk",
            "the virtio disk",
            "ports",
            "time",
            "timers"
        ]
    );
}
