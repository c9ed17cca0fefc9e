//! The client against a peer that a test scripts.

mod arbitrary;
mod commands;
mod descriptors;
mod events;
mod fake;
mod handshake;
mod late;
mod nonsense;
mod recorded;
mod scenario;
