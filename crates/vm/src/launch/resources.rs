//! What a machine needs of the host, made for one launch: memory, images, sockets. Nothing of it has a name.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use rustix::fs::{
    MemfdFlags, Mode, OFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create, open,
};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::args::FIRST_FD;
use super::{Drive, Image, Resource, Resources};
use crate::mapping::Mapping;

/// What of a machine's files a machine forked from it has for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Own {
    /// A file or socket of its own.
    File,
    /// A file of its own, which is mapped.
    Memory,
    /// Nothing: it was read when the machine was started.
    Nothing,
}

/// The host's side of a machine that is being started.
#[derive(Default)]
pub(crate) struct Made {
    /// What the child gets, to be closed here once it has it.
    pub(crate) inherit: Vec<OwnedFd>,
    /// For each of these, what a fork makes of it.
    pub(crate) own: Vec<Own>,
    /// The guest's memory, if it comes from here, and its size.
    pub(crate) ram: Option<(OwnedFd, u64)>,
    /// The drives' images by the drives' ids.
    pub(crate) disks: Vec<(String, File)>,
    /// Our ends of sockets, by the ids of their devices, and whether they keep messages apart.
    pub(crate) channels: Vec<(String, OwnedFd, bool)>,
}

impl Made {
    /// Has the child inherit a descriptor, and says under which number it finds it.
    pub(crate) fn hand_over(&mut self, fd: OwnedFd, own: Own) -> RawFd {
        // A high number that nothing else of this process has: the same for every machine that is the only one.
        let fd = match fcntl_dupfd_cloexec(&fd, FIRST_FD) {
            Ok(high) => high,
            Err(_) => fd,
        };
        let number = fd.as_raw_fd();
        self.inherit.push(fd);
        self.own.push(own);
        number
    }

    /// The guest's memory as it is seen from here, if it comes from here.
    pub(crate) fn mapping(&mut self) -> io::Result<Option<Mapping>> {
        let ram = self.ram.take();
        ram.map(|(file, size)| Mapping::new(file, size)).transpose()
    }

    /// A pair of connected sockets: ours, and the number of the child's.
    pub(crate) fn socket(&mut self, kind: SocketType) -> io::Result<(OwnedFd, RawFd)> {
        let (ours, theirs) = socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
        Ok((ours, self.hand_over(theirs, Own::File)))
    }
}

impl Resources for Made {
    type Error = io::Error;

    fn make(&mut self, resource: Resource<'_>) -> io::Result<RawFd> {
        match resource {
            Resource::Ram(size) => {
                let memory = memfd("testjig-ram", MemfdFlags::ALLOW_SEALING)?;
                ftruncate(&memory, size)?;
                // A mapping of a file that shrinks is a mapping that kills.
                fcntl_add_seals(
                    &memory,
                    SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
                )?;
                let theirs = memory.as_fd().try_clone_to_owned()?;
                self.ram = Some((memory, size));
                Ok(self.hand_over(theirs, Own::Memory))
            }
            Resource::Drive(drive) => {
                let file = image(&drive.image)?;
                let theirs = for_guest(drive, &file)?;
                self.disks.push((drive.id.clone(), file));
                Ok(self.hand_over(theirs, Own::File))
            }
            Resource::Channel { id, messages } => {
                let kind = if messages {
                    SocketType::DGRAM
                } else {
                    SocketType::STREAM
                };
                let (ours, theirs) = self.socket(kind)?;
                self.channels.push((id.to_owned(), ours, messages));
                Ok(theirs)
            }
            Resource::Blob(bytes) => {
                let mut file = File::from(memfd("testjig-blob", MemfdFlags::empty())?);
                file.write_all(bytes)?;
                file.seek(SeekFrom::Start(0))?;
                Ok(self.hand_over(file.into(), Own::Nothing))
            }
        }
    }
}

