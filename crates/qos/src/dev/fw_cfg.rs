//! QEMU's firmware configuration device: what the firmware is to know, as numbered items and named files.
//!
//! Source: *QEMU Firmware Configuration (fw_cfg) Device*, in QEMU's documentation of specifications
//! (<https://www.qemu.org/docs/master/specs/fw_cfg.html>); its headings are cited in quotes. The numbers of the items are those of the
//! header that it refers to (`linux/qemu_fw_cfg.h`), and what they hold on a PC is observed.
//!
//! An item is an array of bytes. Writing its key to the selector register puts the position to its first byte; each byte read from the
//! data register moves the position on by one. DMA does the same for as many bytes as its descriptor in guest memory says.
//!
//! | register | I/O ports | memory-mapped | access |
//! |---|---|---|---|
//! | data | 1, 8 bits | 0, 8 to 64 bits | read; in the item's byte order, whatever the width |
//! | selector | 0, 16 bits, little-endian | 8, 16 bits, big-endian | write |
//! | DMA address | 4, two times 32 bits, big-endian | 16, 64 or two times 32 bits, big-endian | write; reads `QEMU CFG` |
//!
//! ```no_run
//! use testjig_qos::dev::fw_cfg::{FwCfg, Key};
//! # fn example(vm: &testjig_vm::Vm) {
//! let fw = FwCfg::io(vm);
//! assert_eq!(fw.item(Key::SIGNATURE, 4), b"QEMU");
//! assert_eq!(fw.u16(Key::NB_CPUS), 1);
//! assert!(fw.file("etc/e820").is_some());
//! # }
//! ```

mod decode;
mod dma;
pub mod regs;

pub use self::decode::Decoder;
pub use self::dma::Dma;
pub use self::regs::{Control, DmaAccess, Entry, Features, Key};

use testjig_vm::Vm;

use crate::bus::{Mmio, Pio};

/// Where the PC has the device ("Register Locations").
const PC_PORT: u16 = 0x510;

/// Offsets of the registers, the one place where both forms are told apart.
struct Layout {
    selector: u16,
    data: u16,
    dma: u16,
}

const IO: Layout = Layout {
    selector: 0,
    data: 1,
    dma: 4,
};

const MMIO: Layout = Layout {
    selector: 8,
    data: 0,
    dma: 16,
};

/// The device's registers, behind ports or in memory.
#[derive(Clone, Debug)]
pub enum Window {
    /// Behind I/O ports, as PCs have it.
    Io(Pio),
    /// In memory, as Arm's and RISC-V's machines have it. Processors are taken to be little-endian.
    Mmio(Mmio),
    /// In memory, as machines without DMA have it whose processors are big-endian: selector at 0, in the order that the last field gives,
    /// and a data register of one byte.
    Bytewise(Mmio, Bytewise),
}

/// The two forms of a device without DMA, as big-endian processors see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bytewise {
    /// The memory-mapped form with data registers of one byte: selector big-endian, data at 2. PowerPC machines, sun4m.
    Memory,
    /// The PC's ports, shown in memory: selector little-endian, data at 1. sun4u.
    Ports,
}

impl Bytewise {
    const fn data(self) -> u64 {
        match self {
            Self::Memory => 2,
            Self::Ports => 1,
        }
    }

    const fn selector(self, key: u16) -> u16 {
        match self {
            Self::Memory => key,
            Self::Ports => key.swap_bytes(),
        }
    }
}

const WITHOUT_DMA: &str = "this machine's fw_cfg has no DMA registers";

/// The device of one machine.
#[derive(Clone, Debug)]
pub struct FwCfg {
    window: Window,
}

impl FwCfg {
    /// The PC's, at port 0x510. Touches nothing.
    pub fn io(vm: &Vm) -> Self {
        Self {
            window: Window::Io(Pio::new(vm, PC_PORT)),
        }
    }

    /// One in memory, from the guest-physical address `base` on. Touches nothing.
    pub fn mmio(vm: &Vm, base: u64) -> Self {
        Self {
            window: Window::Mmio(Mmio::new(vm, base)),
        }
    }

    /// One without DMA, from the guest-physical address `base` on. Touches nothing.
    pub fn bytewise(vm: &Vm, base: u64, form: Bytewise) -> Self {
        Self {
            window: Window::Bytewise(Mmio::new(vm, base), form),
        }
    }

    /// A decoder for the failure report, of the PC's device.
    pub fn decoder() -> Decoder {
        Decoder::io(PC_PORT)
    }

    /// A decoder for the failure report, of a device in memory from `base` on.
    pub fn mmio_decoder(base: u64) -> Decoder {
        Decoder::mmio(base)
    }

    /// The registers.
    pub fn window(&self) -> &Window {
        &self.window
    }

    /// The machine that it belongs to.
    pub fn vm(&self) -> &Vm {
        match &self.window {
            Window::Io(io) => io.vm(),
            Window::Mmio(mmio) | Window::Bytewise(mmio, _) => mmio.vm(),
        }
    }

    /// Writes the selector register: the position is the item's first byte then.
    #[track_caller]
    pub fn select(&self, key: Key) {
        match &self.window {
            Window::Io(io) => io.outw(IO.selector, key.into_bits()),
            Window::Mmio(mmio) => mmio.writew(MMIO.selector.into(), key.into_bits().swap_bytes()),
            Window::Bytewise(mmio, form) => mmio.writew(0, form.selector(key.into_bits())),
        }
    }

    /// Reads the byte at the position, and moves on. Past the item's end it is 0.
    #[track_caller]
    pub fn byte(&self) -> u8 {
        match &self.window {
            Window::Io(io) => io.inb(IO.data),
            Window::Mmio(mmio) => mmio.readb(MMIO.data.into()),
            Window::Bytewise(mmio, form) => mmio.readb(form.data()),
        }
    }

