//! What the kernel announces: [`Uevents`].

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::modules::Modules;
use crate::sys;

/// How many uevents are kept. A hot-plug makes a few dozen.
const KEPT: usize = 4096;

/// The last uevents, in order.
#[derive(Default)]
pub(crate) struct Uevents {
    known: Mutex<Known>,
    news: Condvar,
}

#[derive(Default)]
struct Known {
    /// The number of the first that is kept.
    first: u64,
    events: VecDeque<Vec<u8>>,
}

impl Uevents {
    /// A socket that collects from now on.
    pub(crate) fn listen() -> io::Result<File> {
        sys::uevent_socket()
    }

    /// Notes what comes, and loads the drivers of devices that are new. Does not return.
    pub(crate) fn follow(&self, mut socket: &File, modules: &Modules) {
        let mut buffer = vec![0; 16 << 10];
        loop {
            // A buffer that overflowed is an error of one read: the events are lost, those after it are not.
            let Ok(count) = socket.read(&mut buffer) else {
                continue;
            };
            let Some(fields) = kernels(&buffer[..count]) else {
                continue;
            };
            if has(fields, b"ACTION=add") {
                if let Some(id) = value(fields, "MODALIAS=") {
                    modules.load_for(id);
                }
            }
            let mut known = self.lock();
            if known.events.len() == KEPT {
                known.events.pop_front();
                known.first += 1;
            }
            known.events.push_back(fields.to_vec());
            drop(known);
            self.news.notify_all();
        }
    }

    /// Waits for an event with a number of at least `since` that has all these fields.
    pub(crate) fn wait(
        &self,
        since: u64,
        wanted: &[Vec<u8>],
        deadline: Instant,
    ) -> Option<(u64, Vec<u8>)> {
        let mut known = self.lock();
        loop {
            let mut events = (known.first..).zip(&known.events);
            let found = events.find(|(seq, fields)| {
                *seq >= since && wanted.iter().all(|field| has(fields, field))
            });
            if let Some((seq, fields)) = found {
                return Some((seq, fields.clone()));
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            known = self.doze(known, left);
        }
    }

    /// Waits until something was announced, at most so long.
    pub(crate) fn pause(&self, longest: Duration) {
        drop(self.doze(self.lock(), longest));
    }

    fn doze<'a>(&self, known: MutexGuard<'a, Known>, longest: Duration) -> MutexGuard<'a, Known> {
        let result = self.news.wait_timeout(known, longest);
        result.unwrap_or_else(PoisonError::into_inner).0
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The fields of a message of the kernel's own: behind `ACTION@PATH`, which they repeat.
fn kernels(message: &[u8]) -> Option<&[u8]> {
    let end = message.iter().position(|&byte| byte == 0)?;
    message[..end].contains(&b'@').then(|| &message[end + 1..])
}

fn fields(event: &[u8]) -> impl Iterator<Item = &[u8]> {
    event.split(|&byte| byte == 0)
}

fn has(event: &[u8], wanted: &[u8]) -> bool {
    fields(event).any(|field| field == wanted)
}

fn value<'a>(event: &'a [u8], name: &str) -> Option<&'a str> {
    let value = fields(event).find_map(|field| field.strip_prefix(name.as_bytes()))?;
    std::str::from_utf8(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernels_message_is_taken_apart() {
        let message = b"add@/devices/x\0ACTION=add\0MODALIAS=pci:v1\0";
        let event = kernels(message).expect("of the kernel");
        assert!(has(event, b"ACTION=add"));
        assert!(!has(event, b"ACTION=ad"));
        assert_eq!(value(event, "MODALIAS="), Some("pci:v1"));
        assert_eq!(kernels(b"libudev\0\xfe\xed"), None);
        assert_eq!(kernels(b""), None);
    }

    #[test]
    fn only_an_event_that_has_every_field_ends_the_wait() {
        let uevents = Uevents::default();
        let event = |text: &[u8]| uevents.lock().events.push_back(text.to_vec());
        event(b"ACTION=add\0SUBSYSTEM=net\0");
        event(b"ACTION=add\0SUBSYSTEM=block\0");
        let wanted = [b"ACTION=add".to_vec(), b"SUBSYSTEM=block".to_vec()];
        let found = uevents.wait(0, &wanted, Instant::now());
        assert_eq!(found.expect("it is there").0, 1);
        let soon = Instant::now() + Duration::from_millis(5);
        assert_eq!(uevents.wait(2, &wanted, soon), None, "it came before");
    }
}
