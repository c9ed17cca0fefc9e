//! The virtio SCSI host device: an adapter whose commands, task management and events go through virtqueues.
//!
//! Source: *Virtio 1.2* §5.6, cited by section; commands are of SPC-4 and SBC-3.
//!
//! [`VirtioScsi`] is the device as it is found, [`Hba`] one that works. A [`Command`] runs on one [`Lun`]; its [`Response`] tells apart
//! what the adapter says (`response`) and what the target does (`status`, sense).

use std::fmt;

use crate::mem::{GuestAlloc, GuestBuf};
use crate::virtio::{Features, Layout, Order, Segment, Virtio, Virtqueue};

/// The device type (§5).
pub const DEVICE_ID: u32 = 8;

/// Features of SCSI host devices (§5.6.3).
#[derive(Clone, Copy, Debug)]
pub struct ScsiFeature;

impl ScsiFeature {
    /// A command may have data both ways.
    pub const INOUT: Features = Features::bit(0);
    /// Targets that come and go are told of.
    pub const HOTPLUG: Features = Features::bit(1);
    /// Changes of a logical unit's parameters are told of.
    pub const CHANGE: Features = Features::bit(2);
    /// Protection information.
    pub const T10_PI: Features = Features::bit(3);
}

/// Offsets of the configuration's fields in bytes (§5.6.4). All have 32 bits unless it says otherwise.
pub mod field {
    /// Request virtqueues.
    pub const NUM_QUEUES: u32 = 0;
    /// Most segments of a command.
    pub const SEG_MAX: u32 = 4;
    /// Most sectors of a command.
    pub const MAX_SECTORS: u32 = 8;
    /// Most commands of a logical unit at a time.
    pub const CMD_PER_LUN: u32 = 12;
    /// Bytes of an event.
    pub const EVENT_INFO_SIZE: u32 = 16;
    /// Bytes of the sense data; the driver may write it.
    pub const SENSE_SIZE: u32 = 20;
    /// Bytes of a command's descriptor block; the driver may write it.
    pub const CDB_SIZE: u32 = 24;
    /// 16 bits.
    pub const MAX_CHANNEL: u32 = 28;
    /// 16 bits.
    pub const MAX_TARGET: u32 = 30;
    /// The highest logical unit.
    pub const MAX_LUN: u32 = 32;
}

/// Bytes of sense data and of a command descriptor block after a reset (§5.6.4).
pub const SENSE_SIZE: u32 = 96;
/// See [`SENSE_SIZE`].
pub const CDB_SIZE: u32 = 32;

/// A logical unit of a target (§5.6.6.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lun(pub [u8; 8]);

impl Lun {
    /// A target's logical unit, 0 to 16,383, by flat addressing.
    pub const fn new(target: u8, lun: u16) -> Self {
        Self([1, target, 0x40 | (lun >> 8) as u8, lun as u8, 0, 0, 0, 0])
    }

    /// Target and logical unit, by whichever of the two single-level addressings it is written (SAM-5 §4.7.7): peripheral or flat.
    pub const fn place(self) -> (u8, u16) {
        (self.0[1], (self.0[2] as u16 & 0x3f) << 8 | self.0[3] as u16)
    }

    /// The well-known logical unit that knows the others of a target: REPORT LUNS.
    pub const fn report_luns() -> Self {
        Self([0xc1, 0x01, 0, 0, 0, 0, 0, 0])
    }
}

impl fmt::Debug for Lun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lun({:02x?})", self.0)
    }
}

