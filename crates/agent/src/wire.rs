//! The protocol between host and agent: frames, requests and replies.
//!
//! A frame is a length (32 bits, of what follows it, at most [`MAX_FRAME`]), an identifier (32 bits), an operation (8 bits) and its
//! body. Numbers are little-endian; a string of bytes is preceded by its length in 32 bits. The host gives each request an identifier;
//! every reply to it carries the same one. Exec is answered by any number of outputs and then by how it ended, everything else by one
//! reply. [`Reply::Hello`] comes unasked, with the identifier 0, when the agent is ready.
//!
//! Neither side trusts the other's lengths: what does not decode is an error, never a panic.

use std::io::{self, Read, Write};

/// The version of this protocol, which the agent tells in its hello.
pub const VERSION: u32 = 2;
/// The longest frame, in bytes, without its length.
pub const MAX_FRAME: usize = 128 << 10;
/// The most bytes of a file or of output in one frame.
pub const MAX_BYTES: usize = 64 << 10;

/// What the host asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Answered at once with the same number.
    Ping(u64),
    /// Runs a program; its standard output and error come as [`Reply::Output`] in the order in which they were written.
    Exec {
        /// The program and its arguments.
        argv: Vec<Vec<u8>>,
        /// Its environment, `NAME=value`; nothing is inherited.
        env: Vec<Vec<u8>>,
        /// Its working directory.
        directory: Vec<u8>,
    },
    /// Sends a signal to the process group of the program that the request of that identifier started.
    Kill {
        /// The identifier.
        exec: u32,
        /// The signal's number.
        signal: u32,
    },
    /// Up to `length` bytes (at most [`MAX_BYTES`]) of a file.
    Read {
        /// The file.
        path: Vec<u8>,
        /// Where to begin, in bytes.
        offset: u64,
        /// How many bytes.
        length: u32,
    },
    /// Writes bytes to a file, which is created if it is missing.
    Write {
        /// The file.
        path: Vec<u8>,
        /// The permissions of a file that is created.
        mode: u32,
        /// Whether to add to the file instead of replacing what it holds.
        append: bool,
        /// What to write.
        bytes: Vec<u8>,
    },
    /// What kind of file there is.
    Stat(Vec<u8>),
    /// Waits until there is a file, or is none any more.
    WaitPath {
        /// The file.
        path: Vec<u8>,
        /// Whether it is to be there.
        present: bool,
        /// How long, in milliseconds.
        millis: u32,
    },
    /// Waits for a uevent with a number of at least `since` that holds all of `fields`.
    Uevent {
        /// The least number.
        since: u64,
        /// Whole fields, such as `ACTION=add` or `SUBSYSTEM=net`.
        fields: Vec<Vec<u8>>,
        /// How long, in milliseconds.
        millis: u32,
    },
    /// Writes a line to the kernel's log, and so to the console.
    Log(Vec<u8>),
    /// Writes everything to disks, and then ends the guest.
    Exit(Exit),
    /// Starts a shell that waits for an [`Exec`](Self::Exec) of `/bin/sh` with this file as its only argument, in `/`, and is used then.
    Prepare(Vec<u8>),
}

/// How a guest is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Not by itself: the disks are written, and the host ends the machine.
    Stay,
    /// It switches the machine off.
    PowerOff,
    /// It resets the machine.
    Reboot,
}

/// What the agent answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The agent is ready.
    Hello {
        /// [`VERSION`] of the agent.
        version: u32,
        /// The kernel's release.
        release: Vec<u8>,
        /// Microseconds since the kernel began.
        uptime: u64,
    },
    /// The number of the ping.
    Pong(u64),
    /// It is done.
    Done,
    /// It could not be done.
    Failed {
        /// The system's error number, or 0.
        errno: i32,
        /// In words.
        text: Vec<u8>,
    },
    /// Bytes of a file; fewer than asked for at its end.
    Data(Vec<u8>),
    /// What kind of file there is.
    Stat {
        /// Type and permissions, as in `st_mode`.
        mode: u32,
        /// Length in bytes.
        size: u64,
    },
    /// What a program wrote.
    Output(Vec<u8>),
    /// A program has ended by itself.
    Exited(i32),
    /// A signal ended a program.
    Signalled(i32),
    /// A uevent.
    Uevent {
        /// Its number, counted from 0 since the agent began.
        seq: u64,
        /// Its fields, each ended by a zero byte.
        fields: Vec<u8>,
    },
}

