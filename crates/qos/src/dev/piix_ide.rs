//! IDE function of Intel's PIIX3 and PIIX4: two channels at the ports of the PC/AT, and a bus master for each.
//!
//! Sources: *82371FB (PIIX) and 82371SB (PIIX3) PCI ISA IDE Xcelerator*, Intel order number 290550, and *82371AB (PIIX4)*, 290562;
//! *Programming Interface for Bus Master IDE Controller*, revision 1.0.
//!
//! | offset in BAR 4 | register | width |
//! |---|---|---|
//! | 0 | BMICOM: bus master command | 8 |
//! | 2 | BMISTA: bus master status | 8 |
//! | 4 | BMIDTP: descriptor table pointer | 32 |
//!
//! The secondary channel's are 8 bytes above. A transfer takes these steps (*Programming Interface*, §3.1): the table of [`Prd`]s, its
//! address, the direction, the device's command, [`start`](BusMaster::start), the interrupt, [`stop`](BusMaster::stop), the status.
//!
//! ```no_run
//! use testjig_qos::dev::ata::{Address, Command, Taskfile};
//! use testjig_qos::dev::piix_ide::{Direction, PiixIde, Prd};
//! use testjig_qos::mem::GuestAlloc;
//! use testjig_qos::pci::Pci;
//! # fn example(vm: &testjig_vm::Vm) {
//! let ide = PiixIde::find(&Pci::pc(vm));
//! let data = GuestAlloc::of(vm).buf(512);
//! let table = ide.table(&[Prd::last(data.addr() as u32, 512)]);
//! let task = Taskfile::new(Command::READ_DMA).at(Address::Lba28(0)).count(1);
//! ide.primary().bus_master.transfer(&ide.primary().ata, &task, &table, Direction::ToMemory);
//! # }
//! ```

mod decode;

use std::time::Duration;

use bitfield_struct::bitfield;
use testjig_vm::{Condition, Vm};

pub use self::decode::Decoder;
use crate::dev::ata::{Channel, Ending, Taskfile};
use crate::mem::{FromBytes, GuestAlloc, GuestSlice, Immutable, IntoBytes, KnownLayout, le};
use crate::pci::{Bar, Function, Pci};

/// How long, of the host's time, a transfer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// BMICOM, the bus master command register.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct BmCommand {
    /// SSBM: starts the bus master; clearing it ends the transfer.
    pub start: bool,
    #[bits(2)]
    __: u8,
    /// RWCON: the bus master writes memory, that is, the device is read.
    pub to_memory: bool,
    #[bits(4)]
    __: u8,
}

/// BMISTA, the bus master status register.
#[bitfield(u8)]
#[derive(PartialEq, Eq)]
pub struct BmStatus {
    /// BMIDEA: the bus master is active: started, and not at the end of its table. Read-only.
    pub active: bool,
    /// A target or master abort ended the transfer. Cleared by writing 1.
    pub error: bool,
    /// The device has asserted its interrupt. Cleared by writing 1.
    pub interrupt: bool,
    #[bits(2)]
    __: u8,
    /// Device 0 can do DMA: a note of the firmware for the driver.
    pub device0_capable: bool,
    /// Device 1 can do DMA.
    pub device1_capable: bool,
    /// Only one of the two channels can be used at a time. Read-only, zero.
    pub simplex: bool,
}

/// A physical region descriptor: a part of the buffer of a transfer.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Prd {
    /// Physical address of the part, even.
    pub base: le::U32,
    /// Its length in bytes, even; 0 is 64 KiB. No part crosses a multiple of 64 KiB.
    pub count: le::U16,
    /// [`Prd::END`], or 0.
    pub flags: le::U16,
}

impl Prd {
    /// EOT: the last of its table.
    pub const END: u16 = 0x8000;

    /// One that another follows.
    pub fn new(base: u32, count: u16) -> Self {
        Self {
            base: base.into(),
            count: count.into(),
            flags: 0.into(),
        }
    }

    /// The last one.
    pub fn last(base: u32, count: u16) -> Self {
        Self {
            flags: Self::END.into(),
            ..Self::new(base, count)
        }
    }
}

/// Which way data goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the device: a read.
    ToMemory,
    /// To the device: a write.
    FromMemory,
}

/// The function.
#[derive(Clone, Debug)]
pub struct PiixIde {
    function: Function,
    bar: Bar,
}

/// One of its channels.
#[derive(Clone, Debug)]
pub struct Port {
    /// Command block and control block.
    pub ata: Channel,
    /// The bus master of the channel.
    pub bus_master: BusMaster,
}

impl PiixIde {
    /// Class code, without the programming interface: mass storage, IDE.
    pub const CLASS: u16 = 0x0101;

