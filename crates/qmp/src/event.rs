//! [`Event`], what a wait looks for in one ([`EventFilter`]), and the queue that keeps them.

use std::collections::VecDeque;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, ErrorKind, excerpt};
use crate::session::Limits;

/// When an event happened, by the peer's wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Timestamp {
    /// Seconds since the epoch; −1 if the peer could not tell.
    pub seconds: i64,
    /// Microseconds within the second; −1 if the peer could not tell.
    pub microseconds: i64,
}

/// Something that happened in the peer, reported without being asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub(crate) seq: u64,
    pub(crate) name: String,
    pub(crate) data: Value,
    pub(crate) timestamp: Timestamp,
}

impl Event {
    /// The event's name, such as `RESET`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The event's data; [`Value::Null`] if it has none.
    pub fn data(&self) -> &Value {
        &self.data
    }

    /// When it happened, by the peer's wall clock.
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// Its place among all events of the connection, from 0; see [`Qmp::next_event_seq`](crate::Qmp::next_event_seq).
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The data as a type of [`events`](crate::events), or any other.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Mismatch`] if the data does not have that shape.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Error> {
        T::deserialize(&self.data).map_err(|error| {
            Error::new(
                &format!("decode the data of the event {}", self.name),
                ErrorKind::Mismatch {
                    problem: error.to_string(),
                    reply: excerpt(self.data.to_string().as_bytes()),
                },
            )
        })
    }
}

/// What [`Qmp::wait_event`](crate::Qmp::wait_event) looks for.
///
/// An event's name, one of several names, a closure, or a closure with the words that an error should use for it:
///
/// ```
/// # use testjig_qmp::{Event, EventFilter};
/// # fn wait(filter: impl EventFilter) -> String { filter.describe() }
/// assert_eq!(wait("RESET"), "event RESET");
/// assert_eq!(wait(["STOP", "RESUME"]), "event STOP or RESUME");
/// wait(|event: &Event| event.data()["device"] == "net0");
/// let net0_gone = |event: &Event| event.name() == "DEVICE_DELETED" && event.data()["device"] == "net0";
/// assert_eq!(wait(("DEVICE_DELETED of net0", net0_gone)), "event DEVICE_DELETED of net0");
/// ```
pub trait EventFilter {
    /// Whether this is the event; asked once for each event, in their order.
    fn matches(&mut self, event: &Event) -> bool;

    /// What is looked for, for error messages: "event RESET".
    fn describe(&self) -> String;
}

impl EventFilter for &str {
    fn matches(&mut self, event: &Event) -> bool {
        event.name == *self
    }

    fn describe(&self) -> String {
        format!("event {self}")
    }
}

impl<const N: usize> EventFilter for [&str; N] {
    fn matches(&mut self, event: &Event) -> bool {
        self.contains(&event.name.as_str())
    }

    fn describe(&self) -> String {
        format!("event {}", self.join(" or "))
    }
}

impl<F: FnMut(&Event) -> bool> EventFilter for F {
    fn matches(&mut self, event: &Event) -> bool {
        self(event)
    }

    fn describe(&self) -> String {
        "event that was looked for".to_owned()
    }
}

impl<F: FnMut(&Event) -> bool> EventFilter for (&str, F) {
    fn matches(&mut self, event: &Event) -> bool {
        (self.1)(event)
    }

    fn describe(&self) -> String {
        format!("event {}", self.0)
    }
}

/// Received events that nobody has taken yet, oldest first.
#[derive(Default)]
pub(crate) struct EventQueue {
    events: VecDeque<(Event, usize)>,
    bytes: usize,
    next_seq: u64,
}

impl EventQueue {
    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// The bytes of the messages in which the queued events came.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Whether an event that comes in a message of `size` bytes is within the limits. A single one always is.
    pub(crate) fn has_room(&self, size: usize, limits: &Limits) -> bool {
        self.events.is_empty()
            || (self.events.len() < limits.queued_events
                && self.bytes + size <= limits.queued_event_bytes)
    }

    /// Appends an event that came in a message of `size` bytes, and gives it its place.
    pub(crate) fn push(&mut self, mut event: Event, size: usize) {
        event.seq = self.next_seq;
        self.next_seq += 1;
        self.bytes += size;
        self.events.push_back((event, size));
    }

    /// Takes the first event from position `from` on that `filter` accepts, and leaves the others in their order.
    pub(crate) fn take(&mut self, from: usize, filter: &mut impl EventFilter) -> Option<Event> {
        let at = (from..self.events.len()).find(|&at| filter.matches(&self.events[at].0))?;
        let (event, size) = self.events.remove(at)?;
        self.bytes -= size;
        Some(event)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Event> {
        self.events.iter().map(|(event, _)| event)
    }

    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Event> + use<'_> {
        self.bytes = 0;
        self.events.drain(..).map(|(event, _)| event)
    }

    /// Names of the queued events, shortened, with their numbers, in the order of first occurrence; the last is a summary
    /// if there are many different ones.
    pub(crate) fn summary(&self) -> Vec<(String, usize)> {
        const NAMES: usize = 16;
        let mut seen: Vec<(String, usize)> = Vec::new();
        let mut others = 0;
        for event in self.iter() {
            let name = excerpt(event.name.as_bytes());
            if let Some((_, times)) = seen.iter_mut().find(|(known, _)| *known == name) {
                *times += 1;
            } else if seen.len() < NAMES {
                seen.push((name, 1));
            } else {
                others += 1;
            }
        }
        if others > 0 {
            seen.push(("others".to_owned(), others));
        }
        seen
    }
}
