//! [`Replies`]: what is learned from how registers are read.

use std::collections::{BTreeMap, HashMap, HashSet};

use testjig_qtest::{Command, Reply};
use testjig_trace::Action;

use crate::input::{Place, Size};
use crate::target::{Space, Target};

/// [PCI Local Bus 3.0, 3.2.2.3.2] Configuration mechanism #1.
const ADDRESS: u16 = 0xcf8;
const DATA: std::ops::Range<u16> = 0xcfc..0xd00;
/// How many values of a byte are news.
const VALUES: usize = 8;
/// How many registers of a kind are remembered.
const REGISTERS: usize = 16;

/// A byte of what lies from an address on, counted from 0, was read as this.
pub(crate) type Seen = (From, usize, u8);

/// Where accesses begin, however wide they are.
pub(crate) type From = (Where, u64);

/// A read: where, and how many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Access {
    space: Where,
    address: u64,
    bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Where {
    Ports,
    Memory,
    Config,
}

/// Registers that are worth more than others.
#[derive(Debug, Default)]
pub(crate) struct Hints {
    /// Of four bytes or more, and read as what was written: where addresses belong.
    pub(crate) holding: Vec<Place>,
    /// Read as several values that were not written there: they tell how far the device is.
    pub(crate) telling: Vec<(Place, Size)>,
}

/// What was read by now.
///
/// Bytes are counted, not values: two fields that change by themselves are no news in each combination. A byte that is as it was
/// written is none, nor is the first value of one: every register has some.
#[derive(Default)]
pub(crate) struct Replies {
    /// How often, by value.
    known: HashMap<(From, usize), HashMap<u8, u32>>,
    /// Bytes that were read as several values, by whatever access.
    telling: HashSet<(Where, u64)>,
    pub(crate) hints: Hints,
}

impl Replies {
    /// Takes note of what an input read. Returns what was never seen before.
    pub(crate) fn learn(
        &mut self,
        target: &Target,
        actions: &[Action],
        replies: &[Reply],
    ) -> Vec<Seen> {
        let mut new = Vec::new();
        let told = told(actions, replies, |access, value| {
            self.holds(target, access, value);
        });
        for ((from, nth, byte), access) in told {
            let known = self.known.entry((from, nth)).or_default();
            if let Some(count) = known.get_mut(&byte) {
                *count += 1;
            } else if known.len() < VALUES {
                known.insert(byte, 1);
                if known.len() > 1 {
                    new.push((from, nth, byte));
                    self.tells(target, access, nth);
                }
            }
        }
        new
    }

    /// How many inputs read this.
    pub(crate) fn count(&self, (from, nth, byte): &Seen) -> u32 {
        let known = self.known.get(&(*from, *nth));
        known
            .and_then(|known| known.get(byte))
            .copied()
            .unwrap_or(0)
    }

    fn holds(&mut self, target: &Target, access: Access, value: u64) {
        let ones = u64::MAX >> (64 - 8 * access.bytes);
        if access.bytes < 4 || value == 0 || value == ones {
            return;
        }
        let holding = &mut self.hints.holding;
        if let Some(place) = access.place(target) {
            if holding.len() < REGISTERS && !holding.contains(&place) {
                holding.push(place);
            }
        }
    }

    fn tells(&mut self, target: &Target, access: Access, nth: usize) {
        let is_new = self
            .telling
            .insert((access.space, access.address + nth as u64));
        let telling = &mut self.hints.telling;
        if let (true, Some(place), Some(size)) = (is_new, access.place(target), access.size()) {
            if telling.len() < REGISTERS {
                telling.push((place, size));
            }
        }
    }
}

impl Access {
    fn place(self, target: &Target) -> Option<Place> {
        let space = match self.space {
            Where::Ports => Space::Ports,
            Where::Memory => Space::Memory,
            Where::Config => return None,
        };
        match target.place(space, self.address) {
            place @ Place::Region(..) => Some(place),
            _ => None,
        }
    }

    fn size(self) -> Option<Size> {
        Size::ALL
            .into_iter()
            .find(|size| size.bytes() as usize == self.bytes)
    }
}

/// Each byte that was read, once, but those that are as they were written. `echoed` is told of values that are.
pub(crate) fn told(
    actions: &[Action],
    replies: &[Reply],
    mut echoed: impl FnMut(Access, u64),
) -> BTreeMap<Seen, Access> {
    let mut config = 0;
    let mut written: HashMap<(Where, u64), u8> = HashMap::new();
    let mut told = BTreeMap::new();
    for (action, reply) in actions.iter().zip(replies) {
        let Action::Do(command, _) = action else {
            if *action == Action::Reset {
                written.clear();
            }
            continue;
        };
        let Some((access, value)) = access(command, &mut config) else {
            continue;
        };
        let place = |nth: usize| (access.space, access.address + nth as u64);
        let bytes = |value: u64| {
            value
                .to_le_bytes()
                .into_iter()
                .take(access.bytes)
                .enumerate()
        };
        if let Some(value) = value {
            written.extend(bytes(value).map(|(nth, byte)| (place(nth), byte)));
        } else if let Reply::Value(value) = reply {
            let own = bytes(*value).filter(|(nth, byte)| written.get(&place(*nth)) != Some(byte));
            let from = (access.space, access.address);
            let own: Vec<_> = own.map(|(nth, byte)| ((from, nth, byte), access)).collect();
            if own.is_empty() {
                echoed(access, *value);
            }
            // Registers are aligned: what lies across two tells nothing more.
            if access.address % access.bytes as u64 == 0 {
                told.extend(own);
            }
        }
    }
    told
}

