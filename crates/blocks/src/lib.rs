//! Basic blocks of a stock, stripped program: where each begins, in which function, and which of them are a device's.
//!
//! [`Program::read`] takes an ELF file as distributions ship it: no debug information, no symbols but those exported. Functions come
//! from `.eh_frame` (System V ABI, AMD64 supplement, §4.2.4; every compiler writes it for unwinding), blocks from decoding each
//! function from its first instruction to its last. A block begins where a function does, where a branch leads, and after a branch.
//! Blocks that are reached by jump tables alone begin after a branch too, since compilers put no data between instructions.
//!
//! [`Program::device`] says which functions are a device's: those of the source file that has its description (`TypeInfo`), told from
//! where the linker put them and who refers to whom.
//!
//! Only x86_64 programs are read.

mod device;
mod error;
mod program;

pub use device::Device;
pub use error::ProgramError;
pub use program::{Block, Function, Program};
