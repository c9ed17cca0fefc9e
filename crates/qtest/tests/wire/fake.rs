//! [`Fake`]: a server in the same process that answers as a machine of ports and memory would,
//! except where a test tells it otherwise.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::time::{Duration, Instant};

use testjig_qtest::{
    Command, Data, Encoding, Endianness, Line, Nanos, Progress, Reply, Session, Severity, Transport,
};

/// A machine whose ports and memory give back what was written.
#[derive(Default)]
pub(crate) struct Machine {
    ports: BTreeMap<u16, u32>,
    memory: BTreeMap<u64, u8>,
    clock: u64,
    pins: BTreeMap<u16, bool>,
    intercepted: Option<String>,
}

impl Machine {
    /// Carries a command out, and appends the lines of the answer.
    pub(crate) fn answer(&mut self, command: &Command, out: &mut Vec<u8>) {
        let reply = match command {
            Command::In { width, port } => {
                Reply::Value(u64::from(self.ports.get(port).unwrap_or(&0) & width.mask()))
            }
            Command::Out { port, value, .. } => {
                self.ports.insert(*port, *value);
                Reply::Done
            }
            Command::Read { width, addr } => {
                Reply::Value((0..width.bytes() as u64).fold(0, |value, nr| {
                    value | u64::from(self.byte(addr.wrapping_add(nr))) << (8 * nr)
                }))
            }
            Command::Write { width, addr, value } => {
                for nr in 0..width.bytes() as u64 {
                    self.memory
                        .insert(addr.wrapping_add(nr), (value >> (8 * nr)) as u8);
                }
                Reply::Done
            }
            Command::ReadBlock { addr, len, .. } => Reply::Bytes(
                (0..u64::from(len.get()))
                    .map(|nr| self.byte(addr.wrapping_add(nr)))
                    .collect(),
            ),
            Command::WriteBlock { addr, data, .. } => {
                for (nr, byte) in (0..).zip(data.bytes()) {
                    self.memory.insert(addr.wrapping_add(nr), *byte);
                }
                Reply::Done
            }
            Command::Memset { addr, len, value } => {
                for nr in 0..u64::from(len.get()) {
                    self.memory.insert(addr.wrapping_add(nr), *value);
                }
                Reply::Done
            }
            Command::ClockStep(Some(span)) if span.get() == 0 => {
                return refuse("could not advance time", out);
            }
            Command::ClockStep(span) => {
                self.clock += span.map_or(1_000_000, Nanos::get);
                Reply::Nanos(Nanos::new(self.clock).unwrap())
            }
            Command::ClockSet(time) if time.get() < self.clock => {
                return refuse(&self.clock.to_string(), out);
            }
            Command::ClockSet(time) => {
                self.clock = time.get();
                Reply::Nanos(*time)
            }
            Command::InterceptIn { path } | Command::InterceptOut { path, .. } => {
                match &self.intercepted {
                    Some(other) if *other != **path => {
                        return refuse("IRQ intercept already enabled", out);
                    }
                    _ if &**path == "nobody" => return refuse("Unknown device", out),
                    _ => {
                        self.intercepted = Some(path.to_string());
                        Reply::Done
                    }
                }
            }
            Command::SetIrqIn { number, level, .. } => {
                let level = *level != 0;
                if self.pins.insert(*number, level).unwrap_or(false) != level {
                    Line::Irq {
                        line: (*number).into(),
                        level,
                    }
                    .encode(out);
                }
                Reply::Done
            }
            Command::ModuleLoad { name, .. } if &**name == "none" => return refuse("", out),
            Command::ModuleLoad { .. } => Reply::Done,
            Command::Endianness => Reply::Endianness(Endianness::Big),
            Command::Extension(call) => {
                return refuse(&format!("Unknown command '{}'", call.name()), out);
            }
            other => panic!("the fake does not know {other}"),
        };
        reply.encode(command.shape(), out);
    }

    fn byte(&self, addr: u64) -> u8 {
        self.memory.get(&addr).copied().unwrap_or(0)
    }
}

