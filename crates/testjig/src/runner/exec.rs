//! One case, run in a worker: machine up, test, machine down, and the verdict with its evidence.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::time::Instant;

use testjig_qos::mem::{GuestAlloc, MemoryFault};
use testjig_vm::{Embedded, ExitReport, Fault, FaultKind, LaunchError, LaunchErrorKind, Qemu, Vm};

use crate::case::Case;
use crate::context::Context;
use crate::graph::Graph;
use crate::registry::Capability;
use crate::runner::isolation::Templates;
use crate::runner::protocol::{Answer, Request, Setup};
use crate::runner::{debug, evidence, leftovers, sessions};
use crate::timeline::Timeline;
use crate::verdict::{Evidence, Fact, Outcome, Verdict};

/// What went wrong, before the machine's state is added.
struct Trouble {
    verdict: Verdict,
    message: String,
    place: Option<String>,
}

impl Trouble {
    fn new(verdict: Verdict, message: impl Into<String>) -> Self {
        Self {
            verdict,
            message: message.into(),
            place: None,
        }
    }

    fn at(mut self, location: &Location<'_>) -> Self {
        self.place = Some(format!("{}:{}", location.file(), location.line()));
        self
    }
}

/// Runs one case; `notify` is told how far its machine is.
pub(super) fn run(
    case: &Case,
    setup: &Setup,
    request: &Request,
    templates: &mut Templates,
    notify: &mut dyn FnMut(Answer),
) -> Outcome {
    let started = Instant::now();
    let mut outcome = match setup.qemus.get(case.arch()) {
        Ok(qemu) => run_on(qemu, case, request, templates, notify),
        Err(reason) => Outcome::without_run(Verdict::Error, reason),
    };
    outcome.duration = started.elapsed();
    outcome
}

fn run_on(
    qemu: &Qemu,
    case: &Case,
    request: &Request,
    templates: &mut Templates,
    notify: &mut dyn FnMut(Answer),
) -> Outcome {
    let started = Instant::now();
    let mut launch = case.launch();
    if !case.test.needs.contains(&Capability::Clock) {
        launch = launch.forbid_clock();
    }
    let mut context = Context::default();
    context.insert(qemu.clone());
    context.insert(launch.clone());
    let (vm, isolation) = match templates.machine(qemu, case, &launch, request.how) {
        Ok(made) => made,
        Err(error) => return not_launched(case, &error),
    };
    let launched = started.elapsed();
    if let (Some(debug), Some(vm)) = (request.debug, &vm) {
        vm.set_timeout(request.deadline);
        debug::wait(debug, vm, || notify(Answer::Waiting(vm.pid())));
    }
    notify(Answer::Launched);

    let body = guarded(|| {
        if let Some(vm) = &vm {
            vm.set_deadline(Instant::now() + request.deadline);
            if request.record.is_some() {
                vm.record();
            }
            context.insert(vm.clone());
            Graph::get().build(&case.path, vm, &mut context);
        }
        let ending = (case.test.run)(&mut context, &case.picked);
        if let (Ok(()), Some(vm)) = (&ending, &vm) {
            // The end of the test is a barrier: a write that failed is this test's.
            vm.sync();
        }
        ending
    });
    // Drivers hold the machine; without them the stop below is its end.
    drop(context);
    let mut trouble = match body {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(returned(error.as_ref())),
        Err(payload) => Some(unwound(payload)),
    };
    if qemu.is_embedded() {
        trouble = trouble.map(lacking);
    }
    let memory = vm.as_ref().map(guest_memory).unwrap_or_default();
    if trouble.is_none() {
        trouble = misused(&memory);
    }

    if let (Some(directory), None) = (&request.record, &trouble) {
        sessions::keep(directory, case, vm.as_ref());
    }

    let (evidence, timeline) = shown(trouble.as_ref(), vm.as_ref(), case, request, &memory);
    let operations = vm.as_ref().map_or(0, Vm::operations);
    if let Some(vm) = vm {
        // After trouble the machine may not answer any more, and nothing it says then would count.
        match trouble {
            None => trouble = bad_exit(&vm.stop()),
            Some(_) => drop(vm.kill()),
        }
    }
    if trouble.is_none() {
        trouble = left_running(&templates.pids());
    }
    leftovers::end(&templates.pids());

    match trouble {
        None => Outcome {
            launch: launched,
            isolation,
            operations,
            timeline,
            ..Outcome::without_run(Verdict::Pass, "")
        },
        Some(trouble) => {
            let reason = trouble.message.lines().next().unwrap_or_default();
            Outcome {
                launch: launched,
                isolation,
                operations,
                timeline,
                evidence: (trouble.verdict != Verdict::Skip).then(|| Evidence {
                    place: trouble.place.or_else(|| Some(place(case))),
                    message: trouble.message.clone(),
                    ..evidence
                }),
                ..Outcome::without_run(trouble.verdict, reason)
            }
        }
    }
}

