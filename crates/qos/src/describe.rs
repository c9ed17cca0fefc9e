//! From the log of operations back to registers: [`Describe`] is how a driver decodes its device's part of a journal.
//!
//! A failure report replays the journal through the decoders of the devices on the test's path. An index port makes such decoding
//! stateful, so a decoder sees *every* entry, in order, and answers for those that were its device's.

use std::collections::BTreeMap;

use testjig_qtest::{Command, Entry, Reply, Width};

/// A stateful decoder of one device's registers.
pub trait Describe {
    /// What the report calls this device, short and in lower case: `rtc`, `pmc`, `fw_cfg`.
    fn name(&self) -> &str;

    /// Takes in one operation and says what it meant: `rtc.B←0x26 {alarm_irq, binary, hour24}`; `None` if it was not this device's.
    fn observe(&mut self, entry: &Entry) -> Option<String>;

    /// The registers as the operations so far have shown them, one text a register: `B=0x26 {alarm_irq, binary, hour24}`. A register
    /// that was never touched is left out.
    fn state(&self) -> Vec<String>;
}

/// What an operation meant, to the first of these decoders that knows; all of them see it, since what one tells may be how another finds
/// its device.
pub fn meaning(decoders: &mut [Box<dyn Describe>], entry: &Entry) -> Option<String> {
    let told = decoders.iter_mut().map(|decoder| decoder.observe(entry));
    told.fold(None, Option::or)
}

/// Registers by the name that a report gives them, each as it was seen last: what most decoders keep for [`Describe::state`].
#[derive(Debug, Default)]
pub(crate) struct Seen(BTreeMap<&'static str, String>);

impl Seen {
    /// Keeps what a register held, and says it in the report's way.
    pub(crate) fn note(
        &mut self,
        device: &str,
        name: &'static str,
        arrow: char,
        text: String,
    ) -> String {
        let line = format!("{device}.{name}{arrow}{text}");
        self.0.insert(name, text);
        line
    }

    pub(crate) fn state(&self) -> Vec<String> {
        let seen = self.0.iter();
        seen.map(|(name, text)| format!("{name}={text}")).collect()
    }
}

/// Which address space an [`Access`] went to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// I/O ports.
    Port,
    /// Guest physical memory.
    Memory,
}

/// Which way an [`Access`] went, and with what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// A read and what it returned; `None` when it was not answered.
    Read(Option<u64>),
    /// A write and what it wrote.
    Write(u64),
}

/// A register access, whichever command of the wire made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// The address space.
    pub space: Space,
    /// Port number or guest physical address.
    pub address: u64,
    /// How wide.
    pub width: Width,
    /// Direction and value.
    pub transfer: Transfer,
}

impl Access {
    /// The register access in `entry`; `None` for what is none (blocks of memory, clock, interrupts).
    pub fn of(entry: &Entry) -> Option<Self> {
        let answered = || match &entry.reply {
            Some(Reply::Value(value)) => Some(*value),
            _ => None,
        };
        let (space, address, width, transfer) = match entry.command {
            Command::In { width, port } => (
                Space::Port,
                port.into(),
                width.into(),
                Transfer::Read(answered()),
            ),
            Command::Out { width, port, value } => (
                Space::Port,
                port.into(),
                width.into(),
                Transfer::Write(value.into()),
            ),
            Command::Read { width, addr } => {
                (Space::Memory, addr, width, Transfer::Read(answered()))
            }
            Command::Write { width, addr, value } => {
                (Space::Memory, addr, width, Transfer::Write(value))
            }
            _ => return None,
        };
        Some(Self {
            space,
            address,
            width,
            transfer,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::panic::Location;

    use super::*;

    struct Counting(&'static str, usize);

    impl Describe for Counting {
        fn name(&self) -> &str {
            self.0
        }

        fn observe(&mut self, _entry: &Entry) -> Option<String> {
            self.1 += 1;
            (self.0 != "silent").then(|| format!("{} {}", self.0, self.1))
        }

        fn state(&self) -> Vec<String> {
            vec![self.1.to_string()]
        }
    }

    #[test]
    fn every_decoder_sees_every_entry_and_the_first_that_knows_tells() {
        let entry = Entry {
            seq: 0,
            command: Command::ClockStep(None),
            elided: 0,
            reply: None,
            location: Location::caller(),
        };
        let mut decoders: Vec<Box<dyn Describe>> = ["silent", "one", "two"]
            .map(|name| Box::new(Counting(name, 0)) as Box<dyn Describe>)
            .into();
        for round in 1..3 {
            let told = meaning(&mut decoders, &entry);
            assert_eq!(told, Some(format!("one {round}")));
        }
        assert!(decoders.iter().all(|decoder| decoder.state() == ["2"]));
    }
}
