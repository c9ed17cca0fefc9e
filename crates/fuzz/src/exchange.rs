//! [`Exchange`]: inputs go to other fuzzers and come from them, over TCP.
//!
//! Each says `testjig-fuzz 1 WHAT` and a newline, with what it fuzzes; the two must be the same. Then come inputs, each as a length of 4
//! bytes, little-endian, and so much JSON as [`Input`] is kept in on disk. Nothing is answered. What the other side sends is looked at and
//! written to a directory, from which workers take inputs as they take each other's: an input that leads nowhere new is left, and one
//! that ends the machine is a finding here, too. One that listens passes on what it gets.
//!
//! LibAFL has a broker, whose messages are the events of its own managers, in shared memory; here is one manager for each worker and no
//! memory to share, and inputs are files already.

use std::collections::HashSet;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use libafl::inputs::Input as _;

use crate::input::Input;
use crate::target::Target;

/// How other fuzzers are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peers {
    /// They connect to this address. Whoever reaches it can have inputs tried.
    Listen(SocketAddr),
    /// One listens at this address; if not yet, it is tried again.
    Join(SocketAddr),
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exchanged {
    /// How many others there are now.
    pub peers: usize,
    /// Inputs that came.
    pub received: usize,
    /// Inputs that went, to each of them.
    pub sent: usize,
    /// Why the last one was refused that was.
    pub refused: Option<String>,
}

/// The longest input, in bytes: 1 MiB.
const LONGEST: usize = 1 << 20;
/// The most that others may have written here, in inputs and in bytes, in one run.
const MOST_INPUTS: usize = 50_000;
const MOST_BYTES: usize = 256 << 20;
/// The most others at once.
const MOST_PEERS: usize = 64;
/// When no more is added to what is under way to another, in bytes.
const UNDER_WAY: usize = 256 << 10;
/// How much of a first line is read.
const GREETING: usize = 512;
/// How often it is looked for new inputs here, and for one that listens.
const LOOK: Duration = Duration::from_millis(500);
/// How long one that connects may take to say what it fuzzes.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Exchange {
    /// What is fuzzed, as it is told.
    what: String,
    /// Where the inputs and findings of this one are.
    directory: PathBuf,
    listener: Option<TcpListener>,
    join: Option<SocketAddr>,
    peers: Vec<Peer>,
    looked: Option<Instant>,
    /// Files that were looked at, and what is in those that can go.
    known: HashSet<PathBuf>,
    inputs: Vec<(u64, Vec<u8>)>,
    bytes: usize,
    pub(crate) exchanged: Exchanged,
}

/// One other.
struct Peer {
    stream: TcpStream,
    since: Instant,
    has_greeted: bool,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    /// How many of the inputs went or need not.
    next: usize,
    /// What came from there.
    its: HashSet<u64>,
}

/// Where inputs of others are written.
pub(crate) fn directory_of_others(directory: &Path) -> PathBuf {
    directory.join("corpus").join("others")
}

impl Exchange {
    /// Begins to listen, or to look for one that does.
    pub(crate) fn new(peers: Peers, target: &Target, directory: &Path) -> io::Result<Self> {
        fs::create_dir_all(directory_of_others(directory))?;
        let (listener, join) = match peers {
            Peers::Join(address) => (None, Some(address)),
            Peers::Listen(address) => {
                let listener = TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                (Some(listener), None)
            }
        };
        Ok(Self {
            what: what(target),
            directory: directory.to_owned(),
            listener,
            join,
            peers: Vec::new(),
            looked: None,
            known: HashSet::new(),
            inputs: Vec::new(),
            bytes: 0,
            exchanged: Exchanged::default(),
        })
    }

    /// Does what there is to do, without waiting. An error is one of the disk; or that the one that was to be joined fuzzes something else.
    pub(crate) fn turn(&mut self) -> io::Result<()> {
        self.meet();
        if self.may_look() {
            self.looked = Some(Instant::now());
            self.look()?;
        }
        for mut peer in std::mem::take(&mut self.peers) {
            match self.talk(&mut peer)? {
                Talk::On => self.peers.push(peer),
                Talk::Gone => {}
                Talk::Refused(why) => {
                    let text = match peer.stream.peer_addr() {
                        Ok(address) => format!("{address} was refused: {why}"),
                        Err(_) => why,
                    };
                    if self.join.is_some() && !peer.has_greeted {
                        return Err(io::Error::other(text));
                    }
                    self.exchanged.refused = Some(text);
                }
            }
        }
        let greeted = self.peers.iter().filter(|peer| peer.has_greeted);
        self.exchanged.peers = greeted.count();
        Ok(())
    }

    fn meet(&mut self) {
        let stream = match (&self.listener, self.join) {
            (Some(listener), _) if self.peers.len() < MOST_PEERS => {
                listener.accept().map(|(stream, _)| stream)
            }
            (None, Some(address)) if self.peers.is_empty() && self.may_look() => {
                TcpStream::connect_timeout(&address, LOOK)
            }
            _ => return,
        };
        // There is none yet, or one that has gone already.
        let Ok(stream) = stream else { return };
        if stream.set_nonblocking(true).is_ok() {
            self.peers.push(Peer {
                stream,
                since: Instant::now(),
                has_greeted: false,
                incoming: Vec::new(),
                outgoing: format!("{}\n", self.what).into_bytes(),
                next: 0,
                its: HashSet::new(),
            });
        }
    }

    fn may_look(&self) -> bool {
        self.looked.is_none_or(|looked| looked.elapsed() >= LOOK)
    }