/// What the report shows of a case: all of one that went wrong, of another what was asked for.
fn shown(
    trouble: Option<&Trouble>,
    vm: Option<&Vm>,
    case: &Case,
    request: &Request,
    memory: &[MemoryFault],
) -> (Evidence, Option<Timeline>) {
    match (trouble, vm) {
        (Some(trouble), Some(vm)) if trouble.verdict != Verdict::Skip => {
            let (mut evidence, timeline) = evidence::collect(vm, case, request.log.as_deref());
            if !memory.is_empty() {
                evidence.facts.push(Fact {
                    subject: "memory".to_owned(),
                    lines: memory.iter().map(ToString::to_string).collect(),
                });
            }
            (evidence, Some(timeline))
        }
        (_, Some(vm)) if request.keep => {
            let (evidence, timeline) = evidence::collect(vm, case, request.log.as_deref());
            (evidence, Some(timeline))
        }
        (_, Some(vm)) if request.timelines => {
            (Evidence::default(), Some(evidence::timeline(vm, case)))
        }
        _ => (Evidence::default(), None),
    }
}

fn place(case: &Case) -> String {
    format!("{}:{}", case.test.file, case.test.line)
}

/// A machine that did not start: what this QEMU lacks is a skip, what crashed is a crash, the rest an error of the set-up.
fn not_launched(case: &Case, error: &LaunchError) -> Outcome {
    let verdict = match error.kind() {
        LaunchErrorKind::UnknownMachine
        | LaunchErrorKind::UnknownDevice
        | LaunchErrorKind::Unsupported => Verdict::Skip,
        LaunchErrorKind::TimedOut => Verdict::Hang,
        LaunchErrorKind::Crashed => Verdict::Crash,
        _ => Verdict::Error,
    };
    let message = error.to_string();
    let mut outcome = Outcome::without_run(verdict, message.lines().next().unwrap_or_default());
    if verdict != Verdict::Skip {
        outcome.evidence = Some(Evidence {
            place: Some(place(case)),
            facts: vec![Fact::new("command", error.command_line())],
            stderr: error.stderr().to_owned(),
            message,
            ..Evidence::default()
        });
    }
    outcome
}

/// A test that returned an error.
fn returned(error: &dyn Error) -> Trouble {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let _ = write!(message, ": {error}");
        source = error.source();
    }
    Trouble::new(Verdict::Fail, message)
}

/// A test that unwound: by a fault of its machine, or by an assertion.
fn unwound(payload: Box<dyn Any + Send>) -> Trouble {
    let payload = match payload.downcast::<Fault>() {
        Ok(fault) => {
            let verdict = match fault.kind() {
                FaultKind::Skip(reason) => return Trouble::new(Verdict::Skip, reason),
                FaultKind::Known(reason) => return Trouble::new(Verdict::Xfail, reason),
                FaultKind::Died(_) => Verdict::Crash,
                FaultKind::Hang { .. } => Verdict::Hang,
                _ => Verdict::Fail,
            };
            return Trouble::new(verdict, fault.to_string()).at(fault.location());
        }
        Err(payload) => payload,
    };
    match PANIC.take() {
        Some(panic) => Trouble {
            place: Some(panic.place),
            ..Trouble::new(Verdict::Fail, panic.message)
        },
        None => Trouble::new(Verdict::Fail, text_of(payload.as_ref())),
    }
}

