//! Sessions and inputs of earlier times, each tried once.

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use libafl::inputs::Input as _;
use testjig_trace::{Replay, ReplayError, Trace, Verdict};
use testjig_vm::{Blocks, LaunchOptions};

use crate::findings::found;
use crate::fuzz::{FuzzError, Shared, lock};
use crate::input::Input;
use crate::trial::machines;

/// Carries out the recorded sessions, then tries each of these inputs once, in order.
pub(crate) fn replay(shared: &Shared<'_>, files: &[PathBuf]) -> Result<(), FuzzError> {
    let (machines, blocks) = machines(shared, 0)?;
    let machines = RefCell::new(machines);
    let mut seen = 0;
    let mut look = || {
        if let Some((blocks, watched)) = blocks.as_ref().zip(shared.watched.as_ref()) {
            let order = blocks.order(seen);
            seen = blocks.reached();
            lock(&shared.reached).extend(
                order
                    .into_iter()
                    .filter_map(|place| watched.its.get(place).copied()),
            );
        }
    };
    for session in &shared.settings.sessions {
        if shared.stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        carry_out(shared, session, blocks.as_ref())?;
        shared.executions.fetch_add(1, Ordering::Relaxed);
        look();
    }
    for file in files {
        if shared.stop.load(Ordering::Relaxed) {
            break;
        }
        // What was written only in part is no input.
        let Ok(input) = Input::from_file(file) else {
            continue;
        };
        let (ending, _) = machines.borrow_mut().run(&input)?;
        shared.executions.fetch_add(1, Ordering::Relaxed);
        shared.corpus.fetch_add(1, Ordering::Relaxed);
        look();
        found(shared, &machines, input, &ending)?;
    }
    Ok(())
}

/// A session as it was recorded, on the machine that it names.
fn carry_out(
    shared: &Shared<'_>,
    session: &Trace,
    blocks: Option<&Blocks>,
) -> Result<(), FuzzError> {
    let mut options = LaunchOptions::default();
    if let Some(blocks) = blocks {
        options = options.blocks(blocks);
    }
    let outcome = Replay::default().run_with(session, shared.qemu, &options);
    let mut sessions = lock(&shared.sessions);
    let told = match outcome {
        Ok(outcome) if outcome.verdict.is_as(&session.header.expect) => {
            sessions.same += 1;
            return Ok(());
        }
        Ok(outcome) => match outcome.verdict {
            Verdict::Skipped(_) => {
                sessions.skipped += 1;
                return Ok(());
            }
            verdict => verdict.to_string(),
        },
        Err(ReplayError::Launch(error)) => return Err(error.into()),
        Err(error) => error.to_string(),
    };
    sessions
        .other
        .push(format!("{}: {told}", session.header.title));
    Ok(())
}
