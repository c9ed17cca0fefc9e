//! `jig run --compare qemu,embedded`: one selection of cases on two VMMs, and where these differ: each is the other's oracle.

use std::collections::BTreeMap;
use std::process::ExitCode;

use testjig::case::Case;
use testjig::find::{self, Vmm, Wish};
use testjig::report::Reporter;
use testjig::runner::{self, Plan};
use testjig::timeline::{Op, Timeline};
use testjig::verdict::{Outcome, Verdict};

use crate::fail;

/// What of one VMM is set against the other's.
type Outcomes = BTreeMap<String, Outcome>;

/// Says nothing while it runs.
struct Quiet;

impl Reporter for Quiet {
    fn finished(&mut self, _: &str, _: &str, _: &Outcome) {}
}

/// Runs the cases on both, and lists where they differ.
pub(crate) fn run(
    vmms: [Vmm; 2],
    cases: &[Case],
    wish: &Wish,
    plan: &dyn Fn(Vec<Case>) -> Plan,
) -> ExitCode {
    let mut results = Vec::new();
    for vmm in vmms {
        let wish = Wish {
            vmm: Some(vmm),
            ..wish.clone()
        };
        let plan = Plan {
            qemus: find::for_cases(cases, &wish),
            timelines: true,
            ..plan(cases.to_vec())
        };
        for qemu in plan.qemus.iter() {
            println!("{}: {}", name(vmm), qemu.summary());
        }
        match runner::run(&plan, &mut Quiet) {
            Ok(summary) if summary.interrupted => return ExitCode::from(130),
            Ok(summary) => results.push(summary.outcomes.into_iter().collect::<Outcomes>()),
            Err(error) => return fail(format_args!("failed to run the tests: {error}")),
        }
    }
    let [first, second] = [&results[0], &results[1]];
    let mut tally = Tally::default();
    for (case, one) in first {
        if let Some(other) = second.get(case) {
            tally.add(case, vmms, one, other);
        }
    }
    tally.tell(vmms)
}

fn name(vmm: Vmm) -> &'static str {
    match vmm {
        Vmm::Qemu => "qemu",
        Vmm::Embedded => "embedded",
    }
}

#[derive(Default)]
struct Tally {
    alike: usize,
    by_operation: usize,
    by_verdict: usize,
    /// Cases that fail on one of the two, as is expected of it, and pass on the other.
    known: usize,
    /// Cases that ran on one of the two only, by reason.
    one_sided: BTreeMap<String, usize>,
}

impl Tally {
    fn add(&mut self, case: &str, vmms: [Vmm; 2], one: &Outcome, other: &Outcome) {
        let skipped = [one, other]
            .into_iter()
            .zip(vmms)
            .find(|(outcome, _)| outcome.verdict == Verdict::Skip);
        if let Some((outcome, vmm)) = skipped {
            let reason = format!("{}: {}", name(vmm), outcome.reason);
            *self.one_sided.entry(reason).or_default() += 1;
            return;
        }
        let difference = match (&one.timeline, &other.timeline) {
            (Some(one), Some(other)) => first_difference(one, other),
            _ => None,
        };
        let verdicts = [one.verdict, other.verdict];
        if verdicts[0] != verdicts[1] {
            if verdicts.iter().all(|verdict| verdict.is_good()) {
                self.known += 1;
            } else {
                self.by_verdict += 1;
            }
            println!("\n{case}");
            for (outcome, vmm) in [one, other].into_iter().zip(vmms) {
                println!("  {:9} {:?} {}", name(vmm), outcome.verdict, outcome.reason);
            }
        } else if difference.is_some() {
            self.by_operation += 1;
            println!("\n{case}");
        } else {
            self.alike += 1;
        }
        if let Some((number, lines)) = difference {
            for (line, vmm) in lines.iter().zip(vmms) {
                println!("  {:9} operation {number}: {line}", name(vmm));
            }
        }
    }

    fn tell(&self, [one, other]: [Vmm; 2]) -> ExitCode {
        println!();
        for (reason, count) in &self.one_sided {
            println!("  not compared {count:5}  {reason}");
        }
        println!(
            "{} and {}: {} cases alike, {} with another answer on the way, {} known to fail on one, {} with another verdict",
            name(one),
            name(other),
            self.alike,
            self.by_operation,
            self.known,
            self.by_verdict
        );
        match (self.by_verdict, self.alike + self.by_operation + self.known) {
            (0, 0) => ExitCode::from(4),
            (0, _) => ExitCode::SUCCESS,
            _ => ExitCode::from(1),
        }
    }
}

/// The first operation at which two timelines part: another answer to the same request, or another request.
fn first_difference(one: &Timeline, other: &Timeline) -> Option<(usize, [String; 2])> {
    let lines = |timeline: &Timeline| timeline.ops().map(Op::line).collect::<Vec<_>>();
    let (one, other) = (lines(one), lines(other));
    let longest = one.len().max(other.len());
    let end = || "(no more)".to_owned();
    (0..longest).find_map(|at| {
        let pair = [&one, &other].map(|lines| lines.get(at).cloned().unwrap_or_else(end));
        (pair[0] != pair[1]).then_some((at, pair))
    })
}
