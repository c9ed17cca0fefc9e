//! Disks of the command line: `-add-fd`, `-blockdev`, `-drive`.

use std::collections::BTreeMap;
use std::fs::OpenOptions;

use super::options::number;
use super::{NOT_HERE, Options};
use crate::disk::Disk;

/// A disk that `-drive` itself attaches.
#[derive(Clone, Debug)]
pub(crate) struct Attached {
    /// `ide`, `floppy`, `virtio`.
    pub(crate) interface: String,
    /// Which of the interface's places.
    pub(crate) index: Option<u64>,
    pub(crate) node: String,
}

/// The images that were named, and how.
#[derive(Default)]
pub(crate) struct Drives {
    /// Descriptor sets: the descriptor of each.
    sets: BTreeMap<u64, u64>,
    /// `-blockdev` nodes of a protocol: the file, and whether it is read-only.
    protocols: BTreeMap<String, (String, bool)>,
    disks: BTreeMap<String, Disk>,
    pub(crate) attached: Vec<Attached>,
}

impl Drives {
    /// The image of a name; clones of it are the same image.
    pub(crate) fn disk(&self, node: &str) -> Result<Disk, String> {
        let disk = self
            .disks
            .get(node)
            .ok_or_else(|| format!("Property 'drive' can't find value '{node}'"))?;
        disk.try_clone().map_err(|error| format!("{node}: {error}"))
    }

    /// The image of a name itself, for the monitor.
    pub(crate) fn get(&self, node: &str) -> Option<&Disk> {
        self.disks.get(node)
    }

    pub(super) fn add_fd(&mut self, value: &str) -> Result<(), String> {
        let options = Options::parse(value, "");
        let set = options.number("set")?.ok_or("Parameter 'set' is missing")?;
        let fd = options.number("fd")?.ok_or("Parameter 'fd' is missing")?;
        self.sets.insert(set, fd);
        Ok(())
    }

    pub(super) fn blockdev(&mut self, value: &str) -> Result<(), String> {
        let options = Options::parse(value, "driver");
        let node = options
            .get("node-name")
            .ok_or("'node-name' must be specified for the root node")?
            .to_owned();
        let read_only = options.flag("read-only")?.unwrap_or(false);
        match options.get("driver").unwrap_or_default() {
            "file" => {
                let path = options
                    .get("filename")
                    .ok_or("Parameter 'filename' is missing")?;
                self.protocols.insert(node, (path.to_owned(), read_only));
            }
            "null-co" => {
                self.disks.insert(node, Disk::null());
            }
            "raw" => {
                let below = options
                    .get("file")
                    .or_else(|| options.get("file.filename"))
                    .ok_or("Parameter 'file' is missing")?;
                let disk = match self.protocols.get(below) {
                    Some((path, protected)) => self.open(path, read_only || *protected)?,
                    None => return Err(format!("Cannot find device='' nor node-name='{below}'")),
                };
                self.disks.insert(node, disk);
            }
            other => return Err(format!("block driver '{other}': {NOT_HERE}")),
        }
        Ok(())
    }

    pub(super) fn drive(&mut self, value: &str) -> Result<(), String> {
        let options = Options::parse(value, "");
        let interface = options.get("if").unwrap_or("ide").to_owned();
        if !matches!(interface.as_str(), "none" | "ide" | "floppy" | "virtio") {
            return Err(format!("interface '{interface}': {NOT_HERE}"));
        }
        if let Some(format) = options.get("format").filter(|format| *format != "raw") {
            return Err(format!("format '{format}': {NOT_HERE}"));
        }
        for policy in ["werror", "rerror"] {
            if let Some(value) = options.get(policy).filter(|value| *value != "report") {
                return Err(format!("{policy}={value}: {NOT_HERE}"));
            }
        }
        if options.get("media") == Some("cdrom") {
            return Err(format!("a CD-ROM drive: {NOT_HERE}"));
        }
        let read_only = options
            .flag("read-only")?
            .or(options.flag("readonly")?)
            .unwrap_or(false);
        let place = format!("{interface}{}", self.disks.len());
        let node = options.get("id").unwrap_or(&place).to_owned();
        let path = options.get("file").or_else(|| options.get("file.filename"));
        let null = options.get("driver").or_else(|| options.get("file.driver"));
        let disk = match (path, null) {
            (_, Some("null-co")) => Disk::null(),
            (Some(path), _) if path.starts_with("null-co://") => Disk::null(),
            (Some(path), _) => self.open(path, read_only)?,
            (None, _) => return Err(format!("a drive without a medium: {NOT_HERE}")),
        };
        if self.disks.insert(node.clone(), disk).is_some() {
            return Err(format!("Duplicate ID '{node}' for drive"));
        }
        if interface != "none" {
            self.attached.push(Attached {
                interface,
                index: options.number("index")?,
                node,
            });
        }
        Ok(())
    }

    fn open(&self, path: &str, read_only: bool) -> Result<Disk, String> {
        let real = match path.strip_prefix("/dev/fdset/") {
            None => path.to_owned(),
            Some(set) => {
                let fd = number(set).and_then(|set| self.sets.get(&set));
                let fd = fd.ok_or_else(|| format!("Could not open '{path}': no such set"))?;
                format!("/proc/self/fd/{fd}")
            }
        };
        let file = OpenOptions::new().read(true).write(!read_only).open(real);
        let file = file.map_err(|error| format!("Could not open '{path}': {error}"))?;
        Ok(Disk::new(file, read_only))
    }
}
