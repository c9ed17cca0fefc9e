//! The files that a run is reported in, for `jig run` and `jig merge`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use testjig::report::{Html, JsonLines, Junit, Reporter, Tap, Terminal, Timelines};

/// Where the results go beside the terminal. One of them may be "-", standard output, in the terminal report's place.
#[derive(Args)]
pub(crate) struct Reports {
    /// Write the results as JSON lines
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    json: Option<PathBuf>,
    /// Write the results as JUnit XML
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    junit: Option<PathBuf>,
    /// Write the results as TAP 14
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    tap: Option<PathBuf>,
    /// Write the results as one HTML page
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    html: Option<PathBuf>,
    /// Write the one selected case's timeline as VCD, for waveform viewers
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    vcd: Option<PathBuf>,
    /// Write the one selected case's timeline as a trace for Perfetto
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    trace: Option<PathBuf>,
}

impl Reports {
    /// Whether standard output belongs to one of the reports.
    pub(crate) fn to_stdout(&self) -> bool {
        self.paths().any(is_stdout)
    }

    /// Whether one case's timeline was asked for.
    pub(crate) fn of_one_case(&self) -> bool {
        self.vcd.is_some() || self.trace.is_some()
    }

    fn paths(&self) -> impl Iterator<Item = &Path> {
        [
            &self.json,
            &self.junit,
            &self.tap,
            &self.html,
            &self.vcd,
            &self.trace,
        ]
        .into_iter()
        .flatten()
        .map(PathBuf::as_path)
    }

    /// The reporters, the terminal's among them unless its place is taken.
    ///
    /// # Errors
    /// If a file can't be created, or two reports want standard output; nothing has run then.
    pub(crate) fn open(&self, verbose: bool) -> Result<Vec<Box<dyn Reporter>>, String> {
        if self.paths().filter(|path| is_stdout(path)).count() > 1 {
            return Err("only one report can go to standard output (\"-\")".to_owned());
        }
        let mut reporters: Vec<Box<dyn Reporter>> = Vec::new();
        if !self.to_stdout() {
            reporters.push(Box::new(Terminal::new(verbose)));
        }
        if let Some(path) = &self.json {
            reporters.push(Box::new(JsonLines::new(create(path)?)));
        }
        if let Some(path) = &self.junit {
            reporters.push(Box::new(Junit::new(create(path)?)));
        }
        if let Some(path) = &self.tap {
            reporters.push(Box::new(Tap::new(create(path)?)));
        }
        if let Some(path) = &self.html {
            reporters.push(Box::new(Html::new(create(path)?)));
        }
        if let Some(path) = &self.vcd {
            reporters.push(Box::new(Timelines::vcd(create(path)?)));
        }
        if let Some(path) = &self.trace {
            reporters.push(Box::new(Timelines::trace(create(path)?)));
        }
        Ok(reporters)
    }
}

fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}

fn create(path: &Path) -> Result<Box<dyn Write>, String> {
    if is_stdout(path) {
        return Ok(Box::new(io::stdout()));
    }
    match File::create(path) {
        Ok(file) => Ok(Box::new(BufWriter::new(file))),
        Err(error) => Err(format!("failed to create {}: {error}", path.display())),
    }
}
