//! Moving bytes between clients and a server: [`Host`] waits for sockets, pipes and listeners in one thread.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read, retry_on_intr, write};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use testjig_qtest::{Progress, Transport};

use crate::connection::{Connection, Limits};
use crate::qmp::{Manage, Monitor};
use crate::server::Server;
use crate::vmm::Vmm;

/// Bytes that are read at once.
const CHUNK: usize = 64 << 10;
/// Bytes that a pipe takes without blocking, once it takes any (POSIX, `PIPE_BUF`).
const PIPE: usize = 4096;

/// Where a client's bytes come from, and where they go.
#[derive(Debug)]
pub struct Endpoint {
    input: OwnedFd,
    /// The same unless it is a pair of pipes.
    output: Option<OwnedFd>,
}

impl Endpoint {
    /// A connected stream socket.
    pub fn socket(fd: impl Into<OwnedFd>) -> Self {
        Self {
            input: fd.into(),
            output: None,
        }
    }

    /// A pair of pipes, files or terminals.
    pub fn pipes(input: impl Into<OwnedFd>, output: impl Into<OwnedFd>) -> Self {
        Self {
            input: input.into(),
            output: Some(output.into()),
        }
    }

    /// Standard input and output.
    ///
    /// # Errors
    ///
    /// If they can't be duplicated.
    pub fn stdio() -> io::Result<Self> {
        Ok(Self::pipes(
            io::stdin().as_fd().try_clone_to_owned()?,
            io::stdout().as_fd().try_clone_to_owned()?,
        ))
    }

    /// What is readable when there is something to read.
    pub fn input(&self) -> BorrowedFd<'_> {
        self.input.as_fd()
    }

    /// Reads what is there, without waiting; for devices whose other end this is.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is nothing. `Ok(0)` says that the other end is gone.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.read(buffer)?)
    }

    /// Writes as much as is taken without waiting, and says how much that was.
    ///
    /// # Errors
    ///
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing is taken now; others if the other end is gone.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(self.write(bytes, false)?)
    }

    /// Reads what is there; `Ok(0)` if the client is gone.
    fn read(&self, buffer: &mut [u8]) -> Result<usize, Errno> {
        if self.output.is_none() {
            match retry_on_intr(|| recv(&self.input, &mut *buffer, RecvFlags::DONTWAIT)) {
                Err(Errno::NOTSOCK) => {}
                result => return result.map(|(_, length)| length),
            }
        }
        retry_on_intr(|| read(&self.input, &mut *buffer))
    }

    /// Writes without blocking; `sure` if it is known that some bytes can be written.
    fn write(&self, bytes: &[u8], sure: bool) -> Result<usize, Errno> {
        let output = self.output.as_ref().unwrap_or(&self.input);
        match retry_on_intr(|| send(output, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)) {
            Err(Errno::NOTSOCK) if sure => {
                retry_on_intr(|| write(output, &bytes[..bytes.len().min(PIPE)]))
            }
            Err(Errno::NOTSOCK) => Err(Errno::AGAIN),
            result => result,
        }
    }
}

/// A client's conversation, of either protocol.
trait Talk<V>: Send {
    fn wants_input(&self) -> bool;
    fn output(&self) -> &[u8];
    fn sent(&mut self, server: &mut Server<V>, count: usize);
    fn receive(&mut self, server: &mut Server<V>, bytes: &[u8]);
    /// Something may have happened: interrupt lines have moved.
    fn poll(&mut self, server: &mut Server<V>);
    fn event(&mut self, event: &crate::qmp::Event);
    fn is_lost(&self) -> bool;
    fn close(self: Box<Self>, server: &mut Server<V>);
}

impl<V: Vmm> Talk<V> for Connection {
    fn wants_input(&self) -> bool {
        Self::wants_input(self)
    }

    fn output(&self) -> &[u8] {
        Self::output(self)
    }

    fn sent(&mut self, server: &mut Server<V>, count: usize) {
        Self::sent(self, count);
        server.resume(self);
    }

    fn receive(&mut self, server: &mut Server<V>, bytes: &[u8]) {
        server.receive(self, bytes);
    }

    fn poll(&mut self, server: &mut Server<V>) {
        server.poll(self);
    }

    fn event(&mut self, _: &crate::qmp::Event) {}

    fn is_lost(&self) -> bool {
        Self::is_lost(self)
    }

    fn close(self: Box<Self>, server: &mut Server<V>) {
        server.disconnect(*self);
    }
}

impl<V: Vmm + Manage> Talk<V> for Monitor {
    fn wants_input(&self) -> bool {
        Self::wants_input(self)
    }

    fn output(&self) -> &[u8] {
        Self::output(self)
    }

    fn sent(&mut self, _: &mut Server<V>, count: usize) {
        Self::sent(self, count);
    }