/// What the adapter says of a command (§5.6.6.1).
pub mod response {
    /// The target has answered.
    pub const OK: u8 = 0;
    /// There was more data than room.
    pub const OVERRUN: u8 = 1;
    /// It was aborted.
    pub const ABORTED: u8 = 2;
    /// There is no such target or logical unit.
    pub const BAD_TARGET: u8 = 3;
    /// A reset ended it.
    pub const RESET: u8 = 4;
    /// The queue is full.
    pub const BUSY: u8 = 5;
    /// Something else went wrong.
    pub const FAILURE: u8 = 9;
    /// Task management: it was done.
    pub const FUNCTION_SUCCEEDED: u8 = 10;
    /// Task management: it can't be done.
    pub const FUNCTION_REJECTED: u8 = 11;
    /// Task management: no such logical unit.
    pub const INCORRECT_LUN: u8 = 12;
}

/// Status of a target (SAM-5).
pub mod status {
    /// It was done.
    pub const GOOD: u8 = 0x00;
    /// Sense data say what went wrong.
    pub const CHECK_CONDITION: u8 = 0x02;
}

/// Task management functions (§5.6.6.2).
pub mod tmf {
    /// Ends one command.
    pub const ABORT_TASK: u32 = 0;
    /// Ends all of a logical unit.
    pub const ABORT_TASK_SET: u32 = 1;
    /// Ends a state that no logical unit here has.
    pub const CLEAR_ACA: u32 = 2;
    /// Ends all of a logical unit.
    pub const CLEAR_TASK_SET: u32 = 3;
    /// Resets a target.
    pub const I_T_NEXUS_RESET: u32 = 4;
    /// Resets a logical unit.
    pub const LOGICAL_UNIT_RESET: u32 = 5;
    /// Asks whether a command is under way.
    pub const QUERY_TASK: u32 = 6;
    /// Asks whether any is.
    pub const QUERY_TASK_SET: u32 = 7;
}

/// Events (§5.6.6.3).
pub mod event {
    /// Nothing but what the flag says.
    pub const NONE: u32 = 0;
    /// A target came, went, or was reset.
    pub const TRANSPORT_RESET: u32 = 1;
    /// A logical unit's parameters changed.
    pub const PARAM_CHANGE: u32 = 3;
    /// Others before it were lost for want of room.
    pub const MISSED: u32 = 1 << 31;
    /// Reason of [`TRANSPORT_RESET`]: look again.
    pub const RESCAN: u32 = 1;
    /// Reason of [`TRANSPORT_RESET`]: it is gone.
    pub const REMOVED: u32 = 2;
}

/// A virtio SCSI host device that nobody has negotiated with yet.
#[derive(Clone, Debug)]
pub struct VirtioScsi(Virtio);

impl VirtioScsi {
    /// The driver of a device of this type.
    pub fn new(device: Virtio) -> Self {
        Self(device.parallel())
    }

    /// The device.
    pub fn device(&self) -> &Virtio {
        &self.0
    }

    /// Negotiates all that it offers and this driver knows, and starts it with its first request virtqueue.
    #[track_caller]
    pub fn start(&self, layout: Layout) -> Hba {
        self.0.negotiate_layout(layout);
        self.start_negotiated()
    }

    /// Starts it as it was negotiated with.
    #[track_caller]
    pub fn start_negotiated(&self) -> Hba {
        let [control, events, requests] = [0, 1, 2].map(|index| self.0.queue(index));
        self.0.start();
        Hba {
            scsi: self.clone(),
            control,
            events,
            requests,
        }
    }
}

/// A command in guest memory.
#[derive(Debug)]
pub struct Command {
    request: GuestBuf,
    response: GuestBuf,
    out: Option<GuestBuf>,
    into: Option<GuestBuf>,
    order: Order,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// What the adapter says: one of [`response`].
    pub response: u8,
    /// What the target says: one of [`status`].
    pub status: u8,
    /// Bytes of the data that were not moved.
    pub residual: u32,
    /// Sense data, as long as the device says they are.
    pub sense: Vec<u8>,
}

impl Response {
    /// Whether adapter and target have done it.
    pub fn is_good(&self) -> bool {
        self.response == response::OK && self.status == status::GOOD
    }

