//! `jig minimise`.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use clap::Args;
use testjig_trace::{Expect, Minimise, Minimised, Progress, Stopped, Trace};

use crate::fail;
use crate::replay::On;

/// How often the best so far is written down.
const KEEP: Duration = Duration::from_secs(1);

#[derive(Args)]
#[command(
    after_help = "The result shows the same bug in each of 20 processes of its own, or nothing is written. An interrupted or ended \
run goes on where it was.

Exit status:
  0    the session was made smaller, or was minimal
  1    there is nothing to minimise, or the bug shows only sometimes
  2    wrong usage
  5    no QEMU could be had"
)]
pub(crate) struct Arguments {
    /// The session
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where to write the result [default: FILE with .min.qtr]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How long it may take, in seconds, without the confirmation
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    budget: u64,
    /// How many candidates are tried at once [default: as many as there are cores]
    #[arg(short, long, value_name = "N")]
    jobs: Option<usize>,
    /// Start each machine, fork none
    #[arg(long)]
    no_forks: bool,
    #[command(flatten)]
    on: On,
}

impl Arguments {
    pub(crate) fn run(self) -> ExitCode {
        std::panic::set_hook(Box::new(|_| {}));
        let original = match Trace::read(&self.file) {
            Ok(trace) => trace,
            Err(error) => return fail(error),
        };
        let output = self
            .output
            .clone()
            .unwrap_or_else(|| self.file.with_extension("min.qtr"));
        let partial = output.with_extension("partial");
        let mark = format!("being minimised from {:016x}", hash(&original));
        let trace = match Trace::read(&partial) {
            Ok(trace) if trace.header.notes.contains(&mark) => {
                eprintln!("going on from {}", partial.display());
                without(trace, &mark)
            }
            _ => original.clone(),
        };
        let arch = trace.header.arch;
        let qemus = self.on.qemus(BTreeSet::from([arch]));
        let qemu = match qemus.get(arch) {
            Ok(qemu) => qemu,
            Err(error) => {
                eprintln!("jig: {error}");
                return ExitCode::from(5);
            }
        };
        eprintln!("{}", qemu.summary());
        let mut minimise = Minimise {
            replay: self.on.how(),
            budget: Duration::from_secs(self.budget),
            forks: !self.no_forks,
            ..Minimise::default()
        };
        if let Some(jobs) = self.jobs {
            minimise.jobs = jobs.max(1);
        }
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            if let Err(error) = signal_hook::flag::register(signal, Arc::clone(&stop)) {
                return fail(error);
            }
        }
        let mut keeper = Keeper {
            path: &partial,
            mark: &mark,
            last: Instant::now(),
            shown: Instant::now(),
        };
        let result = minimise.run(&trace, qemu, &stop, &mut |progress| keeper.see(progress));
        if io::stderr().is_terminal() {
            eprint!("\r\x1b[K");
        }
        match result {
            Ok(minimised) => finish(&original, minimised, &output, &partial),
            Err(error) => {
                eprintln!("jig: {error}");
                ExitCode::from(1)
            }
        }
    }
}

fn finish(original: &Trace, minimised: Minimised, output: &Path, partial: &Path) -> ExitCode {
    let Minimised {
        mut trace,
        signature,
        probes,
        took,
        confirmed,
        stopped,
        ..
    } = minimised;
    if matches!(original.header.expect, Expect::Crash(_)) {
        trace.header.expect = Expect::Crash(signature.clone());
    }
    if let Err(error) = trace.write(output) {
        return fail(error);
    }
    if stopped == Stopped::Minimal {
        // It may not be there: nothing was better than the file itself.
        let _ = std::fs::remove_file(partial);
    }
    let why = match stopped {
        Stopped::Minimal => "nothing can be taken away any more",
        Stopped::Budget => "the time was up",
        Stopped::Interrupted => "it was interrupted",
    };
    println!("{signature}");
    println!(
        "{} operations of {}, {probes} candidates in {:.1} s; {why}; confirmed {confirmed} of {confirmed} times",
        trace.operations(),
        original.operations(),
        took.as_secs_f64()
    );
    for what in removed(original, &trace) {
        println!("removed: {what}");
    }
    println!("{}", output.display());
    ExitCode::SUCCESS
}

/// What is gone, in words.
fn removed(from: &Trace, to: &Trace) -> Vec<String> {
    let counts = [
        ("operations", from.operations(), to.operations()),
        (
            "words of the command line",
            from.header.args.len(),
            to.header.args.len(),
        ),
        ("disks", from.header.disks.len(), to.header.disks.len()),
    ];
    counts
        .into_iter()
        .filter(|(_, before, after)| after < before)
        .map(|(what, before, after)| format!("{} of {before} {what}", before - after))
        .collect()
}

/// Shows how far it is, and writes down the best so far.
struct Keeper<'a> {
    path: &'a Path,
    mark: &'a str,
    last: Instant,
    shown: Instant,
}

impl Keeper<'_> {
    fn see(&mut self, progress: &Progress<'_>) {
        if progress.is_better && self.last.elapsed() > KEEP {
            self.last = Instant::now();
            let mut trace = progress.best.clone();
            trace.header.notes.push(self.mark.to_owned());
            // It is there for the case that this process ends; without it, the next begins anew.
            let _ = trace.write(self.path);
        }
        if io::stderr().is_terminal() && self.shown.elapsed() > Duration::from_millis(200) {
            self.shown = Instant::now();
            let mut err = io::stderr().lock();
            let _ = write!(
                err,
                "\r\x1b[K{:.0} s, {} candidates, {} operations: {}",
                progress.elapsed.as_secs_f64(),
                progress.probes,
                progress.best.operations(),
                progress.phase
            );
            let _ = err.flush();
        }
    }
}

fn hash(trace: &Trace) -> u64 {
    let mut hasher = DefaultHasher::new();
    trace.to_string().hash(&mut hasher);
    hasher.finish()
}

fn without(mut trace: Trace, mark: &str) -> Trace {
    trace.header.notes.retain(|note| note != mark);
    trace
}
