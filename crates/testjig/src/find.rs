//! Getting the QEMUs of a run, with a progress bar where that takes a while.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressStyle};
use testjig_vm::{Arch, Cache, Qemu};
/// TEMPORARY
pub type Suite = String;
/// TEMPORARY
pub trait Progress {
    /// t
    fn stage(&self, what: &str);
    /// t
    fn bytes(&self, done: u64, total: u64);
    /// t
    fn done(&self);
}

use crate::case::Case;
use crate::qemus::Qemus;

/// What the user asked for.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// A binary to use, whatever else is there.
    pub qemu: Option<PathBuf>,
    /// A Debian suite to provision from.
    pub suite: Option<Suite>,
    /// Use what is there, fetch nothing.
    pub offline: bool,
}

/// Finds or fetches a QEMU for each architecture that the cases need.
pub fn for_cases(cases: &[Case], wish: &Wish) -> Qemus {
    let archs: BTreeSet<Arch> = cases.iter().map(Case::arch).collect();
    let mut qemus = Qemus::default();
    let cache = match Cache::open() {
        Ok(cache) => cache,
        Err(error) => {
            for arch in archs {
                qemus.insert(arch, Err(error.to_string()));
            }
            return qemus;
        }
    };
    if let Some(notice) = cache.notice() {
        eprintln!("note: {notice}");
    }
    for arch in archs {
        qemus.insert(arch, one(arch, wish, &cache));
    }
    qemus
}

fn one(arch: Arch, wish: &Wish, cache: &Cache) -> Result<Qemu, String> {
    let named = wish
        .qemu
        .clone()
        .or_else(|| std::env::var_os("TESTJIG_QEMU_X86_64").map(Into::into))
        .expect("name one for now");
    Qemu::from_binary(arch, &named, cache).map_err(|error| error.to_string())
}

/// A progress bar on standard error; where that is no terminal, a line for each stage.
#[derive(Default)]
pub struct Bar {
    bar: Mutex<Option<ProgressBar>>,
}

impl Progress for Bar {
    fn stage(&self, what: &str) {
        let mut bar = self
            .bar
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let bar = bar.get_or_insert_with(|| {
            let style = ProgressStyle::with_template("{spinner} {msg}")
                .expect("the template is well-formed");
            ProgressBar::new(0).with_style(style)
        });
        if bar.is_hidden() {
            eprintln!("{what}");
        }
        bar.set_message(what.to_owned());
    }

    fn bytes(&self, done: u64, total: u64) {
        if let Some(bar) = &*self
            .bar
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
        {
            let style = ProgressStyle::with_template("{bar:24} {bytes}/{total_bytes} {msg}")
                .expect("the template is well-formed");
            bar.set_style(style);
            bar.set_length(total);
            bar.set_position(done);
        }
    }

    fn done(&self) {
        if let Some(bar) = self
            .bar
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .take()
        {
            bar.finish_and_clear();
        }
    }
}
