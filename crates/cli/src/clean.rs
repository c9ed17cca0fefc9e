//! `jig clean`.

use std::process::ExitCode;

use clap::Args;
use testjig::vm::{Cache, Suite, provision};

use crate::fail;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Only the QEMUs of this Debian suite
    #[arg(long, value_name = "NAME")]
    suite: Option<Suite>,
}

impl Arguments {
    pub(crate) fn run(self) -> ExitCode {
        let cache = match Cache::open() {
            Ok(cache) => cache,
            Err(error) => return fail(error),
        };
        match provision::remove(&cache, self.suite.as_ref()) {
            Ok(removed) if removed.directories.is_empty() => {
                println!("nothing to remove in {}", cache.root().display());
            }
            Ok(removed) => {
                for directory in &removed.directories {
                    println!("removed {}", directory.display());
                }
                println!("{} MB are free again", removed.bytes / 1_000_000);
            }
            Err(error) => return fail(error),
        }
        ExitCode::SUCCESS
    }
}