/// A frame that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// To which request it belongs.
    pub id: u32,
    /// The operation and its body.
    body: Vec<u8>,
}

impl Frame {
    /// A frame from what was between two lengths.
    ///
    /// # Errors
    /// If it is too short to be one.
    pub fn of(bytes: &[u8]) -> io::Result<Self> {
        match bytes.split_first_chunk() {
            Some((id, body)) if !body.is_empty() => Ok(Self {
                id: u32::from_le_bytes(*id),
                body: body.to_vec(),
            }),
            _ => Err(bad("a frame without an operation")),
        }
    }

    /// Receives a frame.
    ///
    /// # Errors
    /// If reading fails or the length is out of bounds.
    pub fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut length = [0; 4];
        from.read_exact(&mut length)?;
        let mut bytes = vec![0; checked_length(length)?];
        from.read_exact(&mut bytes)?;
        Self::of(&bytes)
    }

    /// The request that it holds.
    ///
    /// # Errors
    /// If it holds none.
    pub fn request(&self) -> io::Result<Request> {
        let mut fields = Fields(&self.body[1..]);
        let request = match self.body[0] {
            1 => Request::Ping(fields.u64()?),
            2 => Request::Exec {
                argv: fields.list()?,
                env: fields.list()?,
                directory: fields.bytes()?,
            },
            3 => Request::Kill {
                exec: fields.u32()?,
                signal: fields.u32()?,
            },
            4 => Request::Read {
                path: fields.bytes()?,
                offset: fields.u64()?,
                length: fields.u32()?,
            },
            5 => Request::Write {
                path: fields.bytes()?,
                mode: fields.u32()?,
                append: fields.flag()?,
                bytes: fields.bytes()?,
            },
            6 => Request::Stat(fields.bytes()?),
            7 => Request::WaitPath {
                path: fields.bytes()?,
                present: fields.flag()?,
                millis: fields.u32()?,
            },
            8 => Request::Uevent {
                since: fields.u64()?,
                fields: fields.list()?,
                millis: fields.u32()?,
            },
            9 => Request::Log(fields.bytes()?),
            10 => Request::Exit(match fields.u32()? {
                0 => Exit::Stay,
                1 => Exit::PowerOff,
                2 => Exit::Reboot,
                _ => return Err(bad("an unknown way to end")),
            }),
            11 => Request::Prepare(fields.bytes()?),
            _ => return Err(bad("an unknown request")),
        };
        fields.end().map(|()| request)
    }

    /// The reply that it holds.
    ///
    /// # Errors
    /// If it holds none.
    pub fn reply(&self) -> io::Result<Reply> {
        let mut fields = Fields(&self.body[1..]);
        let reply = match self.body[0] {
            128 => Reply::Hello {
                version: fields.u32()?,
                release: fields.bytes()?,
                uptime: fields.u64()?,
            },
            129 => Reply::Pong(fields.u64()?),
            130 => Reply::Done,
            131 => Reply::Failed {
                errno: fields.i32()?,
                text: fields.bytes()?,
            },
            132 => Reply::Data(fields.bytes()?),
            133 => Reply::Stat {
                mode: fields.u32()?,
                size: fields.u64()?,
            },
            134 => Reply::Output(fields.bytes()?),
            135 => Reply::Exited(fields.i32()?),
            136 => Reply::Signalled(fields.i32()?),
            137 => Reply::Uevent {
                seq: fields.u64()?,
                fields: fields.bytes()?,
            },
            _ => return Err(bad("an unknown reply")),
        };
        fields.end().map(|()| reply)
    }
}

/// The length of a frame, if it is one.
///
/// # Errors
/// If it is out of bounds.
pub fn checked_length(length: [u8; 4]) -> io::Result<usize> {
    match u32::from_le_bytes(length) as usize {
        length if (5..=MAX_FRAME).contains(&length) => Ok(length),
        length => Err(bad(&format!("a frame of {length} bytes"))),
    }
}

