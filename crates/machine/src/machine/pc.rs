//! Putting the PC together: the devices of a configuration, what the firmware finds in CMOS and fw_cfg.

use serde_json::json;
use testjig_server::qmp::Event;

use super::{Machine, hotplug};
use crate::board::Board;
use crate::cli::{Channel, Config, DeviceOptions, NOT_HERE};
use crate::dev;
use crate::dev::fw_cfg::{FwCfg, key, smbios};
use crate::dev::mc146818::Mc146818;
use crate::pci::Devfn;
use crate::ram::Ram;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// Slots 0 and 1 are the bridges'.
const FIRST_FREE_SLOT: u8 = 2;

impl Machine {
    /// The machine of a configuration.
    pub(crate) fn new(config: &mut Config) -> Result<Self, String> {
        let memory = config.memory;
        let limit = config.max_below_4g.unwrap_or(3 * GIB + 512 * MIB);
        let below_4g = if memory < limit {
            memory
        } else {
            config.max_below_4g.unwrap_or(3 * GIB)
        };
        let ram = Ram::new(memory, below_4g, config.ram_file.take())?;
        let mut machine = Self::empty(Board::new(ram, config.plant));
        if config.plant.lost_interrupt {
            machine.board.lines.lose_every = Some(3);
        }
        if config.machine == "none" {
            return Ok(machine);
        }

        let mut host = dev::i440fx::I440fx::new(memory);
        host.fixed_hole = config.hole64_fixed;
        if let Some(size) = config.hole64_size {
            host.hole64_size = size;
        }
        host.hotplug_end = config.max_memory.map_or(0, |most| 4 * GIB + most);
        machine.add(host, None);
        machine.add(dev::piix3::Piix3::new(), None);
        machine.add(dev::piix3_ide::Piix3Ide::new(), None);
        if config.acpi {
            machine.add(dev::piix4_pm::Piix4Pm::new(), None);
            machine.add(dev::pci_hotplug::PciHotplug::default(), None);
        }
        machine.add(dev::pic::Registers, None);
        machine.add(dev::ioapic::Window, None);
        if config.plant.needs_device() {
            machine.add(dev::planted::Planted::default(), None);
        }
        machine.add(dev::dma::Registers::default(), None);
        if config.pit {
            machine.add(dev::pit::Pit::new(), None);
        }
        if config.i8042 {
            machine.add(dev::i8042::I8042::new(), None);
        }
        machine.add(clock(config, below_4g), None);
        machine.add(dev::i82078::I82078::new(), None);
        let mut fw_cfg = FwCfg::new(config.fw_cfg_dma);
        fill_fw_cfg(&mut fw_cfg, config, below_4g)?;
        machine.add(fw_cfg, None);
        machine.cpus = (config.cpus, config.max_cpus);
        machine.strict_boot = config.strict_boot;
        machine.drives = std::mem::take(&mut config.drives);
        machine.virtio_globals = std::mem::take(&mut config.virtio_globals);
        let mut devices = std::mem::take(&mut config.devices);
        for drive in &machine.drives.attached {
            devices.push(DeviceOptions::of_drive(drive)?);
        }
        for device in &devices {
            machine
                .plug(config, device)
                .map_err(|error| format!("-device {}: {error}", device.text))?;
        }
        machine.tell_floppies();
        // Last: whatever else decodes its addresses hides it.
        machine.add(dev::rom::Rom, None);
        machine.make_boot_order();
        machine.remap();
        for slot in &mut machine.slots {
            slot.device.reset(&mut machine.board);
        }
        machine.board.reset = false;
        machine.remap();
        Ok(machine)
    }

    /// A device of the command line.
    fn plug(&mut self, config: &mut Config, device: &DeviceOptions) -> Result<(), String> {
        let id = device.id.clone();
        match device.driver.as_str() {
            "mc146818rtc" => {
                device.only(&["iobase", "irq", "base_year", "lost_tick_policy"])?;
                let port = device.number("iobase")?.unwrap_or(0x70);
                let line = device.number("irq")?.unwrap_or(8);
                if line > 15 {
                    return Err("Maximum value for \"irq\" is: 15".into());
                }
                if device
                    .get("lost_tick_policy")
                    .is_some_and(|policy| policy != "discard")
                {
                    return Err("Invalid lost tick policy for the embedded machine".into());
                }
                let base_year = device.number("base_year")?.unwrap_or(1980);
                let path = peripheral(id.as_deref(), self.slots.len());
                let clock = Mc146818::new(
                    port as u16,
                    line as usize,
                    base_year as i64,
                    config.rtc_base,
                    &path,
                );
                self.add(clock, id);
            }
            "ivshmem-plain" => {
                device.only(&["memdev"])?;
                let memdev = device.get("memdev").ok_or("You must specify a 'memdev'")?;
                let size = config
                    .backends
                    .get(memdev)
                    .copied()
                    .ok_or_else(|| format!("Device '{memdev}' not found"))?;
                if !size.is_power_of_two() {
                    return Err(format!("the size of '{memdev}' is no power of two"));
                }
                let devfn = self.slot_for(device)?;
                self.add(dev::ivshmem::Ivshmem::new(devfn, size), id);
            }
            "isa-serial" => self.plug_serial(config, device)?,
            "floppy" => self.plug_floppy(device)?,
            "ide-hd" => self.plug_ide(device)?,
            driver if hotplug::DEVICES.contains(&driver) => self.plug_pci(device)?,
            "fw_cfg_io" | "fw_cfg_mem" | "fw_cfg" => {
                return Err("Parameter 'driver' expects a pluggable device type".into());
            }
            other => return Err(format!("'{other}' is not a valid device model name")),
        }
        Ok(())
    }

