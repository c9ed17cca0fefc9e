//! The QEMUs of a run: one an architecture, found or fetched before the first case, or the reason why there is none.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::{Deserialize, Serialize};
use testjig_vm::{Arch, Qemu};

/// One QEMU an architecture.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Qemus {
    by_arch: BTreeMap<Arch, Result<Qemu, String>>,
}

impl Qemus {
    /// Adds the QEMU of its architecture, in place of an earlier one, or why it could not be had.
    pub fn insert(&mut self, arch: Arch, qemu: Result<Qemu, String>) {
        self.by_arch.insert(arch, qemu);
    }

    /// The QEMU for an architecture.
    ///
    /// # Errors
    /// Why there is none.
    pub fn get(&self, arch: Arch) -> Result<&Qemu, String> {
        match self.by_arch.get(&arch) {
            Some(Ok(qemu)) => Ok(qemu),
            Some(Err(reason)) => Err(reason.clone()),
            None => Err(format!("nobody looked for a QEMU for {arch}")),
        }
    }

    /// Those that are there.
    pub fn iter(&self) -> impl Iterator<Item = &Qemu> {
        self.by_arch.values().flatten()
    }

    /// One line each: what was chosen and why, or what is missing.
    pub fn summary(&self) -> String {
        let mut text = String::new();
        for (arch, qemu) in &self.by_arch {
            match qemu {
                Ok(qemu) => text.push_str(&qemu.summary()),
                Err(reason) => {
                    let _ = write!(text, "no QEMU for {arch}: {reason}");
                }
            }
            text.push('\n');
        }
        text
    }
}
