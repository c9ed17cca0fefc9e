//! A running guest: QEMU, its monitor, its console and the agent within. [`Machine`].

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use testjig_agent::wire::{self, Frame, Reply, Request};
use testjig_qmp::Qmp;
use testjig_vm::{ExitReport, Process, Qemu, Spawn};

use crate::args::{Arguments, nic_device};
use crate::memory::Memory;
use crate::snapshot::Snapshot;

/// How long QEMU may take to build a machine.
const BUILD_TIME: Duration = Duration::from_secs(60);
/// How long a QEMU that was asked to end may take.
const END_TIME: Duration = Duration::from_secs(5);
/// The port that the agent looks for.
const PORT: &str = "testjig.agent";
/// The slot of the agent's controller: high, so that what a test adds gets the slots that it would have.
const SLOT: &str = "1e";

/// What a kernel is told to do without, because it takes a machine without KVM long: the check of the timer's interrupt, and 100 ms to find
/// out how fast the local APIC's timer is; a look at whether the time stamp counter goes as another clock does, twice a second; a change of
/// each of 5,000 locked instructions for want of a second CPU; page tables for a read-only kernel; 2 MiB of zeros for the variables of each
/// CPU. And not to save work where others would wait for it (RCU).
const QUICK: &str = "no_timer_check nolapic_timer tsc=reliable noreplace-smp rodata=off percpu_alloc=page rcupdate.rcu_expedited=1";

/// How the host reaches the agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ChannelKind {
    /// A virtio-serial port, on a PCI device of its own.
    #[default]
    Virtio,
    /// The second ISA serial port: for tests that may not add a PCI device. Some hundred times slower.
    Isa,
}

/// A guest to start.
#[derive(Clone, Debug)]
pub struct Boot {
    /// The machine, as the test describes it.
    pub arguments: Arguments,
    /// The kernel, unless the test names its own.
    pub kernel: PathBuf,
    /// The initial file system, unless the test names its own.
    pub initramfs: PathBuf,
    /// The way to the agent.
    pub channel: ChannelKind,
    /// What accelerates it, unless the test says so: `tcg` or `kvm`.
    pub accel: String,
    /// Where the states of machines are kept, if it may begin in one that an equal machine has booted to.
    pub warm: Option<PathBuf>,
    /// What differs in the arguments of machines that are equal: the directory of a run, the port of its server.
    pub variable: Vec<String>,
}

/// Why no machine was started.
#[derive(Debug)]
#[non_exhaustive]
pub enum BootError {
    /// This QEMU lacks something that the test names: what, in words.
    Lacks(String),
    /// QEMU declined: its own words.
    Declined(String),
    /// This machine declined something: what was attempted, and what came back.
    Host(&'static str, io::Error),
    /// QEMU's monitor did not answer.
    Monitor(String),
}

impl fmt::Display for BootError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lacks(what) => f.write_str(what),
            Self::Declined(said) => write!(f, "QEMU declined to start the machine: {said}"),
            Self::Host(what, error) => write!(f, "failed to {what}: {error}"),
            Self::Monitor(what) => write!(f, "QEMU's monitor does not answer: {what}"),
        }
    }
}

impl std::error::Error for BootError {}

/// Something that happened to a machine.
#[derive(Debug)]
#[non_exhaustive]
pub enum Occurrence {
    /// The agent is ready.
    Hello {
        /// The kernel's release.
        release: String,
        /// Since the kernel began.
        uptime: Duration,
    },
    /// The agent answered the request of that identifier.
    Reply(u32, Reply),
    /// The agent sent what is not of the protocol.
    Nonsense(String),
    /// The guest's console printed this.
    Console(Vec<u8>),
    /// QEMU tells of an event.
    Event(testjig_qmp::Event),
    /// QEMU has ended.
    Ended(ExitReport),
    /// The descriptor that was given to wait for is readable.
    Woken,
}

/// A running guest.
///
/// It ends with this value, and with the thread that started it.
pub struct Machine {
    process: Process,
    qmp: Qmp,
    monitor_open: bool,
    agent: Agent,
    console: Option<UnixStream>,
    pending: VecDeque<Occurrence>,
    command_line: String,
    /// Where its state is to be written once it has booted, and the memory that belongs to it.
    unsaved: Option<(Snapshot, Option<Memory>)>,
    is_restored: bool,
}

