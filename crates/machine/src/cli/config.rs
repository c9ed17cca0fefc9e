//! [`Config`]: what the command line asks for.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};

use super::NOT_HERE;
use super::channel::Channel;
use super::device::DeviceOptions;
use super::drives::Drives;
use super::options::{Options, number, size};
use crate::calendar::Moment;
use crate::dev::fw_cfg::LONGEST_NAME;
use crate::plant::Plant;

/// A machine to be built, and whom it talks to.
pub(crate) struct Config {
    pub(crate) machine: String,
    pub(crate) acpi: bool,
    pub(crate) pit: bool,
    pub(crate) i8042: bool,
    pub(crate) graphics: bool,
    pub(crate) max_below_4g: Option<u64>,
    pub(crate) memory: u64,
    pub(crate) max_memory: Option<u64>,
    memory_backend: Option<String>,
    pub(crate) ram_file: Option<File>,
    backend_files: BTreeMap<String, String>,
    /// The sizes of memory backends.
    pub(crate) backends: BTreeMap<String, u64>,
    pub(crate) cpus: u32,
    pub(crate) max_cpus: u32,
    /// One more than the largest APIC ID.
    pub(crate) apic_ids: u32,
    /// Seconds since 1970 at the start of virtual time.
    pub(crate) rtc_base: i64,
    pub(crate) uuid: [u8; 16],
    pub(crate) boot_menu: bool,
    pub(crate) splash_time: Option<u16>,
    pub(crate) reboot_timeout: Option<i32>,
    pub(crate) splash: Option<(&'static str, Vec<u8>)>,
    pub(crate) fw_cfg: Vec<(String, Vec<u8>)>,
    pub(crate) fw_cfg_dma: bool,
    pub(crate) hole64_size: Option<u64>,
    pub(crate) hole64_fixed: bool,
    pub(crate) drives: Drives,
    pub(crate) strict_boot: bool,
    pub(crate) smbios_64: bool,
    pub(crate) devices: Vec<DeviceOptions>,
    /// Properties of all virtio devices, by the type that they are of.
    pub(crate) virtio_globals: Vec<(String, String, String)>,
    chardevs: BTreeMap<String, Channel>,
    pub(crate) qtest: Option<Channel>,
    qtest_chardev: Option<String>,
    pub(crate) qtest_log: Option<String>,
    /// What is to be said without being wrong.
    pub(crate) warnings: Vec<String>,
    pub(crate) monitors: Vec<Channel>,
    monitor_chardevs: Vec<String>,
    pub(crate) plant: Plant,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            machine: "pc".into(),
            acpi: true,
            pit: true,
            i8042: true,
            graphics: true,
            max_below_4g: None,
            memory: 128 << 20,
            max_memory: None,
            memory_backend: None,
            ram_file: None,
            backend_files: BTreeMap::new(),
            backends: BTreeMap::new(),
            cpus: 1,
            max_cpus: 1,
            apic_ids: 1,
            rtc_base: host_time(),
            uuid: [0; 16],
            boot_menu: false,
            splash_time: None,
            reboot_timeout: None,
            splash: None,
            fw_cfg: Vec::new(),
            fw_cfg_dma: true,
            hole64_size: None,
            hole64_fixed: true,
            drives: Drives::default(),
            strict_boot: false,
            smbios_64: true,
            devices: Vec::new(),
            virtio_globals: Vec::new(),
            chardevs: BTreeMap::new(),
            qtest: None,
            qtest_chardev: None,
            qtest_log: None,
            warnings: Vec::new(),
            monitors: Vec::new(),
            monitor_chardevs: Vec::new(),
            plant: Plant::default(),
        }
    }
}

fn host_time() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs() as i64)
}

/// Properties of the machine; those that are not read mean nothing here.
const KNOWN: &[&str] = &[
    "acpi",
    "pit",
    "graphics",
    "max-ram-below-4g",
    "memory-backend",
    "accel",
    "hpet",
    "usb",
    "dump-guest-core",
    "mem-merge",
    "i8042",
    "fd-bootchk",
    "vmport",
    "smbus",
    "default-bus-bypass-iommu",
    "smbios-entry-point-type",
];

