//! [`Machines`]: a fresh machine for each input, forked where that is possible, and what became of it.

use std::fs;
use std::time::Duration;

use testjig_qtest::{Command, ErrorKind, Reply};
use testjig_trace::Ending;
use testjig_vm::{Blocks, ExitStatus, LaunchError, LaunchOptions, Qemu, Template, Vm};

use crate::input::Input;
use crate::target::Target;

/// An input that takes longer has hung the machine.
const PATIENCE: Duration = Duration::from_secs(3);
/// No device has reason to take more memory than that, in bytes, for one input.
const GROWTH: u64 = 1 << 30;

/// Where inputs are tried.
pub(crate) struct Machines<'a> {
    qemu: &'a Qemu,
    pub(crate) target: &'a Target,
    options: LaunchOptions,
    template: Option<Template>,
    /// Why none is forked.
    pub(crate) unforkable: Option<String>,
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
        Ok(self.on(&vm, input))
    }

    /// Tries an input on a machine that was started for it.
    pub(crate) fn run_fresh(&self, input: &Input) -> Result<Ending, LaunchError> {
        let vm = self.qemu.launch(
            &self.target.launch,
            &LaunchOptions::default().frames(!self.qemu.is_embedded()),
        )?;
        Ok(self.on(&vm, input).0)
    }

    fn on(&self, vm: &Vm, input: &Input) -> (Ending, Vec<Reply>) {
        vm.set_timeout(PATIENCE);
        let before = resident(vm.pid());
        let mut commands = self.target.prelude.clone();
        commands.extend(input.commands(self.target));
        // What the last operation left for the main loop to do is done before the second of these is answered.
        commands.extend([Command::Endianness, Command::Endianness]);
        let result = vm.session(|session| session.run_each(&commands));
        match result {
            Ok(replies) => {
                let grown = resident(vm.pid()).saturating_sub(before);
                vm.kill();
                if grown > GROWTH {
                    return (Ending::Grown(grown), replies);
                }
                (Ending::Fine, replies)
            }
            Err(error) => {
                let is_gone = matches!(error.kind(), ErrorKind::Closed { .. } | ErrorKind::Io(_));
                let ended = is_gone && vm.has_ended(Duration::from_secs(1));
                let report = vm.kill();
                let ending = match report.status {
                    _ if !ended => Ending::Hung,
                    // The guest may switch its machine off.
                    ExitStatus::Exited(0) => Ending::Fine,
                    _ => Ending::Gone(report),
                };
                (ending, Vec::new())
            }
        }
    }
}

/// How much memory a process has, in bytes. 0 if it is gone.
fn resident(pid: u32) -> u64 {
    const PAGE: u64 = 4096;
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages = text.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.unwrap_or(0_u64) * PAGE
}