impl Machine {
    /// Starts a guest: QEMU builds the machine and begins to boot. Relative names of files are of `directory`.
    ///
    /// # Errors
    /// If this QEMU lacks what the test names, declines, or does not answer.
    pub fn start(qemu: &Qemu, boot: &Boot, directory: &Path) -> Result<Self, BootError> {
        if let Some(lack) = lacks(qemu, &boot.arguments) {
            return Err(BootError::Lacks(lack));
        }
        let snapshot = match &boot.warm {
            Some(home) if can_be_warm(qemu) => {
                let words = words(qemu, boot, [0; 4], None);
                let clock = clock_word(boot);
                let variable = boot.variable.iter().chain(&clock);
                let variable: Vec<&str> = variable.map(String::as_str).collect();
                let files = [&*boot.kernel, &*boot.initramfs];
                let memory = boot.arguments.plain_memory();
                let snapshot = Snapshot::of(home, qemu, &words, files, &variable, memory)
                    .map_err(|error| BootError::Host("look at the guest's files", error))?;
                Some(snapshot)
            }
            _ => None,
        };
        if let Some(snapshot) = snapshot.as_ref().filter(|snapshot| snapshot.exists()) {
            let memory = snapshot.memory();
            let started = Self::spawn(qemu, boot, directory, memory.as_ref(), true);
            let restored = started
                .map_err(|error| error.to_string())
                .and_then(|mut machine| {
                    snapshot.restore(&mut machine.qmp)?;
                    machine.is_restored = true;
                    Ok(machine)
                });
            match restored {
                Ok(machine) => return Ok(machine),
                Err(problem) => {
                    eprintln!("note: a machine's state was of no use, so it boots: {problem}");
                    snapshot.forget();
                }
            }
        }
        let memory = match &snapshot {
            Some(snapshot) => snapshot
                .new_memory()
                .map_err(|error| BootError::Host("make the machine's memory", error))?,
            None => None,
        };
        let mut machine = Self::spawn(qemu, boot, directory, memory.as_ref(), false)?;
        machine.unsaved = snapshot.map(|snapshot| (snapshot, memory));
        Ok(machine)
    }

    fn spawn(
        qemu: &Qemu,
        boot: &Boot,
        directory: &Path,
        memory: Option<&Memory>,
        is_incoming: bool,
    ) -> Result<Self, BootError> {
        let pair = || UnixStream::pair().map_err(|error| BootError::Host("make sockets", error));
        let ((monitor, its_monitor), (agent, its_agent), (console, its_console)) =
            (pair()?, pair()?, pair()?);
        let roms = no_roms().map_err(|error| BootError::Host("tell the firmware", error))?;
        let mut inherit: Vec<OwnedFd> = vec![
            its_monitor.into(),
            its_agent.into(),
            its_console.into(),
            roms,
        ];
        let numbers = [0, 1, 2, 3].map(|index: usize| inherit[index].as_raw_fd());
        let memory = memory
            .map(|memory| memory.words(&mut inherit))
            .transpose()
            .map_err(|error| BootError::Host("hand on the machine's memory", error))?;
        let mut command = qemu.command();
        command
            .args(words(qemu, boot, numbers, memory))
            .current_dir(directory);
        if is_incoming {
            command.args(["-incoming", "defer"]);
        }
        let command_line = format!("{command:?}");
        let how = Spawn {
            inherit: &inherit,
            core: false,
        };
        let spawned = qemu.spawn(command, &how);
        let mut process = spawned.map_err(|error| BootError::Host("start QEMU", error))?;
        // QEMU has them; an end that is kept open here would outlive it.
        drop(inherit);
        let qmp = match Qmp::connect(monitor, Instant::now() + BUILD_TIME) {
            Ok(qmp) => qmp,
            Err(error) => {
                let ended = process.wait(Instant::now() + Duration::from_secs(1));
                process.kill();
                let said = process.stderr();
                return Err(match ended {
                    Some(_) if !said.trim().is_empty() => declined(&said),
                    Some(status) => BootError::Declined(status.to_string()),
                    None => BootError::Monitor(error.to_string()),
                });
            }
        };
        for socket in [&agent, &console] {
            socket
                .set_nonblocking(true)
                .map_err(|error| BootError::Host("set up a socket", error))?;
        }
        Ok(Self {
            process,
            qmp,
            monitor_open: true,
            agent: Agent::new(agent),
            console: Some(console),
            pending: VecDeque::new(),
            command_line,
            unsaved: None,
            is_restored: false,
        })
    }

