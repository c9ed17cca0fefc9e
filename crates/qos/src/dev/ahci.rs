//! Advanced Host Controller Interface: Serial ATA, by a command list in memory for each port.
//!
//! Sources: *Serial ATA Advanced Host Controller Interface (AHCI)* 1.3.1, cited by section; *Serial ATA* 3.0 for FISes; ATA/ATAPI for
//! the commands in them.
//!
//! Registers are memory at BAR 5, dwords: [`HostReg`], and from 100h on 80h bytes of [`PortReg`] a port. A [`Engine`] is a port that
//! runs, with its command list and its area for received FISes.
//!
//! ```no_run
//! use testjig_qos::dev::ahci::{Ahci, Request};
//! use testjig_qos::dev::ata::{Address, Command, Taskfile};
//! use testjig_qos::mem::GuestAlloc;
//! use testjig_qos::pci::Pci;
//! # fn example(vm: &testjig_vm::Vm) {
//! let hba = Ahci::find(&Pci::q35(vm));
//! let port = hba.port(0).start();
//! let data = GuestAlloc::of(vm).buf(512);
//! let task = Taskfile::new(Command::READ_DMA_EXT).at(Address::Lba48(0)).count(1);
//! let request = Request::new(&task, &[port.descriptor(&data)]);
//! assert!(port.execute(&request).is_good());
//! # }
//! ```

mod command;
mod decode;
mod regs;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use testjig_vm::{Condition, Vm};

pub use self::command::{Descriptor, Header, Options, PACKET, RegisterFis, Request, TABLE_HEAD};
pub use self::decode::Decoder;
pub use self::regs::{Cap, Cmd, Ghc, HostReg, PORT_LEN, PORTS, PortInterrupt, PortReg, Sctl, Ssts};
use crate::dev::ata::{Error, Status};
use crate::mem::{GuestAlloc, GuestBuf, IntoBytes};
use crate::pci::{Bar, Function, Pci};

/// How long, of the host's time, a command may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Offsets in the area of received FISes (§4.2.1).
pub mod received {
    /// DMA setup FIS.
    pub const DMA_SETUP: u64 = 0x00;
    /// PIO setup FIS.
    pub const PIO_SETUP: u64 = 0x20;
    /// Register FIS from the device.
    pub const REGISTER: u64 = 0x40;
    /// Set device bits FIS.
    pub const DEVICE_BITS: u64 = 0x58;
    /// Unknown FIS.
    pub const UNKNOWN: u64 = 0x60;
}

/// The HBA.
#[derive(Clone, Debug)]
pub struct Ahci {
    function: Function,
    bar: Bar,
}

impl Ahci {
    /// Class code: mass storage, SATA; the programming interface is 01h.
    pub const CLASS: u16 = 0x0106;

    /// The machine's first HBA: BAR 5 mapped, bus mastering enabled, no register of its own touched.
    ///
    /// # Panics
    /// If there is none.
    #[track_caller]
    pub fn find(pci: &Pci) -> Self {
        let functions = pci.of_class(Self::CLASS);
        let Some(function) = functions.into_iter().next() else {
            panic!("no function of class {:#06x} on the bus", Self::CLASS);
        };
        Self::new(function)
    }

    /// The HBA that is this function.
    #[track_caller]
    pub fn new(function: Function) -> Self {
        let bar = function.iomap(5);
        function.enable_bus_master();
        Self { function, bar }
    }

    /// A decoder for the failure report.
    pub fn decoder() -> Decoder {
        Decoder::default()
    }

    /// Its configuration space.
    pub fn function(&self) -> &Function {
        &self.function
    }

    /// Its registers.
    pub fn bar(&self) -> &Bar {
        &self.bar
    }

    /// The machine.
    pub fn vm(&self) -> &Vm {
        self.function.vm()
    }

    /// Reads a host register.
    #[track_caller]
    pub fn read(&self, reg: HostReg) -> u32 {
        self.bar.read(reg as u64)
    }

    /// Writes a host register.
    #[track_caller]
    pub fn write(&self, reg: HostReg, value: u32) {
        self.bar.write(reg as u64, value);
    }

    /// CAP.
    #[track_caller]
    pub fn cap(&self) -> Cap {
        self.read(HostReg::Cap).into()
    }

    /// GHC.
    #[track_caller]
    pub fn ghc(&self) -> Ghc {
        self.read(HostReg::Ghc).into()
    }

    /// Writes GHC.
    #[track_caller]
    pub fn set_ghc(&self, ghc: Ghc) {
        self.write(HostReg::Ghc, ghc.into());
    }

    /// Enables the HBA's interrupts.
    #[track_caller]
    pub fn enable_interrupts(&self) {
        self.set_ghc(self.ghc().with_interrupts(true));
    }

    /// HBA reset (§10.4.3), and waits for its end.
    #[track_caller]
    pub fn reset(&self) {
        self.set_ghc(self.ghc().with_reset(true));
        let done = Condition::new("GHC.HR clear", || !self.ghc().reset());
        self.vm().wait_until(done, PATIENCE);
    }

