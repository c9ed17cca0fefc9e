//! [`Serial`]: a console device that works, and [`Port`].

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::{Config, Control, ControlEvent, SerialFeature, VirtioSerial};
use crate::mem::{GuestAlloc, GuestBuf};
use crate::virtio::{Features, Segment, Used, Virtio, Virtqueue};

/// Bytes of each room for a message that the driver gives by itself.
pub const CONTROL_ROOM: u64 = 64;
/// The rooms that the device gets at its start.
pub(super) const CONTROL_ROOMS: [u64; 16] = [CONTROL_ROOM; 16];

/// Rooms that the device has, by what the virtqueue calls them; in an order, so that a session is the same each time.
type Rooms = RefCell<BTreeMap<u16, GuestBuf>>;

/// A virtqueue that the device fills.
#[derive(Debug)]
struct Inbox {
    queue: Virtqueue,
    rooms: Rooms,
}

impl Inbox {
    fn new(queue: Virtqueue) -> Self {
        Self {
            queue,
            rooms: RefCell::default(),
        }
    }

    #[track_caller]
    fn add(&self, len: u64) -> u16 {
        let room = GuestAlloc::of(self.queue.device().vm()).buf(len);
        room.fill(0xee);
        let id = self.queue.add(&[room.writable()]);
        self.rooms.borrow_mut().insert(id, room);
        id
    }

    /// What is in the next room that the device has used, and frees it.
    #[track_caller]
    fn take(&self, used: Used) -> Vec<u8> {
        let Some(room) = self.rooms.borrow_mut().remove(&used.id) else {
            panic!("{:?} holds a room that was not given", self.queue);
        };
        let len = u64::from(used.len);
        assert!(
            len <= room.len(),
            "{:?} says that {len} bytes were written into a room of {}",
            self.queue,
            room.len()
        );
        assert!(
            room.to_vec()[used.len as usize..]
                .iter()
                .all(|&byte| byte == 0xee),
            "{:?} says that {len} bytes were written, and wrote more",
            self.queue
        );
        room.read_vec(0, used.len as usize)
    }
}

/// A port's two virtqueues.
#[derive(Debug)]
pub struct Port {
    number: u32,
    receive: Inbox,
    transmit: Virtqueue,
}

impl Port {
    #[track_caller]
    fn new(device: &Virtio, number: u16) -> Self {
        // §5.3.2: the virtqueues of messages stand between those of the first port and the others'.
        let first = if number == 0 { 0 } else { 2 * number + 2 };
        Self {
            number: number.into(),
            receive: Inbox::new(device.queue(first)),
            transmit: device.queue(first + 1),
        }
    }

    /// Its number.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The virtqueue of rooms for what comes from the host.
    pub fn receive_queue(&self) -> &Virtqueue {
        &self.receive.queue
    }

    /// The virtqueue of what goes to the host.
    pub fn transmit_queue(&self) -> &Virtqueue {
        &self.transmit
    }

    /// Sends bytes, and waits until the device has taken them.
    #[track_caller]
    pub fn send(&self, bytes: &[u8]) {
        let bytes = GuestAlloc::of(self.transmit.device().vm()).copy_of(bytes);
        self.send_segments(&[bytes.readable()]);
    }

    /// As [`send`](Self::send), in whatever pieces.
    #[track_caller]
    pub fn send_segments(&self, segments: &[Segment]) {
        self.transmit.run(segments);
    }

    /// Gives the device room for `len` bytes; what the room is called.
    #[track_caller]
    pub fn give(&self, len: u64) -> u16 {
        let id = self.receive.add(len);
        self.receive.queue.kick();
        id
    }

    /// Waits until the device has used a room, and takes what it wrote.
    ///
    /// # Panics
    /// If the device uses a room that was not [given](Self::give), or wrote another number of bytes than it says.
    #[track_caller]
    pub fn receive(&self) -> Vec<u8> {
        self.receive.take(self.receive.queue.wait())
    }

    /// As [`receive`](Self::receive), of as many rooms as these bytes take.
    ///
    /// # Panics
    /// If more arrives with the last of them.
    #[track_caller]
    pub fn receive_all(&self, len: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while all.len() < len {
            all.extend(self.receive());
        }
        assert_eq!(all.len(), len, "more bytes than were expected");
        all
    }
}

/// A console device that was negotiated with and started.
#[derive(Debug)]
pub struct Serial {
    driver: VirtioSerial,
    ports: Vec<Port>,
    /// What the device says, and what the driver says.
    control: Option<(Inbox, Virtqueue)>,
}

impl Serial {
    #[track_caller]
    pub(super) fn new(driver: VirtioSerial, rooms: &[u64]) -> Self {
        let device = driver.device();
        if !device.negotiated().contains(SerialFeature::MULTIPORT) {
            let ports = vec![Port::new(device, 0)];
            return Self {
                driver,
                ports,
                control: None,
            };
        }
        let count = driver.config().max_nr_ports();
        let ports = (0..count as u16)
            .map(|number| Port::new(device, number))
            .collect();
        let inbox = Inbox::new(device.queue(2));
        for &len in rooms {
            inbox.add(len);
        }
        let control = Some((inbox, device.queue(3)));
        Self {
            driver,
            ports,
            control,
        }
    }

