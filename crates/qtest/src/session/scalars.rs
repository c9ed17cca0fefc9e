//! One access each: ports and memory.

use std::panic::Location;

use super::Session;
use crate::command::{Command, PortWidth, Width};
use crate::error::Result;
use crate::transport::Transport;

macro_rules! scalars {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident($($arg:ident: $type:ty),+) $(-> $result:ty)? = $command:expr;
    )+) => {
        impl<T: Transport> Session<T> {
            $(
                $(#[doc = $doc])+
                #[track_caller]
                #[inline]
                pub fn $name(&mut self, $($arg: $type),+) -> Result<scalars!(@result $($result)?)> {
                    scalars!(@call self, $command $(, $result)?)
                }
            )+
        }
    };
    (@result) => { () };
    (@result $result:ty) => { $result };
    (@call $self:ident, $command:expr) => { $self.issue($command, Location::caller()) };
    (@call $self:ident, $command:expr, $result:ty) => {
        Ok($self.value($command, Location::caller())? as $result)
    };
}

scalars! {
    /// Reads a byte from I/O port `port`.
    ///
    /// # Errors
    ///
    /// As for [`sync`](Session::sync), and if the server refuses this command.
    inb(port: u16) -> u8 = Command::In { width: PortWidth::B, port };
    /// Reads two bytes from I/O port `port`.
    ///
    /// # Errors
    ///
    /// As for [`inb`](Session::inb).
    inw(port: u16) -> u16 = Command::In { width: PortWidth::W, port };
    /// Reads four bytes from I/O port `port`.
    ///
    /// # Errors
    ///
    /// As for [`inb`](Session::inb).
    inl(port: u16) -> u32 = Command::In { width: PortWidth::L, port };
    /// Queues a write of a byte to I/O port `port`.
    ///
    /// # Errors
    ///
    /// If the session is unusable. A refusal is reported by the next call that waits.
    outb(port: u16, value: u8) = Command::Out { width: PortWidth::B, port, value: value.into() };
    /// Queues a write of two bytes to I/O port `port`.
    ///
    /// # Errors
    ///
    /// As for [`outb`](Session::outb).
    outw(port: u16, value: u16) = Command::Out { width: PortWidth::W, port, value: value.into() };
    /// Queues a write of four bytes to I/O port `port`.
    ///
    /// # Errors
    ///
    /// As for [`outb`](Session::outb).
    outl(port: u16, value: u32) = Command::Out { width: PortWidth::L, port, value };
    /// Reads a byte at guest-physical address `addr`.
    ///
    /// # Errors
    ///
    /// As for [`inb`](Session::inb).
    readb(addr: u64) -> u8 = Command::Read { width: Width::B, addr };
    /// Reads two bytes at guest-physical address `addr`, in the guest's byte order.
    ///
    /// # Errors
    ///
    /// As for [`inb`](Session::inb).
    readw(addr: u64) -> u16 = Command::Read { width: Width::W, addr };
    /// Reads four bytes at guest-physical address `addr`, in the guest's byte order.
    ///
    /// # Errors
    ///
    /// As for [`inb`](Session::inb).
    readl(addr: u64) -> u32 = Command::Read { width: Width::L, addr };
    /// Reads eight bytes at guest-physical address `addr`, in the guest's byte order.
    ///
    /// # Errors
    ///
    /// As for [`inb`](Session::inb).
    readq(addr: u64) -> u64 = Command::Read { width: Width::Q, addr };
    /// Queues a write of a byte at guest-physical address `addr`.
    ///
    /// # Errors
    ///
    /// As for [`outb`](Session::outb).
    writeb(addr: u64, value: u8) = Command::Write { width: Width::B, addr, value: value.into() };
    /// Queues a write of two bytes at guest-physical address `addr`, in the guest's byte order.
    ///
    /// # Errors
    ///
    /// As for [`outb`](Session::outb).
    writew(addr: u64, value: u16) = Command::Write { width: Width::W, addr, value: value.into() };
    /// Queues a write of four bytes at guest-physical address `addr`, in the guest's byte order.
    ///
    /// # Errors
    ///
    /// As for [`outb`](Session::outb).
    writel(addr: u64, value: u32) = Command::Write { width: Width::L, addr, value: value.into() };
    /// Queues a write of eight bytes at guest-physical address `addr`, in the guest's byte order.
    ///
    /// # Errors
    ///
    /// As for [`outb`](Session::outb).
    writeq(addr: u64, value: u64) = Command::Write { width: Width::Q, addr, value };
}
