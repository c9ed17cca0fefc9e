//! [`Vm`]: a running machine, as tests use it.

mod failure;
mod monitor;

use std::any::{Any, TypeId};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use testjig_qtest::{Command, Endianness, Extension, Journal, PortWidth, Reply, Session};

use crate::binary::Qemu;
use crate::channel::Channel;
use crate::clock::Clock;
use crate::condition::Condition;
use crate::disk::ScratchDisk;
use crate::fault::{ClockKind, Fault, FaultKind};
use crate::inside::{Body, Wire};
use crate::irq::{Direction, Irq, Pin};
use crate::launch::Launch;
use crate::machine::RamRegion;
use crate::mapping::Mapping;
use crate::process::ExitReport;
use crate::ram::Ram;
use crate::recording::{Noted, Recording};
use crate::vm::monitor::Monitor;

/// How long a VMM that is asked to end may take.
const STOP_TIME: Duration = Duration::from_secs(10);
/// How long one that is dropped may take.
const DROP_TIME: Duration = Duration::from_secs(5);
/// How long a VMM that has closed its sockets may take to be gone, a core included.
const DEATH_TIME: Duration = Duration::from_secs(5);
/// The longest single wait for an answer, unless set.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A running machine.
///
/// Nothing here returns an error: what goes wrong unwinds with a [`Fault`] that names the operation, the line of the test
/// that asked for it, and what has become of the VMM.
///
/// Operations without an answer ([`outb`](Self::outb), [`writel`](Self::writel), [`write_mem`](Self::write_mem), …) are
/// queued and cost no round trip; any other sends them first and waits until they are answered. So all that a test does
/// happens in the order in which it is written, whichever way it goes: registers, [`ram`](Self::ram),
/// [`qmp`](Self::qmp), [`clock`](Self::clock). A queued operation that fails is reported where it was written, by the
/// next call that waits.
///
/// Clones are the same machine. When the last one is dropped, with or without something queued, its process is asked to end
/// and killed if it does not within seconds; while a panic unwinds it is killed at once. Nothing of it is left. It is also
/// killed when the thread that launched it ends.
#[derive(Clone)]
pub struct Vm(Rc<Inner>);

struct Inner {
    // First, so that the process is gone before what it uses.
    body: RefCell<Body>,
    session: RefCell<Session<Wire>>,
    qmp: RefCell<Monitor>,
    mapping: Option<Mapping>,
    regions: Vec<RamRegion>,
    disks: Vec<(String, Rc<File>)>,
    channels: Vec<(String, Rc<OwnedFd>, bool)>,
    intercepted: RefCell<Option<Pin>>,
    extensions: RefCell<HashMap<TypeId, Rc<dyn Any>>>,
    recorder: RefCell<Option<Recording>>,
    /// What the virtual clock shows, if that is known.
    now: Cell<Option<u64>>,
    deadline: Cell<Option<Instant>>,
    timeout: Cell<Duration>,
    qemu: Qemu,
    launch: Launch,
    command_line: String,
}

impl Drop for Inner {
    /// A VMM that ends by itself still writes its coverage counters and its sanitizers' reports; one that is killed does not.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.body.get_mut().stop(Instant::now() + DROP_TIME);
        }
    }
}

/// What a launcher hands to the machine it made.
pub(crate) struct Parts {
    pub(crate) body: Body,
    pub(crate) session: Session<Wire>,
    pub(crate) monitor: OwnedFd,
    /// Whether the VMM answers there.
    pub(crate) has_monitor: bool,
    pub(crate) mapping: Option<Mapping>,
    pub(crate) regions: Vec<RamRegion>,
    pub(crate) disks: Vec<(String, File)>,
    pub(crate) channels: Vec<(String, OwnedFd, bool)>,
    pub(crate) qemu: Qemu,
    pub(crate) launch: Launch,
    pub(crate) command_line: String,
}

