//! [`Command`]: everything a client can ask, in types that can't say what would abort the server.

use std::fmt;
use std::time::Duration;

use crate::ext::Call;
use crate::reply::Shape;
use crate::word::Word;

/// Width of an access to guest-physical memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Width {
    /// One byte (`b`).
    B,
    /// Two bytes (`w`).
    W,
    /// Four bytes (`l`).
    L,
    /// Eight bytes (`q`).
    Q,
}

impl Width {
    /// The width in bytes: 1, 2, 4 or 8.
    pub const fn bytes(self) -> usize {
        match self {
            Self::B => 1,
            Self::W => 2,
            Self::L => 4,
            Self::Q => 8,
        }
    }

    /// The largest value of this width.
    pub const fn mask(self) -> u64 {
        u64::MAX >> (64 - 8 * self.bytes())
    }

    /// The letter that ends a command's name: `b`, `w`, `l` or `q`.
    pub const fn letter(self) -> char {
        match self {
            Self::B => 'b',
            Self::W => 'w',
            Self::L => 'l',
            Self::Q => 'q',
        }
    }
}

/// Width of a port access. There are no 8-byte ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortWidth {
    /// One byte (`b`).
    B,
    /// Two bytes (`w`).
    W,
    /// Four bytes (`l`).
    L,
}

impl From<PortWidth> for Width {
    fn from(width: PortWidth) -> Self {
        match width {
            PortWidth::B => Self::B,
            PortWidth::W => Self::W,
            PortWidth::L => Self::L,
        }
    }
}

impl PortWidth {
    /// The width in bytes: 1, 2 or 4.
    pub fn bytes(self) -> usize {
        Width::from(self).bytes()
    }

    /// The largest value of this width.
    pub fn mask(self) -> u32 {
        Width::from(self).mask() as u32
    }

    /// The letter that ends a command's name: `b`, `w` or `l`.
    pub fn letter(self) -> char {
        Width::from(self).letter()
    }
}

/// How the bytes of a block travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Two digits a byte (`read`, `write`).
    Hex,
    /// Four characters for three bytes (`b64read`, `b64write`): shorter lines, and quicker at both
    /// ends.
    #[default]
    Base64,
}

/// Byte order of the guest's CPU, as the server reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endianness {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

impl fmt::Display for Endianness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Little => "little",
            Self::Big => "big",
        })
    }
}

/// Virtual time or a span of it: 0 to 2⁶³−1 nanoseconds (292 years).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Nanos(i64);

impl Nanos {
    /// The largest value, 2⁶³−1 ns.
    pub const MAX: Self = Self(i64::MAX);

    /// `ns` nanoseconds, if they fit.
    pub const fn new(ns: u64) -> Option<Self> {
        if ns <= i64::MAX as u64 {
            Some(Self(ns as i64))
        } else {
            None
        }
    }

    /// The number of nanoseconds.
    pub const fn get(self) -> u64 {
        self.0 as u64
    }
}

impl From<u32> for Nanos {
    fn from(ns: u32) -> Self {
        Self(ns.into())
    }
}

impl From<Nanos> for Duration {
    fn from(ns: Nanos) -> Self {
        Self::from_nanos(ns.get())
    }
}

impl TryFrom<Duration> for Nanos {
    type Error = OutOfRange;

    fn try_from(span: Duration) -> Result<Self, OutOfRange> {
        u64::try_from(span.as_nanos())
            .ok()
            .and_then(Self::new)
            .ok_or(OutOfRange(
                "a span of virtual time must be less than 2^63 ns (292 years)",
            ))
    }
}

impl TryFrom<u64> for Nanos {
    type Error = OutOfRange;

    fn try_from(ns: u64) -> Result<Self, OutOfRange> {
        Self::new(ns).ok_or(OutOfRange(
            "virtual time must be less than 2^63 ns (292 years)",
        ))
    }
}

/// Length of a block: 1 to [`Length::MAX`] bytes. QEMU aborts on length 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Length(u32);

impl Length {
    /// The largest block of one command, 1 MiB.
    pub const MAX: u32 = 1 << 20;

    /// `bytes`, if that is a valid length.
    pub const fn new(bytes: u32) -> Option<Self> {
        if bytes >= 1 && bytes <= Self::MAX {
            Some(Self(bytes))
        } else {
            None
        }
    }

    /// The number of bytes.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<usize> for Length {
    type Error = OutOfRange;

    fn try_from(bytes: usize) -> Result<Self, OutOfRange> {
        u32::try_from(bytes)
            .ok()
            .and_then(Self::new)
            .ok_or(OutOfRange("a block has 1 to 1048576 bytes"))
    }
}

/// The bytes of a block write: 1 to [`Length::MAX`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Data(Box<[u8]>);

