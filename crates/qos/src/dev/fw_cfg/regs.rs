//! Registers and structures of the device, each written once.

use std::fmt;

use bitfield_struct::bitfield;

/// The selector register: which item the data register and DMA reach ("Selector (Control) Register").
///
/// The constants are the keys that have a number of their own; files are found by name in the [directory](Key::FILE_DIR).
#[bitfield(u16, debug = false)]
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Number of the item among the generic or the architecture's own ones, 0–0x3fff.
    #[bits(14)]
    pub index: u16,
    /// Bit 14, asked for write mode of the data register until QEMU 2.4; means nothing since.
    pub write: bool,
    /// Bit 15: the item is the architecture's own.
    pub arch_local: bool,
}

impl Key {
    /// `QEMU`, four bytes.
    pub const SIGNATURE: Self = Self::from_bits(0x00);
    /// Revision and feature bits, a little-endian [`Features`].
    pub const ID: Self = Self::from_bits(0x01);
    /// UUID of the machine, 16 bytes in the order of its text.
    pub const UUID: Self = Self::from_bits(0x02);
    /// Bytes of RAM, 64 bits.
    pub const RAM_SIZE: Self = Self::from_bits(0x03);
    /// 1 if the machine has no graphics, 16 bits.
    pub const NOGRAPHIC: Self = Self::from_bits(0x04);
    /// CPUs that are present, 16 bits.
    pub const NB_CPUS: Self = Self::from_bits(0x05);
    /// What kind of machine it is, on those architectures where one firmware serves several.
    pub const MACHINE_ID: Self = Self::from_bits(0x06);
    /// Where the kernel goes, 32 bits.
    pub const KERNEL_ADDR: Self = Self::from_bits(0x07);
    /// Bytes of [`KERNEL_DATA`](Self::KERNEL_DATA), 32 bits.
    pub const KERNEL_SIZE: Self = Self::from_bits(0x08);
    /// The kernel's command line, where the firmware takes it so; PCs have [`CMDLINE_DATA`](Self::CMDLINE_DATA).
    pub const KERNEL_CMDLINE: Self = Self::from_bits(0x09);
    /// Where the initial RAM disk goes, 32 bits.
    pub const INITRD_ADDR: Self = Self::from_bits(0x0a);
    /// Bytes of [`INITRD_DATA`](Self::INITRD_DATA), 32 bits.
    pub const INITRD_SIZE: Self = Self::from_bits(0x0b);
    /// The device to boot from; PCs have it in their CMOS memory.
    pub const BOOT_DEVICE: Self = Self::from_bits(0x0c);
    /// NUMA: number of nodes, node of each APIC ID, bytes of each node; 64 bits each.
    pub const NUMA: Self = Self::from_bits(0x0d);
    /// 1 if the firmware is to offer a boot menu, 16 bits.
    pub const BOOT_MENU: Self = Self::from_bits(0x0e);
    /// CPUs that there may be, 16 bits; on PCs the limit of their APIC IDs.
    pub const MAX_CPUS: Self = Self::from_bits(0x0f);
    /// Where the kernel begins, 32 bits, if it does not begin where it is loaded.
    pub const KERNEL_ENTRY: Self = Self::from_bits(0x10);
    /// The kernel.
    pub const KERNEL_DATA: Self = Self::from_bits(0x11);
    /// The initial RAM disk.
    pub const INITRD_DATA: Self = Self::from_bits(0x12);
    /// Where the command line goes, 32 bits.
    pub const CMDLINE_ADDR: Self = Self::from_bits(0x13);
    /// Bytes of [`CMDLINE_DATA`](Self::CMDLINE_DATA), 32 bits.
    pub const CMDLINE_SIZE: Self = Self::from_bits(0x14);
    /// The kernel's command line with its terminating zero.
    pub const CMDLINE_DATA: Self = Self::from_bits(0x15);
    /// Where the kernel's real-mode part goes, 32 bits.
    pub const SETUP_ADDR: Self = Self::from_bits(0x16);
    /// Bytes of [`SETUP_DATA`](Self::SETUP_DATA), 32 bits.
    pub const SETUP_SIZE: Self = Self::from_bits(0x17);
    /// The kernel's real-mode part.
    pub const SETUP_DATA: Self = Self::from_bits(0x18);
    /// The [directory](super::Entry) of files.
    pub const FILE_DIR: Self = Self::from_bits(0x19);
    /// The first key of a file.
    pub const FILE_FIRST: Self = Self::from_bits(0x20);
    /// PC: ACPI tables given on the command line.
    pub const ACPI_TABLES: Self = Self::from_bits(0x8000);
    /// PC: SMBIOS entries, as machines before 2.0 had them.
    pub const SMBIOS_ENTRIES: Self = Self::from_bits(0x8001);
    /// PC: 1 if interrupt 0 arrives at pin 2 of the I/O APIC, 32 bits.
    pub const IRQ0_OVERRIDE: Self = Self::from_bits(0x8002);
    /// PC: RAM regions as machines before 1.3 had them.
    pub const E820_TABLE: Self = Self::from_bits(0x8003);
    /// PC: the HPETs, 121 bytes: how many (0xff where there is none), then 15 bytes for each of eight.
    pub const HPET: Self = Self::from_bits(0x8004);

