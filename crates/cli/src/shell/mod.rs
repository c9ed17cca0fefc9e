//! `jig shell`: a machine that a person drives a line at a time.

mod export;
mod session;
mod words;

use std::collections::BTreeSet;
use std::io::{self, BufRead, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::{Context, Editor, Helper, Highlighter, Hinter, Validator};
use testjig::case::Cases;
use testjig::find::{self, Wish};
use testjig::graph::Graph;
use testjig::vm::{Arch, Cache, Launch, LaunchOptions, Suite, machine};

use crate::fail;
use crate::shell::session::{COMMANDS, Session};

#[derive(Args)]
pub(crate) struct Arguments {
    /// The machine, as paths name it, or a whole case's name for the machine and the devices of that case
    #[arg(value_name = "MACHINE|CASE", default_value = "x86_64/pc")]
    what: String,
    /// Plug in a device, as QEMU's -device spells it (may be repeated)
    #[arg(long, value_name = "DEVICE")]
    device: Vec<String>,
    /// The QEMU binary to use; nothing is fetched then
    #[arg(long, value_name = "PATH")]
    qemu: Option<PathBuf>,
    /// The Debian suite to fetch a QEMU from
    #[arg(long, value_name = "NAME", conflicts_with = "qemu")]
    suite: Option<Suite>,
    /// Fetch nothing
    #[arg(long)]
    offline: bool,
}

impl Arguments {
    pub(crate) fn run(self) -> ExitCode {
        match self.start() {
            Ok(session) => talk(session),
            Err(error) => fail(error),
        }
    }

    fn start(&self) -> Result<Session, String> {
        let graph = Graph::get();
        let case = Cases::collect()
            .cases
            .into_iter()
            .find(|case| case.name == self.what);
        let (mut launch, decoders) = if let Some(case) = case {
            (case.launch(), graph.decoders(&case.path))
        } else {
            let known = self.what.split_once('/').and_then(|(arch, name)| {
                machine::MachineType::by_name(arch.parse::<Arch>().ok()?, name)
            });
            let machine = known.ok_or_else(|| {
                let all: Vec<String> = machine::ALL.iter().map(|machine| machine.id()).collect();
                format!(
                    "{:?} is neither a case (`jig list`) nor a machine: {}",
                    self.what,
                    all.join(", ")
                )
            })?;
            (Launch::new(machine), graph.built_in_decoders(machine))
        };
        for device in &self.device {
            launch = launch.arg("-device").arg(device);
        }
        let arch = launch.machine().arch;
        let wish = Wish {
            qemu: self.qemu.clone(),
            suite: self.suite.clone(),
            offline: self.offline,
            ..Wish::default()
        };
        let qemus = find::for_archs(BTreeSet::from([arch]), &wish);
        let qemu = qemus.get(arch)?;
        eprintln!("{}", qemu.summary());
        let vm = qemu
            .launch(&launch, &LaunchOptions::default())
            .map_err(|error| error.to_string())?;
        eprintln!("{} runs; `help` lists the commands", launch.machine());
        // A command that can't be carried out unwinds; the session says why.
        std::panic::set_hook(Box::new(|_| {}));
        Ok(Session::new(vm, decoders))
    }
}

/// Reads lines until their end, from a terminal with history and completion, else as they come.
fn talk(mut session: Session) -> ExitCode {
    let mut failed = false;
    if io::stdin().is_terminal() {
        let mut editor = match Editor::new() {
            Ok(editor) => editor,
            Err(error) => return fail(error),
        };
        editor.set_helper(Some(Names));
        let history = Cache::open()
            .ok()
            .map(|cache| cache.root().join("shell-history"));
        if let Some(history) = &history {
            let _ = editor.load_history(history);
        }
        loop {
            match editor.readline("> ") {
                Ok(line) => {
                    let _ = editor.add_history_entry(&line);
                    if is_end(&line) {
                        break;
                    }
                    answer(&mut session, &line);
                    if !session.is_alive() {
                        break;
                    }
                }
                Err(ReadlineError::Interrupted) => {}
                Err(_) => break,
            }
        }
        if let Some(history) = &history {
            let _ = editor.save_history(history);
        }
    } else {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if is_end(&line) {
                break;
            }
            failed |= !answer(&mut session, &line);
            if !session.is_alive() {
                break;
            }
        }
    }
    if session.is_alive() {
        session.stop();
        ExitCode::from(u8::from(failed))
    } else {
        eprintln!("the machine is gone: {}", session.stop());
        ExitCode::from(1)
    }
}

fn is_end(line: &str) -> bool {
    matches!(line.trim(), "quit" | "exit")
}

/// Does what a line says; false if that could not be done.
fn answer(session: &mut Session, line: &str) -> bool {
    let line = line.trim();
    if line == "help" {
        for (name, what) in COMMANDS.iter().filter(|(_, what)| !what.is_empty()) {
            println!("{name:7} {what}");
        }
        println!("quit    {:15} end the machine and the shell", "");
        return true;
    }
    if line.starts_with('#') {
        return true;
    }
    match session.execute(line) {
        Ok(text) => {
            print!("{text}");
            true
        }
        Err(error) => {
            eprintln!("{error}");
            false
        }
    }
}

/// Completes the names of commands.
#[derive(Helper, Highlighter, Hinter, Validator)]
struct Names;

impl Completer for Names {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let typed = &line[..at];
        if typed.contains(' ') {
            return Ok((at, Vec::new()));
        }
        let names = COMMANDS
            .iter()
            .map(|(name, _)| *name)
            .chain(["help", "quit"]);
        let candidates = names
            .filter(|name| name.starts_with(typed))
            .map(|name| Pair {
                display: name.to_owned(),
                replacement: name.to_owned(),
            })
            .collect();
        Ok((0, candidates))
    }
}