impl Data {
    /// A copy of `bytes`.
    ///
    /// # Errors
    ///
    /// If there are none, or more than [`Length::MAX`].
    pub fn new(bytes: &[u8]) -> Result<Self, OutOfRange> {
        Length::try_from(bytes.len())?;
        Ok(Self(bytes.into()))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl TryFrom<Vec<u8>> for Data {
    type Error = OutOfRange;

    fn try_from(bytes: Vec<u8>) -> Result<Self, OutOfRange> {
        Length::try_from(bytes.len())?;
        Ok(Self(bytes.into()))
    }
}

/// A number outside the range of the type it was meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OutOfRange(pub(crate) &'static str);

/// One request. Whatever a value of this type says is safe to send, except where a variant names
/// what only the machine can know.
///
/// Spellings and limits were checked against QEMU 11.1, which aborts on a malformed or missing
/// number, on a port above 0xffff, on a block of length 0 and on an empty word.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Command {
    /// `inb`, `inw`, `inl`: reads a port. Answered by a value.
    In {
        /// Access width.
        width: PortWidth,
        /// I/O port.
        port: u16,
    },
    /// `outb`, `outw`, `outl`: writes a port.
    Out {
        /// Access width.
        width: PortWidth,
        /// I/O port.
        port: u16,
        /// Value; bits above the width are not sent.
        value: u32,
    },
    /// `readb` … `readq`: reads guest-physical memory in the guest's byte order. Answered by a
    /// value.
    Read {
        /// Access width.
        width: Width,
        /// Guest-physical address.
        addr: u64,
    },
    /// `writeb` … `writeq`: writes guest-physical memory in the guest's byte order.
    Write {
        /// Access width.
        width: Width,
        /// Guest-physical address.
        addr: u64,
        /// Value; bits above the width are not sent.
        value: u64,
    },
    /// `read`, `b64read`: reads a block. Answered by its bytes.
    ReadBlock {
        /// Guest-physical address of the first byte.
        addr: u64,
        /// Length in bytes.
        len: Length,
        /// Spelling of the bytes in the reply.
        encoding: Encoding,
    },
    /// `write`, `b64write`: writes a block.
    WriteBlock {
        /// Guest-physical address of the first byte.
        addr: u64,
        /// What to write.
        data: Data,
        /// Spelling of the bytes in the request.
        encoding: Encoding,
    },
    /// `memset`: fills a block with one value.
    Memset {
        /// Guest-physical address of the first byte.
        addr: u64,
        /// Length in bytes.
        len: Length,
        /// Value of each byte.
        value: u8,
    },
    /// `clock_step`: moves the virtual clock by a span, or to its next timer. Answered by the new
    /// time.
    ClockStep(Option<Nanos>),
    /// `clock_set`: moves the virtual clock to a time. Answered by the new time.
    ClockSet(Nanos),
    /// `irq_intercept_in`: reports the levels of a device's input pins instead of passing them on.
    ///
    /// QEMU aborts when the path names an object that is not a device.
    InterceptIn {
        /// QOM path of the device.
        path: Word,
    },
    /// `irq_intercept_out`: reports the levels of a device's output pins.
    ///
    /// QEMU aborts when the path names an object that is not a device.
    InterceptOut {
        /// QOM path of the device.
        path: Word,
        /// Name of the GPIO list; the unnamed list if absent.
        name: Option<Word>,
    },
    /// `set_irq_in`: drives an input pin.
    ///
    /// QEMU aborts when the device has no such list or pin, or when the path names an object that
    /// is not a device.
    SetIrqIn {
        /// QOM path of the device.
        path: Word,
        /// Name of the GPIO list; the unnamed list if absent.
        name: Option<Word>,
        /// Number of the pin in its list.
        number: u16,
        /// Level; 0 is low, anything else is high for most devices.
        level: i32,
    },
    /// `module_load`: loads one of QEMU's modules.
    ModuleLoad {
        /// Prefix of the module's file name, for example `hw-`.
        prefix: Word,
        /// Rest of the module's file name without suffix, for example `display-qxl`.
        name: Word,
    },
    /// `endianness`: asks for the guest's byte order.
    Endianness,
    /// A command of some machines only; see [`Extension`](crate::Extension).
    Extension(Call),
}

/// The name that [`Command::SetIrqIn`] gives to the unnamed list of input pins.
pub(crate) const UNNAMED_GPIO_IN: &str = "unnamed-gpio-in";

impl Command {
    /// What a successful reply to this command looks like.
    pub fn shape(&self) -> Shape {
        match *self {
            Self::In { width, .. } => Shape::Port(width),
            Self::Read { width, .. } => Shape::Value(width),
            Self::ReadBlock { len, encoding, .. } => Shape::Bytes { len, encoding },
            Self::ClockStep(_) | Self::ClockSet(_) => Shape::Nanos,
            Self::Endianness => Shape::Endianness,
            Self::Extension(_) => Shape::Text,
            Self::Out { .. }
            | Self::Write { .. }
            | Self::WriteBlock { .. }
            | Self::Memset { .. }
            | Self::InterceptIn { .. }
            | Self::InterceptOut { .. }
            | Self::SetIrqIn { .. }
            | Self::ModuleLoad { .. } => Shape::Done,
        }
    }
}

/// The line as it travels, the bytes of a long block elided.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown {
            command: self,
            elided: 0,
        }
        .fmt(f)
    }
}

/// A command of which `elided` bytes of the block are missing.
pub(crate) struct Shown<'a> {
    pub(crate) command: &'a Command,
    pub(crate) elided: usize,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 16;
        match self.command {
            Command::WriteBlock {
                addr,
                data,
                encoding,
            } if data.bytes().len() + self.elided > SHOWN => {
                let name = match encoding {
                    Encoding::Hex => "write",
                    Encoding::Base64 => "b64write",
                };
                let bytes = data.bytes();
                let len = bytes.len() + self.elided;
                let shown = const_hex::encode(&bytes[..bytes.len().min(SHOWN)]);
                write!(f, "{name} {addr:#x} {len:#x} 0x{shown}…")
            }
            command => {
                let mut line = Vec::with_capacity(64);
                command.encode(&mut line);
                line.pop();
                f.write_str(&String::from_utf8_lossy(&line))
            }
        }
    }
}
