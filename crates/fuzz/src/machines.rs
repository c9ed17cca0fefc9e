//! [`Machines`]: a fresh machine for each input, forked where that is possible, and what became of it.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use testjig_qtest::{Command, Error, ErrorKind, Reply};
use testjig_trace::{Action, Ending, plug};
use testjig_vm::{Blocks, ExitStatus, ForkError, LaunchError, LaunchOptions, Qemu, Template, Vm};

use crate::core::Core;
use crate::input::{Input, MOST_COMMANDS, Op};
use crate::target::Target;

/// An input that takes longer has hung the machine.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long it is waited for a machine to rest.
const REST: Duration = Duration::from_millis(100);
/// How long QEMU may take to let go of a device that went.
const RELEASED: Duration = Duration::from_millis(200);
/// No device has reason to take more memory than that, in bytes, for one input.
const GROWTH: u64 = 1 << 30;

/// How many operations travel together. In between it is seen how much memory the machine has.
const TOGETHER: usize = 128;

/// Where inputs are tried.
pub(crate) struct Machines<'a> {
    qemu: &'a Qemu,
    pub(crate) target: &'a Target,
    options: LaunchOptions,
    /// By the machine, of those that were forked already: none if that one can't be.
    templates: HashMap<usize, Option<Forks>>,
    /// The machine of the last input: its end is not waited for before there is another.
    last: Option<Vm>,
    /// Why none is forked.
    pub(crate) unforkable: Option<String>,
    /// Where machines run, if they are forked.
    core: Option<Core>,
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
            templates: HashMap::new(),
            last: None,
            core: None,
            unforkable: qemu.unforkable().map(ToOwned::to_owned),
            unremarkable: GROWTH / 256,
            grown: 0,
        };
        if machines.unforkable.is_none() {
            machines.core = Core::choose();
            let forks = Forks::new(qemu, target, &machines.options)?;
            match forks.fork(true) {
                Ok(_) => drop(machines.templates.insert(0, Some(forks))),
                Err(error) => machines.unforkable = Some(error.reason().to_owned()),
            }
        }
        Ok(machines)
    }

    /// Tries an input on a machine of its own.
    pub(crate) fn run(&mut self, input: &Input) -> Result<(Ending, Vec<Reply>), LaunchError> {
        let target = self.target.of(input);
        if let Some(core) = &mut self.core {
            let forks = self.templates.values().flatten();
            core.look(forks.map(|forks| forks.template.pid()));
        }
        let mut forked = None;
        if self.unforkable.is_none() {
            let (qemu, options) = (self.qemu, &self.options);
            let forks = self
                .templates
                .entry(input.on)
                .or_insert_with(|| Forks::new(qemu, target, options).ok());
            let needs_monitor = input.ops.iter().any(Op::needs_monitor);
            forked = forks
                .as_ref()
                .and_then(|forks| forks.fork(needs_monitor).ok());
        }
        let (vm, before) = match forked {
            Some((vm, before)) => (vm, Some(before)),
            None => (self.qemu.launch(&target.launch, &self.options)?, None),
        };
        // While that one begins, the last has ended. To wait for it at once would be to wait for each of its threads to go.
        self.last = None;
        let (ending, replies, grown) = self.on(&vm, input, before);
        self.last = Some(vm);
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
            on: input.on,
            ops: vec![&input.ops[..]; needed as usize].concat(),
        })
    }

    /// What became of an input, what was answered, and how much memory the machine took. `forked` is what a machine had that was forked
    /// where the prelude is over.
    fn on(&self, vm: &Vm, input: &Input, forked: Option<u64>) -> (Ending, Vec<Reply>, u64) {
        vm.set_timeout(PATIENCE);
        let before = forked.unwrap_or_else(|| resident(vm.pid()));
        let mut replies = Vec::new();
        let broken = match self.carry_out(vm, input, forked.is_some(), before, &mut replies) {
            Ok(()) => {
                let grown = resident(vm.pid()).saturating_sub(before);
                vm.doom();
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
        // A machine that answers and can't be reset or added to has no monitor.
        let lacks_monitor = matches!(broken, Broken::Monitor)
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
        is_prepared: bool,
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
        let mut commands = if is_prepared {
            Vec::new()
        } else {
            self.target.of(input).prelude.clone()
        };
        let mut preceding = commands.len();
        let mut has_unplugged = false;
        for action in input.actions(self.target) {
            if let Action::Do(command, _) = action {
                commands.push(command);
                continue;
            }
            // Operations that travel together are done together: no request ends in between.
            replies.extend(run(&commands)?.into_iter().skip(preceding));
            commands.clear();
            preceding = 0;
            // Calls on a machine unwind where others return an error.
            let done = catch_unwind(AssertUnwindSafe(|| match &action {
                Action::Reset => vm.reset(),
                // A machine that declines goes on without.
                Action::Plug(device) => {
                    let within = if has_unplugged {
                        RELEASED
                    } else {
                        Duration::ZERO
                    };
                    plug(vm, device, within);
                }
                Action::Unplug(id) => drop(vm.hmp(&format!("device_del {id}"))),
                _ => drop(vm.settle(REST)),
            }));
            has_unplugged |= matches!(action, Action::Unplug(_));
            done.map_err(|_| match action {
                Action::Settle => Broken::Rest,
                _ => Broken::Monitor,
            })?;
            replies.push(Reply::Done);
        }
        let own = commands.len();
        // What the last operation left for the main loop to do is done before the second of these is answered.
        commands.extend([Command::Endianness, Command::Endianness]);
        let answered = run(&commands)?;
        replies.extend(answered.into_iter().take(own).skip(preceding));
        Ok(())
    }
}

/// A machine to fork, with its device as inputs expect it.
struct Forks {
    template: Template,
    /// How much memory a fork has in the beginning.
    resident: Cell<Option<u64>>,
}

impl Forks {
    /// One that ends of the prelude has no forks, and says so when it is asked for one.
    fn new(qemu: &Qemu, target: &Target, options: &LaunchOptions) -> Result<Self, LaunchError> {
        let template = qemu.template(&target.launch, options)?;
        let _ = template.prepare(&target.prelude);
        Ok(Self {
            template,
            resident: Cell::new(None),
        })
    }

    /// A machine, and how much memory it has.
    fn fork(&self, needs_monitor: bool) -> Result<(Vm, u64), ForkError> {
        // A monitor is a thread, a ring, and two round trips.
        let vm = if needs_monitor {
            self.template.fork(false)?
        } else {
            self.template.fork_bare()?
        };
        let resident = self.resident.get().unwrap_or_else(|| resident(vm.pid()));
        self.resident.set(Some(resident));
        Ok((vm, resident))
    }
}

/// How an input broke off.
enum Broken {
    /// The wire did.
    Wire(Error),
    /// A command to its monitor did.
    Monitor,
    /// The machine did while it was left alone.
    Rest,
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

#[cfg(test)]
pub(crate) mod tests {
    use testjig_vm::{Arch, Cache, machine};

    use super::*;
    use crate::input::{Op, Place, Size, Value};

    pub(crate) fn qemu() -> Qemu {
        Qemu::find(Arch::X86_64).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn target(name: &str) -> Target {
        let cache = Cache::open().expect("a cache");
        Target::find(&mut qemu(), name, &machine::PC, &cache).expect("the device is there")
    }

    fn write(port: u16, value: u64) -> Op {
        Op::Write(Place::Port(port), Size::B, Value::Number(value))
    }

    fn read(port: u16) -> Op {
        Op::Read(Place::Port(port), Size::B)
    }

    /// [ATA-7, READ SECTOR(S)] One from the beginning, and the status behind it: 0x58 is that data is there.
    pub(crate) fn read_sector() -> Input {
        let registers = [
            (0x1f6, 0xe0),
            (0x1f2, 1),
            (0x1f3, 0),
            (0x1f4, 0),
            (0x1f5, 0),
        ];
        let mut ops: Vec<Op> = registers
            .into_iter()
            .map(|(port, value)| write(port, value))
            .collect();
        ops.extend([write(0x1f7, 0x20), Op::Wait, read(0x1f7)]);
        Input { on: 0, ops }
    }

    /// What is answered, in order.
    pub(crate) fn answers(target: &Target, ops: &[Op]) -> Vec<u64> {
        let qemu = qemu();
        let mut machines = Machines::new(&qemu, target, None).expect("it starts");
        let input = Input {
            on: 0,
            ops: ops.to_vec(),
        };
        let (ending, replies) = machines.run(&input).expect("a machine");
        assert!(matches!(ending, Ending::Fine), "{ending:?}");
        assert_eq!(replies.len(), input.actions(target).len());
        let values = replies.iter().filter_map(|reply| match reply {
            Reply::Value(value) => Some(*value),
            _ => None,
        });
        values.collect()
    }

    #[test]
    fn a_request_is_over_after_a_wait() {
        let target = target("ide");
        for _ in 0..10 {
            assert_eq!(answers(&target, &read_sector().ops), [0x58]);
        }
    }

    /// [8259A, Interrupt Request Register] Line 3 is bit 3 of what the command port is read as.
    #[test]
    fn a_line_is_raised_and_lowered() {
        let mut target = target("pic");
        target.lines.retain(|line| line.number == 3);
        let line = |level| Op::Line(0, level);
        let ops = [read(0x20), line(true), read(0x20)];
        assert_eq!(answers(&target, &ops), [0, 8]);
        // [8259A, OCW2, ICW1] Level triggered, a line that is low requests nothing.
        let ops = [
            write(0x4d0, 8),
            line(true),
            read(0x20),
            line(false),
            read(0x20),
        ];
        assert_eq!(answers(&target, &ops), [8, 0]);
        // One that is not there is left out.
        assert_eq!(answers(&target, &[Op::Line(1, true), read(0x20)]), [0]);
    }

    /// [PCI Local Bus 3.0, 6.1] A function that is not there reads as ones.
    #[test]
    fn a_device_goes_and_comes_again() {
        // A function of the bridge stays.
        assert_eq!(target("ide").plug, None);
        let target = target("virtio-blk");
        let vendor = Op::Read(Place::Config(0), Size::W);
        let ops = [
            vendor.clone(),
            Op::Unplug,
            Op::Wait,
            vendor.clone(),
            Op::Plug,
            vendor,
        ];
        assert_eq!(answers(&target, &ops), [0x1af4, 0xffff, 0x1af4]);
    }

    /// [Virtio 1.2, 4.1.4.3] `device_status` and `num_queues`.
    #[test]
    fn a_reset_is_one_and_base_addresses_are_set_again() {
        let target = target("virtio-blk");
        let common = target
            .regions
            .iter()
            .position(|region| region.name.starts_with("virtio-pci-common"))
            .expect("a region");
        let at = |offset| Place::Region(common as u16, offset);
        let status = Op::Read(at(0x14), Size::B);
        let queues = Op::Read(at(0x12), Size::W);
        let ops = [
            Op::Write(at(0x14), Size::B, Value::Number(3)),
            status.clone(),
            Op::Reset,
            status,
            queues,
        ];
        assert_eq!(answers(&target, &ops), [3, 0, 1]);
    }
}