    /// How many files there may be: as many as keys of 14 bits leave room for.
    pub const FILES: u32 = 0x4000 - 0x20;

    /// The key of the file in the n-th slot.
    pub const fn file(slot: u16) -> Self {
        Self::from_bits(Self::FILE_FIRST.into_bits() + slot)
    }

    /// What the specification's header calls it, in lower case.
    pub fn name(self) -> Option<&'static str> {
        const GENERIC: [&str; 0x1a] = [
            "signature",
            "id",
            "uuid",
            "ram_size",
            "nographic",
            "nb_cpus",
            "machine_id",
            "kernel_addr",
            "kernel_size",
            "kernel_cmdline",
            "initrd_addr",
            "initrd_size",
            "boot_device",
            "numa",
            "boot_menu",
            "max_cpus",
            "kernel_entry",
            "kernel_data",
            "initrd_data",
            "cmdline_addr",
            "cmdline_size",
            "cmdline_data",
            "setup_addr",
            "setup_size",
            "setup_data",
            "file_dir",
        ];
        const ARCH_LOCAL: [&str; 5] = [
            "acpi_tables",
            "smbios_entries",
            "irq0_override",
            "e820_table",
            "hpet",
        ];
        let names: &[_] = if self.arch_local() {
            &ARCH_LOCAL
        } else {
            &GENERIC
        };
        names.get(usize::from(self.index())).copied()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#06x}", self.into_bits()),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Item [`Key::ID`]: what the device can do ("Revision / feature bitmap").
#[bitfield(u32)]
#[derive(PartialEq, Eq)]
pub struct Features {
    /// Selector and data register; always.
    pub traditional: bool,
    /// The DMA interface.
    pub dma: bool,
    #[bits(30)]
    reserved: u32,
}

/// The first field of a [`DmaAccess`]: what to do, and afterwards what became of it ("Guest-side DMA Interface").
///
/// ```
/// use testjig_qos::dev::fw_cfg::{Control, Key};
/// assert_eq!(Control::READ.of(Key::ID).into_bits(), 0x0001_000a);
/// ```
#[bitfield(u32, debug = false)]
#[derive(PartialEq, Eq)]
pub struct Control {
    /// Something went wrong.
    pub error: bool,
    /// Copy from the item to memory.
    pub read: bool,
    /// Move on in the item.
    pub skip: bool,
    /// First select [`key`](Self::key).
    pub select: bool,
    /// Copy from memory to the item.
    pub write: bool,
    #[bits(11)]
    reserved: u16,
    /// The key to select.
    #[bits(16)]
    pub key: Key,
}

impl Control {
    /// No bit set: nothing to do, and afterwards success.
    pub const DONE: Self = Self::new();
    /// Only the error bit, as a failed operation leaves it.
    pub const ERROR: Self = Self::new().with_error(true);
    /// A read of what is selected.
    pub const READ: Self = Self::new().with_read(true);
    /// A skip in what is selected.
    pub const SKIP: Self = Self::new().with_skip(true);
    /// A write to what is selected.
    pub const WRITE: Self = Self::new().with_write(true);

    /// The same, of an item that is selected first.
    #[must_use]
    pub const fn of(self, key: Key) -> Self {
        self.with_select(true).with_key(key)
    }
}

impl fmt::Debug for Control {
    /// The names of the bits that are set, and the key where it counts: `read+select of file_dir`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = [
            (self.error(), "error"),
            (self.read(), "read"),
            (self.skip(), "skip"),
            (self.select(), "select"),
            (self.write(), "write"),
            (self.reserved() != 0, "reserved"),
        ];
        let set: Vec<_> = bits
            .iter()
            .filter(|(set, _)| *set)
            .map(|(_, name)| *name)
            .collect();
        f.write_str(if set.is_empty() { "done" } else { "" })?;
        f.write_str(&set.join("+"))?;
        if self.select() || self.key() != Key::SIGNATURE {
            write!(f, " of {}", self.key())?;
        }
        Ok(())
    }
}

/// The structure in guest memory that describes one operation; its fields are big-endian ("Guest-side DMA Interface").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DmaAccess {
    /// What to do.
    pub control: Control,
    /// How many bytes.
    pub length: u32,
    /// Guest-physical address of the bytes.
    pub address: u64,
}

impl DmaAccess {
    /// Bytes in guest memory.
    pub const SIZE: usize = 16;

    /// As it stands in guest memory.
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..4].copy_from_slice(&self.control.into_bits().to_be_bytes());
        bytes[4..8].copy_from_slice(&self.length.to_be_bytes());
        bytes[8..].copy_from_slice(&self.address.to_be_bytes());
        bytes
    }
}

