//! Shell lines that feed operations into `-qtest stdio`, and operations without them.

use super::command_line::Machine;
use super::lines::Line;
use super::{Draft, is_operation};
use crate::error::{ParseError, excerpt};
use crate::session::Step;

pub(super) fn read(lines: &[Line]) -> Result<Draft, ParseError> {
    let mut draft = Draft {
        place: lines.first().map_or((1, 1), |line| line.place(0)),
        ..Draft::default()
    };
    let mut at = 0;
    let mut delimiter = None;
    if let Some(start) = lines.iter().position(|line| is_command(&line.text)) {
        let words_before = lines[..start].iter().find(|line| is_operation(&line.text));
        if let Some(line) = words_before {
            let (number, column) = line.place(0);
            return Err(ParseError::new(
                number,
                column,
                "an operation before the command that takes it",
            ));
        }
        draft.place = lines[start].place(0);
        let command = Command::gather(lines, start);
        at = command.end;
        delimiter = command.read(&mut draft)?;
    }
    operations(&lines[at..], delimiter.as_deref(), &mut draft)?;
    Ok(draft)
}

/// Whether a line begins a command.
fn is_command(line: &str) -> bool {
    line.contains("qemu-system-") && (line.contains(" -") || line.contains("<<"))
        || line.contains("<<") && (line.starts_with("cat") || line.contains("-qtest"))
        || line.starts_with("$QEMU")
}

/// A command over one line or several.
struct Command<'a> {
    text: String,
    /// For each line: where it begins in the text.
    pieces: Vec<(usize, &'a Line)>,
    /// The first line that does not belong to it.
    end: usize,
}

impl<'a> Command<'a> {
    /// A line that ends with a backslash goes on in the next; so does one that a mail program broke, where what follows is no
    /// operation.
    fn gather(lines: &'a [Line], start: usize) -> Self {
        let mut command = Self {
            text: String::new(),
            pieces: Vec::new(),
            end: start,
        };
        for (at, line) in lines.iter().enumerate().skip(start) {
            let is_open = command.text.trim_end().ends_with(['\\', '|', ',']);
            let is_more = at == start
                || is_open
                || command.pieces.len() < 64
                    && !line.text.is_empty()
                    && !is_operation(&line.text)
                    && !line.text.starts_with('#')
                    && (line.text.starts_with('-') || !command.is_whole());
            if !is_more {
                break;
            }
            let text = command
                .text
                .trim_end()
                .trim_end_matches('\\')
                .trim_end()
                .len();
            let breaks_word = command.text.trim_end().ends_with(',');
            command.text.truncate(text);
            if !breaks_word {
                command.text.push(' ');
            }
            command.pieces.push((command.text.len(), line));
            command.text.push_str(&line.text);
            command.end = at + 1;
        }
        command
    }

    /// Whether both the program and the heredoc are there.
    fn is_whole(&self) -> bool {
        let has_program = self.text.contains("qemu-system-") || self.text.contains("$QEMU");
        // An option that lacks its value is no end.
        let last = self.text.split_whitespace().next_back().unwrap_or_default();
        let lacks = matches!(
            last,
            "-device"
                | "-drive"
                | "-M"
                | "-machine"
                | "-m"
                | "-netdev"
                | "-qtest"
                | "-display"
                | "-object"
                | "-accel"
                | "-blockdev"
                | "|"
        );
        has_program && !lacks
    }

    fn error(&self, byte: usize, problem: impl Into<String>) -> ParseError {
        let piece = self.pieces.iter().rfind(|(start, _)| *start <= byte);
        let (line, column) = piece.map_or((1, 1), |(start, line)| line.place(byte - start));
        ParseError::new(line, column, problem)
    }

    /// The words with where each begins, quotations resolved.
    fn words(&self) -> Result<Vec<(usize, String)>, ParseError> {
        let mut words: Vec<(usize, String)> = Vec::new();
        let mut word: Option<(usize, String)> = None;
        let mut characters = self.text.char_indices().peekable();
        while let Some((at, character)) = characters.next() {
            match character {
                ' ' | '\t' => words.extend(word.take()),
                '\'' | '"' => {
                    let (_, text) = word.get_or_insert((at, String::new()));
                    loop {
                        match characters.next() {
                            Some((_, end)) if end == character => break,
                            Some((_, '\\')) if character == '"' => {
                                text.extend(characters.next().map(|(_, next)| next));
                            }
                            Some((_, inner @ ('$' | '`'))) if character == '"' => {
                                return Err(self.error(
                                    at,
                                    format!("a shell would put something in for `{inner}`"),
                                ));
                            }
                            Some((_, inner)) => text.push(inner),
                            None => return Err(self.error(at, "a quotation that does not end")),
                        }
                    }
                }
                '\\' => {
                    let (_, text) = word.get_or_insert((at, String::new()));
                    text.extend(characters.next().map(|(_, next)| next));
                }
                '|' => {
                    words.extend(word.take());
                    words.push((at, "|".to_owned()));
                }
                '<' => {
                    words.extend(word.take());
                    let mut mark = String::from("<");
                    while let Some((_, '<' | '-')) = characters.peek() {
                        mark.extend(characters.next().map(|(_, next)| next));
                    }
                    words.push((at, mark));
                }
                '>' if word.as_ref().is_some_and(|(_, text)| text == "2") => {
                    let rest: String = self.text[at..].chars().take(3).collect();
                    if rest != ">&1" {
                        return Err(self.error(at, "a file of the host's would be written"));
                    }
                    word = None;
                    characters.next();
                    characters.next();
                }
                '$' if word.is_none() && self.text[at..].starts_with("$QEMU") => {
                    word = Some((at, "$".to_owned()));
                }
                ';' | '&' | '`' | '$' | '>' | '(' | ')' => {
                    return Err(self.error(
                        at,
                        format!("`{character}`: a command is read here, not a program of a shell"),
                    ));
                }
                _ => word.get_or_insert((at, String::new())).1.push(character),
            }
        }
        words.extend(word);
        Ok(words)
    }

