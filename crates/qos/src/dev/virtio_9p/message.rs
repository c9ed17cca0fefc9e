//! Messages: [`Body`] makes them, [`Parser`] takes them apart. All integers are little-endian.

use std::fmt;

/// Bytes before each message's body: size, kind, tag.
pub const HEADER: usize = 7;

/// What a message is. A reply's number is its request's and one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kind(pub u8);

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $number:literal;)*) => {
        impl Kind {
            $($(#[$doc])* pub const $name: Self = Self($number);)*
            const NAMES: &'static [(u8, &'static str)] = &[$(($number, stringify!($name))),*];
        }
    };
}

kinds! {
    /// The reply to a request that failed.
    RLERROR = 7;
    /// Of the file system: sizes and counts.
    TSTATFS = 8;
    /// Opens a file.
    TLOPEN = 12;
    /// Makes a file, and opens it.
    TLCREATE = 14;
    /// Makes a symbolic link.
    TSYMLINK = 16;
    /// Makes a special file.
    TMKNOD = 18;
    /// Renames a file.
    TRENAME = 20;
    /// Where a symbolic link leads.
    TREADLINK = 22;
    /// Attributes of a file.
    TGETATTR = 24;
    /// Changes attributes of a file.
    TSETATTR = 26;
    /// Opens an extended attribute.
    TXATTRWALK = 30;
    /// Makes an extended attribute.
    TXATTRCREATE = 32;
    /// Entries of a directory.
    TREADDIR = 40;
    /// Has a file written to its disk.
    TFSYNC = 50;
    /// Makes a hard link.
    TLINK = 70;
    /// Makes a directory.
    TMKDIR = 72;
    /// Renames an entry of a directory.
    TRENAMEAT = 74;
    /// Removes an entry of a directory.
    TUNLINKAT = 76;
    /// Begins anew, with a version and a size.
    TVERSION = 100;
    /// Begins to say who one is.
    TAUTH = 102;
    /// Names the root of a file system.
    TATTACH = 104;
    /// A request that nobody waits for any more.
    TFLUSH = 108;
    /// Goes from file to file by names.
    TWALK = 110;
    /// Reads.
    TREAD = 116;
    /// Writes.
    TWRITE = 118;
    /// Forgets a file's number.
    TCLUNK = 120;
    /// Removes a file, and forgets its number.
    TREMOVE = 122;
}

impl Kind {
    /// The reply to this request.
    #[must_use]
    pub const fn reply(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMES.iter().find(|(number, _)| *number == self.0) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "Kind({})", self.0),
        }
    }
}

/// Why a request failed, by Linux's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Errno(pub u32);

impl Errno {
    /// Operation not permitted.
    pub const EPERM: Self = Self(1);
    /// No such file.
    pub const ENOENT: Self = Self(2);
    /// Not a directory.
    pub const ENOTDIR: Self = Self(20);
    /// Invalid argument.
    pub const EINVAL: Self = Self(22);
    /// Read-only file system.
    pub const EROFS: Self = Self(30);
    /// Not implemented.
    pub const ENOSYS: Self = Self(38);
    /// Message too long.
    pub const EMSGSIZE: Self = Self(90);
    /// Operation not supported.
    pub const EOPNOTSUPP: Self = Self(95);
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server answers with error {}", self.0)
    }
}

impl std::error::Error for Errno {}

/// What a file is to the server, whatever number the client gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Qid {
    /// Bits: 0x80 is a directory, 0x02 a symbolic link.
    pub kind: u8,
    /// Changes when the file does.
    pub version: u32,
    /// Which file.
    pub path: u64,
}

impl Qid {
    /// Whether it is a directory.
    pub fn is_directory(self) -> bool {
        self.kind & 0x80 != 0
    }
}

/// A message's body in the making.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body(Vec<u8>);

impl Body {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// And a byte.
    #[must_use]
    pub fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    /// And 16 bits.
    #[must_use]
    pub fn u16(self, value: u16) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    /// And 32 bits.
    #[must_use]
    pub fn u32(self, value: u32) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    /// And 64 bits.
    #[must_use]
    pub fn u64(self, value: u64) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    /// And bytes as they are.
    #[must_use]
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    /// And a text: its length in 16 bits, and its bytes.
    #[must_use]
    pub fn text(self, text: &str) -> Self {
        self.u16(text.len() as u16).bytes(text.as_bytes())
    }

    /// The message: its size, kind and tag before it.
    pub fn message(&self, kind: Kind, tag: u16) -> Vec<u8> {
        let size = (HEADER + self.0.len()) as u32;
        let mut message = size.to_le_bytes().to_vec();
        message.push(kind.0);
        message.extend(tag.to_le_bytes());
        message.extend(&self.0);
        message
    }
}

/// What is left of a message's body.
#[derive(Clone, Debug)]
pub struct Parser<'a>(&'a [u8]);

impl<'a> Parser<'a> {
    /// All of a body.
    pub fn new(body: &'a [u8]) -> Self {
        Self(body)
    }

    /// Whether nothing is left.
    pub fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    /// The next bytes.
    ///
    /// # Panics
    /// If there are fewer.
    #[track_caller]
    pub fn bytes(&mut self, len: usize) -> &'a [u8] {
        let Some((bytes, rest)) = self.0.split_at_checked(len) else {
            panic!("a message ends {} bytes early", len - self.0.len());
        };
        self.0 = rest;
        bytes
    }

    #[track_caller]
    fn int(&mut self, len: usize) -> u64 {
        let join = |value: u64, &byte: &u8| value << 8 | u64::from(byte);
        self.bytes(len).iter().rev().fold(0, join)
    }

    /// A byte.
    #[track_caller]
    pub fn u8(&mut self) -> u8 {
        self.int(1) as u8
    }

    /// 16 bits.
    #[track_caller]
    pub fn u16(&mut self) -> u16 {
        self.int(2) as u16
    }

    /// 32 bits.
    #[track_caller]
    pub fn u32(&mut self) -> u32 {
        self.int(4) as u32
    }

    /// 64 bits.
    #[track_caller]
    pub fn u64(&mut self) -> u64 {
        self.int(8)
    }

    /// A text; what is no UTF-8 of it is replaced.
    #[track_caller]
    pub fn text(&mut self) -> String {
        let len = self.u16();
        String::from_utf8_lossy(self.bytes(len.into())).into_owned()
    }

    /// What a file is.
    #[track_caller]
    pub fn qid(&mut self) -> Qid {
        Qid {
            kind: self.u8(),
            version: self.u32(),
            path: self.u64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_taken_apart() {
        let body = Body::new().u8(1).u16(2).u32(3).u64(4).text("five");
        let message = body.message(Kind::TWALK, 0x0102);
        assert_eq!(message[..HEADER], [28, 0, 0, 0, 110, 2, 1]);
        let mut parser = Parser::new(&message[HEADER..]);
        assert_eq!(parser.u8(), 1);
        assert_eq!(parser.u16(), 2);
        assert_eq!(parser.u32(), 3);
        assert_eq!(parser.u64(), 4);
        assert_eq!(parser.text(), "five");
        assert!(parser.is_done());
    }

    #[test]
    fn replies_follow_their_requests() {
        assert_eq!(Kind::TVERSION.reply(), Kind(101));
        assert_eq!(format!("{:?}", Kind::TVERSION), "TVERSION");
    }

    #[test]
    #[should_panic(expected = "a message ends 1 bytes early")]
    fn a_message_that_ends_early_is_told_of() {
        Parser::new(&[1, 0, 0]).u32();
    }
}