    /// Sense key, additional sense code and its qualifier, of sense data in the fixed format (SPC-4 §4.5.3).
    pub fn sense_code(&self) -> Option<(u8, u8, u8)> {
        let key = self.sense.get(2)? & 0xf;
        Some((key, *self.sense.get(12)?, *self.sense.get(13)?))
    }
}

impl Command {
    /// Bytes of a response before the sense data.
    const RESPONSE_HEAD: u64 = 12;

    /// A command without data; its identity is `id`.
    #[track_caller]
    pub fn new(device: &Virtio, lun: Lun, id: u64, cdb: &[u8]) -> Self {
        let alloc = GuestAlloc::of(device.vm());
        let order = device.order();
        let request = alloc.buf(19 + u64::from(CDB_SIZE));
        request.write(0, &lun.0);
        request.write(8, &order.bytes64(id));
        request.write(19, cdb);
        let response = alloc.buf(Self::RESPONSE_HEAD + u64::from(SENSE_SIZE));
        response.fill(0xee);
        Self {
            request,
            response,
            out: None,
            into: None,
            order,
        }
    }

    /// With these bytes for the target.
    #[must_use]
    #[track_caller]
    pub fn sending(self, bytes: &[u8]) -> Self {
        let out = GuestAlloc::of(self.request.vm()).copy_of(bytes);
        Self {
            out: Some(out),
            ..self
        }
    }

    /// With room for so many bytes of the target's.
    #[must_use]
    #[track_caller]
    pub fn receiving(self, len: u64) -> Self {
        let into = GuestAlloc::of(self.request.vm()).buf(len);
        Self {
            into: Some(into),
            ..self
        }
    }

    /// What the target sent.
    ///
    /// # Panics
    /// If there was no room for it.
    #[track_caller]
    pub fn data(&self) -> Vec<u8> {
        match &self.into {
            Some(into) => into.to_vec(),
            None => panic!("this command receives no data"),
        }
    }

    /// The request's memory.
    pub fn request(&self) -> &GuestBuf {
        &self.request
    }

    /// The response's memory.
    pub fn response_bytes(&self) -> &GuestBuf {
        &self.response
    }

    /// Request, data, response, data: a segment each.
    pub fn segments(&self) -> Vec<Segment> {
        let mut segments = vec![self.request.readable()];
        segments.extend(self.out.as_ref().map(GuestBuf::readable));
        segments.push(self.response.writable());
        segments.extend(self.into.as_ref().map(GuestBuf::writable));
        segments
    }

    /// What became of it.
    #[track_caller]
    pub fn response(&self) -> Response {
        let head = self.response.read_vec(0, Self::RESPONSE_HEAD as usize);
        let sense = self.order.value(&head[..4]).min(SENSE_SIZE.into()) as usize;
        Response {
            response: head[11],
            status: head[10],
            residual: self.order.value(&head[4..8]) as u32,
            sense: self.response.read_vec(Self::RESPONSE_HEAD, sense),
        }
    }
}

/// An event that the device has told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// One of [`event`], with [`event::MISSED`] if others were lost.
    pub event: u32,
    /// Of which logical unit.
    pub lun: Lun,
    /// What about it.
    pub reason: u32,
}

/// An adapter that works.
#[derive(Debug)]
pub struct Hba {
    scsi: VirtioScsi,
    control: Virtqueue,
    events: Virtqueue,
    requests: Virtqueue,
}

impl Hba {
    /// The device.
    pub fn device(&self) -> &Virtio {
        self.scsi.device()
    }

    /// The virtqueue of task management and asynchronous notifications.
    pub fn control(&self) -> &Virtqueue {
        &self.control
    }

    /// The virtqueue of events.
    pub fn events(&self) -> &Virtqueue {
        &self.events
    }

    /// The first virtqueue of commands.
    pub fn requests(&self) -> &Virtqueue {
        &self.requests
    }

