//! `jig import` and `jig export`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use clap::{Args, ValueEnum};
use testjig::vm::Arch;
use testjig_trace::{Import, LARGEST_FILE, Target, Trace};

use crate::fail;

#[derive(Args)]
#[command(
    after_help = "Understood are shell lines that feed operations into a QEMU through a heredoc, such lines in mail (quoted, \
wrapped, quoted-printable), QEMU's own log of qtest, and tests in C that call libqtest one operation after the other. What is not \
understood is an error with its line and column.

Exit status:
  0    it was written
  2    it was not understood"
)]
pub(crate) struct ImportArguments {
    /// The text [default: standard input]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Where to write the session [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The architecture, if the text names no qemu-system-…
    #[arg(long, value_name = "ARCH")]
    arch: Option<Arch>,
    /// The machine, if the text names none
    #[arg(long, value_name = "NAME")]
    machine: Option<String>,
    /// What the session is about
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
}

impl ImportArguments {
    pub(crate) fn run(self) -> ExitCode {
        let text = match read(self.file.as_deref()) {
            Ok(text) => text,
            Err(error) => return fail(error),
        };
        let import = Import {
            arch: self.arch,
            machine: self.machine,
        };
        match import.read(&text) {
            Ok((mut trace, _)) => {
                if let Some(title) = self.title {
                    trace.header.title = title;
                }
                for refusal in trace.refusals() {
                    eprintln!("note: jig replay will refuse {refusal}");
                }
                write(self.output.as_deref(), &trace.to_string())
            }
            Err(error) => {
                let name = self
                    .file
                    .as_ref()
                    .map_or("standard input".to_owned(), |path| {
                        path.display().to_string()
                    });
                fail(format!("{name}: {error}"))
            }
        }
    }
}

/// What `--to` takes.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Spelling {
    /// A shell line with a heredoc
    Heredoc,
    /// A test of QEMU's libqtest
    C,
    /// A test of testjig
    Rust,
}

#[derive(Args)]
pub(crate) struct ExportArguments {
    /// The session
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What to write
    #[arg(long, value_name = "SPELLING", value_enum)]
    to: Spelling,
    /// Where to write it [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl ExportArguments {
    pub(crate) fn run(self) -> ExitCode {
        let trace = match Trace::read(&self.file) {
            Ok(trace) => trace,
            Err(error) => return fail(error),
        };
        let target = match self.to {
            Spelling::Heredoc => Target::Heredoc,
            Spelling::C => Target::C,
            Spelling::Rust => Target::Rust,
        };
        write(self.output.as_deref(), &trace.export(target))
    }
}

/// No more than a session may have is read.
fn read(path: Option<&Path>) -> Result<String, String> {
    let name = path.map_or("standard input".to_owned(), |path| {
        path.display().to_string()
    });
    let failed = |error: io::Error| format!("failed to read {name}: {error}");
    let from: Box<dyn Read> = match path {
        Some(path) => Box::new(fs::File::open(path).map_err(failed)?),
        None => Box::new(io::stdin()),
    };
    let mut bytes = Vec::new();
    from.take(LARGEST_FILE as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    String::from_utf8(bytes).map_err(|_| format!("{name} is no text: UTF-8 is read"))
}

fn write(path: Option<&Path>, text: &str) -> ExitCode {
    match path {
        None => print!("{text}"),
        Some(path) => {
            if let Err(error) = fs::write(path, text) {
                return fail(format!("failed to write {}: {error}", path.display()));
            }
        }
    }
    ExitCode::SUCCESS
}
