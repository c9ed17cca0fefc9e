//! [`Ram`]: the guest's memory as the test sees it.

use std::fmt;

use crate::fault::{Fault, FaultKind};
use crate::machine::{RamBackend, RamRegion};
use crate::recording::Noted;
use crate::vm::Vm;

/// The guest's memory, by guest-physical address.
///
/// Where the machine's memory can be mapped, nothing travels: the test writes what devices read, and reads what they
/// wrote. On other machines the same calls go over the wire. Either way every access is a barrier: what was queued before
/// it has been sent and answered when it takes place.
///
/// Only plain RAM is here. What the machine decodes at each access (ROM, video memory, a PC's segments between 640 KiB
/// and 1 MiB) is reached with [`Vm::read_mem`] and [`Vm::readb`] and so on.
///
/// Writes through the mapping are not seen by QEMU's dirty log: what tests migration or a display's framebuffer uses the
/// wire.
#[derive(Clone)]
pub struct Ram {
    vm: Vm,
}

impl Ram {
    pub(crate) fn new(vm: Vm) -> Self {
        Self { vm }
    }

    /// Bytes of RAM that the machine was launched with.
    pub fn size(&self) -> u64 {
        self.vm.launch().memory_size()
    }

    /// Where plain RAM is, in ascending order.
    pub fn regions(&self) -> &[RamRegion] {
        self.vm.regions()
    }

    /// Whether the memory is mapped here, so that nothing of an access travels.
    pub fn is_mapped(&self) -> bool {
        self.vm.mapping().is_some()
    }

    /// Whether these bytes are all plain RAM.
    pub fn contains(&self, addr: u64, len: u64) -> bool {
        self.find(addr, len).is_some()
    }

    /// Copies bytes from the guest-physical address `addr` on. All of them must be plain RAM, in one region.
    #[track_caller]
    pub fn read(&self, addr: u64, bytes: &mut [u8]) {
        let offset = self.locate("read", addr, bytes.len());
        if let Some(mapping) = self.vm.mapping() {
            self.vm.rest();
            mapping.read(offset, bytes);
            return self.vm.note(|| Noted::Read {
                addr,
                bytes: bytes.to_vec(),
            });
        }
        self.vm.read_mem(addr, bytes);
    }

    /// As [`read`](Self::read), into new memory.
    #[track_caller]
    pub fn read_vec(&self, addr: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.read(addr, &mut bytes);
        bytes
    }

    /// Copies bytes to the guest-physical address `addr` and on. All of them must be plain RAM, in one region.
    #[track_caller]
    pub fn write(&self, addr: u64, bytes: &[u8]) {
        let offset = self.locate("write", addr, bytes.len());
        self.vm.rest();
        if let Some(mapping) = self.vm.mapping() {
            self.vm.note(|| Noted::Wrote {
                addr,
                bytes: bytes.to_vec(),
            });
            return mapping.write(offset, bytes);
        }
        self.vm.write_mem(addr, bytes);
        self.vm.sync();
    }

    /// Fills `len` bytes with one value.
    #[track_caller]
    pub fn fill(&self, addr: u64, len: usize, value: u8) {
        let offset = self.locate("fill", addr, len);
        self.vm.rest();
        if let Some(mapping) = self.vm.mapping() {
            self.vm.note(|| Noted::Filled { addr, len, value });
            return mapping.fill(offset, len, value);
        }
        self.vm.memset(addr, len as u64, value);
        self.vm.sync();
    }

    /// Reads a little-endian integer of 1, 2, 4 or 8 bytes; undivided if its address is aligned.
    #[track_caller]
    pub fn read_le<T: Scalar>(&self, addr: u64) -> T {
        T::from_le(self.load(addr))
    }

    /// Reads a big-endian integer of 1, 2, 4 or 8 bytes; undivided if its address is aligned.
    #[track_caller]
    pub fn read_be<T: Scalar>(&self, addr: u64) -> T {
        T::from_be(self.load(addr))
    }

    /// Writes a little-endian integer of 1, 2, 4 or 8 bytes; undivided if its address is aligned.
    #[track_caller]
    pub fn write_le<T: Scalar>(&self, addr: u64, value: T) {
        self.store(addr, value.to_le());
    }

    /// Writes a big-endian integer of 1, 2, 4 or 8 bytes; undivided if its address is aligned.
    #[track_caller]
    pub fn write_be<T: Scalar>(&self, addr: u64, value: T) {
        self.store(addr, value.to_be());
    }

