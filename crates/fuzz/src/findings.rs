//! Findings: written as they are met, confirmed, made short, and written again.

use std::cell::RefCell;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use testjig_trace::{Ending, Header, Replay, ReplayError, Step, Trace};

use crate::fuzz::{Finding, FuzzError, Shared, lock};
use crate::input::Input;
use crate::machines::Machines;
use crate::minimise::minimise;
use crate::target::Target;
use crate::worker::keep;

/// What a finding may take to be made short.
const SHORTENING: Duration = Duration::from_secs(30);

/// Room for what is found when the disk is full: 1 MiB.
const RESERVE: usize = 1 << 20;

/// Takes room on the disk that is given up when a finding can't be written.
pub(crate) fn reserve(directory: &Path) -> io::Result<()> {
    fs::write(reserved(directory), vec![0; RESERVE])
}

/// Gives it up. Whether there was some.
pub(crate) fn release(directory: &Path) -> bool {
    fs::remove_file(reserved(directory)).is_ok()
}

fn reserved(directory: &Path) -> PathBuf {
    directory.join("reserved.part")
}

/// Keeps a finding: as it is at once, then confirmed and as short as it can be made.
pub(crate) fn found(
    shared: &Shared<'_>,
    machines: &RefCell<Machines<'_>>,
    input: Input,
    ending: &Ending,
) -> Result<(), FuzzError> {
    let Some(signature) = ending.signature() else {
        return Ok(());
    };
    let mut hasher = DefaultHasher::new();
    signature.hash(&mut hasher);
    let path = shared
        .findings_directory()
        .join(format!("{:016x}.qtr", hasher.finish()));
    let index = {
        let mut findings = lock(&shared.findings);
        if findings.iter().any(|known| known.signature == signature) {
            return Ok(());
        }
        findings.push(Finding {
            signature: signature.clone(),
            input: input.clone(),
            path: path.clone(),
            is_confirmed: false,
        });
        findings.len() - 1
    };
    let write = |input: &Input, is_confirmed: bool| {
        let write = || write_finding(shared, &path, &signature, input, is_confirmed);
        write()
            .or_else(|error| {
                if release(&shared.findings_directory()) {
                    write()
                } else {
                    Err(error)
                }
            })
            .map_err(keep(&path))
    };
    write(&input, false)?;
    let end = Instant::now() + SHORTENING;
    let mut short = minimise(&mut machines.borrow_mut(), input.clone(), &signature, end)?;
    // What is confirmed is the file: it ends so for whoever replays it.
    let ends_so = |input: &Input| -> Result<bool, FuzzError> {
        let Ok(session) = session_of(shared, &signature, input, true) else {
            return Ok(false);
        };
        let replay = Replay {
            trust: !session.refusals().is_empty(),
            ..Replay::default()
        };
        match replay.run(&session, shared.qemu) {
            Ok(outcome) => Ok(outcome.verdict.signature().as_deref() == Some(&*signature)),
            Err(ReplayError::Launch(error)) => Err(error.into()),
            Err(_) => Ok(false),
        }
    };
    let mut is_confirmed = ends_so(&short)?;
    if !is_confirmed && ends_so(&input)? {
        short = input;
        is_confirmed = true;
    }
    write(&short, is_confirmed)?;
    let finding = &mut lock(&shared.findings)[index];
    finding.input = short;
    finding.is_confirmed = is_confirmed;
    Ok(())
}

fn write_finding(
    shared: &Shared<'_>,
    path: &Path,
    signature: &str,
    input: &Input,
    is_confirmed: bool,
) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(&serde_json::json!({
        "target": shared.target.name,
        "signature": signature,
        "confirmed": is_confirmed,
        "input": input,
    }))?;
    let part = path.with_extension("part");
    fs::write(&part, text)?;
    fs::rename(&part, path.with_extension("json"))?;
    session_of(shared, signature, input, is_confirmed)
        .map_err(io::Error::other)?
        .write(path)
        .map_err(io::Error::other)
}

/// The finding as a session that anybody can replay: it is to survive.
fn session_of(
    shared: &Shared<'_>,
    signature: &str,
    input: &Input,
    is_confirmed: bool,
) -> Result<Trace, String> {
    let title = format!("{}: {signature}", shared.target.name);
    let mut session = session(shared.target, &title, input)?;
    let notes = &mut session.header.notes;
    notes.push(format!("found on {}", shared.qemu.version));
    if !is_confirmed {
        notes.push("not met on a started machine yet".to_owned());
    }
    Ok(session)
}

fn session(target: &Target, title: &str, input: &Input) -> Result<Trace, String> {
    let target = target.of(input);
    let prelude = target.prelude.iter().cloned().map(Step::plain);
    let actions = input.actions(target).into_iter().map(Step::new);
    Ok(Trace {
        header: Header::of_launch(&target.launch, title)?,
        steps: prelude.chain(actions).collect(),
    })
}

#[cfg(test)]
mod tests {
    use testjig_qtest::Reply;

    use super::*;
    use crate::input::{Op, Place, Size};
    use crate::machines::tests::{qemu, read_sector, target};

    /// [PCI Local Bus 3.0, 6.1] The vendor of what is there, and ones when it is gone.
    #[test]
    fn a_finding_plugs_where_the_input_did() {
        let (qemu, target) = (qemu(), target("virtio-blk"));
        let vendor = Op::Read(Place::Config(0), Size::W);
        let ops = [Op::Unplug, Op::Wait, vendor.clone(), Op::Plug, vendor];
        let input = Input {
            on: 0,
            ops: ops.to_vec(),
        };
        let session = session(&target, "a plug", &input).expect("a session");
        assert!(session.refusals().is_empty());
        let again: Trace = session.to_string().parse().expect("it is read");
        let outcome = Replay::default().run(&again, &qemu).expect("a machine");
        let values: Vec<&Reply> = outcome
            .replies
            .iter()
            .filter(|reply| matches!(reply, Reply::Value(_)))
            .collect();
        assert_eq!(values, [&Reply::Value(0xffff), &Reply::Value(0x1af4)]);
    }

    #[test]
    fn a_finding_waits_where_the_input_did() {
        let (qemu, target) = (qemu(), target("ide"));
        let session = session(&target, "a sector", &read_sector()).expect("a session");
        let text = session.to_string();
        assert!(
            text.contains("outb 0x1f7 0x20\nsettle\ninb 0x1f7\n"),
            "{text}"
        );
        let again: Trace = text.parse().expect("what was written is read");
        let outcome = Replay::default().run(&again, &qemu).expect("a machine");
        assert_eq!(outcome.replies.last(), Some(&Reply::Value(0x58)));
    }
}
