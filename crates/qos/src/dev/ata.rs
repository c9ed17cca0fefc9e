//! AT Attachment: hard disks and CD-ROM drives on two devices a channel, by their command and control block registers.
//!
//! Sources: *AT Attachment with Packet Interface – 6* (T13/1410D) for the registers and most commands; ATA-3 and ATA/ATAPI-5 for what
//! it dropped, ATA8-ACS for what came later. They are cited by standard and name of the register or command.
//!
//! | port | read | write |
//! |---|---|---|
//! | 0x1f0 | data, 16 bits | data, 16 bits |
//! | 0x1f1 | error | features |
//! | 0x1f2 | sector count | sector count |
//! | 0x1f3 – 0x1f5 | LBA low, mid, high | LBA low, mid, high |
//! | 0x1f6 | device | device |
//! | 0x1f7 | status; acknowledges the interrupt | command |
//! | 0x3f6 | alternate status | device control |
//!
//! The secondary channel has 0x170 to 0x177 and 0x376.
//!
//! ```no_run
//! use testjig_qos::dev::ata::{Address, Channel, Command, Taskfile, Unit};
//! # fn example(vm: &testjig_vm::Vm) {
//! let ide = Channel::primary(vm);
//! assert!(ide.identify(Unit::Device0).lba28_sectors() > 63);
//! let read = Taskfile::new(Command::READ_SECTORS).at(Address::Lba28(63)).count(1);
//! assert_eq!(ide.pio_in(&read, 512).len(), 512);
//! # }
//! ```

mod command;
mod decode;
mod identify;
pub mod regs;

use std::time::Duration;

use testjig_vm::{Condition, Pin, Vm};

pub use self::command::{Address, Command, Taskfile};
pub use self::decode::Decoder;
pub use self::identify::{Chs, CommandSet1, CommandSet2, CommandSet3, Identify, SectorSizes};
pub use self::regs::{DeviceControl, DeviceReg, Error, Reg, Signature, Status, Unit};

use crate::bus::Pio;

/// Bytes of a sector.
pub const SECTOR: usize = 512;

/// How long, of the host's time, a device may be busy: it waits for a disk of the host, not for the virtual clock.
const PATIENCE: Duration = Duration::from_secs(10);

/// One channel: two devices that share command block, control block and interrupt.
#[derive(Clone, Debug)]
pub struct Channel {
    command: Pio,
    control: Pio,
    irq: u32,
}

/// What the command block shows when a command has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Status, as the alternate status register has it: the interrupt is not acknowledged.
    pub status: Status,
    /// Error.
    pub error: Error,
    /// Sector Count.
    pub count: u8,
    /// LBA Low, Mid and High.
    pub lba: [u8; 3],
    /// Device.
    pub device: DeviceReg,
}

impl Ending {
    /// LBA 27:0 as a 28-bit command leaves it.
    pub fn lba28(&self) -> u32 {
        let [low, mid, high] = self.lba;
        u32::from_le_bytes([low, mid, high, self.device.head()])
    }

    /// Cylinder, head and sector as a command with such an address leaves them.
    pub fn chs(&self) -> (u16, u8, u8) {
        let [sector, low, high] = self.lba;
        (u16::from_le_bytes([low, high]), self.device.head(), sector)
    }

    /// Whether the command ended well: ready, and neither an error nor a transfer pending.
    pub fn is_good(&self) -> bool {
        self.status.ready() && !self.status.err() && !self.status.drq() && !self.status.fault()
    }

    /// Whether the device refused the command: ERR and, as the reason, ABRT alone.
    pub fn is_aborted(&self) -> bool {
        self.status.err() && !self.status.drq() && self.error == Error::new().with_aborted(true)
    }
}

impl Channel {
    /// Port of the primary channel's command block.
    pub const PRIMARY: u16 = 0x1f0;
    /// Port of the secondary channel's command block.
    pub const SECONDARY: u16 = 0x170;
    /// The control block's port is so far above the command block's on a PC.
    const CONTROL: u16 = 0x206;

