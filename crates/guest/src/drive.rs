//! One machine of a test, from its start to its end: [`Handle`] for those who want something of it, [`drive`] for the thread that has it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use serde_json::Value;
use testjig_agent::wire::{Exit, MAX_BYTES, Reply, Request};
use testjig_qmp::Qmp;
use testjig_qmp::events::Shutdown;
use testjig_vm::{ExitReport, ExitStatus};

use crate::machine::{Machine, Occurrence};
use crate::schemas::Schemas;

/// How long an agent may take to answer a ping. Under load a guest without KVM is slow.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// How long a silent agent is left alone before it is pinged.
const SILENCE: Duration = Duration::from_secs(5);
/// How long a machine in the background stays after its guest half, unless nothing is wanted of it any more.
const GRACE: Duration = Duration::from_secs(2);
/// How much of a guest's output a test may have.
pub(crate) const MOST_OUTPUT: u64 = 64 << 20;
/// How much of the end of it is kept for the report.
const TAIL: usize = 16 << 10;
/// Where the guest half lies in the guest.
const SCRIPT: &[u8] = b"/tmp/test";

/// What went wrong with a machine, or with what was in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// QEMU died.
    Crash(String),
    /// QEMU, the guest or the agent came to no end.
    Hang(String),
    /// The guest ended otherwise than its half.
    Guest(String),
}

impl Problem {
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Crash(text) | Self::Hang(text) | Self::Guest(text) => text,
        }
    }
}

/// What a host half may ask of a machine.
pub(crate) enum Ask {
    /// A command of the monitor with its words.
    Qmp(String, Vec<String>, Arc<Schemas>),
    /// A line of the human monitor.
    Hmp(String),
    /// A program to run in the guest.
    Guest(Vec<Vec<u8>>),
    /// A request for the agent, and where its reply goes.
    Op(Request, mpsc::Sender<Result<Reply, String>>),
    /// Something to do with the monitor.
    With(Box<dyn FnOnce(&mut Qmp) + Send>),
    /// The guest half, which is driven from the host, is over.
    Done,
    /// End the machine.
    End,
}

/// What comes back: text, or what was wrong; and a status for programs.
pub(crate) type Answer = Result<(Vec<u8>, i32), String>;

/// What is known of a machine.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) pid: u32,
    pub(crate) command_line: String,
    /// The agent has answered for the first time, after so long.
    pub(crate) answered: Option<Duration>,
    /// The drivers of the devices that the machine began with are loaded.
    pub(crate) ready: bool,
    /// The guest half's status.
    pub(crate) status: Option<i32>,
    pub(crate) problem: Option<Problem>,
    /// QEMU is gone.
    pub(crate) ended: bool,
    /// How many wait for something that the machine is still to do.
    pub(crate) waiting: usize,
    /// The host half wants to know how the machine ends, and nothing else any more.
    pub(crate) released: bool,
    pub(crate) events: Vec<(String, Value)>,
    /// What a guest half in Rust has told its host half.
    pub(crate) told: Vec<String>,
    pub(crate) stderr: String,
    /// How many bytes the guest has printed.
    pub(crate) printed: u64,
    /// The end of them.
    pub(crate) tail: VecDeque<u8>,
}

/// A machine as others see it.
#[derive(Clone)]
pub(crate) struct Handle {
    shared: Arc<(Mutex<State>, Condvar)>,
    asks: mpsc::Sender<(Ask, mpsc::Sender<Answer>)>,
    waker: Arc<UnixStream>,
}

/// The other end of a [`Handle`].
pub(crate) struct Reins {
    shared: Arc<(Mutex<State>, Condvar)>,
    asks: mpsc::Receiver<(Ask, mpsc::Sender<Answer>)>,
    wake: UnixStream,
}

/// A handle and its other end.
pub(crate) fn pair() -> std::io::Result<(Handle, Reins)> {
    let (waker, wake) = UnixStream::pair()?;
    wake.set_nonblocking(true)?;
    waker.set_nonblocking(true)?;
    let (sender, asks) = mpsc::channel();
    let shared: Arc<(Mutex<State>, Condvar)> = Arc::default();
    let handle = Handle {
        shared: Arc::clone(&shared),
        asks: sender,
        waker: Arc::new(waker),
    };
    Ok((handle, Reins { shared, asks, wake }))
}

