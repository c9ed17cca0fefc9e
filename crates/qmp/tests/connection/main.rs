//! The client against a peer that a test scripts.

mod commands;
mod events;
mod fake;
mod handshake;
