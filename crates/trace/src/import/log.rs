//! What QEMU writes with `-qtest-log`: `[R +time] request`, `[S +time] reply`, with QEMU's own words between.

use testjig_qtest::Reply;

use super::Draft;
use super::lines::Line;
use crate::error::ParseError;
use crate::session::{Action, Expected, Step};

pub(super) fn read(lines: &[Line]) -> Result<Draft, ParseError> {
    let first = lines
        .iter()
        .position(|line| line.text.starts_with("[R "))
        .unwrap_or(0);
    let mut draft = super::shell::read(&command_of(&lines[..first]))?;
    // The operations of a heredoc that came before are those of the log.
    draft.steps.clear();
    let mut at = 0;
    let lines = &lines[first..];
    while let Some(line) = lines.get(at) {
        at += 1;
        let text = line.text.trim();
        let Some((mark, rest)) = marked(text) else {
            at += said(text, &mut draft);
            continue;
        };
        let offset = line.text.len() - rest.len();
        match mark {
            'R' => {
                let request = Line {
                    number: line.number,
                    offset: line.offset + line.text[..offset].chars().count(),
                    text: rest.to_owned(),
                };
                let (step, taken) = super::shell::operation(&request, &lines[at..], None)?;
                draft.steps.push(step);
                at += taken;
            }
            'S' => answer(line, rest, offset, &mut draft)?,
            // `OPENED`, `CLOSED`.
            'I' => {}
            _ => {
                let (number, column) = line.place(0);
                return Err(ParseError::new(
                    number,
                    column,
                    "a line of the log is `[R +time]`, `[S +time]` or `[I +time]`",
                ));
            }
        }
    }
    Ok(draft)
}

/// The lines of a command before the log, if there is one.
fn command_of(lines: &[Line]) -> Vec<Line> {
    match lines
        .iter()
        .position(|line| line.text.contains("qemu-system-") && line.text.contains(" -"))
    {
        Some(at) => {
            // A heredoc begins with the line before.
            let from = if at > 0 && lines[at - 1].text.contains("<<") {
                at - 1
            } else {
                at
            };
            let end = lines[from..]
                .iter()
                .position(|line| line.text.is_empty())
                .map_or(lines.len(), |end| from + end);
            lines[from..end]
                .iter()
                .filter(|line| !line.text.starts_with("[I "))
                .cloned()
                .collect()
        }
        None => Vec::new(),
    }
}

/// `[R +0.076075] outl 0xcf8 0x8000fa24`: the letter, and what follows.
fn marked(text: &str) -> Option<(char, &str)> {
    let inner = text.strip_prefix('[')?;
    let (mark, rest) = inner.split_once(']')?;
    let mut words = mark.split_whitespace();
    let letter = words.next().filter(|word| word.len() == 1)?;
    let time = words.next()?.trim_start_matches('+');
    let is_time = time
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    (is_time && words.next().is_none())
        .then(|| Some((letter.chars().next()?, rest.trim_start())))?
}

/// The answer to the last request, or an interrupt line before it.
fn answer(line: &Line, rest: &str, offset: usize, draft: &mut Draft) -> Result<(), ParseError> {
    let (number, column) = line.place(offset);
    if let Some(edge) = rest.strip_prefix("IRQ ") {
        let mut words = edge.split_whitespace();
        let level = match words.next() {
            Some("raise") => true,
            Some("lower") => false,
            _ => {
                return Err(ParseError::new(
                    number,
                    column,
                    "an interrupt line is raised or lowered",
                ));
            }
        };
        let Some(line) = words
            .next()
            .and_then(|word| word.parse().ok())
            .filter(|line| *line <= 0xffff_u32)
        else {
            return Err(ParseError::new(
                number,
                column,
                "an interrupt line has a number from 0 to 65535",
            ));
        };
        let last = draft.steps.len().saturating_sub(1);
        draft
            .steps
            .insert(last, Step::new(Action::Edge { line, level }));
        return Ok(());
    }
    let Some(Step {
        action: Action::Do(command, expected),
        ..
    }) = draft
        .steps
        .iter_mut()
        .rfind(|step| matches!(step.action, Action::Do(..)))
    else {
        return Err(ParseError::new(
            number,
            column,
            "an answer without a request",
        ));
    };
    let Some(reply) = Reply::parse(rest.as_bytes(), command.shape()) else {
        return Err(ParseError::new(
            number,
            column,
            format!(
                "this is no answer to `{}`",
                crate::error::excerpt(&command.to_string())
            ),
        ));
    };
    if expected.is_some() {
        return Err(ParseError::new(
            number,
            column,
            "a second answer to one request",
        ));
    }
    // That it was done is no news.
    if reply != Reply::Done {
        *expected = Some(Expected::exactly(reply));
    }
    Ok(())
}

/// A line that is not the log's: an answer on standard output, which the log has too, or QEMU's own words.
fn said(text: &str, draft: &mut Draft) -> usize {
    let is_answer = ["OK", "FAIL", "ERR", "IRQ "]
        .iter()
        .any(|word| text.starts_with(word));
    if !text.is_empty() && !is_answer {
        draft.steps.push(Step {
            action: Action::Nothing,
            comment: Some(text.to_owned()),
        });
    }
    0
}