fn lock(shared: &(Mutex<State>, Condvar)) -> MutexGuard<'_, State> {
    shared.0.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Handle {
    /// What is known now.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared)
    }

    /// Waits until something is so, at most until the deadline; whether it is.
    pub(crate) fn wait(&self, deadline: Instant, is_so: impl Fn(&State) -> bool) -> bool {
        let mut state = self.state();
        while !is_so(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.shared.1.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// As [`wait`](Self::wait), for something that the machine does: until then it is not ended though its guest half is over.
    pub(crate) fn wait_alive(&self, deadline: Instant, is_so: impl Fn(&State) -> bool) -> bool {
        self.state().waiting += 1;
        let came = self.wait(deadline, is_so);
        self.state().waiting -= 1;
        self.wake();
        came
    }

    /// Lets the machine end as soon as its guest half is over.
    pub(crate) fn release(&self) {
        self.state().released = true;
        self.wake();
    }

    /// Has the thread of the machine look what has changed.
    fn wake(&self) {
        let _ = (&*self.waker).write(&[1]);
    }

    /// Has the agent do something.
    pub(crate) fn op(&self, request: Request) -> Result<Reply, String> {
        let (sender, reply) = mpsc::channel();
        // Whether it was sent at all: the reply comes when the agent has it.
        self.ask(Ask::Op(request, sender))?;
        let reply = reply
            .recv()
            .unwrap_or_else(|_| Err("the machine ended".to_owned()))?;
        match reply {
            Reply::Failed { text, .. } => Err(String::from_utf8_lossy(&text).into_owned()),
            reply => Ok(reply),
        }
    }

    /// Does something with the monitor, in the thread that has the machine.
    pub(crate) fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Qmp) -> T + Send + 'static,
    ) -> Result<T, String> {
        let (sender, result) = mpsc::channel();
        let work = Box::new(move |qmp: &mut Qmp| drop(sender.send(work(qmp))));
        self.ask(Ask::With(work))?;
        result.recv().map_err(|_| "the machine ended".to_owned())
    }

    /// Says what went wrong in the guest, which ends the machine.
    pub(crate) fn fail(&self, problem: Problem) {
        self.state().problem.get_or_insert(problem);
        self.shared.1.notify_all();
        self.wake();
    }

    /// Tells the host half something.
    pub(crate) fn tell(&self, word: &str) {
        self.state().told.push(word.to_owned());
        self.shared.1.notify_all();
    }

    /// Asks for something and waits for the answer, which comes at the machine's end at the latest.
    pub(crate) fn ask(&self, ask: Ask) -> Answer {
        let (sender, answer) = mpsc::channel();
        let gone = || "the machine is not running".to_owned();
        self.asks.send((ask, sender)).map_err(|_| gone())?;
        self.wake();
        answer.recv().unwrap_or_else(|_| Err(gone()))
    }
}

/// Where a test's guests print: the file `$tmplog`, and whoever looks at one of them.
pub(crate) struct Log {
    file: File,
    written: u64,
}

impl Log {
    pub(crate) fn new(file: File) -> Self {
        Self { file, written: 0 }
    }

    /// Whether there was room for it.
    fn add(&mut self, bytes: &[u8]) -> bool {
        self.written += bytes.len() as u64;
        // A disk that is full shows in what the test looks for.
        self.written <= MOST_OUTPUT && self.file.write_all(bytes).is_ok()
    }
}

/// Who looks on at what a guest prints.
pub(crate) type Echo<'a> = &'a mut dyn FnMut(&[u8]);

/// What a machine is for.
pub(crate) struct Errand<'a> {
    /// The guest half; none if it is driven from the host.
    pub(crate) script: Option<&'a [u8]>,
    /// Its environment.
    pub(crate) env: Vec<Vec<u8>>,
    pub(crate) log: &'a Mutex<Log>,
    /// What the guest prints goes there, too.
    pub(crate) echo: Option<Echo<'a>>,
    /// Readable if the one who wanted the machine has gone.
    pub(crate) abandoned: Option<&'a UnixStream>,
}

