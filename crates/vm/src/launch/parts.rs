//! What can be plugged into a [`Launch`](super::Launch).

#![expect(
    clippy::needless_pass_by_value,
    reason = "a value to be shown as text is written down at the call, not kept"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// A device of the guest: `-device`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Device {
    pub(crate) driver: String,
    pub(crate) props: Vec<(String, String)>,
}

impl Device {
    /// A device of the type that QEMU calls so: `virtio-blk-pci`.
    pub fn new(driver: impl Into<String>) -> Self {
        Self {
            driver: driver.into(),
            props: Vec::new(),
        }
    }

    /// Its id, by which monitors and other devices name it.
    #[must_use]
    pub fn id(self, id: impl Into<String>) -> Self {
        self.prop("id", id.into())
    }

    /// The bus to plug it into: `pci.0`.
    #[must_use]
    pub fn bus(self, bus: impl Into<String>) -> Self {
        self.prop("bus", bus.into())
    }

    /// A property. Commas in the value are escaped.
    #[must_use]
    pub fn prop(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.props.push((name.into(), value.to_string()));
        self
    }

    /// QEMU's name of the type.
    pub fn driver(&self) -> &str {
        &self.driver
    }

    /// The properties in the order they were given, id and bus among them.
    pub fn props(&self) -> &[(String, String)] {
        &self.props
    }
}

/// A default of all devices of a type: `-global`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Global {
    pub(crate) driver: String,
    pub(crate) property: String,
    pub(crate) value: String,
}

/// A backend object: `-object`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Object {
    pub(crate) kind: String,
    pub(crate) id: String,
    pub(crate) props: Vec<(String, String)>,
}

impl Object {
    /// An object of the type that QEMU calls so, `rng-builtin`, with an id of the test's choice.
    pub fn new(kind: impl Into<String>, id: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            id: id.into(),
            props: Vec::new(),
        }
    }

    /// A property. Commas in the value are escaped.
    #[must_use]
    pub fn prop(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.props.push((name.into(), value.to_string()));
        self
    }
}

/// What is on a drive when the machine starts. It lives in memory, holes take no room, and it goes with the machine.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Image {
    pub(crate) size: u64,
    pub(crate) extents: Vec<Extent>,
    pub(crate) file: Option<PathBuf>,
}

/// A run of bytes in an [`Image`] that are not zero.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Extent {
    pub(crate) offset: u64,
    pub(crate) bytes: Arc<[u8]>,
}

impl Serialize for Extent {
    /// For reports: where and how long, not the bytes.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.offset, self.bytes.len()).serialize(serializer)
    }
}

impl Image {
    /// `size` zero bytes. QEMU counts in sectors: a size that is not a multiple of 512 is rounded up by it.
    pub fn zeroed(size: u64) -> Self {
        Self {
            size,
            extents: Vec::new(),
            file: None,
        }
    }

    /// These bytes and nothing after them.
    pub fn bytes(bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        Self::zeroed(bytes.len() as u64).with(0, bytes)
    }

    /// A copy of a file as it is when the machine starts. The file itself is never written.
    pub fn file(path: impl AsRef<Path>) -> Self {
        Self {
            file: Some(path.as_ref().to_owned()),
            ..Self::zeroed(0)
        }
    }

    /// The image with these bytes at this offset, and as long as they need.
    #[must_use]
    pub fn with(mut self, offset: u64, bytes: impl Into<Arc<[u8]>>) -> Self {
        let bytes = bytes.into();
        self.size = self.size.max(offset + bytes.len() as u64);
        self.extents.push(Extent { offset, bytes });
        self
    }

    /// The image with zeroes after it, up to `size`.
    #[must_use]
    pub fn padded(mut self, size: u64) -> Self {
        self.size = self.size.max(size);
        self
    }
}

/// Which built-in interface of the machine a drive hangs on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub enum Interface {
    /// None: a [`Device`] names the drive in its `drive` property.
    #[default]
    None,
    /// The machine's IDE controller.
    Ide,
    /// The machine's floppy controller.
    Floppy,
    /// The machine's SCSI controller.
    Scsi,
    /// The machine's SD slot.
    Sd,
    /// The machine's parallel flash.
    Pflash,
    /// The machine's SPI or other memory technology device.
    Mtd,
}

impl Interface {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Ide => "ide",
            Self::Floppy => "floppy",
            Self::Scsi => "scsi",
            Self::Sd => "sd",
            Self::Pflash => "pflash",
            Self::Mtd => "mtd",
        }
    }
}

/// Bytes that the machine reads once.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Blob(pub(crate) Arc<[u8]>);

impl Serialize for Blob {
    /// For reports: how long.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.len().serialize(serializer)
    }
}

/// A drive and its image: `-blockdev`, or `-drive` on a built-in interface.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Drive {
    pub(crate) id: String,
    pub(crate) image: Image,
    pub(crate) read_only: bool,
    pub(crate) discard: bool,
    pub(crate) interface: Interface,
    pub(crate) index: Option<u32>,
    pub(crate) cdrom: bool,
    pub(crate) format: String,
    pub(crate) options: Vec<(String, String)>,
}

impl Drive {
    /// A writable raw drive on no interface. The id is what devices, [`Vm::disk`](crate::Vm::disk) and QMP (as a node
    /// name) call it.
    pub fn new(id: impl Into<String>, image: Image) -> Self {
        Self {
            id: id.into(),
            image,
            read_only: false,
            discard: false,
            interface: Interface::None,
            index: None,
            cdrom: false,
            format: "raw".into(),
            options: Vec::new(),
        }
    }