    /// A command without data.
    #[track_caller]
    pub fn command(&self, lun: Lun, cdb: &[u8]) -> Command {
        Command::new(self.device(), lun, 0, cdb)
    }

    /// Runs a command; what became of it.
    #[track_caller]
    pub fn run(&self, command: &Command) -> Response {
        self.requests.run(&command.segments());
        command.response()
    }

    /// Runs a command that receives data; what became of it, and the data.
    #[track_caller]
    pub fn receive(&self, lun: Lun, cdb: &[u8], len: u64) -> (Response, Vec<u8>) {
        let command = self.command(lun, cdb).receiving(len);
        (self.run(&command), command.data())
    }

    /// Runs commands without data until a logical unit has told all that it has to (SPC-4: unit attention).
    #[track_caller]
    pub fn ready(&self, lun: Lun) {
        for _ in 0..4 {
            if self.run(&self.command(lun, &[0; 6])).is_good() {
                return;
            }
        }
        panic!("{lun:?} does not become ready");
    }

    /// Has a task management function run, one of [`tmf`]; what the device says: one of [`response`].
    #[track_caller]
    pub fn manage(&self, function: u32, lun: Lun, id: u64) -> u8 {
        self.begin(function, lun, id).finish()
    }

    /// Begins a task management function, one of [`tmf`], that may have to wait for commands.
    #[track_caller]
    pub fn begin(&self, function: u32, lun: Lun, id: u64) -> Task<'_> {
        let order = self.device().order();
        let alloc = GuestAlloc::of(self.device().vm());
        let request = alloc.buf(24);
        request.write(4, &order.bytes32(function));
        request.write(8, &lun.0);
        request.write(16, &order.bytes64(id));
        let answer = alloc.copy_of(&[0xee]);
        let id = self.control.add(&[request.readable(), answer.writable()]);
        self.control.kick();
        Task {
            control: &self.control,
            _request: request,
            answer,
            id,
        }
    }

    /// Asks (kind 1) for asynchronous notifications or subscribes (kind 2) to them; which there are, and what the device says.
    #[track_caller]
    pub fn notifications(&self, kind: u32, lun: Lun, wanted: u32) -> (u32, u8) {
        let order = self.device().order();
        let alloc = GuestAlloc::of(self.device().vm());
        let request = alloc.buf(16);
        request.write(0, &order.bytes32(kind));
        request.write(4, &lun.0);
        request.write(12, &order.bytes32(wanted));
        let answer = alloc.copy_of(&[0xee; 5]);
        self.control.run(&[request.readable(), answer.writable()]);
        let bytes = answer.to_vec();
        (order.value(&bytes[..4]) as u32, bytes[4])
    }

    /// Gives the device room for an event, which is in the memory once it is used.
    #[track_caller]
    pub fn give_event(&self) -> GuestBuf {
        let room = GuestAlloc::of(self.device().vm()).buf(16);
        self.events.add(&[room.writable()]);
        self.events.kick();
        room
    }

    /// The event in a room.
    #[track_caller]
    pub fn event_in(&self, room: &GuestBuf) -> Event {
        let order = self.device().order();
        let bytes = room.to_vec();
        let mut lun = [0; 8];
        lun.copy_from_slice(&bytes[4..12]);
        Event {
            event: order.value(&bytes[..4]) as u32,
            lun: Lun(lun),
            reason: order.value(&bytes[12..]) as u32,
        }
    }
}

/// A task management function under way: [`Hba::begin`].
#[derive(Debug)]
pub struct Task<'a> {
    control: &'a Virtqueue,
    /// The device may not have read it yet.
    _request: GuestBuf,
    answer: GuestBuf,
    id: u16,
}

impl Task<'_> {
    /// Waits for its end; what the device says: one of [`response`].
    #[track_caller]
    pub fn finish(self) -> u8 {
        self.control.finish(self.id);
        self.answer.read_le(0)
    }
}
