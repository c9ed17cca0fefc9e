//! QEMU's firmware configuration device, by its specification (<https://www.qemu.org/docs/master/specs/fw_cfg.html>; headings in
//! brackets): items by key, files by name, DMA.

mod acpi;
pub(crate) mod smbios;

use crate::board::{Board, Device, Range};

/// [Register Locations] x86: selector at 0x510, data at 0x511, DMA address at 0x514.
const PORT: u64 = 0x510;

/// [Selector] Bit 14 asked for writing, and means nothing now; bit 15 is for the architecture's own items.
const WRITE: u16 = 0x4000;

pub(crate) mod key {
    pub(crate) const SIGNATURE: u16 = 0x00;
    pub(crate) const ID: u16 = 0x01;
    pub(crate) const UUID: u16 = 0x02;
    pub(crate) const RAM_SIZE: u16 = 0x03;
    pub(crate) const NOGRAPHIC: u16 = 0x04;
    pub(crate) const NB_CPUS: u16 = 0x05;
    pub(crate) const NUMA: u16 = 0x0d;
    pub(crate) const BOOT_MENU: u16 = 0x0e;
    pub(crate) const MAX_CPUS: u16 = 0x0f;
    pub(crate) const FILE_DIR: u16 = 0x19;
    pub(crate) const FILE_FIRST: u16 = 0x20;
    pub(crate) const IRQ0_OVERRIDE: u16 = 0x8002;
    pub(crate) const HPET: u16 = 0x8004;
}

/// [Guest-side DMA Interface] Control bits.
const ERROR: u32 = 1 << 0;
const READ: u32 = 1 << 1;
const SKIP: u32 = 1 << 2;
const SELECT: u32 = 1 << 3;
const DMA_WRITE: u32 = 1 << 4;

/// Longest name of a file, without its zero.
pub(crate) const LONGEST_NAME: usize = 55;

#[derive(Clone, Debug, Default)]
struct Item {
    bytes: Vec<u8>,
    writable: bool,
}

#[derive(Clone, Debug)]
struct FileItem {
    name: String,
    item: Item,
}

#[derive(Default)]
pub(crate) struct FwCfg {
    items: std::collections::BTreeMap<u16, Item>,
    /// In the order of their names.
    files: Vec<FileItem>,
    selected: u16,
    position: usize,
    dma_address: u64,
    /// Without DMA neither its registers nor its feature bit exist.
    has_dma: bool,
    tables: Tables,
}

/// Whether the ACPI tables are made, or for how many processors they will be when the firmware selects them.
#[derive(Clone, Copy, Default)]
enum Tables {
    #[default]
    None,
    Later(u32),
    Made(u32),
}

impl FwCfg {
    pub(crate) fn new(has_dma: bool) -> Self {
        let mut device = Self {
            has_dma,
            ..Self::default()
        };
        device.put(key::SIGNATURE, b"QEMU".to_vec());
        // [Revision / feature bitmap] Bit 0 the registers, bit 1 DMA.
        device.put(
            key::ID,
            (1 | u32::from(has_dma) << 1).to_le_bytes().to_vec(),
        );
        device
    }

    /// Sets an item.
    pub(crate) fn put(&mut self, key: u16, bytes: Vec<u8>) {
        let item = Item {
            bytes,
            writable: false,
        };
        self.items.insert(key, item);
    }

    /// Adds a file; the others move on to keep the order of names.
    pub(crate) fn add_file(&mut self, name: &str, bytes: Vec<u8>) -> Result<(), String> {
        let place = self
            .files
            .binary_search_by(|file| file.name.as_str().cmp(name));
        let Err(at) = place else {
            return Err(format!("duplicate fw_cfg file name: {name}"));
        };
        let item = Item {
            bytes,
            writable: false,
        };
        let name = name.to_owned();
        self.files.insert(at, FileItem { name, item });
        Ok(())
    }

