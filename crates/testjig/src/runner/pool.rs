//! The pool of worker processes: one case each at a time, every one of them watched.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{
    Pid, Signal, WaitOptions, WaitStatus, getpid, kill_process, set_child_subreaper, waitpid,
};

use testjig_vm::Qemu;

use crate::case::Case;
use crate::order::Order;
use crate::report::Reporter;
use crate::runner::isolation::{self, How};
use crate::runner::protocol::{Answer, Channel, RUNNER_PID, Request, Setup};
use crate::runner::signals::Signals;
use crate::runner::{Plan, debug, leftovers, memory};
use crate::verdict::{Evidence, Outcome, Verdict};

/// How long starting a machine may take before the worker is given up; the launcher's own deadline is shorter and says more.
const LAUNCH_ALLOWANCE: Duration = Duration::from_secs(60);
/// How long a test may go on after its deadline, before its worker is given up: the time to collect evidence and stop the machine.
const GRACE: Duration = Duration::from_secs(5);
/// The most that is kept of what a test printed.
const OUTPUT_LIMIT: u64 = 64 * 1024;

/// How long a person may look at a machine.
const A_PERSONS_TIME: Duration = Duration::from_secs(24 * 60 * 60);
/// How often an unstable test that failed is run in all.
const TRIES: usize = 5;

type Finish<'a> = dyn FnMut(&Case, Outcome, &mut dyn Reporter) + 'a;
/// Takes a case's outcome that is final, and says what verdict it counts as.
type Judge<'a> = dyn FnMut(&Case, Outcome, &mut dyn Reporter) -> Verdict + 'a;

/// Runs all cases; true if a signal ended the run early.
pub(super) fn run(
    plan: &Plan,
    cases: &[&Case],
    signals: &Signals,
    reporter: &mut dyn Reporter,
    judge: &mut Judge<'_>,
) -> io::Result<bool> {
    if cases.is_empty() {
        return Ok(false);
    }
    set_child_subreaper(Some(getpid()))?;
    let failed = Cell::new(false);
    let mut tries: HashMap<String, Vec<Outcome>> = HashMap::new();
    let again = RefCell::new(VecDeque::new());
    let mut doubted: HashMap<String, Outcome> = HashMap::new();
    let mut finish = |case: &Case, mut outcome: Outcome, reporter: &mut dyn Reporter| {
        if !isolation::is_light(&outcome.isolation) && doubted.contains_key(&case.name) {
            let forked = doubted.remove(&case.name).expect("it is there");
            outcome = isolation::settle(forked, outcome);
        } else if case.test.unstable.is_none() && isolation::is_confirmed(plan.isolation, &outcome)
        {
            doubted.insert(case.name.clone(), outcome);
            again
                .borrow_mut()
                .push_back((case.name.clone(), How::Fresh));
            return;
        }
        if let Some(why) = case.test.unstable {
            let mut so_far = tries.remove(&case.name).unwrap_or_default();
            let failed_before = !so_far.is_empty();
            let done = outcome.verdict.is_good() && !failed_before || so_far.len() + 1 == TRIES;
            so_far.push(outcome);
            if !done {
                tries.insert(case.name.clone(), so_far);
                again
                    .borrow_mut()
                    .push_back((case.name.clone(), How::Fresh));
                return;
            }
            outcome = Outcome::of_unstable(so_far, why);
        }
        let verdict = judge(case, outcome, reporter);
        failed.set(failed.get() || !verdict.is_good());
    };
    let mut pool = Pool {
        plan,
        failed: &failed,
        again: &again,
        cases,
        queue: queue(plan, cases),
        workers: Vec::new(),
    };
    let interrupted = pool.drive(signals, reporter, &mut finish);
    pool.end();
    interrupted
}

/// The cases in the order in which they are started: those wanted first, then those of one launch together, the launch that takes longest
/// first.
fn queue<'a>(plan: &Plan, cases: &[&'a Case]) -> VecDeque<Job<'a>> {
    let keys: Vec<u64> = cases.iter().map(|case| isolation::key(case)).collect();
    let hows = match plan.debug {
        Some(_) => vec![How::Fresh; cases.len()],
        None => isolation::choose(plan.isolation, &keys, |index| {
            let qemu = plan.qemus.get(cases[index].arch());
            qemu.is_ok_and(Qemu::is_here)
        }),
    };
    let jobs = cases.iter().zip(keys).zip(hows);
    let mut jobs: Vec<Job<'_>> = jobs
        .map(|((case, launch), how)| Job { case, how, launch })
        .collect();
    if let Some(expected) = &plan.expected {
        let order = Order {
            expected,
            first: &plan.first,
            is_for_the_first_failure: plan.fail_fast,
        };
        order.arrange(&mut jobs, |job| (&job.case.name, job.launch));
    }
    jobs.into()
}