    /// Shows the device the rooms for messages, which a started device may be notified of (§3.1.1).
    #[track_caller]
    pub(super) fn show_rooms(&self) {
        if let Some((inbox, _)) = &self.control {
            inbox.queue.kick();
        }
    }

    /// The driver, to start it anew.
    pub fn serial(&self) -> &VirtioSerial {
        &self.driver
    }

    /// The device.
    pub fn device(&self) -> &Virtio {
        self.driver.device()
    }

    /// Its configuration.
    pub fn config(&self) -> Config<'_> {
        self.driver.config()
    }

    /// What was agreed on.
    pub fn features(&self) -> Features {
        self.device().negotiated()
    }

    /// A port, which need not be there: its virtqueues are.
    ///
    /// # Panics
    /// If the device can't have a port of this number.
    #[track_caller]
    pub fn port(&self, number: u32) -> &Port {
        match self.ports.get(number as usize) {
            Some(port) => port,
            None => panic!("{:?} has {} ports at most", self.device(), self.ports.len()),
        }
    }

    #[track_caller]
    fn control(&self) -> &(Inbox, Virtqueue) {
        match &self.control {
            Some(control) => control,
            None => panic!("{:?} has no virtqueues of messages", self.device()),
        }
    }

    /// The virtqueue of rooms for what the device says.
    ///
    /// # Panics
    /// If several ports were not agreed on.
    #[track_caller]
    pub fn control_receive_queue(&self) -> &Virtqueue {
        &self.control().0.queue
    }

    /// The virtqueue of what the driver says.
    ///
    /// # Panics
    /// If several ports were not agreed on.
    #[track_caller]
    pub fn control_transmit_queue(&self) -> &Virtqueue {
        &self.control().1
    }

    /// Says something to the device, and waits until it has heard it.
    #[track_caller]
    pub fn say(&self, message: &Control) {
        self.say_bytes(&message.to_bytes(self.device().order()));
    }

    /// As [`say`](Self::say), whatever the bytes are.
    #[track_caller]
    pub fn say_bytes(&self, bytes: &[u8]) {
        let bytes = GuestAlloc::of(self.device().vm()).copy_of(bytes);
        self.control_transmit_queue().run(&[bytes.readable()]);
    }

    /// Waits until the device says something, and gives it the room back.
    ///
    /// # Panics
    /// If it is shorter than a message, or in a room that was not given.
    #[track_caller]
    pub fn hear(&self) -> Control {
        let inbox = &self.control().0;
        let used = inbox.queue.wait();
        self.heard(used)
    }

    /// What the device has said so far, without waiting.
    #[track_caller]
    pub fn overheard(&self) -> Vec<Control> {
        let queue = self.control_receive_queue();
        std::iter::from_fn(|| queue.pop().map(|used| self.heard(used))).collect()
    }

    #[track_caller]
    fn heard(&self, used: Used) -> Control {
        let inbox = &self.control().0;
        let bytes = inbox.take(used);
        inbox.add(CONTROL_ROOM);
        inbox.queue.kick();
        match Control::from_bytes(&bytes, self.device().order()) {
            Some(message) => message,
            None => panic!("{:?} says {} bytes only", self.device(), bytes.len()),
        }
    }

    /// Waits until the device has used a room for a message, and takes what it wrote. It gets no room in its place.
    #[track_caller]
    pub fn hear_raw(&self) -> Vec<u8> {
        let inbox = &self.control().0;
        inbox.take(inbox.queue.wait())
    }

    /// Gives the device a room for a message, of so many bytes.
    #[track_caller]
    pub fn give_control(&self, len: u64) -> u16 {
        let inbox = &self.control().0;
        let id = inbox.add(len);
        inbox.queue.kick();
        id
    }

    /// Says that the driver is ready for a port, or is not going to be.
    #[track_caller]
    pub fn port_ready(&self, port: u32, ready: bool) {
        self.say(&Control::new(port, ControlEvent::PORT_READY, ready.into()));
    }

    /// Says that a port is open on the driver's side, or no longer.
    #[track_caller]
    pub fn open(&self, port: u32, open: bool) {
        self.say(&Control::new(port, ControlEvent::PORT_OPEN, open.into()));
    }

    /// Says that the driver is set up, is ready for these ports, and has them open: §5.3.5, as far as it goes without an answer. What the
    /// device has said by then is returned.
    #[track_caller]
    pub fn bring_up(&self, ports: &[u32]) -> Vec<Control> {
        self.say(&Control::new(0, ControlEvent::DEVICE_READY, 1));
        for &port in ports {
            self.port_ready(port, true);
            self.open(port, true);
        }
        self.overheard()
    }
}
