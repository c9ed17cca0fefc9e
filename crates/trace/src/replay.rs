//! [`Replay`]: a session on a QEMU, and what became of it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use testjig_qtest::{Command, Error, ErrorKind, Reply};
use testjig_vm::{ExitStatus, LaunchError, LaunchErrorKind, LaunchOptions, Qemu, Vm};

use crate::outcome::{Difference, Outcome, Verdict};
use crate::session::{Action, Expected, Trace};
use crate::signature::Ending;
use crate::vet::Refusal;
use crate::watch::Watch;

/// Operations that travel together before their replies are looked at.
const TOGETHER: usize = 4096;

/// How long is waited for something once an answer was another than the file's: what follows is seldom as it was.
const NO_LONGER_AWAITED: Duration = Duration::from_millis(100);

/// How long QEMU may take to let go of a device that went.
const RELEASED: Duration = Duration::from_secs(1);

/// Plugs a device in, written as for `-device`. Whether the machine took it: one that lets go of another device only now declines, and is
/// asked again for so long.
pub fn plug(vm: &Vm, device: &str, within: Duration) -> bool {
    let end = Instant::now() + within;
    loop {
        if vm.hmp(&format!("device_add {device}")).trim().is_empty() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How to replay.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The longest wait for one answer; a machine that takes longer has hung.
    pub patience: Duration,
    /// How much memory the machine may take beyond what it has at its start, in bytes.
    pub growth: u64,
    /// Whether the file may ask for anything; see [`Trace::refusals`].
    pub trust: bool,
    /// Whether a machine that crashes tells where.
    pub frames: bool,
}

impl Default for Replay {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(5),
            growth: 256 << 20,
            trust: false,
            frames: true,
        }
    }
}

/// Why a session was not replayed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// The file asks for what needs trust.
    #[error("refused, for the file asks for things of the host: {}; what is in it can be allowed with --trust", listed(.0))]
    Refused(Vec<Refusal>),
    /// The machine did not start.
    #[error(transparent)]
    Launch(#[from] LaunchError),
}

fn listed(refusals: &[Refusal]) -> String {
    let all: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    all.join("; ")
}

impl Replay {
    /// Starts the machine and carries out the session.
    ///
    /// # Errors
    /// If the file is refused, and nothing was started; or if the machine does not start, for another reason than that this QEMU lacks
    /// a part of it.
    pub fn run(&self, trace: &Trace, qemu: &Qemu) -> Result<Outcome, ReplayError> {
        self.run_with(trace, qemu, &LaunchOptions::default())
    }

    /// The same, with a machine that is started so. Whether it tells where it crashes is said by [`frames`](Self::frames).
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_with(
        &self,
        trace: &Trace,
        qemu: &Qemu,
        options: &LaunchOptions,
    ) -> Result<Outcome, ReplayError> {
        if !self.trust {
            let refusals = trace.refusals();
            if !refusals.is_empty() {
                return Err(ReplayError::Refused(refusals));
            }
        }
        if let Some(reason) = trace.lacks(qemu) {
            return Ok(Outcome::skipped(reason));
        }
        let launch = trace.header.launch(!self.trust && !qemu.is_embedded());
        let options = options.clone().frames(self.frames && !qemu.is_embedded());
        let vm = match qemu.launch(&launch, &options) {
            Ok(vm) => vm,
            Err(error) => return skip_or(error).map(Outcome::skipped),
        };
        let outcome = self.on(trace, &vm);
        vm.kill();
        Ok(outcome)
    }