/// A case that waits for a worker.
struct Job<'a> {
    case: &'a Case,
    how: How,
    /// What it has in common with others of its launch.
    launch: u64,
}

struct Pool<'a> {
    plan: &'a Plan,
    /// Whether a case did not end well.
    failed: &'a Cell<bool>,
    /// The unstable cases that are to be tried again.
    again: &'a RefCell<VecDeque<(String, How)>>,
    cases: &'a [&'a Case],
    queue: VecDeque<Job<'a>>,
    workers: Vec<Worker<'a>>,
}

struct Worker<'a> {
    pid: Pid,
    channel: Channel,
    output: Option<File>,
    /// The launch that it has a template of.
    launch: Option<u64>,
    /// The launch of which it makes a template ahead of need.
    next: Option<u64>,
    busy: Option<Busy<'a>>,
}

struct Busy<'a> {
    case: &'a Case,
    how: How,
    since: Instant,
    /// When the runner stops waiting for the worker's next word.
    until: Instant,
    /// How long the test may take once its machine is there.
    limit: Duration,
}

impl<'a> Pool<'a> {
    fn drive(
        &mut self,
        signals: &Signals,
        reporter: &mut dyn Reporter,
        finish: &mut Finish<'_>,
    ) -> io::Result<bool> {
        loop {
            self.hand_out(reporter)?;
            if self.workers.iter().all(|worker| worker.busy.is_none()) {
                return Ok(false);
            }
            let ready = self.wait(signals)?;
            if ready.signal {
                return Ok(true);
            }
            for index in ready.workers.into_iter().rev() {
                self.hear(index, signals, reporter, finish)?;
            }
            self.give_up_on_the_late(reporter, finish);
        }
    }

    /// Gives each idle worker a case, and starts workers while there is more to do than workers.
    fn hand_out(&mut self, reporter: &mut dyn Reporter) -> io::Result<()> {
        if self.plan.fail_fast && self.failed.get() {
            self.queue.clear();
        }
        for (name, how) in self.again.borrow_mut().drain(..) {
            let case = self.cases.iter().find(|case| case.name == name);
            self.queue.extend(case.map(|case| Job {
                case,
                how,
                launch: isolation::key(case),
            }));
        }
        while !self.queue.is_empty() {
            let idle = match self.workers.iter().position(|worker| worker.busy.is_none()) {
                Some(index) => index,
                None if self.may_grow() => {
                    self.workers.push(Worker::start(self.plan)?);
                    self.workers.len() - 1
                }
                None => return Ok(()),
            };
            let Some(Job { case, how, launch }) = self.next_for(idle) else {
                return Ok(());
            };
            reporter.started(&case.name);
            let deadline = match self.plan.debug {
                Some(_) => A_PERSONS_TIME,
                None => case
                    .test
                    .deadline
                    .unwrap_or(self.plan.deadline)
                    .mul_f64(load()),
            };
            let log = self
                .plan
                .log
                .as_ref()
                .map(|log| log.join(case.name.replace("::", "/").replace('@', "/")));
            if how == How::Fork {
                let worker = &mut self.workers[idle];
                worker.launch = Some(launch);
                worker.next = worker.next.filter(|next| *next != launch);
            }
            let request = Request {
                case: case.name.clone(),
                how,
                next: self.ahead(idle),
                deadline,
                log,
                debug: self.plan.debug,
                keep: self.plan.keep,
                record: self.plan.record.clone(),
                timelines: self.plan.timelines,
            };
            let since = Instant::now();
            let worker = &mut self.workers[idle];
            worker.busy = Some(Busy {
                case,
                how,
                since,
                until: since + LAUNCH_ALLOWANCE,
                limit: deadline + GRACE,
            });
            // A worker that died while idle shows as the end of its stream, which is heard next.
            let _ = worker.channel.send(&request);
        }
        Ok(())
    }

    /// Whether another worker may start: as many as are wanted, and where memory is short one at least.
    fn may_grow(&self) -> bool {
        self.workers.len() < self.plan.jobs && (self.workers.is_empty() || !memory::is_short())
    }