    /// What the command says of the machine; the word that ends the heredoc.
    fn read(&self, draft: &mut Draft) -> Result<Option<String>, ParseError> {
        let words = self.words()?;
        let mut delimiter = None;
        let mut program: Vec<(usize, String)> = Vec::new();
        let mut words = words.into_iter().peekable();
        while let Some((at, word)) = words.next() {
            match word.as_str() {
                "<<" | "<<-" => {
                    let Some((_, end)) = words.next() else {
                        return Err(self.error(at, "the heredoc has no word that ends it"));
                    };
                    delimiter = Some(end);
                }
                "|" => {
                    if program.iter().any(|(_, word)| word != "cat") {
                        return Err(self.error(at, "what QEMU says would go into another command"));
                    }
                    program.clear();
                }
                "<" | "<<<" => {
                    return Err(self.error(
                        at,
                        "operations from elsewhere; they belong between the lines of a heredoc",
                    ));
                }
                _ => program.push((at, word)),
            }
        }
        // Settings of the environment do nothing to a machine that is built here.
        let is_setting = |word: &str| {
            word.split_once('=').is_some_and(|(name, _)| {
                !name.is_empty()
                    && name.bytes().all(|byte| {
                        byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_'
                    })
            })
        };
        let mut program = program.into_iter().skip_while(|(_, word)| is_setting(word));
        let Some((at, name)) = program.next() else {
            return Err(self.error(0, "no command takes the operations"));
        };
        let is_qemu = name.contains("qemu-system-")
            || name.starts_with("$QEMU")
            || name.ends_with("/qemu")
            || name == "qemu";
        if !is_qemu {
            return Err(self.error(
                at,
                format!("`{}` is no QEMU: `qemu-system-…`", excerpt(&name)),
            ));
        }
        let mut machine = Machine::default();
        machine
            .program(&name)
            .map_err(|problem| self.error(at, problem))?;
        let (places, words): (Vec<usize>, Vec<String>) = program.unzip();
        machine.take(&words).map_err(|(index, problem)| {
            let at = places.get(index).or(places.last()).copied().unwrap_or(at);
            self.error(at, problem)
        })?;
        draft.machine = machine;
        draft.has_command = true;
        Ok(delimiter)
    }
}

/// The operations of these lines, up to the one that ends the heredoc.
fn operations(
    lines: &[Line],
    delimiter: Option<&str>,
    draft: &mut Draft,
) -> Result<(), ParseError> {
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let text = line.text.trim();
        at += 1;
        if text.is_empty() {
            continue;
        }
        if delimiter == Some(text) {
            return Ok(());
        }
        if let Some(comment) = text.strip_prefix('#') {
            draft.steps.push(Step {
                action: crate::Action::Nothing,
                comment: Some(comment.trim().to_owned()).filter(|comment| !comment.is_empty()),
            });
            continue;
        }
        let (step, taken) = operation(line, &lines[at..], delimiter)?;
        draft.steps.push(step);
        at += taken;
    }
    match delimiter {
        // A text cut out of a page often lacks its last line.
        _ if !draft.steps.is_empty() => Ok(()),
        Some(end) => {
            let (number, column) = draft.place;
            Err(ParseError::new(
                number,
                column,
                format!("the heredoc does not end with `{}`", excerpt(end)),
            ))
        }
        None => Ok(()),
    }
}

/// One operation, and how many of the next lines belong to it because a mail program broke it.
pub(super) fn operation(
    line: &Line,
    next: &[Line],
    delimiter: Option<&str>,
) -> Result<(Step, usize), ParseError> {
    /// No more lines are put together.
    const PIECES: usize = 4096;
    let problem = match crate::parse::command(&line.text, line.text.trim()) {
        Ok(command) => return Ok((Step::plain(command), 0)),
        Err(problem) => problem,
    };
    let error = || {
        let (column, problem) = problem.clone();
        ParseError::new(line.number, line.offset + column, problem)
    };
    if !is_operation(&line.text) {
        return Err(error());
    }
    let mut joined = line.text.trim().to_owned();
    for (taken, more) in next.iter().enumerate().take(PIECES) {
        let piece = more.text.trim();
        let is_piece = piece.split_whitespace().all(|word| {
            word.bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b'x')
        }) && !piece.is_empty();
        if !is_piece || delimiter == Some(piece) || is_operation(piece) {
            break;
        }
        let spaced = format!("{joined} {piece}");
        joined.push_str(piece);
        for attempt in [&spaced, &joined] {
            if let Ok(command) = crate::parse::command(attempt, attempt) {
                return Ok((Step::plain(command), taken + 1));
            }
        }
        // A word was broken off whole, and is itself broken.
        if !piece.starts_with("0x") {
            continue;
        }
        joined = spaced;
    }
    Err(error())
}