impl Request {
    /// The frame's bytes.
    ///
    /// # Errors
    /// If it is longer than a frame may be.
    pub fn encode(&self, id: u32) -> io::Result<Vec<u8>> {
        let frame = match self {
            Self::Ping(number) => Bytes::new(id, 1).u64(*number),
            Self::Exec {
                argv,
                env,
                directory,
            } => Bytes::new(id, 2).list(argv).list(env).bytes(directory),
            Self::Kill { exec, signal } => Bytes::new(id, 3).u32(*exec).u32(*signal),
            Self::Read {
                path,
                offset,
                length,
            } => Bytes::new(id, 4).bytes(path).u64(*offset).u32(*length),
            Self::Write {
                path,
                mode,
                append,
                bytes,
            } => Bytes::new(id, 5)
                .bytes(path)
                .u32(*mode)
                .flag(*append)
                .bytes(bytes),
            Self::Stat(path) => Bytes::new(id, 6).bytes(path),
            Self::WaitPath {
                path,
                present,
                millis,
            } => Bytes::new(id, 7).bytes(path).flag(*present).u32(*millis),
            Self::Uevent {
                since,
                fields,
                millis,
            } => Bytes::new(id, 8).u64(*since).list(fields).u32(*millis),
            Self::Log(text) => Bytes::new(id, 9).bytes(text),
            Self::Exit(how) => Bytes::new(id, 10).u32(match how {
                Exit::Stay => 0,
                Exit::PowerOff => 1,
                Exit::Reboot => 2,
            }),
            Self::Prepare(script) => Bytes::new(id, 11).bytes(script),
        };
        frame.finish()
    }
}

impl Reply {
    /// The frame's bytes.
    ///
    /// # Errors
    /// If it is longer than a frame may be.
    pub fn encode(&self, id: u32) -> io::Result<Vec<u8>> {
        let frame = match self {
            Self::Hello {
                version,
                release,
                uptime,
            } => Bytes::new(id, 128)
                .u32(*version)
                .bytes(release)
                .u64(*uptime),
            Self::Pong(number) => Bytes::new(id, 129).u64(*number),
            Self::Done => Bytes::new(id, 130),
            Self::Failed { errno, text } => Bytes::new(id, 131).i32(*errno).bytes(text),
            Self::Data(bytes) => Bytes::new(id, 132).bytes(bytes),
            Self::Stat { mode, size } => Bytes::new(id, 133).u32(*mode).u64(*size),
            Self::Output(bytes) => Bytes::new(id, 134).bytes(bytes),
            Self::Exited(status) => Bytes::new(id, 135).i32(*status),
            Self::Signalled(signal) => Bytes::new(id, 136).i32(*signal),
            Self::Uevent { seq, fields } => Bytes::new(id, 137).u64(*seq).bytes(fields),
        };
        frame.finish()
    }

    /// Sends it.
    ///
    /// # Errors
    /// If writing fails, or it is longer than a frame may be.
    pub fn write(&self, id: u32, to: &mut impl Write) -> io::Result<()> {
        to.write_all(&self.encode(id)?)?;
        to.flush()
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{what} is not of this protocol"),
    )
}

/// What is left of a body.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn chunk<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let (chunk, rest) = self
            .0
            .split_first_chunk()
            .ok_or_else(|| bad("a body that is too short"))?;
        self.0 = rest;
        Ok(*chunk)
    }

    fn u32(&mut self) -> io::Result<u32> {
        self.chunk().map(u32::from_le_bytes)
    }

    fn i32(&mut self) -> io::Result<i32> {
        self.chunk().map(i32::from_le_bytes)
    }

    fn u64(&mut self) -> io::Result<u64> {
        self.chunk().map(u64::from_le_bytes)
    }

    fn flag(&mut self) -> io::Result<bool> {
        match self.u32()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(bad("a flag that is neither 0 nor 1")),
        }
    }

    fn bytes(&mut self) -> io::Result<Vec<u8>> {
        let length = self.u32()? as usize;
        let (bytes, rest) = self
            .0
            .split_at_checked(length)
            .ok_or_else(|| bad("a string that is longer than its frame"))?;
        self.0 = rest;
        Ok(bytes.to_vec())
    }

    fn list(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let count = self.u32()?;
        // Each takes four bytes at least, so a lying count ends early.
        (0..count).map(|_| self.bytes()).collect()
    }

    fn end(&self) -> io::Result<()> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(bad("a body that is too long"))
        }
    }
}

/// A frame in the making.
struct Bytes(Vec<u8>);