    /// `-device isa-serial`: the next of the four ports that PCs have, unless it says which.
    fn plug_serial(&mut self, config: &mut Config, device: &DeviceOptions) -> Result<(), String> {
        const PORTS: [(u64, u64); 4] = [(0x3f8, 4), (0x2f8, 3), (0x3e8, 4), (0x2e8, 3)];
        const SOURCES: std::ops::Range<u8> = 8..16;
        device.only(&["chardev", "iobase", "irq", "index"])?;
        let number = self.serial_ports.len();
        let index = device.number("index")?.unwrap_or(number as u64);
        let usual = PORTS.get(index as usize);
        let wanted = |key: &str, usual: Option<u64>| {
            let given = device.number(key)?.or(usual);
            given.ok_or_else(|| "Max. supported number of ISA serial ports is 4.".to_owned())
        };
        let port = wanted("iobase", usual.map(|usual| usual.0))?;
        let irq = wanted("irq", usual.map(|usual| usual.1))?;
        if irq > 15 || port > 0xfff8 {
            return Err("isa-serial: its ports or its interrupt are not on the ISA bus".into());
        }
        let source = SOURCES
            .clone()
            .nth(number)
            .ok_or("Max. supported number of ISA serial ports is 8.")?;
        let chardev = device.get("chardev");
        let line = match chardev.map(|id| config.chardev(id)).transpose()? {
            Some(Channel::Connected(endpoint)) => Some(endpoint),
            Some(Channel::Listening(_)) => {
                return Err(format!(
                    "a serial line that waits for its other end: {NOT_HERE}"
                ));
            }
            Some(Channel::Null) | None => None,
        };
        self.serial_ports.push(self.slots.len());
        let uart = dev::pc16550d::Pc16550d::new(port as u16, irq as usize, source, line);
        self.add(uart, device.id.clone());
        Ok(())
    }

    /// The slot that a device asks for, or the next that is free.
    pub(super) fn slot_for(&mut self, device: &DeviceOptions) -> Result<Devfn, String> {
        let mut taken = [false; 32];
        for slot in &mut self.slots {
            if let Some(config) = slot.device.config() {
                taken[usize::from(config.devfn.slot())] = true;
            }
        }
        let Some(addr) = device.get("addr") else {
            let free = (FIRST_FREE_SLOT..32).find(|slot| !taken[usize::from(*slot)]);
            return free
                .map(|slot| Devfn::new(slot, 0))
                .ok_or_else(|| "PCI: no slot/function available".into());
        };
        // QEMU reads this one property as hexadecimal: `addr=4.0`, `addr=0x1f`.
        let (slot, function) = addr.split_once('.').unwrap_or((addr, "0"));
        let hex = |text: &str| u8::from_str_radix(text.trim_start_matches("0x"), 16).ok();
        match (hex(slot), hex(function)) {
            (Some(slot @ 0..=31), Some(0)) if !taken[usize::from(slot)] => Ok(Devfn::new(slot, 0)),
            (Some(slot @ 0..=31), Some(0)) => Err(format!(
                "PCI: slot {slot} function 0 not available for {}, in use",
                device.driver
            )),
            _ => Err(format!("property 'addr' does not take '{addr}'")),
        }
    }
}

/// QOM's path of a device: by its identifier, or among those without one.
fn peripheral(id: Option<&str>, number: usize) -> String {
    match id {
        Some(id) => format!("/machine/peripheral/{id}"),
        None => format!("/machine/unattached/device[{number}]"),
    }
}

pub(super) fn reset_event(by_guest: bool) -> Event {
    let reason = if by_guest {
        "guest-reset"
    } else {
        "host-qmp-system-reset"
    };
    Event::with("RESET", json!({"guest": by_guest, "reason": reason}))
}

