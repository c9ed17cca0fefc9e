//! [`Launch`]: what machine a test wants, as plain data.
//!
//! Equal launches make equal machines, so a launch can be compared, hashed and shared as a template. It names no file,
//! descriptor or socket of the host: those are made when it is started, and go with the [`Vm`](crate::Vm).

#![expect(
    clippy::needless_pass_by_value,
    reason = "a value to be shown as text is written down at the call, not kept"
)]

mod args;
pub(crate) mod error;
mod parts;
mod portable;
pub(crate) mod resources;
pub(crate) mod start;

use std::sync::Arc;

use serde::Serialize;

use self::parts::Blob;

pub(crate) use self::args::{Resource, Resources, arguments};
pub use self::error::{LaunchError, LaunchErrorKind};
pub use self::parts::{
    Chardev, Device, Drive, Extent, FwCfg, Global, Image, Interface, Netdev, Object, Rtc, RtcBase,
};
pub use self::portable::{Portable, PortableDrive};
pub use self::start::LaunchOptions;
use crate::machine::MachineType;

/// A machine to start: its type, what is plugged into it, and its settings.
///
/// ```
/// use testjig_vm::{Device, Drive, Image, Launch, machine};
///
/// let launch = Launch::new(&machine::PC)
///     .memory(64 << 20)
///     .drive(Drive::new("d0", Image::zeroed(1 << 30)))
///     .device(Device::new("virtio-blk-pci").id("blk").prop("drive", "d0").prop("addr", "04.0"));
/// assert_eq!(launch, launch.clone());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Launch {
    machine: &'static MachineType,
    memory: u64,
    memory_slots: Option<(u32, u64)>,
    machine_options: Vec<(String, String)>,
    cpu: Option<String>,
    cpus: u32,
    smp_options: Vec<(String, String)>,
    rtc: Rtc,
    boot: Vec<(String, String)>,
    globals: Vec<Global>,
    objects: Vec<Object>,
    chardevs: Vec<Chardev>,
    serials: Vec<String>,
    netdevs: Vec<Netdev>,
    drives: Vec<Drive>,
    devices: Vec<Device>,
    fw_cfg: Vec<FwCfg>,
    kernel: Option<Blob>,
    initrd: Option<Blob>,
    append: Option<String>,
    raw: Vec<String>,
    default_devices: bool,
    clock_forbidden: bool,
}

impl Launch {
    /// The bare machine: one CPU, the machine's usual memory, no default devices, a clock that begins at the same
    /// moment every time.
    pub fn new(machine: &'static MachineType) -> Self {
        Self {
            machine,
            memory: machine.default_memory,
            memory_slots: None,
            machine_options: Vec::new(),
            cpu: None,
            cpus: 1,
            smp_options: Vec::new(),
            rtc: Rtc::default(),
            boot: Vec::new(),
            globals: Vec::new(),
            objects: Vec::new(),
            chardevs: Vec::new(),
            serials: Vec::new(),
            netdevs: Vec::new(),
            drives: Vec::new(),
            devices: Vec::new(),
            fw_cfg: Vec::new(),
            kernel: None,
            initrd: None,
            append: None,
            raw: Vec::new(),
            default_devices: false,
            clock_forbidden: false,
        }
    }

