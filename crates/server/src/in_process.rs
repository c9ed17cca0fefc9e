//! [`InProcess`]: client and server in one process, without a system call between them.

use std::io;
use std::time::Instant;

use testjig_qtest::{Progress, Session, Transport};

use crate::connection::{Connection, Limits};
use crate::server::Server;
use crate::vmm::Vmm;

/// A server as the byte stream of a [`Session`]: the fastest way to test a device with `cargo test`.
///
/// ```
/// use testjig_server::{Clock, InProcess, Interrupts, Memory, Ports, Vmm};
///
/// /// One register at port 0x80.
/// #[derive(Default)]
/// struct Latch(u8);
///
/// impl Ports for Latch {
///     fn port_read(&mut self, port: u16, data: &mut [u8]) {
///         data.fill(if port == 0x80 { self.0 } else { 0xff });
///     }
///     fn port_write(&mut self, port: u16, data: &[u8]) {
///         if port == 0x80 {
///             self.0 = data[0];
///         }
///     }
/// }
/// impl Memory for Latch {}
/// impl Clock for Latch {}
/// impl Interrupts for Latch {}
/// impl Vmm for Latch {}
///
/// let mut machine = InProcess::session(Latch::default());
/// machine.outb(0x80, 0x5a)?;
/// assert_eq!(machine.inb(0x80)?, 0x5a);
/// # Ok::<(), testjig_qtest::Error>(())
/// ```
pub struct InProcess<V> {
    server: Server<V>,
    connection: Connection,
}

impl<V: Vmm> InProcess<V> {
    /// Connects to a server.
    pub fn new(mut server: Server<V>) -> Self {
        let connection = server.connect(Limits::default());
        Self { server, connection }
    }

    /// A session with a machine.
    pub fn session(vmm: V) -> Session<Self> {
        Session::new(Self::new(Server::new(vmm)))
    }

    /// The server.
    pub fn server(&self) -> &Server<V> {
        &self.server
    }

    /// The server, for instance to reach into its machine.
    pub fn server_mut(&mut self) -> &mut Server<V> {
        &mut self.server
    }
}

impl<V: Vmm> Transport for InProcess<V> {
    fn exchange(&mut self, out: &[u8], input: &mut [u8], _: Instant) -> io::Result<Progress> {
        let mut written = 0;
        if self.connection.wants_input() {
            self.server.receive(&mut self.connection, out);
            written = out.len();
        } else {
            self.server.resume(&mut self.connection);
        }
        if self.connection.output().is_empty() {
            self.server.poll(&mut self.connection);
        }
        let read = self.connection.output().len().min(input.len());
        input[..read].copy_from_slice(&self.connection.output()[..read]);
        self.connection.sent(read);
        Ok(Progress {
            written,
            read,
            closed: false,
        })
    }
}
