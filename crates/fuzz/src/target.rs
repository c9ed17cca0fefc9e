//! [`Target`]: the device under test, and where a machine has it. All of it is asked from QEMU itself.

use testjig_qtest::{Command, Word};
use testjig_trace::Trace;
use testjig_vm::{
    Cache, Chardev, Device, Drive, Image, Interface, Launch, LaunchOptions, MachineType, Netdev,
    Qemu, Vm,
};

use crate::discover::{ID, Tree, enable, lines, plug, regions, types};
use crate::input::{Input, Place, SCRATCH};

/// What is fuzzed.
#[derive(Clone, Debug)]
pub struct Target {
    /// The name by which it was asked for.
    pub name: String,
    /// The machine that has it.
    pub launch: Launch,
    /// Its QOM type.
    pub kind: String,
    /// Machines that have it otherwise: with other properties, with other devices beside it. Their own are empty.
    pub others: Vec<Self>,
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
    /// How much of it there is, in bytes, at least 1.
    pub scratch_len: u32,
    /// How it is plugged in and out, if it is on a bus that allows it.
    pub plug: Option<Plug>,
    /// The input lines of the device, and of its parts.
    pub lines: Vec<Line>,
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

/// How a device is plugged in and out while its machine runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plug {
    /// What it is called.
    pub id: String,
    /// What makes it, as after `-device`.
    pub device: String,
    /// How a guest agrees that it goes.
    pub agree: Vec<Command>,
}

/// An input line of a device, as `set_irq_in` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The QOM path of the device.
    pub path: String,
    /// The list of lines; the unnamed one if absent.
    pub name: Option<String>,
    /// Which of the list.
    pub number: u16,
}

impl Line {
    /// What drives the line. QEMU aborts if it is not there, or its name is none.
    pub(crate) fn driven(&self, level: bool) -> Option<Command> {
        let name = match &self.name {
            Some(name) => Some(Word::new(name).ok()?),
            None => None,
        };
        Some(Command::SetIrqIn {
            path: Word::new(&self.path).ok()?,
            name,
            number: self.number,
            level: i32::from(level),
        })
    }
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

/// The most machines that are learned from sessions.
const MOST_MACHINES: usize = 40;

/// The most scratch memory, in bytes: 64 MiB.
const MOST_SCRATCH: u64 = 64 << 20;

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

    /// The machine that an input is for.
    pub(crate) fn of(&self, input: &Input) -> &Self {
        let other = input.on.checked_sub(1);
        other
            .and_then(|index| self.others.get(index))
            .unwrap_or(self)
    }

    /// Adds the machines on which these sessions were recorded, as far as they have the device: those of most sessions, if they are
    /// many. What asks for things of the host is left out.
    pub fn learn_machines(&mut self, qemu: &Qemu, sessions: &[Trace]) {
        let mut launches: Vec<(usize, Launch)> = Vec::new();
        for session in sessions {
            if session.header.machine != self.launch.machine().name
                || !session.refusals().is_empty()
            {
                continue;
            }
            let launch = session.header.launch(false);
            match launches.iter_mut().find(|(_, known)| *known == launch) {
                Some((count, _)) => *count += 1,
                None => launches.push((1, launch)),
            }
        }
        launches.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        for (_, launch) in launches.into_iter().take(MOST_MACHINES) {
            let Ok(vm) = qemu.launch(&launch, &LaunchOptions::default()) else {
                continue;
            };
            let kinds = ["", "-transitional", "-non-transitional"];
            let target = kinds
                .iter()
                .find_map(|suffix| {
                    Self::on(&vm, &self.name, &format!("{}{suffix}", self.kind), &launch)
                })
                .and_then(Result::ok);
            vm.kill();
            self.others.extend(target);
        }
    }

    /// Which machine a session was recorded on: 0 if that is none of them.
    pub(crate) fn machine_of(&self, session: &Trace) -> usize {
        let launch = session.header.launch(false);
        let index = self.others.iter().position(|other| other.launch == launch);
        index.map_or(0, |index| index + 1)
    }

    /// Whether an address is plain memory of the guest.
    pub(crate) fn is_memory(&self, address: u64) -> bool {
        let machine = self.launch.machine();
        let regions = (machine.ram)(machine.default_memory);
        regions
            .iter()
            .any(|region| (region.base..region.end()).contains(&address))
    }

    /// The address of scratch memory at this distance.
    pub(crate) fn address(&self, offset: u32) -> u64 {
        self.scratch + u64::from(offset % self.scratch_len)
    }

    /// How far into the scratch memory an address of plain memory is. What is outside has its place there, too.
    pub(crate) fn offset(&self, address: u64) -> u32 {
        (address.wrapping_sub(self.scratch) % u64::from(self.scratch_len)) as u32
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
        let (scratch, scratch_len) = scratch(launch);
        if regions.is_empty() && function.is_none() {
            return Some(Err(TargetError::Unreachable {
                name: name.to_owned(),
            }));
        }
        let types = types(vm, &tree, &path);
        // The machine may end of it.
        let lines = lines(vm, &tree, &path);
        Some(Ok(Self {
            // Comes last: the device may be gone then.
            plug: plug(vm, &path, launch, function),
            name: name.to_owned(),
            launch: launch.clone(),
            kind: kind.to_owned(),
            others: Vec::new(),
            types,
            regions,
            function,
            prelude,
            scratch,
            scratch_len,
            has_clock: vm.qemu().caps.clock,
            lines,
        }))
    }
}

/// Media for the drives that machines have.
fn with_media(launch: Launch, machine: &MachineType) -> Launch {
    let disk = Image::zeroed(1 << 20).with(510, [0x55, 0xaa]);
    let disk = Drive::new("fuzz-disk", disk).interface(Interface::Ide);
    let floppy = Drive::new("fuzz-floppy", Image::zeroed(1440 << 10));
    match machine.name {
        "pc" => launch
            .drive(disk)
            .drive(floppy.interface(Interface::Floppy)),
        "q35" => launch.drive(disk),
        _ => launch,
    }
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
    // Offered only: a driver need not take them.
    for feature in ["packed", "in_order"] {
        if has(feature) {
            device = device.prop(feature, "on");
        }
    }
    launch.device(device)
}

/// From 1 MiB into the machine's RAM on: nothing of the machine's own is there. And how many bytes.
fn scratch(launch: &Launch) -> (u64, u32) {
    const SPARED: u64 = 1 << 20;
    let machine = launch.machine();
    let regions = (machine.ram)(machine.default_memory);
    match regions.iter().find(|region| region.len >= 4 << 20) {
        Some(region) => (
            region.base + SPARED,
            (region.len - SPARED).min(MOST_SCRATCH) as u32,
        ),
        None => (SPARED, SCRATCH),
    }
}

#[cfg(test)]
mod tests {
    use testjig_trace::Header;
    use testjig_vm::machine;

    use super::*;

    #[test]
    fn a_finding_on_a_machine_with_media_can_be_written() {
        let launch = with_media(Launch::new(&machine::PC), &machine::PC);
        let header = Header::of_launch(&launch, "a finding").expect("a header");
        assert_eq!(header.disks.len(), 2);
    }
}