/// The clock, with the sizes of memory that the PC/AT's firmware keeps in its RAM.
fn clock(config: &Config, below_4g: u64) -> Mc146818 {
    let mut clock = Mc146818::new(0x70, 8, 0, config.rtc_base, "/machine/unattached/rtc");
    let mut put = |index: u8, value: u64| {
        clock.put(index, value as u8);
        clock.put(index + 1, (value >> 8) as u8);
    };
    let capped = |value: u64| value.min(0xffff);
    // Base memory in KiB, extended memory in KiB, twice, and memory above 16 MiB in units of 64 KiB.
    put(0x15, config.memory.min(640 << 10) >> 10);
    let extended = capped(below_4g.saturating_sub(MIB) >> 10);
    put(0x17, extended);
    put(0x30, extended);
    put(0x34, capped(below_4g.saturating_sub(16 * MIB) >> 16));
    // Memory above 4 GiB in units of 64 KiB, 24 bits.
    let above = (config.memory - below_4g) >> 16;
    put(0x5b, above);
    clock.put(0x5d, (above >> 16) as u8);
    // What QEMU and Bochs keep there: processors besides the first, and boot from the hard disk.
    clock.put(0x5f, (config.cpus - 1) as u8);
    clock.put(0x3d, 0x02);
    clock
}

/// The items of every PC, and those of the command line.
fn fill_fw_cfg(fw_cfg: &mut FwCfg, config: &Config, below_4g: u64) -> Result<(), String> {
    let two = |value: u32| (value as u16).to_le_bytes().to_vec();
    fw_cfg.put(key::UUID, config.uuid.to_vec());
    fw_cfg.put(key::RAM_SIZE, config.memory.to_le_bytes().to_vec());
    fw_cfg.put(key::NOGRAPHIC, two(u32::from(!config.graphics)));
    fw_cfg.put(key::NB_CPUS, two(config.cpus));
    fw_cfg.put(key::MAX_CPUS, two(config.apic_ids));
    fw_cfg.put(key::BOOT_MENU, two(u32::from(config.boot_menu)));
    fw_cfg.put(key::NUMA, vec![0; 8 * (1 + config.apic_ids as usize)]);
    fw_cfg.put(key::IRQ0_OVERRIDE, 1_u32.to_le_bytes().to_vec());
    let mut no_hpet = vec![0; 121];
    no_hpet[0] = 0xff;
    fw_cfg.put(key::HPET, no_hpet);

    for (name, bytes) in &config.fw_cfg {
        fw_cfg.add_file(name, bytes.clone())?;
    }
    if config.acpi {
        fw_cfg.with_tables(config.cpus)?;
    }
    let (anchor, tables) = smbios::files(config.smbios_64, config.uuid);
    fw_cfg.add_file("etc/smbios/smbios-anchor", anchor)?;
    fw_cfg.add_file("etc/smbios/smbios-tables", tables)?;
    if let Some(most) = config.max_memory {
        // Where memory may be plugged in, up to where the address space is taken: whole GiB above 4 GiB.
        let end = (4 * GIB + most).next_multiple_of(GIB) + GIB;
        fw_cfg.add_file("etc/reserved-memory-end", end.to_le_bytes().to_vec())?;
    }
    if let Some(wait) = config.splash_time {
        fw_cfg.add_file("etc/boot-menu-wait", wait.to_le_bytes().to_vec())?;
    }
    let timeout = config.reboot_timeout.unwrap_or(-1);
    fw_cfg.add_file("etc/boot-fail-wait", timeout.to_le_bytes().to_vec())?;
    if let Some((name, picture)) = &config.splash {
        fw_cfg.add_file(name, picture.clone())?;
    }
    // Which sleeps there are: S3 and S4 with their types, bit 7 for "enabled"; the rest as in QEMU.
    fw_cfg.add_file("etc/system-states", vec![0x80, 0, 0, 0x81, 0x80, 0x80])?;
    fw_cfg.add_file("etc/e820", e820(config.memory, below_4g))?;
    Ok(())
}

/// ACPI 6.5 §15.1: address, length and type of each range; type 1 is RAM.
fn e820(memory: u64, below_4g: u64) -> Vec<u8> {
    let mut ranges = vec![(0, below_4g)];
    if memory > below_4g {
        ranges.push((4 * GIB, memory - below_4g));
    }
    let mut bytes = Vec::new();
    for (base, len) in ranges {
        bytes.extend(u64::to_le_bytes(base));
        bytes.extend(u64::to_le_bytes(len));
        bytes.extend(1_u32.to_le_bytes());
    }
    bytes
}