    /// The PC's primary channel. Touches nothing.
    pub fn primary(vm: &Vm) -> Self {
        Self::at(vm, Self::PRIMARY, 14)
    }

    /// The PC's secondary channel. Touches nothing.
    pub fn secondary(vm: &Vm) -> Self {
        Self::at(vm, Self::SECONDARY, 15)
    }

    /// A channel whose command block is at `port`, its control block 0x206 above, with the interrupt line `irq` (0–15).
    pub fn at(vm: &Vm, port: u16, irq: u32) -> Self {
        Self {
            command: Pio::new(vm, port),
            control: Pio::new(vm, port + Self::CONTROL),
            irq,
        }
    }

    /// A decoder for the failure report, of the channel whose command block is at `port`.
    pub fn decoder(name: &'static str, port: u16) -> Decoder {
        Decoder::new(name, port, port + Self::CONTROL)
    }

    /// The command block's ports.
    pub fn io(&self) -> &Pio {
        &self.command
    }

    /// The machine.
    pub fn vm(&self) -> &Vm {
        self.command.vm()
    }

    /// INTRQ: high while a device's interrupt is pending and the selected device has nIEN clear.
    pub fn irq(&self) -> Pin {
        Pin::input("ioapic", self.irq)
    }

    /// Reads a register. Reading [`Reg::Status`] acknowledges the interrupt. The data register is read as a word, whose low byte is
    /// returned.
    #[track_caller]
    pub fn read(&self, reg: Reg) -> u8 {
        match reg {
            Reg::Data => self.data() as u8,
            Reg::AlternateStatus => self.control.inb(0),
            other => self.command.inb(other as u16),
        }
    }

    /// Writes a register. The data register is written as a word.
    #[track_caller]
    pub fn write(&self, reg: Reg, value: u8) {
        match reg {
            Reg::Data => self.set_data(value.into()),
            Reg::AlternateStatus => self.control.outb(0, value),
            other => self.command.outb(other as u16, value),
        }
    }

    /// Status; acknowledges the interrupt.
    #[track_caller]
    pub fn status(&self) -> Status {
        self.read(Reg::Status).into()
    }

    /// Alternate status; leaves the interrupt alone.
    #[track_caller]
    pub fn alternate_status(&self) -> Status {
        self.read(Reg::AlternateStatus).into()
    }

    /// Error.
    #[track_caller]
    pub fn error(&self) -> Error {
        self.read(Reg::Error).into()
    }

    /// Device.
    #[track_caller]
    pub fn device(&self) -> DeviceReg {
        self.read(Reg::Device).into()
    }

    /// Writes Device.
    #[track_caller]
    pub fn set_device(&self, device: DeviceReg) {
        self.write(Reg::Device, device.into());
    }

    /// Writes Device Control.
    #[track_caller]
    pub fn set_control(&self, control: DeviceControl) {
        self.write(Reg::AlternateStatus, control.into());
    }

    /// Reads a word from Data.
    #[track_caller]
    pub fn data(&self) -> u16 {
        self.command.inw(0)
    }

    /// Writes a word to Data.
    #[track_caller]
    pub fn set_data(&self, word: u16) {
        self.command.outw(0, word);
    }

    /// Selects a device; the rest of the Device register is zero.
    #[track_caller]
    pub fn select(&self, unit: Unit) {
        self.set_device(DeviceReg::new().with_device1(unit == Unit::Device1));
    }

    /// The registers that a reset or a diagnostic leaves the signature in.
    #[track_caller]
    pub fn signature(&self) -> Signature {
        Signature {
            count: self.read(Reg::SectorCount),
            lba_low: self.read(Reg::LbaLow),
            lba_mid: self.read(Reg::LbaMid),
            lba_high: self.read(Reg::LbaHigh),
        }
    }

