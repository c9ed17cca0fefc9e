//! [`Portable`]: a launch as others can repeat it, without what belongs to this host.

use super::parts::{ChardevKind, NetdevKind};
use super::{FwCfg, Interface, Launch, RtcBase, args};
use crate::machine::RamBackend;

/// What of an image belongs to its beginning, which a machine may look at when it is built, in bytes.
const BEGINNING: u64 = 64 << 10;
/// The most that an image may have written on it, in bytes.
const MOST: usize = 4 << 20;

/// What a launch says of its machine, in words, numbers and bytes alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portable {
    /// Properties of the machine.
    pub machine_options: Vec<(String, String)>,
    /// Bytes of RAM.
    pub memory: u64,
    /// Whether the machine has the devices that QEMU gives it if nothing is said of them.
    pub default_devices: bool,
    /// The drives.
    pub drives: Vec<PortableDrive>,
    /// More words of QEMU's command line.
    pub args: Vec<String>,
}

/// A raw drive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortableDrive {
    /// What devices call it.
    pub id: String,
    /// Its size in bytes.
    pub size: u64,
    /// Where it hangs.
    pub interface: Interface,
    /// Whether it is a CD-ROM.
    pub cdrom: bool,
    /// Whether the guest may only read.
    pub read_only: bool,
    /// Whether what the guest discards becomes a hole.
    pub discard: bool,
    /// Which connector of its interface.
    pub index: Option<u32>,
    /// How it begins, up to the last byte that is not zero: at most 64 KiB.
    pub content: Vec<u8>,
    /// What is behind that, by its offset.
    pub rest: Vec<(u64, Vec<u8>)>,
}

impl Launch {
    /// The launch in words, numbers and bytes. Backends that are sockets to the test become such that swallow everything.
    ///
    /// # Errors
    /// What can't be said so.
    pub fn portable(&self) -> Result<Portable, String> {
        if self.kernel.is_some() || self.initrd.is_some() || self.append.is_some() {
            return Err("its machine has a kernel".into());
        }
        if self
            .fw_cfg
            .iter()
            .any(|entry| matches!(entry, FwCfg::File(..)))
        {
            return Err("its firmware configuration has a file".into());
        }
        if self.memory_slots.is_some() {
            return Err("its machine has room for more memory".into());
        }
        if matches!(self.rtc.base, RtcBase::Utc | RtcBase::Localtime) || self.rtc.host_clock {
            return Err("its clock is the host's".into());
        }
        let drives = self.drives.iter().map(|drive| {
            let image = &drive.image;
            let is_plain =
                drive.format == "raw" && drive.options.is_empty() && image.file.is_none();
            let written: usize = image.extents.iter().map(|extent| extent.bytes.len()).sum();
            if !is_plain || written > MOST {
                return Err(format!(
                    "its drive {} is more than a raw image with {MOST} bytes on it",
                    drive.id
                ));
            }
            let mut content = vec![0; image.size.min(BEGINNING) as usize];
            let mut rest = Vec::new();
            for extent in &image.extents {
                let first = BEGINNING.saturating_sub(extent.offset) as usize;
                let (first, behind) = extent.bytes.split_at(first.min(extent.bytes.len()));
                if !first.is_empty() {
                    let at = extent.offset as usize;
                    content[at..at + first.len()].copy_from_slice(first);
                }
                if !behind.is_empty() {
                    rest.push((extent.offset + first.len() as u64, behind.to_vec()));
                }
            }
            while content.last() == Some(&0) {
                content.pop();
            }
            Ok(PortableDrive {
                id: drive.id.clone(),
                size: image.size.next_multiple_of(512).max(512),
                interface: drive.interface,
                cdrom: drive.cdrom,
                read_only: drive.read_only,
                discard: drive.discard,
                index: drive.index,
                content,
                rest,
            })
        });
        let drives = drives.collect::<Result<_, String>>()?;
        Ok(Portable {
            machine_options: self.machine_options.clone(),
            memory: self.memory,
            default_devices: self.default_devices,
            drives,
            args: self.rest(),
        })
    }

    /// The words for everything but machine, memory and drives.
    fn rest(&self) -> Vec<String> {
        let mut launch = self.clone();
        launch.drives.clear();
        launch.machine_options.clear();
        for (index, netdev) in launch.netdevs.iter_mut().enumerate() {
            if matches!(netdev.kind, NetdevKind::Packets | NetdevKind::Stream) {
                netdev.kind = NetdevKind::Other("hubport".into());
                netdev.options = vec![("hubid".into(), index.to_string())];
            }
        }
        for chardev in &mut launch.chardevs {
            if chardev.kind == ChardevKind::Socket {
                // Somebody is there, as at the test's socket: `null` counts as closed.
                chardev.kind = ChardevKind::Other("ringbuf".into());
                chardev.options.clear();
            }
        }
        let words = args::without_resources(&launch, RamBackend::None);
        let usual = args::without_resources(&Launch::new(self.machine), RamBackend::None);
        // Both begin alike, up to the machine; the clock is the usual one most of the time.
        let begin = words
            .iter()
            .position(|word| word == "-machine")
            .map_or(0, |at| at + 2);
        let mut rest: Vec<String> = Vec::new();
        let mut words = words.into_iter().skip(begin).peekable();
        while let Some(word) = words.next() {
            let is_usual_clock = word == "-rtc"
                && words.peek().is_some_and(|value| {
                    usual
                        .windows(2)
                        .any(|pair| pair[0] == "-rtc" && pair[1] == *value)
                });
            if is_usual_clock {
                words.next();
            } else {
                rest.push(word);
            }
        }
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::{Chardev, Device, Drive, Image, Netdev};
    use crate::machine;

    #[test]
    fn what_belongs_to_the_host_is_left_out() {
        let launch = Launch::new(&machine::PC)
            .machine_option("usb", "off")
            .drive(Drive::new(
                "d",
                Image::zeroed(1 << 20).with(510, [0x55, 0xaa]),
            ))
            .netdev(Netdev::packets("n"))
            .chardev(Chardev::socket("c"))
            .device(Device::new("e1000").prop("netdev", "n"))
            .cpus(2);
        let portable = launch.portable().unwrap();
        assert_eq!(
            portable.args,
            [
                "-smp",
                "cpus=2",
                "-chardev",
                "ringbuf,id=c",
                "-netdev",
                "hubport,id=n,hubid=0",
                "-device",
                "e1000,netdev=n"
            ]
        );
        assert_eq!(portable.drives[0].content.len(), 512);
        assert_eq!(
            portable.machine_options,
            [("usb".to_owned(), "off".to_owned())]
        );
        assert_eq!(portable.memory, 128 << 20);
    }

    #[test]
    fn what_can_not_be_said_is_told() {
        let base = || Launch::new(&machine::PC);
        for (launch, part) in [
            (base().kernel([1, 2, 3]), "kernel"),
            (base().fw_cfg_file("opt/x", [1]), "file"),
            (base().memory_slots(2, 1 << 30), "memory"),
            (
                base().drive(Drive::new("d", Image::zeroed(512)).format("qcow2")),
                "raw",
            ),
            (
                base().drive(Drive::new("d", Image::bytes(vec![1; 8 << 20]))),
                "raw",
            ),
        ] {
            assert!(launch.portable().unwrap_err().contains(part), "{part}");
        }
    }
}
