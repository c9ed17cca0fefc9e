//! [`Client`]: requests and what becomes of them.

use std::cell::Cell;

use super::{Body, Errno, HEADER, Kind, Parser, Qid, Virtio9p};
use crate::mem::{GuestAlloc, GuestBuf};
use crate::virtio::{Virtio, Virtqueue};

/// Bytes of the room for a reply.
pub const ROOM: u64 = 16 << 10;

/// How a file is opened (Linux's `open`).
pub mod lopen {
    /// To be read.
    pub const RDONLY: u32 = 0;
    /// To be written.
    pub const WRONLY: u32 = 1;
    /// Both.
    pub const RDWR: u32 = 2;
    /// Made if it is not there.
    pub const CREAT: u32 = 0o100;
    /// Only a directory.
    pub const DIRECTORY: u32 = 0o200_000;
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub qid: Qid,
    /// Where in the directory the next one is.
    pub offset: u64,
    /// Its type, as `readdir` has it: 4 is a directory, 8 a file.
    pub kind: u8,
    /// What it is called.
    pub name: String,
}

/// Attributes of a file, those that most tests look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Which of them mean something.
    pub valid: u64,
    /// What it is.
    pub qid: Qid,
    /// Type and permissions (Linux's `st_mode`).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Links.
    pub nlink: u64,
    /// Bytes.
    pub size: u64,
}

/// A request in guest memory.
#[derive(Debug)]
pub struct Pending {
    kind: Kind,
    tag: u16,
    request: GuestBuf,
    reply: GuestBuf,
    id: u16,
}

impl Pending {
    /// Its tag.
    pub fn tag(&self) -> u16 {
        self.tag
    }

    /// What the virtqueue calls it.
    pub fn id(&self) -> u16 {
        self.id
    }

    /// The request's memory.
    pub fn request(&self) -> &GuestBuf {
        &self.request
    }

    /// The reply's memory.
    pub fn reply(&self) -> &GuestBuf {
        &self.reply
    }
}

/// Who speaks to a device that was started.
#[derive(Debug)]
pub struct Client {
    driver: Virtio9p,
    queue: Virtqueue,
    next_tag: Cell<u16>,
}

impl Client {
    pub(super) fn new(driver: Virtio9p, queue: Virtqueue) -> Self {
        Self {
            driver,
            queue,
            next_tag: Cell::new(1),
        }
    }

    /// The device.
    pub fn device(&self) -> &Virtio {
        self.driver.device()
    }

    /// Its one virtqueue.
    pub fn queue(&self) -> &Virtqueue {
        &self.queue
    }

    fn alloc(&self) -> GuestAlloc {
        GuestAlloc::of(self.device().vm())
    }

    /// Shows a request, and does not wait for the reply.
    #[track_caller]
    pub fn begin(&self, kind: Kind, body: &Body) -> Pending {
        let tag = if kind == Kind::TVERSION {
            u16::MAX
        } else {
            self.next_tag.replace(self.next_tag.get() % 0x7fff + 1)
        };
        let request = self.alloc().copy_of(&body.message(kind, tag));
        let reply = self.alloc().buf(ROOM);
        reply.fill(0xee);
        let id = self.queue.add(&[request.readable(), reply.writable()]);
        self.queue.kick();
        Pending {
            kind,
            tag,
            request,
            reply,
            id,
        }
    }

    /// Waits for the reply to a request; its body.
    ///
    /// # Errors
    /// What the server says went wrong.
    ///
    /// # Panics
    /// If another request is answered, or by something that is no reply to it.
    #[track_caller]
    pub fn finish(&self, pending: &Pending) -> Result<Vec<u8>, Errno> {
        let used = self.queue.wait();
        assert_eq!(used.id, pending.id, "another request is answered");
        let reply = pending.reply.read_vec(0, used.len as usize);
        let mut head = Parser::new(&reply);
        let (size, kind, tag) = (head.u32(), Kind(head.u8()), head.u16());
        assert_eq!(size, used.len, "the reply has another size than it says");
        assert_eq!(tag, pending.tag, "the reply has another request's tag");
        if kind == Kind::RLERROR {
            let error = head.u32();
            assert!(head.is_done(), "an error has more than its number");
            return Err(Errno(error));
        }
        assert_eq!(kind, pending.kind.reply(), "the reply is of another kind");
        Ok(reply[HEADER..].to_vec())
    }

    /// Makes a request, and waits for the reply; its body.
    ///
    /// # Errors
    /// What the server says went wrong.
    #[track_caller]
    pub fn request(&self, kind: Kind, body: &Body) -> Result<Vec<u8>, Errno> {
        self.finish(&self.begin(kind, body))
    }

    /// Begins anew; message size and version that the server agrees to.
    ///
    /// # Errors
    /// What the server says went wrong.
    #[track_caller]
    pub fn version(&self, msize: u32, version: &str) -> Result<(u32, String), Errno> {
        let reply = self.request(Kind::TVERSION, &Body::new().u32(msize).text(version))?;
        let mut reply = Parser::new(&reply);
        let agreed = (reply.u32(), reply.text());
        assert!(reply.is_done());
        Ok(agreed)
    }