    /// Reads `len` bytes from the position on, one by one.
    #[track_caller]
    pub fn bytes(&self, len: usize) -> Vec<u8> {
        if let Window::Io(io) = &self.window {
            let mut bytes = vec![0; len];
            io.insb(IO.data, &mut bytes);
            return bytes;
        }
        // Not `map`: a closure would hide the test's line from `track_caller`.
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            bytes.push(self.byte());
        }
        bytes
    }

    /// Writes a byte to the data register, which has no effect since QEMU 2.4.
    #[track_caller]
    pub fn write_byte(&self, value: u8) {
        match &self.window {
            Window::Io(io) => io.outb(IO.data, value),
            Window::Mmio(mmio) => mmio.writeb(MMIO.data.into(), value),
            Window::Bytewise(mmio, form) => mmio.writeb(form.data(), value),
        }
    }

    /// Selects an item and reads its first `len` bytes. An item that is shorter is padded with zeroes.
    #[track_caller]
    pub fn item(&self, key: Key, len: usize) -> Vec<u8> {
        self.select(key);
        self.bytes(len)
    }

    #[track_caller]
    fn array<const N: usize>(&self, key: Key) -> [u8; N] {
        self.select(key);
        let mut bytes = [0; N];
        for byte in &mut bytes {
            *byte = self.byte();
        }
        bytes
    }

    /// An item of 16 bits.
    #[track_caller]
    pub fn u16(&self, key: Key) -> u16 {
        u16::from_le_bytes(self.array(key))
    }

    /// An item of 32 bits.
    #[track_caller]
    pub fn u32(&self, key: Key) -> u32 {
        u32::from_le_bytes(self.array(key))
    }

    /// An item of 64 bits.
    #[track_caller]
    pub fn u64(&self, key: Key) -> u64 {
        u64::from_le_bytes(self.array(key))
    }

    /// What the device can do.
    #[track_caller]
    pub fn features(&self) -> Features {
        self.u32(Key::ID).into()
    }

    /// The files, in the order of the directory.
    ///
    /// # Panics
    /// If the directory claims more files than there are keys.
    #[track_caller]
    pub fn directory(&self) -> Vec<Entry> {
        let count = u32::from_be_bytes(self.array(Key::FILE_DIR));
        assert!(
            count <= Key::FILES,
            "fw_cfg's directory claims {count} files, and there are keys for {}",
            Key::FILES
        );
        let mut entries = Vec::new();
        for _ in 0..count {
            let mut bytes = [0; Entry::SIZE];
            for byte in &mut bytes {
                *byte = self.byte();
            }
            entries.push(Entry::from_bytes(&bytes));
        }
        entries
    }

    /// The file of that name, if there is one.
    #[track_caller]
    pub fn file(&self, name: &str) -> Option<Entry> {
        self.directory()
            .into_iter()
            .find(|entry| entry.name == name)
    }

    /// The key of the file of that name.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn key(&self, name: &str) -> Key {
        match self.file(name) {
            Some(entry) => entry.key,
            None => panic!("fw_cfg has no file {name}"),
        }
    }

    /// The bytes of the file of that name, by way of the data register, up to 1 MiB; larger ones are [`Dma`]'s. The position is its end
    /// then.
    ///
    /// # Panics
    /// If there is none, or it is larger.
    #[track_caller]
    pub fn contents(&self, name: &str) -> Vec<u8> {
        let Some(Entry { key, size, .. }) = self.file(name) else {
            panic!("fw_cfg has no file {name}");
        };
        assert!(
            size <= 1 << 20,
            "fw_cfg's file {name} has {size} bytes: read it by DMA"
        );
        self.item(key, size as usize)
    }

    /// Writes the upper half of the DMA address register.
    #[track_caller]
    pub fn set_dma_high(&self, value: u32) {
        self.write_dma(0, value);
    }

    /// Writes the lower half of the DMA address register, which starts the operation.
    #[track_caller]
    pub fn set_dma_low(&self, value: u32) {
        self.write_dma(4, value);
    }

    #[track_caller]
    fn write_dma(&self, half: u16, value: u32) {
        let value = value.swap_bytes();
        match &self.window {
            Window::Io(io) => io.outl(IO.dma + half, value),
            Window::Mmio(mmio) => mmio.writel((MMIO.dma + half).into(), value),
            Window::Bytewise(..) => panic!("{WITHOUT_DMA}"),
        }
    }

    /// Starts the operation that the descriptor at `address` describes. The upper half is written only where it is not zero, which it
    /// is after each operation.
    #[track_caller]
    pub fn start_dma(&self, address: u64) {
        if address >> 32 != 0 {
            self.set_dma_high((address >> 32) as u32);
        }
        self.set_dma_low(address as u32);
    }

    /// What the DMA address register reads: `QEMU CFG`, if there is DMA.
    #[track_caller]
    pub fn dma_signature(&self) -> [u8; 8] {
        let halves = match &self.window {
            Window::Io(io) => [io.inl(IO.dma), io.inl(IO.dma + 4)],
            Window::Mmio(mmio) => [
                mmio.readl(MMIO.dma.into()),
                mmio.readl((MMIO.dma + 4).into()),
            ],
            Window::Bytewise(..) => panic!("{WITHOUT_DMA}"),
        };
        let [first, second] = halves.map(u32::to_le_bytes);
        let mut signature = [0; 8];
        signature[..4].copy_from_slice(&first);
        signature[4..].copy_from_slice(&second);
        signature
    }
}
