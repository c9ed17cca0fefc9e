//! What a host half works with: [`Host`], and the machines that it starts.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use serde_json::Value;
use testjig_qmp::Command;
use testjig_qmp::commands::{DeviceAdd, DeviceDel};

use super::guest::Guest;
use super::{FOR_EVER, caught, soon};
use crate::drive::{Ask, Handle, Problem, State};
use crate::test::{Test, lock};

/// A test, as its host half sees it.
///
/// Its methods unwind if something can't be done.
pub struct Host {
    test: Arc<Test>,
    guest: fn(&Guest),
    disks: Cell<usize>,
}

/// The board of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Board {
    /// `pc`: devices are plugged in on the PCI bus, by ACPI.
    Pc,
    /// `q35`: devices are plugged in in PCIe ports.
    Q35,
}

impl fmt::Display for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pc => "pc",
            Self::Q35 => "q35",
        })
    }
}

impl Host {
    pub(super) fn new(test: Arc<Test>, guest: fn(&Guest)) -> Self {
        Self {
            test,
            guest,
            disks: Cell::new(0),
        }
    }

    /// Draws one of the options, which a report names by how they are displayed: `machine=q35`. It can be pinned, and all can be tried in
    /// turn, as those of scripts.
    #[track_caller]
    pub fn choose<T: Clone + fmt::Display>(&self, name: &str, options: &[T]) -> T {
        let names: Vec<String> = options.iter().map(T::to_string).collect();
        let value = lock(&self.test.chooser).choose(Some(name), &names);
        match value {
            Ok(value) => {
                let index = names.iter().position(|name| *name == value);
                options[index.expect("it is one of them")].clone()
            }
            Err(problem) => self.skip(&problem),
        }
    }

    /// Ends the test: it can't be tried here.
    pub fn skip(&self, reason: &str) -> ! {
        self.test.skipped(reason);
        panic::resume_unwind(Box::new(()))
    }

    /// A directory of this run alone.
    pub fn directory(&self) -> &Path {
        &self.test.job.directory
    }

    /// A disk image of that many bytes, all zero.
    #[track_caller]
    pub fn disk(&self, bytes: u64) -> PathBuf {
        let number = self.disks.get();
        self.disks.set(number + 1);
        let path = self.directory().join(format!("disk{number}"));
        let made = File::create(&path).and_then(|file| file.set_len(bytes));
        made.unwrap_or_else(|error| panic!("failed to make {}: {error}", path.display()));
        path
    }

    /// A machine to start, with one port for a device that is plugged in.
    pub fn machine(&self, board: Board) -> Builder<'_> {
        Builder {
            host: self,
            board,
            ports: 1,
            words: Vec::new(),
        }
    }

    /// Waits for the end of the machines that are still there.
    #[track_caller]
    pub(super) fn finish(&self) {
        for machine in lock(&self.test.machines).clone() {
            finish(&machine);
        }
    }
}

/// A machine that is to be started.
#[must_use = "it is nothing until it is started"]
pub struct Builder<'a> {
    host: &'a Host,
    board: Board,
    ports: usize,
    words: Vec<String>,
}

impl<'a> Builder<'a> {
    /// So many ports for devices that are plugged in. `pc` has slots, and needs none.
    pub fn ports(mut self, count: usize) -> Self {
        self.ports = count;
        self
    }

    /// A back end of that identifier for a disk: a raw image.
    pub fn drive(self, id: &str, image: &Path) -> Self {
        let drive = format!("file={},if=none,id={id},format=raw", image.display());
        self.args(&["-drive", &drive])
    }

    /// Words for QEMU.
    pub fn args(mut self, words: &[&str]) -> Self {
        self.words.extend(words.iter().map(|&word| word.to_owned()));
        self
    }

    /// Starts it, and the guest half once the guest has booted. That is waited for: what is plugged in before meets the boot's own scan.
    /// What this QEMU lacks is a skip.
    #[track_caller]
    pub fn start(self) -> Running<'a> {
        let Self {
            host, board, ports, ..
        } = self;
        let mut words = vec!["-M".to_owned(), board.to_string()];
        let mut free = Vec::new();
        for port in (0..ports).rev().filter(|_| board == Board::Q35) {
            let id = format!("port{port}");
            words.push("-device".to_owned());
            words.push(format!("pcie-root-port,id={id},chassis={}", port + 1));
            free.push(id);
        }
        words.extend(self.words);
        let directory = host.directory().as_os_str().as_bytes();
        if let Err(problem) = host.test.start_qemu(words, directory) {
            panic!("{problem}");
        }
        let machine = host.test.machine().expect("it was started");
        let guest = Guest::new(machine.clone());
        let half = host.guest;
        thread::spawn(move || run_guest_half(&guest, half));
        let running = Running {
            machine,
            free: RefCell::new(free),
            is_pcie: board == Board::Q35,
            _host: host,
        };
        running.wait("the guest to boot", |state| state.ready);
        running
    }
}

