//! [`Nic`]: a network device that works.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::{Ack, Config, ControlCommand, Header, NetFeature, VirtioNet};
use crate::mem::{GuestAlloc, GuestBuf};
use crate::virtio::{Features, Order, Segment, Virtio, Virtqueue};

/// A frame that the device has received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its header.
    pub header: Header,
    /// The frame.
    pub bytes: Vec<u8>,
    /// Which rooms it took, as [`Nic::give`] called them, and how many bytes the device says it wrote into each.
    pub rooms: Vec<(u16, u32)>,
}

/// A network device that was negotiated with and started.
#[derive(Debug)]
pub struct Nic {
    net: VirtioNet,
    receive: Vec<Virtqueue>,
    transmit: Vec<Virtqueue>,
    control: Option<Virtqueue>,
    /// Of the first receive virtqueue.
    rooms: RefCell<BTreeMap<u16, GuestBuf>>,
}

impl Nic {
    #[track_caller]
    pub(super) fn new(net: VirtioNet) -> Self {
        let device = net.device();
        let features = device.negotiated();
        let many = [NetFeature::MQ, NetFeature::RSS];
        let pairs = if many.iter().any(|&many| features.contains(many)) {
            net.config().max_virtqueue_pairs()
        } else {
            1
        };
        let receive = (0..pairs).map(|pair| device.queue(2 * pair)).collect();
        let transmit = (0..pairs).map(|pair| device.queue(2 * pair + 1)).collect();
        let control = features
            .contains(NetFeature::CTRL_VQ)
            .then(|| device.queue(2 * pairs));
        Self {
            net,
            receive,
            transmit,
            control,
            rooms: RefCell::default(),
        }
    }

    /// The driver, to start it anew.
    pub fn net(&self) -> &VirtioNet {
        &self.net
    }

    /// The device.
    pub fn device(&self) -> &Virtio {
        self.net.device()
    }

    /// Its configuration.
    pub fn config(&self) -> Config<'_> {
        self.net.config()
    }

    /// What was agreed on.
    pub fn features(&self) -> Features {
        self.device().negotiated()
    }

    /// Bytes before each frame.
    pub fn header_len(&self) -> usize {
        Header::len(self.features())
    }

    /// The first virtqueue of rooms for received frames.
    pub fn receive_queue(&self) -> &Virtqueue {
        &self.receive[0]
    }

    /// The first virtqueue of frames to send.
    pub fn transmit_queue(&self) -> &Virtqueue {
        &self.transmit[0]
    }

    /// Pairs of virtqueues that are set up.
    pub fn pairs(&self) -> usize {
        self.receive.len()
    }

    /// The virtqueue of commands.
    ///
    /// # Panics
    /// If it was not agreed on.
    #[track_caller]
    pub fn control_queue(&self) -> &Virtqueue {
        match &self.control {
            Some(control) => control,
            None => panic!("{:?} has no virtqueue of commands", self.device()),
        }
    }

    fn order(&self) -> Order {
        self.device().order()
    }

    fn alloc(&self) -> GuestAlloc {
        GuestAlloc::of(self.device().vm())
    }

    /// A header in guest memory, as long as it is to be.
    #[track_caller]
    pub fn header(&self, header: Header) -> GuestBuf {
        let mut bytes = header.to_bytes(self.order()).to_vec();
        bytes.resize(self.header_len(), 0);
        self.alloc().copy_of(&bytes)
    }

    /// Sends a frame, and waits until the device has done it.
    #[track_caller]
    pub fn send(&self, frame: &[u8]) {
        let [header, frame] = [self.header(Header::default()), self.alloc().copy_of(frame)];
        self.transmit_queue()
            .run(&[header.readable(), frame.readable()]);
    }

    /// Gives the device room for `len` bytes of a frame, and as many more as its header has; what the room is called.
    #[track_caller]
    pub fn give(&self, len: u64) -> u16 {
        let room = self.alloc().buf(len + self.header_len() as u64);
        room.fill(0xee);
        let id = self.receive_queue().add(&[room.writable()]);
        self.receive_queue().kick();
        self.rooms.borrow_mut().insert(id, room);
        id
    }

    /// Waits for a frame, takes it out of its rooms, and frees these.
    ///
    /// # Panics
    /// If the device uses a room that was not [given](Self::give), or wrote less than a header.
    #[track_caller]
    pub fn receive(&self) -> Received {
        let mut all = Vec::new();
        let mut rooms = Vec::new();
        let mut header = Header::default();
        loop {
            let used = self.receive_queue().wait();
            let Some(room) = self.rooms.borrow_mut().remove(&used.id) else {
                panic!("{:?} returns a room that was not given", self.device());
            };
            all.extend(room.read_vec(0, used.len as usize));
            rooms.push((used.id, used.len));
            if rooms.len() == 1 {
                header = Header::from_bytes(&all[..self.header_len()], self.order());
            }
            let wanted = if self.features().contains(NetFeature::MRG_RXBUF) {
                usize::from(header.num_buffers)
            } else {
                1
            };
            if rooms.len() >= wanted {
                break;
            }
        }
        Received {
            header,
            bytes: all.split_off(self.header_len()),
            rooms,
        }
    }

    /// Has a command done; what the device says of it.
    #[track_caller]
    pub fn command(&self, command: ControlCommand, data: &[u8]) -> Ack {
        let alloc = self.alloc();
        let head = alloc.copy_of(&[command.class, command.command]);
        let data = (!data.is_empty()).then(|| alloc.copy_of(data));
        let ack = alloc.copy_of(&[Ack::PENDING.0]);
        let mut segments = vec![head.readable()];
        segments.extend(data.as_ref().map(GuestBuf::readable));
        segments.push(ack.writable());
        self.control_queue().run(&segments);
        Ack(ack.read_le(0))
    }

    /// As [`command`](Self::command), with a 16-bit number.
    #[track_caller]
    pub fn command_u16(&self, command: ControlCommand, number: u16) -> Ack {
        self.command(command, &self.order().bytes16(number))
    }

    /// Which addresses are received while not all are; more than the device holds count as all.
    #[track_caller]
    pub fn set_mac_tables(&self, unicast: &[[u8; 6]], multicast: &[[u8; 6]]) -> Ack {
        let tables = super::mac_tables(self.order(), unicast, multicast);
        self.command(ControlCommand::MAC_TABLE_SET, &tables)
    }

    /// Sends a header and a frame in whatever pieces, and waits until the device has done it.
    #[track_caller]
    pub fn send_segments(&self, segments: &[Segment]) {
        self.transmit_queue().run(segments);
    }
}