impl Config {
    /// One option.
    pub(super) fn set(&mut self, option: &str, value: &str) -> Result<(), String> {
        match option {
            "machine" | "M" => self.set_machine(value),
            "m" => self.set_memory(value),
            "smp" => self.set_smp(value),
            "rtc" => self.set_rtc(value),
            "boot" => self.set_boot(value),
            "accel" => set_accel(value),
            "uuid" => {
                self.uuid = uuid(value).ok_or("Failed to parse UUID string: wrong format")?;
                Ok(())
            }
            "object" => self.set_object(value),
            "global" => self.set_global(value),
            "device" => {
                self.devices.push(DeviceOptions::parse(value)?);
                Ok(())
            }
            "fw_cfg" => self.set_fw_cfg(value),
            "chardev" => {
                let mut options = Options::parse(value, "backend");
                let kind = options.take("backend").unwrap_or_default();
                let id = options
                    .get("id")
                    .ok_or("chardev: no id specified")?
                    .to_owned();
                self.chardevs.insert(id, Channel::of_kind(&kind, &options)?);
                Ok(())
            }
            "qtest" => {
                match value.strip_prefix("chardev:") {
                    Some(id) => self.qtest_chardev = Some(id.into()),
                    None => self.qtest = Some(Channel::parse(value)?),
                }
                Ok(())
            }
            "qtest-log" => {
                self.qtest_log = Some(value.into());
                Ok(())
            }
            "mon" => {
                let options = Options::parse(value, "chardev");
                if options.get("mode") != Some("control") {
                    return Err(format!("a monitor for people: {NOT_HERE}"));
                }
                let id = options.get("chardev").ok_or("no chardev specified")?;
                self.monitor_chardevs.push(id.into());
                Ok(())
            }
            "qmp" => {
                match value.strip_prefix("chardev:") {
                    Some(id) => self.monitor_chardevs.push(id.into()),
                    None => self.monitors.push(Channel::parse(value)?),
                }
                Ok(())
            }
            "plant" => self.plant.add(value),
            "serial" if value != "none" => {
                let id = format!("serial{}", self.devices.len());
                let channel = match value.strip_prefix("chardev:") {
                    Some(chardev) => self.chardev(chardev)?,
                    None => Channel::parse(value)?,
                };
                self.chardevs.insert(id.clone(), channel);
                let device = format!("isa-serial,chardev={id}");
                self.devices.push(DeviceOptions::parse(&device)?);
                Ok(())
            }
            "serial" | "parallel" | "monitor" | "net" | "nic" | "vga" if value == "none" => Ok(()),
            "add-fd" => self.drives.add_fd(value),
            "blockdev" => self.drives.blockdev(value),
            "drive" => self.drives.drive(value),
            "hda" => self.drives.drive(&format!("if=ide,index=0,file={value}")),
            "hdb" => self.drives.drive(&format!("if=ide,index=1,file={value}")),
            _ => Err(format!("invalid option here: {NOT_HERE}")),
        }
    }

    /// What can be told only when all is known.
    pub(super) fn check(&mut self) -> Result<(), String> {
        if !crate::MACHINES.contains(&self.machine.as_str()) {
            return Err(format!(
                "unsupported machine type: \"{}\"\nUse -machine help to list supported machines",
                self.machine
            ));
        }
        if let Some(id) = &self.memory_backend {
            let path = self
                .backend_files
                .get(id)
                .ok_or_else(|| format!("Memory backend '{id}' not found"))?;
            let file = OpenOptions::new().read(true).write(true).open(path);
            self.ram_file = Some(file.map_err(|error| {
                format!("can't open backing store {path} for guest RAM: {error}")
            })?);
        }
        let mut chardev = |id: &str| {
            self.chardevs
                .remove(id)
                .ok_or_else(|| format!("chardev '{id}' not found"))
        };
        if let Some(id) = self.qtest_chardev.take() {
            self.qtest = Some(chardev(&id)?);
        }
        for id in std::mem::take(&mut self.monitor_chardevs) {
            self.monitors.push(chardev(&id)?);
        }
        Ok(())
    }

