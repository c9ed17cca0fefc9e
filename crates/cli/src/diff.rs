//! `jig diff`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use testjig::case::Cases;
use testjig::graph::Graph;
use testjig::qos::describe::{self, Describe};
use testjig::qtest::{Command, Entry, Reply};
use testjig::vm::MachineType;
use testjig_trace::{Action, Step, Trace};

use crate::fail;
use crate::replay::all_files;

/// How many operations before the difference are shown.
const BEFORE: usize = 4;

#[derive(Args)]
#[command(after_help = "Exit status:
  0    the sessions are alike
  1    they differ
  2    wrong usage, or a file that can't be read")]
pub(crate) struct Arguments {
    /// A session, or a directory of them
    #[arg(value_name = "A")]
    one: PathBuf,
    /// Another one
    #[arg(value_name = "B")]
    other: PathBuf,
}

impl Arguments {
    pub(crate) fn run(self) -> ExitCode {
        let pairs = match pairs(&self.one, &self.other) {
            Ok(pairs) => pairs,
            Err(error) => return fail(error),
        };
        let mut different = 0;
        for (one, other) in &pairs {
            let name = one.file_name().unwrap_or_default().to_string_lossy();
            let (one, other) = match (Trace::read(one), Trace::read(other)) {
                (Ok(one), Ok(other)) => (one, other),
                (Err(error), _) | (_, Err(error)) => return fail(error),
            };
            if let Some(text) = difference(&one, &other) {
                different += 1;
                println!("{name}\n{text}");
            }
        }
        println!("{} sessions compared, {different} differ", pairs.len());
        ExitCode::from(u8::from(different > 0))
    }
}

/// Two files, or those of the same name in two directories.
fn pairs(one: &Path, other: &Path) -> Result<Vec<(PathBuf, PathBuf)>, String> {
    if !one.is_dir() {
        return Ok(vec![(one.to_owned(), other.to_owned())]);
    }
    let files = all_files(&[one.to_owned()])?;
    let there: BTreeSet<_> = all_files(&[other.to_owned()])?
        .iter()
        .filter_map(|path| path.file_name().map(ToOwned::to_owned))
        .collect();
    let (both, alone): (Vec<_>, Vec<_>) = files
        .into_iter()
        .filter_map(|path| Some((path.file_name()?.to_owned(), path)))
        .partition(|(name, _)| there.contains(name));
    for (name, _) in &alone {
        println!("only in {}: {}", one.display(), name.to_string_lossy());
    }
    Ok(both
        .into_iter()
        .map(|(name, path)| (path, other.join(name)))
        .collect())
}

/// The first difference, with what comes before it, registers decoded; `None` if there is none.
fn difference(one: &Trace, other: &Trace) -> Option<String> {
    let acts = |trace: &Trace| -> Vec<Step> {
        let all = trace
            .steps
            .iter()
            .filter(|step| step.action != Action::Nothing);
        all.map(|step| Step::new(step.action.clone())).collect()
    };
    let (ones, others) = (acts(one), acts(other));
    let longest = ones.len().max(others.len());
    let at = (0..longest).find(|&at| ones.get(at) != others.get(at))?;
    let mut text = String::new();
    for (sign, trace, steps) in [("-", one, &ones), ("+", other, &others)] {
        let mut lines = decoded(trace, &steps[..steps.len().min(at + 1)]);
        let last = (steps.len() > at).then(|| lines.pop()).flatten();
        if sign == "-" {
            for line in &lines[lines.len().saturating_sub(BEFORE)..] {
                let _ = writeln!(text, "    {line}");
            }
        }
        let last = last.unwrap_or_else(|| "(nothing more)".to_owned());
        let _ = writeln!(text, "  {sign} {last}");
    }
    Some(format!(
        "  operation {} differs:\n{}",
        at + 1,
        text.trim_end()
    ))
}

/// The steps as lines, with what they mean to the devices of the machine.
fn decoded(trace: &Trace, steps: &[Step]) -> Vec<String> {
    let mut decoders = decoders(trace);
    let mut lines = Vec::with_capacity(steps.len());
    for (seq, step) in steps.iter().enumerate() {
        let mut line = step.to_string();
        if let Action::Do(command, expected) = &step.action {
            let reply = expected.as_ref().map(|expected| expected.reply.clone());
            if let Some(meaning) = meaning(&mut decoders, seq, command, reply) {
                line.push_str("   ");
                line.push_str(&meaning);
            }
        }
        lines.push(line);
    }
    lines
}

fn meaning(
    decoders: &mut [Box<dyn Describe>],
    seq: usize,
    command: &Command,
    reply: Option<Reply>,
) -> Option<String> {
    let entry = Entry {
        seq: seq as u64,
        command: command.clone(),
        elided: 0,
        reply: reply.or(Some(Reply::Done)),
        location: Location::caller(),
    };
    describe::meaning(decoders, &entry)
}

/// Those of the test that was recorded, or of the machine's built-in devices.
fn decoders(trace: &Trace) -> Vec<Box<dyn Describe>> {
    let graph = Graph::get();
    let cases = Cases::collect().cases;
    if let Some(case) = cases.iter().find(|case| case.name == trace.header.title) {
        return graph.decoders(&case.path);
    }
    MachineType::by_name(trace.header.arch, &trace.header.machine)
        .map(|machine| graph.built_in_decoders(machine))
        .unwrap_or_default()
}
