//! What a guest half works with: [`Guest`].

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Index;

use testjig_agent::wire::{MAX_BYTES, Reply, Request};

use super::{WAIT_TIME, millis};
use crate::drive::{Ask, Handle};

/// The guest, once it has booted.
///
/// Its methods unwind if something can't be done.
pub struct Guest {
    pub(super) machine: Handle,
    /// The number of the first uevent that was not looked at yet.
    next: Cell<u64>,
}

/// What became of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its exit status; 128 and the signal's number if one ended it.
    pub status: i32,
    /// What it printed, standard output and error in the order in which they were written.
    pub text: String,
}

/// What the kernel announced: `ACTION`, `DEVPATH`, `SUBSYSTEM` and what else belongs to it (Linux,
/// `Documentation/driver-api/driver-model`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uevent {
    fields: BTreeMap<String, String>,
}

impl Uevent {
    fn of(fields: &[u8]) -> Self {
        let fields = fields.split(|&byte| byte == 0).filter_map(|field| {
            let field = String::from_utf8_lossy(field);
            let (name, value) = field.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        });
        Self {
            fields: fields.collect(),
        }
    }

    /// A field, if it has it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }
}

impl Index<&str> for Uevent {
    type Output = str;

    #[track_caller]
    fn index(&self, name: &str) -> &str {
        self.get(name)
            .unwrap_or_else(|| panic!("the uevent has no {name}: {:?}", self.fields))
    }
}

impl Guest {
    pub(super) fn new(machine: Handle) -> Self {
        Self {
            machine,
            next: Cell::new(0),
        }
    }

    #[track_caller]
    fn op(&self, what: &str, request: Request) -> Reply {
        match self.machine.op(request) {
            Ok(reply) => reply,
            Err(problem) => panic!("failed to {what}: {problem}"),
        }
    }

    /// A file's text, without white space at its end, as files of `/sys` have it. At most 1 MiB.
    #[track_caller]
    pub fn read(&self, path: &str) -> String {
        let bytes = self.read_bytes(path, 0, 1 << 20);
        String::from_utf8_lossy(&bytes).trim_end().to_owned()
    }

    /// Up to `length` bytes of a file, from `offset` bytes on; fewer if it ends there.
    #[track_caller]
    pub fn read_bytes(&self, path: &str, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let request = Request::Read {
                path: path.into(),
                offset: offset + bytes.len() as u64,
                length: (length - bytes.len()).min(MAX_BYTES) as u32,
            };
            match self.op(&format!("read {path}"), request) {
                Reply::Data(part) if !part.is_empty() => bytes.extend(part),
                _ => break,
            }
        }
        bytes
    }

    /// Writes to a file, which is created if it is missing, in place of what it held.
    #[track_caller]
    pub fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let parts = bytes.chunks(MAX_BYTES).enumerate();
        let first = bytes.is_empty().then_some((0, bytes));
        for (index, part) in parts.chain(first) {
            let request = Request::Write {
                path: path.into(),
                mode: 0o644,
                append: index > 0,
                bytes: part.to_vec(),
            };
            self.op(&format!("write {path}"), request);
        }
    }

    /// Whether there is a file of that name.
    pub fn exists(&self, path: &str) -> bool {
        self.machine.op(Request::Stat(path.into())).is_ok()
    }

    /// Waits until there is a file of that name.
    #[track_caller]
    pub fn wait_for(&self, path: &str) {
        self.wait_path(path, true);
    }

    /// Waits until there is no file of that name.
    #[track_caller]
    pub fn wait_gone(&self, path: &str) {
        self.wait_path(path, false);
    }

    #[track_caller]
    fn wait_path(&self, path: &str, present: bool) {
        let request = Request::WaitPath {
            path: path.into(),
            present,
            millis: millis(WAIT_TIME),
        };
        let what = if present { "see" } else { "see the end of" };
        self.op(&format!("{what} {path}"), request);
    }

    /// Waits for the next uevent that has all these fields, each as `NAME=value`; what came before it is passed over. The first that is
    /// looked at is the first since the agent began.
    #[track_caller]
    pub fn uevent(&self, fields: &[&str]) -> Uevent {
        let request = Request::Uevent {
            since: self.next.get(),
            fields: fields.iter().map(|field| (*field).into()).collect(),
            millis: millis(WAIT_TIME),
        };
        match self.op(&format!("see a uevent with {}", fields.join(", ")), request) {
            Reply::Uevent { seq, fields } => {
                self.next.set(seq + 1);
                Uevent::of(&fields)
            }
            other => panic!("the agent answered {other:?} for a uevent"),
        }
    }

    /// Runs a program; `PATH` leads to all of busybox.
    #[track_caller]
    pub fn run(&self, argv: &[&str]) -> Output {
        let words = argv.iter().map(|word| (*word).into()).collect();
        match self.machine.ask(Ask::Guest(words)) {
            Ok((text, status)) => Output {
                status,
                text: String::from_utf8_lossy(&text).into_owned(),
            },
            Err(problem) => panic!("failed to run {argv:?}: {problem}"),
        }
    }

    /// Runs a line of shell, which has to succeed; what it printed, without white space at its end.
    #[track_caller]
    pub fn sh(&self, line: &str) -> String {
        let Output { status, text } = self.run(&["sh", "-c", line]);
        assert_eq!(status, 0, "`{line}` failed: {}", text.trim_end());
        text.trim_end().to_owned()
    }

    /// Tells the host half something, which may [wait](super::Running::wait_told) for it.
    pub fn tell(&self, word: &str) {
        self.machine.tell(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uevents_fields_are_found_by_name() {
        let uevent = Uevent::of(b"add@/devices/x\0ACTION=add\0DEVNAME=vda\0A=b=c\0");
        assert_eq!(&uevent["DEVNAME"], "vda");
        assert_eq!(uevent.get("A"), Some("b=c"));
        assert_eq!(uevent.get("add@/devices/x"), None);
    }
}
