//! The terminal: a progress line while it runs, failures at once and in full, a summary that fits the eye.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use owo_colors::{OwoColorize, Style};

use crate::report::{Reporter, Start, failure, render};
use crate::runner::Summary;
use crate::verdict::{Outcome, Verdict};

/// How many of the slowest cases the summary names.
const SLOWEST: usize = 3;

/// Reports to a person: results on standard output, the progress line on standard error.
pub struct Terminal {
    verbose: bool,
    colour: bool,
    rerun: String,
    bar: Option<ProgressBar>,
    running: Vec<String>,
    bad: usize,
}

impl Terminal {
    /// A reporter for the terminal, or for a file when standard output is one. `verbose` gives passing cases a line too.
    pub fn new(verbose: bool) -> Self {
        Self {
            verbose,
            colour: colour_wanted(),
            rerun: String::new(),
            bar: None,
            running: Vec::new(),
            bad: 0,
        }
    }

    fn paint(&self, style: Style) -> Style {
        if self.colour { style } else { Style::new() }
    }

    fn print(&self, text: &str) {
        let print = || {
            let mut out = io::stdout().lock();
            // A reader that went away is no reason to stop testing.
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        };
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    fn show_running(&self) {
        if let Some(bar) = &self.bar {
            let more = self.running.len().saturating_sub(1);
            let bad = if self.bad > 0 {
                format!("{} not good · ", self.bad)
            } else {
                String::new()
            };
            let first = self.running.first().map_or("", String::as_str);
            let rest = if more > 0 {
                format!(" +{more}")
            } else {
                String::new()
            };
            bar.set_message(format!("{bad}{first}{rest}"));
        }
    }
}

/// Whether standard output takes colour: a terminal, and nobody said no.
fn colour_wanted() -> bool {
    let no = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    !no && !dumb && io::stdout().is_terminal()
}

impl Reporter for Terminal {
    fn start(&mut self, start: &Start) {
        self.rerun.clone_from(&start.rerun);
        let mut text = String::new();
        let chosen = start.qemus.iter().map(|qemu| &qemu.summary);
        for line in chosen.chain(&start.missing) {
            let _ = writeln!(text, "{line}");
        }
        let workers = start.jobs.min(start.cases).max(1);
        let _ = writeln!(
            text,
            "{} case{} on {workers} worker{}",
            start.cases,
            plural(start.cases),
            plural(workers),
        );
        self.print(&text);
        if io::stderr().is_terminal() && io::stdout().is_terminal() {
            let bar = ProgressBar::new(start.cases as u64);
            let style = ProgressStyle::with_template("{bar:24} {pos}/{len} {elapsed} {wide_msg}")
                .expect("the template is well-formed");
            bar.set_style(style);
            self.bar = Some(bar);
        }
    }

    fn started(&mut self, case: &str) {
        self.running.push(case.to_owned());
        self.show_running();
    }

    fn finished(&mut self, case: &str, place: &str, outcome: &Outcome) {
        self.running.retain(|running| running != case);
        if outcome.is_unrun_error() {
            // One cause, told once: in the first lines and in the summary.
            self.bad += 1;
        } else if !outcome.verdict.is_good() {
            self.bad += 1;
            let text = failure(case, place, outcome, &self.rerun, self.colour);
            self.print(&format!("\n{text}\n"));
        } else if self.verbose {
            let verdict = outcome
                .verdict
                .style(self.paint(render::style_of(outcome.verdict)));
            let time = outcome.duration.as_secs_f64() * 1000.0;
            let reason = match (outcome.reason.as_str(), outcome.isolation.as_str()) {
                ("", "") => String::new(),
                ("", isolation) => format!("   {isolation}"),
                (reason, _) => format!("   {reason}"),
            };
            self.print(&format!("{verdict} {time:>7.1} ms  {case}{reason}\n"));
        }
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
        self.show_running();
    }

    fn end(&mut self, summary: &Summary) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.print(&self.summary(summary));
    }
}

impl Terminal {
    fn summary(&self, summary: &Summary) -> String {
        let mut text = String::new();
        let mut devices: BTreeMap<&str, BTreeMap<Verdict, usize>> = BTreeMap::new();
        for (case, outcome) in &summary.outcomes {
            let device = case.split("::").next().unwrap_or(case);
            *devices
                .entry(device)
                .or_default()
                .entry(outcome.verdict)
                .or_default() += 1;
        }
        let widest = devices.keys().map(|device| device.len()).max().unwrap_or(0);
        for (device, counts) in &devices {
            let _ = writeln!(text, "  {device:widest$}  {}", self.counts(counts));
        }

        let mut slowest: Vec<_> = summary
            .outcomes
            .iter()
            .filter(|(_, o)| o.duration > Duration::ZERO)
            .collect();
        slowest.sort_by_key(|(_, outcome)| std::cmp::Reverse(outcome.duration));
        let median = slowest
            .get(slowest.len() / 2)
            .map(|(_, outcome)| outcome.duration);
        for (subject, (case, outcome)) in
            ["slowest", "", ""].iter().zip(slowest.iter().take(SLOWEST))
        {
            let _ = writeln!(
                text,
                "  {subject:7} {:>6.0} ms  {case}",
                outcome.duration.as_secs_f64() * 1e3
            );
        }
        for (subject, counts) in [
            (
                "skipped",
                (|outcome| outcome.verdict == Verdict::Skip) as fn(&Outcome) -> bool,
            ),
            ("xfail", |outcome| outcome.verdict == Verdict::Xfail),
            ("flaky", |outcome| outcome.verdict == Verdict::Flaky),
            ("error", Outcome::is_unrun_error),
        ] {
            let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
            for (_, outcome) in summary
                .outcomes
                .iter()
                .filter(|(_, outcome)| counts(outcome))
            {
                *reasons.entry(&outcome.reason).or_default() += 1;
            }
            for (reason, count) in reasons {
                let _ = writeln!(text, "  {subject:7} {count:>6}  {reason}");
            }
        }

        let mut total = BTreeMap::new();
        for (_, outcome) in &summary.outcomes {
            *total.entry(outcome.verdict).or_default() += 1;
        }
        let time = summary.duration.as_secs_f64();
        let median = median.map_or(String::new(), |m| {
            format!(", median {:.0} ms a case", m.as_secs_f64() * 1e3)
        });
        let _ = writeln!(text, "{} in {time:.1} s{median}", self.counts(&total));
        if summary.interrupted {
            text.push_str("interrupted: the remaining cases did not run\n");
        } else if summary.executed() == 0 {
            text.push_str("nothing ran\n");
        }
        text
    }

    fn counts(&self, counts: &BTreeMap<Verdict, usize>) -> String {
        let parts: Vec<String> = counts
            .iter()
            .map(|(verdict, count)| {
                let style = self.paint(render::style_of(*verdict));
                format!("{} {}", count, verdict.participle())
                    .style(style)
                    .to_string()
            })
            .collect();
        if parts.is_empty() {
            "0 cases".to_owned()
        } else {
            parts.join(", ")
        }
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