    /// Names the root of the file system.
    ///
    /// # Errors
    /// What the server says went wrong.
    #[track_caller]
    pub fn attach(&self, fid: u32, user: &str, tree: &str) -> Result<Qid, Errno> {
        let body = Body::new()
            .u32(fid)
            .u32(u32::MAX)
            .text(user)
            .text(tree)
            .u32(0);
        let reply = self.request(Kind::TATTACH, &body)?;
        Ok(Parser::new(&reply).qid())
    }

    /// Goes by names from a file to another, which gets a number; what is met on the way.
    ///
    /// # Errors
    /// What the server says went wrong.
    #[track_caller]
    pub fn walk(&self, fid: u32, new: u32, names: &[&str]) -> Result<Vec<Qid>, Errno> {
        let body = Body::new().u32(fid).u32(new).u16(names.len() as u16);
        let body = names.iter().fold(body, |body, name| body.text(name));
        let reply = self.request(Kind::TWALK, &body)?;
        let mut reply = Parser::new(&reply);
        let met = (0..reply.u16()).map(|_| reply.qid()).collect();
        assert!(reply.is_done());
        Ok(met)
    }

    /// Opens a file, by bits of [`lopen`]; what it is, and how many bytes are read or written at a time, 0 if that does not matter.
    ///
    /// # Errors
    /// What the server says went wrong.
    #[track_caller]
    pub fn lopen(&self, fid: u32, flags: u32) -> Result<(Qid, u32), Errno> {
        let reply = self.request(Kind::TLOPEN, &Body::new().u32(fid).u32(flags))?;
        let mut reply = Parser::new(&reply);
        Ok((reply.qid(), reply.u32()))
    }

    /// Reads.
    ///
    /// # Errors
    /// What the server says went wrong.
    #[track_caller]
    pub fn read(&self, fid: u32, offset: u64, count: u32) -> Result<Vec<u8>, Errno> {
        let body = Body::new().u32(fid).u64(offset).u32(count);
        let reply = self.request(Kind::TREAD, &body)?;
        let mut reply = Parser::new(&reply);
        let len = reply.u32();
        Ok(reply.bytes(len as usize).to_vec())
    }

    /// Writes; how many bytes were.
    ///
    /// # Errors
    /// What the server says went wrong.
    #[track_caller]
    pub fn write(&self, fid: u32, offset: u64, bytes: &[u8]) -> Result<u32, Errno> {
        let reply = self.request(Kind::TWRITE, &Self::write_body(fid, offset, bytes))?;
        Ok(Parser::new(&reply).u32())
    }

    /// The body of a request to write.
    pub fn write_body(fid: u32, offset: u64, bytes: &[u8]) -> Body {
        let body = Body::new().u32(fid).u64(offset);
        body.u32(bytes.len() as u32).bytes(bytes)
    }

    /// Entries of an open directory from an offset on, as many as fit into so many bytes.
    ///
    /// # Errors
    /// What the server says went wrong.
    #[track_caller]
    pub fn readdir(&self, fid: u32, offset: u64, count: u32) -> Result<Vec<Entry>, Errno> {
        let body = Body::new().u32(fid).u64(offset).u32(count);
        let reply = self.request(Kind::TREADDIR, &body)?;
        let mut reply = Parser::new(&reply);
        let len = reply.u32();
        assert!(len <= count, "more than was asked for: {len} bytes");
        let mut all = Vec::new();
        while !reply.is_done() {
            all.push(Entry {
                qid: reply.qid(),
                offset: reply.u64(),
                kind: reply.u8(),
                name: reply.text(),
            });
        }
        Ok(all)
    }

    /// Attributes of a file, those of this mask.
    ///
    /// # Errors
    /// What the server says went wrong.
    #[track_caller]
    pub fn getattr(&self, fid: u32, mask: u64) -> Result<Attributes, Errno> {
        let reply = self.request(Kind::TGETATTR, &Body::new().u32(fid).u64(mask))?;
        assert_eq!(reply.len(), 153, "a whole set of attributes");
        let mut reply = Parser::new(&reply);
        let (valid, qid) = (reply.u64(), reply.qid());
        let [mode, uid, gid] = [(); 3].map(|()| reply.u32());
        let [nlink, _rdev, size] = [(); 3].map(|()| reply.u64());
        Ok(Attributes {
            valid,
            qid,
            mode,
            uid,
            gid,
            nlink,
            size,
        })
    }

    /// Forgets a file's number.
    ///
    /// # Errors
    /// What the server says went wrong.
    #[track_caller]
    pub fn clunk(&self, fid: u32) -> Result<(), Errno> {
        self.request(Kind::TCLUNK, &Body::new().u32(fid))
            .map(|_| ())
    }
}