    /// A case of the launch that the worker has a template of; else of that which it makes one of; else one of a launch that no other
    /// worker has; else the next.
    fn next_for(&mut self, worker: usize) -> Option<Job<'a>> {
        if self.plan.expected.is_none() {
            return self.queue.pop_front();
        }
        let Worker { launch, next, .. } = self.workers[worker];
        let found = self
            .of_launch(launch)
            .or_else(|| self.of_launch(next))
            .or_else(|| self.of_others());
        self.queue.remove(found.unwrap_or(0))
    }

    /// Where the first case of a launch waits that is to be forked.
    fn of_launch(&self, launch: Option<u64>) -> Option<usize> {
        let mut jobs = self.queue.iter();
        launch.and_then(|launch| jobs.position(|job| job.how == How::Fork && job.launch == launch))
    }

    /// Where the first case waits that needs no template which a worker has or makes.
    fn of_others(&self) -> Option<usize> {
        self.queue.iter().position(|job| {
            let is_taken =
                |worker: &Worker<'_>| [worker.launch, worker.next].contains(&Some(job.launch));
            job.how != How::Fork || !self.workers.iter().any(is_taken)
        })
    }

    /// When a worker gets the last case of its launch: a case of the launch that it goes on with, which nobody else takes then.
    fn ahead(&mut self, worker: usize) -> Option<String> {
        let Worker { launch, next, .. } = self.workers[worker];
        let is_settled =
            self.plan.expected.is_none() || self.plan.debug.is_some() || next.is_some();
        if is_settled || self.of_launch(launch).is_some() {
            return None;
        }
        let job = &self.queue[self.of_others()?];
        if job.how != How::Fork {
            return None;
        }
        self.workers[worker].next = Some(job.launch);
        Some(job.case.name.clone())
    }

    fn wait(&self, signals: &Signals) -> io::Result<Ready> {
        let now = Instant::now();
        let next = self
            .workers
            .iter()
            .filter_map(|worker| worker.busy.as_ref())
            .map(|busy| busy.until.saturating_duration_since(now))
            .min()
            .unwrap_or(GRACE);
        let timeout = Timespec::try_from(next + Duration::from_millis(1)).ok();
        let mut fds = vec![PollFd::new(signals.pipe(), PollFlags::IN)];
        for worker in &self.workers {
            fds.push(PollFd::from_borrowed_fd(
                worker.channel.stream().as_fd(),
                PollFlags::IN,
            ));
        }
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(Ready {
            signal: !fds[0].revents().is_empty(),
            workers: (0..self.workers.len())
                .filter(|index| !fds[index + 1].revents().is_empty())
                .collect(),
        })
    }

    /// Takes a worker's answer, or notes that it died with its test.
    fn hear(
        &mut self,
        index: usize,
        signals: &Signals,
        reporter: &mut dyn Reporter,
        finish: &mut Finish<'_>,
    ) -> io::Result<()> {
        let worker = &mut self.workers[index];
        let mut answer = worker.channel.receive::<Answer>()?;
        if let (Some(Answer::Waiting(pid)), Some(busy), Some(debug)) =
            (&answer, &mut worker.busy, self.plan.debug)
        {
            busy.until = Instant::now() + busy.limit;
            debug::hand_over(debug, *pid);
            // Ctrl-C was for the debugger.
            signals.forget()?;
            return Ok(());
        }
        if let (Some(Answer::Launched), Some(busy)) = (&answer, &mut worker.busy) {
            busy.until = Instant::now() + busy.limit;
            if !worker.channel.has_message() {
                return Ok(());
            }
            answer = worker.channel.receive()?;
        }
        let busy = worker.busy.take();
        let output = worker.take_output();
        match (answer, busy) {
            (Some(Answer::Done(mut outcome)), Some(busy)) => {
                if let Some(evidence) = &mut outcome.evidence {
                    evidence.output = output;
                }
                finish(busy.case, *outcome, reporter);
            }
            (Some(_), _) => {}
            (None, busy) => {
                let worker = self.workers.swap_remove(index);
                let status =
                    waitpid(Some(worker.pid), WaitOptions::empty())?.map(|(_, status)| status);
                if let Some(busy) = busy {
                    let reason = format!("the test's own process ended: {}", describe(status));
                    finish(
                        busy.case,
                        busy.lost(Verdict::Fail, reason, output),
                        reporter,
                    );
                } else {
                    return Err(io::Error::other(format!(
                        "a worker ended: {}: {output}",
                        describe(status)
                    )));
                }
            }
        }
        Ok(())
    }

    fn give_up_on_the_late(&mut self, reporter: &mut dyn Reporter, finish: &mut Finish<'_>) {
        let now = Instant::now();
        let late = |worker: &Worker<'_>| worker.busy.as_ref().is_some_and(|busy| busy.until <= now);
        while let Some(index) = self.workers.iter().position(late) {
            let mut worker = self.workers.swap_remove(index);
            worker.kill();
            let output = worker.take_output();
            if let Some(busy) = worker.busy.take() {
                let reason = "the test itself did not come to an end: it waits for something other than its machine, or loops";
                let outcome = busy.lost(Verdict::Hang, reason.to_owned(), output);
                finish(busy.case, outcome, reporter);
            }
        }
    }

    /// Ends all workers and whatever they left, and waits until it is gone.
    fn end(&mut self) {
        for worker in self.workers.drain(..) {
            match worker.busy {
                Some(_) => worker.kill(),
                None => worker.dismiss(),
            }
        }
        // A machine whose worker was killed is on its way out (its parent-death signal) and is a child of ours now.
        leftovers::end(&[]);
    }
}

