//! Owners of guest memory: bytes, a structure, a table of structures.

use std::fmt;
use std::marker::PhantomData;

use testjig_vm::{Fault, Scalar, Vm};

use super::{FromBytes, GuestAlloc, Immutable, IntoBytes};

/// Bytes of guest memory that are this value's until it is dropped.
///
/// Offsets count from its first byte. An access beyond its end unwinds with a [`Fault`]: what a test wants to write there goes through
/// [`Vm::ram`], at its own risk.
pub struct GuestBuf {
    alloc: GuestAlloc,
    addr: u64,
    len: u64,
}

impl GuestBuf {
    pub(super) fn new(alloc: GuestAlloc, addr: u64, len: u64) -> Self {
        Self { alloc, addr, len }
    }

    /// Guest-physical address of the first byte.
    pub fn addr(&self) -> u64 {
        self.addr
    }

    /// Bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Guest-physical address of the first byte behind it.
    pub fn end(&self) -> u64 {
        self.addr + self.len
    }

    /// Copies bytes out, from `offset` on.
    #[track_caller]
    pub fn read(&self, offset: u64, bytes: &mut [u8]) {
        let addr = self.locate("read", offset, bytes.len() as u64);
        self.vm().ram().read(addr, bytes);
    }

    /// As [`read`](Self::read), into new memory.
    #[track_caller]
    pub fn read_vec(&self, offset: u64, len: usize) -> Vec<u8> {
        let addr = self.locate("read", offset, len as u64);
        self.vm().ram().read_vec(addr, len)
    }

    /// All of it.
    #[track_caller]
    pub fn to_vec(&self) -> Vec<u8> {
        self.read_vec(0, self.len as usize)
    }

    /// Copies bytes in, at `offset` and on.
    #[track_caller]
    pub fn write(&self, offset: u64, bytes: &[u8]) {
        let addr = self.locate("write", offset, bytes.len() as u64);
        self.vm().ram().write(addr, bytes);
    }

    /// Fills all of it with one value.
    #[track_caller]
    pub fn fill(&self, value: u8) {
        self.vm().ram().fill(self.addr, self.len as usize, value);
    }

    /// Reads a little-endian integer at `offset`.
    #[track_caller]
    pub fn read_le<T: Scalar>(&self, offset: u64) -> T {
        let addr = self.locate("read", offset, size_of::<T>() as u64);
        self.vm().ram().read_le(addr)
    }

    /// Reads a big-endian integer at `offset`.
    #[track_caller]
    pub fn read_be<T: Scalar>(&self, offset: u64) -> T {
        let addr = self.locate("read", offset, size_of::<T>() as u64);
        self.vm().ram().read_be(addr)
    }

    /// Writes a little-endian integer at `offset`.
    #[track_caller]
    pub fn write_le<T: Scalar>(&self, offset: u64, value: T) {
        let addr = self.locate("write", offset, size_of::<T>() as u64);
        self.vm().ram().write_le(addr, value);
    }

    /// Writes a big-endian integer at `offset`.
    #[track_caller]
    pub fn write_be<T: Scalar>(&self, offset: u64, value: T) {
        let addr = self.locate("write", offset, size_of::<T>() as u64);
        self.vm().ram().write_be(addr, value);
    }

    /// Reads a structure at `offset`.
    #[track_caller]
    pub fn read_as<T: FromBytes>(&self, offset: u64) -> T {
        let bytes = self.read_vec(offset, size_of::<T>());
        T::read_from_bytes(&bytes).expect("as many bytes as it has")
    }

    /// Writes a structure at `offset`.
    #[track_caller]
    pub fn write_as<T: IntoBytes + Immutable>(&self, offset: u64, value: &T) {
        self.write(offset, value.as_bytes());
    }

    /// Frees it now, and unwinds with a [`Fault`] if it was written over its ends: at the end of the test that is found out as well.
    #[track_caller]
    pub fn free(self) {
        let alloc = self.alloc.clone();
        alloc.free(self.into_addr());
    }

    /// Gives up the ownership: the block must be freed by its address, [`GuestAlloc::free`].
    #[must_use = "without its address the block can't be freed"]
    pub fn into_addr(self) -> u64 {
        let addr = self.addr;
        // Only the books know it from here on. What this value holds beside is the machine, which must be let go.
        let mut this = self;
        this.addr = Self::NOWHERE;
        addr
    }