/// Where the guest half is.
enum Phase {
    Booting,
    /// Its agent was asked for something that it answers when the guest is ready. It was told of its half in the same breath, if that is a
    /// script and the machine's state is not to be kept before.
    Waking(u32, Option<u32>),
    Running(u32),
    /// The guest half is a function on the host.
    Driven,
    Syncing(u32),
    /// All is done, and the machine is left alone for a moment: what the guest half saw may reach QEMU, and the host half, after it.
    Over(Instant),
}

/// Drives a machine until it has ended.
pub(crate) fn drive(mut machine: Machine, started: Instant, reins: &Reins, mut errand: Errand<'_>) {
    {
        let mut state = lock(&reins.shared);
        state.pid = machine.pid();
        machine.command_line().clone_into(&mut state.command_line);
    }
    let mut driver = Driver {
        reins,
        phase: Phase::Booting,
        started,
        asked: Vec::new(),
        ops: Vec::new(),
        heard: Instant::now(),
        ping: None,
        stopped: false,
        shutdown: None,
        panicked: false,
    };
    if machine.is_restored() {
        driver.wake(&mut machine, &errand, &Request::Ping(0));
    }
    let report = driver.run(&mut machine, &mut errand);
    let mut state = lock(&reins.shared);
    state.stderr.clone_from(&report.stderr);
    state.ended = true;
    reins.shared.1.notify_all();
}

struct Driver<'a> {
    reins: &'a Reins,
    phase: Phase,
    started: Instant,
    /// Programs that the host half has run in the guest: request, output so far, and who waits.
    asked: Vec<(u32, Vec<u8>, mpsc::Sender<Answer>)>,
    /// Requests whose replies somebody waits for.
    ops: Vec<(u32, mpsc::Sender<Result<Reply, String>>)>,
    /// When the agent was last heard of.
    heard: Instant,
    /// The ping that is not answered yet, and when it was sent.
    ping: Option<(u32, Instant)>,
    /// The virtual CPUs stand still, so the agent says nothing.
    stopped: bool,
    shutdown: Option<Shutdown>,
    panicked: bool,
}