    /// Takes note of what is new here: inputs that are kept, findings, and what others sent.
    fn look(&mut self) -> io::Result<()> {
        let corpus = self.directory.join("corpus");
        let mut directories: Vec<PathBuf> = fs::read_dir(corpus)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        directories.push(self.directory.join("findings"));
        for directory in directories {
            let Ok(entries) = fs::read_dir(&directory) else {
                continue;
            };
            for entry in entries {
                let path = entry?.path();
                if self.known.contains(&path) {
                    continue;
                }
                let is_finding = path.extension().is_some_and(|kind| kind == "json");
                let input = match path.extension() {
                    None => Input::from_file(&path).ok(),
                    Some(_) if is_finding => finding(&path),
                    Some(_) => continue,
                };
                self.known.insert(path);
                // What is for one of several machines means nothing to those who have others.
                let text = input.filter(|input| input.on == 0);
                let text = text.and_then(|input| serde_json::to_vec(&input).ok());
                if let Some(text) = text.filter(|text| text.len() <= LONGEST) {
                    self.inputs.push((hash(&text), text));
                }
            }
        }
        Ok(())
    }

    fn talk(&mut self, peer: &mut Peer) -> io::Result<Talk> {
        // First of all what this one fuzzes: who is refused can tell why.
        if !peer.send() {
            return Ok(Talk::Gone);
        }
        let mut buffer = [0; 8 << 10];
        // Few times: the others have their turn.
        for _ in 0..32 {
            match peer.stream.read(&mut buffer) {
                Ok(0) => return Ok(Talk::Gone),
                Ok(count) => peer.incoming.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Ok(Talk::Gone),
            }
            if let Some(why) = self.take(peer)? {
                return Ok(Talk::Refused(why));
            }
        }
        if peer.has_greeted {
            while let Some((hash, text)) = self.inputs.get(peer.next) {
                if peer.outgoing.len() > UNDER_WAY {
                    break;
                }
                peer.next += 1;
                if !peer.its.contains(hash) {
                    peer.outgoing.extend((text.len() as u32).to_le_bytes());
                    peer.outgoing.extend(text);
                    self.exchanged.sent += 1;
                }
            }
        } else if peer.since.elapsed() > PATIENCE {
            return Ok(Talk::Refused("it does not say what it fuzzes".into()));
        }
        Ok(if peer.send() { Talk::On } else { Talk::Gone })
    }

    /// Takes what has arrived whole. Why not, if it is nothing that a fuzzer of the same thing says.
    fn take(&mut self, peer: &mut Peer) -> io::Result<Option<String>> {
        if !peer.has_greeted {
            let Some(end) = peer.incoming.iter().position(|byte| *byte == b'\n') else {
                let is_long = peer.incoming.len() > GREETING;
                return Ok(is_long.then(|| "it is no fuzzer of this version".to_owned()));
            };
            let its = String::from_utf8_lossy(&peer.incoming[..end.min(GREETING)]).into_owned();
            if its != self.what {
                return Ok(Some(format!(
                    "it says {its:?}, and this is {:?}",
                    self.what
                )));
            }
            peer.incoming.drain(..=end);
            peer.has_greeted = true;
        }
        while let Some((length, rest)) = peer.incoming.split_first_chunk::<4>() {
            let length = u32::from_le_bytes(*length) as usize;
            if length > LONGEST {
                return Ok(Some(format!("an input of {length} bytes is too long")));
            }
            let Some(text) = rest.get(..length) else {
                break;
            };
            let input = match serde_json::from_slice::<Input>(text) {
                Ok(input) if input.on == 0 => input,
                Ok(_) => return Ok(Some("its input is for a machine of its own".to_owned())),
                Err(error) => return Ok(Some(format!("what it sent is no input: {error}"))),
            };
            if let Some(why) = self.keep(peer, &input)? {
                return Ok(Some(why));
            }
            peer.incoming.drain(..4 + length);
        }
        Ok(None)
    }

    fn keep(&mut self, peer: &mut Peer, input: &Input) -> io::Result<Option<String>> {
        // As it is written here, whatever spaces it had.
        let text = serde_json::to_vec(input)?;
        let hash = hash(&text);
        peer.its.insert(hash);
        if self.inputs.iter().any(|(known, _)| *known == hash) {
            return Ok(None);
        }
        if self.exchanged.received >= MOST_INPUTS || self.bytes + text.len() > MOST_BYTES {
            return Ok(Some(
                "others have sent as much as is kept of them".to_owned(),
            ));
        }
        let path = directory_of_others(&self.directory).join(format!("{hash:016x}"));
        input.to_file(&path).map_err(io::Error::other)?;
        self.known.insert(path);
        self.bytes += text.len();
        self.exchanged.received += 1;
        self.inputs.push((hash, text));
        Ok(None)
    }
}

impl Peer {
    /// Sends what there is room for; `false` if the other has gone.
    fn send(&mut self) -> bool {
        match self.stream.write(&self.outgoing) {
            Ok(count) => drop(self.outgoing.drain(..count)),
            Err(error) => return is_passing(&error),
        }
        true
    }
}

enum Talk {
    On,
    Gone,
    Refused(String),
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::NotConnected
    )
}

/// The input of a finding's file.
fn finding(path: &Path) -> Option<Input> {
    let mut file: serde_json::Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    serde_json::from_value(file["input"].take()).ok()
}

fn hash(of: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// What is fuzzed: an input names registers by their place in lists, so these must be the same.
fn what(target: &Target) -> String {
    let parts = format!(
        "{:?}",
        (
            &target.regions,
            target.function,
            &target.prelude,
            target.scratch,
            target.scratch_len,
            &target.lines,
            &target.plug,
            target.has_clock,
        )
    );
    format!(
        "testjig-fuzz 1 {} on {}, {:016x}",
        target.kind,
        target.launch.machine().id(),
        hash(&parts)
    )
}

#[cfg(test)]
mod tests;