    /// The address of a block that is owned no more: no RAM ends there.
    const NOWHERE: u64 = u64::MAX;

    /// The machine.
    pub fn vm(&self) -> &Vm {
        self.alloc.vm()
    }

    #[track_caller]
    fn locate(&self, attempt: &str, offset: u64, len: u64) -> u64 {
        if offset > self.len || len > self.len - offset {
            Fault::usage(format!(
                "failed to {attempt} {len} bytes at offset {offset:#x} of a guest buffer: it has {} bytes",
                self.len
            ))
            .raise();
        }
        self.addr + offset
    }
}

impl Drop for GuestBuf {
    fn drop(&mut self) {
        if self.addr != Self::NOWHERE {
            self.alloc.drop_block(self.addr);
        }
    }
}

impl fmt::Debug for GuestBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GuestBuf({:#x}..{:#x})", self.addr, self.end())
    }
}

/// A structure in guest memory, this value's until it is dropped.
///
/// The structure's bytes are what the device reads: fields have the types of [`le`](super::le) or [`be`](super::be).
#[derive(Debug)]
pub struct GuestBox<T> {
    buf: GuestBuf,
    is: PhantomData<T>,
}

impl<T: FromBytes + IntoBytes + Immutable> GuestBox<T> {
    #[track_caller]
    pub(super) fn new(buf: GuestBuf, value: &T) -> Self {
        assert_eq!(
            buf.len,
            size_of::<T>() as u64,
            "the block is not as long as the structure"
        );
        buf.write_as(0, value);
        Self {
            buf,
            is: PhantomData,
        }
    }

    /// Guest-physical address of the structure.
    pub fn addr(&self) -> u64 {
        self.buf.addr
    }

    /// Guest-physical address of a field: `table.addr_of(offset_of!(Table, field))`.
    pub fn addr_of(&self, offset: usize) -> u64 {
        self.buf.addr + offset as u64
    }

    /// A copy of it as it is now.
    #[track_caller]
    pub fn get(&self) -> T {
        self.buf.read_as(0)
    }

    /// Replaces all of it.
    #[track_caller]
    pub fn set(&self, value: &T) {
        self.buf.write_as(0, value);
    }

    /// Changes a copy, and writes all of it back.
    #[track_caller]
    pub fn update(&self, change: impl FnOnce(&mut T)) {
        let mut value = self.get();
        change(&mut value);
        self.set(&value);
    }

    /// Its bytes.
    pub fn bytes(&self) -> &GuestBuf {
        &self.buf
    }
}

/// A table of structures in guest memory, this value's until it is dropped.
#[derive(Debug)]
pub struct GuestSlice<T> {
    buf: GuestBuf,
    is: PhantomData<T>,
}

impl<T: FromBytes + IntoBytes + Immutable> GuestSlice<T> {
    pub(super) fn new(buf: GuestBuf) -> Self {
        Self {
            buf,
            is: PhantomData,
        }
    }

    /// Guest-physical address of the first entry.
    pub fn addr(&self) -> u64 {
        self.buf.addr
    }

    /// Guest-physical address of an entry, which may be one behind the last.
    pub fn addr_of(&self, index: usize) -> u64 {
        self.buf.addr + Self::offset(index)
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.buf.len as usize / size_of::<T>().max(1)
    }

    /// Whether it has no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy of an entry.
    #[track_caller]
    pub fn get(&self, index: usize) -> T {
        self.buf.read_as(Self::offset(index))
    }

    /// Replaces an entry.
    #[track_caller]
    pub fn set(&self, index: usize, value: &T) {
        self.buf.write_as(Self::offset(index), value);
    }

    /// Replaces the first entries by these.
    #[track_caller]
    pub fn set_all(&self, values: &[T]) {
        self.buf.write(0, values.as_bytes());
    }

    /// Its bytes.
    pub fn bytes(&self) -> &GuestBuf {
        &self.buf
    }

    fn offset(index: usize) -> u64 {
        index as u64 * size_of::<T>() as u64
    }
}
