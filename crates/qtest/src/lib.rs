//! The qtest wire.

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
