//! Attaching virtio devices, and telling them what the monitor changed.

use super::Machine;
use super::disks::given_geometry;
use crate::cli::{DeviceOptions, NOT_HERE};
use crate::dev::ata::geometry;
use crate::dev::virtio::blk::{Blk, Options};
use crate::dev::virtio::{Interfaces, VirtioPci};

/// Properties of `virtio-blk-pci`. Merging of requests is QEMU's own affair, and nothing that a guest could see.
const KNOWN: &[&str] = &[
    "drive",
    "serial",
    "lcyls",
    "lheads",
    "lsecs",
    "cyls",
    "heads",
    "secs",
    "logical_block_size",
    "physical_block_size",
    "min_io_size",
    "opt_io_size",
    "discard_granularity",
    "num-queues",
    "queue-size",
    "write-cache",
    "config-wce",
    "discard",
    "write-zeroes",
    "max-discard-sectors",
    "max-write-zeroes-sectors",
    "request-merging",
    "packed",
    "vectors",
    "disable-legacy",
    "disable-modern",
];

impl Machine {
    /// `-device virtio-blk-pci`, and its forms that have one of the interfaces or both.
    pub(super) fn plug_virtio_blk(&mut self, device: &DeviceOptions) -> Result<(), String> {
        let mut device = device.clone();
        for (driver, property, value) in &self.virtio_globals {
            if !KNOWN.contains(&property.as_str()) {
                return Err(format!("global {driver}.{property}: {NOT_HERE}"));
            }
            device.set_default(property, value);
        }
        let device = &device;
        device.only(KNOWN)?;
        let node = device.get("drive").ok_or("drive property not set")?;
        let disk = self.drives.disk(node)?;
        let flag = |key: &str, default: bool| device.flag(key).map(|it| it.unwrap_or(default));
        let number = |key: &str, default: u64| device.size(key).map(|it| it.unwrap_or(default));
        let block = |key: &str| match number(key, 512)? {
            size @ 512..=0x8000_0000 if size.is_power_of_two() => Ok(size as u32),
            _ => Err(format!("{key} must be a power of 2 from 512 to 2G")),
        };
        let logical_block = block("logical_block_size")?;
        let physical_block = block("physical_block_size")?;
        if logical_block > physical_block {
            return Err("logical_block_size > physical_block_size not supported".into());
        }
        let queues = number("num-queues", 1)?;
        if !(1..=1023).contains(&queues) {
            return Err(format!("num-queues={queues} must be between 1 and 1023"));
        }
        let queue_size = number("queue-size", 256)?;
        if !(4..=1024).contains(&queue_size) || !queue_size.is_power_of_two() {
            return Err(format!(
                "invalid queue-size property ({queue_size}), must be a power of 2 (max 1024)"
            ));
        }
        let options = Options {
            geometry: given_geometry(device, 255)?.unwrap_or(geometry::of_disk(&disk).0),
            logical_block,
            physical_block,
            min_io: number("min_io_size", 0)? as u32,
            opt_io: number("opt_io_size", 0)? as u32,
            discard_granularity: number("discard_granularity", logical_block.into())? as u32,
            queues: queues as u16,
            queue_size: queue_size as u16,
            write_cache: flag("write-cache", true)?,
            config_wce: flag("config-wce", true)?,
            discard: flag("discard", true)?,
            write_zeroes: flag("write-zeroes", true)?,
            max_discard: number("max-discard-sectors", 0x3f_ffff)? as u32,
            max_write_zeroes: number("max-write-zeroes-sectors", 0x3f_ffff)? as u32,
            serial: device.get("serial").unwrap_or_default().to_owned(),
        };
        let interfaces = Interfaces {
            legacy: device.driver != "virtio-blk-pci-non-transitional"
                && !flag("disable-legacy", false)?,
            modern: !flag("disable-modern", false)?,
        };
        if interfaces
            == (Interfaces {
                legacy: false,
                modern: false,
            })
        {
            return Err("device cannot work as neither modern nor legacy mode is enabled".into());
        }
        let most = u64::from(crate::pci::msix::MOST);
        let vectors = number("vectors", queues + 1)?.clamp(1, most) as u16;
        let packed = flag("packed", false)?;
        let devfn = self.slot_for(device)?;
        let blk = Blk::new(disk, node.to_owned(), options);
        let blk = VirtioPci::new(devfn, blk, interfaces, packed, vectors);
        self.add(blk, device.id.clone());
        self.bootable(
            device,
            format!("/pci@i0cf8/scsi@{:x}/disk@0,0", devfn.slot()),
        )
    }

    /// An image has another length now.
    pub(super) fn resized(&mut self, node: &str) {
        let Self { slots, board, .. } = self;
        for slot in slots {
            let device = slot.device.as_mut().as_any_mut();
            if let Some(blk) = device.downcast_mut::<VirtioPci<Blk>>() {
                if blk.device.node == node {
                    blk.config_changed(board);
                }
            }
        }
    }
}