    /// Sets a file's bytes, and adds it if it is not there.
    pub(crate) fn set_file(&mut self, name: &str, bytes: Vec<u8>) {
        if let Some(file) = self.files.iter_mut().find(|file| file.name == name) {
            file.item.bytes = bytes;
        } else {
            let added = self.add_file(name, bytes);
            debug_assert!(added.is_ok());
        }
    }

    /// Has ACPI tables for so many processors.
    pub(crate) fn with_tables(&mut self, cpus: u32) -> Result<(), String> {
        for name in [acpi::TABLES, acpi::RSDP, acpi::LOADER] {
            self.add_file(name, Vec::new())?;
        }
        self.make_tables(0, cpus);
        self.tables = Tables::Later(cpus);
        Ok(())
    }

    fn make_tables(&mut self, pm_base: u16, cpus: u32) {
        let files = acpi::files(pm_base, cpus);
        self.set_file(acpi::TABLES, files.tables);
        self.set_file(acpi::RSDP, files.rsdp);
        self.set_file(acpi::LOADER, files.loader);
        self.tables = Tables::Made(cpus);
    }

    /// The selector, without the bit that means nothing. The first selection of an ACPI file makes all three, of the chipset as it is.
    fn select(&mut self, board: &Board, key: u16) {
        self.selected = key & !WRITE;
        self.position = 0;
        let name = self
            .file_of(self.selected)
            .map(|slot| self.files[slot].name.as_str());
        let is_table = matches!(name, Some(acpi::TABLES | acpi::RSDP | acpi::LOADER));
        if let (true, Tables::Later(cpus)) = (is_table, self.tables) {
            self.make_tables(board.pm_base, cpus);
        }
    }

    /// [File Directory] count, then size, key, a reserved word and 56 bytes of name for each; big-endian.
    fn directory(&self) -> Vec<u8> {
        let mut bytes = (self.files.len() as u32).to_be_bytes().to_vec();
        for (key, file) in (key::FILE_FIRST..).zip(&self.files) {
            bytes.extend((file.item.bytes.len() as u32).to_be_bytes());
            bytes.extend(key.to_be_bytes());
            bytes.extend([0; 2]);
            let mut name = file.name.clone().into_bytes();
            name.resize(LONGEST_NAME + 1, 0);
            bytes.extend(name);
        }
        bytes
    }

    fn file_of(&self, key: u16) -> Option<usize> {
        let slot = usize::from(key.checked_sub(key::FILE_FIRST)?);
        (slot < self.files.len()).then_some(slot)
    }

    /// So many bytes from the position on, zeroes behind the item's end; the position moves.
    fn take(&mut self, len: usize) -> Vec<u8> {
        let directory;
        let bytes: &[u8] = if self.selected == key::FILE_DIR {
            directory = self.directory();
            &directory
        } else if let Some(slot) = self.file_of(self.selected) {
            &self.files[slot].item.bytes
        } else {
            self.items
                .get(&self.selected)
                .map_or(&[], |item| &item.bytes)
        };
        let from = self.position.min(bytes.len());
        let to = from.saturating_add(len).min(bytes.len());
        let mut taken = bytes[from..to].to_vec();
        self.position = to;
        taken.resize(len, 0);
        taken
    }

    fn len(&self) -> usize {
        if self.selected == key::FILE_DIR {
            return 4 + 64 * self.files.len();
        }
        match self.file_of(self.selected) {
            Some(slot) => self.files[slot].item.bytes.len(),
            None => self
                .items
                .get(&self.selected)
                .map_or(0, |item| item.bytes.len()),
        }
    }

    fn writable(&mut self) -> Option<&mut Item> {
        let item = match self.file_of(self.selected) {
            Some(slot) => Some(&mut self.files[slot].item),
            None => self.items.get_mut(&self.selected),
        };
        item.filter(|item| item.writable)
    }

