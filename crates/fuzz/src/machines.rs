//! [`Machines`]: a fresh machine for each input, forked where that is possible, and what became of it.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;
use std::time::Duration;

use testjig_qtest::{Command, Error, ErrorKind, Reply};
use testjig_trace::{Action, Ending};
use testjig_vm::{Blocks, ExitStatus, LaunchError, LaunchOptions, Qemu, Template, Vm};

use crate::input::{Input, MOST_COMMANDS};
use crate::target::Target;

/// An input that takes longer has hung the machine.
const PATIENCE: Duration = Duration::from_secs(3);
/// No device has reason to take more memory than that, in bytes, for one input.
const GROWTH: u64 = 1 << 30;

/// How many operations travel together. In between it is seen how much memory the machine has.
const TOGETHER: usize = 128;

/// Where inputs are tried.
pub(crate) struct Machines<'a> {
    qemu: &'a Qemu,
    pub(crate) target: &'a Target,
    options: LaunchOptions,
    template: Option<Template>,
    /// Why none is forked.
    pub(crate) unforkable: Option<String>,
    /// What an input may have a machine take without a second look, in bytes.
    unremarkable: u64,
    /// What the last input had its machine take.
    grown: u64,
}

impl<'a> Machines<'a> {
    pub(crate) fn new(
        qemu: &'a Qemu,
        target: &'a Target,
        blocks: Option<&Blocks>,
    ) -> Result<Self, LaunchError> {
        // A finding of a program without symbols is told by where it was.
        let mut options = LaunchOptions::default().frames(!qemu.is_embedded());
        if let Some(blocks) = blocks {
            options = options.blocks(blocks);
        }
        let mut machines = Self {
            qemu,
            target,
            options,
            template: None,
            unforkable: qemu.unforkable().map(ToOwned::to_owned),
            unremarkable: GROWTH / 256,
            grown: 0,
        };
        if machines.unforkable.is_none() {
            let template = qemu.template(&target.launch, &machines.options)?;
            match template.fork(false) {
                Ok(_) => machines.template = Some(template),
                Err(error) => machines.unforkable = Some(error.reason().to_owned()),
            }
        }
        Ok(machines)
    }

    /// Tries an input on a machine of its own.
    pub(crate) fn run(&mut self, input: &Input) -> Result<(Ending, Vec<Reply>), LaunchError> {
        let forked = self
            .template
            .as_ref()
            .and_then(|template| template.fork(false).ok());
        let vm = match forked {
            Some(vm) => vm,
            None => self.qemu.launch(&self.target.launch, &self.options)?,
        };
        let (ending, replies, grown) = self.on(&vm, input);
        self.grown = grown;
        Ok((ending, replies))
    }

    /// The input that was tried last, so often that its machine ends as [`Ending::Grown`] if it takes as much each time; if it took more
    /// than others did.
    pub(crate) fn repeated(&mut self, input: &Input) -> Option<Input> {
        if self.grown <= self.unremarkable {
            return None;
        }
        let needed = 2 * GROWTH / self.grown + 1;
        // Next time it has to be more.
        self.unremarkable = self.grown + self.grown / 4;
        let len = input.actions(self.target).len().max(1);
        let times = MOST_COMMANDS / len;
        (needed <= times as u64).then(|| Input {
            ops: vec![&input.ops[..]; needed as usize].concat(),
        })
    }

    /// Tries an input on a machine that was started for it.
    pub(crate) fn run_fresh(&self, input: &Input) -> Result<Ending, LaunchError> {
        let vm = self.qemu.launch(
            &self.target.launch,
            &LaunchOptions::default().frames(!self.qemu.is_embedded()),
        )?;
        Ok(self.on(&vm, input).0)
    }

    /// What became of an input, what was answered, and how much memory the machine took.
    fn on(&self, vm: &Vm, input: &Input) -> (Ending, Vec<Reply>, u64) {
        vm.set_timeout(PATIENCE);
        let before = resident(vm.pid());
        let mut replies = Vec::new();
        let broken = match self.carry_out(vm, input, before, &mut replies) {
            Ok(()) => {
                let grown = resident(vm.pid()).saturating_sub(before);
                vm.kill();
                let ending = match grown {
                    0..=GROWTH => Ending::Fine,
                    _ => Ending::Grown(grown),
                };
                return (ending, replies, grown);
            }
            Err(Broken::Grown(bytes)) => {
                vm.kill();
                return (Ending::Grown(bytes), replies, bytes);
            }
            Err(broken) => broken,
        };
        let is_gone = match &broken {
            Broken::Wire(error) => {
                matches!(error.kind(), ErrorKind::Closed { .. } | ErrorKind::Io(_))
            }
            _ => true,
        };
        let ended = is_gone && vm.has_ended(Duration::from_secs(1));
        // A machine that answers and can't be reset has no monitor.
        let lacks_monitor = matches!(broken, Broken::Reset)
            && !ended
            && vm.session(|session| session.endianness()).is_ok();
        let report = vm.kill();
        let ending = match report.status {
            _ if lacks_monitor => Ending::Fine,
            _ if !ended => Ending::Hung,
            // The guest may switch its machine off.
            ExitStatus::Exited(0) => Ending::Fine,
            _ => Ending::Gone(report),
        };
        (ending, replies, 0)
    }

    /// Puts what was answered into `replies`, one for each operation but those of the prelude.
    fn carry_out(
        &self,
        vm: &Vm,
        input: &Input,
        before: u64,
        replies: &mut Vec<Reply>,
    ) -> Result<(), Broken> {
        let run = |commands: &[Command]| {
            let mut answered = Vec::with_capacity(commands.len());
            for part in commands.chunks(TOGETHER) {
                if !answered.is_empty() {
                    let grown = resident(vm.pid()).saturating_sub(before);
                    if grown > GROWTH {
                        return Err(Broken::Grown(grown));
                    }
                }
                let replies = vm.session(|session| session.run_each(part));
                answered.extend(replies.map_err(Broken::Wire)?);
            }
            Ok(answered)
        };
        let mut commands = self.target.prelude.clone();
        let mut preceding = commands.len();
        for action in input.actions(self.target) {
            match action {
                // Operations that travel together are done together: no request ends in between.
                Action::Do(Command::Endianness, _) => {
                    commands.push(Command::Endianness);
                    replies.extend(run(&commands)?.into_iter().skip(preceding));
                    commands.clear();
                    preceding = 0;
                    thread::sleep(Duration::from_millis(1));
                }
                Action::Do(command, _) => commands.push(command),
                Action::Reset => {
                    replies.extend(run(&commands)?.into_iter().skip(preceding));
                    commands.clear();
                    preceding = 0;
                    catch_unwind(AssertUnwindSafe(|| vm.reset())).map_err(|_| Broken::Reset)?;
                    replies.push(Reply::Done);
                }
                _ => {}
            }
        }
        let own = commands.len();
        // What the last operation left for the main loop to do is done before the second of these is answered.
        commands.extend([Command::Endianness, Command::Endianness]);
        let answered = run(&commands)?;
        replies.extend(answered.into_iter().take(own).skip(preceding));
        Ok(())
    }
}

/// How an input broke off.
enum Broken {
    /// The wire did.
    Wire(Error),
    /// A reset did.
    Reset,
    /// The machine took so many bytes.
    Grown(u64),
}

/// How much memory a process has, in bytes. 0 if it is gone.
fn resident(pid: u32) -> u64 {
    const PAGE: u64 = 4096;
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0_u64) * PAGE
}