    /// Whether the guest may only read. The test may write at any time.
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Whether what the guest discards becomes a hole in the image (and so reads as zeroes).
    #[must_use]
    pub fn discard(mut self, discard: bool) -> Self {
        self.discard = discard;
        self
    }

    /// Hangs it on an interface that the machine has.
    #[must_use]
    pub fn interface(mut self, interface: Interface) -> Self {
        self.interface = interface;
        self
    }

    /// Which connector of a built-in interface, counted from 0 over all its buses.
    #[must_use]
    pub fn index(mut self, index: u32) -> Self {
        self.index = Some(index);
        self
    }

    /// Makes a drive on a built-in interface a CD-ROM, which is read-only.
    #[must_use]
    pub fn cdrom(mut self) -> Self {
        self.cdrom = true;
        self.read_only = true;
        self
    }

    /// The image's format, if it isn't `raw`: `qcow2`. QEMU reads such an image, [`Vm::disk`](crate::Vm::disk) still
    /// shows the bytes of the file.
    #[must_use]
    pub fn format(mut self, format: impl Into<String>) -> Self {
        self.format = format.into();
        self
    }

    /// One more option of the drive's node.
    #[must_use]
    pub fn option(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.options.push((name.into(), value.to_string()));
        self
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// A network backend: `-netdev`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Netdev {
    pub(crate) id: String,
    pub(crate) kind: NetdevKind,
    pub(crate) options: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub(crate) enum NetdevKind {
    Packets,
    Stream,
    Other(String),
}

impl Netdev {
    /// A wire to the test, one message a frame: [`Vm::channel`](crate::Vm::channel) is its other end.
    pub fn packets(id: impl Into<String>) -> Self {
        Self::of(id.into(), NetdevKind::Packets)
    }

    /// A wire to the test as a stream: before each frame its length, four bytes, most significant first.
    pub fn stream(id: impl Into<String>) -> Self {
        Self::of(id.into(), NetdevKind::Stream)
    }

    /// A backend of QEMU's own: `user`, `hubport`.
    pub fn new(kind: impl Into<String>, id: impl Into<String>) -> Self {
        Self::of(id.into(), NetdevKind::Other(kind.into()))
    }

    fn of(id: String, kind: NetdevKind) -> Self {
        Self {
            id,
            kind,
            options: Vec::new(),
        }
    }

    /// One more option. Commas in the value are escaped.
    #[must_use]
    pub fn option(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.options.push((name.into(), value.to_string()));
        self
    }
}

/// A character device: `-chardev`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Chardev {
    pub(crate) id: String,
    pub(crate) kind: ChardevKind,
    pub(crate) options: Vec<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub(crate) enum ChardevKind {
    Socket,
    Other(String),
}

impl Chardev {
    /// A socket to the test: [`Vm::channel`](crate::Vm::channel) is its other end.
    pub fn socket(id: impl Into<String>) -> Self {
        Self::of(id.into(), ChardevKind::Socket)
    }

    /// A ring in QEMU's memory of `size` bytes (a power of two), read with the QMP command `ringbuf-read`.
    pub fn ring(id: impl Into<String>, size: u64) -> Self {
        Self::new("ringbuf", id).option("size", size)
    }

    /// One that swallows everything.
    pub fn null(id: impl Into<String>) -> Self {
        Self::new("null", id)
    }

    /// A character device of the kind that QEMU calls so: `null`, `ringbuf`, `hub`.
    pub fn new(kind: impl Into<String>, id: impl Into<String>) -> Self {
        Self::of(id.into(), ChardevKind::Other(kind.into()))
    }

    fn of(id: String, kind: ChardevKind) -> Self {
        Self {
            id,
            kind,
            options: Vec::new(),
        }
    }

    /// One more option. Commas in the value are escaped.
    #[must_use]
    pub fn option(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.options.push((name.into(), value.to_string()));
        self
    }
}

/// An entry of the firmware configuration device: `-fw_cfg`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub enum FwCfg {
    /// Name and text; no terminating zero.
    String(String, String),
    /// Name and bytes.
    File(String, Vec<u8>),
}

/// The machine's time of day: `-rtc`.
///
/// The default shows the same moment at every start and is driven by the virtual clock, so that it stands still while
/// the test does not move it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Rtc {
    pub(crate) base: RtcBase,
    pub(crate) host_clock: bool,
    pub(crate) options: Vec<(String, String)>,
}

/// What a machine's clock shows when the machine starts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub enum RtcBase {
    /// The host's time in UTC.
    Utc,
    /// The host's local time.
    Localtime,
    /// A moment in UTC, `YYYY-MM-DDTHH:MM:SS`.
    At(String),
}

impl Default for Rtc {
    fn default() -> Self {
        Self::at("2026-01-15T12:00:00")
    }
}

impl Rtc {
    /// A clock that shows this moment at the start, `YYYY-MM-DDTHH:MM:SS` in UTC.
    pub fn at(moment: impl Into<String>) -> Self {
        Self::new(RtcBase::At(moment.into()))
    }

    /// A clock that shows the host's time at the start, in UTC.
    pub fn utc() -> Self {
        Self::new(RtcBase::Utc)
    }

    /// A clock that shows the host's local time at the start.
    pub fn localtime() -> Self {
        Self::new(RtcBase::Localtime)
    }

    fn new(base: RtcBase) -> Self {
        Self {
            base,
            host_clock: false,
            options: Vec::new(),
        }
    }

    /// Has the clock run with the host's, instead of the virtual one.
    #[must_use]
    pub fn host_clock(mut self) -> Self {
        self.host_clock = true;
        self
    }

    /// One more option, as `("driftfix", "slew")`.
    #[must_use]
    pub fn option(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.options.push((name.into(), value.to_string()));
        self
    }
}
