//! [`Target`]: the device under test, and where a machine has it. All of it is asked from QEMU itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use testjig_qmp::commands::QomGet;
use testjig_qtest::{Command, PortWidth};
use testjig_vm::{
    Cache, Chardev, Device, Drive, Image, Interface, Launch, LaunchOptions, MachineType, Netdev,
    Qemu, Vm,
};

use crate::input::Place;

/// What is fuzzed.
#[derive(Clone, Debug)]
pub struct Target {
    /// The name by which it was asked for.
    pub name: String,
    /// The machine that has it.
    pub launch: Launch,
    /// Its QOM type and those of its parts.
    pub types: Vec<String>,
    /// Its registers.
    pub regions: Vec<Region>,
    /// Its place on PCI bus 0, device and function as in configuration address bits 15:8, if it is a PCI function.
    pub function: Option<u8>,
    /// What is done before each input: base addresses are set, decoding is enabled.
    pub prelude: Vec<Command>,
    /// Where inputs put what the device reads from memory.
    pub scratch: u64,
    /// Whether the clock can be moved.
    pub has_clock: bool,
}

/// A range of addresses that a device decodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Which addresses these are.
    pub space: Space,
    /// The first.
    pub start: u64,
    /// How many bytes, at least 1.
    pub len: u64,
    /// What QEMU calls it.
    pub name: String,
}

/// The address spaces that a CPU reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// I/O ports.
    Ports,
    /// Guest-physical memory.
    Memory,
}

/// Why there is no such target.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// Neither a device that can be added nor one that the machine has.
    #[error(
        "{machine} has no {name}, and this QEMU has no device of that name to add; see jig fuzz --list"
    )]
    Unknown {
        /// What was asked for.
        name: String,
        /// The machine.
        machine: String,
    },
    /// The machine with the device does not start.
    #[error("the machine with {name} does not start: {source}")]
    Launch {
        /// What was asked for.
        name: String,
        /// Why.
        source: testjig_vm::LaunchError,
    },
    /// Nothing of it is in the address space.
    #[error("{name} has no registers that a CPU reaches on this machine")]
    Unreachable {
        /// What was asked for.
        name: String,
    },
}

/// Short names of devices that machines are built with.
const ALIASES: [(&str, &str); 12] = [
    ("fdc", "isa-fdc"),
    ("floppy", "isa-fdc"),
    ("rtc", "mc146818rtc"),
    ("ide", "piix3-ide"),
    ("fw_cfg", "fw_cfg_io"),
    ("pit", "isa-pit"),
    ("pic", "isa-i8259"),
    ("dma", "i8257"),
    ("hpet", "hpet"),
    ("keyboard", "i8042"),
    ("serial", "isa-serial"),
    ("virtio-blk", "virtio-blk-pci"),
];

/// What the added device is called.
const ID: &str = "dut";
/// A type with more types below it describes no device.
const FAMILY: usize = 8;

impl Target {
    /// Finds a device by the name of its type, or a short one: one that can be added to the machine, else one that the machine has.
    ///
    /// # Errors
    /// If there is none, or the machine does not start with it, or a CPU reaches nothing of it.
    pub fn find(
        qemu: &mut Qemu,
        name: &str,
        machine: &'static MachineType,
        cache: &Cache,
    ) -> Result<Self, TargetError> {
        let alias = ALIASES.iter().find(|(short, _)| *short == name);
        let mut kind = alias.map_or(name, |(_, long)| *long).to_owned();
        if !qemu.caps.devices.contains(&kind) && qemu.caps.devices.contains(&format!("{kind}-pci"))
        {
            kind += "-pci";
        }
        let bare = with_media(Launch::new(machine), machine);
        let options = LaunchOptions::default();
        let failed = |source| TargetError::Launch {
            name: name.to_owned(),
            source,
        };
        // A device that the machine has needs no adding.
        let vm = qemu.launch(&bare, &options).map_err(failed)?;
        let built_in = Self::on(&vm, name, &kind, &bare);
        vm.kill();
        if let Some(target) = built_in {
            return target;
        }
        if !qemu.caps.devices.contains(&kind) {
            return Err(TargetError::Unknown {
                name: name.to_owned(),
                machine: machine.id(),
            });
        }
        qemu.learn_properties([kind.as_str()], cache);
        let launch = with_device(bare, qemu, &kind);
        let vm = qemu.launch(&launch, &options).map_err(failed)?;
        let target = Self::on(&vm, name, &kind, &launch);
        vm.kill();
        target.unwrap_or_else(|| {
            Err(TargetError::Unreachable {
                name: name.to_owned(),
            })
        })
    }

