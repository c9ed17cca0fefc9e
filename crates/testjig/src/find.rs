//! Getting the QEMUs of a run, with a progress bar where that takes a while.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::{ProgressBar, ProgressStyle};
use testjig_vm::{Arch, Cache, FindError, FindErrorKind, Finder, Launch, Progress, Qemu, Suite};

use crate::case::Case;
use crate::embedded;
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
    /// What to run on; if nothing is said, a QEMU, and the embedded machine where none can be had.
    pub vmm: Option<Vmm>,
    /// The bugs that the embedded machine is to have.
    pub plants: Vec<String>,
}

/// What tests can run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Vmm {
    /// A QEMU, and no other.
    Qemu,
    /// The machine that comes with testjig: an x86_64 `pc` with few devices.
    Embedded,
}

/// The architecture of the QEMU that the user named without saying what it emulates: by `--qemu`, or as QEMU's own tests do it.
///
/// A binary that does not answer is no architecture's; [`for_cases`] says why.
pub fn named_arch(wish: &Wish) -> Option<Arch> {
    let by_variable = || std::env::var_os("QTEST_QEMU_BINARY").map(PathBuf::from);
    let program = wish.qemu.clone().or_else(by_variable)?;
    let cache = Cache::open().ok()?;
    Qemu::from_any_binary(&program, &cache)
        .ok()
        .map(|qemu| qemu.arch)
}

/// Finds or fetches a QEMU for each architecture that the cases need.
pub fn for_cases(cases: &[Case], wish: &Wish) -> Qemus {
    let mut qemus = for_archs(cases.iter().map(Case::arch).collect(), wish);
    // Without a cache there is no QEMU either.
    if let Ok(cache) = Cache::open() {
        learn(&mut qemus, cases.iter().map(Case::launch), &cache);
    }
    qemus
}

/// Finds or fetches a QEMU for each of these architectures.
pub fn for_archs(archs: BTreeSet<Arch>, wish: &Wish) -> Qemus {
    let mut qemus = Qemus::default();
    if wish.vmm == Some(Vmm::Embedded) {
        for arch in archs {
            qemus.insert(arch, embedded::machine(Vec::new(), &wish.plants));
        }
        return qemus;
    }
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
        let finder = Finder::new(arch)
            .explicit(wish.qemu.clone())
            .suite(wish.suite.clone())
            .allow_network(!wish.offline);
        let qemu = finder.find(&cache, &Bar::default());
        qemus.insert(arch, qemu.or_else(|error| instead(arch, wish, &error)));
    }
    qemus
}

/// What a run does without a QEMU of an architecture: the embedded machine takes its place where it can, unless the user has named one,
/// by path or by suite, or wants a QEMU and nothing else.
fn instead(arch: Arch, wish: &Wish, error: &FindError) -> Result<Qemu, String> {
    let none_to_be_had = matches!(
        error.kind(),
        FindErrorKind::NotFound { .. } | FindErrorKind::Provision { .. }
    );
    let anything_goes = wish.vmm.is_none() && wish.qemu.is_none() && wish.suite.is_none();
    if arch == Arch::X86_64 && none_to_be_had && anything_goes {
        let reason = error.to_string();
        let first = reason.lines().next().unwrap_or_default();
        return embedded::machine(vec![first.to_owned()], &wish.plants);
    }
    Err(error.to_string())
}

/// What is known of the QEMUs of these architectures without starting one: as [`for_cases`], from what earlier runs have probed.
pub fn remembered(
    archs: &BTreeSet<Arch>,
    launches: impl Iterator<Item = Launch>,
    wish: &Wish,
) -> Qemus {
    let mut qemus = Qemus::default();
    let cache = match Cache::open() {
        Ok(cache) => cache.remembered_only(),
        Err(error) => {
            for &arch in archs {
                qemus.insert(arch, Err(error.to_string()));
            }
            return qemus;
        }
    };
    for &arch in archs {
        let finder = Finder::new(arch)
            .explicit(wish.qemu.clone())
            .suite(wish.suite.clone())
            .allow_network(false);
        let qemu = finder.find(&cache, &Bar::default());
        qemus.insert(arch, qemu.map_err(|error| error.to_string()));
    }
    learn(&mut qemus, launches, &cache);
    qemus
}

/// Has the properties known of all devices of which the launches set some.
fn learn(qemus: &mut Qemus, launches: impl Iterator<Item = Launch>, cache: &Cache) {
    // Launches are large, with the images that they have; the names are few.
    let mut by_arch: BTreeMap<Arch, BTreeSet<String>> = BTreeMap::new();
    for launch in launches {
        let devices = launch.devices().iter();
        let set = devices.filter(|device| device.props().iter().any(|(name, _)| is_property(name)));
        let known = by_arch.entry(launch.machine().arch).or_default();
        for device in set {
            if !known.contains(device.driver()) {
                known.insert(device.driver().to_owned());
            }
        }
    }
    for qemu in qemus.iter_mut().filter(|qemu| !qemu.is_embedded()) {
        let devices = by_arch.remove(&qemu.arch).unwrap_or_default();
        qemu.learn_properties(devices.iter().map(String::as_str), cache);
    }
}

/// Whether what a launch sets of a device is a property of its type: `id` and `bus` are every device's, and elements of arrays and
/// members of structures are not listed.
pub(crate) fn is_property(name: &str) -> bool {
    !matches!(name, "id" | "bus") && !name.contains(['[', '.']) && !name.starts_with("len-")
}

/// A progress bar on standard error; where that is no terminal, a line for each stage.
#[derive(Default)]
pub struct Bar {
    bar: Mutex<Option<ProgressBar>>,
}

impl Bar {
    fn lock(&self) -> MutexGuard<'_, Option<ProgressBar>> {
        self.bar.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Bar {
    fn stage(&self, what: &str) {
        let mut bar = self.lock();
        let bar =
            bar.get_or_insert_with(|| ProgressBar::new(0).with_style(style("{spinner} {msg}")));
        if bar.is_hidden() {
            eprintln!("{what}");
        }
        bar.set_style(style("{spinner} {msg}"));
        bar.set_message(what.to_owned());
        bar.tick();
    }

    fn bytes(&self, done: u64, total: u64) {
        if let Some(bar) = &*self.lock() {
            bar.set_style(style("{bar:24} {bytes}/{total_bytes} {msg}"));
            bar.set_length(total);
            bar.set_position(done);
        }
    }

    fn done(&self) {
        if let Some(bar) = self.lock().take() {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is well-formed")
}