    fn receive(&mut self, server: &mut Server<V>, bytes: &[u8]) {
        Self::receive(self, server.vmm_mut(), bytes);
    }

    fn poll(&mut self, _: &mut Server<V>) {}

    fn event(&mut self, event: &crate::qmp::Event) {
        Self::event(self, event);
    }

    fn is_lost(&self) -> bool {
        false
    }

    fn close(self: Box<Self>, _: &mut Server<V>) {}
}

struct Client<V> {
    endpoint: Endpoint,
    talk: Box<dyn Talk<V>>,
    gone: bool,
}

/// What a listener's clients speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// qtest.
    Qtest,
    /// QMP.
    Qmp,
}

type Action<V> = Box<dyn FnMut(&mut V) -> bool + Send>;

/// A machine with its clients, in the thread that calls [`run`](Self::run).
pub struct Host<V> {
    server: Server<V>,
    clients: Vec<Client<V>>,
    listeners: Vec<(UnixListener, Protocol)>,
    sources: Vec<(OwnedFd, Action<V>)>,
    stop: Option<OwnedFd>,
    stays: bool,
}

impl<V: Vmm + Manage> Host<V> {
    /// A machine without clients.
    pub fn new(server: Server<V>) -> Self {
        Self {
            server,
            clients: Vec::new(),
            listeners: Vec::new(),
            sources: Vec::new(),
            stop: None,
            stays: false,
        }
    }

    /// Adds a client that is connected.
    pub fn connect(&mut self, endpoint: Endpoint, protocol: Protocol) {
        let talk: Box<dyn Talk<V>> = match protocol {
            Protocol::Qtest => Box::new(self.server.connect(Limits::default())),
            Protocol::Qmp => Box::new(Monitor::new(self.server.vmm())),
        };
        self.clients.push(Client {
            endpoint,
            talk,
            gone: false,
        });
    }

    /// Accepts clients, any number of them.
    pub fn listen(&mut self, listener: UnixListener, protocol: Protocol) {
        self.listeners.push((listener, protocol));
    }

    /// Has `action` called whenever `fd` is readable, until it answers `false`.
    pub fn watch(&mut self, fd: OwnedFd, action: impl FnMut(&mut V) -> bool + Send + 'static) {
        self.sources.push((fd, Box::new(action)));
    }

    /// Ends [`run`](Self::run) when `fd` is readable: a signal has come.
    pub fn stop_on(&mut self, fd: OwnedFd) {
        self.stop = Some(fd);
    }

    /// Whether the machine goes on when its last client is gone, as a QEMU does.
    pub fn stay(&mut self, stays: bool) {
        self.stays = stays;
    }

