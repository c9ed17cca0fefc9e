//! [`Channel`]: where a character device, a monitor or the qtest server is connected.

use std::net::{TcpListener, TcpStream};
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use testjig_server::serve::Endpoint;

use super::Options;

/// A connection, or the place where one will come.
#[derive(Debug)]
pub(crate) enum Channel {
    Connected(Endpoint),
    Listening(UnixListener),
    Null,
}

impl Channel {
    /// `unix:PATH[,server=on,wait=off]`, `stdio`, `null`: as `-qtest`, `-qmp` and `-serial` have it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix("unix:") {
            return Self::unix(&Options::parse(rest, "path"));
        }
        if let Some(rest) = text.strip_prefix("tcp:") {
            return Self::tcp(&Options::parse(rest, "address"));
        }
        let mut options = Options::parse(text, "backend");
        let kind = options.take("backend").unwrap_or_default();
        Self::of_kind(&kind, &options)
    }

    /// A `-chardev` of a kind.
    pub(crate) fn of_kind(kind: &str, options: &Options) -> Result<Self, String> {
        match kind {
            "socket" if options.get("fd").is_some() => {
                let fd = options.number("fd")?.unwrap_or_default();
                let fd = RawFd::try_from(fd).map_err(|_| "no such descriptor".to_owned())?;
                Ok(Self::Connected(Endpoint::socket(inherited(fd)?)))
            }
            "socket" => Self::unix(options),
            "stdio" => Endpoint::stdio()
                .map(Self::Connected)
                .map_err(|error| format!("cannot use standard input and output: {error}")),
            "null" | "ringbuf" | "none" => Ok(Self::Null),
            _ => Err(format!("character device '{kind}': {}", super::NOT_HERE)),
        }
    }

    /// A connection over TCP: the machine calls, or waits to be called once.
    fn tcp(options: &Options) -> Result<Self, String> {
        let address = options.get("address").ok_or("an address is missing")?;
        let stream = if options.flag("server")? == Some(true) {
            let listener = TcpListener::bind(address)
                .map_err(|error| format!("Failed to bind socket to {address}: {error}"))?;
            listener.accept().map(|(stream, _)| stream)
        } else {
            TcpStream::connect(address)
        };
        let stream =
            stream.map_err(|error| format!("Failed to connect to '{address}': {error}"))?;
        // A request is a line, and nothing follows it until it is answered.
        let _ = stream.set_nodelay(true);
        Ok(Self::Connected(Endpoint::socket(stream)))
    }

    fn unix(options: &Options) -> Result<Self, String> {
        let path = options
            .get("path")
            .ok_or("a socket needs a path, or a descriptor: fd=N")?;
        if options.flag("server")? == Some(true) {
            let listener = UnixListener::bind(path)
                .map_err(|error| format!("Failed to bind socket to {path}: {error}"))?;
            if options.flag("wait")? == Some(false) {
                return Ok(Self::Listening(listener));
            }
            // As QEMU does unless told otherwise: the machine waits for its client.
            let (stream, _) = listener
                .accept()
                .map_err(|error| format!("Failed to accept a connection at {path}: {error}"))?;
            return Ok(Self::Connected(Endpoint::socket(stream)));
        }
        let stream = UnixStream::connect(path)
            .map_err(|error| format!("Failed to connect to '{path}': {error}"))?;
        Ok(Self::Connected(Endpoint::socket(stream)))
    }
}

/// A descriptor that the parent has left open for this process, as one that this process owns.
pub(crate) fn inherited(fd: RawFd) -> Result<OwnedFd, String> {
    pidfd_open(getpid(), PidfdFlags::empty())
        .and_then(|this| pidfd_getfd(this, fd, PidfdGetfdFlags::empty()))
        .map_err(|error| format!("file descriptor {fd} can't be used: {error}"))
}
