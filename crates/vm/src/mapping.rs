//! [`Mapping`]: the guest's memory in this process, moved by copies only.
//!
//! The other side of the mapping is written by the VMM and its threads at any time, so nothing here hands out a
//! reference into it: bytes are copied with volatile accesses, the wide and aligned ones undivided.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{Ordering, fence};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

use crate::ram::Scalar;

/// A shared mapping of a memory backend.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    len: usize,
    /// Kept so that a template can be forked from it later, and so that the file lives as long as the mapping.
    _file: OwnedFd,
}

impl Mapping {
    /// Maps the whole of a file that can't shrink.
    pub(crate) fn new(file: OwnedFd, len: u64) -> io::Result<Self> {
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::OutOfMemory)?;
        #[expect(unsafe_code, reason = "mapping guest memory is what this type is for")]
        // SAFETY: the kernel chooses an address that nothing else has. The file is sealed against shrinking, so no
        // page of the mapping vanishes.
        let base = unsafe {
            mmap(
                std::ptr::null_mut(),
                len,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED | MapFlags::NORESERVE,
                file.as_fd(),
                0,
            )
        }?;
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            base,
            len,
            _file: file,
        })
    }

    /// Copies bytes from `offset` on; after everything that this thread knows the VMM to have done.
    ///
    /// # Panics
    /// If the range is not in the mapping: the caller has looked it up.
    pub(crate) fn read(&self, offset: usize, bytes: &mut [u8]) {
        let mut source = self.at(offset, bytes.len()).cast_const();
        fence(Ordering::SeqCst);
        let (head, middle) = bytes.split_at_mut(to_alignment(source, bytes.len()));
        #[expect(unsafe_code, reason = "volatile copies out of a mapping")]
        // SAFETY: `at` has checked the range, of which each step takes a part once and in order; the 8-byte loads
        // begin after as many bytes as make `source` aligned.
        unsafe {
            for byte in head {
                *byte = source.read_volatile();
                source = source.add(1);
            }
            let mut chunks = middle.chunks_exact_mut(8);
            for chunk in &mut chunks {
                #[expect(clippy::cast_ptr_alignment, reason = "the head made it aligned")]
                let word = source.cast::<u64>().read_volatile();
                chunk.copy_from_slice(&word.to_ne_bytes());
                source = source.add(8);
            }
            for byte in chunks.into_remainder() {
                *byte = source.read_volatile();
                source = source.add(1);
            }
        }
        fence(Ordering::SeqCst);
    }

    /// Copies bytes to `offset` and on; before everything that this thread has the VMM do next.
    ///
    /// # Panics
    /// If the range is not in the mapping: the caller has looked it up.
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) {
        let mut target = self.at(offset, bytes.len());
        fence(Ordering::SeqCst);
        let (head, middle) = bytes.split_at(to_alignment(target, bytes.len()));
        #[expect(unsafe_code, reason = "volatile copies into a mapping")]
        // SAFETY: as in `read`.
        unsafe {
            for byte in head {
                target.write_volatile(*byte);
                target = target.add(1);
            }
            let chunks = middle.chunks_exact(8);
            let tail = chunks.remainder();
            for chunk in chunks {
                let mut word = [0; 8];
                word.copy_from_slice(chunk);
                #[expect(clippy::cast_ptr_alignment, reason = "the head made it aligned")]
                target
                    .cast::<u64>()
                    .write_volatile(u64::from_ne_bytes(word));
                target = target.add(8);
            }
            for byte in tail {
                target.write_volatile(*byte);
                target = target.add(1);
            }
        }
        fence(Ordering::SeqCst);
    }

    /// Fills a range with one value.
    ///
    /// # Panics
    /// If the range is not in the mapping: the caller has looked it up.
    pub(crate) fn fill(&self, offset: usize, len: usize, value: u8) {
        let block = [value; 4096];
        let mut done = 0;
        while done < len {
            let step = block.len().min(len - done);
            self.write(offset + done, &block[..step]);
            done += step;
        }
    }

    /// Reads a scalar in this host's byte order, undivided if it is aligned.
    pub(crate) fn load<T: Scalar>(&self, offset: usize) -> T {
        let pointer = self.at(offset, size_of::<T>()).cast::<T>();
        if !pointer.is_aligned() {
            let mut bytes = [0; 8];
            let bytes = &mut bytes[..size_of::<T>()];
            self.read(offset, bytes);
            return T::from_ne(bytes);
        }
        fence(Ordering::SeqCst);
        #[expect(unsafe_code, reason = "a volatile load from a mapping")]
        // SAFETY: in range (`at`), aligned (above), and an integer has no invalid bytes.
        let value = unsafe { pointer.read_volatile() };
        fence(Ordering::SeqCst);
        value
    }

    /// Writes a scalar in this host's byte order, undivided if it is aligned.
    pub(crate) fn store<T: Scalar>(&self, offset: usize, value: T) {
        let pointer = self.at(offset, size_of::<T>()).cast::<T>();
        if !pointer.is_aligned() {
            let mut bytes = [0; 8];
            let bytes = &mut bytes[..size_of::<T>()];
            value.to_ne(bytes);
            return self.write(offset, bytes);
        }
        fence(Ordering::SeqCst);
        #[expect(unsafe_code, reason = "a volatile store into a mapping")]
        // SAFETY: in range (`at`) and aligned (above).
        unsafe {
            pointer.write_volatile(value);
        }
        fence(Ordering::SeqCst);
    }

    fn at(&self, offset: usize, len: usize) -> *mut u8 {
        assert!(
            offset <= self.len && len <= self.len - offset,
            "{offset:#x}+{len:#x} is outside a mapping of {:#x}",
            self.len
        );
        #[expect(unsafe_code, reason = "an address in the mapping")]
        // SAFETY: the offset is in the mapping, or just behind it when nothing is taken from there.
        unsafe {
            self.base.as_ptr().add(offset)
        }
    }
}

