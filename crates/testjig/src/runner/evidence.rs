//! Evidence: the state of machine and devices after a test that did not pass, from the journal alone, so that a dead machine speaks too.

use std::fs;
use std::path::Path;

use testjig_qtest::{Edge, Journal};
use testjig_vm::Vm;

use crate::case::Case;
use crate::graph::Graph;
use crate::timeline::{Op, Timeline};
use crate::verdict::{Evidence, Fact};

/// How many of the last operations the report shows; the log has those that the journal still holds.
const LAST: usize = 8;
/// How many edges of a line the report spells out.
const EDGES: usize = 6;

/// Collects what is known, and writes the long form into `log`.
pub(super) fn collect(vm: &Vm, case: &Case, log: Option<&Path>) -> (Evidence, Timeline) {
    let mut decoders = Graph::get().decoders(&case.path);
    let timeline = vm.with_journal(|journal| Timeline::of(journal, &mut decoders));
    let mut evidence = Evidence {
        stderr: vm.stderr(),
        facts: vm.with_journal(interrupts),
        ..Evidence::default()
    };
    for decoder in &decoders {
        let state = decoder.state();
        if !state.is_empty() {
            evidence
                .facts
                .push(Fact::new(decoder.name(), state.join("  ")));
        }
    }
    let operations: Vec<String> = timeline.ops().map(Op::line).collect();
    let last = &operations[operations.len().saturating_sub(LAST)..];
    if !last.is_empty() {
        evidence.facts.push(Fact {
            subject: "last".to_owned(),
            lines: last.to_vec(),
        });
    }
    evidence.log = log.and_then(|log| {
        write(log, vm, case, &operations, &evidence)
            .ok()?
            .then(|| log.to_owned())
    });
    (evidence, timeline)
}

/// What a test did to its machine.
pub(super) fn timeline(vm: &Vm, case: &Case) -> Timeline {
    let mut decoders = Graph::get().decoders(&case.path);
    vm.with_journal(|journal| Timeline::of(journal, &mut decoders))
}

/// A fact for each interrupt line that moved, and one that says so if none did.
fn interrupts(journal: &Journal) -> Vec<Fact> {
    let mut lines: Vec<u32> = journal.edges().map(|edge| edge.line).collect();
    lines.sort_unstable();
    lines.dedup();
    lines
        .into_iter()
        .map(|number| {
            let edges: Vec<&Edge> = journal.edges().filter(|edge| edge.line == number).collect();
            let level = edges.last().is_some_and(|edge| edge.level);
            let shown = edges.iter().rev().take(EDGES).rev();
            let spelled: Vec<String> = shown
                .map(|edge| {
                    format!(
                        "{} at op {}",
                        if edge.level { "raised" } else { "lowered" },
                        edge.before
                    )
                })
                .collect();
            let earlier = edges.len().saturating_sub(EDGES);
            let earlier = if earlier > 0 {
                format!("{earlier} earlier edges, ")
            } else {
                String::new()
            };
            let level = if level { "high" } else { "low" };
            Fact::new(
                format!("irq {number}"),
                format!("{level} now; {earlier}{}", spelled.join(", ")),
            )
        })
        .collect()
}

/// Writes the long form; whether there was anything to write.
fn write(
    log: &Path,
    vm: &Vm,
    case: &Case,
    operations: &[String],
    evidence: &Evidence,
) -> std::io::Result<bool> {
    fs::create_dir_all(log)?;
    let mut text = format!("# {}\n", case.name);
    for operation in operations {
        text.push_str(operation);
        text.push('\n');
    }
    fs::write(log.join("operations.log"), text)?;
    fs::write(log.join("stderr.log"), &evidence.stderr)?;
    fs::write(log.join("command.log"), vm.command_line())?;
    Ok(true)
}