fn refuse(reason: &str, out: &mut Vec<u8>) {
    Line::Failed(Severity::Fail, reason.as_bytes()).encode(out);
}

type Answer = Box<dyn FnMut(&Command, &mut Vec<u8>)>;

/// The server's end of a session without a socket.
pub(crate) struct Fake {
    answer: Answer,
    /// Every command, in the order of arrival.
    pub(crate) seen: Vec<Command>,
    /// How often bytes were exchanged.
    pub(crate) exchanges: usize,
    request: Vec<u8>,
    due: VecDeque<u8>,
    /// Most bytes that one exchange moves each way.
    grain: usize,
    /// Takes requests only while fewer bytes of replies are waiting.
    patience: usize,
    /// Closes after so many bytes of replies.
    lifetime: usize,
}

impl Fake {
    /// A server that answers with `answer`.
    pub(crate) fn new(answer: impl FnMut(&Command, &mut Vec<u8>) + 'static) -> Self {
        Self {
            answer: Box::new(answer),
            seen: Vec::new(),
            exchanges: 0,
            request: Vec::new(),
            due: VecDeque::new(),
            grain: usize::MAX,
            patience: usize::MAX,
            lifetime: usize::MAX,
        }
    }

    /// A server with a [`Machine`].
    pub(crate) fn machine() -> Self {
        let mut machine = Machine::default();
        Self::new(move |command, out| machine.answer(command, out))
    }

    /// A server that says `bytes` at once, whatever it is asked, then nothing.
    pub(crate) fn saying(bytes: &[u8]) -> Self {
        let mut fake = Self::new(|_, _| ());
        fake.due.extend(bytes);
        fake
    }

    /// At most `bytes` a time, each way.
    pub(crate) fn in_pieces_of(mut self, bytes: usize) -> Self {
        self.grain = bytes;
        self
    }

    /// Takes no request while `bytes` of replies wait to be read.
    pub(crate) fn impatient_at(mut self, bytes: usize) -> Self {
        self.patience = bytes;
        self
    }

    /// Closes the connection once `bytes` of replies were read.
    pub(crate) fn closing_after(mut self, bytes: usize) -> Self {
        self.lifetime = bytes;
        self
    }

    /// Says something unasked.
    pub(crate) fn say(&mut self, bytes: &[u8]) {
        self.due.extend(bytes);
    }

    /// A session with this server.
    pub(crate) fn session(self) -> Session<Self> {
        Session::new(self)
    }
}

impl Transport for Fake {
    /// Instead of waiting for a deadline that nothing will meet, answers at once that it passed.
    fn exchange(
        &mut self,
        out: &[u8],
        input: &mut [u8],
        _deadline: Instant,
    ) -> io::Result<Progress> {
        self.exchanges += 1;
        let mut progress = Progress::default();
        if self.due.len() < self.patience {
            progress.written = out.len().min(self.grain);
        }
        for byte in &out[..progress.written] {
            if *byte != b'\n' {
                self.request.push(*byte);
                continue;
            }
            let line = std::mem::take(&mut self.request);
            let command = Command::parse(&line)
                .unwrap_or_else(|error| panic!("{}: {error}", line.escape_ascii()));
            let mut reply = Vec::new();
            (self.answer)(&command, &mut reply);
            self.due.extend(reply);
            self.seen.push(command);
        }
        progress.read = self
            .due
            .len()
            .min(input.len())
            .min(self.grain)
            .min(self.lifetime);
        self.lifetime -= progress.read;
        for (to, from) in input.iter_mut().zip(self.due.drain(..progress.read)) {
            *to = from;
        }
        progress.closed = self.lifetime == 0;
        Ok(progress)
    }
}

/// A block of `len` bytes, each different from its neighbours.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len as u32)
        .map(|nr| (nr.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect()
}

/// A block write.
pub(crate) fn write_block(addr: u64, bytes: &[u8], encoding: Encoding) -> Command {
    Command::WriteBlock {
        addr,
        data: Data::new(bytes).unwrap(),
        encoding,
    }
}

/// A time that a test waits for what never comes.
pub(crate) const MOMENT: Duration = Duration::from_millis(20);