/// What a command accesses, and what it writes there.
fn access(command: &Command, config: &mut u32) -> Option<(Access, Option<u64>)> {
    let ports = |port: u16, bytes, config: u32| {
        let (space, address) = if DATA.contains(&port) {
            (Where::Config, u64::from(config & !3) + u64::from(port & 3))
        } else {
            (Where::Ports, u64::from(port))
        };
        Access {
            space,
            address,
            bytes,
        }
    };
    let memory = |address, bytes| Access {
        space: Where::Memory,
        address,
        bytes,
    };
    match command {
        Command::Out {
            port: ADDRESS,
            value,
            ..
        } => {
            *config = *value;
            None
        }
        Command::In { width, port } => Some((ports(*port, width.bytes(), *config), None)),
        Command::Out { width, port, value } => Some((
            ports(*port, width.bytes(), *config),
            Some(u64::from(*value)),
        )),
        Command::Read { width, addr } => Some((memory(*addr, width.bytes()), None)),
        Command::Write { width, addr, value } => Some((memory(*addr, width.bytes()), Some(*value))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use testjig_qtest::PortWidth;

    use super::*;
    use crate::recording::tests::floppy;

    fn read(port: u16) -> Action {
        let width = PortWidth::B;
        Action::Do(Command::In { width, port }, None)
    }

    fn write(width: PortWidth, port: u16, value: u32) -> Action {
        Action::Do(Command::Out { width, port, value }, None)
    }

    fn value(value: u64) -> Reply {
        Reply::Value(value)
    }

    fn bytes(seen: Vec<Seen>) -> Vec<u8> {
        seen.into_iter().map(|(_, _, byte)| byte).collect()
    }

    #[test]
    fn the_second_value_of_a_register_is_news_and_the_first_is_none() {
        let mut replies = Replies::default();
        let mut learn = |reply| bytes(replies.learn(&floppy(), &[read(0x3f4)], &[value(reply)]));
        assert_eq!(learn(0x80), [0_u8; 0]);
        assert_eq!(learn(0x80), [0_u8; 0]);
        assert_eq!(learn(0xd0), [0xd0]);
        assert_eq!(learn(0xd0), [0_u8; 0]);
        let telling = (Place::Region(0, 3), Size::B);
        assert_eq!(replies.hints.telling, [telling]);
    }

    #[test]
    fn what_comes_back_is_no_news_until_a_reset() {
        let mut replies = Replies::default();
        let mut learn = |actions: &[Action], answers: &[Reply]| {
            bytes(replies.learn(&floppy(), actions, answers))
        };
        learn(&[read(0x3f2)], &[value(0)]);
        let given = write(PortWidth::B, 0x3f2, 0x1c);
        let answers = [Reply::Done, Reply::Done, value(0x1c)];
        let actions = [given.clone(), Action::Settle, read(0x3f2)];
        assert_eq!(learn(&actions, &answers), [0_u8; 0]);
        let answers = [Reply::Done, Reply::Done, value(0x1c)];
        let actions = [given, Action::Reset, read(0x3f2)];
        assert_eq!(learn(&actions, &answers), [0x1c]);
    }

    #[test]
    fn a_register_that_holds_four_bytes_is_one_for_addresses() {
        let mut replies = Replies::default();
        let width = PortWidth::L;
        let read = |port| Action::Do(Command::In { width, port }, None);
        let mut learn = |actions: &[Action], answers: &[Reply]| {
            replies.learn(&floppy(), actions, answers);
            replies.hints.holding.clone()
        };
        let given = write(width, 0x3f2, 0x10_0000);
        let answers = [Reply::Done, value(0x10_00ff)];
        assert_eq!(learn(&[given.clone(), read(0x3f2)], &answers), []);
        let answers = [Reply::Done, value(0x10_0000)];
        let holding = learn(&[given, read(0x3f2)], &answers);
        assert_eq!(holding, [Place::Region(0, 1)]);
    }

    #[test]
    fn what_lies_across_two_registers_tells_nothing() {
        let mut replies = Replies::default();
        let width = PortWidth::W;
        let read = Action::Do(Command::In { width, port: 0x3f5 }, None);
        for reply in [0x1234, 0x5678] {
            let new = replies.learn(&floppy(), std::slice::from_ref(&read), &[value(reply)]);
            assert_eq!(bytes(new), [0_u8; 0]);
        }
    }

    /// [PCI Local Bus 3.0, 3.2.2.3.2] One port for all registers.
    #[test]
    fn registers_of_configuration_space_are_told_apart() {
        let mut replies = Replies::default();
        let mut learn = |register, reply| {
            let actions = [write(PortWidth::L, ADDRESS, register), read(0xcfc)];
            bytes(replies.learn(&floppy(), &actions, &[Reply::Done, value(reply)]))
        };
        assert_eq!(learn(0x8000_2000, 0xf4), [0_u8; 0]);
        assert_eq!(learn(0x8000_2004, 7), [0_u8; 0]);
        assert_eq!(learn(0x8000_2004, 3), [3]);
    }
}