    /// Carries out the session on a machine that is as it was built. The machine is not ended, but it may be gone.
    pub fn on(&self, trace: &Trace, vm: &Vm) -> Outcome {
        vm.set_timeout(self.patience);
        vm.session(|session| {
            session.journal_mut().set_capacity(0);
            session.journal_mut().set_edge_capacity(1 << 20);
        });
        let watch = Watch::begin(vm.pid(), self.growth);
        let begin = Instant::now();
        let (asked, counted) =
            vm.with_journal(|journal| (journal.answered(), journal.edge_count()));
        let mut run = Run {
            vm,
            trace,
            patience: self.patience,
            replies: Vec::new(),
            difference: None,
            has_unplugged: false,
        };
        let failed = run.all();
        let took = begin.elapsed();
        let Run {
            replies,
            difference,
            ..
        } = run;
        let (answered, edges) = vm.with_journal(|journal| {
            let edges = journal.edges_since(counted).copied().collect::<Vec<_>>();
            (journal.answered().saturating_sub(asked), edges)
        });
        let grown = watch.end();
        let mut outcome = Outcome {
            verdict: Verdict::Survived,
            answered: answered.min(trace.operations() as u64),
            difference,
            stderr: String::new(),
            replies,
            edges,
            took,
        };
        let ending = match (grown, failed) {
            (Some(bytes), _) => Ending::Grown(bytes),
            (None, None) => Ending::Fine,
            (None, Some(how)) => ending(vm, &how),
        };
        outcome.stderr = vm.stderr();
        outcome.verdict = match ending.signature() {
            None => outcome.judged(trace, !vm.qemu().is_embedded()),
            Some(signature) => match ending {
                Ending::Gone(report) => Verdict::Crashed { signature, report },
                Ending::Grown(bytes) => Verdict::Leaked(bytes),
                _ => Verdict::Hung,
            },
        };
        outcome
    }
}

/// How a session broke off.
enum Broken {
    /// The wire did.
    Wire(Error),
    /// A call on the machine did, which unwinds.
    Call,
}

fn ending(vm: &Vm, how: &Broken) -> Ending {
    let is_gone = match how {
        Broken::Wire(error) => matches!(error.kind(), ErrorKind::Closed { .. } | ErrorKind::Io(_)),
        Broken::Call => true,
    };
    if !(is_gone && vm.has_ended(Duration::from_secs(2))) {
        return Ending::Hung;
    }
    let report = vm.kill();
    match report.status {
        // The guest may switch its machine off.
        ExitStatus::Exited(0) => Ending::Fine,
        _ => Ending::Gone(report),
    }
}

/// A machine that lacks something is a skip; any other failure to start is one.
pub(crate) fn skip_or(error: LaunchError) -> Result<String, ReplayError> {
    let lacks = matches!(
        error.kind(),
        LaunchErrorKind::UnknownMachine
            | LaunchErrorKind::UnknownDevice
            | LaunchErrorKind::Unsupported
    );
    let stderr = error.stderr();
    let unknown = stderr.lines().find(|line| {
        line.contains("' not found") && line.contains("roperty")
            || line.contains("is not a valid device model name")
            || line.contains("not supported by this")
            || line.contains("nvalid parameter")
    });
    match unknown {
        Some(line) => Ok(format!("this QEMU declines the machine: {}", line.trim())),
        None if lacks => {
            let text = error.to_string();
            Ok(text.lines().next().unwrap_or_default().to_owned())
        }
        None => Err(error.into()),
    }
}

/// A session under way.
struct Run<'a> {
    vm: &'a Vm,
    trace: &'a Trace,
    patience: Duration,
    replies: Vec<Reply>,
    difference: Option<Difference>,
    /// Whether a device was asked to go: its id and its drive may be in use for a while.
    has_unplugged: bool,
}