    /// Whether it began where an equal machine had booted to: then its agent does not say hello, and answers.
    pub fn is_restored(&self) -> bool {
        self.is_restored
    }

    /// Whether its state is wanted by those that come after it, and not written yet.
    pub fn is_to_be_kept(&self) -> bool {
        self.unsaved.is_some()
    }

    /// Writes its state for those that come after it, if that is wanted. To be called when its guest is ready.
    pub fn keep_state(&mut self) {
        if let Some((snapshot, memory)) = self.unsaved.take() {
            // The next one boots, too.
            if let Err(problem) = snapshot.save(&mut self.qmp, memory.as_ref()) {
                eprintln!("note: the machine's state was not kept: {problem}");
            }
        }
    }

    /// QEMU's process number.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// How QEMU was started, for people.
    pub fn command_line(&self) -> &str {
        &self.command_line
    }

    /// QEMU's monitor.
    pub fn qmp(&mut self) -> &mut Qmp {
        &mut self.qmp
    }

    /// Sends the agent a request; what it answers comes as [`Occurrence::Reply`] with the number that is returned.
    ///
    /// # Errors
    /// If the request is longer than a frame may be.
    pub fn send(&mut self, request: &Request) -> io::Result<u32> {
        self.agent.queue(request)
    }

    /// Waits for what happens next, until `deadline` (`None`), or until `wake` is readable.
    pub fn next(&mut self, deadline: Instant, wake: Option<BorrowedFd<'_>>) -> Option<Occurrence> {
        loop {
            if let Some(occurrence) = self.pending.pop_front() {
                return Some(occurrence);
            }
            self.agent.flush();
            if self.monitor_open {
                // What is wrong with the monitor shows in what becomes of QEMU.
                self.monitor_open = self.qmp.poll().is_ok();
                self.pending
                    .extend(self.qmp.events().map(Occurrence::Event));
                if !self.pending.is_empty() {
                    continue;
                }
            }
            let ready = self.wait(deadline, wake)?;
            if ready.console {
                self.read_console();
            }
            if ready.agent {
                self.agent.receive(&mut self.pending);
            }
            if ready.ended && !ready.console && !ready.agent {
                // All that it wrote has been read.
                self.monitor_open = self.monitor_open && self.qmp.poll().is_ok();
                self.pending
                    .extend(self.qmp.events().map(Occurrence::Event));
                let report = self.process.stop(Instant::now());
                self.pending.push_back(Occurrence::Ended(report));
            }
            if ready.woken {
                self.pending.push_back(Occurrence::Woken);
            }
        }
    }

    /// What of it is ready; `None` if nothing is until the deadline.
    fn wait(&self, deadline: Instant, wake: Option<BorrowedFd<'_>>) -> Option<Ready> {
        let sources = [
            Some((self.process.pidfd(), PollFlags::IN)),
            self.agent.fd().map(|fd| (fd, self.agent.interest())),
            self.console.as_ref().map(|fd| (fd.as_fd(), PollFlags::IN)),
            wake.map(|fd| (fd, PollFlags::IN)),
            self.monitor_open.then(|| (self.qmp.as_fd(), PollFlags::IN)),
        ];
        let mut fds: Vec<PollFd<'_>> = sources
            .iter()
            .flatten()
            .map(|(fd, flags)| PollFd::from_borrowed_fd(*fd, *flags))
            .collect();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec {
                tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            match poll(&mut fds, Some(&timeout)) {
                Ok(0) => return None,
                Ok(_) => break,
                Err(_) if left.is_zero() => return None,
                Err(_) => {}
            }
        }
        let mut results = fds.iter();
        let mut is_ready = |source: usize| {
            sources[source].is_some() && results.next().is_some_and(|fd| !fd.revents().is_empty())
        };
        Some(Ready {
            ended: is_ready(0),
            agent: is_ready(1),
            console: is_ready(2),
            woken: is_ready(3),
        })
    }

