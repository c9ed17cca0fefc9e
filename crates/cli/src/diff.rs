//! `jig diff`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
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
    /// Print a table instead: the registers at which sessions differ first, and how many sessions of which tests do
    #[arg(long)]
    by_register: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> ExitCode {
        let pairs = match pairs(&self.one, &self.other) {
            Ok(pairs) => pairs,
            Err(error) => return fail(error),
        };
        let mut groups = BTreeMap::<(String, String), Vec<(String, Difference)>>::new();
        for (one, other) in &pairs {
            let name = one.file_name().unwrap_or_default().to_string_lossy();
            let (one, other) = match (Trace::read(one), Trace::read(other)) {
                (Ok(one), Ok(other)) => (one, other),
                (Err(error), _) | (_, Err(error)) => return fail(error),
            };
            if let Some(difference) = difference(&one, &other) {
                if !self.by_register {
                    println!("{name}\n{difference}");
                }
                let title = one.header.title;
                let tests = title.split("::").next().unwrap_or_default().to_owned();
                let group = groups.entry((tests, difference.place())).or_default();
                group.push((title, difference));
            }
        }
        if self.by_register {
            table(&groups);
        }
        let different: usize = groups.values().map(Vec::len).sum();
        println!("{} sessions compared, {different} differ", pairs.len());
        ExitCode::from(u8::from(different > 0))
    }
}

/// The groups in Markdown, the largest first, each with its first session.
fn table(groups: &BTreeMap<(String, String), Vec<(String, Difference)>>) {
    let mut groups: Vec<_> = groups.iter().collect();
    groups.sort_by_key(|(_, sessions)| std::cmp::Reverse(sessions.len()));
    println!("| tests | differ first at | sessions | A | B | the first of them |");
    println!("|---|---|---|---|---|---|");
    for ((tests, place), sessions) in groups {
        let Some((title, first)) = sessions.first() else {
            continue;
        };
        let [one, other] = [&first.one, &first.other].map(|line| excerpt(line.to_string()));
        println!(
            "| {tests} | `{place}` | {} | `{one}` | `{other}` | `{title}` |",
            sessions.len(),
        );
    }
    println!();
}

/// Of what is too long for a table, the beginning.
fn excerpt(text: String) -> String {
    const LONGEST: usize = 80;
    match text.char_indices().nth(LONGEST) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
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

/// Where two sessions differ first.
struct Difference {
    /// Which operation, counted from 1.
    at: usize,
    /// What comes before it.
    before: Vec<Line>,
    one: Line,
    other: Line,
}

impl Difference {
    /// The register, if both access the same; else the request, or what there is.
    fn place(&self) -> String {
        let places = [&self.one, &self.other].map(Line::place);
        if places[0] == places[1] {
            places[0].clone()
        } else {
            places.join(" or ")
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  operation {} differs:", self.at)?;
        for line in &self.before {
            write!(f, "\n    {line}")?;
        }
        write!(f, "\n  - {}\n  + {}", self.one, self.other)
    }
}

/// A step, and what it means to a device of the machine.
#[derive(Default)]
struct Line {
    step: Option<Step>,
    meaning: Option<String>,
}

impl Line {
    fn place(&self) -> String {
        if let Some(meaning) = &self.meaning {
            let register = meaning.split(['→', '←']).next();
            return register.unwrap_or_default().to_owned();
        }
        match self.step.as_ref().map(|step| &step.action) {
            None => "the end".to_owned(),
            Some(Action::Do(command, _) | Action::Until(command, _)) => match command {
                Command::ReadBlock { .. } => "memory".to_owned(),
                command => command.to_string(),
            },
            Some(action) => action.to_string(),
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.step {
            None => f.write_str("(nothing more)")?,
            Some(step) => write!(f, "{step}")?,
        }
        match &self.meaning {
            None => Ok(()),
            Some(meaning) => write!(f, "   {meaning}"),
        }
    }
}

/// The first difference, with what comes before it, registers decoded; `None` if there is none.
fn difference(one: &Trace, other: &Trace) -> Option<Difference> {
    let acts = |trace: &Trace| -> Vec<Step> {
        let all = trace
            .steps
            .iter()
            .filter(|step| !matches!(step.action, Action::Nothing | Action::Settle));
        all.map(|step| Step::new(step.action.clone())).collect()
    };
    let (ones, others) = (acts(one), acts(other));
    let longest = ones.len().max(others.len());
    let at = (0..longest).find(|&at| ones.get(at) != others.get(at))?;
    let lines = |trace: &Trace, steps: &[Step]| {
        let mut lines = decoded(trace, &steps[..steps.len().min(at + 1)]);
        let last = (steps.len() > at).then(|| lines.pop()).flatten();
        (lines, last.unwrap_or_default())
    };
    let (mut before, one) = lines(one, &ones);
    let (_, other) = lines(other, &others);
    before.drain(..before.len().saturating_sub(BEFORE));
    Some(Difference {
        at: at + 1,
        before,
        one,
        other,
    })
}

/// The steps as lines, with what they mean to the devices of the machine.
fn decoded(trace: &Trace, steps: &[Step]) -> Vec<Line> {
    let mut decoders = decoders(trace);
    let mut lines = Vec::with_capacity(steps.len());
    for (seq, step) in steps.iter().enumerate() {
        let done = match &step.action {
            Action::Do(command, expected) => Some((command, expected.as_ref())),
            Action::Until(command, expected) => Some((command, Some(expected))),
            _ => None,
        };
        let meaning = done.and_then(|(command, expected)| {
            let reply = expected.map(|expected| expected.reply.clone());
            meaning(&mut decoders, seq, command, reply)
        });
        lines.push(Line {
            step: Some(step.clone()),
            meaning,
        });
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