/// Hands a call on to the session, with the caller's location, and unwinds if it fails.
macro_rules! forward {
    ($($(#[$doc:meta])* $name:ident($($arg:ident: $type:ty),*) $(-> $ret:ty)?;)*) => {$(
        $(#[$doc])*
        #[track_caller]
        pub fn $name(&self, $($arg: $type),*) $(-> $ret)? {
            let result = self.0.session.borrow_mut().$name($($arg),*);
            match result {
                Ok(value) => value,
                Err(error) => self.fail(error),
            }
        }
    )*};
}

impl Vm {
    pub(crate) fn new(parts: Parts) -> Self {
        let mut session = parts.session;
        session.set_timeout(TIMEOUT);
        session.set_deadline(None);
        let monitor = if parts.has_monitor {
            Monitor::open(parts.monitor, &parts.body)
        } else {
            Monitor::Absent {
                _end: parts.monitor,
            }
        };
        Self(Rc::new(Inner {
            body: RefCell::new(parts.body),
            session: RefCell::new(session),
            qmp: RefCell::new(monitor),
            mapping: parts.mapping,
            regions: parts.regions,
            disks: parts
                .disks
                .into_iter()
                .map(|(id, file)| (id, Rc::new(file)))
                .collect(),
            channels: parts
                .channels
                .into_iter()
                .map(|(id, fd, messages)| (id, Rc::new(fd), messages))
                .collect(),
            intercepted: RefCell::default(),
            extensions: RefCell::default(),
            recorder: RefCell::default(),
            now: Cell::new(Some(0)),
            deadline: Cell::new(None),
            timeout: Cell::new(TIMEOUT),
            qemu: parts.qemu,
            launch: parts.launch,
            command_line: parts.command_line,
        }))
    }

    forward! {
        /// Reads one byte from an I/O port.
        inb(port: u16) -> u8;
        /// Reads two bytes from an I/O port.
        inw(port: u16) -> u16;
        /// Reads four bytes from an I/O port.
        inl(port: u16) -> u32;
        /// Writes one byte to an I/O port. Queued.
        outb(port: u16, value: u8);
        /// Writes two bytes to an I/O port. Queued.
        outw(port: u16, value: u16);
        /// Writes four bytes to an I/O port. Queued.
        outl(port: u16, value: u32);
        /// Reads one byte at a guest-physical address, as the CPU would.
        readb(addr: u64) -> u8;
        /// Reads two bytes at a guest-physical address, in the CPU's byte order.
        readw(addr: u64) -> u16;
        /// Reads four bytes at a guest-physical address, in the CPU's byte order.
        readl(addr: u64) -> u32;
        /// Reads eight bytes at a guest-physical address, in the CPU's byte order.
        readq(addr: u64) -> u64;
        /// Writes one byte at a guest-physical address, as the CPU would. Queued.
        writeb(addr: u64, value: u8);
        /// Writes two bytes at a guest-physical address, in the CPU's byte order. Queued.
        writew(addr: u64, value: u16);
        /// Writes four bytes at a guest-physical address, in the CPU's byte order. Queued.
        writel(addr: u64, value: u32);
        /// Writes eight bytes at a guest-physical address, in the CPU's byte order. Queued.
        writeq(addr: u64, value: u64);
        /// Waits until everything queued has been sent and answered.
        sync();
        /// Byte order of the machine's CPU.
        endianness() -> Endianness;
    }

    /// Reads one byte from an I/O port, so many times as there is room: x86's `REP INSB`. The reads are pipelined.
    #[track_caller]
    pub fn insb(&self, port: u16, bytes: &mut [u8]) {
        self.ins(PortWidth::B, port, bytes.iter_mut(), |value| value as u8);
    }

    /// Reads two bytes from an I/O port, so many times as there is room: x86's `REP INSW`. The reads are pipelined.
    #[track_caller]
    pub fn insw(&self, port: u16, words: &mut [u16]) {
        self.ins(PortWidth::W, port, words.iter_mut(), |value| value as u16);
    }

    #[track_caller]
    fn ins<'a, T: 'a>(
        &self,
        width: PortWidth,
        port: u16,
        room: impl ExactSizeIterator<Item = &'a mut T>,
        value: fn(u64) -> T,
    ) {
        let read = Command::In { width, port };
        let commands = vec![read; room.len()];
        let replies = self.0.session.borrow_mut().run(&commands);
        let replies = match replies {
            Ok(replies) => replies,
            Err(error) => self.fail(error),
        };
        for (place, reply) in room.zip(replies) {
            if let Reply::Value(read) = reply {
                *place = value(read);
            }
        }
    }

    /// Reads bytes over the wire from a guest-physical address on, whatever the machine decodes there.
    ///
    /// For plain RAM, [`Ram::read`] is faster.
    #[track_caller]
    pub fn read_mem(&self, addr: u64, bytes: &mut [u8]) {
        if bytes.is_empty() {
            return self.sync();
        }
        let result = self.0.session.borrow_mut().read(addr, bytes);
        if let Err(error) = result {
            self.fail(error);
        }
    }

    /// Writes bytes over the wire to a guest-physical address and on. Queued.
    ///
    /// For plain RAM, [`Ram::write`] is faster.
    #[track_caller]
    pub fn write_mem(&self, addr: u64, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let result = self.0.session.borrow_mut().write(addr, bytes);
        if let Err(error) = result {
            self.fail(error);
        }
    }

    /// Has the machine fill memory with one value, as so many writes of a CPU would. Queued.
    #[track_caller]
    pub fn memset(&self, addr: u64, len: u64, value: u8) {
        if len == 0 {
            return;
        }
        let result = self.0.session.borrow_mut().memset(addr, len, value);
        if let Err(error) = result {
            self.fail(error);
        }
    }

    /// Calls a command that only some machines have: [`Rtas`](testjig_qtest::Rtas), [`Csr`](testjig_qtest::Csr), or one of a server
    /// of one's own.
    #[track_caller]
    pub fn call<E: Extension>(&self, extension: &E) -> E::Reply {
        let result = self.0.session.borrow_mut().extension(extension);
        match result {
            Ok(reply) => reply,
            Err(error) => self.fail(error),
        }
    }

    /// The guest's memory.
    pub fn ram(&self) -> Ram {
        Ram::new(self.clone())
    }

    /// The machine's virtual clock.
    ///
    /// Unwinds with [`FaultKind::Capability`] if this VMM has none that can be moved, or if the launch
    /// [forbids](Launch::forbid_clock) it.
    #[track_caller]
    pub fn clock(&self) -> Clock {
        if self.0.launch.is_clock_forbidden() {
            let problem = "the virtual clock is not to be used: the test does not declare that it needs it (needs(clock))";
            Fault::new(FaultKind::Capability(problem.into())).raise();
        }
        if !self.0.qemu.caps.clock {
            let problem = format!(
                "QEMU {} has no qtest accelerator, so its virtual clock can't be moved",
                self.0.qemu.version
            );
            Fault::new(FaultKind::Capability(problem)).raise();
        }
        Clock::new(self.clone())
    }

    /// Records what happens on a pin from now on.
    ///
    /// A VMM can do that for one list of pins of one device in its life; all pins of that list can be watched at once.
    #[track_caller]
    pub fn intercept(&self, pin: Pin) -> Irq {
        let taken = self.0.intercepted.borrow().clone();
        match taken {
            Some(other) if other.is_beside(&pin) => self.sync(),
            Some(other) => Fault::usage(format!(
                "failed to intercept {pin}: {other} is intercepted already, and a QEMU can intercept one device's pins in \
                 its life; launch another machine for the second"
            ))
            .raise(),
            None => {
                let result = {
                    let mut session = self.0.session.borrow_mut();
                    match pin.direction {
                        Direction::In => session.irq_intercept_in(&pin.device),
                        Direction::Out => session.irq_intercept_out(&pin.device, pin.list.as_deref()),
                    }
                };
                if let Err(error) = result {
                    self.fail(error);
                }
                *self.0.intercepted.borrow_mut() = Some(pin.clone());
            }
        }
        Irq::new(self.clone(), pin)
    }

    /// Drives an input pin high or low. Queued.
    ///
    /// QEMU ends with SIGABRT if the device has no such pin.
    #[track_caller]
    pub fn set_irq(&self, pin: &Pin, level: bool) {
        if pin.direction == Direction::Out {
            Fault::usage(format!("failed to drive {pin}: only inputs can be driven")).raise();
        }
        let result = self.0.session.borrow_mut().set_irq_in(
            &pin.device,
            pin.list.as_deref(),
            pin.number,
            i32::from(level),
        );
        if let Err(error) = result {
            self.fail(error);
        }
    }

    /// The image of a drive of the launch.
    #[track_caller]
    pub fn disk(&self, id: &str) -> ScratchDisk {
        let mut disks = self.0.disks.iter();
        if let Some((_, file)) = disks.find(|(known, _)| known == id) {
            return ScratchDisk::new(self.clone(), id.to_owned(), Rc::clone(file));
        }
        let known: Vec<&str> = self
            .0
            .disks
            .iter()
            .map(|(known, _)| known.as_str())
            .collect();
        Fault::usage(no_such("drive", id, &known)).raise()
    }

    /// Our end of a network or character device of the launch.
    #[track_caller]
    pub fn channel(&self, id: &str) -> Channel {
        let mut channels = self.0.channels.iter();
        if let Some((_, fd, messages)) = channels.find(|(known, _, _)| known == id) {
            return Channel::new(self.clone(), id.to_owned(), Rc::clone(fd), *messages);
        }
        let known: Vec<&str> = self
            .0
            .channels
            .iter()
            .map(|(known, _, _)| known.as_str())
            .collect();
        Fault::usage(no_such("channel", id, &known)).raise()
    }

    /// Waits, so long of the host's time, for what the machine does by itself: transfers of disks and networks.
    ///
    /// For what depends on the virtual clock, [`Clock::step_until`].
    #[track_caller]
    pub fn wait_until(&self, mut condition: Condition<'_>, within: Duration) {
        let begin = Instant::now();
        let deadline = begin + within;
        let end = self.earlier(deadline);
        self.note(|| Noted::Waits);
        loop {
            self.rest();
            let now = Instant::now();
            self.note(|| Noted::Again);
            if condition.holds() {
                self.note(|| Noted::Waited);
                return;
            }
            if now >= end && end < deadline {
                Fault::new(FaultKind::Hang {
                    waiting_for: condition.to_string(),
                    after: begin.elapsed(),
                    activity: "answers, but the test's time is up".into(),
                })
                .raise();
            }
            if now >= end {
                Fault::new(FaultKind::Deadline {
                    condition: condition.to_string(),
                    seen: condition.seen(),
                    within,
                    moved: begin.elapsed(),
                    clock: ClockKind::Host,
                })
                .raise();
            }
            if condition.is_of_pins() {
                self.wait_for_edge(end);
            } else {
                // One round trip, in which the machine does what it has to do.
                self.endianness();
            }
        }
    }

    /// Ends the machine in an orderly way: does what is queued, asks it to end, and waits, at most 10 s, before it is killed.
    ///
    /// Other clones can then only look back: at the journal, at stderr.
    #[track_caller]
    pub fn stop(self) -> ExitReport {
        if self.is_alive() {
            self.sync();
        }
        self.0.body.borrow_mut().stop(Instant::now() + STOP_TIME)
    }

    /// Kills the machine now.
    pub fn kill(&self) -> ExitReport {
        let mut body = self.0.body.borrow_mut();
        body.kill();
        body.report()
    }

    /// Has the machine end, and does not wait until it has: its process is waited for when the last clone is dropped.
    pub fn doom(&self) {
        self.0.body.borrow_mut().doom();
    }

    /// Whether the VMM's process lives.
    pub fn is_alive(&self) -> bool {
        self.0.body.borrow_mut().status().is_none()
    }

    /// What the VMM wrote to stderr so far: beginning and end, if it was much.
    pub fn stderr(&self) -> String {
        self.0.body.borrow().stderr()
    }

    /// The number of the VMM's process, or of this process if the machine [is in this thread](Qemu::launch_here).
    pub fn pid(&self) -> u32 {
        self.0.body.borrow().pid()
    }

    /// Whether it has no process of its own.
    pub(crate) fn is_here(&self) -> bool {
        matches!(&*self.0.body.borrow(), Body::Here(_))
    }

    /// What the machine was made from.
    pub fn launch(&self) -> &Launch {
        &self.0.launch
    }

    /// The QEMU that runs it.
    pub fn qemu(&self) -> &Qemu {
        &self.0.qemu
    }

    /// The command that was executed, quoted for a shell.
    pub fn command_line(&self) -> &str {
        &self.0.command_line
    }

    /// Sets the end of all waits: when the test's time is up. A wait that meets it unwinds with [`FaultKind::Hang`].
    pub fn set_deadline(&self, deadline: Instant) {
        self.0.deadline.set(Some(deadline));
        self.0.session.borrow_mut().set_deadline(Some(deadline));
        if let Monitor::Open(qmp) = &mut *self.0.qmp.borrow_mut() {
            qmp.set_deadline(Some(deadline));
        }
    }

    /// Sets the longest single wait for an answer; 10 s unless set.
    pub fn set_timeout(&self, timeout: Duration) {
        self.0.timeout.set(timeout);
        self.0.session.borrow_mut().set_timeout(timeout);
        if let Monitor::Open(qmp) = &mut *self.0.qmp.borrow_mut() {
            qmp.set_timeout(timeout);
        }
    }

    /// For tools: the session itself, with its fallible interface.
    ///
    /// While `with` runs, nothing else of this machine can be used.
    pub fn session<R>(&self, with: impl FnOnce(&mut Session<Wire>) -> R) -> R {
        // It may move the clock in ways that are not seen from here.
        self.0.now.set(None);
        with(&mut self.0.session.borrow_mut())
    }

    /// What a layer above keeps for this machine: one value a type, made when it is first asked for, shared by all clones.
    ///
    /// The value lives as long as the machine, so it must not hold a `Vm`.
    pub fn extension<T: 'static>(&self, make: impl FnOnce(&Self) -> T) -> Rc<T> {
        if let Some(value) = self.find_extension() {
            return value;
        }
        // Not under a borrow: `make` may ask for other extensions.
        let value = Rc::new(make(self));
        let mut extensions = self.0.extensions.borrow_mut();
        extensions.insert(TypeId::of::<T>(), Rc::clone(&value) as Rc<dyn Any>);
        value
    }

    /// The [`extension`](Self::extension) of this type, if there is one already.
    pub fn find_extension<T: 'static>(&self) -> Option<Rc<T>> {
        let value = self
            .0
            .extensions
            .borrow()
            .get(&TypeId::of::<T>())
            .cloned()?;
        value.downcast().ok()
    }

    /// Whether nothing is queued and nothing has failed: a barrier now waits for nothing and can't unwind.
    pub fn is_quiet(&self) -> bool {
        self.0.session.borrow().is_quiet()
    }

    /// How often the machine was waited for so far; operations without an answer travel with others.
    pub fn round_trips(&self) -> u64 {
        self.0.session.borrow().round_trips()
    }

    /// Looks at what was done and what happened, without waiting for anything.
    pub fn with_journal<R>(&self, with: impl FnOnce(&Journal) -> R) -> R {
        with(self.0.session.borrow().journal())
    }

    /// How many operations were asked of the machine so far.
    pub fn operations(&self) -> u64 {
        self.with_journal(Journal::issued)
    }
}

