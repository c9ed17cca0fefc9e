//! The embedded machine as a [`Qemu`]: a VMM that takes QEMU's command line and answers as one.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::OnceLock;

use testjig_qmp::Version;

use crate::Arch;
use crate::binary::{Capabilities, Origin, Qemu};
use crate::inside::Make;
use crate::process::Main;

/// The embedded machine, if this program has it: in a process, and in a thread.
static HERE: OnceLock<(Main, Make)> = OnceLock::new();

/// What the embedded machine is and has. It is part of this project, so it need not be asked by starting it.
#[derive(Clone, Debug)]
pub struct Embedded {
    /// What to execute.
    pub program: PathBuf,
    /// What comes before QEMU's own arguments.
    pub leading_args: Vec<OsString>,
    /// The version it answers with.
    pub version: Version,
    /// Its machine types.
    pub machines: &'static [&'static str],
    /// Its device types.
    pub devices: &'static [&'static str],
    /// The objects that it can be given.
    pub objects: &'static [&'static str],
    /// Why it is used, if nobody asked for it: what was looked at before.
    pub passed_over: Vec<String>,
}

impl Embedded {
    /// What the machine says, in every complaint, where it lacks what QEMU has. Of a test that fails so nothing is known: it is skipped.
    pub const LACKS: &str = "the embedded machine does not have it";

    /// Has this program be the embedded machine itself, in a process of its own: a fork is made sooner than a program is loaded. Or
    /// [in a thread](Qemu::launch_here).
    ///
    /// `main` and `make` get the arguments that the program would get, those before QEMU's own among them.
    pub fn is_here(main: Main, make: Make) {
        HERE.get_or_init(|| (main, make));
    }

    /// As what tests are run on.
    pub fn into_qemu(self) -> Qemu {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let ram_ids: BTreeMap<_, _> = [("pc".to_owned(), "pc.ram".to_owned())].into();
        Qemu {
            arch: Arch::X86_64,
            origin: Origin::Embedded,
            subject: self.program.clone(),
            program: self.program,
            leading_args: self.leading_args,
            env: Vec::new(),
            version: self.version,
            caps: Capabilities {
                clock: true,
                running: true,
                qtest_accel: true,
                monitor_qmp_object: false,
                machines: names(self.machines),
                ram_ids,
                devices: names(self.devices),
                objects: names(self.objects),
                properties: BTreeMap::new(),
            },
            passed_over: self.passed_over,
        }
    }
}

impl Qemu {
    /// Whether this is the embedded machine.
    pub fn is_embedded(&self) -> bool {
        self.origin == Origin::Embedded
    }

    /// What is done in a process of this VMM instead of executing it.
    pub(crate) fn main(&self) -> Option<Main> {
        let here = HERE.get().filter(|_| self.is_embedded());
        here.map(|(main, _)| *main)
    }

    /// What makes a machine of this VMM in this thread; `None` if it needs a process, as one with a planted bug does.
    pub(crate) fn make(&self) -> Option<Make> {
        let here = HERE.get().filter(|_| self.is_embedded());
        here.filter(|_| self.leading_args.len() == 1)
            .map(|(_, make)| *make)
    }

    /// What sentences call it: "this QEMU has no device edu".
    pub fn called(&self) -> &'static str {
        if self.is_embedded() {
            "the embedded machine"
        } else {
            "this QEMU"
        }
    }
}
