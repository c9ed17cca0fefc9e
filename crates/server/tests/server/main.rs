//! The server against clients that behave and clients that don't.

mod board;
mod clients;
mod hostile;
mod monitor;
mod transcript;
