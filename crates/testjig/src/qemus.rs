//! The QEMUs of a run: one an architecture, found or fetched before the first case, or the reason why there is none.

use std::collections::BTreeMap;

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

    /// Those that are there, to be told more about.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Qemu> {
        self.by_arch.values_mut().flatten()
    }

    /// Those that are there.
    pub fn iter(&self) -> impl Iterator<Item = &Qemu> {
        self.by_arch.values().flatten()
    }

    /// What is missing, one line an architecture.
    pub fn missing(&self) -> impl Iterator<Item = String> {
        self.by_arch.iter().filter_map(|(arch, qemu)| match qemu {
            Ok(_) => None,
            Err(reason) => Some(format!("no QEMU for {arch}: {reason}")),
        })
    }
}
