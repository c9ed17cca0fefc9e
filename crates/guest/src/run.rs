//! Running tests: [`find`] and [`supervise`].

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::halves::{self, GuestTest};
use crate::header::Header;
use crate::job::{Ending, Job, Report};
use crate::supervisor::SUPERVISE;

/// A test: a file with a host half and a guest half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// The file's name without its extension.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// The registered test whose functions are the halves, if they are no script's.
    pub function: Option<String>,
    /// Whether its machines may begin where an equal one has booted to: it then takes a fraction of a second.
    pub is_warm: bool,
}

/// The tests at these places: files as they are, and in directories the files that end in `.sh`. A file that ends in `.rs` has the tests
/// that were [registered](crate::register) from a file of that name.
///
/// # Errors
/// If a place can't be read.
pub fn find(places: &[PathBuf]) -> Result<Vec<Test>, String> {
    let mut tests = Vec::new();
    for place in places {
        let failed = |error: io::Error| format!("failed to read {}: {error}", place.display());
        if fs::metadata(place).map_err(failed)?.is_dir() {
            let mut files = Vec::new();
            for entry in fs::read_dir(place).map_err(failed)? {
                let path = entry.map_err(failed)?.path();
                let is_one = path
                    .extension()
                    .is_some_and(|end| end == "sh" || end == "rs");
                if is_one && path.is_file() {
                    files.push(path);
                }
            }
            files.sort();
            tests.extend(files.iter().flat_map(|path| of_file(path)));
        } else {
            tests.extend(of_file(place));
        }
    }
    Ok(tests)
}

fn of_file(path: &Path) -> Vec<Test> {
    if path.extension().is_none_or(|end| end != "rs") {
        return vec![test(path)];
    }
    let of_it = |test: &&&GuestTest| Path::new(test.file).file_name() == path.file_name();
    halves::all()
        .iter()
        .filter(of_it)
        .map(|test| Test {
            name: test.name.to_owned(),
            path: path.to_owned(),
            function: Some(test.name.to_owned()),
            is_warm: test.is_warm,
        })
        .collect()
}

fn test(path: &Path) -> Test {
    let name = path.file_stem().unwrap_or_default();
    // A file that can't be read, or says what is not understood, is an error when it is run.
    let header = fs::read(path).ok().and_then(|text| Header::of(&text).ok());
    Test {
        name: name.to_string_lossy().into_owned(),
        path: path.to_owned(),
        function: None,
        is_warm: header.is_some_and(|header| header.warm),
    }
}

/// A supervisor that runs a test.
#[derive(Debug)]
pub struct Supervised {
    child: Child,
    /// While it is open, the test goes on.
    lifeline: UnixStream,
    directory: PathBuf,
}

/// Starts a supervisor for a job, which is this program again.
///
/// # Errors
/// If it can't be started.
pub fn supervise(job: &Job) -> io::Result<Supervised> {
    let (mut lifeline, its) = UnixStream::pair()?;
    let child = Command::new(&job.program)
        .env(SUPERVISE, "1")
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(its)))
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = serde_json::to_vec(job)?;
    line.push(b'\n');
    let started = Supervised {
        child,
        lifeline: lifeline.try_clone()?,
        directory: job.directory.clone(),
    };
    lifeline.write_all(&line)?;
    Ok(started)
}

impl Supervised {
    /// Waits until the test is over; the supervisor sees to its deadline.
    pub fn wait(mut self) -> Report {
        let mut text = Vec::new();
        let read = match &mut self.child.stdout {
            Some(output) => output.read_to_end(&mut text).map(drop),
            None => Ok(()),
        };
        let status = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
        let report = read.ok().and_then(|()| serde_json::from_slice(&text).ok());
        report.unwrap_or_else(|| Report {
            ending: Ending::Error(match status {
                Ok(status) => format!("the test's supervisor ended without a report: {status}"),
                Err(error) => format!("the test's supervisor is gone: {error}"),
            }),
            choices: Vec::new(),
            output: String::new(),
            log: String::new(),
            stderr: String::new(),
            command_line: String::new(),
            boot: std::time::Duration::ZERO,
        })
    }

    /// What ends the test when it is called, from any thread: its supervisor then ends everything that it started.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub fn stopper(&self) -> io::Result<Stopper> {
        self.lifeline.try_clone().map(Stopper)
    }
}

/// Ends a test.
#[derive(Debug)]
pub struct Stopper(UnixStream);

impl Stopper {
    /// Ends it.
    pub fn stop(&self) {
        // A supervisor that is gone needs no telling.
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }
}
