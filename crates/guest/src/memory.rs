//! The memory of machines whose states are kept, apart from them: [`Memory`].
//!
//! A machine boots in memory that is a file, which is copied when it has booted. Machines that begin there map the copy, privately: they
//! read of it what they need, and what they write is their own. So a restored machine has its memory at once, of whatever size it is.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{MemfdFlags, memfd_create};

/// What QEMU calls it.
const ID: &str = "testjig-memory";
/// What is zero throughout is left out of a copy, in parts of so many bytes.
const PART: usize = 64 << 10;

/// A file that is a machine's memory.
#[derive(Debug)]
pub(crate) struct Memory {
    file: File,
    bytes: u64,
    /// Whether the machine's writes go to the file.
    is_shared: bool,
}

impl Memory {
    /// Memory to boot in, all zero.
    pub(crate) fn new(bytes: u64) -> io::Result<Self> {
        let file = File::from(memfd_create("testjig-memory", MemfdFlags::CLOEXEC)?);
        file.set_len(bytes)?;
        Ok(Self {
            file,
            bytes,
            is_shared: true,
        })
    }

    /// What such memory was copied to, if it is whole.
    pub(crate) fn copied(file: File, bytes: u64) -> io::Result<Self> {
        let length = file.metadata()?.len();
        if length != bytes {
            let text = format!("it has {length} bytes instead of {bytes}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(Self {
            file,
            bytes,
            is_shared: false,
        })
    }

    /// QEMU's words for it, with a descriptor to inherit.
    pub(crate) fn words(&self, inherit: &mut Vec<OwnedFd>) -> io::Result<[String; 4]> {
        let file = self.file.try_clone()?;
        let place = format!("/proc/self/fd/{}", file.as_raw_fd());
        inherit.push(file.into());
        let how = if self.is_shared {
            "share=on"
        } else {
            "share=off,readonly=on,rom=off"
        };
        let object = format!(
            "memory-backend-file,id={ID},size={},mem-path={place},{how}",
            self.bytes
        );
        let machine = format!("memory-backend={ID}");
        Ok(["-object".to_owned(), object, "-machine".to_owned(), machine])
    }

    /// Copies it, of a machine that stands still.
    pub(crate) fn copy(&self, mut to: &File) -> io::Result<()> {
        let mut from = &self.file;
        from.seek(SeekFrom::Start(0))?;
        let mut part = vec![0; PART];
        let mut left = self.bytes;
        while left > 0 {
            let length = usize::try_from(left).map_or(PART, |left| left.min(PART));
            let part = &mut part[..length];
            from.read_exact(part)?;
            if part.iter().all(|byte| *byte == 0) {
                to.seek(SeekFrom::Current(length as i64))?;
            } else {
                to.write_all(part)?;
            }
            left -= length as u64;
        }
        to.set_len(self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_equal_and_has_holes_where_there_is_nothing() {
        let memory = Memory::new(10 * PART as u64 + 5).expect("memory");
        let mut file = &memory.file;
        file.seek(SeekFrom::Start(3 * PART as u64 - 1))
            .expect("within");
        file.write_all(b"abc").expect("room");
        file.seek(SeekFrom::End(-2)).expect("within");
        file.write_all(b"yz").expect("room");
        let mut copy = tempfile::tempfile().expect("a file");
        memory.copy(&copy).expect("copied");
        let mut bytes = Vec::new();
        copy.seek(SeekFrom::Start(0)).expect("within");
        copy.read_to_end(&mut bytes).expect("readable");
        assert_eq!(bytes.len() as u64, memory.bytes);
        assert_eq!(&bytes[3 * PART - 1..3 * PART + 2], b"abc");
        assert!(bytes.ends_with(b"\0\0\0yz"));
        assert_eq!(bytes.iter().filter(|byte| **byte != 0).count(), 5);
        let copy = Memory::copied(copy, memory.bytes).expect("whole");
        assert!(Memory::copied(copy.file, memory.bytes + 1).is_err());
    }
}