    #[track_caller]
    fn load<T: Scalar>(&self, addr: u64) -> T {
        let offset = self.locate("read", addr, size_of::<T>());
        if let Some(mapping) = self.vm.mapping() {
            self.vm.rest();
            let value: T = mapping.load(offset);
            self.vm.note(|| Noted::Read {
                addr,
                bytes: bytes_of(value),
            });
            return value;
        }
        let mut bytes = [0; 8];
        let bytes = &mut bytes[..size_of::<T>()];
        self.vm.read_mem(addr, bytes);
        T::from_ne(bytes)
    }

    #[track_caller]
    fn store<T: Scalar>(&self, addr: u64, value: T) {
        let offset = self.locate("write", addr, size_of::<T>());
        if let Some(mapping) = self.vm.mapping() {
            self.vm.rest();
            self.vm.note(|| Noted::Wrote {
                addr,
                bytes: bytes_of(value),
            });
            return mapping.store(offset, value);
        }
        let mut bytes = [0; 8];
        let bytes = &mut bytes[..size_of::<T>()];
        value.to_ne(bytes);
        self.write(addr, bytes);
    }

    fn find(&self, addr: u64, len: u64) -> Option<usize> {
        self.regions().iter().find_map(|region| {
            let within = addr.checked_sub(region.base)?;
            let fits = within <= region.len && len <= region.len - within;
            // On a 32-bit host a larger backend could not have been mapped.
            fits.then_some((region.offset + within) as usize)
        })
    }

    /// Where the bytes are in the backend; unwinds if some of them are not plain RAM.
    #[track_caller]
    fn locate(&self, attempt: &str, addr: u64, len: usize) -> usize {
        match self.find(addr, len as u64) {
            Some(offset) => offset,
            None => self.refuse(attempt, addr, len),
        }
    }

    #[track_caller]
    #[cold]
    fn refuse(&self, attempt: &str, addr: u64, len: usize) -> ! {
        let launch = self.vm.launch();
        let machine = launch.machine();
        let problem = if machine.ram_backend == RamBackend::None {
            format!("failed to {attempt} {len} bytes of RAM at {addr:#x}: {machine} has no RAM")
        } else {
            let regions: Vec<String> = self
                .regions()
                .iter()
                .map(|region| format!("{:#x}–{:#x}", region.base, region.end() - 1))
                .collect();
            format!(
                "failed to {attempt} {len} bytes of RAM at {addr:#x}: with {} bytes, plain RAM of {machine} is {}; what \
                 else is there is reached with `Vm::read_mem` and `Vm::write_mem`",
                self.size(),
                regions.join(" and ")
            )
        };
        Fault::new(FaultKind::Usage(problem)).raise()
    }
}

impl fmt::Debug for Ram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ram")
            .field("regions", &self.regions())
            .finish()
    }
}

/// As it lies in memory.
fn bytes_of<T: Scalar>(value: T) -> Vec<u8> {
    let mut bytes = vec![0; size_of::<T>()];
    value.to_ne(&mut bytes);
    bytes
}

/// An unsigned integer that memory holds: `u8`, `u16`, `u32` or `u64`.
pub trait Scalar: Copy + sealed::Sealed {
    /// From little-endian to the host's byte order.
    #[must_use]
    fn from_le(value: Self) -> Self;
    /// From big-endian to the host's byte order.
    #[must_use]
    fn from_be(value: Self) -> Self;
    /// From the host's byte order to little-endian.
    #[must_use]
    fn to_le(self) -> Self;
    /// From the host's byte order to big-endian.
    #[must_use]
    fn to_be(self) -> Self;
    #[doc(hidden)]
    fn from_ne(bytes: &[u8]) -> Self;
    #[doc(hidden)]
    fn to_ne(self, bytes: &mut [u8]);
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! scalar {
    ($($type:ty),*) => {$(
        impl sealed::Sealed for $type {}

        impl Scalar for $type {
            fn from_le(value: Self) -> Self {
                <$type>::from_le(value)
            }

            fn from_be(value: Self) -> Self {
                <$type>::from_be(value)
            }

            fn to_le(self) -> Self {
                <$type>::to_le(self)
            }

            fn to_be(self) -> Self {
                <$type>::to_be(self)
            }

            fn from_ne(bytes: &[u8]) -> Self {
                let mut own = [0; size_of::<$type>()];
                own.copy_from_slice(bytes);
                <$type>::from_ne_bytes(own)
            }

            fn to_ne(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_ne_bytes());
            }
        }
    )*};
}

scalar!(u8, u16, u32, u64);
