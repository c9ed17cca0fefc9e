//! [`Condition`]: what a test waits for, with its name and what can be seen of it.

use std::fmt;
use std::time::Duration;

/// Something that becomes true while a clock moves.
///
/// Pins make them ([`Irq::raised`](crate::Irq::raised)), and a test can make any other:
///
/// ```no_run
/// # use std::time::Duration;
/// # use testjig_vm::{Condition, Vm};
/// # fn example(vm: &Vm) {
/// let updated = Condition::new("no update in progress", || {
///     vm.outb(0x70, 0x0a);
///     vm.inb(0x71) & 0x80 == 0
/// });
/// vm.clock().step_until(updated, Duration::from_secs(2));
/// # }
/// ```
pub struct Condition<'a> {
    text: String,
    holds: Box<dyn FnMut() -> bool + 'a>,
    seen: Option<Box<dyn Fn() -> String + 'a>>,
    /// Whether it can change only by an edge of an intercepted pin.
    of_pins: bool,
    /// The longest step of the virtual clock between two looks, if timers are not enough.
    grain: Option<Duration>,
}

impl<'a> Condition<'a> {
    /// A condition: what it is called in reports, and whether it holds now.
    pub fn new(text: impl Into<String>, holds: impl FnMut() -> bool + 'a) -> Self {
        Self {
            text: text.into(),
            holds: Box::new(holds),
            seen: None,
            of_pins: false,
            grain: None,
        }
    }

    /// Adds what a report says of the state when the condition did not come true.
    #[must_use]
    pub fn seeing(self, seen: impl Fn() -> String + 'a) -> Self {
        Self {
            seen: Some(Box::new(seen)),
            ..self
        }
    }

    /// Has [`Clock::step_until`](crate::Clock::step_until) look after each such span of virtual time, instead of at the
    /// timers of devices.
    ///
    /// For what a device works out from the time when it is asked, without a timer of its own: counters, a bit that says
    /// that an update is near.
    #[must_use]
    pub fn every(self, span: Duration) -> Self {
        Self {
            grain: Some(span),
            ..self
        }
    }

    pub(crate) fn grain(&self) -> Option<Duration> {
        self.grain
    }

    pub(crate) fn of_pins(self) -> Self {
        Self {
            of_pins: true,
            ..self
        }
    }

    pub(crate) fn is_of_pins(&self) -> bool {
        self.of_pins
    }

    /// Both at the same time.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.joined(other, "and", |a, b| a && b)
    }

    /// At least one of both.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        self.joined(other, "or", |a, b| a || b)
    }

    fn joined(mut self, mut other: Self, word: &str, join: fn(bool, bool) -> bool) -> Self {
        let text = format!("{} {word} {}", self.text, other.text);
        let (one, two) = (self.seen.take(), other.seen.take());
        let of_pins = self.of_pins && other.of_pins;
        let grain = self.grain.into_iter().chain(other.grain).min();
        let mut joined = Condition::new(text, move || {
            // Both are looked at each time, so that what one does is the same whatever the other says.
            let (a, b) = (self.holds(), other.holds());
            join(a, b)
        });
        joined.of_pins = of_pins;
        joined.grain = grain;
        match (one, two) {
            (Some(one), Some(two)) => joined.seeing(move || format!("{}; {}", one(), two())),
            (Some(one), None) | (None, Some(one)) => joined.seeing(one),
            (None, None) => joined,
        }
    }

    /// Whether it holds now.
    pub fn holds(&mut self) -> bool {
        (self.holds)()
    }

    /// What can be seen of it now; empty if nothing is known.
    pub fn seen(&self) -> String {
        self.seen.as_ref().map_or_else(String::new, |seen| seen())
    }
}

impl fmt::Display for Condition<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Condition<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.text).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn joined_conditions_name_both_and_show_both() {
        let (a, b) = (Cell::new(false), Cell::new(false));
        let make = || {
            let one = Condition::new("a", || a.get()).seeing(|| format!("a={}", a.get()));
            let two = Condition::new("b", || b.get()).seeing(|| format!("b={}", b.get()));
            (one, two)
        };
        let (one, two) = make();
        let mut both = one.and(two);
        let (one, two) = make();
        let mut either = one.or(two);
        assert_eq!(both.to_string(), "a and b");
        assert_eq!(either.to_string(), "a or b");
        assert!(!both.holds() && !either.holds());
        b.set(true);
        assert!(!both.holds() && either.holds());
        assert_eq!(either.seen(), "a=false; b=true");
        a.set(true);
        assert!(both.holds());
    }

    #[test]
    fn joined_conditions_are_looked_at_as_often_as_the_finer_one() {
        let plain = || Condition::new("a", || true);
        let (fine, coarse) = (Duration::from_millis(1), Duration::from_millis(2));
        assert_eq!(plain().and(plain()).grain(), None);
        assert_eq!(plain().every(fine).and(plain()).grain(), Some(fine));
        assert_eq!(
            plain().every(coarse).or(plain().every(fine)).grain(),
            Some(fine)
        );
    }
}