    /// A port, 0–31, whether it is implemented or not.
    pub fn port(&self, number: u8) -> Port {
        Port {
            hba: self.clone(),
            number,
        }
    }
}

/// The registers of a port.
#[derive(Clone, Debug)]
pub struct Port {
    hba: Ahci,
    number: u8,
}

impl Port {
    /// Its HBA.
    pub fn hba(&self) -> &Ahci {
        &self.hba
    }

    /// Offset of one of its registers in BAR 5.
    pub fn offset(&self, reg: PortReg) -> u64 {
        PORTS + u64::from(self.number) * PORT_LEN + reg as u64
    }

    /// Reads a register.
    #[track_caller]
    pub fn read(&self, reg: PortReg) -> u32 {
        self.hba.bar.read(self.offset(reg))
    }

    /// Writes a register.
    #[track_caller]
    pub fn write(&self, reg: PortReg, value: u32) {
        self.hba.bar.write(self.offset(reg), value);
    }

    /// PxCMD.
    #[track_caller]
    pub fn cmd(&self) -> Cmd {
        self.read(PortReg::Cmd).into()
    }

    /// Changes PxCMD.
    #[track_caller]
    pub fn change_cmd(&self, change: impl FnOnce(Cmd) -> Cmd) {
        self.write(PortReg::Cmd, change(self.cmd()).into());
    }

    /// PxIS.
    #[track_caller]
    pub fn interrupts(&self) -> PortInterrupt {
        self.read(PortReg::Is).into()
    }

    /// Clears bits of PxIS.
    #[track_caller]
    pub fn clear_interrupts(&self, interrupts: PortInterrupt) {
        self.write(PortReg::Is, interrupts.into());
    }

    /// Writes PxIE.
    #[track_caller]
    pub fn enable_interrupts(&self, interrupts: PortInterrupt) {
        self.write(PortReg::Ie, interrupts.into());
    }

    /// PxTFD: status and error of the device.
    #[track_caller]
    pub fn task_file(&self) -> (Status, Error) {
        let [status, error, _, _] = self.read(PortReg::Tfd).to_le_bytes();
        (status.into(), error.into())
    }

    /// PxSSTS.
    #[track_caller]
    pub fn ssts(&self) -> Ssts {
        self.read(PortReg::Ssts).into()
    }

    /// Writes addresses of command list and FIS area.
    #[track_caller]
    pub fn set_bases(&self, list: u64, fis: u64) {
        for (low, high, address) in [
            (PortReg::Clb, PortReg::Clbu, list),
            (PortReg::Fb, PortReg::Fbu, fis),
        ] {
            self.write(low, address as u32);
            self.write(high, (address >> 32) as u32);
        }
    }

    /// Starts it with a command list and a FIS area of its own, both below 4 GiB (§10.3).
    #[track_caller]
    pub fn start(self) -> Engine {
        let alloc = GuestAlloc::of(self.hba.vm());
        let list = alloc.request(1024).align(1024).below(1 << 32).buf();
        let fis = alloc.request(256).align(256).below(1 << 32).buf();
        list.fill(0);
        fis.fill(0);
        self.set_bases(list.addr(), fis.addr());
        self.change_cmd(|cmd| cmd.with_receive(true));
        self.write(PortReg::Serr, u32::MAX);
        self.clear_interrupts(PortInterrupt::ALL);
        self.change_cmd(|cmd| cmd.with_start(true));
        Engine {
            port: self,
            list,
            fis,
            tables: RefCell::default(),
        }
    }

    /// Port reset (§10.4.2): COMRESET, and waits until the device is there again.
    #[track_caller]
    pub fn reset(&self) {
        let sctl = Sctl::from(self.read(PortReg::Sctl));
        self.write(PortReg::Sctl, sctl.with_detection(1).into());
        self.write(PortReg::Sctl, sctl.with_detection(0).into());
        let there = Condition::new("PxSSTS.DET 3", || self.ssts().detection() == 3)
            .seeing(|| format!("{:?}", self.ssts()));
        self.hba.vm().wait_until(there, PATIENCE);
    }
}

/// A port that runs. It owns the memory that the HBA uses, so stop it before it is dropped, or let the machine end.
#[derive(Debug)]
pub struct Engine {
    port: Port,
    list: GuestBuf,
    fis: GuestBuf,
    tables: RefCell<BTreeMap<u8, GuestBuf>>,
}

/// What a command came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Status from PxTFD.
    pub status: Status,
    /// Error from PxTFD.
    pub error: Error,
    /// PxIS.
    pub interrupts: PortInterrupt,
    /// PRDBC of the command's header.
    pub moved: u32,
    /// Whether its bit of PxCI is still set.
    pub issued: bool,
}

impl Outcome {
    /// Ended, without an error.
    pub fn is_good(&self) -> bool {
        !self.issued && !self.status.err() && !self.status.busy() && !self.status.drq()
    }
}

