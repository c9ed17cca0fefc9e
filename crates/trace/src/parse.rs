//! From text to a [`Trace`]. Whatever the text is, it costs no more memory than the limits say.

mod fields;
mod steps;

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::str::FromStr;

use crate::error::{FileError, ParseError};
use crate::session::{Step, Trace};

use fields::Draft;
use steps::step;

pub(crate) use fields::size;
pub(crate) use steps::{command, number};

/// The first line of a file that says no more than version 1 of the format can.
pub(crate) const MAGIC: &str = "qtr 1";
/// The first line of a file of version 2, which has `settle`.
pub(crate) const MAGIC_2: &str = "qtr 2";

/// The longest line, in bytes: 4 MiB. The largest block of one operation, 1 MiB, is half of it in hexadecimal digits.
pub const LONGEST_LINE: usize = 4 << 20;
/// The largest file, in bytes: 256 MiB.
pub const LARGEST_FILE: usize = 256 << 20;
/// The most lines after the header: 2,000,000.
pub const MOST_STEPS: usize = 2_000_000;
/// The most lines of the header, and the most words of a command line: 1,000.
pub const MOST_WORDS: usize = 1_000;

impl FromStr for Trace {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut parser = Parser::default();
        if text.len() > LARGEST_FILE {
            return Err(too_large());
        }
        for line in text.lines() {
            parser.line(line)?;
        }
        parser.finish()
    }
}

impl Trace {
    /// Reads a file. Of one that is too large only as much is read as shows it.
    ///
    /// # Errors
    /// If it can't be read, or is no session.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let file = std::fs::File::open(path).map_err(|error| FileError::io(path, error))?;
        let mut parser = Parser::default();
        let mut problem = None;
        each_line(file, |line| match parser.line(line) {
            Ok(()) => true,
            Err(error) => {
                problem = Some(error);
                false
            }
        })
        .map_err(|error| match error {
            LineError::Io(error) => FileError::io(path, error),
            LineError::Parse(error) => FileError::parse(path, error),
        })?;
        match problem {
            Some(error) => Err(error),
            None => parser.finish(),
        }
        .map_err(|error| FileError::parse(path, error))
    }
}

pub(crate) enum LineError {
    Io(io::Error),
    Parse(ParseError),
}

/// Hands on a file's lines, until told to stop, holding one of them at a time.
pub(crate) fn each_line(
    from: impl Read,
    mut take: impl FnMut(&str) -> bool,
) -> Result<(), LineError> {
    let mut from = BufReader::with_capacity(64 << 10, from.take(LARGEST_FILE as u64 + 1));
    let mut line = Vec::new();
    let (mut number, mut total) = (0, 0);
    loop {
        line.clear();
        number += 1;
        let most = LONGEST_LINE as u64 + 2;
        let read = from
            .by_ref()
            .take(most)
            .read_until(b'\n', &mut line)
            .map_err(LineError::Io)?;
        if read == 0 {
            return Ok(());
        }
        total += read;
        if total > LARGEST_FILE {
            return Err(LineError::Parse(too_large()));
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        let text = std::str::from_utf8(&line).map_err(|error| {
            let column = String::from_utf8_lossy(&line[..error.valid_up_to()])
                .chars()
                .count()
                + 1;
            LineError::Parse(ParseError::new(
                number,
                column,
                "this is no text: a file is UTF-8",
            ))
        });
        if line.len() > LONGEST_LINE {
            return Err(LineError::Parse(too_long(number)));
        }
        if !take(text?) {
            return Ok(());
        }
    }
}

fn too_large() -> ParseError {
    ParseError::new(1, 1, "the file is larger than 256 MiB")
}

fn too_long(line: usize) -> ParseError {
    ParseError::new(line, LONGEST_LINE, "the line is longer than 4 MiB")
}

/// What was read so far.
#[derive(Default)]
struct Parser {
    number: usize,
    stage: Stage,
    is_version_2: bool,
    header: Draft,
    steps: Vec<Step>,
}

#[derive(Default, PartialEq)]
enum Stage {
    #[default]
    Magic,
    Header,
    Steps,
}
impl Parser {
    fn line(&mut self, line: &str) -> Result<(), ParseError> {
        self.number += 1;
        if line.len() > LONGEST_LINE {
            return Err(too_long(self.number));
        }
        match self.stage {
            Stage::Magic => {
                self.is_version_2 = line.trim_end() == MAGIC_2;
                if line.trim_end() != MAGIC && !self.is_version_2 {
                    let problem = if line.starts_with("qtr ") {
                        "this file is of a later version of the format; this is version 2"
                            .to_owned()
                    } else {
                        format!(
                            "a session begins with the line `{MAGIC}`; what else holds sessions is read by `jig import`"
                        )
                    };
                    return Err(self.error(1, problem));
                }
                self.stage = Stage::Header;
            }
            Stage::Header if line.trim().is_empty() => self.stage = Stage::Steps,
            Stage::Header => {
                self.header.lines += 1;
                if self.header.lines > MOST_WORDS {
                    return Err(self.error(1, "the header has more than 1,000 lines"));
                }
                self.header
                    .line(line)
                    .map_err(|(column, problem)| self.error(column, problem))?;
            }
            Stage::Steps => {
                if self.steps.len() >= MOST_STEPS {
                    return Err(self.error(1, "there are more than 2,000,000 lines of operations"));
                }
                let step = step(line).map_err(|(column, problem)| self.error(column, problem))?;
                if step.action.is_of_version_2() && !self.is_version_2 {
                    let problem = format!(
                        "`settle`, `plug` and `unplug` are of version 2 of the format: the first line is `{MAGIC_2}` then"
                    );
                    return Err(self.error(1, problem));
                }
                self.steps.push(step);
            }
        }
        Ok(())
    }

    fn error(&self, column: usize, problem: impl Into<String>) -> ParseError {
        ParseError::new(self.number, column, problem)
    }

    fn finish(self) -> Result<Trace, ParseError> {
        let end = self.number.max(1);
        let lacks =
            |what: &str| ParseError::new(end, 1, format!("the header has no line `{what}: …`"));
        if self.stage == Stage::Magic {
            return Err(ParseError::new(
                1,
                1,
                format!("the file is empty; a session begins with the line `{MAGIC}`"),
            ));
        }
        let mut header = self.header.header;
        header.arch = self.header.arch.ok_or_else(|| lacks("arch"))?;
        header.machine = self.header.machine.ok_or_else(|| lacks("machine"))?;
        Ok(Trace {
            header,
            steps: self.steps,
        })
    }
}

/// A column, counted in characters from 1, and what is wrong there.
type Problem = (usize, String);

/// The column of a byte of a line.
fn column(line: &str, byte: usize) -> usize {
    line.get(..byte)
        .map_or(1, |before| before.chars().count() + 1)
}

/// The column of a part of a line, by where it is in memory.
fn column_of(line: &str, part: &str) -> usize {
    column(line, part.as_ptr() as usize - line.as_ptr() as usize)
}