    fn read_console(&mut self) {
        let Some(console) = &mut self.console else {
            return;
        };
        let mut buffer = vec![0; 64 << 10];
        match console.read(&mut buffer) {
            Ok(0) => self.console = None,
            Ok(count) => {
                buffer.truncate(count);
                self.pending.push_back(Occurrence::Console(buffer));
            }
            Err(error) if is_nothing(&error) => {}
            Err(_) => self.console = None,
        }
    }

    /// Ends it: by the monitor, by signal if that does not help.
    pub fn end(&mut self) -> ExitReport {
        self.qmp.set_timeout(Duration::from_secs(1));
        // Nothing is expected of a QEMU that is gone.
        let _ = self.qmp.execute_raw("quit", serde_json::Value::Null);
        let deadline = Instant::now() + END_TIME;
        if self.process.wait(deadline).is_none() {
            return self.process.stop(Instant::now() + END_TIME);
        }
        self.process.stop(Instant::now())
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.process.kill();
    }
}

/// What of a machine is ready.
struct Ready {
    ended: bool,
    agent: bool,
    console: bool,
    woken: bool,
}

/// The host's end of the channel to the agent.
struct Agent {
    socket: Option<UnixStream>,
    to_send: VecDeque<u8>,
    received: Vec<u8>,
    next_id: u32,
}

impl Agent {
    fn new(socket: UnixStream) -> Self {
        Self {
            socket: Some(socket),
            to_send: VecDeque::new(),
            received: Vec::new(),
            // 0 is the hello's.
            next_id: 1,
        }
    }

    fn queue(&mut self, request: &Request) -> io::Result<u32> {
        let id = self.next_id;
        self.to_send.extend(request.encode(id)?);
        self.next_id += 1;
        Ok(id)
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }

    fn interest(&self) -> PollFlags {
        if self.to_send.is_empty() {
            PollFlags::IN
        } else {
            PollFlags::IN | PollFlags::OUT
        }
    }

    fn flush(&mut self) {
        while let (Some(socket), false) = (&mut self.socket, self.to_send.is_empty()) {
            match socket.write(self.to_send.as_slices().0) {
                Ok(count) => drop(self.to_send.drain(..count)),
                Err(error) if is_nothing(&error) => return,
                Err(_) => self.socket = None,
            }
        }
    }

    fn receive(&mut self, to: &mut VecDeque<Occurrence>) {
        let Some(socket) = &mut self.socket else {
            return;
        };
        let mut buffer = vec![0; 64 << 10];
        match socket.read(&mut buffer) {
            Ok(0) => self.socket = None,
            Ok(count) => self.received.extend(&buffer[..count]),
            Err(error) if is_nothing(&error) => {}
            Err(_) => self.socket = None,
        }
        let mut taken = 0;
        loop {
            let rest = &self.received[taken..];
            let Some(length) = rest.first_chunk() else {
                break;
            };
            let frame = match wire::checked_length(*length) {
                Ok(length) => match rest.get(4..4 + length) {
                    Some(bytes) => {
                        taken += 4 + length;
                        Frame::of(bytes)
                    }
                    None => break,
                },
                Err(error) => Err(error),
            };
            match frame.and_then(|frame| Ok((frame.id, frame.reply()?))) {
                Ok((id, reply)) => to.push_back(self.occurrence(id, reply)),
                Err(error) => {
                    // Where the next frame begins is not known any more.
                    to.push_back(Occurrence::Nonsense(error.to_string()));
                    self.socket = None;
                    self.received.clear();
                    return;
                }
            }
        }
        self.received.drain(..taken);
    }

    fn occurrence(&self, id: u32, reply: Reply) -> Occurrence {
        match reply {
            Reply::Hello {
                version: wire::VERSION,
                release,
                uptime,
            } if id == 0 => Occurrence::Hello {
                release: String::from_utf8_lossy(&release).into_owned(),
                uptime: Duration::from_micros(uptime),
            },
            Reply::Hello { version, .. } => Occurrence::Nonsense(format!(
                "a hello in version {version} of the protocol, with the identifier {id}"
            )),
            reply if id == 0 || id >= self.next_id => Occurrence::Nonsense(format!(
                "an answer to a request that was not made: {id}, {}",
                excerpt(&reply)
            )),
            reply => Occurrence::Reply(id, reply),
        }
    }
}