impl Driver<'_> {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut lock(&self.reins.shared));
        self.reins.shared.1.notify_all();
    }

    fn fail(&self, problem: Problem) {
        self.change(|state| {
            state.problem.get_or_insert(problem);
        });
    }

    fn run(&mut self, machine: &mut Machine, errand: &mut Errand<'_>) -> ExitReport {
        loop {
            if let Some((_, sent)) = self.ping.filter(|_| !self.stopped) {
                if sent.elapsed() > ANSWER_TIME {
                    self.fail(Problem::Hang(format!(
                        "the agent in the guest does not answer: nothing came from it for {} s",
                        self.heard.elapsed().as_secs()
                    )));
                    return machine.end();
                }
            }
            let running = !matches!(self.phase, Phase::Booting);
            if running && self.ping.is_none() && !self.stopped && self.heard.elapsed() > SILENCE {
                let sent = machine.send(&Request::Ping(1));
                self.ping = sent.ok().map(|id| (id, Instant::now()));
            }
            let wake = errand
                .abandoned
                .filter(|stream| is_closed(stream))
                .map(AsFd::as_fd);
            if wake.is_some() {
                return machine.end();
            }
            if let Phase::Over(since) = self.phase {
                let state = lock(&self.reins.shared);
                let wanted = state.waiting > 0 || since.elapsed() < GRACE && !state.released;
                if !wanted || errand.abandoned.is_some() {
                    drop(state);
                    return machine.end();
                }
            }
            let soon = Instant::now()
                + if matches!(self.phase, Phase::Over(_)) {
                    Duration::from_millis(100)
                } else {
                    Duration::from_millis(500)
                };
            let Some(occurrence) = machine.next(soon, Some(self.reins.wake.as_fd())) else {
                continue;
            };
            match occurrence {
                Occurrence::Woken => {
                    let mut buffer = [0; 64];
                    let _ = (&self.reins.wake).read(&mut buffer);
                    while let Ok((ask, answer)) = self.reins.asks.try_recv() {
                        if let Some(report) = self.serve(machine, ask, answer) {
                            return report;
                        }
                    }
                }
                Occurrence::Console(bytes) => {
                    self.printed(&bytes, errand);
                }
                Occurrence::Hello { .. } => {
                    self.heard = Instant::now();
                    let boot = self.started.elapsed();
                    self.change(|state| state.answered = Some(boot));
                    // Everything but a ping waits for the drivers.
                    self.wake(machine, errand, &Request::Stat(b"/".to_vec()));
                }
                Occurrence::Nonsense(what) => {
                    self.fail(Problem::Guest(format!(
                        "the agent in the guest sends what makes no sense: {what}"
                    )));
                    return machine.end();
                }
                Occurrence::Reply(id, reply) => {
                    self.heard = Instant::now();
                    if self.ping.is_some_and(|(ping, _)| ping == id) {
                        self.ping = None;
                    }
                    if let Some(report) = self.replied(machine, errand, id, reply) {
                        return report;
                    }
                }
                Occurrence::Event(event) => self.event(&event),
                Occurrence::Ended(report) => {
                    self.ended(&report);
                    return report;
                }
            }
            if lock(&self.reins.shared).problem.is_some() {
                return machine.end();
            }
        }
    }

    /// Asks the agent for what it answers when the guest is ready, and has it run the guest half then. All is sent at once: an answer that is
    /// waited for in between costs a guest without KVM some 10 ms.
    fn wake(&mut self, machine: &mut Machine, errand: &Errand<'_>, request: &Request) {
        // A shell is part of a state that is to be kept: of scripts that begin there, one that waits for them.
        let prepare = Request::Prepare(SCRIPT.to_vec());
        let request = if machine.is_to_be_kept() {
            &prepare
        } else {
            request
        };
        let Ok(asked) = machine.send(request) else {
            return;
        };
        let exec = if machine.is_to_be_kept() {
            None
        } else {
            self.hand_over(machine, errand)
        };
        self.phase = Phase::Waking(asked, exec);
        self.ping = Some((asked, Instant::now()));
    }

    /// Hands the guest its half, if that is a script; the request that runs it.
    fn hand_over(&self, machine: &mut Machine, errand: &Errand<'_>) -> Option<u32> {
        let exec = start_script(machine, errand.script?, &errand.env);
        let failed = |error| format!("failed to hand the guest its half: {error}");
        exec.map_err(|error| self.fail(Problem::Guest(failed(error))))
            .ok()
    }

    /// The guest is ready.
    fn awake(&mut self, machine: &mut Machine, errand: &Errand<'_>, exec: Option<u32>) {
        let exec = if machine.is_to_be_kept() {
            machine.keep_state();
            self.hand_over(machine, errand)
        } else {
            exec
        };
        let boot = self.started.elapsed();
        self.heard = Instant::now();
        self.change(|state| {
            state.answered.get_or_insert(boot);
            state.ready = true;
        });
        self.phase = exec.map_or(Phase::Driven, Phase::Running);
    }

    /// Hands on what the guest printed.
    fn printed(&mut self, bytes: &[u8], errand: &mut Errand<'_>) {
        let room = errand
            .log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .add(bytes);
        self.change(|state| {
            state.printed += bytes.len() as u64;
            state.tail.extend(bytes);
            let more = state.tail.len().saturating_sub(TAIL);
            state.tail.drain(..more);
        });
        if !room {
            self.fail(Problem::Guest(format!(
                "the guest printed more than {} MiB, or there is no room for it",
                MOST_OUTPUT >> 20
            )));
        }
        if let Some(echo) = &mut errand.echo {
            echo(bytes);
        }
    }

    fn replied(
        &mut self,
        machine: &mut Machine,
        errand: &mut Errand<'_>,
        id: u32,
        reply: Reply,
    ) -> Option<ExitReport> {
        if let Some(index) = self.asked.iter().position(|(asked, ..)| *asked == id) {
            match reply {
                Reply::Output(bytes) => self.asked[index].1.extend(bytes),
                end => {
                    let (_, output, answer) = self.asked.swap_remove(index);
                    let _ = answer.send(match end {
                        Reply::Exited(status) => Ok((output, status)),
                        Reply::Signalled(signal) => Ok((output, 128 + signal)),
                        Reply::Failed { text, .. } => Err(String::from_utf8_lossy(&text).into()),
                        other => Err(format!("an answer that makes no sense: {other:?}")),
                    });
                }
            }
            return None;
        }
        if let Some(index) = self.ops.iter().position(|(op, _)| *op == id) {
            let _ = self.ops.swap_remove(index).1.send(Ok(reply));
            return None;
        }
        match (&self.phase, reply) {
            (Phase::Waking(asked, exec), Reply::Pong(_) | Reply::Stat { .. } | Reply::Done)
                if *asked == id =>
            {
                let exec = *exec;
                self.awake(machine, errand, exec);
            }
            (Phase::Running(exec), Reply::Output(bytes)) if *exec == id => {
                self.printed(&bytes, errand);
            }
            (Phase::Running(exec), end @ (Reply::Exited(_) | Reply::Signalled(_)))
                if *exec == id =>
            {
                let status = match end {
                    Reply::Exited(status) => status,
                    Reply::Signalled(signal) => 128 + signal,
                    _ => 0,
                };
                return self.over(machine, status);
            }
            (Phase::Syncing(sync), Reply::Done) if *sync == id => {
                self.phase = Phase::Over(Instant::now());
            }
            (_, Reply::Failed { text, .. }) => {
                self.fail(Problem::Guest(format!(
                    "the agent in the guest failed: {}",
                    String::from_utf8_lossy(&text)
                )));
            }
            _ => {}
        }
        None
    }

    /// The guest half has ended.
    fn over(&mut self, machine: &mut Machine, status: i32) -> Option<ExitReport> {
        self.change(|state| state.status = Some(status));
        // What it wrote to disks is to be seen by the host half.
        match machine.send(&Request::Exit(Exit::Stay)) {
            Ok(sync) => self.phase = Phase::Syncing(sync),
            Err(_) => return Some(machine.end()),
        }
        None
    }

    fn serve(
        &mut self,
        machine: &mut Machine,
        ask: Ask,
        answer: mpsc::Sender<Answer>,
    ) -> Option<ExitReport> {
        let reply = match ask {
            Ask::Qmp(command, words, schemas) => schemas
                .arguments(machine.qmp(), &command, &words)
                .and_then(|arguments| {
                    let reply = machine.qmp().execute_raw(&command, arguments);
                    reply.map_err(|error| error.to_string())
                })
                .map(|reply| (format!("{reply}\n").into_bytes(), 0)),
            Ask::Hmp(line) => machine.qmp().hmp(&line).map_or_else(
                |error| Err(error.to_string()),
                |text| {
                    let failed = text.starts_with("Error:") || text.starts_with("unknown command");
                    Ok((text.into_bytes(), i32::from(failed)))
                },
            ),
            Ask::Guest(argv) => {
                if matches!(self.phase, Phase::Booting | Phase::Waking(..)) {
                    Err("the guest is not ready; use wait_guest first".to_owned())
                } else {
                    let env = vec![b"PATH=/sbin:/usr/sbin:/bin:/usr/bin".to_vec()];
                    let exec = Request::Exec {
                        argv,
                        env,
                        directory: b"/".to_vec(),
                    };
                    match machine.send(&exec) {
                        Ok(id) => {
                            self.asked.push((id, Vec::new(), answer));
                            return None;
                        }
                        Err(error) => Err(error.to_string()),
                    }
                }
            }
            Ask::Op(request, reply) => match machine.send(&request) {
                Ok(id) => {
                    self.ops.push((id, reply));
                    Ok((Vec::new(), 0))
                }
                Err(error) => Err(error.to_string()),
            },
            Ask::With(work) => {
                work(machine.qmp());
                Ok((Vec::new(), 0))
            }
            Ask::Done => {
                let _ = answer.send(Ok((Vec::new(), 0)));
                return self.over(machine, 0);
            }
            Ask::End => {
                let report = machine.end();
                self.change(|state| {
                    state.status.get_or_insert(0);
                });
                let _ = answer.send(Ok((Vec::new(), 0)));
                return Some(report);
            }
        };
        let _ = answer.send(reply);
        None
    }

    fn event(&mut self, event: &testjig_qmp::Event) {
        match event.name() {
            "STOP" => self.stopped = true,
            "RESUME" => {
                self.stopped = false;
                self.heard = Instant::now();
                self.ping = None;
            }
            "SHUTDOWN" => self.shutdown = event.decode().ok(),
            "GUEST_PANICKED" => self.panicked = true,
            _ => {}
        }
        let entry = (event.name().to_owned(), event.data().clone());
        self.change(|state| state.events.push(entry));
    }

    /// Decides what the end of QEMU means.
    fn ended(&self, report: &ExitReport) {
        if !report.status.success() {
            let by_signal = matches!(report.status, ExitStatus::Signal { signal: 15 | 9, .. });
            self.fail(Problem::Crash(if by_signal {
                format!("QEMU was ended by {}", report.status)
            } else {
                format!("QEMU died: {}", crash_line(report))
            }));
            return;
        }
        if lock(&self.reins.shared).status.is_some() {
            return;
        }
        let tail: Vec<u8> = lock(&self.reins.shared).tail.iter().copied().collect();
        let tail = String::from_utf8_lossy(&tail).into_owned();
        let panic = tail
            .lines()
            .find_map(|line| line.split_once("Kernel panic - not syncing").map(|_| line));
        let reason = self.shutdown.as_ref().map(|shutdown| &*shutdown.reason);
        let text = match (panic, reason) {
            (Some(line), _) if line.contains("Attempted to kill init") => {
                let said = tail.lines().find(|line| line.starts_with("testjig-agent:"));
                format!(
                    "the agent in the guest ended: {}",
                    said.unwrap_or(line).trim()
                )
            }
            (Some(line), _) => format!("the guest's kernel panicked: {}", line.trim()),
            (None, _) if self.panicked => "the guest's kernel panicked".to_owned(),
            // The host half wanted it.
            (None, Some("host-qmp-quit" | "host-signal")) => {
                self.change(|state| state.status = Some(0));
                return;
            }
            (None, Some("guest-reset")) => {
                "the guest reset the machine before its half had ended".to_owned()
            }
            (None, Some("guest-shutdown")) => {
                "the guest switched the machine off before its half had ended".to_owned()
            }
            (None, other) => format!(
                "QEMU ended before the guest half had: {}",
                other.unwrap_or("it does not say why")
            ),
        };
        self.fail(Problem::Guest(text));
    }
}