struct Ready {
    signal: bool,
    workers: Vec<usize>,
}

impl Busy<'_> {
    /// The outcome of a case whose worker can't speak for it.
    fn lost(&self, verdict: Verdict, reason: String, output: String) -> Outcome {
        let isolation = match self.how {
            How::Fork => isolation::FORK,
            How::Alone | How::Fresh => "fresh",
        };
        Outcome {
            isolation: isolation.to_owned(),
            duration: self.since.elapsed(),
            evidence: Some(Evidence {
                place: Some(format!("{}:{}", self.case.test.file, self.case.test.line)),
                message: reason.clone(),
                output,
                ..Evidence::default()
            }),
            ..Outcome::without_run(verdict, reason)
        }
    }
}

impl Worker<'_> {
    fn start(plan: &Plan) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        let output = if plan.show_output {
            None
        } else {
            Some(File::from(memfd_create(
                "testjig-output",
                MemfdFlags::CLOEXEC,
            )?))
        };
        let mut command = Command::new("/proc/self/exe");
        command
            .env(RUNNER_PID, getpid().as_raw_nonzero().to_string())
            .stdin(OwnedFd::from(theirs))
            // The terminal's Ctrl-C is for the runner, which then ends its workers itself.
            .process_group(0);
        if let Some(output) = &output {
            command
                .stdout(Stdio::from(output.try_clone()?))
                .stderr(Stdio::from(output.try_clone()?));
        }
        let child = command.spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let mut worker = Self {
            pid: pid.expect("a child has a positive id"),
            channel: Channel::new(ours),
            output,
            launch: None,
            next: None,
            busy: None,
        };
        worker.channel.send(&Setup {
            qemus: plan.qemus.clone(),
            rerun: plan.rerun.clone(),
        })?;
        Ok(worker)
    }

    /// What the worker printed since the last call, and room for the next.
    fn take_output(&mut self) -> String {
        let Some(file) = &mut self.output else {
            return String::new();
        };
        let mut output = Vec::new();
        // The file position is shared with the worker, which is idle or gone.
        let taken = file
            .seek(SeekFrom::Start(0))
            .and_then(|_| file.take(OUTPUT_LIMIT).read_to_end(&mut output))
            .and_then(|_| file.set_len(0))
            .and_then(|()| file.seek(SeekFrom::Start(0)));
        match taken {
            Ok(_) => String::from_utf8_lossy(&output).into_owned(),
            Err(error) => format!("(what the test printed is lost: {error})"),
        }
    }

    fn kill(&self) {
        let _ = kill_process(self.pid, Signal::KILL);
        let _ = waitpid(Some(self.pid), WaitOptions::empty());
    }

    /// Lets an idle worker end by itself: its standard input ends.
    fn dismiss(self) {
        drop(self.channel);
        let _ = waitpid(Some(self.pid), WaitOptions::empty());
    }
}

fn describe(status: Option<WaitStatus>) -> String {
    let Some(status) = status else {
        return "its status is unknown".to_owned();
    };
    if let Some(code) = status.exit_status() {
        format!("it exited with status {code}")
    } else if let Some(signal) = status.terminating_signal() {
        let hint = match signal {
            6 => " (abort: a panic while another unwound?)",
            9 => " (kill)",
            11 => " (segmentation fault: a stack overflow?)",
            _ => "",
        };
        format!("signal {signal}{hint}")
    } else {
        "it stopped".to_owned()
    }
}

/// How much longer than usual things may take on a machine that is busy with other work.
fn load() -> f64 {
    let cores = u32::try_from(super::default_jobs()).map_or(1.0, f64::from);
    let load = std::fs::read_to_string("/proc/loadavg")
        .ok()
        .and_then(|line| line.split(' ').next()?.parse::<f64>().ok())
        .unwrap_or(0.0);
    (load / cores).clamp(1.0, 8.0)
}
