//! [`Disk`]: a block device that works.

use std::time::Duration;

use testjig_vm::{Condition, Vm};

use super::{Config, Kind, Range, Request, Status, VirtioBlk};
use crate::virtio::{Features, Virtio, Virtqueue};

/// How long of the host's time a device may take for a request.
const PATIENCE: Duration = Duration::from_secs(10);

/// A block device that was negotiated with and started.
///
/// Sectors are of 512 bytes.
#[derive(Debug)]
pub struct Disk {
    blk: VirtioBlk,
    queues: Vec<Virtqueue>,
}

impl Disk {
    pub(super) fn new(blk: VirtioBlk, queues: Vec<Virtqueue>) -> Self {
        Self { blk, queues }
    }

    /// The driver, to start it anew.
    pub fn blk(&self) -> &VirtioBlk {
        &self.blk
    }

    /// The device.
    pub fn device(&self) -> &Virtio {
        self.blk.device()
    }

    /// The machine.
    pub fn vm(&self) -> &Vm {
        self.device().vm()
    }

    /// Its configuration.
    pub fn config(&self) -> Config<'_> {
        self.blk.config()
    }

    /// What was agreed on.
    pub fn features(&self) -> Features {
        self.device().negotiated()
    }

    /// Its first virtqueue.
    pub fn queue(&self) -> &Virtqueue {
        &self.queues[0]
    }

    /// All of its virtqueues.
    pub fn queues(&self) -> &[Virtqueue] {
        &self.queues
    }

    /// A request without data.
    #[track_caller]
    pub fn request(&self, kind: Kind, sector: u64) -> Request {
        Request::new(self.device(), kind, sector)
    }

    /// Runs a request on the first virtqueue; what became of it.
    #[track_caller]
    pub fn run(&self, request: &Request) -> Status {
        self.queue().run(&request.segments());
        request.status()
    }

    /// Runs a request that must succeed.
    #[track_caller]
    fn must(&self, request: &Request, what: Kind) {
        let status = self.run(request);
        assert_eq!(status, Status::OK, "{what:?} failed");
    }

    /// Reads `len` bytes from this sector on.
    ///
    /// # Panics
    /// If the device reports an error.
    #[track_caller]
    pub fn read(&self, sector: u64, len: u64) -> Vec<u8> {
        let request = self.request(Kind::IN, sector).receiving(len);
        self.must(&request, Kind::IN);
        request.data().to_vec()
    }

    /// Writes bytes from this sector on.
    ///
    /// # Panics
    /// If the device reports an error.
    #[track_caller]
    pub fn write(&self, sector: u64, bytes: &[u8]) {
        let request = self.request(Kind::OUT, sector).sending(bytes);
        self.must(&request, Kind::OUT);
    }

    /// Reads; what the device says.
    #[track_caller]
    pub fn try_read(&self, sector: u64, len: u64) -> Status {
        self.run(&self.request(Kind::IN, sector).receiving(len))
    }

    /// Writes; what the device says.
    #[track_caller]
    pub fn try_write(&self, sector: u64, bytes: &[u8]) -> Status {
        self.run(&self.request(Kind::OUT, sector).sending(bytes))
    }

    /// Flushes; what the device says.
    #[track_caller]
    pub fn flush(&self) -> Status {
        self.run(&self.request(Kind::FLUSH, 0))
    }

    /// Discards sectors; what the device says.
    #[track_caller]
    pub fn discard(&self, range: Range) -> Status {
        self.run_range(Kind::DISCARD, range)
    }

    /// Has sectors read as zeroes; what the device says.
    #[track_caller]
    pub fn write_zeroes(&self, range: Range) -> Status {
        self.run_range(Kind::WRITE_ZEROES, range)
    }

    #[track_caller]
    fn run_range(&self, kind: Kind, range: Range) -> Status {
        let bytes = range.bytes(self.device().order());
        self.run(&self.request(kind, 0).sending(&bytes))
    }

    /// The disk's name: 20 bytes, filled up with zeroes.
    ///
    /// # Panics
    /// If the device reports an error.
    #[track_caller]
    pub fn id(&self) -> Vec<u8> {
        let request = self.request(Kind::GET_ID, 0).receiving(20);
        self.must(&request, Kind::GET_ID);
        request.data().to_vec()
    }

    /// Waits until the device says that it needs a reset.
    #[track_caller]
    pub fn wait_needs_reset(&self) {
        let broken = Condition::new(format!("{:?} needs a reset", self.device()), || {
            self.device().status().needs_reset()
        });
        self.vm().wait_until(broken, PATIENCE);
    }
}