    /// Whether an address is plain memory of the guest.
    pub(crate) fn is_memory(&self, address: u64) -> bool {
        let machine = self.launch.machine();
        let regions = (machine.ram)(machine.default_memory);
        regions
            .iter()
            .any(|region| (region.base..region.end()).contains(&address))
    }

    /// What an address is, as inputs name it.
    pub(crate) fn place(&self, space: Space, address: u64) -> Place {
        let index = self.regions.iter().position(|region| {
            region.space == space && (region.start..region.start + region.len).contains(&address)
        });
        match (index, space) {
            (Some(index), _) => {
                let distance = address - self.regions[index].start;
                Place::Region(index as u16, distance as u32)
            }
            (None, Space::Ports) => Place::Port(address as u16),
            (None, Space::Memory) => Place::Memory(address),
        }
    }

    /// The device on a machine; `None` if it is not there.
    fn on(vm: &Vm, name: &str, kind: &str, launch: &Launch) -> Option<Result<Self, TargetError>> {
        let tree = Tree::parse(&vm.hmp("info qom-tree"));
        let path = tree.first_of(kind)?;
        let (function, prelude) = enable(vm, &path);
        vm.session(|session| session.run_each(&prelude)).ok()?;
        let regions = regions(&vm.hmp("info mtree -f -o"), &path);
        if regions.is_empty() && function.is_none() {
            return Some(Err(TargetError::Unreachable {
                name: name.to_owned(),
            }));
        }
        Some(Ok(Self {
            name: name.to_owned(),
            launch: launch.clone(),
            types: types(vm, &tree, &path),
            regions,
            function,
            prelude,
            scratch: scratch(launch),
            has_clock: vm.qemu().caps.clock,
        }))
    }
}

/// Media for the drives that machines have.
fn with_media(launch: Launch, machine: &MachineType) -> Launch {
    if machine.name != "pc" {
        return launch;
    }
    let disk = Image::zeroed(1 << 20).with(510, [0x55, 0xaa]);
    launch
        .drive(Drive::new("fuzz-disk", disk).interface(Interface::Ide))
        .drive(Drive::new("fuzz-floppy", Image::zeroed(1440 << 10)).interface(Interface::Floppy))
}

/// Adds a device with what it needs on its other side.
fn with_device(mut launch: Launch, qemu: &Qemu, kind: &str) -> Launch {
    let mut device = Device::new(kind).id(ID);
    let has = |name: &str| {
        qemu.caps
            .properties
            .get(kind)
            .is_some_and(|properties| properties.contains(name))
    };
    if has("drive") {
        launch = launch.drive(Drive::new("fuzz-drive", Image::zeroed(1 << 20)));
        device = device.prop("drive", "fuzz-drive");
    }
    if has("netdev") {
        launch = launch.netdev(Netdev::packets("fuzz-net"));
        device = device.prop("netdev", "fuzz-net");
    }
    if has("chardev") {
        launch = launch.chardev(Chardev::null("fuzz-char"));
        device = device.prop("chardev", "fuzz-char");
    }
    launch.device(device)
}