impl Run<'_> {
    /// Everything, in order; how it broke off, if it did.
    fn all(&mut self) -> Option<Broken> {
        let mut batch: Vec<Command> = Vec::with_capacity(TOGETHER);
        let mut places: Vec<usize> = Vec::with_capacity(TOGETHER);
        for (at, step) in self.trace.steps.iter().enumerate() {
            match &step.action {
                Action::Nothing | Action::Edge { .. } => {}
                Action::Do(command, _) => {
                    batch.push(command.clone());
                    places.push(at);
                    if batch.len() == TOGETHER {
                        if let Err(broken) = self.batch(&mut batch, &mut places) {
                            return Some(broken);
                        }
                    }
                }
                Action::Until(command, expected) => {
                    let done = self
                        .batch(&mut batch, &mut places)
                        .and_then(|()| self.until(at, command, expected));
                    if let Err(broken) = done {
                        return Some(broken);
                    }
                }
                Action::Image { disk, offset, data } => {
                    let done = self
                        .batch(&mut batch, &mut places)
                        .and_then(|()| self.image(disk, *offset, data.bytes()));
                    if let Err(broken) = done {
                        return Some(broken);
                    }
                }
                Action::Reset => {
                    let done = self
                        .batch(&mut batch, &mut places)
                        .and_then(|()| self.reset());
                    if let Err(broken) = done {
                        return Some(broken);
                    }
                }
                Action::Plug(device) => {
                    let done = self
                        .batch(&mut batch, &mut places)
                        .and_then(|()| self.plug(device));
                    if let Err(broken) = done {
                        return Some(broken);
                    }
                }
                Action::Unplug(id) => {
                    let done = self
                        .batch(&mut batch, &mut places)
                        .and_then(|()| self.unplug(id));
                    if let Err(broken) = done {
                        return Some(broken);
                    }
                }
                Action::Settle => {
                    let done = self
                        .batch(&mut batch, &mut places)
                        .and_then(|()| self.settle());
                    if let Err(broken) = done {
                        return Some(broken);
                    }
                }
            }
        }
        if let Err(broken) = self.batch(&mut batch, &mut places) {
            return Some(broken);
        }
        // What the last operation left for the main loop to do is done before the second of these is answered.
        let last = [Command::Endianness, Command::Endianness];
        self.vm
            .session(|session| session.run_each(&last))
            .err()
            .map(Broken::Wire)
    }

    fn batch(&mut self, batch: &mut Vec<Command>, places: &mut Vec<usize>) -> Result<(), Broken> {
        if batch.is_empty() {
            return Ok(());
        }
        let replies = self
            .vm
            .session(|session| session.run_each(batch))
            .map_err(Broken::Wire)?;
        for ((reply, at), command) in replies.iter().zip(places.iter()).zip(batch.iter()) {
            if let Action::Do(_, Some(expected)) = &self.trace.steps[*at].action {
                if !expected.is_met_by(reply) {
                    self.differs(*at, command, expected, reply);
                }
            }
            self.replies.push(reply.clone());
        }
        batch.clear();
        places.clear();
        Ok(())
    }

    fn wait(&self) -> Duration {
        match self.difference {
            None => self.patience,
            Some(_) => self.patience.min(NO_LONGER_AWAITED),
        }
    }

    fn until(&mut self, at: usize, command: &Command, expected: &Expected) -> Result<(), Broken> {
        let end = Instant::now() + self.wait();
        loop {
            let replies = self
                .vm
                .session(|session| session.run_each(std::slice::from_ref(command)))
                .map_err(Broken::Wire)?;
            let Some(reply) = replies.into_iter().next() else {
                return Ok(());
            };
            let met = expected.is_met_by(&reply);
            if !met && Instant::now() < end {
                continue;
            }
            if !met {
                self.differs(at, command, expected, &reply);
            }
            self.replies.push(reply);
            return Ok(());
        }
    }

    fn image(&mut self, disk: &str, offset: u64, bytes: &[u8]) -> Result<(), Broken> {
        catch_unwind(AssertUnwindSafe(|| self.vm.disk(disk).write(offset, bytes)))
            .map_err(|_| Broken::Call)?;
        self.replies.push(Reply::Done);
        Ok(())
    }

    fn reset(&mut self) -> Result<(), Broken> {
        // Calls on a machine unwind where others return an error.
        catch_unwind(AssertUnwindSafe(|| self.vm.reset())).map_err(|_| Broken::Call)?;
        self.replies.push(Reply::Done);
        Ok(())
    }

    /// Whether it is declined is not looked at: the machine's later answers tell whether it matters.
    fn plug(&mut self, device: &str) -> Result<(), Broken> {
        let within = if self.has_unplugged {
            self.wait().min(RELEASED)
        } else {
            Duration::ZERO
        };
        catch_unwind(AssertUnwindSafe(|| plug(self.vm, device, within)))
            .map_err(|_| Broken::Call)?;
        self.replies.push(Reply::Done);
        Ok(())
    }

    fn unplug(&mut self, id: &str) -> Result<(), Broken> {
        self.has_unplugged = true;
        catch_unwind(AssertUnwindSafe(|| {
            self.vm.hmp(&format!("device_del {id}"))
        }))
        .map_err(|_| Broken::Call)?;
        self.replies.push(Reply::Done);
        Ok(())
    }

    /// A machine that does not come to rest goes on being asked: the answers tell whether it matters.
    fn settle(&self) -> Result<(), Broken> {
        catch_unwind(AssertUnwindSafe(|| self.vm.settle(self.wait()))).map_err(|_| Broken::Call)?;
        Ok(())
    }

    fn differs(&mut self, at: usize, command: &Command, expected: &Expected, reply: &Reply) {
        if self.difference.is_none() {
            self.difference = Some(Difference {
                step: at,
                operation: self.replies.len() + 1,
                request: command.to_string(),
                expected: expected.clone(),
                got: reply.clone(),
            });
        }
    }
}