/// For the other files of this crate.
impl Vm {
    pub(crate) fn recorder(&self) -> &RefCell<Option<Recording>> {
        &self.0.recorder
    }

    pub(crate) fn mapping(&self) -> Option<&Mapping> {
        self.0.mapping.as_ref()
    }

    pub(crate) fn regions(&self) -> &[RamRegion] {
        &self.0.regions
    }

    /// Hands out what is readable once the machine's process has ended, if it has one of its own. One that has none does what it was
    /// asked for now.
    pub(crate) fn with_pidfd<R>(&self, with: impl FnOnce(Option<BorrowedFd<'_>>) -> R) -> R {
        match &*self.0.body.borrow() {
            Body::Process(process) => with(Some(process.pidfd())),
            Body::Here(here) => {
                here.attend();
                with(None)
            }
        }
    }

    /// Waits until an edge comes, or this moment; takes those that have come already.
    #[track_caller]
    pub(crate) fn wait_for_edge(&self, until: Instant) {
        let result = self.0.session.borrow_mut().wait_for_edge(until);
        if let Err(error) = result {
            self.fail(error);
        }
    }

    /// The earlier of this moment and the test's end.
    pub(crate) fn earlier(&self, deadline: Instant) -> Instant {
        self.0
            .deadline
            .get()
            .map_or(deadline, |end| end.min(deadline))
    }

    #[track_caller]
    pub(crate) fn clock_step(&self, span: Duration) {
        let result = self.0.session.borrow_mut().clock_step(span);
        self.moved(result);
    }

    #[track_caller]
    pub(crate) fn clock_set(&self, time: u64) {
        let result = self.0.session.borrow_mut().clock_set(time);
        self.moved(result);
    }

    #[track_caller]
    pub(crate) fn clock_step_next(&self) -> Result<u64, testjig_qtest::Error> {
        let result = self.0.session.borrow_mut().clock_step_next();
        if let Ok(now) = result {
            self.0.now.set(Some(now));
        }
        result
    }

    #[track_caller]
    fn moved(&self, result: Result<u64, testjig_qtest::Error>) {
        match result {
            Ok(now) => self.0.now.set(Some(now)),
            Err(error) => self.fail(error),
        }
    }

    /// What the virtual clock shows.
    #[track_caller]
    pub(crate) fn now(&self) -> u64 {
        if let Some(now) = self.0.now.get() {
            return now;
        }
        let result = self.0.session.borrow_mut().clock_now();
        let now = match result {
            Ok(now) => now,
            Err(error) => self.fail(error),
        };
        self.0.now.set(Some(now));
        now
    }
}

fn no_such(what: &str, id: &str, known: &[&str]) -> String {
    let known = if known.is_empty() {
        "has none".to_owned()
    } else {
        format!("has {}", known.join(", "))
    };
    format!("failed to find the {what} \"{id}\": the launch {known}")
}

impl fmt::Debug for Vm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vm")
            .field("machine", &self.0.launch.machine())
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}
