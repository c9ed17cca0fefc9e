//! Guest memory: [`GuestAlloc`] hands out RAM of the machine that nothing else uses; [`GuestBuf`], [`GuestBox`] and [`GuestSlice`] own
//! their piece of it and give it back when they are dropped.
//!
//! ```no_run
//! use testjig_qos::mem::{FromBytes, GuestAlloc, Immutable, IntoBytes, KnownLayout, le};
//!
//! /// A physical region descriptor of a bus-master IDE controller.
//! #[derive(FromBytes, IntoBytes, Immutable, KnownLayout)]
//! #[repr(C)]
//! struct Prd {
//!     base: le::U32,
//!     count: le::U16,
//!     flags: le::U16,
//! }
//!
//! # fn example(vm: &testjig_vm::Vm) {
//! let alloc = GuestAlloc::of(vm);
//! let data = alloc.request(512).align(4).below(4 << 30).buf();
//! let table = alloc.boxed(&Prd {
//!     base: (data.addr() as u32).into(),
//!     count: 512.into(),
//!     flags: 0x8000.into(),
//! });
//! # let _ = table;
//! # }
//! ```
//!
//! What goes wrong is a failure of the test that did it ([`MemoryFault`]): a block that is still there when the test has ended is a
//! leak; bytes around a block that changed are an overrun or an underrun, whoever wrote them, device or test; bytes of a block that
//! changed after it was freed are a use after free. For that each block has [`GUARD`] bytes on either side, and rests after its end,
//! filled with [`FREED`], until its place is needed.
//!
//! A machine's RAM is not empty when it starts: firmware and device trees are put at its beginning and at its end, and those parts are
//! not handed out. `tests/memory.rs` shows for each machine that what is handed out was untouched.

mod alloc;
mod buf;
mod fault;
mod heap;

pub use zerocopy::{
    FromBytes, Immutable, IntoBytes, KnownLayout, big_endian as be, little_endian as le,
};

pub use self::alloc::{GuestAlloc, Request};
pub use self::buf::{GuestBox, GuestBuf, GuestSlice};
pub use self::fault::{MemoryFault, Side};
pub use self::heap::{FREED, GUARD};
