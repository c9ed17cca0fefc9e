//! The wire from end to end: codec and session against servers that behave, and ones that don't.

mod arbitrary;
mod closing;
mod codec;
mod extension;
mod fake;
mod hostile;
mod interrupts;
mod order;
mod refusals;
mod socket;
mod waiting;
