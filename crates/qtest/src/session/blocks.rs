//! Blocks of memory, and batches of any commands.

use std::panic::Location;

use super::Session;
use super::sink::{List, Sink};
use crate::command::{Command, Data, Encoding, Length};
use crate::encode;
use crate::error::Result;
use crate::reply::Reply;
use crate::transport::Transport;

/// Bytes of one block in a long read. QEMU needs 1.4 µs for a KiB of it, 2.8 µs of 4 KiB.
const READ_CHUNK: usize = 32 * 1024;

/// Bytes of one block in a long write: lines of at most 16 KiB, which the server takes time in the
/// square of.
const fn write_chunk(encoding: Encoding) -> usize {
    match encoding {
        Encoding::Hex => 4 * 1024,
        Encoding::Base64 => 8 * 1024,
    }
}

impl<T: Transport> Session<T> {
    /// Reads `bytes.len()` bytes from guest-physical address `addr` on. Any length; the session
    /// splits it.
    ///
    /// # Errors
    ///
    /// As for [`inb`](Session::inb). Part of `bytes` may have been filled.
    #[track_caller]
    pub fn read(&mut self, addr: u64, bytes: &mut [u8]) -> Result<()> {
        let location = Location::caller();
        let total = bytes.len();
        let mut sink = Sink::buffer(self.journal().issued(), bytes);
        for at in (0..total).step_by(READ_CHUNK) {
            if let Ok(len) = Length::try_from(READ_CHUNK.min(total - at)) {
                let addr = addr.wrapping_add(at as u64);
                let command = Command::ReadBlock {
                    addr,
                    len,
                    encoding: Encoding::Base64,
                };
                self.issue_into(command, location, &mut sink)?;
            }
        }
        self.check(None)?;
        self.collect(&mut sink)
    }

    /// Queues a write of `bytes` from guest-physical address `addr` on. Any length; the session
    /// splits it.
    ///
    /// # Errors
    ///
    /// As for [`outb`](Session::outb).
    #[track_caller]
    pub fn write(&mut self, addr: u64, bytes: &[u8]) -> Result<()> {
        self.write_block(
            addr,
            bytes,
            Encoding::Base64,
            Location::caller(),
            &mut Sink::None,
        )
    }

    /// Queues writes of at most one chunk each.
    fn write_block(
        &mut self,
        addr: u64,
        bytes: &[u8],
        encoding: Encoding,
        location: &'static Location<'static>,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let size = write_chunk(encoding);
        let last = bytes.len().div_ceil(size).saturating_sub(1);
        for (nr, chunk) in bytes.chunks(size).enumerate() {
            let addr = addr.wrapping_add((nr * size) as u64);
            let kept = self.journal().kept(chunk);
            let Ok(data) = Data::new(kept) else { continue };
            let elided = chunk.len() - kept.len();
            let command = Command::WriteBlock {
                addr,
                data,
                encoding,
            };
            self.check(Some((&command, location)))?;
            encode::write_block(&mut self.out, addr, chunk, encoding);
            self.out.push(b'\n');
            if let (Sink::List(list), true) = (&mut *sink, nr != last) {
                list.expect_part(self.receiver.journal.issued());
            }
            self.receiver.journal.push(command, elided, location);
            self.make_room(sink)?;
        }
        Ok(())
    }

    /// Queues a fill of `len` bytes from guest-physical address `addr` on with `value`. Any length;
    /// the session splits it.
    ///
    /// # Errors
    ///
    /// As for [`outb`](Session::outb).
    #[track_caller]
    pub fn memset(&mut self, mut addr: u64, mut len: u64, value: u8) -> Result<()> {
        let location = Location::caller();
        while let Some(part) = Length::new(len.min(Length::MAX.into()) as u32) {
            self.issue(
                Command::Memset {
                    addr,
                    len: part,
                    value,
                },
                location,
            )?;
            addr = addr.wrapping_add(part.get().into());
            len -= u64::from(part.get());
        }
        Ok(())
    }

    /// Carries out any commands, pipelined, and answers their replies in order.
    ///
    /// # Errors
    ///
    /// As for [`sync`](Session::sync). If a command was refused, all were carried out even so.
    #[track_caller]
    pub fn run(&mut self, commands: &[Command]) -> Result<Vec<Reply>> {
        self.batch(commands, false, Location::caller())
    }

    /// The same, with refusals among the replies, as [`Reply::Failed`].
    ///
    /// # Errors
    ///
    /// What makes the session unusable, or the failure of an operation that was queued before.
    #[track_caller]
    pub fn run_each(&mut self, commands: &[Command]) -> Result<Vec<Reply>> {
        self.batch(commands, true, Location::caller())
    }

    /// Carries out any commands. With `takes_failures` refusals are among the replies.
    pub(super) fn batch(
        &mut self,
        commands: &[Command],
        takes_failures: bool,
        location: &'static Location<'static>,
    ) -> Result<Vec<Reply>> {
        let list = List::new(self.journal().issued(), commands.len(), takes_failures);
        let mut sink = Sink::List(list);
        for command in commands {
            if let Command::WriteBlock {
                addr,
                data,
                encoding,
            } = command
            {
                self.write_block(*addr, data.bytes(), *encoding, location, &mut sink)?;
            } else {
                self.issue_into(command.clone(), location, &mut sink)?;
            }
        }
        self.check(None)?;
        self.collect(&mut sink)?;
        Ok(match sink {
            Sink::List(list) => list.into_replies(),
            _ => Vec::new(),
        })
    }
}