impl Engine {
    /// The port's registers.
    pub fn port(&self) -> &Port {
        &self.port
    }

    /// The command list: 32 [`Header`]s.
    pub fn list(&self) -> &GuestBuf {
        &self.list
    }

    /// Received FISes, by the offsets of [`received`].
    pub fn fis(&self) -> &GuestBuf {
        &self.fis
    }

    /// A received FIS.
    #[track_caller]
    pub fn received(&self, offset: u64) -> [u8; 20] {
        let mut fis = [0; 20];
        self.fis.read(offset, &mut fis);
        fis
    }

    /// The header of a slot, 0–31.
    #[track_caller]
    pub fn header(&self, slot: u8) -> Header {
        self.list.read_as(u64::from(slot) * 32)
    }

    /// Replaces the header of a slot.
    #[track_caller]
    pub fn set_header(&self, slot: u8, header: Header) {
        self.list.write_as(u64::from(slot) * 32, &header);
    }

    /// A descriptor for all of a buffer.
    pub fn descriptor(&self, buffer: &GuestBuf) -> Descriptor {
        Descriptor::new(buffer.addr(), buffer.len() as u32)
    }

    /// Writes a request's table and header, and does not issue it.
    #[track_caller]
    pub fn prepare(&self, slot: u8, request: &Request) {
        let descriptors = request.descriptors.as_bytes();
        let alloc = GuestAlloc::of(self.port.hba.vm());
        let wish = alloc.request(TABLE_HEAD + descriptors.len() as u64);
        let table = wish.align(128).below(1 << 32).buf();
        table.fill(0);
        table.write(0, &request.fis.0);
        if let Some(packet) = request.packet {
            table.write(PACKET, &packet.0);
        }
        table.write(TABLE_HEAD, descriptors);
        let header = Header {
            options: request.options.into_bits().into(),
            descriptors: (request.descriptors.len() as u16).into(),
            moved: 0.into(),
            table: table.addr().into(),
            reserved: Default::default(),
        };
        self.set_header(slot, header);
        self.tables.borrow_mut().insert(slot, table);
    }

    /// The command table of a slot that was prepared.
    ///
    /// # Panics
    /// If it was not.
    #[track_caller]
    pub fn with_table<R>(&self, slot: u8, act: impl FnOnce(&GuestBuf) -> R) -> R {
        act(&self.tables.borrow()[&slot])
    }

    /// Writes PxCI.
    #[track_caller]
    pub fn issue(&self, slots: u32) {
        self.port.write(PortReg::Ci, slots);
    }

    /// Waits until the bits of these slots in PxCI and PxSACT are clear, or PxIS tells that a command has failed.
    ///
    /// Not PxTFD: before a command has got to the device it shows how the last one ended.
    #[track_caller]
    pub fn wait(&self, slots: u32) {
        let port = &self.port;
        let pending = || port.read(PortReg::Ci) | port.read(PortReg::Sact);
        let done = Condition::new(format!("commands {slots:#x} done"), || {
            pending() & slots == 0 || port.interrupts().task_file()
        })
        .seeing(|| {
            format!(
                "PxCI|PxSACT {:#x}, task file {:?}",
                pending(),
                port.task_file()
            )
        });
        port.hba.vm().wait_until(done, PATIENCE);
    }

    /// What became of the command in a slot.
    #[track_caller]
    pub fn outcome(&self, slot: u8) -> Outcome {
        let (status, error) = self.port.task_file();
        Outcome {
            status,
            error,
            interrupts: self.port.interrupts(),
            moved: self.header(slot).moved.get(),
            issued: self.port.read(PortReg::Ci) & 1 << slot != 0,
        }
    }

    /// Prepares a request in slot 0, clears PxIS, issues it and waits for its end.
    #[track_caller]
    pub fn execute(&self, request: &Request) -> Outcome {
        self.execute_in(0, request)
    }

    /// As [`execute`](Self::execute), in another slot.
    #[track_caller]
    pub fn execute_in(&self, slot: u8, request: &Request) -> Outcome {
        self.prepare(slot, request);
        self.port.clear_interrupts(PortInterrupt::ALL);
        self.issue(1 << slot);
        self.wait(1 << slot);
        self.outcome(slot)
    }

    /// Clears ST, and waits until the command list engine stands.
    #[track_caller]
    pub fn stop(&self) {
        self.port.change_cmd(|cmd| cmd.with_start(false));
        let stands = Condition::new("PxCMD.CR clear", || !self.port.cmd().running());
        self.port.hba.vm().wait_until(stands, PATIENCE);
    }

    /// What software does after an error (§6.2.2.1): stops, clears PxSERR and PxIS, starts.
    #[track_caller]
    pub fn recover(&self) {
        self.stop();
        self.port.write(PortReg::Serr, u32::MAX);
        self.port.clear_interrupts(PortInterrupt::ALL);
        self.port.change_cmd(|cmd| cmd.with_start(true));
    }
}
