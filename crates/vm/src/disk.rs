//! [`ScratchDisk`]: a drive's image, from the test's side.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use crate::fault::Fault;
use crate::recording::Noted;
use crate::vm::Vm;

/// Bytes of a sector of [`ScratchDisk::sector`].
pub const SECTOR: usize = 512;

/// The file behind a drive of the machine, while the machine has it.
///
/// Every access is a barrier, like one to [`Ram`](crate::Ram). What the machine has not finished writing is not there
/// yet: the test waits for its device first, as a driver would.
#[derive(Clone)]
pub struct ScratchDisk {
    vm: Vm,
    id: String,
    file: Rc<File>,
}

impl ScratchDisk {
    pub(crate) fn new(vm: Vm, id: String, file: Rc<File>) -> Self {
        Self { vm, id, file }
    }

    /// The drive's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Length of the file in bytes. For a format other than raw, not what the guest sees.
    #[track_caller]
    #[expect(clippy::len_without_is_empty, reason = "a disk, not a container")]
    pub fn len(&self) -> u64 {
        self.vm.rest();
        match self.file.metadata() {
            Ok(metadata) => metadata.len(),
            Err(error) => self.fail("measure the image", &error),
        }
    }

    /// Bytes of the file that hold data; holes are not counted.
    #[track_caller]
    pub fn allocated(&self) -> u64 {
        use std::os::unix::fs::MetadataExt;

        self.vm.rest();
        match self.file.metadata() {
            // In units of 512 bytes, whatever the file system's blocks are: stat(2), st_blocks.
            Ok(metadata) => metadata.blocks() * 512,
            Err(error) => self.fail("measure the image", &error),
        }
    }

    /// The sector of 512 bytes with this number, counted from 0.
    #[track_caller]
    pub fn sector(&self, number: u64) -> [u8; SECTOR] {
        let mut sector = [0; SECTOR];
        self.read(number * SECTOR as u64, &mut sector);
        sector
    }

    /// Replaces the sector of 512 bytes with this number. Less than a sector is filled up with zeroes.
    #[track_caller]
    pub fn set_sector(&self, number: u64, bytes: &[u8]) {
        if bytes.len() > SECTOR {
            let problem = format!(
                "failed to write a sector of drive \"{}\": {} bytes are more than {SECTOR}",
                self.id,
                bytes.len()
            );
            Fault::usage(problem).raise();
        }
        let mut sector = [0; SECTOR];
        sector[..bytes.len()].copy_from_slice(bytes);
        self.write(number * SECTOR as u64, &sector);
    }

    /// Reads bytes from this offset in the file. Unwinds if the file ends before them.
    #[track_caller]
    pub fn read(&self, offset: u64, bytes: &mut [u8]) {
        self.vm.rest();
        if let Err(error) = self.file.read_exact_at(bytes, offset) {
            let attempt = format!("read {} bytes at {offset:#x}", bytes.len());
            self.fail(&attempt, &error);
        }
    }

    /// Writes bytes at this offset in the file, which grows if need be, even where the guest may only read.
    #[track_caller]
    pub fn write(&self, offset: u64, bytes: &[u8]) {
        self.vm.rest();
        self.vm.note(|| Noted::Image {
            disk: self.id.clone(),
            offset,
            bytes: bytes.to_vec(),
        });
        if let Err(error) = self.file.write_all_at(bytes, offset) {
            let attempt = format!("write {} bytes at {offset:#x}", bytes.len());
            self.fail(&attempt, &error);
        }
    }

    #[track_caller]
    #[cold]
    fn fail(&self, attempt: &str, error: &std::io::Error) -> ! {
        Fault::usage(format!(
            "failed to {attempt} of drive \"{}\": {error}",
            self.id
        ))
        .raise()
    }
}

impl fmt::Debug for ScratchDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScratchDisk")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
