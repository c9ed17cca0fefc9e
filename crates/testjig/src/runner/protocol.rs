//! What the runner and its workers say to each other: one JSON object a line, over the worker's standard input.
//!
//! A worker is this same binary started again. The runner sends one [`Setup`], then a [`Request`] at a time; the worker answers each
//! with [`Answer::Launched`] when the test begins, and with [`Answer::Done`].

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::qemus::Qemus;
use crate::runner::Debug;
use crate::runner::isolation::How;
use crate::verdict::Outcome;

/// Set in a worker's environment: the process id of its runner.
pub(crate) const RUNNER_PID: &str = "TESTJIG_RUNNER_PID";

/// The first line to a worker.
#[derive(Serialize, Deserialize)]
pub(crate) struct Setup {
    /// The QEMUs that its machines run on.
    pub(crate) qemus: Qemus,
    /// How a person starts one case again: `jig run` or the test binary.
    pub(crate) rerun: String,
}

/// One case to run.
#[derive(Serialize, Deserialize)]
pub(crate) struct Request {
    /// The case's name.
    pub(crate) case: String,
    /// How its machine is to be made.
    pub(crate) how: How,
    /// A case of the launch that comes next, if that is to be forked and is another: its template starts meanwhile.
    pub(crate) next: Option<String>,
    /// How long the test may take once its machine is there.
    pub(crate) deadline: Duration,
    /// Where to record a case that does not pass; the worker makes the directory when it needs it.
    pub(crate) log: Option<PathBuf>,
    /// Whether its machine waits for a person before the test begins.
    pub(crate) debug: Option<Debug>,
    /// Whether what was recorded is kept of a case that passes, too.
    pub(crate) keep: bool,
    /// Where to write the session of a case that passes, as a file that can be replayed.
    pub(crate) record: Option<PathBuf>,
    /// Whether a timeline is wanted of a case that passes, too.
    pub(crate) timelines: bool,
}

/// What a worker has to say of its request.
#[derive(Serialize, Deserialize)]
pub(crate) enum Answer {
    /// The machine is there, and waits for a person: the VMM's process id.
    Waiting(u32),
    /// The machine is there: the test's own time begins.
    Launched,
    /// The case is over.
    Done(Box<Outcome>),
}

/// One end of the conversation.
pub(crate) struct Channel {
    reader: BufReader<UnixStream>,
}

impl Channel {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self {
            reader: BufReader::new(stream),
        }
    }

    pub(crate) fn stream(&self) -> &UnixStream {
        self.reader.get_ref()
    }

    pub(crate) fn send(&mut self, message: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.reader.get_mut().write_all(&line)
    }

    /// Whether the next message is here already, where polling the stream does not show it.
    pub(crate) fn has_message(&self) -> bool {
        self.reader.buffer().contains(&b'\n')
    }

    /// The next message; `None` when the other end is gone.
    pub(crate) fn receive<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let mut line = Vec::new();
        match self.reader.read_until(b'\n', &mut line) {
            Ok(_) if line.ends_with(b"\n") => Ok(Some(serde_json::from_slice(&line)?)),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
            Err(error) => Err(error),
        }
    }
}