fn excerpt(reply: &Reply) -> String {
    let text = format!("{reply:?}");
    let mut short: String = text.chars().take(80).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// Whether this QEMU writes states that are small and read fast (`mapped-ram` came with QEMU 9.0).
pub fn can_be_warm(qemu: &Qemu) -> bool {
    qemu.version >= testjig_qmp::Version::new((9, 0, 0), "")
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// What this QEMU lacks of what a test names, told from its probe alone.
fn lacks(qemu: &Qemu, arguments: &Arguments) -> Option<String> {
    if let Some(machine) = &arguments.machine {
        if machine != "help" && !qemu.caps.machines.contains(machine) {
            return Some(format!("this QEMU has no machine {machine}"));
        }
    }
    let models = arguments.nic_models.iter().map(|model| nic_device(model));
    // Aliases such as virtio-blk are no types; QEMU itself is asked about them.
    let named = arguments.devices.iter().map(String::as_str);
    let has_alias = |device: &str| {
        device.starts_with("virtio-") || matches!(device, "e1000-82540em" | "lance" | "smc91c111")
    };
    models
        .chain(named)
        .find(|device| {
            !qemu.caps.devices.contains(*device) && !has_alias(device) && *device != "help"
        })
        .map(|device| format!("this QEMU has no device {device}"))
}

/// What QEMU said when it ended at once: that it lacks something, or another complaint.
fn declined(said: &str) -> BootError {
    const LACKS: [&str; 6] = [
        "is not a valid device model name",
        "nsupported NIC model",
        "nsupported machine type",
        "unknown network backend",
        "network backend 'user' is not compiled",
        "not compiled in",
    ];
    let lines: Vec<&str> = said
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.contains("warning:"))
        .collect();
    let complaint = lines.join(" / ");
    let complaint = complaint
        .split_once("qemu-system-")
        .and_then(|(_, rest)| rest.split_once(": "))
        .map_or(complaint.clone(), |(_, rest)| rest.to_owned());
    if LACKS.iter().any(|words| said.contains(words)) {
        BootError::Lacks(format!("this QEMU can't build it: {complaint}"))
    } else {
        BootError::Declined(complaint)
    }
}

/// What tells the firmware to run no device's ROM: a number of 64 bits, which is none that a word could hold.
fn no_roms() -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create("testjig-roms", MemfdFlags::CLOEXEC)?);
    file.write_all(&[0; 8])?;
    Ok(file.into())
}

/// What tells a guest's kernel how fast its time stamp counter goes, which is this machine's unless instructions are counted: to find that
/// out takes it 60 ms. It looks again a second later. What differs from one run to the next, it does not make another machine.
fn clock_word(boot: &Boot) -> Option<String> {
    let arguments = &boot.arguments;
    let is_counted = arguments.words.iter().any(|word| word.ends_with("-icount"));
    if boot.accel != "tcg" || arguments.own_accel || is_counted {
        return None;
    }
    Some(format!("tsc_early_khz={}", testjig_vm::tsc_khz()?))
}

