//! The worker: a process that runs one case after the other, so that a test which aborts, exits or never returns takes nothing with it
//! but itself.

use std::collections::HashMap;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use rustix::process::{
    Pid, Signal, getpid, getppid, set_child_subreaper, set_parent_process_death_signal,
};

use crate::case::Cases;
use crate::runner::exec;
use crate::runner::isolation::Templates;
use crate::runner::protocol::{Answer, Channel, RUNNER_PID, Request, Setup};

/// Works if this process was started as a worker, or as the embedded machine; `None` if it was not.
pub(crate) fn serve() -> Option<ExitCode> {
    if let Some(status) = crate::embedded::serve() {
        return Some(status);
    }
    let runner = std::env::var(RUNNER_PID).ok()?;
    Some(match serve_runner(&runner) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("testjig worker: {error}");
            ExitCode::FAILURE
        }
    })
}

fn serve_runner(runner: &str) -> std::io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid()
        .map(Pid::as_raw_nonzero)
        .map(|pid| pid.to_string())
        .as_deref()
        != Some(runner)
    {
        return Ok(());
    }
    // What a test leaves running becomes this process's child, where the check for leftovers finds it.
    set_child_subreaper(Some(getpid()))?;

    let mut channel = Channel::new(take_standard_input()?);
    let Some(setup) = channel.receive::<Setup>()? else {
        return Ok(());
    };
    let cases: HashMap<String, _> = Cases::collect()
        .cases
        .into_iter()
        .map(|case| (case.name.clone(), case))
        .collect();
    exec::install_panic_hook();
    let mut templates = Templates::default();
    while let Some(request) = channel.receive::<Request>()? {
        let case = &cases[&request.case];
        let next = request.next.as_ref().and_then(|next| cases.get(next));
        if let Some((next, qemu)) =
            next.and_then(|next| Some((next, setup.qemus.get(next.arch()).ok()?)))
        {
            templates.begin(qemu, next);
        }
        let outcome = exec::run(case, &setup, &request, &mut templates, &mut |answer| {
            // A runner that is gone takes this process with it.
            let _ = channel.send(&answer);
        });
        channel.send(&Answer::Done(Box::new(outcome)))?;
    }
    Ok(())
}

/// The runner's socket arrives as standard input; a test that reads its own gets an empty one.
fn take_standard_input() -> std::io::Result<UnixStream> {
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    Ok(UnixStream::from(socket))
}
