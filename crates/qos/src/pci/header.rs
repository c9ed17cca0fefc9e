//! The registers that every function has (PCI §6.1), and those of type 0 and type 1 headers.

use bitfield_struct::bitfield;

/// Vendor ID, 16 bits, read-only; 0xffff where no function answers.
pub const VENDOR_ID: u16 = 0x00;
/// Device ID, 16 bits, read-only.
pub const DEVICE_ID: u16 = 0x02;
/// Command, 16 bits: [`Command`].
pub const COMMAND: u16 = 0x04;
/// Status, 16 bits: [`Status`]; the error bits are cleared by writing 1 to them.
pub const STATUS: u16 = 0x06;
/// Revision ID, 8 bits, read-only.
pub const REVISION_ID: u16 = 0x08;
/// Class code, 24 bits, read-only: programming interface, sub-class, base class.
pub const CLASS_CODE: u16 = 0x09;
/// Cache line size, 8 bits, in dwords.
pub const CACHE_LINE_SIZE: u16 = 0x0c;
/// Master latency timer, 8 bits, in PCI clocks.
pub const LATENCY_TIMER: u16 = 0x0d;
/// Header type, 8 bits, read-only; bit 7 is set for a device of several functions.
pub const HEADER_TYPE: u16 = 0x0e;
/// Built-in self test, 8 bits.
pub const BIST: u16 = 0x0f;
/// The first of the six base address registers (two in a bridge), 32 bits each.
pub const BAR0: u16 = 0x10;
/// Subsystem vendor ID, 16 bits, read-only; type 0.
pub const SUBSYSTEM_VENDOR_ID: u16 = 0x2c;
/// Subsystem ID, 16 bits, read-only; type 0.
pub const SUBSYSTEM_ID: u16 = 0x2e;
/// Expansion ROM base address, 32 bits; type 0.
pub const ROM: u16 = 0x30;
/// Offset of the first capability, 8 bits, read-only.
pub const CAPABILITIES: u16 = 0x34;
/// Interrupt line, 8 bits: a note of the firmware for the driver.
pub const INTERRUPT_LINE: u16 = 0x3c;
/// Interrupt pin, 8 bits, read-only; 0 is none, 1 INTA#.
pub const INTERRUPT_PIN: u16 = 0x3d;
/// The first byte that the header leaves to the device.
pub const DEVICE_SPECIFIC: u16 = 0x40;

/// Primary bus number, 8 bits; type 1 (P2P §3.2.5), as all that follow.
pub const PRIMARY_BUS: u16 = 0x18;
/// Secondary bus number, 8 bits.
pub const SECONDARY_BUS: u16 = 0x19;
/// Subordinate bus number, 8 bits.
pub const SUBORDINATE_BUS: u16 = 0x1a;
/// I/O base and, in the next byte, limit: address bits 15–12 in bits 7–4.
pub const IO_BASE: u16 = 0x1c;
/// Secondary status, 16 bits.
pub const SECONDARY_STATUS: u16 = 0x1e;
/// Memory base and, in the next word, limit: address bits 31–20 in bits 15–4.
pub const MEMORY_BASE: u16 = 0x20;
/// Prefetchable memory base and, in the next word, limit: address bits 31–20 in bits 15–4.
pub const PREFETCHABLE_BASE: u16 = 0x24;
/// Upper 32 bits of the prefetchable memory base.
pub const PREFETCHABLE_BASE_UPPER: u16 = 0x28;
/// Upper 32 bits of the prefetchable memory limit.
pub const PREFETCHABLE_LIMIT_UPPER: u16 = 0x2c;
/// Upper 16 bits of the I/O base and, in the next word, limit.
pub const IO_BASE_UPPER: u16 = 0x30;
/// Expansion ROM base address, 32 bits; type 1.
pub const BRIDGE_ROM: u16 = 0x38;
/// Bridge control, 16 bits: [`BridgeControl`].
pub const BRIDGE_CONTROL: u16 = 0x3e;

/// Command register (PCI §6.2.2).
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct Command {
    /// Answers to I/O space accesses.
    pub io: bool,
    /// Answers to memory space accesses.
    pub memory: bool,
    /// May act as a bus master.
    pub bus_master: bool,
    /// Monitors special cycles.
    pub special_cycles: bool,
    /// May use Memory Write and Invalidate.
    pub write_and_invalidate: bool,
    /// Snoops palette writes.
    pub palette_snoop: bool,
    /// Responds to parity errors.
    pub parity_response: bool,
    /// Address stepping.
    pub stepping: bool,
    /// May drive SERR#.
    pub serr: bool,
    /// May do fast back-to-back transactions.
    pub fast_back_to_back: bool,
    /// Must not assert INTx#.
    pub interrupt_disable: bool,
    #[bits(5)]
    __: u8,
}

/// Status register (PCI §6.2.3). Bits 8 and 11–15 are cleared by writing 1 to them; the others are read-only.
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct Status {
    #[bits(3)]
    __: u8,
    /// The function would assert INTx#, whatever the command register says.
    pub interrupt: bool,
    /// There is a list of capabilities.
    pub capabilities: bool,
    /// Can run at 66 MHz.
    pub mhz66: bool,
    __: bool,
    /// Can take fast back-to-back transactions.
    pub fast_back_to_back: bool,
    /// As a master: a data parity error was seen.
    pub master_parity_error: bool,
    /// DEVSEL timing: 0 fast, 1 medium, 2 slow.
    #[bits(2)]
    pub devsel: u8,
    /// As a target: ended a transaction with target abort.
    pub signaled_target_abort: bool,
    /// As a master: a transaction was ended with target abort.
    pub received_target_abort: bool,
    /// As a master: a transaction was ended with master abort.
    pub received_master_abort: bool,
    /// Asserted SERR#.
    pub signaled_system_error: bool,
    /// Detected a parity error.
    pub parity_error: bool,
}

/// Bridge control register (P2P §3.2.5.18).
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct BridgeControl {
    /// Responds to parity errors on the secondary bus.
    pub parity_response: bool,
    /// Forwards SERR# from the secondary bus.
    pub serr: bool,
    /// Blocks the upper 768 bytes of each 1 KiB of I/O.
    pub isa: bool,
    /// Forwards VGA addresses.
    pub vga: bool,
    /// Decodes 16 bits of VGA I/O addresses.
    pub vga_16_bit: bool,
    /// Ends with target abort what was aborted by the master.
    pub master_abort_mode: bool,
    /// Holds the secondary bus in reset.
    pub secondary_bus_reset: bool,
    /// Can do fast back-to-back transactions on the secondary bus.
    pub fast_back_to_back: bool,
    #[bits(8)]
    __: u8,
}
