//! `jig guest fetch`.

use std::process::ExitCode;

use clap::Args;
use testjig::find::Bar;
use testjig::vm::{Cache, Suite};
use testjig_guest::Environment;

use crate::fail;

#[derive(Args)]
pub(crate) struct Arguments {
    /// The Debian suite to fetch from
    #[arg(long, value_name = "NAME", default_value_t = Environment::default_suite())]
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
        let fetch = if self.refresh {
            Environment::refresh
        } else {
            Environment::fetch
        };
        let fetched = fetch(&self.suite, &cache, &Bar::default()).and_then(|environment| {
            environment.initramfs()?;
            Ok(environment)
        });
        match fetched {
            Ok(environment) => {
                println!("{}", environment.summary());
                println!("{}", environment.directory().display());
                ExitCode::SUCCESS
            }
            Err(error) => {
                let _ = fail(error);
                ExitCode::from(5)
            }
        }
    }
}