/// 1 MiB into the machine's RAM: nothing of the machine's own is there.
fn scratch(launch: &Launch) -> u64 {
    let machine = launch.machine();
    let regions = (machine.ram)(machine.default_memory);
    let region = regions.iter().find(|region| region.len >= 4 << 20);
    region.map_or(0x10_0000, |region| region.base + (1 << 20))
}

/// What QEMU's `info qom-tree` shows: paths and types.
struct Tree(Vec<(String, String)>);

impl Tree {
    fn parse(text: &str) -> Self {
        let mut path: Vec<&str> = Vec::new();
        let mut nodes = Vec::new();
        for line in text.lines() {
            let depth = (line.len() - line.trim_start().len()) / 2;
            let Some((name, kind)) = line.trim().rsplit_once(" (") else {
                continue;
            };
            path.truncate(depth);
            path.push(name.trim_start_matches('/'));
            nodes.push((
                format!("/{}", path.join("/")),
                kind.trim_end_matches(')').to_owned(),
            ));
        }
        Self(nodes)
    }

    fn first_of(&self, kind: &str) -> Option<String> {
        let added = format!("/machine/peripheral/{ID}");
        let node = self
            .0
            .iter()
            .find(|(path, found)| *path == added && found == kind)
            .or_else(|| self.0.iter().find(|(_, found)| found == kind))?;
        Some(node.0.clone())
    }
}

/// The types of a device, its parts, and what they derive from, as far as those are types of few devices.
fn types(vm: &Vm, tree: &Tree, path: &str) -> Vec<String> {
    let mut wanted: BTreeSet<String> = tree
        .0
        .iter()
        .filter(|(found, _)| is_within(found, path))
        .map(|(_, kind)| kind.clone())
        .filter(|kind| !["irq", "container", "memory-region"].contains(&kind.as_str()))
        .collect();
    let all = vm.qmp_raw("qom-list-types", serde_json::json!({ "abstract": true }));
    let parents: BTreeMap<&str, &str> = all
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| Some((entry["name"].as_str()?, entry["parent"].as_str()?)))
        .collect();
    let mut children: BTreeMap<&str, usize> = BTreeMap::new();
    for parent in parents.values() {
        *children.entry(parent).or_default() += 1;
    }
    let mut more: Vec<String> = wanted.iter().cloned().collect();
    while let Some(kind) = more.pop() {
        if let Some(parent) = parents.get(kind.as_str()) {
            if children[parent] < FAMILY && wanted.insert((*parent).to_owned()) {
                more.push((*parent).to_owned());
            }
        }
    }
    // The file of a device is found by any type that it describes, such as its bus or its drives.
    let related: Vec<String> = wanted
        .iter()
        .filter_map(|kind| {
            kind.strip_suffix("-bus")
                .or_else(|| kind.strip_suffix("-fdc"))
        })
        .flat_map(|stem| {
            [
                stem.to_owned(),
                format!("{stem}-device"),
                "floppy-bus".to_owned(),
            ]
        })
        .filter(|kind| parents.contains_key(kind.as_str()))
        .collect();
    wanted.extend(related);
    wanted.into_iter().collect()
}