/// How many of `len` bytes come before the first 8-byte boundary.
fn to_alignment(pointer: *const u8, len: usize) -> usize {
    pointer.align_offset(align_of::<u64>()).min(len)
}

impl Drop for Mapping {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "the mapping ends with its owner")]
        // SAFETY: mapped in `new` with this length; no reference into it was ever handed out.
        let _ = unsafe { munmap(self.base.as_ptr().cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use super::*;

    fn mapping(len: u64) -> (Mapping, File) {
        let file = tempfile::tempfile().unwrap();
        file.set_len(len).unwrap();
        let other = file.try_clone().unwrap();
        (Mapping::new(file.into(), len).unwrap(), other)
    }

    #[test]
    fn every_alignment_and_length_arrives_whole_and_touches_nothing_else() {
        let (mapping, file) = mapping(4096);
        let pattern: Vec<u8> = (1..=40).collect();
        for offset in 100..116 {
            for len in 0..40 {
                mapping.fill(0, 4096, 0xee);
                mapping.write(offset, &pattern[..len]);
                let mut seen = [0; 4096];
                file.read_exact_at(&mut seen, 0).unwrap();
                assert_eq!(&seen[offset..offset + len], &pattern[..len]);
                assert!(seen[..offset].iter().all(|byte| *byte == 0xee));
                assert!(seen[offset + len..].iter().all(|byte| *byte == 0xee));
                let mut back = vec![0; len];
                mapping.read(offset, &mut back);
                assert_eq!(back, &pattern[..len]);
            }
        }
    }

    #[test]
    fn scalars_are_the_same_aligned_or_not() {
        let (mapping, _file) = mapping(4096);
        for offset in 0..9 {
            mapping.store(offset, 0x0123_4567_89ab_cdef_u64);
            assert_eq!(mapping.load::<u64>(offset), 0x0123_4567_89ab_cdef);
            assert_eq!(
                mapping.load::<u8>(offset),
                0x0123_4567_89ab_cdef_u64.to_ne_bytes()[0]
            );
            mapping.store(offset + 1, 0xbeef_u16);
            assert_eq!(mapping.load::<u16>(offset + 1), 0xbeef);
        }
    }

    #[test]
    fn the_last_byte_is_inside_and_the_next_is_not() {
        let (mapping, _file) = mapping(4096);
        mapping.write(4095, &[1]);
        mapping.write(4096, &[]);
        let beyond = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            mapping.write(4095, &[1, 2]);
        }));
        assert!(beyond.is_err());
    }
}
