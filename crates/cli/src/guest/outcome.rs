//! What reports say of how a guest test ended: [`of`].

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use testjig::verdict::{Evidence, Fact, Outcome, Verdict};
use testjig::vm::Qemu;
use testjig_guest::choice::Choice;
use testjig_guest::{Ending, Report};

/// The verdict of a run, without evidence.
pub(crate) fn of(qemu: &Qemu, report: &Report, duration: Duration) -> Outcome {
    let (verdict, reason) = match &report.ending {
        Ending::Passed => (Verdict::Pass, ""),
        Ending::Skipped(reason) => (Verdict::Skip, reason.as_str()),
        Ending::Failed(reason) => (Verdict::Fail, reason.as_str()),
        Ending::Crashed(reason) => (Verdict::Crash, reason.as_str()),
        Ending::Hung(reason) => (Verdict::Hang, reason.as_str()),
        Ending::Error(reason) => (Verdict::Error, reason.as_str()),
    };
    let mut outcome = Outcome::without_run(verdict, reason);
    outcome.duration = duration;
    outcome.launch = report.boot;
    outcome.qemu = version(qemu);
    outcome
}

/// Writes down what a failure left; `None` if that is not possible.
pub(crate) fn keep(log: &Path, name: &str, report: &Report) -> Option<PathBuf> {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || ".=-".contains(c) {
            c
        } else {
            '_'
        }
    };
    let file: String = Path::new(name)
        .file_name()?
        .to_string_lossy()
        .chars()
        .map(plain)
        .collect();
    let directory = log.join(file);
    fs::create_dir_all(&directory).ok()?;
    for (file, text) in [
        ("host.log", &report.output),
        ("guest.log", &report.log),
        ("qemu.log", &report.stderr),
        ("command", &report.command_line),
    ] {
        fs::write(directory.join(file), text).ok()?;
    }
    Some(directory)
}

/// What is known of one that is not good.
pub(crate) fn evidence(
    place: &str,
    report: &Report,
    reason: &str,
    log: Option<PathBuf>,
) -> Evidence {
    let last = |text: &str, count: usize| -> Vec<String> {
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(count);
        lines[from..]
            .iter()
            .map(|line| line.trim_end().to_owned())
            .collect()
    };
    let mut facts = Vec::new();
    if !report.choices.is_empty() {
        facts.push(Fact {
            subject: "chose".to_owned(),
            lines: report
                .choices
                .iter()
                .map(|choice| {
                    format!(
                        "{}={} of {}",
                        choice.name,
                        choice.value,
                        choice.options.join(" ")
                    )
                })
                .collect(),
        });
    }
    if !report.log.trim().is_empty() {
        facts.push(Fact {
            subject: "guest".to_owned(),
            lines: last(&report.log, 20),
        });
    }
    Evidence {
        place: Some(place.to_owned()),
        message: reason.to_owned(),
        facts,
        stderr: report.stderr.clone(),
        output: last(&report.output, 40).join("\n"),
        log,
    }
}

/// The test's file and what was chosen, so that it can be given to `jig guest run` again.
pub(crate) fn name(place: &str, choices: &[Choice]) -> String {
    let values: Vec<String> = choices
        .iter()
        .map(|choice| format!("{}={}", choice.name, choice.value))
        .collect();
    if values.is_empty() {
        place.to_owned()
    } else {
        format!("{place}@{}", values.join(","))
    }
}

/// A QEMU's version without what its packager adds.
pub(crate) fn version(qemu: &Qemu) -> String {
    let version = qemu.version.to_string();
    version.split(' ').next().unwrap_or_default().to_owned()
}
