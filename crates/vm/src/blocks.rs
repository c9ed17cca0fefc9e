//! [`Blocks`]: which basic blocks of a VMM's program were reached.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::rc::Rc;

use crate::mapping::Mapping;

const MAGIC: u64 = 0x3173_6b63_6f6c_6274;
/// Of the file: magic, count, state, reached.
const HEADER: u64 = 32;
const STATE: usize = 16;
const REACHED: usize = 24;

/// Places in a VMM's program, and which of them any of its machines reached: a file, shared by everyone who has it open.
///
/// Machines are started with it by [`LaunchOptions::blocks`](crate::LaunchOptions::blocks). A place is noted when it is reached for the
/// first time by any of them, once the machine is built: what QEMU does before its main loop runs is not watched. A clone is the same
/// file.
///
/// This works in an x86_64 QEMU that exports its functions, as those of distributions do; [`state`](Self::state) says so for the
/// machines that were started.
#[derive(Clone)]
pub struct Blocks(Rc<Inner>);

struct Inner {
    file: File,
    mapping: Mapping,
    count: usize,
}

/// Whether places are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlocksState {
    /// No machine has been built with them, or none whose QEMU can be watched.
    Idle,
    /// They are watched.
    Armed,
    /// A machine's program was another: the places are not its.
    OtherProgram,
    /// The system does not let a program's code be written.
    ReadOnly,
}

impl Blocks {
    /// A new file with these places, ascending: addresses relative to where the program is loaded, below 2^56, each with the byte there.
    ///
    /// # Errors
    /// If the file exists or can't be made.
    ///
    /// # Panics
    /// If the places are not in ascending order.
    pub fn create(path: &Path, places: &[(u64, u8)]) -> io::Result<Self> {
        assert!(
            places.is_sorted_by(|(one, _), (next, _)| one < next),
            "places are in ascending order"
        );
        let count = places.len();
        let mut bytes = Vec::with_capacity(size(count) as usize);
        for word in [MAGIC, count as u64, 0, 0] {
            bytes.extend(word.to_ne_bytes());
        }
        for (address, byte) in places {
            bytes.extend((address << 8 | u64::from(*byte)).to_ne_bytes());
        }
        bytes.resize(size(count) as usize, 0);
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)?;
        io::Write::write_all(&mut &file, &bytes)?;
        Self::of(file)
    }

    /// A file that is there.
    ///
    /// # Errors
    /// If it can't be read or is none.
    pub fn open(path: &Path) -> io::Result<Self> {
        Self::of(File::options().read(true).write(true).open(path)?)
    }

    fn of(file: File) -> io::Result<Self> {
        let none = || io::Error::new(io::ErrorKind::InvalidData, "this is no file of blocks");
        let len = file.metadata()?.len();
        if len < HEADER {
            return Err(none());
        }
        let mapping = Mapping::new(file.try_clone()?.into(), len)?;
        let count: u64 = mapping.load(8);
        let is_whole = count < 1 << 32 && size(count as usize) == len;
        if mapping.load::<u64>(0) != MAGIC || !is_whole {
            return Err(none());
        }
        let count = count as usize;
        Ok(Self(Rc::new(Inner {
            file,
            mapping,
            count,
        })))
    }

    pub(crate) fn file(&self) -> io::Result<OwnedFd> {
        Ok(self.0.file.try_clone()?.into())
    }

    /// How many places there are.
    pub fn len(&self) -> usize {
        self.0.count
    }

    /// Whether there is no place.
    pub fn is_empty(&self) -> bool {
        self.0.count == 0
    }

    /// Whether they are watched.
    pub fn state(&self) -> BlocksState {
        match self.0.mapping.load::<u64>(STATE) {
            0 => BlocksState::Idle,
            1 => BlocksState::Armed,
            2 => BlocksState::OtherProgram,
            _ => BlocksState::ReadOnly,
        }
    }

    /// How many places were reached by now.
    pub fn reached(&self) -> usize {
        (self.0.mapping.load::<u64>(REACHED) as usize).min(self.0.count)
    }

    /// The indices of the places that were reached first, second and so on, but for the first `after` of them. What a machine was just
    /// noting when it was ended may be missing, in this list and for good.
    pub fn order(&self, after: usize) -> Vec<usize> {
        let count = self.0.count;
        let first = HEADER as usize + 8 * count + count.next_multiple_of(4);
        (after..self.reached())
            .filter_map(|at| (self.0.mapping.load::<u32>(first + 4 * at) as usize).checked_sub(1))
            .collect()
    }
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocks")
            .field("len", &self.len())
            .field("reached", &self.reached())
            .field("state", &self.state())
            .finish()
    }
}

/// Of the file: the header, the places, a byte for each, aligned to 4, and a number for each.
fn size(count: usize) -> u64 {
    HEADER + 8 * count as u64 + (count as u64).next_multiple_of(4) + 4 * count as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_its_places_and_is_the_same_for_all() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("blocks");
        let blocks = Blocks::create(&path, &[(0x1000, 0x55), (0x1004, 0xc3), (0x1005, 0x90)])
            .expect("a file");
        assert_eq!((blocks.len(), blocks.reached()), (3, 0));
        assert_eq!(blocks.state(), BlocksState::Idle);
        let other = Blocks::open(&path).expect("the file");
        // As a machine notes: the list of numbers begins after 32 + 3 * 8 + 4 bytes.
        blocks.0.mapping.store(REACHED, 2_u64);
        blocks.0.mapping.store(60, 3_u32);
        blocks.0.mapping.store(64, 1_u32);
        assert_eq!(other.reached(), 2);
        assert_eq!(other.order(0), [2, 0]);
        assert_eq!(other.order(1), [0]);
        assert!(Blocks::create(&path, &[]).is_err());
    }

    #[test]
    fn another_file_is_none() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("blocks");
        let told = |bytes: &[u8]| {
            std::fs::write(&path, bytes).expect("writable");
            Blocks::open(&path).map(drop).expect_err("none").to_string()
        };
        assert_eq!(told(b"short"), "this is no file of blocks");
        assert_eq!(told(&[0; 64]), "this is no file of blocks");
        let mut large = MAGIC.to_ne_bytes().to_vec();
        large.extend((1_u64 << 40).to_ne_bytes());
        large.resize(4096, 0);
        assert_eq!(told(&large), "this is no file of blocks");
    }
}
