//! `jig setup`.

use std::process::ExitCode;

use clap::Args;
use testjig::find::Bar;
use testjig::vm::{Arch, Cache, Suite, provision};

use crate::fail;

#[derive(Args)]
pub(crate) struct Arguments {
    /// The architectures to fetch, separated by commas: x86_64, aarch64, riscv64, …
    #[arg(
        long,
        value_name = "ARCH",
        value_delimiter = ',',
        default_value = "x86_64"
    )]
    arch: Vec<Arch>,
    /// The Debian suite to fetch from: sid, bookworm, bookworm-backports, …
    #[arg(long, value_name = "NAME", default_value = "sid")]
    suite: Suite,
    /// Fetch what the suite has now, even if an older version is there
    #[arg(long)]
    refresh: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> ExitCode {
        let cache = match Cache::open() {
            Ok(cache) => cache,
            Err(error) => return fail(error),
        };
        if let Some(notice) = cache.notice() {
            eprintln!("note: {notice}");
        }
        let provide = if self.refresh {
            provision::refresh
        } else {
            provision::install
        };
        let installed = match provide(&self.arch, &self.suite, &cache, &Bar::default()) {
            Ok(installed) => installed,
            Err(error) => {
                let _ = fail(error);
                return ExitCode::from(5);
            }
        };
        for &arch in &self.arch {
            match installed.qemu(arch, &cache) {
                Ok(qemu) => println!("{}", qemu.summary()),
                Err(error) => {
                    let _ = fail(error);
                    return ExitCode::from(5);
                }
            }
        }
        ExitCode::SUCCESS
    }
}
