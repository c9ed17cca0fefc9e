//! What QEMU tells of a device: its types, its place on the PCI bus, its registers, its lines.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use testjig_qmp::commands::QomGet;
use testjig_qtest::{Command, PortWidth, Reply};
use testjig_trace::Header;
use testjig_vm::{Launch, Vm};

use crate::target::{Line, Plug, Region, Space};

/// What the added device is called.
pub(crate) const ID: &str = "dut";
/// A type with more types below it describes no device.
const FAMILY: usize = 8;

/// What QEMU's `info qom-tree` shows: paths and types.
pub(crate) struct Tree(Vec<(String, String)>);

impl Tree {
    pub(crate) fn parse(text: &str) -> Self {
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

    pub(crate) fn first_of(&self, kind: &str) -> Option<String> {
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
pub(crate) fn types(vm: &Vm, tree: &Tree, path: &str) -> Vec<String> {
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
pub(crate) fn enable(vm: &Vm, path: &str) -> (Option<u8>, Vec<Command>) {
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
pub(crate) fn regions(text: &str, path: &str) -> Vec<Region> {
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

/// How a device that was added is plugged in and out: `None` where its bus does not let it go, which is tried.
pub(crate) fn plug(vm: &Vm, path: &str, launch: &Launch, function: Option<u8>) -> Option<Plug> {
    /// [QEMU, docs/specs/acpi_pci_hotplug] Which bus it is about, and the slots whose devices go.
    const SELECT: u16 = 0xae10;
    const EJECT: u16 = 0xae08;
    let id = path.strip_prefix("/machine/peripheral/")?.to_owned();
    let header = Header::of_launch(launch, "").ok()?;
    let named = format!("id={id}");
    let device = header
        .values("-device")
        .find(|device| device.split(',').any(|part| part == named))?
        .to_owned();
    if vm.qemu().is_embedded() || !vm.hmp(&format!("device_del {id}")).trim().is_empty() {
        return None;
    }
    let agree = match function {
        Some(function) if launch.machine().name == "pc" => {
            let out = |port, value| Command::Out {
                width: PortWidth::L,
                port,
                value,
            };
            vec![out(SELECT, 0), out(EJECT, 1 << (function >> 3))]
        }
        _ => Vec::new(),
    };
    Some(Plug { id, device, agree })
}

/// The input lines of a device and its parts: what its objects of the type `irq` are called. None if the machine does not take them,
/// which ends it.
pub(crate) fn lines(vm: &Vm, tree: &Tree, path: &str) -> Vec<Line> {
    let lines: Vec<Line> = tree
        .0
        .iter()
        .filter(|(found, kind)| kind == "irq" && is_within(found, path))
        .filter_map(|(found, _)| line(found))
        .collect();
    let commands: Vec<Command> = lines.iter().filter_map(|line| line.driven(false)).collect();
    let is_taken = commands.len() == lines.len()
        && vm
            .session(|session| session.run_each(&commands))
            .is_ok_and(|replies| {
                !replies
                    .iter()
                    .any(|reply| matches!(reply, Reply::Failed(_)))
            });
    if is_taken { lines } else { Vec::new() }
}

/// `/machine/…/device/name[3]`
fn line(path: &str) -> Option<Line> {
    let (device, last) = path.rsplit_once('/')?;
    let (name, number) = last.strip_suffix(']')?.rsplit_once('[')?;
    Some(Line {
        path: device.to_owned(),
        name: (name != "unnamed-gpio-in").then(|| name.to_owned()),
        number: number.parse().ok()?,
    })
}
