//! Files of the host, for options that take nothing but a path.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;

/// A file without a name, which the machine reaches through this process: it goes with the test, whichever way that ends.
pub(super) struct HostFile(File);

impl HostFile {
    /// A file of these bytes.
    pub(super) fn new(bytes: &[u8]) -> Self {
        let mut file = tempfile::tempfile().expect("the host has room for a scratch file");
        file.write_all(bytes)
            .expect("the host has room for a scratch file");
        Self(file)
    }

    /// Its path, for as long as this process lives.
    pub(super) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// What is in it now.
    pub(super) fn read(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.0
            .seek(SeekFrom::Start(0))
            .and_then(|_| self.0.read_to_end(&mut bytes))
            .expect("a scratch file can be read");
        bytes
    }
}
