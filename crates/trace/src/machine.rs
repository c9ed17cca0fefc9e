//! From a [`Header`] to a machine: what it takes, and what a QEMU lacks for it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use testjig_qtest::Command;
use testjig_vm::{Arch, Drive, Image, Interface, Launch, MachineType, Qemu, RamBackend, machine};

use crate::header::{DiskInterface, Header, Requirement};
use crate::session::{Action, Step, Trace};

/// What QEMU may do to the host while it replays a file that is not trusted.
const SANDBOX: [&str; 2] = [
    "-sandbox",
    "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
];

impl Trace {
    /// Why a QEMU can't replay the session: what it lacks. `None` if it can, as far as is known before it is started.
    pub fn lacks(&self, qemu: &Qemu) -> Option<String> {
        let header = &self.header;
        let caps = &qemu.caps;
        let who = qemu.called();
        if qemu.arch != header.arch {
            return Some(format!(
                "{who} is for {}, the session for {}",
                qemu.arch, header.arch
            ));
        }
        if !caps.machines.contains(&header.machine) {
            return Some(format!("{who} has no machine {}", header.machine));
        }
        let plugs = |step: &Step| matches!(step.action, Action::Plug(_) | Action::Unplug(_));
        if qemu.is_embedded() && self.steps.iter().any(plugs) {
            return Some(format!(
                "{who} has no monitor for people, which plugs devices in"
            ));
        }
        let devices = header.values("-device").map(|value| {
            let first = value.split(',').next().unwrap_or_default();
            first.strip_prefix("driver=").unwrap_or(first)
        });
        let required = header
            .requires
            .iter()
            .filter_map(|requirement| match requirement {
                Requirement::Device(name) => Some(name.as_str()),
                _ => None,
            });
        if let Some(device) = devices
            .chain(required)
            .find(|device| !caps.devices.contains(*device))
        {
            return Some(format!("{who} has no device {device}"));
        }
        let objects = header.values("-object").map(|value| {
            let first = value.split(',').next().unwrap_or_default();
            first.strip_prefix("qom-type=").unwrap_or(first)
        });
        let required = header
            .requires
            .iter()
            .filter_map(|requirement| match requirement {
                Requirement::Object(name) => Some(name.as_str()),
                _ => None,
            });
        if let Some(object) = objects
            .chain(required)
            .find(|object| !caps.objects.contains(*object))
        {
            return Some(format!("{who} has no object {object}"));
        }
        let moves_clock = header.requires.contains(&Requirement::Clock)
            || self.steps.iter().any(|step| {
                matches!(
                    step.action,
                    Action::Do(Command::ClockStep(_) | Command::ClockSet(_), _)
                )
            });
        if moves_clock && !caps.clock {
            return Some(
                "this QEMU has no qtest accelerator, so its virtual clock can't be moved".into(),
            );
        }
        if header.requires.contains(&Requirement::Running) && !caps.running {
            return Some(format!("time does not pass by itself on {}", qemu.called()));
        }
        None
    }
}

impl Header {
    /// The machine; with `sandboxed`, QEMU gives up what a machine does not need of the host.
    pub fn launch(&self, sandboxed: bool) -> Launch {
        let machine = machine_of(self.arch, &self.machine);
        let mut launch = Launch::new(machine);
        if self.default_devices {
            launch = launch.default_devices();
        }
        for (name, value) in &self.machine_options {
            launch = launch.machine_option(name, value);
        }
        match self.memory {
            Some(bytes) if machine.ram_backend == RamBackend::None => {
                launch = launch.arg("-m").arg(format!("size={bytes}B"));
            }
            Some(bytes) => launch = launch.memory(bytes),
            None => {}
        }
        for disk in &self.disks {
            let image = Image::bytes(disk.content.clone()).padded(disk.size);
            let mut drive = Drive::new(&disk.id, image)
                .read_only(disk.read_only)
                .discard(disk.discard);
            if let Some(index) = disk.index {
                drive = drive.index(index);
            }
            launch = launch.drive(match disk.interface {
                DiskInterface::None => drive,
                DiskInterface::Ide => drive.interface(Interface::Ide),
                DiskInterface::IdeCd => drive.interface(Interface::Ide).cdrom(),
                DiskInterface::Floppy => drive.interface(Interface::Floppy),
                DiskInterface::Scsi => drive.interface(Interface::Scsi),
                DiskInterface::Sd => drive.interface(Interface::Sd),
                DiskInterface::Mtd => drive.interface(Interface::Mtd),
                DiskInterface::Pflash => drive.interface(Interface::Pflash),
            });
        }
        for word in &self.args {
            launch = launch.arg(word);
        }
        if sandboxed {
            for word in SANDBOX {
                launch = launch.arg(word);
            }
        }
        launch
    }
}

/// The machine of this name: one whose memory is known, or one of which only the name is. Each is made once.
fn machine_of(arch: Arch, name: &str) -> &'static MachineType {
    static MADE: Mutex<BTreeMap<(Arch, String), &'static MachineType>> =
        Mutex::new(BTreeMap::new());
    if let Some(known) = MachineType::by_name(arch, name) {
        return known;
    }
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.entry((arch, name.to_owned())).or_insert_with(|| {
        Box::leak(Box::new(MachineType {
            name: String::leak(name.to_owned()),
            ..machine::none(arch)
        }))
    })
}