/// A file in the directory ("File Directory").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its bytes.
    pub size: u32,
    /// By which key it is selected.
    pub key: Key,
    /// Bytes 6 and 7, which have no meaning yet.
    pub reserved: u16,
    /// Its name, at most 55 bytes, without what pads it.
    pub name: String,
    /// Whether all bytes after the name are zero.
    pub padded_with_zeroes: bool,
}

impl Entry {
    /// Bytes in the directory.
    pub const SIZE: usize = 64;

    /// From the directory's bytes.
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        let name = &bytes[8..];
        let len = name
            .iter()
            .position(|&byte| byte == 0)
            .unwrap_or(name.len());
        Self {
            size: u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
            key: Key::from_bits(u16::from_be_bytes([bytes[4], bytes[5]])),
            reserved: u16::from_be_bytes([bytes[6], bytes[7]]),
            name: String::from_utf8_lossy(&name[..len]).into_owned(),
            padded_with_zeroes: len < name.len() && name[len..].iter().all(|&byte| byte == 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// "Ranges": 0x0000–0x3fff generic, 0x4000–0x7fff the same for writing, 0x8000–0xbfff and 0xc000–0xffff the architecture's.
    #[test]
    fn a_key_is_fourteen_bits_and_two_flags() {
        let key = Key::new().with_index(0x3fff);
        assert_eq!(key.into_bits(), 0x3fff);
        assert_eq!(key.with_write(true).into_bits(), 0x7fff);
        assert_eq!(key.with_arch_local(true).into_bits(), 0xbfff);
        assert_eq!(Key::file(3).into_bits(), 0x23);
    }

    #[test]
    fn a_key_shows_its_name_or_its_number() {
        assert_eq!(Key::SIGNATURE.to_string(), "signature");
        assert_eq!(Key::FILE_DIR.to_string(), "file_dir");
        assert_eq!(Key::HPET.to_string(), "hpet");
        assert_eq!(Key::file(2).to_string(), "0x0022");
        assert_eq!(Key::from_bits(0x8005).to_string(), "0x8005");
        assert_eq!(Key::ID.with_write(true).to_string(), "id");
    }

    /// "Guest-side DMA Interface": bit 0 error, 1 read, 2 skip, 3 select, 4 write; the upper 16 bits are the key.
    #[test]
    fn control_bits_are_where_the_specification_has_them() {
        assert_eq!(Control::ERROR.into_bits(), 0x01);
        assert_eq!(Control::READ.into_bits(), 0x02);
        assert_eq!(Control::SKIP.into_bits(), 0x04);
        assert_eq!(Control::WRITE.into_bits(), 0x10);
        assert_eq!(
            Control::DONE.of(Key::from_bits(0xabcd)).into_bits(),
            0xabcd_0008
        );
        assert_eq!(
            Features::new()
                .with_traditional(true)
                .with_dma(true)
                .into_bits(),
            3
        );
    }

    #[test]
    fn control_shows_its_bits_by_name() {
        assert_eq!(format!("{:?}", Control::DONE), "done");
        assert_eq!(format!("{:?}", Control::ERROR), "error");
        let control = Control::READ.with_skip(true).of(Key::FILE_DIR);
        assert_eq!(format!("{control:?}"), "read+skip+select of file_dir");
        assert_eq!(
            format!("{:?}", Control::from_bits(0x2_8010)),
            "write+reserved of uuid"
        );
    }

    #[test]
    fn a_dma_access_is_big_endian_throughout() {
        let access = DmaAccess {
            control: Control::READ.of(Key::HPET),
            length: 0x0102_0304,
            address: 0x1112_1314_1516_1718,
        };
        let bytes = [
            0x80, 0x04, 0, 0x0a, 1, 2, 3, 4, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18,
        ];
        assert_eq!(access.to_bytes(), bytes);
    }

    #[test]
    fn a_directory_entry_is_big_endian_and_its_name_ends_at_the_first_zero() {
        let mut bytes = [0; Entry::SIZE];
        bytes[..8].copy_from_slice(&[0, 0, 1, 2, 0, 0x21, 3, 4]);
        bytes[8..13].copy_from_slice(b"opt/a");
        let entry = Entry::from_bytes(&bytes);
        assert_eq!(
            (entry.size, entry.key, entry.reserved),
            (0x102, Key::file(1), 0x304)
        );
        assert_eq!(
            (entry.name.as_str(), entry.padded_with_zeroes),
            ("opt/a", true)
        );
        bytes[63] = b'x';
        assert!(!Entry::from_bytes(&bytes).padded_with_zeroes);
        bytes[8..].fill(b'n');
        assert_eq!(Entry::from_bytes(&bytes).name.len(), 56);
        assert!(!Entry::from_bytes(&bytes).padded_with_zeroes);
    }
}
