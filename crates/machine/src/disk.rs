//! [`Disk`]: the file behind a disk.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

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
        if self.read_only || !self.holds(sector, (data.len() / SECTOR) as u64) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        match &self.file {
            Some(file) => file.write_all_at(data, sector * SECTOR as u64),
            None => Ok(()),
        }
    }

    pub(crate) fn flush(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), File::sync_data)
    }
}