/// How QEMU died, and its last words.
fn crash_line(report: &ExitReport) -> String {
    let last = report
        .stderr
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty());
    match last {
        Some(line) => format!("{}: {}", report.status, line.trim()),
        None => report.status.to_string(),
    }
}

/// Whether the other side has hung up.
fn is_closed(stream: &UnixStream) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut fds = [PollFd::new(stream, PollFlags::RDHUP)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut fds, Some(&now)).is_ok_and(|count| count > 0)
}

/// Sends the guest half and has it run, without waiting in between: the agent takes requests in turn, and tells if one fails. Returns the
/// request that runs it.
fn start_script(machine: &mut Machine, script: &[u8], env: &[Vec<u8>]) -> std::io::Result<u32> {
    let (first, rest) = script.split_at(script.len().min(MAX_BYTES));
    for (part, append) in [(first, false)]
        .into_iter()
        .chain(rest.chunks(MAX_BYTES).map(|part| (part, true)))
    {
        machine.send(&Request::Write {
            path: SCRIPT.to_vec(),
            mode: 0o755,
            append,
            bytes: part.to_vec(),
        })?;
    }
    machine.send(&Request::Exec {
        argv: vec![b"/bin/sh".to_vec(), SCRIPT.to_vec()],
        env: env.to_vec(),
        directory: b"/".to_vec(),
    })
}
