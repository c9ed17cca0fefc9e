//! Attaching disks, and what firmware is told of them: CMOS, boot order, geometry.

use super::Machine;
use crate::cli::DeviceOptions;
use crate::dev::ata::geometry::{self, Chs, Translation};
use crate::dev::ata::{Drive, DriveOptions};
use crate::dev::fw_cfg::FwCfg;
use crate::dev::i82078::{FloppyDrive, I82078, Kind};
use crate::dev::mc146818::Mc146818;
use crate::dev::piix3_ide::Piix3Ide;

/// What the firmware may boot from, or reaches by a geometry of its own.
pub(super) struct Bootable {
    /// What the command line called the device.
    pub(super) id: Option<String>,
    /// Its place in Open Firmware's notation.
    pub(super) path: String,
    /// Earlier ones first; `None` for not at all.
    pub(super) index: Option<i64>,
    /// The logical geometry, if one was given.
    pub(super) logical: Option<[u64; 3]>,
}

/// Properties of disks on any bus.
const COMMON: &[&str] = &["drive", "bootindex", "lcyls", "lheads", "lsecs", "serial"];

impl Machine {
    /// `-device ide-hd`.
    pub(super) fn plug_ide(&mut self, device: &DeviceOptions) -> Result<(), String> {
        const OWN: &[&str] = &[
            "unit",
            "ver",
            "model",
            "wwn",
            "rotation_rate",
            "physical_block_size",
            "logical_block_size",
            "discard_granularity",
            "write-cache",
            "bios-chs-trans",
            "cyls",
            "heads",
            "secs",
        ];
        device.only(&[OWN, COMMON].concat())?;
        let channel = match device.get("bus") {
            None => None,
            Some("ide.0") => Some(0),
            Some("ide.1") => Some(1),
            Some(bus) => return Err(format!("Bus '{bus}' not found")),
        };
        let node = device.get("drive").ok_or("No drive specified")?;
        let disk = self.drives.disk(node)?;
        if disk.is_read_only() {
            return Err("Can't use a read-only drive".into());
        }
        let (guessed, translation) = geometry::of_disk(&disk);
        let geometry = given_geometry(device, 16)?.unwrap_or(guessed);
        let given = Translation::parse(device.get("bios-chs-trans").unwrap_or("auto"))?;
        let translation = given.unwrap_or(if geometry == guessed {
            translation
        } else {
            Translation::for_geometry(geometry)
        });
        self.disk_number += 1;
        let text = |key: &str, default: String| device.get(key).map_or(default, str::to_owned);
        let options = DriveOptions {
            serial: text("serial", format!("QM{:05}", self.disk_number)),
            version: text("ver", "2.5+".into()),
            model: text("model", "QEMU HARDDISK".into()),
            wwn: device.number("wwn")?.unwrap_or(0),
            rotation_rate: device.number("rotation_rate")?.unwrap_or(0) as u16,
            physical_block: device.size("physical_block_size")?.unwrap_or(512) as u32,
            trim: device.size("discard_granularity")? != Some(0),
            write_cache: device.get("write-cache") != Some("off"),
        };
        if !options.physical_block.is_power_of_two() || options.physical_block < 512 {
            return Err("physical_block_size must be a power of 2 from 512 on".into());
        }
        let ide = self.find::<Piix3Ide>().ok_or("no IDE bus")?;
        let (bus, unit) = match device.number("unit")? {
            Some(unit @ 0..=1) => (channel.unwrap_or(0), unit as usize),
            Some(unit) => {
                return Err(format!(
                    "Can't create IDE unit {unit}, bus supports only 2 units"
                ));
            }
            None => ide.free(channel).ok_or("IDE unit is in use")?,
        };
        if !ide.attach(bus, unit, Drive::new(disk, geometry, options)) {
            return Err(format!("IDE unit {unit} is in use"));
        }
        self.tell_cmos(2 * bus + unit, geometry, translation);
        self.bootable(
            device,
            format!("/pci@i0cf8/ide@1,1/drive@{bus}/disk@{unit}"),
        )
    }

    /// `-device floppy`.
    pub(super) fn plug_floppy(&mut self, device: &DeviceOptions) -> Result<(), String> {
        device.only(&[&["unit", "drive-type"], COMMON].concat())?;
        let disk = match device.get("drive") {
            Some(node) => Some(self.drives.disk(node)?),
            None => None,
        };
        let kind = Kind::parse(device.get("drive-type").unwrap_or("auto"))?;
        let controller = self.find::<I82078>().ok_or("no floppy bus")?;
        let unit = match device.number("unit")? {
            Some(unit @ 0..=1) => unit as usize,
            Some(unit) => {
                return Err(format!(
                    "Can't create floppy unit {unit}, bus supports only 2 units"
                ));
            }
            None => controller
                .free_unit()
                .ok_or("Can't create floppy unit 2, bus supports only 2 units")?,
        };
        if !controller.attach(unit, FloppyDrive::new(device.id.clone(), kind, disk)) {
            return Err(format!("Floppy unit {unit} is in use"));
        }
        self.bootable(device, format!("/pci@i0cf8/isa@1/fdc@03f0/floppy@{unit}"))
    }