    /// Serves until the machine has quit, or is stopped, or nobody is left who could ask anything.
    ///
    /// # Errors
    ///
    /// If waiting for the clients fails. What goes wrong with one client ends that client's connection only.
    pub fn run(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK];
        loop {
            self.tell();
            if self.server.vmm().has_quit() {
                return Ok(());
            }
            if !self.stays && self.clients.is_empty() && self.listeners.is_empty() {
                return Ok(());
            }
            if !self.wait(&mut buffer, None)? {
                return Ok(());
            }
        }
    }

    /// Has one more client of qtest, which is in this thread.
    pub fn inside(mut self) -> Inside<V> {
        let connection = self.server.connect(Limits::default());
        Inside {
            host: self,
            connection,
            buffer: vec![0; CHUNK],
        }
    }

    /// The machine, when all is over.
    pub fn into_server(self) -> Server<V> {
        self.server
    }

    /// Waits, so long or for ever, and takes what came; `false` if it is to stop.
    fn wait(&mut self, buffer: &mut [u8], until: Option<Instant>) -> io::Result<bool> {
        let mut fds = Vec::with_capacity(2 * self.clients.len() + 4);
        for client in &self.clients {
            let reading = if client.talk.wants_input() {
                PollFlags::IN
            } else {
                PollFlags::empty()
            };
            let writing = if client.talk.output().is_empty() {
                PollFlags::empty()
            } else {
                PollFlags::OUT
            };
            match &client.endpoint.output {
                None => fds.push(PollFd::new(&client.endpoint.input, reading | writing)),
                Some(output) => {
                    fds.push(PollFd::new(&client.endpoint.input, reading));
                    fds.push(PollFd::new(output, writing));
                }
            }
        }
        for (listener, _) in &self.listeners {
            fds.push(PollFd::new(listener, PollFlags::IN));
        }
        for (source, _) in &self.sources {
            fds.push(PollFd::new(source, PollFlags::IN));
        }
        if let Some(stop) = &self.stop {
            fds.push(PollFd::new(stop, PollFlags::IN));
        }
        retry_on_intr(|| {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            poll(&mut fds, left.as_ref())
        })?;
        let events: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        drop(fds);
        let mut events = events.into_iter();
        let mut next = || events.next().unwrap_or(PollFlags::empty());

        for client in &mut self.clients {
            let mut found = next();
            if client.endpoint.output.is_some() {
                found |= next();
            }
            if found.intersects(PollFlags::OUT) {
                flush(&mut self.server, client, true);
            }
            let ended = PollFlags::HUP | PollFlags::ERR;
            if found.intersects(PollFlags::IN) && client.talk.wants_input() {
                match client.endpoint.read(buffer) {
                    Ok(0) => client.gone = true,
                    Ok(count) => client.talk.receive(&mut self.server, &buffer[..count]),
                    Err(Errno::AGAIN) => {}
                    Err(_) => client.gone = true,
                }
            } else if found.intersects(ended) && !found.intersects(PollFlags::IN) {
                client.gone = true;
            }
        }
        let mut accepted = Vec::new();
        for (listener, protocol) in &self.listeners {
            if next().intersects(PollFlags::IN) {
                if let Ok((stream, _)) = listener.accept() {
                    accepted.push((Endpoint::socket(stream), *protocol));
                }
            }
        }
        let vmm = self.server.vmm_mut();
        self.sources
            .retain_mut(|(_, action)| next().is_empty() || action(vmm));
        let stopped = self.stop.is_some() && !next().is_empty();
        for (endpoint, protocol) in accepted {
            self.connect(endpoint, protocol);
        }
        Ok(!stopped)
    }

    /// Gives the clients what they have to get, as far as they take it now.
    fn tell(&mut self) {
        self.tell_events();
        self.flush();
        self.clients_that_left();
    }

    fn tell_events(&mut self) {
        for event in self.server.vmm_mut().events() {
            for client in &mut self.clients {
                client.talk.event(&event);
            }
        }
        for client in &mut self.clients {
            client.talk.poll(&mut self.server);
        }
    }

    fn flush(&mut self) {
        for client in &mut self.clients {
            flush(&mut self.server, client, false);
        }
    }

    fn clients_that_left(&mut self) {
        let mut at = 0;
        while at < self.clients.len() {
            if self.clients[at].gone || self.clients[at].talk.is_lost() {
                let client = self.clients.swap_remove(at);
                client.talk.close(&mut self.server);
            } else {
                at += 1;
            }
        }
    }
}

/// Sends what can be sent now.
fn flush<V>(server: &mut Server<V>, client: &mut Client<V>, sure: bool) {
    while !client.gone && !client.talk.output().is_empty() {
        match client.endpoint.write(client.talk.output(), sure) {
            Ok(count) => client.talk.sent(server, count),
            Err(Errno::AGAIN) => return,
            // What the client has sent before it left is still carried out.
            Err(_) => client.gone = true,
        }
        if sure && client.endpoint.output.is_some() {
            return;
        }
    }
}

/// A machine with its clients, in a thread that is a client of it, too: the byte stream of a [`Session`](testjig_qtest::Session).
///
/// What the other clients want is attended to when this one asks for something that could depend on it, or says so.
pub struct Inside<V> {
    host: Host<V>,
    connection: Connection,
    buffer: Vec<u8>,
}

impl<V: Vmm + Manage> Inside<V> {
    /// Takes what the other clients have sent, without waiting for any, and gives them what they have to get. `false` if the machine has
    /// quit.
    ///
    /// # Errors
    ///
    /// If looking for it fails.
    pub fn attend(&mut self) -> io::Result<bool> {
        self.host.tell();
        self.host.wait(&mut self.buffer, Some(Instant::now()))?;
        self.host.tell();
        Ok(!self.host.server.vmm().has_quit())
    }
}

impl<V: Vmm + Manage> Transport for Inside<V> {
    fn exchange(
        &mut self,
        out: &[u8],
        input: &mut [u8],
        deadline: Instant,
    ) -> io::Result<Progress> {
        // Monitors are attended to when their client waits for one; what comes by a wire, devices must not miss.
        if !self.host.sources.is_empty() {
            self.attend()?;
        }
        let mut progress = Progress::default();
        loop {
            let server = &mut self.host.server;
            if !out.is_empty() && self.connection.wants_input() {
                server.receive(&mut self.connection, out);
                progress.written = out.len();
            } else {
                server.resume(&mut self.connection);
            }
            if self.connection.output().is_empty() {
                server.poll(&mut self.connection);
            }
            self.host.tell();
            progress.read = self.connection.output().len().min(input.len());
            input[..progress.read].copy_from_slice(&self.connection.output()[..progress.read]);
            self.connection.sent(progress.read);
            progress.closed =
                self.host.server.vmm().has_quit() && self.connection.output().is_empty();
            if progress != Progress::default() || Instant::now() >= deadline {
                return Ok(progress);
            }
            self.host.wait(&mut self.buffer, Some(deadline))?;
        }
    }
}