    /// The character device of a name, for the one that it is given to.
    pub(crate) fn chardev(&mut self, id: &str) -> Result<Channel, String> {
        self.chardevs
            .remove(id)
            .ok_or_else(|| format!("Property 'chardev' can't find value '{id}'"))
    }

    fn set_machine(&mut self, value: &str) -> Result<(), String> {
        let mut options = Options::parse(value, "type");
        if let Some(kind) = options.take("type") {
            self.machine = match kind.as_str() {
                // The versions of the one type.
                kind if kind.starts_with("pc-i440fx-") => "pc".into(),
                _ => kind,
            };
        }
        let on = |key: &str| options.flag(key);
        self.acpi = on("acpi")?.unwrap_or(self.acpi);
        self.pit = on("pit")?.unwrap_or(self.pit);
        self.i8042 = on("i8042")?.unwrap_or(self.i8042);
        self.graphics = on("graphics")?.unwrap_or(self.graphics);
        self.smbios_64 = match options.get("smbios-entry-point-type") {
            Some("32") => false,
            Some("64" | "auto") | None => true,
            Some(other) => return Err(format!("smbios-entry-point-type: no '{other}'")),
        };
        self.max_below_4g = options.size("max-ram-below-4g", 1)?.or(self.max_below_4g);
        self.memory_backend = options
            .get("memory-backend")
            .map(str::to_owned)
            .or(self.memory_backend.take());
        if options.get("accel").is_some_and(|accel| accel != "qtest") {
            return set_accel(options.get("accel").unwrap_or_default());
        }
        match options.iter().find(|(key, _)| !KNOWN.contains(key)) {
            Some((key, _)) => Err(format!("Property 'pc-machine.{key}' not found: {NOT_HERE}")),
            None => Ok(()),
        }
    }

    fn set_memory(&mut self, value: &str) -> Result<(), String> {
        const MIB: u64 = 1 << 20;
        let options = Options::parse(value, "size");
        self.memory = options.size("size", MIB)?.unwrap_or(self.memory);
        self.max_memory = options.size("maxmem", MIB)?.or(self.max_memory);
        if self.memory == 0 || self.memory > 1 << 40 {
            return Err("ram size is out of range".into());
        }
        Ok(())
    }

    fn set_smp(&mut self, value: &str) -> Result<(), String> {
        let options = Options::parse(value, "cpus");
        let count = |key: &str| -> Result<Option<u32>, String> {
            Ok(options.number(key)?.map(|count| count.clamp(1, 255) as u32))
        };
        let product = ["sockets", "dies", "cores", "threads"]
            .into_iter()
            .try_fold(1, |product: u32, key| {
                Ok::<_, String>(product.saturating_mul(count(key)?.unwrap_or(1)))
            })?;
        self.cpus = count("cpus")?.unwrap_or(product);
        self.max_cpus = count("maxcpus")?.unwrap_or(self.cpus.max(product));
        // [Intel SDM vol. 3, 10.4.6] A socket's APIC IDs begin at a multiple of the next power of two of its cores.
        let cores = count("cores")?.unwrap_or(1);
        let (sockets, last) = ((self.max_cpus - 1) / cores, (self.max_cpus - 1) % cores);
        self.apic_ids = sockets * cores.next_power_of_two() + last + 1;
        if self.max_cpus < self.cpus {
            return Err(
                "Invalid CPU topology: maxcpus must be equal to or greater than smp".into(),
            );
        }
        Ok(())
    }