    /// The machine's IDE function, its BAR 4 mapped and bus mastering enabled.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn find(pci: &Pci) -> Self {
        let functions = pci.of_class(Self::CLASS);
        let Some(function) = functions.into_iter().next() else {
            panic!("no function of class {:#06x} on the bus", Self::CLASS);
        };
        let bar = function.iomap(4);
        function.enable_bus_master();
        Self { function, bar }
    }

    /// A decoder for the failure report.
    pub fn decoder() -> Decoder {
        Decoder::new()
    }

    /// Its configuration space.
    pub fn function(&self) -> &Function {
        &self.function
    }

    /// The bus master registers.
    pub fn bar(&self) -> &Bar {
        &self.bar
    }

    /// The machine.
    pub fn vm(&self) -> &Vm {
        self.function.vm()
    }

    /// The primary channel.
    pub fn primary(&self) -> Port {
        self.port(Channel::primary(self.vm()), 0)
    }

    /// The secondary channel.
    pub fn secondary(&self) -> Port {
        self.port(Channel::secondary(self.vm()), 8)
    }

    fn port(&self, ata: Channel, offset: u64) -> Port {
        Port {
            ata,
            bus_master: BusMaster {
                bar: self.bar.clone(),
                offset,
            },
        }
    }

    /// A descriptor table in guest memory: below 4 GiB, on a dword, and not across a multiple of 64 KiB.
    #[track_caller]
    pub fn table(&self, descriptors: &[Prd]) -> GuestSlice<Prd> {
        let len = size_of_val(descriptors) as u64;
        let request = GuestAlloc::of(self.vm()).request(len);
        let table = request.align(4).below(1 << 32).within(0x1_0000).slice();
        table.set_all(descriptors);
        table
    }
}

/// The bus master of one channel.
#[derive(Clone, Debug)]
pub struct BusMaster {
    bar: Bar,
    offset: u64,
}

impl BusMaster {
    /// Offset of BMICOM.
    pub const COMMAND: u64 = 0;
    /// Offset of BMISTA.
    pub const STATUS: u64 = 2;
    /// Offset of BMIDTP.
    pub const TABLE: u64 = 4;

    /// The mapped registers, and where in them this channel's begin.
    pub fn registers(&self) -> (&Bar, u64) {
        (&self.bar, self.offset)
    }

    /// BMICOM.
    #[track_caller]
    pub fn command(&self) -> BmCommand {
        self.bar.read::<u8>(self.offset + Self::COMMAND).into()
    }

    /// Writes BMICOM.
    #[track_caller]
    pub fn set_command(&self, command: BmCommand) {
        self.bar
            .write::<u8>(self.offset + Self::COMMAND, command.into());
    }

    /// BMISTA.
    #[track_caller]
    pub fn status(&self) -> BmStatus {
        self.bar.read::<u8>(self.offset + Self::STATUS).into()
    }

    /// Writes BMISTA.
    #[track_caller]
    pub fn set_status(&self, status: BmStatus) {
        self.bar
            .write::<u8>(self.offset + Self::STATUS, status.into());
    }

    /// BMIDTP.
    #[track_caller]
    pub fn table(&self) -> u32 {
        self.bar.read(self.offset + Self::TABLE)
    }

    /// Writes BMIDTP; bits 1:0 are read-only.
    #[track_caller]
    pub fn set_table(&self, address: u32) {
        self.bar.write(self.offset + Self::TABLE, address);
    }

    /// Table and direction, and clears error and interrupt.
    #[track_caller]
    pub fn prepare(&self, table: &GuestSlice<Prd>, direction: Direction) {
        self.set_table(table.addr() as u32);
        self.set_command(BmCommand::new().with_to_memory(direction == Direction::ToMemory));
        self.set_status(BmStatus::new().with_error(true).with_interrupt(true));
    }

    /// Sets SSBM; the direction stays.
    #[track_caller]
    pub fn start(&self) {
        self.set_command(self.command().with_start(true));
    }

    /// Clears SSBM; the direction stays.
    #[track_caller]
    pub fn stop(&self) {
        self.set_command(self.command().with_start(false));
    }

    /// Waits for the interrupt bit, or until the bus master is no longer active, and answers the status.
    #[track_caller]
    pub fn wait(&self) -> BmStatus {
        let done = Condition::new("bus master done", || {
            let status = self.status();
            status.interrupt() || !status.active()
        })
        .seeing(|| format!("{:?}", self.status()));
        self.bar.vm().wait_until(done, PATIENCE);
        self.status()
    }

    /// A whole transfer: prepares, issues `task`, starts, waits and stops. Answers the bus master's status before it was stopped, and
    /// what the command block shows.
    #[track_caller]
    pub fn transfer(
        &self,
        ata: &Channel,
        task: &Taskfile,
        table: &GuestSlice<Prd>,
        direction: Direction,
    ) -> (BmStatus, Ending) {
        self.prepare(table, direction);
        ata.issue(task);
        self.start();
        let status = self.wait();
        self.stop();
        (status, ata.ending())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_where_the_data_sheet_has_them() {
        assert_eq!(BmCommand::new().with_start(true).into_bits(), 0x01);
        assert_eq!(BmCommand::new().with_to_memory(true).into_bits(), 0x08);
        assert_eq!(BmStatus::new().with_interrupt(true).into_bits(), 0x04);
        assert_eq!(BmStatus::new().with_device0_capable(true).into_bits(), 0x20);
        assert_eq!(BmStatus::new().with_simplex(true).into_bits(), 0x80);
    }

    #[test]
    fn a_descriptor_is_eight_bytes() {
        let bytes = Prd::last(0x1234_5678, 0x9abc);
        assert_eq!(
            bytes.as_bytes(),
            [0x78, 0x56, 0x34, 0x12, 0xbc, 0x9a, 0x00, 0x80]
        );
    }
}