    /// [Guest-side DMA Interface] Carries out the descriptor at an address.
    fn dma(&mut self, board: &mut Board, descriptor: u64) {
        let Some(bytes) = board.ram.load::<16>(descriptor) else {
            // Where its control field is in memory, it says that this went wrong.
            board.ram.write(descriptor, &ERROR.to_be_bytes());
            return;
        };
        let word = |at: usize| {
            u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let (control, length) = (word(0), word(4));
        let address = u64::from(word(8)) << 32 | u64::from(word(12));
        if control & SELECT != 0 {
            self.select(board, (control >> 16) as u16);
        }
        let done = if control & READ != 0 {
            self.dma_read(board, address, length)
        } else if control & DMA_WRITE != 0 {
            self.dma_write(board, address, length)
        } else {
            if control & SKIP != 0 {
                self.position = self
                    .position
                    .saturating_add(length as usize)
                    .min(self.len());
            }
            true
        };
        let result = if done { 0 } else { ERROR };
        board.ram.write(descriptor, &result.to_be_bytes());
    }

    fn dma_read(&mut self, board: &mut Board, mut address: u64, length: u32) -> bool {
        let mut left = length as usize;
        if board.plant.dma_off_by_one && left > 0 {
            left += 1;
        }
        while left > 0 {
            // First what the item has, then zeroes.
            let held = self.len().saturating_sub(self.position);
            let step = left.min(if held > 0 { held } else { 1 << 16 });
            let bytes = self.take(step);
            if !board.ram.write(address, &bytes) {
                return false;
            }
            address = address.wrapping_add(step as u64);
            left -= step;
        }
        true
    }

    fn dma_write(&mut self, board: &mut Board, address: u64, length: u32) -> bool {
        if length == 0 {
            return true;
        }
        let position = self.position;
        let Some(item) = self.writable() else {
            return false;
        };
        let end = position + length as usize;
        if end > item.bytes.len() {
            return false;
        }
        let mut bytes = vec![0; length as usize];
        // A write that fails is dropped as a whole.
        if !board.ram.read(address, &mut bytes) {
            return false;
        }
        item.bytes[position..end].copy_from_slice(&bytes);
        self.position = end;
        true
    }
}

impl Device for FwCfg {
    fn name(&self) -> &'static str {
        "fw_cfg_io"
    }

    fn ports(&self) -> Vec<Range> {
        let mut ports = vec![Range::new(PORT, 4, 0)];
        if self.has_dma {
            ports.push(Range::new(PORT + 4, 8, 1));
        }
        ports
    }

    fn port_read(&mut self, _: &mut Board, region: u8, offset: u16, data: &mut [u8]) {
        if region == 1 {
            // [Guest-side DMA Interface] Reads as the signature, 64 bits, most significant byte first.
            const SIGNATURE: [u8; 8] = *b"QEMU CFG";
            for (at, byte) in (usize::from(offset)..).zip(data) {
                *byte = SIGNATURE.get(at).copied().unwrap_or(0);
            }
            return;
        }
        // [Data Register] One byte at a time; what the selector's port reads as means nothing.
        data.fill(if offset > 1 { 0xff } else { 0 });
        if let (1, [byte]) = (offset, data) {
            *byte = self.take(1)[0];
        }
    }

    fn port_write(&mut self, board: &mut Board, region: u8, offset: u16, data: &[u8]) {
        match (region, offset, data) {
            (0, 0, [low, high]) => self.select(board, u16::from_le_bytes([*low, *high])),
            // Big-endian halves: the upper at offset 0; the lower at offset 4 starts the operation.
            (1, 0, [a, b, c, d]) => {
                let upper = u32::from_be_bytes([*a, *b, *c, *d]);
                self.dma_address = self.dma_address & 0xffff_ffff | u64::from(upper) << 32;
            }
            (1, 4, [a, b, c, d]) => {
                let lower = u32::from_be_bytes([*a, *b, *c, *d]);
                let address = self.dma_address & !0xffff_ffff | u64::from(lower);
                self.dma_address = 0;
                self.dma(board, address);
            }
            _ => {}
        }
    }

    /// The signature is selected after a reset.
    fn reset(&mut self, board: &mut Board) {
        self.select(board, key::SIGNATURE);
        if let Tables::Made(cpus) = self.tables {
            self.tables = Tables::Later(cpus);
        }
        self.dma_address = 0;
    }
}
