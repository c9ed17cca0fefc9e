//! A synchronous client of the QEMU Machine Protocol (QMP), the side door by which a QEMU is asked and told things that are
//! not the guest's business: what machines it has, to plug a device in, to stop, to end.
//!
//! It needs a connected socket, no thread and no runtime. It knows no process: whoever starts the QEMU keeps one end of a
//! socket pair and hands it the other (`-chardev socket,id=m,fd=N -mon chardev=m,mode=control`).
//!
//! # A conversation
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use testjig_qmp::commands::{Cont, DeviceListProperties, QueryStatus, RunState, SystemReset};
//! use testjig_qmp::events::Shutdown;
//! use testjig_qmp::{ErrorClass, ErrorKind, Qmp};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (socket, peer) = std::os::unix::net::UnixStream::pair()?;
//! # let qemu = std::thread::spawn(move || example::qemu(peer));
//! // The peer greets, and takes commands once its machine is built.
//! let mut qmp = Qmp::connect(socket, Instant::now() + Duration::from_secs(10))?;
//! assert_eq!(qmp.greeting().version.to_string(), "11.1.3");
//!
//! // A command is a value, its reply the type that belongs to it.
//! let status = qmp.execute(&QueryStatus)?;
//! assert_eq!(status.status, RunState::Prelaunch);
//!
//! // Any other command goes as JSON.
//! let name = qmp.execute_raw("query-name", serde_json::Value::Null)?;
//! assert_eq!(name["name"], "sandbox");
//!
//! // An error keeps the peer's own class and words, and names the command.
//! let error = qmp.execute(&DeviceListProperties::of("vax")).unwrap_err();
//! assert_eq!(error.refusal().unwrap().class, ErrorClass::DeviceNotFound);
//! assert_eq!(
//!     error.to_string(),
//!     "failed to execute `device-list-properties`: Device 'vax' not found (DeviceNotFound)"
//! );
//!
//! // Events are kept, whenever they come, until somebody takes them.
//! qmp.execute(&Cont)?;
//! qmp.execute(&SystemReset)?;
//! let reset = qmp.wait_event("RESET", Instant::now() + Duration::from_secs(1))?;
//! assert_eq!(reset.decode::<Shutdown>()?.reason, "host-qmp-system-reset");
//! let others: Vec<_> = qmp.events().collect();
//! assert_eq!(others[0].name(), "RESUME");
//!
//! // Nothing waits for ever, and what a wait was for is said.
//! let error = qmp.wait_event("POWERDOWN", Instant::now() + Duration::from_millis(5)).unwrap_err();
//! assert!(matches!(error.kind(), ErrorKind::TimedOut { .. }));
//! assert!(error.to_string().starts_with("failed to wait for the event POWERDOWN: no event POWERDOWN within "));
//! # drop(qmp);
//! # qemu.join().unwrap();
//! # Ok(())
//! # }
//! #
//! # mod example {
//! #     use std::io::{BufRead, BufReader, Write};
//! #     use std::os::unix::net::UnixStream;
//! #
//! #     /// Says what a QEMU 11.1.3 says.
//! #     pub fn qemu(mut socket: UnixStream) {
//! #         socket.write_all(br#"{"QMP": {"version": {"qemu": {"micro": 3, "minor": 1, "major": 11}, "package": ""}, "capabilities": ["oob"]}}"#).unwrap();
//! #         socket.write_all(b"\r\n").unwrap();
//! #         let lines = BufReader::new(socket.try_clone().unwrap()).lines();
//! #         for (id, line) in lines.map_while(Result::ok).enumerate() {
//! #             let command: serde_json::Value = serde_json::from_str(&line).unwrap();
//! #             let (reply, event) = match command["execute"].as_str().unwrap() {
//! #                 "query-status" => (r#""return": {"status": "prelaunch", "running": false}"#, ""),
//! #                 "query-name" => (r#""return": {"name": "sandbox"}"#, ""),
//! #                 "device-list-properties" => {
//! #                     (r#""error": {"class": "DeviceNotFound", "desc": "Device 'vax' not found"}"#, "")
//! #                 }
//! #                 "cont" => (
//! #                     r#""return": {}"#,
//! #                     r#"{"timestamp": {"seconds": 1795419673, "microseconds": 274054}, "event": "RESUME"}"#,
//! #                 ),
//! #                 "system_reset" => (
//! #                     r#""return": {}"#,
//! #                     r#"{"timestamp": {"seconds": 1795419673, "microseconds": 282649}, "event": "RESET", "data": {"guest": false, "reason": "host-qmp-system-reset"}}"#,
//! #                 ),
//! #                 _ => (r#""return": {}"#, ""),
//! #             };
//! #             let event = if event.is_empty() { String::new() } else { format!("{event}\r\n") };
//! #             socket.write_all(format!("{event}{{{reply}, \"id\": {id}}}\r\n").as_bytes()).unwrap();
//! #         }
//! #     }
//! # }
//! ```
//!
//! # What it promises
//!
//! - **No event is lost**, be it before, between or after replies, nor is their order. [`Qmp::wait_event`] takes one and leaves
//!   the others; [`Qmp::events`] takes all.
//! - **A reply belongs to its command.** One that comes after its command was given up is dropped.
//! - **Every wait ends**: at the [timeout](Qmp::set_timeout), 10 seconds unless set, and at the
//!   [deadline](Qmp::set_deadline), if there is one.
//! - **Memory is bounded** whatever the peer sends: [`Limits`].
//! - **Errors are [typed](ErrorKind)** and tell whether the connection can be used on ([`ErrorKind::is_fatal`]). There are no
//!   panics.
//! - **Versions differ, and that is no error**: unknown events, members and values of enumerations are kept or ignored.
//!   Checked with QEMU 7.2, 10.0 and 11.1; [`Schema`] tells what a peer has.
//!
//! It executes one command at a time and makes no use of out-of-band execution.
//!
//! # Starting while the machine is built
//!
//! QEMU greets while its machine is still being built and takes commands when that is done. [`Qmp::begin`] gives a
//! [`Handshake`], whose [`step`](Handshake::step) never waits; its descriptor can be polled together with others.
//!
//! # Commands of your own
//!
//! [`commands`] has what testjig uses. [`Command`] is open: a struct with named fields, the command's name, the reply's type.

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