/// QEMU's words: what testjig needs, and then the test's own.
fn words(
    qemu: &Qemu,
    boot: &Boot,
    [monitor, agent, console, roms]: [i32; 4],
    memory: Option<[String; 4]>,
) -> Vec<String> {
    let arguments = &boot.arguments;
    let mut words: Vec<String> = Vec::new();
    let mut add = |new: &[&str]| words.extend(new.iter().map(|&word| word.to_owned()));
    add(&["-no-reboot"]);
    add(&[
        "-chardev",
        &format!("socket,id=testjig-monitor,fd={monitor}"),
    ]);
    if qemu.caps.monitor_qmp_object {
        add(&[
            "-object",
            "monitor-qmp,id=testjig-qmp,chardev=testjig-monitor",
        ]);
    } else {
        add(&["-mon", "chardev=testjig-monitor,mode=control"]);
    }
    add(&["-chardev", &format!("socket,id=testjig-agent,fd={agent}")]);
    add(&[
        "-chardev",
        &format!("socket,id=testjig-console,fd={console}"),
    ]);
    add(&["-serial", "chardev:testjig-console"]);
    // A monitor on standard input and a window are nobody's to see.
    add(&["-monitor", "none", "-display", "none"]);
    if !arguments.own_accel {
        add(&["-accel", &boot.accel]);
    }
    let mut append = format!("console=ttyS0 panic=-1 oops=panic printk.time=0 loglevel=4 {QUICK}");
    if let Some(clock) = clock_word(boot) {
        append.push(' ');
        append.push_str(&clock);
    }
    if boot.channel == ChannelKind::Isa {
        add(&["-serial", "chardev:testjig-agent"]);
        append.push_str(" testjig.channel=ttyS1");
    }
    if let Some(server) = arguments.server {
        append.push_str(" testjig.resolve=");
        append.push_str(&server.to_string());
    }
    if let Some(more) = &arguments.append {
        append.push(' ');
        append.push_str(more);
    }
    if !arguments.own_kernel {
        add(&["-kernel", &boot.kernel.display().to_string()]);
    }
    if !arguments.own_initrd {
        add(&["-initrd", &boot.initramfs.display().to_string()]);
    }
    add(&["-append", &append]);
    words.extend(arguments.words.iter().cloned());
    words.extend(memory.into_iter().flatten());
    // Behind the test's own: a port of which the test does not say on which bus it is goes to the first that there is.
    if boot.channel == ChannelKind::Virtio {
        let mut add = |new: &str| words.extend(["-device".to_owned(), new.to_owned()]);
        add(&format!("virtio-serial-pci,id=testjig-serial,addr={SLOT}"));
        add(&format!(
            "virtserialport,bus=testjig-serial.0,chardev=testjig-agent,name={PORT}"
        ));
        if qemu.caps.devices.contains("pvpanic") {
            add("pvpanic");
        }
        // Network cards' ROMs would look for a server to boot from, which takes 0.3 s. The display's is for what asks the firmware to print:
        // a kernel of the test's own may, one that is entered by PVH does not.
        let which = if arguments.own_kernel {
            "string=\u{1}".to_owned()
        } else {
            format!("file=/proc/self/fd/{roms}")
        };
        words.push("-fw_cfg".to_owned());
        words.push(format!("name=etc/pci-optionrom-exec,{which}"));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(bytes: &[u8]) -> (Vec<Occurrence>, bool) {
        let (here, mut there) = UnixStream::pair().expect("sockets");
        here.set_nonblocking(true).expect("a socket");
        there.write_all(bytes).expect("room");
        let mut agent = Agent::new(here);
        agent.next_id = 3;
        let mut to = VecDeque::new();
        agent.receive(&mut to);
        (to.into(), agent.socket.is_some())
    }

    #[test]
    fn frames_that_come_together_are_taken_apart() {
        let mut bytes = Reply::Done.encode(1).expect("short");
        bytes.extend(Reply::Pong(7).encode(2).expect("short"));
        bytes.extend([9, 0]);
        let (occurrences, open) = received(&bytes);
        assert!(open);
        assert!(matches!(
            occurrences[..],
            [
                Occurrence::Reply(1, Reply::Done),
                Occurrence::Reply(2, Reply::Pong(7))
            ]
        ));
    }

    #[test]
    fn a_lying_agent_is_found_out() {
        for bytes in [
            vec![255, 255, 255, 255, 0],
            vec![5, 0, 0, 0, 1, 0, 0, 0, 77],
            Reply::Done.encode(3).expect("short"),
            Reply::Done.encode(0).expect("short"),
            Reply::Hello {
                version: 99,
                release: Vec::new(),
                uptime: 0,
            }
            .encode(0)
            .expect("short"),
        ] {
            let (occurrences, _) = received(&bytes);
            assert!(
                matches!(occurrences[..], [Occurrence::Nonsense(_)]),
                "{bytes:?}: {occurrences:?}"
            );
        }
    }

    #[test]
    fn what_qemu_lacks_is_told_from_other_complaints() {
        let error =
            declined("qemu-system-x86_64: -device foo: 'foo' is not a valid device model name\n");
        assert_eq!(
            error.to_string(),
            "this QEMU can't build it: -device foo: 'foo' is not a valid device model name"
        );
        let error = declined("qemu-system-x86_64: -m x: Parameter 'size' expects a size\n");
        assert!(matches!(error, BootError::Declined(_)), "{error}");
    }
}
