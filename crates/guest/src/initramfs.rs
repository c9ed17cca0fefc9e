//! Initial file systems, written reproducibly: [`Archive`].
//!
//! The format is `newc`, as the kernel's `Documentation/driver-api/early-userspace/buffer-format.rst` describes it. Equal entries make
//! equal bytes: all times are 0, all owners root, inodes count from 1, and entries are in the order of their names.

use std::collections::BTreeMap;

/// What is at one name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Directory,
    File { mode: u32, bytes: Vec<u8> },
    Link(String),
    CharacterDevice { major: u32, minor: u32 },
}

/// An initial file system in the making.
#[derive(Clone, Debug, Default)]
pub struct Archive {
    entries: BTreeMap<String, Entry>,
}

impl Archive {
    /// Nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A directory, with those above it.
    pub fn directory(&mut self, path: &str) {
        self.parents(path);
        self.entries
            .insert(relative(path).to_owned(), Entry::Directory);
    }

    /// A file with these permissions, and the directories above it.
    pub fn file(&mut self, path: &str, mode: u32, bytes: impl Into<Vec<u8>>) {
        self.parents(path);
        let bytes = bytes.into();
        self.entries
            .insert(relative(path).to_owned(), Entry::File { mode, bytes });
    }

    /// A symbolic link, and the directories above it.
    pub fn link(&mut self, path: &str, target: &str) {
        self.parents(path);
        self.entries
            .insert(relative(path).to_owned(), Entry::Link(target.to_owned()));
    }

    /// A character device that only root may use, and the directories above it.
    pub fn character_device(&mut self, path: &str, major: u32, minor: u32) {
        self.parents(path);
        self.entries.insert(
            relative(path).to_owned(),
            Entry::CharacterDevice { major, minor },
        );
    }

    fn parents(&mut self, path: &str) {
        let path = relative(path);
        for (end, _) in path.match_indices('/') {
            self.entries
                .entry(path[..end].to_owned())
                .or_insert(Entry::Directory);
        }
    }

    /// The bytes of the archive.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (inode, (name, entry)) in (1..).zip(&self.entries) {
            let (mode, device, data): (u32, (u32, u32), &[u8]) = match entry {
                Entry::Directory => (0o040_755, (0, 0), &[]),
                Entry::File { mode, bytes } => (0o100_000 | mode & 0o7777, (0, 0), bytes),
                Entry::Link(target) => (0o120_777, (0, 0), target.as_bytes()),
                Entry::CharacterDevice { major, minor } => (0o020_600, (*major, *minor), &[]),
            };
            member(&mut bytes, inode, name, mode, device, data);
        }
        member(&mut bytes, 0, "TRAILER!!!", 0, (0, 0), &[]);
        // Loaders like whole blocks.
        pad(&mut bytes, 512);
        bytes
    }
}

fn relative(path: &str) -> &str {
    path.trim_matches('/')
}

fn member(
    to: &mut Vec<u8>,
    inode: u32,
    name: &str,
    mode: u32,
    (major, minor): (u32, u32),
    data: &[u8],
) {
    let size = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let name_size = u32::try_from(name.len() + 1).unwrap_or(u32::MAX);
    let (no_owner, one_name, no_time, no_device, no_checksum) = (0, 1, 0, 0, 0);
    to.extend(b"070701");
    for field in [
        inode,
        mode,
        no_owner,
        no_owner,
        one_name,
        no_time,
        size,
        no_device,
        no_device,
        major,
        minor,
        name_size,
        no_checksum,
    ] {
        to.extend(format!("{field:08X}").as_bytes());
    }
    to.extend(name.as_bytes());
    to.push(0);
    pad(to, 4);
    to.extend(data);
    pad(to, 4);
}

fn pad(bytes: &mut Vec<u8>, to: usize) {
    bytes.resize(bytes.len().next_multiple_of(to), 0);
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    fn sample() -> Archive {
        let mut archive = Archive::new();
        archive.file("/init", 0o755, "program");
        archive.link("/bin/sh", "busybox");
        archive.character_device("/dev/console", 5, 1);
        archive.directory("/proc");
        archive
    }

    #[test]
    fn the_order_of_making_does_not_show() {
        let mut other = Archive::new();
        other.directory("/proc");
        other.character_device("/dev/console", 5, 1);
        other.link("bin/sh", "busybox");
        other.file("init", 0o755, "program");
        assert_eq!(sample().to_bytes(), other.to_bytes());
    }

    #[test]
    fn a_header_has_the_fields_of_newc() {
        let mut archive = Archive::new();
        archive.file("a", 0o644, "xyz");
        let bytes = archive.to_bytes();
        let text = std::str::from_utf8(&bytes[..112]).expect("ASCII");
        assert_eq!(&text[..6], "070701");
        assert_eq!(&text[6..14], "00000001", "inode");
        assert_eq!(&text[14..22], "000081A4", "mode");
        assert_eq!(&text[54..62], "00000003", "size");
        assert_eq!(&text[94..102], "00000002", "length of the name");
        assert_eq!(&bytes[110..112], b"a\0");
        assert_eq!(&bytes[112..116], b"xyz\0");
    }

    #[test]
    fn cpio_reads_it() {
        let cpio = Command::new("cpio")
            .args(["--quiet", "-itv"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut cpio) = cpio else {
            eprintln!("there is no cpio on this machine to compare with");
            return;
        };
        let mut input = cpio.stdin.take().expect("a pipe");
        input.write_all(&sample().to_bytes()).expect("it reads");
        drop(input);
        let output = cpio.wait_with_output().expect("it ends");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success());
        for line in ["drwxr-xr-x", "-rwxr-xr-x", "bin/sh -> busybox", "5,   1"] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
