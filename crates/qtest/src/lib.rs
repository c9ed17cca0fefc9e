//! The qtest wire: what a test says to a machine whose CPU it plays, and what the machine answers.
//!
//! QEMU (and whoever else speaks the protocol) hands a test all traffic between the virtual CPU and
//! the hardware: ports, memory, the virtual clock, interrupt lines. A request is a line, its reply
//! is a line, replies keep the order of requests, and lines that tell of interrupts may stand
//! before any reply. This crate is the client's end: it knows no process and no device.
//!
//! # A conversation
//!
//! A [`Session`] talks over a [`Transport`]: a [`Socket`], or anything else that moves bytes both
//! ways. Here it is a machine of one port, in the same process, which raises line 8 when its port
//! is written:
//!
//! ```
//! # use std::io;
//! # use std::time::Instant;
//! use testjig_qtest::{Command, Line, Progress, Reply, Session, Transport};
//!
//! #[derive(Default)]
//! struct Machine {
//!     port: u32,
//!     request: Vec<u8>,
//!     replies: Vec<u8>,
//! }
//!
//! impl Machine {
//!     fn carry_out(&mut self, command: &Command) {
//!         let reply = match command {
//!             Command::In { .. } => Reply::Value(self.port.into()),
//!             Command::Out { value, .. } => {
//!                 self.port = *value;
//!                 Line::Irq { line: 8, level: true }.encode(&mut self.replies);
//!                 Reply::Done
//!             }
//!             _ => Reply::Done,
//!         };
//!         reply.encode(command.shape(), &mut self.replies);
//!     }
//! }
//!
//! impl Transport for Machine {
//!     fn exchange(&mut self, out: &[u8], input: &mut [u8], _: Instant) -> io::Result<Progress> {
//!         self.request.extend(out);
//!         while let Some(end) = self.request.iter().position(|byte| *byte == b'\n') {
//!             let line: Vec<u8> = self.request.drain(..=end).collect();
//!             let command = Command::parse(&line[..end]).map_err(io::Error::other)?;
//!             self.carry_out(&command);
//!         }
//!         let read = input.len().min(self.replies.len());
//!         input[..read].copy_from_slice(&self.replies[..read]);
//!         self.replies.drain(..read);
//!         Ok(Progress { written: out.len(), read, closed: false })
//!     }
//! }
//!
//! let mut machine = Session::new(Machine::default());
//!
//! // A write has no result, so it is queued. It travels with the next call that has one.
//! machine.outb(0x70, 0x26)?;
//! assert_eq!(machine.journal().unanswered(), 1);
//!
//! // A read sends all that is queued, and waits.
//! assert_eq!(machine.inb(0x70)?, 0x26);
//! assert_eq!(machine.journal().unanswered(), 0);
//!
//! // The journal knows what was done, where, and when an interrupt line changed.
//! let entries: Vec<String> = machine.journal().entries().map(|entry| entry.to_string()).collect();
//! assert_eq!(entries, ["outb 0x70 0x26", "inb 0x70 → 0x26"]);
//! let edge = machine.journal().edges().next().unwrap();
//! assert!(edge.level && edge.line == 8 && edge.before == 0);
//!
//! // Any mix of commands, in one go.
//! let read = Command::In { width: testjig_qtest::PortWidth::B, port: 0x70 };
//! assert_eq!(machine.run(&[read.clone(), read])?, [Reply::Value(0x26), Reply::Value(0x26)]);
//! # Ok::<(), testjig_qtest::Error>(())
//! ```
//!
//! With a QEMU that has one end of a socket pair, the session is
//! `Session::new(Socket::from(stream))`.
//!
//! # When something goes wrong
//!
//! A reply of `FAIL` is an [`Error`] that names the operation and the line of source that issued
//! it, for queued writes too, and leaves the session usable. A peer that talks nonsense, sends half
//! a line, floods, is silent for too long or hangs up ends the session: from then on each call
//! fails and names the first cause ([`ErrorKind`]). No call panics, waits without end or takes
//! memory without bound.
//!
//! QEMU trusts its client, and aborts on a malformed number, a missing word or a block of no bytes.
//! What would make it abort can't be said in a [`Command`], or is refused with
//! [`ErrorKind::Invalid`], except where only the machine knows: whether a path names a device,
//! whether that has a pin of that number, whether there is a CPU to read memory with.
//!
//! # More
//!
//! * [`Command::parse`] and [`Reply::encode`] are the server's half of the codec.
//! * [`Extension`] adds commands of some machines only; [`Rtas`] and [`Csr`] are two.
//! * [`Session::wait_for_edge`] waits for a device that acts by itself.
//!
//! Facts about the protocol were observed on QEMU 7.2, 10.0 and 11.1.

mod command;
mod encode;
mod error;
mod ext;
mod journal;
mod number;
mod parse;
mod reply;
mod session;
mod socket;
mod transport;
mod word;

pub use command::{
    Command, Data, Encoding, Endianness, Length, Nanos, OutOfRange, PortWidth, Width,
};
pub use error::{Error, ErrorKind, Result};
pub use ext::{Arguments, Call, Csr, CsrAccess, Extension, InvalidCall, Rtas};
pub use journal::{Edge, Entry, Journal};
pub use parse::ParseError;
pub use reply::{Failure, Line, Reply, Severity, Shape};
pub use session::{Limits, Session};
pub use socket::Socket;
pub use transport::{Progress, Transport};
pub use word::{InvalidWord, Word};
