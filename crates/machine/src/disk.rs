//! [`Disk`]: the file behind a disk.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, fallocate};

pub(crate) const SECTOR: usize = 512;

/// A raw image. Clones are the same file.
#[derive(Debug)]
pub(crate) struct Disk {
    file: Option<File>,
    read_only: bool,
}

impl Disk {
    pub(crate) fn new(file: File, read_only: bool) -> Self {
        Self {
            file: Some(file),
            read_only,
        }
    }

    /// An empty image that keeps nothing: `null-co`.
    pub(crate) fn null() -> Self {
        Self {
            file: None,
            read_only: false,
        }
    }

    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            file: self.file.as_ref().map(File::try_clone).transpose()?,
            read_only: self.read_only,
        })
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// Whole sectors of the image, as long as it is now.
    pub(crate) fn sectors(&self) -> u64 {
        match &self.file {
            Some(file) => file
                .metadata()
                .map_or(0, |metadata| metadata.len() / SECTOR as u64),
            // As large as QEMU's null device.
            None => 1 << 21,
        }
    }

    pub(crate) fn resize(&self, bytes: u64) -> io::Result<()> {
        self.file
            .as_ref()
            .map_or(Ok(()), |file| file.set_len(bytes))
    }

    /// Whether so many sectors from one on are all on the disk.
    pub(crate) fn holds(&self, sector: u64, count: u64) -> bool {
        sector
            .checked_add(count)
            .is_some_and(|end| end <= self.sectors())
    }

    /// Reads whole sectors.
    pub(crate) fn read(&self, sector: u64, data: &mut [u8]) -> io::Result<()> {
        if !self.holds(sector, (data.len() / SECTOR) as u64) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let Some(file) = &self.file else {
            data.fill(0);
            return Ok(());
        };
        file.read_exact_at(data, sector * SECTOR as u64)
    }

    /// Writes whole sectors.
    pub(crate) fn write(&self, sector: u64, data: &[u8]) -> io::Result<()> {
        match self.changeable(sector, (data.len() / SECTOR) as u64)? {
            Some(file) => file.write_all_at(data, sector * SECTOR as u64),
            None => Ok(()),
        }
    }

    /// Has sectors read as zeroes, and gives their room back.
    pub(crate) fn discard(&self, sector: u64, count: u64) -> io::Result<()> {
        let Some(file) = self.changeable(sector, count)? else {
            return Ok(());
        };
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let (offset, len) = (sector * SECTOR as u64, count * SECTOR as u64);
        match len {
            0 => Ok(()),
            _ => Ok(fallocate(file, flags, offset, len)?),
        }
    }

    /// Has sectors read as zeroes, and keeps their room.
    pub(crate) fn write_zeroes(&self, sector: u64, count: u64) -> io::Result<()> {
        const PIECE: usize = 64 << 10;
        let Some(file) = self.changeable(sector, count)? else {
            return Ok(());
        };
        let zeroes = vec![0; PIECE];
        let (mut offset, mut left) = (sector * SECTOR as u64, count * SECTOR as u64);
        while left > 0 {
            let len = left.min(PIECE as u64);
            file.write_all_at(&zeroes[..len as usize], offset)?;
            offset += len;
            left -= len;
        }
        Ok(())
    }

    /// The file, if these sectors may be changed.
    fn changeable(&self, sector: u64, count: u64) -> io::Result<Option<&File>> {
        if self.read_only || !self.holds(sector, count) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(self.file.as_ref())
    }

    pub(crate) fn flush(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), File::sync_data)
    }
}