    /// What the command block shows now; leaves the interrupt alone.
    #[track_caller]
    pub fn ending(&self) -> Ending {
        Ending {
            status: self.alternate_status(),
            error: self.error(),
            count: self.read(Reg::SectorCount),
            lba: [
                self.read(Reg::LbaLow),
                self.read(Reg::LbaMid),
                self.read(Reg::LbaHigh),
            ],
            device: self.device(),
        }
    }

    /// LBA 47:0 and the 16-bit sector count, as a 48-bit command leaves them: both halves of the registers, by HOB.
    #[track_caller]
    pub fn address48(&self) -> (u64, u16) {
        let halves = [false, true].map(|previous| {
            self.set_control(DeviceControl::new().with_previous(previous));
            self.signature()
        });
        self.set_control(DeviceControl::new());
        let [low, high] = halves;
        let bytes = [
            low.lba_low,
            low.lba_mid,
            low.lba_high,
            high.lba_low,
            high.lba_mid,
            high.lba_high,
            0,
            0,
        ];
        (
            u64::from_le_bytes(bytes),
            u16::from_le_bytes([low.count, high.count]),
        )
    }

    /// Writes everything of `task` but the command.
    #[track_caller]
    pub fn set_up(&self, task: &Taskfile) {
        self.set_device(task.device());
        if task.is_48_bit() {
            self.set_block(task.features >> 8, task.count >> 8, task.previous_lba());
        }
        self.set_block(task.features, task.count, task.lba());
    }

    #[track_caller]
    fn set_block(&self, features: u16, count: u16, lba: [u8; 3]) {
        self.write(Reg::Error, features as u8);
        self.write(Reg::SectorCount, count as u8);
        self.write(Reg::LbaLow, lba[0]);
        self.write(Reg::LbaMid, lba[1]);
        self.write(Reg::LbaHigh, lba[2]);
    }

    /// Writes the command register.
    #[track_caller]
    pub fn command(&self, command: Command) {
        self.write(Reg::Status, command.0);
    }

    /// Writes all of `task`, the command last, and returns at once.
    #[track_caller]
    pub fn issue(&self, task: &Taskfile) {
        self.set_up(task);
        self.command(task.command);
    }

    /// Waits until BSY is clear, and answers the alternate status. Leaves the interrupt alone.
    #[track_caller]
    pub fn wait_idle(&self) -> Status {
        let idle = Condition::new("BSY clear", || !self.alternate_status().busy())
            .seeing(|| format!("status {}", self.alternate_status().flags().join(", ")));
        self.vm().wait_until(idle, PATIENCE);
        self.alternate_status()
    }

    /// Issues `task`, waits for its end and answers what the command block shows. Leaves the interrupt alone.
    ///
    /// For commands without data, and for those of which an error is expected before any.
    #[track_caller]
    pub fn execute(&self, task: &Taskfile) -> Ending {
        self.issue(task);
        self.wait_idle();
        self.ending()
    }

    /// Waits for a DRQ block, and unwinds if the device wants no data.
    #[track_caller]
    pub fn wait_data(&self, what: impl std::fmt::Debug) {
        let status = self.wait_idle();
        assert!(
            status.drq() && !status.err(),
            "{what:?}: expected DRQ, the device is {{{}}}, error {{{}}}",
            status.flags().join(", "),
            self.error().flags().join(", ")
        );
    }

    /// Reads so many bytes (an even number) from the data register, without a look at the status.
    #[track_caller]
    pub fn read_block(&self, bytes: usize) -> Vec<u8> {
        let mut words = vec![0; bytes / 2];
        self.command.insw(0, &mut words);
        words.into_iter().flat_map(u16::to_le_bytes).collect()
    }

    /// Writes bytes (an even number) to the data register, without a look at the status.
    #[track_caller]
    pub fn write_block(&self, bytes: &[u8]) {
        for pair in bytes.chunks_exact(2) {
            self.set_data(u16::from_le_bytes([pair[0], pair[1]]));
        }
    }