/// A test that failed because the embedded machine lacks what it needs has failed at nothing.
fn lacking(trouble: Trouble) -> Trouble {
    let line = trouble
        .message
        .lines()
        .find(|line| line.contains(Embedded::LACKS));
    match line {
        Some(reason) => Trouble::new(Verdict::Skip, reason.trim()),
        None => trouble,
    }
}

fn text_of(payload: &dyn Any) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "the test unwound with a payload that is no text".to_owned())
}

/// What the test did wrong with guest memory, as far as its machine still answers.
fn guest_memory(vm: &Vm) -> Vec<MemoryFault> {
    if !vm.is_alive() {
        return Vec::new();
    }
    guarded(|| GuestAlloc::faults(vm)).unwrap_or_default()
}

/// A test that did well but for guest memory.
fn misused(faults: &[MemoryFault]) -> Option<Trouble> {
    // What damaged the machine's memory comes before what only stayed.
    let (leaks, damage): (Vec<_>, Vec<_>) = faults.iter().partition(|fault| fault.is_leak());
    let first = damage.first().or(leaks.first())?;
    let verdict = if damage.is_empty() {
        Verdict::Leak
    } else {
        Verdict::Fail
    };
    let lines: Vec<String> = damage
        .iter()
        .chain(&leaks)
        .map(ToString::to_string)
        .collect();
    Some(Trouble::new(verdict, lines.join("\n")).at(first.allocated()))
}

/// A machine that served the test well and then ended badly.
fn bad_exit(exit: &ExitReport) -> Option<Trouble> {
    if exit.is_clean() {
        return None;
    }
    let verdict = if exit.was_killed() {
        Verdict::Hang
    } else {
        Verdict::Crash
    };
    Some(Trouble::new(
        verdict,
        format!("the machine did not end well after the test: {exit}"),
    ))
}

/// Processes that the test started and left.
fn left_running(templates: &[u32]) -> Option<Trouble> {
    let left = leftovers::children(templates);
    if left.is_empty() {
        return None;
    }
    let commands: Vec<&str> = left.iter().map(|child| child.command.as_str()).collect();
    Some(Trouble::new(
        Verdict::Leak,
        format!(
            "the test left {} process(es) running: {}",
            left.len(),
            commands.join(", ")
        ),
    ))
}

/// Message and place of a panic, which its payload does not have.
struct Panic {
    message: String,
    place: String,
}

thread_local! {
    /// Whether this thread runs a test's body just now.
    static IN_BODY: Cell<bool> = const { Cell::new(false) };
    static PANIC: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

/// Runs a test's body and catches whatever unwinds from it.
fn guarded<R>(body: impl FnOnce() -> R) -> Result<R, Box<dyn Any + Send>> {
    PANIC.take();
    IN_BODY.set(true);
    let result = catch_unwind(AssertUnwindSafe(body));
    IN_BODY.set(false);
    result
}

/// Keeps a test's panic for its report instead of printing it. One that meets another ends the process, so both are printed then.
pub(super) fn install_panic_hook() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !IN_BODY.get() {
            return usual(info);
        }
        let panic = Panic {
            message: text_of(info.payload()),
            place: info
                .location()
                .map_or_else(String::new, |at| format!("{}:{}", at.file(), at.line())),
        };
        PANIC.with_borrow_mut(|first| match first {
            None => *first = Some(panic),
            Some(first) => eprintln!(
                "{}: {}\n{}: {}",
                first.place, first.message, panic.place, panic.message
            ),
        });
    }));
}
