//! The words of a line: numbers, spans of time, bytes.

use std::time::Duration;

use testjig::vm::Pin;

/// The words after a command's name, taken one at a time.
pub(crate) struct Words<'a> {
    rest: Vec<&'a str>,
}

impl<'a> Words<'a> {
    pub(crate) fn of(line: &'a str) -> Self {
        Self {
            rest: line.split_whitespace().rev().collect(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn next(&mut self, what: &str) -> Result<&'a str, String> {
        self.rest.pop().ok_or_else(|| format!("{what} is missing"))
    }

    pub(crate) fn number<T: TryFrom<u64>>(&mut self, what: &str) -> Result<T, String> {
        let word = self.next(what)?;
        let value = match word.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => word.parse(),
        };
        let value = value.map_err(|_| format!("{what} is a number, 113 or 0x71, not {word:?}"))?;
        T::try_from(value).map_err(|_| format!("{what} {word} is too large here"))
    }

    pub(crate) fn bytes(&mut self, what: &str) -> Result<Vec<u8>, String> {
        let word = self.next(what)?;
        const_hex::decode(word)
            .map_err(|_| format!("{what} are hexadecimal digits, 0xdeadbeef, not {word:?}"))
    }

    pub(crate) fn span(&mut self, what: &str) -> Result<Duration, String> {
        let word = self.next(what)?;
        let digits = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(0);
        let (count, unit) = word.split_at(digits);
        let nanos = match unit {
            "ns" => 1,
            "us" | "µs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            _ => 0,
        };
        match count
            .parse::<u64>()
            .ok()
            .and_then(|count| count.checked_mul(nanos))
        {
            Some(span) if nanos > 0 => Ok(Duration::from_nanos(span)),
            _ => Err(format!(
                "{what} is a span such as 5ns, 20us, 3ms or 1s, not {word:?}"
            )),
        }
    }

    /// `irq N` is pin N of a PC's I/O APIC; `PATH N` an input of any device.
    pub(crate) fn pin(&mut self) -> Result<Pin, String> {
        let device = match self.next("the pin (irq 8, or a device's path and a number)")? {
            "irq" => "ioapic",
            path => path,
        };
        Ok(Pin::input(
            device.to_owned(),
            self.number("the pin's number")?,
        ))
    }

    pub(crate) fn rest(mut self) -> String {
        self.rest.reverse();
        self.rest.join(" ")
    }

    pub(crate) fn end(self) -> Result<(), String> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(format!("{:?} is too much", self.rest()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_bounded_by_what_they_are_for() {
        assert_eq!(Words::of("0x71").number::<u16>("the port"), Ok(0x71));
        assert_eq!(Words::of("113").number::<u16>("the port"), Ok(113));
        for wrong in ["", "0x", "-1", "x", "0x10000"] {
            assert!(
                Words::of(wrong).number::<u16>("the port").is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_span_has_a_unit() {
        assert_eq!(Words::of("20us").span("it"), Ok(Duration::from_micros(20)));
        for wrong in ["", "5", "s", "5m", "-1s", "99999999999999999999s"] {
            assert!(Words::of(wrong).span("it").is_err(), "{wrong}");
        }
    }
}
