//! Guest tests in a run of device tests: [`Joined`].

use std::io;
use std::time::Instant;

use testjig::find::{Vmm, Wish};
use testjig::qemus::Qemus;
use testjig::report::{Reporter, Start};
use testjig::runner::{self, Plan, Summary};
use testjig::verdict::Outcome;
use testjig::vm::Arch;

use super::engine::{self, Engine, Options};
use super::select::Selected;

/// The guest tests of a run, which come behind its device tests.
pub(crate) struct Joined {
    selected: Vec<Selected>,
    options: Options,
    engine: Result<Engine, String>,
}

impl Joined {
    /// Guest tests that are wanted; what they need is found, and fetched if it is not there.
    pub(crate) fn new(
        selected: Vec<Selected>,
        options: Options,
        qemus: &Qemus,
        wish: &Wish,
    ) -> Self {
        let engine = if let Some(qemu) = qemu(qemus) {
            Engine::on(qemu, wish, None)
        } else {
            let wish = Wish {
                vmm: Some(Vmm::Qemu),
                ..wish.clone()
            };
            Engine::prepare(&wish, None)
        };
        Self {
            selected,
            options,
            engine,
        }
    }

    /// Whether guest tests that nobody asked for can be run here and now, without fetching and without booting each time.
    pub(crate) fn suits(qemus: &Qemus) -> bool {
        qemu(qemus).is_some_and(testjig_guest::can_be_warm) && Engine::has_kernel()
    }

    /// Runs the plan, and then the guest tests; reports are told of one run.
    pub(crate) fn run(&self, plan: &Plan, reporter: &mut dyn Reporter) -> io::Result<Summary> {
        let started = Instant::now();
        let mut summary = runner::run(
            plan,
            &mut First {
                joined: self,
                reporter,
            },
        )?;
        let mut outcomes = summary.outcomes.iter();
        let failed = outcomes.any(|(_, outcome)| !outcome.verdict.is_good());
        let is_over = summary.interrupted || plan.fail_fast && failed;
        if !is_over {
            let more = match &self.engine {
                Ok(engine) => engine.conduct(&self.selected, &self.options, reporter)?,
                Err(error) => Summary {
                    outcomes: engine::without(&self.selected, error, reporter),
                    ..Summary::default()
                },
            };
            summary.outcomes.extend(more.outcomes);
            summary.interrupted = more.interrupted;
        }
        summary.duration = started.elapsed();
        reporter.end(&summary);
        Ok(summary)
    }
}

/// The QEMU that guest tests run on, if it is among these.
fn qemu(qemus: &Qemus) -> Option<&testjig::vm::Qemu> {
    let qemu = qemus.get(Arch::X86_64).ok()?;
    (!qemu.is_embedded()).then_some(qemu)
}

/// Tells of the device tests of a run that goes on.
struct First<'a> {
    joined: &'a Joined,
    reporter: &'a mut dyn Reporter,
}

impl Reporter for First<'_> {
    fn start(&mut self, start: &Start) {
        let mut start = start.clone();
        let Joined {
            selected,
            options,
            engine,
        } = self.joined;
        let repeat = usize::try_from(options.repeat).unwrap_or(1);
        start.cases += selected.len() * repeat;
        match engine {
            Ok(engine) => {
                let arch = Arch::X86_64;
                match start.qemus.iter_mut().find(|facts| facts.arch == arch) {
                    Some(facts) => {
                        facts.summary.push('\n');
                        facts.summary.push_str(&engine.summary(options.seed));
                    }
                    None => start.qemus.push(engine.facts(options.seed)),
                }
            }
            Err(error) => start.missing.push(error.clone()),
        }
        self.reporter.start(&start);
    }

    fn started(&mut self, case: &str) {
        self.reporter.started(case);
    }

    fn finished(&mut self, case: &str, place: &str, outcome: &Outcome) {
        self.reporter.finished(case, place, outcome);
    }
}