fn is_within(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// If the device is a PCI function on bus 0: its place, and what sets its base addresses and has it decode them.
fn enable(vm: &Vm, path: &str) -> (Option<u8>, Vec<Command>) {
    /// [PCI Local Bus 3.0, 6.1 and 6.2.5] Command register, first base address register.
    const COMMAND: u32 = 0x04;
    const BASE: u32 = 0x10;
    let id = path.strip_prefix("/machine/peripheral/");
    let buses = vm.qmp_raw("query-pci", Value::Null);
    let devices = buses[0]["devices"].as_array().cloned().unwrap_or_default();
    let device = devices.iter().find(|device| {
        let found = device["qdev_id"].as_str().filter(|found| !found.is_empty());
        match id {
            Some(id) => found == Some(id),
            // A device of the machine's own has no id: it is told by its place.
            None => built_in_place(vm, path).is_some_and(|place| {
                device["slot"].as_u64() == Some(place >> 3)
                    && device["function"].as_u64() == Some(place & 7)
            }),
        }
    });
    let Some(device) = device else {
        return (None, Vec::new());
    };
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let function = (number(&device["slot"]) << 3 | number(&device["function"])) as u8;
    let mut commands = Vec::new();
    let mut write = |register: u32, value: u32| {
        let address = 0x8000_0000 | u32::from(function) << 8 | register;
        for (port, value) in [(0xcf8, address), (0xcfc, value)] {
            commands.push(Command::Out {
                width: PortWidth::L,
                port,
                value,
            });
        }
    };
    // Above what any machine of these has; sizes are powers of two.
    let (mut ports, mut memory) = (0xc000_u64, 0xe000_0000_u64);
    for region in device["regions"].as_array().into_iter().flatten() {
        let bar = number(&region["bar"]) as u32;
        let size = number(&region["size"]).max(16);
        if bar > 5 {
            continue;
        }
        let next = if region["type"] == "io" {
            &mut ports
        } else {
            &mut memory
        };
        let address = next.next_multiple_of(size);
        *next = address + size;
        write(BASE + 4 * bar, address as u32);
        if region["mem_type_64"] == true {
            write(BASE + 4 * bar + 4, (address >> 32) as u32);
        }
    }
    // I/O, memory, bus master.
    write(COMMAND, 7);
    (Some(function), commands)
}

/// Device and function number of a device of the machine's own.
fn built_in_place(vm: &Vm, path: &str) -> Option<u64> {
    let place = vm.try_qmp(&QomGet::new(path, "addr")).ok()?;
    // "02.0" since QEMU 10, a number before.
    if let Some(number) = place.as_u64() {
        return Some(number);
    }
    let (slot, function) = place.as_str()?.split_once('.')?;
    Some(u64::from_str_radix(slot, 16).ok()? << 3 | function.parse::<u64>().ok()?)
}

/// The ranges of a device in QEMU's `info mtree -f -o`.
fn regions(text: &str, path: &str) -> Vec<Region> {
    let id = path
        .strip_prefix("/machine/peripheral/")
        .map(|id| format!("{{dev id={id}}}"));
    let mut regions: Vec<Region> = Vec::new();
    let mut space = None;
    for line in text.lines() {
        let line = line.trim_start();
        if line.starts_with("FlatView") {
            space = None;
        } else if let Some(name) = line.strip_prefix("AS \"") {
            space = match name.split('"').next() {
                Some("memory") => Some(Space::Memory),
                Some("I/O") => Some(Space::Ports),
                _ => space,
            };
        }
        let (Some(space), Some((range, rest))) = (space, line.split_once(" (prio ")) else {
            continue;
        };
        let is_its = id.as_ref().is_some_and(|id| rest.contains(id))
            || rest
                .split("{dev path=")
                .chain(rest.split("{obj path="))
                .skip(1)
                .filter_map(|part| part.split('}').next())
                .any(|owner| is_within(owner, path));
        let is_registers = rest.contains(", i/o)") || rest.contains(", romd)");
        let Some((first, last)) = range.split_once('-') else {
            continue;
        };
        let (Ok(start), Ok(last)) = (
            u64::from_str_radix(first, 16),
            u64::from_str_radix(last, 16),
        ) else {
            continue;
        };
        if is_its && is_registers && last >= start {
            let name = rest.split("): ").nth(1).unwrap_or_default();
            let name = name.split(" owner:").next().unwrap_or_default();
            let name = name.split(" parent:").next().unwrap_or_default();
            let name = name.split(" @").next().unwrap_or_default();
            regions.push(Region {
                space,
                start,
                len: last - start + 1,
                name: name.to_owned(),
            });
        }
    }
    regions.dedup();
    regions
}
