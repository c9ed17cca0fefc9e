//! [`Replay`]: a session on a QEMU, and what became of it.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use testjig_qtest::{Command, Edge, Error, ErrorKind, Reply};
use testjig_vm::{ExitReport, ExitStatus, LaunchError, LaunchErrorKind, LaunchOptions, Qemu, Vm};

use crate::header::Expect;
use crate::session::{Action, Expected, Trace};
use crate::signature::Ending;
use crate::vet::Refusal;
use crate::watch::Watch;

/// Operations that travel together before their replies are looked at.
const TOGETHER: usize = 4096;

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

/// What became of a session.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// In a word.
    pub verdict: Verdict,
    /// Operations that were answered.
    pub answered: u64,
    /// The first reply that is another than the file's, whatever came after it.
    pub difference: Option<Difference>,
    /// What QEMU wrote to its standard error.
    pub stderr: String,
    /// The answers, in the order of the file's operations; shorter if the machine did not answer all. A reset is [`Reply::Done`].
    pub replies: Vec<Reply>,
    /// How interrupt lines moved.
    pub edges: Vec<Edge>,
    /// How long the operations took.
    pub took: Duration,
}

/// What became of a session, in a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The machine lives, and has answered as the file says, where it does.
    Survived,
    /// The machine ended by itself.
    Crashed {
        /// What the same bug has in common wherever it is met.
        signature: String,
        /// How it ended.
        report: ExitReport,
    },
    /// The machine does not answer.
    Hung,
    /// It answered otherwise than the file says, or an interrupt line moved otherwise, or it did not say what it should.
    Differs(String),
    /// It took so many bytes more memory than at its start.
    Leaked(u64),
    /// This QEMU can't replay the session; why.
    Skipped(String),
}

impl Verdict {
    /// What the same bug has in common wherever it is met; `None` where there is none.
    pub fn signature(&self) -> Option<String> {
        match self {
            Self::Survived | Self::Skipped(_) => None,
            Self::Crashed { signature, .. } => Some(signature.clone()),
            Self::Hung => Ending::Hung.signature(),
            Self::Leaked(bytes) => Ending::Grown(*bytes).signature(),
            Self::Differs(_) => Some("replied differently".to_owned()),
        }
    }

    /// Whether the session ended as its file expects.
    pub fn is_as(&self, expect: &Expect) -> bool {
        match (self, expect) {
            (Self::Survived, Expect::Survive | Expect::Reply) => true,
            (Self::Crashed { signature, .. }, Expect::Crash(wanted)) => {
                wanted.is_empty() || wanted == signature
            }
            _ => false,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Survived => f.write_str("survived"),
            Self::Crashed { signature, .. } => write!(f, "crashed({signature})"),
            Self::Hung => f.write_str("hung"),
            Self::Differs(difference) => write!(f, "replied differently: {difference}"),
            Self::Leaked(bytes) => write!(f, "leaked memory: {} MiB", bytes >> 20),
            Self::Skipped(reason) => write!(f, "skipped: {reason}"),
        }
    }
}

/// A reply that is another than the file's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which line after the header, counted from 0.
    pub step: usize,
    /// Which operation, counted from 1.
    pub operation: usize,
    /// The request.
    pub request: String,
    /// What the file says.
    pub expected: Expected,
    /// What came.
    pub got: Reply,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "operation {}, {}: {}, not {}",
            self.operation,
            self.request,
            Expected::exactly(self.got.clone()),
            self.expected
        )
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
    /// A reset did.
    Reset,
}

fn ending(vm: &Vm, how: &Broken) -> Ending {
    let is_gone = match how {
        Broken::Wire(error) => matches!(error.kind(), ErrorKind::Closed { .. } | ErrorKind::Io(_)),
        Broken::Reset => true,
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

impl Outcome {
    fn skipped(reason: String) -> Self {
        Self {
            verdict: Verdict::Skipped(reason),
            answered: 0,
            difference: None,
            stderr: String::new(),
            replies: Vec::new(),
            edges: Vec::new(),
            took: Duration::ZERO,
        }
    }

    /// Of a machine that lives: whether it did as the file says. The words are QEMU's own; another VMM has others.
    fn judged(&self, trace: &Trace, is_qemu: bool) -> Verdict {
        if let Some(difference) = &self.difference {
            return Verdict::Differs(difference.to_string());
        }
        if let Some(difference) = edges_differ(trace, &self.edges) {
            return Verdict::Differs(difference);
        }
        match trace
            .header
            .says
            .iter()
            .find(|words| is_qemu && !self.stderr.contains(words.as_str()))
        {
            Some(words) => Verdict::Differs(format!("it did not say “{words}”")),
            None => Verdict::Survived,
        }
    }
}

/// Where the interrupt lines moved otherwise than the file says, if it says anything of them.
fn edges_differ(trace: &Trace, edges: &[Edge]) -> Option<String> {
    let mut wanted = trace.steps.iter().filter_map(|step| match step.action {
        Action::Edge { line, level } => Some((line, level)),
        _ => None,
    });
    wanted.clone().next()?;
    let word = |level| if level { "raised" } else { "lowered" };
    let mut got = edges.iter();
    let mut number = 0;
    loop {
        number += 1;
        match (wanted.next(), got.next()) {
            (None, None) => return None,
            (Some(wanted), Some(got)) if wanted == (got.line, got.level) => {}
            (Some((line, level)), None) => {
                return Some(format!(
                    "interrupt line {line} was not {} ({number})",
                    word(level)
                ));
            }
            (None, Some(edge)) => {
                return Some(format!(
                    "interrupt line {} was {} once more",
                    edge.line,
                    word(edge.level)
                ));
            }
            (Some((line, level)), Some(edge)) => {
                return Some(format!(
                    "edge {number}: interrupt line {} was {}, not line {line} {}",
                    edge.line,
                    word(edge.level),
                    word(level)
                ));
            }
        }
    }
}

/// A session under way.
struct Run<'a> {
    vm: &'a Vm,
    trace: &'a Trace,
    patience: Duration,
    replies: Vec<Reply>,
    difference: Option<Difference>,
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

    fn until(&mut self, at: usize, command: &Command, expected: &Expected) -> Result<(), Broken> {
        let end = Instant::now() + self.patience;
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
            .map_err(|_| Broken::Reset)?;
        self.replies.push(Reply::Done);
        Ok(())
    }

    fn reset(&mut self) -> Result<(), Broken> {
        // Calls on a machine unwind where others return an error.
        catch_unwind(AssertUnwindSafe(|| self.vm.reset())).map_err(|_| Broken::Reset)?;
        self.replies.push(Reply::Done);
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