    /// RAM in bytes. Machines have minima, maxima and steps of their own, which QEMU checks.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = bytes;
        self
    }

    /// Room for more memory while the machine runs: how many modules, and how many bytes with them.
    #[must_use]
    pub fn memory_slots(mut self, slots: u32, most: u64) -> Self {
        self.memory_slots = Some((slots, most));
        self
    }

    /// A property of the machine: `("smm", "off")`, as in `-machine pc,smm=off`.
    #[must_use]
    pub fn machine_option(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.machine_options.push((name.into(), value.to_string()));
        self
    }

    /// The CPU model, with its features: `"max"`, `"qemu64,+x2apic"`.
    #[must_use]
    pub fn cpu(mut self, model: impl Into<String>) -> Self {
        self.cpu = Some(model.into());
        self
    }

    /// Number of CPUs, 1 or more.
    #[must_use]
    pub fn cpus(mut self, cpus: u32) -> Self {
        self.cpus = cpus;
        self
    }

    /// More about the CPUs: `("sockets", 2)`, `("maxcpus", 4)`, as in `-smp`.
    #[must_use]
    pub fn smp_option(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.smp_options.push((name.into(), value.to_string()));
        self
    }

    /// What time of day the machine's clock shows at its start, and what drives it.
    #[must_use]
    pub fn rtc(mut self, rtc: Rtc) -> Self {
        self.rtc = rtc;
        self
    }

    /// A boot setting: `("order", "dc")`, `("menu", "off")`, as in `-boot`.
    #[must_use]
    pub fn boot(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.boot.push((name.into(), value.to_string()));
        self
    }

    /// A default of all devices of one type: `("virtio-pci", "disable-legacy", "on")`.
    #[must_use]
    pub fn global(
        mut self,
        driver: impl Into<String>,
        property: impl Into<String>,
        value: impl ToString,
    ) -> Self {
        self.globals.push(Global {
            driver: driver.into(),
            property: property.into(),
            value: value.to_string(),
        });
        self
    }

    /// A backend object: a random number source, a memory, a secret.
    #[must_use]
    pub fn object(mut self, object: Object) -> Self {
        self.objects.push(object);
        self
    }

    /// A character device, for the device or port that names it.
    #[must_use]
    pub fn chardev(mut self, chardev: Chardev) -> Self {
        self.chardevs.push(chardev);
        self
    }

    /// Connects the machine's next built-in serial port to the character device of that id.
    #[must_use]
    pub fn serial(mut self, chardev: impl Into<String>) -> Self {
        self.serials.push(chardev.into());
        self
    }

    /// A network backend, for the device that names it.
    #[must_use]
    pub fn netdev(mut self, netdev: Netdev) -> Self {
        self.netdevs.push(netdev);
        self
    }

    /// A drive with a scratch image. The test reaches the image with [`Vm::disk`](crate::Vm::disk).
    #[must_use]
    pub fn drive(mut self, drive: Drive) -> Self {
        self.drives.push(drive);
        self
    }

    /// A device to plug in. The order of devices is kept: it decides about automatic slots.
    #[must_use]
    pub fn device(mut self, device: Device) -> Self {
        self.devices.push(device);
        self
    }

    /// A string in the firmware configuration device. QEMU wants names that begin with `opt/`.
    #[must_use]
    pub fn fw_cfg_string(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.fw_cfg.push(FwCfg::String(name.into(), value.into()));
        self
    }

    /// A file of these bytes in the firmware configuration device. QEMU wants names that begin with `opt/`.
    #[must_use]
    pub fn fw_cfg_file(mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        self.fw_cfg.push(FwCfg::File(name.into(), bytes.into()));
        self
    }

    /// The kernel that the machine's firmware, or QEMU in its place, is to load.
    #[must_use]
    pub fn kernel(mut self, image: impl Into<Arc<[u8]>>) -> Self {
        self.kernel = Some(Blob(image.into()));
        self
    }

    /// The initial file system of the [`kernel`](Self::kernel).
    #[must_use]
    pub fn initrd(mut self, image: impl Into<Arc<[u8]>>) -> Self {
        self.initrd = Some(Blob(image.into()));
        self
    }

    /// The command line of the [`kernel`](Self::kernel).
    #[must_use]
    pub fn append(mut self, words: impl Into<String>) -> Self {
        self.append = Some(words.into());
        self
    }

    /// Has the machine get the devices that QEMU gives it if nothing is said of them: a display, a network card, drives.
    #[must_use]
    pub fn default_devices(mut self) -> Self {
        self.default_devices = true;
        self
    }

    /// One more word of QEMU's command line. The launch then [is for QEMU only](Self::is_qemu_only).
    #[must_use]
    pub fn arg(mut self, word: impl Into<String>) -> Self {
        self.raw.push(word.into());
        self
    }

    /// Has [`Vm::clock`](crate::Vm::clock) refuse: for a test that does not say that it needs the clock, so that it is
    /// found out before it runs where there is none.
    #[must_use]
    pub fn forbid_clock(mut self) -> Self {
        self.clock_forbidden = true;
        self
    }

    /// Whether [`forbid_clock`](Self::forbid_clock) was called.
    pub fn is_clock_forbidden(&self) -> bool {
        self.clock_forbidden
    }

    /// The machine's type.
    pub fn machine(&self) -> &'static MachineType {
        self.machine
    }

    /// RAM in bytes.
    pub fn memory_size(&self) -> u64 {
        self.memory
    }

    /// The devices plugged in, in order.
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// The types of the devices plugged in, as QEMU calls them.
    pub fn device_types(&self) -> impl Iterator<Item = &str> {
        self.devices.iter().map(Device::driver)
    }

    /// The drives.
    pub fn drives(&self) -> &[Drive] {
        &self.drives
    }

    /// Whether the launch holds raw words of QEMU's command line, so that no other VMM can understand it.
    pub fn is_qemu_only(&self) -> bool {
        !self.raw.is_empty()
    }

    /// Why machines of this launch can't be [forked](crate::Template), as far as the launch tells; `None` if they can.
    pub fn unforkable(&self) -> Option<&'static str> {
        let is_of_now = matches!(self.rtc.base, RtcBase::Utc | RtcBase::Localtime);
        if self.raw.iter().any(|word| word.contains('/')) {
            Some("its launch names a file of the host's, which may change")
        } else if self.drives.iter().any(|drive| drive.image.file.is_some()) {
            Some("its launch has an image of the host's, which may change")
        } else if self.drives.iter().any(|drive| drive.format != "raw") {
            Some("it has an image of a format that QEMU may write to by itself")
        } else if is_of_now || self.rtc.host_clock {
            Some("its clock begins at the host's time")
        } else {
            None
        }
    }

    /// Whether machines of both are alike: all is equal but whether the clock is [forbidden](Self::forbid_clock) to the test.
    pub fn is_same_machine(&self, other: &Self) -> bool {
        self.clock_forbidden == other.clock_forbidden && self == other
            || self.clone().with_clock_forbidden(other.clock_forbidden) == *other
    }

    /// The same launch, with the clock [forbidden](Self::forbid_clock) or not.
    pub(crate) fn with_clock_forbidden(mut self, forbidden: bool) -> Self {
        self.clock_forbidden = forbidden;
        self
    }

    /// The words of QEMU's command line that describe the machine, for people to read and repeat.
    ///
    /// Without what connects the test: sockets, accelerator and monitor. Descriptor numbers are those of a process
    /// that starts this one machine.
    pub fn to_args(&self) -> Vec<String> {
        args::for_people(self)
    }
}
