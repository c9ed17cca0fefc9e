//! DMA with a descriptor and a buffer of its own.

use testjig_vm::Vm;

use super::{Control, DmaAccess, FwCfg};

/// Runs DMA operations with a descriptor and a buffer in the machine's RAM.
///
/// ```no_run
/// use testjig_qos::dev::fw_cfg::{Control, Dma, FwCfg, Key};
/// # fn example(vm: &testjig_vm::Vm) {
/// let dma = Dma::new(&FwCfg::io(vm));
/// assert_eq!(dma.run(Control::READ.of(Key::SIGNATURE), 4), Control::DONE);
/// assert_eq!(dma.buffer(5), b"QEMU\xaa");
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Dma {
    fw: FwCfg,
    base: u64,
}

impl Dma {
    /// What the buffer is filled with at first.
    pub const FILL: u8 = 0xaa;
    /// Bytes of the buffer: more than any item of a bare machine.
    pub const BUFFER_LEN: u32 = 0x8_0000;

    /// Descriptor and buffer in the machine's second MiB of RAM. The buffer is filled with [`FILL`](Self::FILL).
    #[track_caller]
    pub fn new(fw: &FwCfg) -> Self {
        let dma = Self {
            fw: fw.clone(),
            base: (1 << 20)
                + fw.vm()
                    .ram()
                    .regions()
                    .first()
                    .map_or(0, |region| region.base),
        };
        dma.clear();
        dma
    }

    fn vm(&self) -> &Vm {
        self.fw.vm()
    }

    /// Guest-physical address of the descriptor.
    pub fn descriptor_address(&self) -> u64 {
        self.base
    }

    /// Guest-physical address of the buffer.
    pub fn buffer_address(&self) -> u64 {
        self.base + 0x1000
    }

    /// Fills the buffer anew.
    #[track_caller]
    pub fn clear(&self) {
        self.vm()
            .ram()
            .fill(self.buffer_address(), Self::BUFFER_LEN as usize, Self::FILL);
    }

    /// The first bytes of the buffer.
    #[track_caller]
    pub fn buffer(&self, len: usize) -> Vec<u8> {
        self.vm().ram().read_vec(self.buffer_address(), len)
    }

    /// Puts bytes into the buffer.
    #[track_caller]
    pub fn set_buffer(&self, bytes: &[u8]) {
        self.vm().ram().write(self.buffer_address(), bytes);
    }

    /// Writes the descriptor, and starts nothing.
    #[track_caller]
    pub fn prepare(&self, access: DmaAccess) {
        self.vm()
            .ram()
            .write(self.descriptor_address(), &access.to_bytes());
    }

    /// The control field as it stands in the descriptor.
    #[track_caller]
    pub fn control(&self) -> Control {
        self.vm()
            .ram()
            .read_be::<u32>(self.descriptor_address())
            .into()
    }

    /// Runs an operation on the buffer; returns what its control field is then.
    #[track_caller]
    pub fn run(&self, control: Control, length: u32) -> Control {
        self.run_at(control, length, self.buffer_address())
    }

    /// Runs an operation on `length` bytes at any guest-physical address; returns what its control field is then.
    #[track_caller]
    pub fn run_at(&self, control: Control, length: u32, address: u64) -> Control {
        self.prepare(DmaAccess {
            control,
            length,
            address,
        });
        self.fw.start_dma(self.descriptor_address());
        self.control()
    }

    /// Reads `len` bytes of an item, at most [`BUFFER_LEN`](Self::BUFFER_LEN).
    ///
    /// # Panics
    /// If the device reports an error.
    #[track_caller]
    pub fn read(&self, key: super::Key, len: u32) -> Vec<u8> {
        assert!(
            len <= Self::BUFFER_LEN,
            "the buffer holds {} bytes",
            Self::BUFFER_LEN
        );
        let control = self.run(Control::READ.of(key), len);
        assert_eq!(
            control,
            Control::DONE,
            "reading {len} bytes of {key} by DMA"
        );
        self.buffer(len as usize)
    }

    /// Writes an item from its first byte on; returns what the control field is then.
    #[track_caller]
    pub fn write(&self, key: super::Key, bytes: &[u8]) -> Control {
        self.set_buffer(bytes);
        self.run(Control::WRITE.of(key), bytes.len() as u32)
    }
}
