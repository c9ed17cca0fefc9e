//! A failure as text: the cause first, then what is known of the machine, then how to go on.

use std::fmt::Write;

use owo_colors::{OwoColorize, Style};

use crate::verdict::{Outcome, Verdict};

/// How wide the column of subjects is.
const SUBJECTS: usize = 9;
/// How many lines of the machine's and of the test's own output are shown; the log has them all.
const TAIL: usize = 12;

/// The report of a case that is not good.
///
/// `rerun` is the command before the case's name.
pub fn failure(case: &str, place: &str, outcome: &Outcome, rerun: &str, colour: bool) -> String {
    let evidence = outcome.evidence.clone().unwrap_or_default();
    let paint = |style: Style| if colour { style } else { Style::new() };
    let bold = paint(Style::new().bold());
    let dim = paint(Style::new().dimmed());
    let mut text = String::new();
    let place = evidence.place.as_deref().unwrap_or(place);
    let verdict = outcome.verdict.style(paint(style_of(outcome.verdict)));
    let _ = writeln!(
        text,
        "{verdict} {}   {}",
        case.style(bold),
        place.style(dim)
    );
    let message = if evidence.message.is_empty() {
        &outcome.reason
    } else {
        &evidence.message
    };
    for line in message.lines() {
        let _ = writeln!(text, "  {line}");
    }
    for fact in &evidence.facts {
        row(
            &mut text,
            &fact.subject,
            fact.lines.iter().map(String::as_str),
        );
    }
    row(&mut text, "stderr", tail(&evidence.stderr));
    row(&mut text, "printed", tail(&evidence.output));
    let isolation = (!outcome.isolation.is_empty()).then_some(outcome.isolation.as_str());
    row(&mut text, "isolation", isolation);
    let _ = writeln!(text, "  {:SUBJECTS$} {rerun} '{case}'", "rerun");
    if let Some(log) = &evidence.log {
        let _ = writeln!(text, "  {:SUBJECTS$} {}", "log", log.display());
    }
    text
}

fn row<'a>(text: &mut String, subject: &str, lines: impl IntoIterator<Item = &'a str>) {
    let mut subject = subject;
    for line in lines {
        let _ = writeln!(text, "    {subject:SUBJECTS$} {line}");
        subject = "";
    }
}

fn tail(text: &str) -> impl Iterator<Item = &str> {
    let lines: Vec<&str> = text.lines().collect();
    let skipped = lines.len().saturating_sub(TAIL);
    lines.into_iter().skip(skipped)
}

/// The colour of a verdict.
pub(super) fn style_of(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Pass => Style::new().green().bold(),
        Verdict::Skip | Verdict::Xfail | Verdict::Flaky => Style::new().yellow().bold(),
        _ => Style::new().red().bold(),
    }
}