    /// PIO data-in protocol (ATA/ATAPI-6, PIO data-in command protocol): `bytes` in DRQ blocks of one sector, and the status
    /// afterwards must be good. The status register is read before each block, so the interrupt is acknowledged.
    #[track_caller]
    pub fn pio_in(&self, task: &Taskfile, bytes: usize) -> Vec<u8> {
        self.pio_in_blocks(task, bytes, SECTOR)
    }

    /// As [`pio_in`](Self::pio_in), in DRQ blocks of `block` bytes; the last may be shorter.
    #[track_caller]
    pub fn pio_in_blocks(&self, task: &Taskfile, bytes: usize, block: usize) -> Vec<u8> {
        self.issue(task);
        let mut data = Vec::with_capacity(bytes);
        while data.len() < bytes {
            self.wait_data(task.command);
            self.status();
            data.extend(self.read_block(block.min(bytes - data.len())));
        }
        self.assert_done(task);
        data
    }

    /// PIO data-out protocol: `data` in DRQ blocks of one sector, and the status afterwards must be good.
    #[track_caller]
    pub fn pio_out(&self, task: &Taskfile, data: &[u8]) {
        self.pio_out_blocks(task, data, SECTOR);
    }

    /// As [`pio_out`](Self::pio_out), in DRQ blocks of `block` bytes; the last may be shorter.
    #[track_caller]
    pub fn pio_out_blocks(&self, task: &Taskfile, data: &[u8], block: usize) {
        self.issue(task);
        for piece in data.chunks(block) {
            self.wait_data(task.command);
            self.write_block(piece);
        }
        self.assert_done(task);
    }

    #[track_caller]
    fn assert_done(&self, task: &Taskfile) {
        self.wait_idle();
        let ending = self.ending();
        assert!(ending.is_good(), "{:?} ended with {ending:?}", task.command);
        self.status();
    }

    /// IDENTIFY DEVICE.
    #[track_caller]
    pub fn identify(&self, unit: Unit) -> Identify {
        let task = Taskfile::new(Command::IDENTIFY_DEVICE).to(unit);
        Identify::new(&self.pio_in(&task, SECTOR))
    }

    /// IDENTIFY PACKET DEVICE.
    #[track_caller]
    pub fn identify_packet(&self, unit: Unit) -> Identify {
        let task = Taskfile::new(Command::IDENTIFY_PACKET_DEVICE).to(unit);
        Identify::new(&self.pio_in(&task, SECTOR))
    }

    /// READ SECTOR(S) or its 48-bit form, by the kind of address: `count` sectors, 1–256.
    #[track_caller]
    pub fn read_sectors(&self, unit: Unit, address: Address, count: u16) -> Vec<u8> {
        let command = match address {
            Address::Lba48(_) => Command::READ_SECTORS_EXT,
            _ => Command::READ_SECTORS,
        };
        let task = Taskfile::new(command).to(unit).at(address).count(count);
        self.pio_in(&task, usize::from(count) * SECTOR)
    }

    /// WRITE SECTOR(S) or its 48-bit form, by the kind of address. `data` is a number of whole sectors, 1–256.
    #[track_caller]
    pub fn write_sectors(&self, unit: Unit, address: Address, data: &[u8]) {
        let command = match address {
            Address::Lba48(_) => Command::WRITE_SECTORS_EXT,
            _ => Command::WRITE_SECTORS,
        };
        let count = (data.len() / SECTOR) as u16;
        let task = Taskfile::new(command).to(unit).at(address).count(count);
        self.pio_out(&task, data);
    }

    /// Software reset: SRST on and off again, and waits until the selected device is done. The other bits of Device Control are zero.
    #[track_caller]
    pub fn software_reset(&self) {
        self.set_control(DeviceControl::new().with_reset(true));
        self.set_control(DeviceControl::new());
        self.wait_idle();
    }
}
