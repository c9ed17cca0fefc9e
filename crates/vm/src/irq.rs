//! [`Irq`]: an intercepted pin.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Instant;

use testjig_qtest::Journal;

use crate::condition::Condition;
use crate::vm::Vm;

/// A pin of a device.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pin {
    pub(crate) device: Cow<'static, str>,
    pub(crate) direction: Direction,
    pub(crate) list: Option<Cow<'static, str>>,
    pub(crate) number: u32,
}

/// Which way a [`Pin`] works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Driven by others, seen by the device.
    In,
    /// Driven by the device.
    Out,
}

impl Pin {
    /// An unnamed input of the device at this QOM path, `"ioapic"`, counted from 0.
    pub fn input(device: impl Into<Cow<'static, str>>, number: u32) -> Self {
        Self {
            device: device.into(),
            direction: Direction::In,
            list: None,
            number,
        }
    }

    /// An unnamed output of the device at this QOM path, counted from 0.
    pub fn output(device: impl Into<Cow<'static, str>>, number: u32) -> Self {
        Self {
            direction: Direction::Out,
            ..Self::input(device, number)
        }
    }

    /// The same pin number in a list of pins that has a name.
    #[must_use]
    pub fn of_list(mut self, list: impl Into<Cow<'static, str>>) -> Self {
        self.list = Some(list.into());
        self
    }

    /// Whether both pins are in the same list of the same device: what is intercepted together.
    pub(crate) fn is_beside(&self, other: &Self) -> bool {
        self.device == other.device && self.direction == other.direction && self.list == other.list
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let direction = match self.direction {
            Direction::In => "input",
            Direction::Out => "output",
        };
        write!(f, "{direction} {}", self.number)?;
        if let Some(list) = &self.list {
            write!(f, " ({list})")?;
        }
        write!(f, " of {}", self.device)
    }
}

/// A change of a pin's level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EdgeKind {
    /// From low to high.
    Raise,
    /// From high to low.
    Lower,
}

/// An intercepted pin: what happens on it is recorded in the order of the test's own operations.
///
/// Clones share what [`clear`](Self::clear) forgets.
#[derive(Clone)]
pub struct Irq {
    vm: Vm,
    pin: Pin,
    /// The journal's mark at the last [`clear`](Self::clear).
    cleared: Rc<Cell<u64>>,
}

impl Irq {
    pub(crate) fn new(vm: Vm, pin: Pin) -> Self {
        let irq = Self {
            vm,
            pin,
            cleared: Rc::default(),
        };
        irq.cleared.set(irq.mark());
        irq
    }

    /// The pin.
    pub fn pin(&self) -> &Pin {
        &self.pin
    }

    /// Whether the pin is high, all queued operations done. It counts as low until it is first seen to rise.
    #[track_caller]
    pub fn level(&self) -> bool {
        self.vm.wait_for_edge(Instant::now());
        self.last_level()
    }

    /// What happened on the pin since it was intercepted or [`clear`](Self::clear)ed, oldest first, all queued operations
    /// done.
    #[track_caller]
    pub fn edges(&self) -> Vec<EdgeKind> {
        self.vm.wait_for_edge(Instant::now());
        self.since(self.cleared.get())
    }

    /// Forgets the edges until now, all queued operations done. The level stays.
    #[track_caller]
    pub fn clear(&self) {
        self.vm.wait_for_edge(Instant::now());
        self.cleared.set(self.mark());
    }

    /// Holds while the pin is high, and if it has risen after this call: a pulse counts.
    ///
    /// An edge that belongs to an operation still queued now comes after this call.
    pub fn raised(&self) -> Condition<'static> {
        self.condition(EdgeKind::Raise)
    }

    /// Holds while the pin is low, and if it has fallen after this call: a pulse counts.
    ///
    /// An edge that belongs to an operation still queued now comes after this call.
    pub fn lowered(&self) -> Condition<'static> {
        self.condition(EdgeKind::Lower)
    }

    fn condition(&self, kind: EdgeKind) -> Condition<'static> {
        let mark = self.mark();
        let (holds, sees) = (self.clone(), self.clone());
        let text = match kind {
            EdgeKind::Raise => format!("{} raised", self.pin),
            EdgeKind::Lower => format!("{} lowered", self.pin),
        };
        Condition::new(text, move || {
            holds.last_level() == (kind == EdgeKind::Raise) || holds.since(mark).contains(&kind)
        })
        .seeing(move || sees.story(mark))
        .of_pins()
    }

    /// The level and the edges after a mark, in words.
    fn story(&self, mark: u64) -> String {
        let level = if self.last_level() { "high" } else { "low" };
        let edges = self.since(mark);
        let earlier = self
            .since(self.cleared.get())
            .len()
            .saturating_sub(edges.len());
        let edges = match &edges[..] {
            [] => "no edges".to_owned(),
            [edge] => format!("1 edge ({edge:?})"),
            [.., last] => format!("{} edges (the last {last:?})", edges.len()),
        };
        if earlier == 0 {
            format!("{level}, {edges}")
        } else {
            format!("{level}, {edges} after the wait began, {earlier} before")
        }
    }

    fn last_level(&self) -> bool {
        self.vm
            .with_journal(|journal| journal.level(self.pin.number))
    }

    /// A mark behind all edges so far.
    fn mark(&self) -> u64 {
        self.vm.with_journal(Journal::edge_count)
    }

    fn since(&self, mark: u64) -> Vec<EdgeKind> {
        self.vm.with_journal(|journal| {
            let edges = journal
                .edges_since(mark)
                .filter(|edge| edge.line == self.pin.number);
            edges
                .map(|edge| {
                    if edge.level {
                        EdgeKind::Raise
                    } else {
                        EdgeKind::Lower
                    }
                })
                .collect()
        })
    }
}

impl fmt::Debug for Irq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Irq").field(&self.pin).finish()
    }
}