/// A file in memory that can't be executed, where the kernel knows that (Linux 6.3); some are told to allow no other.
fn memfd(name: &str, flags: MemfdFlags) -> Result<OwnedFd, Errno> {
    let flags = flags | MemfdFlags::CLOEXEC;
    match memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => memfd_create(name, flags),
        result => result,
    }
}

/// The image as a file in memory; what is zero takes no room.
fn image(image: &Image) -> io::Result<File> {
    let mut file = File::from(memfd("testjig-disk", MemfdFlags::empty())?);
    let mut size = image.size;
    if let Some(path) = &image.file {
        let mut source = File::open(path).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
        size = size.max(copy_sparse(&mut source, &mut file)?);
    }
    file.set_len(size)?;
    for extent in &image.extents {
        file.seek(SeekFrom::Start(extent.offset))?;
        file.write_all(&extent.bytes)?;
    }
    Ok(file)
}

/// Copies what is not zero; returns the length.
fn copy_sparse(source: &mut File, target: &mut File) -> io::Result<u64> {
    let mut block = vec![0; 64 << 10];
    let mut length = 0;
    loop {
        let count = source.read(&mut block)?;
        if count == 0 {
            return Ok(length);
        }
        if block[..count].iter().any(|byte| *byte != 0) {
            target.seek(SeekFrom::Start(length))?;
            target.write_all(&block[..count])?;
        }
        length += count as u64;
    }
}

/// A descriptor with exactly the access that the drive asks for: QEMU takes no other from a descriptor set.
fn for_guest(drive: &Drive, file: &File) -> io::Result<OwnedFd> {
    if !drive.read_only {
        return file.as_fd().try_clone_to_owned();
    }
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt, MetadataExt};

    use super::*;

    #[test]
    fn an_image_has_its_bytes_where_they_belong_and_holes_elsewhere() {
        let spec = Image::zeroed(4 << 30).with(1 << 30, *b"here");
        let file = image(&spec).unwrap();
        let metadata = file.metadata().unwrap();
        assert_eq!(metadata.len(), 4 << 30);
        assert!(metadata.blocks() * 512 < 1 << 20, "not sparse");
        let mut bytes = [0; 6];
        file.read_exact_at(&mut bytes, (1 << 30) - 1).unwrap();
        assert_eq!(&bytes, b"\0here\0");
    }

    #[test]
    fn a_file_is_copied_and_padded() {
        let mut source = tempfile::NamedTempFile::new().unwrap();
        let mut content = vec![0; 200 << 10];
        content[150_000] = 7;
        source.write_all(&content).unwrap();
        let file = image(&Image::file(source.path()).padded(1 << 20)).unwrap();
        assert_eq!(file.metadata().unwrap().len(), 1 << 20);
        let mut byte = [0];
        file.read_exact_at(&mut byte, 150_000).unwrap();
        assert_eq!(byte, [7]);
        let unpadded = image(&Image::file(source.path())).unwrap();
        assert_eq!(unpadded.metadata().unwrap().len(), content.len() as u64);
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = image(&Image::file("/no/such/image")).unwrap_err();
        assert!(error.to_string().contains("/no/such/image"), "{error}");
    }

    #[test]
    fn memory_can_neither_shrink_nor_grow() {
        let mut made = Made::default();
        made.make(Resource::Ram(1 << 20)).unwrap();
        let (memory, _) = made.ram.unwrap();
        assert!(ftruncate(&memory, 1 << 19).is_err());
        assert!(ftruncate(&memory, 1 << 21).is_err());
    }

    #[test]
    fn a_read_only_drive_gets_a_descriptor_that_can_only_read() {
        let drive = Drive::new("d", Image::zeroed(512)).read_only(true);
        let file = image(&drive.image).unwrap();
        let theirs = File::from(for_guest(&drive, &file).unwrap());
        assert!(theirs.write_at(b"x", 0).is_err());
        file.write_at(b"x", 0).unwrap();
        let mut byte = [0];
        theirs.read_exact_at(&mut byte, 0).unwrap();
        assert_eq!(&byte, b"x");
    }
}