fn run_guest_half(guest: &Guest, half: fn(&Guest)) {
    let machine = &guest.machine;
    let is_there = |state: &State| state.ready || state.ended;
    machine.wait(Instant::now() + FOR_EVER, is_there);
    match caught(|| half(guest)) {
        // A machine that is gone has a reason of its own.
        Ok(()) => drop(machine.ask(Ask::Done)),
        Err(said) => machine.fail(Problem::Guest(format!("the guest half failed: {said}"))),
    }
}

/// A running machine. It ends when both halves are over.
pub struct Running<'a> {
    machine: Handle,
    free: RefCell<Vec<String>>,
    is_pcie: bool,
    _host: &'a Host,
}

/// A device that was plugged in.
#[derive(Debug)]
#[must_use = "it is unplugged by handing it back"]
pub struct Plugged {
    id: String,
    port: Option<String>,
}

impl Running<'_> {
    #[track_caller]
    fn wait(&self, what: &str, is_so: impl Fn(&State) -> bool) {
        let came = |state: &State| is_so(state) || state.ended || state.problem.is_some();
        self.machine.wait_alive(soon(), came);
        let state = self.machine.state();
        if is_so(&state) {
            return;
        }
        let why = match &state.problem {
            Some(problem) => problem.text().to_owned(),
            None if state.ended => "the machine ended".to_owned(),
            None => "it did not come in time".to_owned(),
        };
        drop(state);
        panic!("failed to wait for {what}: {why}");
    }

    /// QEMU's process.
    pub fn pid(&self) -> u32 {
        self.machine.state().pid
    }

    /// Executes a command of the monitor.
    #[track_caller]
    pub fn execute<C>(&self, command: C) -> C::Reply
    where
        C: Command + Send + 'static,
        C::Reply: Send + 'static,
    {
        let result = self.machine.with(move |qmp| qmp.execute(&command));
        match result.map(|result| result.map_err(|error| error.to_string())) {
            Ok(Ok(reply)) => reply,
            Ok(Err(problem)) | Err(problem) => panic!("{problem}"),
        }
    }

    /// Waits for an event of that name whose data is as wanted, since the start of the machine, and returns its data.
    #[track_caller]
    pub fn wait_event(&self, name: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let wanted = |state: &State| {
            let mut events = state.events.iter();
            let found = events.find(|(its, data)| its == name && is_it(data));
            found.map(|(_, data)| data.clone())
        };
        self.wait(&format!("the event {name}"), |state| {
            wanted(state).is_some()
        });
        let found = wanted(&self.machine.state());
        found.expect("it was waited for")
    }

    /// Waits until the guest half has [told](Guest::tell) this.
    #[track_caller]
    pub fn wait_told(&self, word: &str) {
        self.wait(&format!("the guest half to tell {word:?}"), |state| {
            state.told.iter().any(|told| told == word)
        });
    }

    /// Plugs a device in, in a free port where the machine has ports. It has to have an [id](DeviceAdd::id).
    #[track_caller]
    pub fn plug(&self, device: DeviceAdd) -> Plugged {
        let id = device.properties.get("id").and_then(Value::as_str);
        let id = id
            .expect("a device that is plugged in has an id")
            .to_owned();
        let port = self.is_pcie.then(|| {
            let port = self.free.borrow_mut().pop();
            port.expect("all ports are taken: ask for more with `ports`")
        });
        let device = match &port {
            Some(port) => device.bus(port.clone()),
            None => device,
        };
        self.execute(device);
        Plugged { id, port }
    }

    /// Plugs a device out, and waits until the guest has let go of it.
    #[track_caller]
    pub fn unplug(&self, device: Plugged) {
        self.execute(DeviceDel::new(&device.id));
        self.wait_event("DEVICE_DELETED", |data| data["device"] == *device.id);
        self.free.borrow_mut().extend(device.port);
    }

    /// Waits for the end of the guest half and of the machine: what the guest wrote is in its disks then.
    #[track_caller]
    pub fn finish(self) {
        finish(&self.machine);
    }
}

#[track_caller]
fn finish(machine: &Handle) {
    machine.release();
    machine.wait(Instant::now() + FOR_EVER, |state| state.ended);
    let problem = machine.state().problem.clone();
    if let Some(problem) = problem {
        panic!("{}", problem.text());
    }
}
