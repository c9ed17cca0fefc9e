//! [`Probes`]: candidates tried side by side.

use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use testjig_vm::{LaunchOptions, Qemu, Template};

use crate::header::Header;
use crate::minimise::{Minimise, key};
use crate::replay::{Replay, ReplayError};
use crate::session::Trace;

/// Threads with machines of their own: a machine can't go from one thread to another.
pub(super) struct Probes {
    requests: Option<Sender<(usize, Trace)>>,
    answers: Receiver<(usize, Result<bool, ReplayError>)>,
    threads: Vec<JoinHandle<()>>,
}

impl Probes {
    pub(super) fn start(
        qemu: &Qemu,
        replay: &Replay,
        header: &Header,
        wanted: &str,
        how: &Minimise,
    ) -> Self {
        let (requests, received) = mpsc::channel::<(usize, Trace)>();
        let (answer, answers) = mpsc::channel();
        let received = Arc::new(Mutex::new(received));
        let threads = (0..how.jobs.max(1)).map(|_| {
            let (qemu, replay) = (qemu.clone(), replay.clone());
            let (header, wanted) = (header.clone(), wanted.to_owned());
            // A sandbox keeps a template from forking.
            let forks = how.forks && qemu.unforkable().is_none();
            let received = Arc::clone(&received);
            let answer = answer.clone();
            thread::spawn(move || {
                let mut worker = Worker {
                    qemu,
                    replay,
                    header,
                    wanted,
                    template: None,
                    forks,
                };
                loop {
                    let request = received
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .recv();
                    let Ok((index, candidate)) = request else {
                        return;
                    };
                    if answer.send((index, worker.shows(&candidate))).is_err() {
                        return;
                    }
                }
            })
        });
        Self {
            requests: Some(requests),
            answers,
            threads: threads.collect(),
        }
    }

    /// How many are tried at once.
    pub(super) fn jobs(&self) -> usize {
        self.threads.len()
    }

    /// Tries all candidates; which of them show the bug.
    pub(super) fn shown<'a>(
        &self,
        candidates: impl Iterator<Item = &'a Trace>,
    ) -> Result<Vec<bool>, ReplayError> {
        let mut results = Vec::new();
        let Some(requests) = &self.requests else {
            return Ok(results);
        };
        let mut sent = 0;
        for (index, candidate) in candidates.enumerate() {
            sent += usize::from(requests.send((index, candidate.clone())).is_ok());
            results.push(false);
        }
        let mut failed = None;
        for _ in 0..sent {
            match self.answers.recv() {
                Ok((index, Ok(shows))) => results[index] = shows,
                Ok((_, Err(error))) => failed = Some(error),
                Err(_) => break,
            }
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(results),
        }
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        self.requests = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

struct Worker {
    qemu: Qemu,
    replay: Replay,
    header: Header,
    wanted: String,
    template: Option<Template>,
    forks: bool,
}

impl Worker {
    /// Whether a candidate shows the bug.
    fn shows(&mut self, candidate: &Trace) -> Result<bool, ReplayError> {
        let is_same = candidate.header == self.header;
        if is_same && self.forks {
            if let Some(shows) = self.forked(candidate) {
                return Ok(shows);
            }
            self.forks = false;
        }
        match self.replay.run(candidate, &self.qemu) {
            Ok(outcome) => Ok(key(&outcome).as_deref() == Some(&*self.wanted)),
            // A machine of less may not start, or ask for what it may not have.
            Err(_) if !is_same => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The same on a forked machine; `None` if none can be had.
    fn forked(&mut self, candidate: &Trace) -> Option<bool> {
        if !self.replay.trust && !candidate.refusals().is_empty() {
            return None;
        }
        if self.template.is_none() {
            let options = LaunchOptions::default().frames(self.replay.frames);
            let launch = self.header.launch(false);
            self.template = Some(self.qemu.template(&launch, &options).ok()?);
        }
        let vm = self.template.as_ref()?.fork(false).ok()?;
        let outcome = self.replay.on(candidate, &vm);
        vm.kill();
        Some(key(&outcome).as_deref() == Some(&*self.wanted))
    }
}
