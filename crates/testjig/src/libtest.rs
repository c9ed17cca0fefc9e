//! The command line of a test binary: that of Rust's own test harness, as `cargo test` and `cargo nextest` use it, and that of GLib's, as
//! QEMU's build uses it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::case::{Case, Cases};
use crate::report::{Libtest, Reporter, Tap};
use crate::runner::{self, Isolation, Plan};
use crate::{find, records};

/// A test binary of testjig, with the command lines of Rust's own test harness and of GLib's.
#[derive(Parser)]
#[command(no_binary_name = false)]
struct Arguments {
    #[command(flatten)]
    glib: Glib,
    /// Run only the cases whose name contains one of these
    filters: Vec<String>,
    /// A filter is the whole name
    #[arg(long)]
    exact: bool,
    /// Leave out the cases whose name contains this
    #[arg(long, value_name = "FILTER")]
    skip: Vec<String>,
    /// List the cases, start nothing
    #[arg(long)]
    list: bool,
    /// Run only ignored tests: there are none
    #[arg(long)]
    ignored: bool,
    /// Run ignored tests too: there are none
    #[arg(long)]
    include_ignored: bool,
    /// Let tests write to the terminal as they run
    #[arg(long, alias = "no-capture")]
    nocapture: bool,
    /// How many tests run at once
    #[arg(long, value_name = "N")]
    test_threads: Option<usize>,
    /// One character a test
    #[arg(short, long)]
    quiet: bool,
    /// How to write the results: pretty or terse
    #[arg(long, default_value = "pretty")]
    format: Format,
    /// Accepted and ignored
    #[arg(long, value_name = "WHEN")]
    color: Option<String>,
    /// Accepted and ignored: what a failed test printed is always shown
    #[arg(long)]
    show_output: bool,
}

/// What QEMU's build and its developers say to a test binary.
#[derive(clap::Args)]
#[command(next_help_heading = "As GLib's test programs")]
struct Glib {
    /// Write the results as TAP
    #[arg(long)]
    tap: bool,
    /// Run only the tests at or below this path: /rtc/alarm
    #[arg(short = 'p', value_name = "PATH")]
    path: Vec<String>,
    /// Leave out the tests at or below this path
    #[arg(short = 's', value_name = "PATH")]
    skip_path: Vec<String>,
    /// List the paths of the tests, start nothing
    #[arg(short = 'l')]
    list_paths: bool,
    /// Accepted and ignored: a failed test never stops the others
    #[arg(short = 'k', long)]
    keep_going: bool,
    /// Accepted and ignored: a test has one mode
    #[arg(short = 'm', value_name = "MODE")]
    mode: Option<String>,
    /// Accepted and ignored: nothing is random
    #[arg(long, value_name = "SEED")]
    seed: Option<String>,
}

impl Glib {
    fn selects(&self, name: &str) -> bool {
        let path = path_of(name);
        let below = |wanted: &String| {
            let wanted = wanted.trim_end_matches('/');
            path.strip_prefix(wanted)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        (self.path.is_empty() || self.path.iter().any(below)) && !self.skip_path.iter().any(below)
    }
}

/// A case's name as GLib spells such names: `/rtc/alarm/rings/x86_64/pc/mc146818rtc`.
fn path_of(name: &str) -> String {
    format!("/{}", name.replace("::", "/").replace('@', "/"))
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Pretty,
    Terse,
}

/// The `main` of a test binary.
pub fn main() -> ExitCode {
    if let Some(status) = runner::serve() {
        return status;
    }
    let arguments = Arguments::parse();
    let all = Cases::collect();
    let count = all.cases.len();
    let mut cases: Vec<Case> = all
        .cases
        .into_iter()
        .filter(|case| arguments.selects(&case.name))
        .collect();
    let misfits: Vec<_> = all
        .misfits
        .into_iter()
        .filter(|misfit| arguments.selects(&misfit.test))
        .collect();
    if arguments.list {
        arguments.print_list(&cases);
        return ExitCode::SUCCESS;
    }
    if arguments.glib.list_paths {
        for case in &cases {
            println!("{}", path_of(&case.name));
        }
        return ExitCode::SUCCESS;
    }
    let wish = find::Wish::default();
    if let Some(arch) = find::named_arch(&wish) {
        cases.retain(|case| case.arch() == arch);
    }
    let filtered_out = count - cases.len();
    let plan = Plan {
        qemus: find::for_cases(&cases, &wish),
        cases,
        misfits,
        jobs: arguments
            .test_threads
            .unwrap_or_else(runner::default_jobs)
            .max(1),
        deadline: runner::DEADLINE,
        log: Some(records::directory()),
        show_output: arguments.nocapture,
        rerun: rerun(),
        accepted_skips: Vec::new(),
        timelines: false,
        fail_fast: false,
        first: Vec::new(),
        isolation: Isolation::Automatic,
        expected: None,
        debug: None,
        keep: false,
        record: None,
    };
    let quiet = arguments.quiet || arguments.format == Format::Terse;
    let mut reporter: Box<dyn Reporter> = if arguments.glib.tap {
        Box::new(Tap::new(std::io::stdout()))
    } else {
        Box::new(Libtest::new(filtered_out, quiet))
    };
    match runner::run(&plan, &mut *reporter) {
        // Cargo expects 101 of a harness whose tests failed, and nothing to run is a success there.
        Ok(summary) => match summary.exit_status() {
            0 | 4 => ExitCode::SUCCESS,
            130 => ExitCode::from(130),
            _ => ExitCode::from(101),
        },
        Err(error) => {
            eprintln!("failed to run the tests: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Arguments {
    fn selects(&self, name: &str) -> bool {
        let matches = |filter: &String| {
            if self.exact {
                name == filter
            } else {
                name.contains(filter.as_str())
            }
        };
        !self.ignored
            && self.glib.selects(name)
            && (self.filters.is_empty() || self.filters.iter().any(matches))
            && !self.skip.iter().any(matches)
    }

    fn print_list(&self, cases: &[Case]) {
        for case in cases {
            println!("{}: test", case.name);
        }
        if self.format == Format::Pretty {
            println!("\n{} tests, 0 benchmarks", cases.len());
        }
    }
}

/// How a person runs one case of this binary again.
fn rerun() -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("the test binary"));
    match std::env::var("CARGO_PKG_NAME") {
        Ok(package) => {
            // Cargo names a test binary after its target, with a hash behind a hyphen.
            let stem = program.file_stem().unwrap_or_default().to_string_lossy();
            let target = stem.rsplit_once('-').map_or(&*stem, |(target, _)| target);
            format!("cargo test -p {package} --test {target} -- --exact")
        }
        Err(_) => format!("{} --exact", program.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALARM: &str = "rtc::alarm::rings@x86_64/pc/mc146818rtc";

    fn selects(words: &[&str], name: &str) -> bool {
        Arguments::parse_from([&["test"], words].concat()).selects(name)
    }

    #[test]
    fn a_path_selects_what_is_at_or_below_it() {
        assert!(selects(&["--tap", "-k", "-p", "/rtc/alarm"], ALARM));
        assert!(selects(&["-p", "/rtc/"], ALARM));
        assert!(selects(&["-p", &path_of(ALARM)], ALARM));
        assert!(!selects(&["-p", "/rtc/ala"], ALARM));
        assert!(selects(&["-p", "/fdc", "-p", "/rtc"], ALARM));
        assert!(!selects(&["-p", "/rtc", "-s", "/rtc/alarm/rings"], ALARM));
    }
}