    fn set_rtc(&mut self, value: &str) -> Result<(), String> {
        let options = Options::parse(value, "base");
        match options.get("base") {
            None | Some("utc") => self.rtc_base = host_time(),
            Some("localtime") => self.rtc_base = host_time() + local_offset(),
            Some(moment) => {
                self.rtc_base = moment_of(moment).ok_or(
                    "invalid datetime format\nvalid formats: '2006-06-17T16:01:21' or '2006-06-17'",
                )?;
            }
        }
        match options.get("clock") {
            None | Some("vm") => {}
            Some("host" | "rt") => return Err(format!("clock=host: {NOT_HERE}")),
            Some(_) => return Err("invalid option value for clock".into()),
        }
        match options.get("driftfix") {
            None | Some("none") => Ok(()),
            Some(_) => Err(format!("driftfix=slew: {NOT_HERE}")),
        }
    }

    fn set_boot(&mut self, value: &str) -> Result<(), String> {
        let options = Options::parse(value, "order");
        self.boot_menu = options.flag("menu")?.unwrap_or(self.boot_menu);
        self.strict_boot = options.flag("strict")?.unwrap_or(self.strict_boot);
        if let Some(text) = options.get("splash-time") {
            let time = text
                .parse()
                .map_err(|_| "splash-time is invalid, it should be a value between 0 and 65535")?;
            self.splash_time = Some(time);
        }
        if let Some(text) = options.get("reboot-timeout") {
            let timeout: i64 = text.parse().unwrap_or(-2);
            if !(-1..=0xffff).contains(&timeout) {
                return Err(
                    "reboot timeout is invalid, it should be a value between -1 and 65535".into(),
                );
            }
            self.reboot_timeout = Some(timeout as i32);
        }
        if let Some(path) = options.get("splash") {
            match picture(path) {
                Ok(picture) => self.splash = Some(picture),
                Err(problem) => self.warnings.push(problem),
            }
        }
        Ok(())
    }

    fn set_object(&mut self, value: &str) -> Result<(), String> {
        let options = Options::parse(value, "qom-type");
        let kind = options.get("qom-type").unwrap_or_default();
        let id = options
            .get("id")
            .ok_or("Parameter 'id' is missing")?
            .to_owned();
        let bytes = options
            .size("size", 1)?
            .ok_or("Parameter 'size' is missing");
        match kind {
            "memory-backend-file" | "memory-backend-memfd" | "memory-backend-ram" => {
                self.backends.insert(id.clone(), bytes?);
                if let Some(path) = options.get("mem-path") {
                    self.backend_files.insert(id, path.to_owned());
                }
                Ok(())
            }
            "monitor-qmp" => {
                let chardev = options
                    .get("chardev")
                    .ok_or("Parameter 'chardev' is missing")?;
                self.monitor_chardevs.push(chardev.into());
                Ok(())
            }
            _ => Err(format!("invalid object type: {kind}: {NOT_HERE}")),
        }
    }

    fn set_global(&mut self, value: &str) -> Result<(), String> {
        let options = Options::parse(value, "");
        let named = options.get("driver").zip(options.get("property"));
        let (driver, property, value) = if let Some((driver, property)) = named {
            (driver, property, options.get("value").unwrap_or_default())
        } else {
            let (path, value) = value.split_once('=').ok_or("Invalid 'global' option")?;
            let (driver, property) = path.split_once('.').ok_or("Invalid 'global' option")?;
            (driver, property, value)
        };
        let on = value == "on";
        match (driver, property) {
            ("i440FX-pcihost", "pci-hole64-size") => {
                self.hole64_size = Some(size(value, 1).ok_or("pci-hole64-size expects a size")?);
            }
            ("i440FX-pcihost", "x-pci-hole64-fix") => self.hole64_fixed = on,
            ("fw_cfg_io", "dma_enabled") => self.fw_cfg_dma = on,
            ("mc146818rtc", "lost_tick_policy") if value == "discard" => {}
            ("virtio-device" | "virtio-blk-device" | "virtio-blk-pci", _) => {
                let global = [driver, property, value].map(str::to_owned);
                self.virtio_globals.push(global.into());
            }
            _ => return Err(format!("global {driver}.{property}: {NOT_HERE}")),
        }
        Ok(())
    }