    /// CMOS RAM 10h: the drives' types, the first in the high nibble; 14h: bit 0 if there are any, bits 7:6 one less than their number.
    pub(super) fn tell_floppies(&mut self) {
        let kinds = self.find::<I82078>().map(|controller| controller.kinds());
        let [first, second] = kinds.unwrap_or_default();
        let code = |kind: Option<Kind>| kind.map_or(0, |kind| kind as u8);
        let count = u8::from(first.is_some()) + u8::from(second.is_some());
        let equipment = match count {
            0 => 0,
            count => 1 | (count - 1) << 6,
        };
        if let Some(clock) = self.find::<Mc146818>() {
            clock.put(0x10, code(first) << 4 | code(second));
            clock.put(0x14, 0x06 | equipment);
        }
    }

    /// Takes a disk out of a drive, or puts one in.
    pub(super) fn change_medium(&mut self, id: &str, node: Option<&str>) -> Result<(), String> {
        let disk = match node {
            None => None,
            Some(node) => {
                let disk = self.drives.get(node);
                let disk =
                    disk.ok_or_else(|| format!("Cannot find device='' nor node-name='{node}'"))?;
                Some(disk.try_clone().map_err(|error| error.to_string())?)
            }
        };
        let controller = self.find::<I82078>();
        let drive = controller.and_then(|controller| controller.unit(id));
        let drive = drive.ok_or_else(|| format!("Device '{id}' not found"))?;
        match disk {
            None => drive.remove(),
            Some(_) if drive.has_disk() => {
                return Err(format!("There already is a medium in device '{id}'"));
            }
            Some(disk) => drive.insert(disk),
        }
        Ok(())
    }

    /// Keeps what the firmware is told of a disk.
    pub(super) fn bootable(&mut self, device: &DeviceOptions, path: String) -> Result<(), String> {
        let index = device.get("bootindex");
        let index = index
            .map(|text| {
                text.parse()
                    .map_err(|_| "Parameter 'bootindex' expects a number")
            })
            .transpose()?;
        let logical = ["lcyls", "lheads", "lsecs"].map(|key| device.number(key));
        let [cylinders, heads, sectors] = logical;
        let logical = match (cylinders?, heads?, sectors?) {
            (Some(cylinders), Some(heads), Some(sectors)) => Some([cylinders, heads, sectors]),
            _ => None,
        };
        self.boot.push(Bootable {
            id: device.id.clone(),
            path,
            index: index.filter(|index| *index >= 0),
            logical,
        });
        Ok(())
    }

    /// The parameters of one of the first four disks, where the PC/AT's firmware has them (CMOS RAM 12h, 19h–2Ch; Bochs: 39h).
    fn tell_cmos(&mut self, number: usize, chs: Chs, translation: Translation) {
        let Some(clock) = self.find::<Mc146818>() else {
            return;
        };
        let translations = clock.get(0x39) | (translation as u8) << (2 * number);
        clock.put(0x39, translations);
        if number > 1 {
            return;
        }
        // Type 47: the parameters follow.
        let types = clock.get(0x12) | if number == 0 { 0xf0 } else { 0x0f };
        clock.put(0x12, types);
        clock.put(0x19 + number as u8, 47);
        let [low, high, ..] = chs.cylinders.to_le_bytes();
        let control = 0xc0 | u8::from(chs.heads > 8) << 3;
        let parameters = [
            low,
            high,
            chs.heads as u8,
            0xff,
            0xff,
            control,
            low,
            high,
            chs.sectors as u8,
        ];
        for (index, value) in (0x1b + 9 * number as u8..).zip(parameters) {
            clock.put(index, value);
        }
    }

    /// `bootorder` and `bios-geometry`: made anew at each reset, of what the devices are set to then.
    pub(super) fn make_boot_order(&mut self) {
        let mut order: Vec<&Bootable> = self
            .boot
            .iter()
            .filter(|entry| entry.index.is_some())
            .collect();
        order.sort_by_key(|entry| entry.index);
        let mut paths: Vec<String> = order.iter().map(|entry| entry.path.clone()).collect();
        if self.strict_boot && !paths.is_empty() {
            paths.push("HALT".into());
        }
        let geometry: Vec<String> = self
            .boot
            .iter()
            .filter_map(|entry| {
                let [cylinders, heads, sectors] = entry.logical?;
                Some(format!("{} {cylinders} {heads} {sectors}", entry.path))
            })
            .collect();
        if let Some(fw_cfg) = self.find::<FwCfg>() {
            fw_cfg.set_file("bootorder", lines(&paths));
            fw_cfg.set_file("bios-geometry", lines(&geometry));
        }
    }
}

/// Lines with newlines between them and a zero at the end; nothing if there are none.
fn lines(lines: &[String]) -> Vec<u8> {
    if lines.is_empty() {
        return Vec::new();
    }
    let mut bytes = lines.join("\n").into_bytes();
    bytes.push(0);
    bytes
}

/// `cyls`, `heads` and `secs`, as a whole. ATA has room for 16 heads, virtio for 255.
pub(super) fn given_geometry(
    device: &DeviceOptions,
    most_heads: u64,
) -> Result<Option<Chs>, String> {
    let [cylinders, heads, sectors] = ["cyls", "heads", "secs"].map(|key| device.number(key));
    let (cylinders, heads, sectors) = (cylinders?, heads?, sectors?);
    if [cylinders, heads, sectors].iter().all(Option::is_none) {
        return Ok(None);
    }
    let within = |value: Option<u64>, name: &str, most: u64| {
        value
            .filter(|value| (1..=most).contains(value))
            .map(|value| value as u32)
            .ok_or_else(|| format!("{name} must be between 1 and {most}"))
    };
    Ok(Some(Chs {
        cylinders: within(cylinders, "cyls", 65_535)?,
        heads: within(heads, "heads", most_heads)?,
        sectors: within(sectors, "secs", 255)?,
    }))
}
