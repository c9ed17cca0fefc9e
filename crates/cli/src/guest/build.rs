//! `jig guest build` and `jig guest source`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use testjig::find::Bar;
use testjig::runner::default_jobs;
use testjig::vm::{Cache, Suite};
use testjig_guest::{Environment, EnvironmentError, How, Lane};

use crate::fail;

#[derive(Args)]
pub(crate) struct Arguments {
    /// The Debian suite whose source packages are built
    #[arg(long, value_name = "NAME", default_value_t = Environment::default_suite())]
    suite: Suite,
    /// The C compiler
    #[arg(long, value_name = "PROGRAM", default_value = "gcc")]
    cc: String,
    /// How many compilers run at once [default: as many as there are cores]
    #[arg(short, long, value_name = "N")]
    jobs: Option<usize>,
    /// Ask what sources the suite has now
    #[arg(long)]
    refresh: bool,
    /// Build once more and compare the bytes
    #[arg(long)]
    again: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> ExitCode {
        let how = How {
            cc: self.cc.clone(),
            jobs: self.jobs.unwrap_or_else(default_jobs).max(1),
            refresh: self.refresh,
        };
        let built = open().and_then(|cache| {
            let environment = Environment::build(&self.suite, &cache, &how, &Bar::default())?;
            environment.initramfs()?;
            let differing = if self.again {
                Some(environment.build_again(&cache, &how, &Bar::default())?)
            } else {
                None
            };
            Ok((environment, differing))
        });
        match built {
            Ok((environment, differing)) => {
                println!("{}", environment.summary());
                println!("{}", environment.directory().display());
                match differing.as_deref() {
                    None => ExitCode::SUCCESS,
                    Some([]) => {
                        println!("built again: the same bytes");
                        ExitCode::SUCCESS
                    }
                    Some(files) => {
                        println!("built again: {} differ", files.join(", "));
                        ExitCode::from(1)
                    }
                }
            }
            Err(error) => failed(&error),
        }
    }
}

#[derive(Args)]
pub(crate) struct SourceArguments {
    /// Where the archive goes [default: beside what it is the source of]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The Debian suite whose kernel and busybox it is the source of
    #[arg(long, value_name = "NAME", default_value_t = Environment::default_suite())]
    suite: Suite,
    /// Which kernel and busybox: those that were built here, or those that were fetched [default: those that guests boot]
    #[arg(long, value_name = "LANE")]
    lane: Option<Lane>,
}

impl SourceArguments {
    pub(crate) fn run(self) -> ExitCode {
        let packed = open().and_then(|cache| {
            let found = match self.lane {
                Some(lane) => Environment::find_lane(lane, &self.suite, &cache),
                None => Environment::find(&self.suite, &cache),
            };
            let environment = found.ok_or_else(|| {
                EnvironmentError::Missing(format!(
                    "there is no such kernel for guests of Debian {}; `jig guest build` builds one, `jig guest fetch` fetches one",
                    self.suite
                ))
            })?;
            let output = self.output.clone().unwrap_or_else(|| {
                PathBuf::from(format!("{}.source.tar", environment.directory().display()))
            });
            environment.pack_sources(&output, &cache, &Bar::default())?;
            Ok((environment, output))
        });
        match packed {
            Ok((environment, output)) => {
                println!("{}", environment.summary());
                println!("{}", output.display());
                ExitCode::SUCCESS
            }
            Err(error) => failed(&error),
        }
    }
}

fn open() -> Result<Cache, EnvironmentError> {
    let cache = Cache::open().map_err(|error| EnvironmentError::Missing(error.to_string()))?;
    if let Some(notice) = cache.notice() {
        eprintln!("note: {notice}");
    }
    Ok(cache)
}

fn failed(error: &EnvironmentError) -> ExitCode {
    let _ = fail(error);
    ExitCode::from(5)
}