impl Bytes {
    fn new(id: u32, op: u8) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend(id.to_le_bytes());
        bytes.push(op);
        Self(bytes)
    }

    fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn i32(mut self, value: i32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn flag(self, value: bool) -> Self {
        self.u32(u32::from(value))
    }

    fn bytes(self, bytes: &[u8]) -> Self {
        // A length that does not fit is beyond a frame's, too, and refused at the end.
        let mut frame = self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        frame.0.extend(bytes);
        frame
    }

    fn list(self, items: &[Vec<u8>]) -> Self {
        let frame = self.u32(u32::try_from(items.len()).unwrap_or(u32::MAX));
        items.iter().fold(frame, |frame, item| frame.bytes(item))
    }

    fn finish(mut self) -> io::Result<Vec<u8>> {
        let length = self.0.len() - 4;
        if length > MAX_FRAME {
            return Err(bad(&format!("a frame of {length} bytes")));
        }
        // At most MAX_FRAME, which fits.
        self.0[..4].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        Ok(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<Vec<u8>> {
        words.iter().map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn requests_arrive_as_they_were_sent() {
        let requests = [
            Request::Ping(u64::MAX),
            Request::Exec {
                argv: words(&["sh", "-c", ""]),
                env: words(&["A=b"]),
                directory: b"/".to_vec(),
            },
            Request::Kill { exec: 7, signal: 9 },
            Request::Read {
                path: b"/a".to_vec(),
                offset: 1 << 40,
                length: 3,
            },
            Request::Write {
                path: b"/a".to_vec(),
                mode: 0o755,
                append: true,
                bytes: vec![0, 255],
            },
            Request::Stat(Vec::new()),
            Request::WaitPath {
                path: b"/dev/vda".to_vec(),
                present: false,
                millis: 5,
            },
            Request::Uevent {
                since: 2,
                fields: words(&["ACTION=add"]),
                millis: 1,
            },
            Request::Log(b"x".to_vec()),
            Request::Exit(Exit::Stay),
            Request::Exit(Exit::PowerOff),
            Request::Exit(Exit::Reboot),
            Request::Prepare(b"/tmp/test".to_vec()),
        ];
        for request in requests {
            let bytes = request.encode(42).expect("it is short");
            let frame = Frame::read(&mut &bytes[..]).expect("a frame");
            assert_eq!(frame.id, 42);
            assert_eq!(frame.request().expect("a request"), request);
            frame.reply().expect_err("a request is no reply");
        }
    }

    #[test]
    fn replies_arrive_as_they_were_sent() {
        let replies = [
            Reply::Hello {
                version: VERSION,
                release: b"6.1".to_vec(),
                uptime: 1,
            },
            Reply::Pong(3),
            Reply::Done,
            Reply::Failed {
                errno: 2,
                text: b"no".to_vec(),
            },
            Reply::Data(vec![1; MAX_BYTES]),
            Reply::Stat {
                mode: 0o100_644,
                size: 1 << 50,
            },
            Reply::Output(b"x".to_vec()),
            Reply::Exited(255),
            Reply::Signalled(9),
            Reply::Uevent {
                seq: 9,
                fields: b"ACTION=add\0".to_vec(),
            },
        ];
        for reply in replies {
            let bytes = reply.encode(0).expect("it is short");
            let frame = Frame::read(&mut &bytes[..]).expect("a frame");
            assert_eq!(frame.reply().expect("a reply"), reply);
            frame.request().expect_err("a reply is no request");
        }
    }

    #[test]
    fn a_lying_length_is_an_error() {
        let mut long = Reply::Output(b"abc".to_vec()).encode(1).expect("short");
        long[9] = 200;
        let frame = Frame::read(&mut &long[..]).expect("a frame");
        frame
            .reply()
            .expect_err("the string is longer than the frame");
        for length in [0, 4, MAX_FRAME as u32 + 1, u32::MAX] {
            checked_length(length.to_le_bytes()).expect_err("out of bounds");
        }
        Reply::Output(vec![0; MAX_FRAME])
            .encode(1)
            .expect_err("too long");
    }

    #[test]
    fn no_bytes_make_the_decoder_panic() {
        let mut state = 1_u64;
        for _ in 0..200_000 {
            let mut bytes = Vec::new();
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            for _ in 0..(state >> 60) + 5 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                // Small numbers, so that lengths and counts are often right.
                bytes.push(if state & 1 << 40 == 0 {
                    (state >> 61) as u8
                } else {
                    (state >> 56) as u8
                });
            }
            if let Ok(frame) = Frame::of(&bytes) {
                let _ = (frame.request(), frame.reply());
            }
        }
    }
}
