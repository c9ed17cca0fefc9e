//! A synchronous client of the QEMU Machine Protocol.

mod client;
mod command;
pub mod commands;
mod error;
mod event;
pub mod events;
mod greeting;
mod handshake;
mod link;
mod message;
mod schema;
mod session;

pub use client::Qmp;
pub use command::Command;
pub use error::{Awaited, CommandError, Error, ErrorClass, ErrorKind};
pub use event::{Event, EventFilter, Timestamp};
pub use greeting::{Greeting, Version};
pub use handshake::Handshake;
pub use schema::{MetaType, Schema, SchemaEntity, SchemaMember};
pub use session::{Direction, Limits};
