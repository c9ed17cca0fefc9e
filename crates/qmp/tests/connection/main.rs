//! The client against a peer that a test scripts.

mod arbitrary;
mod commands;
mod events;
mod fake;
mod handshake;
mod recorded;
mod scenario;
