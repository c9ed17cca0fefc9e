//! Register windows: [`Pio`] for I/O ports, [`Mmio`] for memory-mapped registers.
//!
//! A window is a base on one machine. Offsets count bytes from that base. Writes are queued and cost no round trip; a read sends what
//! is queued and waits for its own answer.

use std::fmt;

use testjig_vm::Vm;

/// I/O ports from a base, as the x86 `in` and `out` instructions reach them.
#[derive(Clone)]
pub struct Pio {
    vm: Vm,
    base: u16,
}

impl Pio {
    /// The ports of `vm` from `base` on.
    pub fn new(vm: &Vm, base: u16) -> Self {
        Self {
            vm: vm.clone(),
            base,
        }
    }

    /// The first port.
    pub fn base(&self) -> u16 {
        self.base
    }

    /// The machine that these ports belong to.
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    /// Reads one byte from the port `offset` bytes above the base.
    #[track_caller]
    pub fn inb(&self, offset: u16) -> u8 {
        self.vm.inb(self.port(offset))
    }

    /// Reads two bytes from the port `offset` bytes above the base.
    #[track_caller]
    pub fn inw(&self, offset: u16) -> u16 {
        self.vm.inw(self.port(offset))
    }

    /// Reads four bytes from the port `offset` bytes above the base.
    #[track_caller]
    pub fn inl(&self, offset: u16) -> u32 {
        self.vm.inl(self.port(offset))
    }

    /// Reads one byte from the port `offset` bytes above the base, so many times as there is room. The reads are pipelined.
    #[track_caller]
    pub fn insb(&self, offset: u16, bytes: &mut [u8]) {
        self.vm.insb(self.port(offset), bytes);
    }

    /// Reads two bytes from the port `offset` bytes above the base, so many times as there is room. The reads are pipelined.
    #[track_caller]
    pub fn insw(&self, offset: u16, words: &mut [u16]) {
        self.vm.insw(self.port(offset), words);
    }

    /// Writes one byte to the port `offset` bytes above the base.
    #[track_caller]
    pub fn outb(&self, offset: u16, value: u8) {
        self.vm.outb(self.port(offset), value);
    }

    /// Writes two bytes to the port `offset` bytes above the base.
    #[track_caller]
    pub fn outw(&self, offset: u16, value: u16) {
        self.vm.outw(self.port(offset), value);
    }

    /// Writes four bytes to the port `offset` bytes above the base.
    #[track_caller]
    pub fn outl(&self, offset: u16, value: u32) {
        self.vm.outl(self.port(offset), value);
    }

    /// Panics when the window would wrap around the end of the port space: no device's registers do.
    #[track_caller]
    fn port(&self, offset: u16) -> u16 {
        match self.base.checked_add(offset) {
            Some(port) => port,
            None => panic!(
                "offset {offset:#x} from port {:#x} lies beyond port 0xffff",
                self.base
            ),
        }
    }
}

impl fmt::Debug for Pio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pio({:#x})", self.base)
    }
}

/// Memory-mapped registers from a guest physical base address, values in the byte order of the machine's processor.
#[derive(Clone)]
pub struct Mmio {
    vm: Vm,
    base: u64,
}

impl Mmio {
    /// The registers of `vm` from the guest physical address `base` on.
    pub fn new(vm: &Vm, base: u64) -> Self {
        Self {
            vm: vm.clone(),
            base,
        }
    }

    /// The guest physical address of the first register.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// The machine that these registers belong to.
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    /// Reads one byte, `offset` bytes above the base.
    #[track_caller]
    pub fn readb(&self, offset: u64) -> u8 {
        self.vm.readb(self.address(offset))
    }

    /// Reads two bytes, `offset` bytes above the base.
    #[track_caller]
    pub fn readw(&self, offset: u64) -> u16 {
        self.vm.readw(self.address(offset))
    }

    /// Reads four bytes, `offset` bytes above the base.
    #[track_caller]
    pub fn readl(&self, offset: u64) -> u32 {
        self.vm.readl(self.address(offset))
    }

    /// Reads eight bytes, `offset` bytes above the base.
    #[track_caller]
    pub fn readq(&self, offset: u64) -> u64 {
        self.vm.readq(self.address(offset))
    }

    /// Writes one byte, `offset` bytes above the base.
    #[track_caller]
    pub fn writeb(&self, offset: u64, value: u8) {
        self.vm.writeb(self.address(offset), value);
    }

    /// Writes two bytes, `offset` bytes above the base.
    #[track_caller]
    pub fn writew(&self, offset: u64, value: u16) {
        self.vm.writew(self.address(offset), value);
    }

    /// Writes four bytes, `offset` bytes above the base.
    #[track_caller]
    pub fn writel(&self, offset: u64, value: u32) {
        self.vm.writel(self.address(offset), value);
    }

    /// Writes eight bytes, `offset` bytes above the base.
    #[track_caller]
    pub fn writeq(&self, offset: u64, value: u64) {
        self.vm.writeq(self.address(offset), value);
    }

    /// Panics when the window would wrap around the end of the address space.
    #[track_caller]
    fn address(&self, offset: u64) -> u64 {
        match self.base.checked_add(offset) {
            Some(address) => address,
            None => panic!(
                "offset {offset:#x} from address {:#x} lies beyond the address space",
                self.base
            ),
        }
    }
}

impl fmt::Debug for Mmio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mmio({:#x})", self.base)
    }
}