    fn set_fw_cfg(&mut self, value: &str) -> Result<(), String> {
        let options = Options::parse(value, "name");
        let given = |key: &str| options.get(key).filter(|value| !value.is_empty());
        let name = given("name");
        let sources = [given("file"), given("string"), given("gen_id")];
        let (Some(name), 1) = (name, sources.iter().flatten().count()) else {
            return Err("name, plus exactly one of file, string and gen_id, are needed".into());
        };
        if name.len() > LONGEST_NAME {
            return Err(format!("name too long (max. {LONGEST_NAME} char)"));
        }
        if !name.starts_with("opt/") {
            let warning =
                "warning: externally provided fw_cfg item names should be prefixed with \"opt/\"";
            self.warnings.push(warning.into());
        }
        let bytes = match sources {
            [Some(path), ..] => {
                std::fs::read(path).map_err(|error| format!("can't load {path}: {error}"))?
            }
            [_, Some(text), _] => text.as_bytes().to_vec(),
            [.., id] => {
                return Err(format!(
                    "Cannot find object ID '{}'",
                    id.unwrap_or_default()
                ));
            }
        };
        self.fw_cfg.push((name.into(), bytes));
        Ok(())
    }
}

/// Time is the test's to move; there is no other accelerator, as there is no CPU.
fn set_accel(value: &str) -> Result<(), String> {
    match value.split([',', ':']).next() {
        Some("qtest") => Ok(()),
        kind => Err(format!(
            "invalid accelerator {}: {NOT_HERE}",
            kind.unwrap_or_default()
        )),
    }
}

/// `4600cb32-38ec-4b2f-8acb-81c6ea54f2d8`.
fn uuid(text: &str) -> Option<[u8; 16]> {
    let digits: String = text.split('-').collect();
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    if groups != [8, 4, 4, 4, 12] || !digits.is_ascii() {
        return None;
    }
    let mut bytes = [0; 16];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

/// `2006-06-17T16:01:21` or `2006-06-17`.
fn moment_of(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T').unwrap_or((text, "00:00:00"));
    let mut date = date.splitn(3, '-').map(number);
    let mut time = time.splitn(3, ':').map(number_of_two);
    let mut next = || date.next().flatten().map(|value| value as i64);
    let (year, month, day) = (next()?, next()?, next()?);
    let mut next = || time.next().flatten().map(|value| value as i64);
    let (hour, minute, second) = (next()?, next()?, next()?);
    let sound = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    sound.then(|| {
        let moment = Moment {
            year,
            month,
            day,
            hour,
            minute,
            second,
        };
        moment.to_unix()
    })
}

/// `08` is eight.
fn number_of_two(text: &str) -> Option<u64> {
    text.parse().ok()
}

/// Seconds that local time is ahead of UTC, from the zone that `date` knows; 0 if there is none to be had.
fn local_offset() -> i64 {
    let output = std::process::Command::new("date").arg("+%z").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let Ok(text) = text else { return 0 };
    let (sign, digits) = match text.split_at_checked(1) {
        Some(("-", digits)) => (-1, digits),
        Some((_, digits)) => (1, digits),
        None => return 0,
    };
    let hhmm: i64 = digits.parse().unwrap_or(0);
    sign * (hhmm / 100 * 3600 + hhmm % 100 * 60)
}

/// A picture for the firmware: a JPEG, or a bitmap of 24 bits a pixel; anything else is left out, and why is said.
fn picture(path: &str) -> Result<(&'static str, Vec<u8>), String> {
    let bytes = std::fs::read(path)
        .map_err(|error| format!("failed to read splash file '{path}': {error}"))?;
    match bytes.as_slice() {
        [0xff, 0xd8, ..] if bytes.len() >= 30 => Ok(("bootsplash.jpg", bytes)),
        [b'B', b'M', ..] if bytes.len() >= 30 && bytes[28..30] == [24, 0] => {
            Ok(("bootsplash.bmp", bytes))
        }
        _ => Err(format!("splash file '{path}' format not recognized")),
    }
}
