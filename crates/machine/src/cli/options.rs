//! [`Options`]: `first,key=value,…`, as QEMU's option parser reads it.

/// The parts of one option's value.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options(Vec<(String, String)>);

impl Options {
    /// Reads a value; a first part without `=` is the value of `implied`. A doubled comma is a comma.
    pub(crate) fn parse(text: &str, implied: &str) -> Self {
        let mut parts = vec![String::new()];
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            let last = parts.len() - 1;
            if letter != ',' {
                parts[last].push(letter);
            } else if letters.next_if_eq(&',').is_some() {
                parts[last].push(',');
            } else {
                parts.push(String::new());
            }
        }
        let parts = parts
            .into_iter()
            .enumerate()
            .filter(|(_, part)| !part.is_empty());
        Self(
            parts
                .map(|(nr, part)| match part.split_once('=') {
                    Some((key, value)) => (key.to_owned(), value.to_owned()),
                    None if nr == 0 && !implied.is_empty() => (implied.to_owned(), part),
                    // A flag of its own: on, or with "no" before it off.
                    None => match part.strip_prefix("no") {
                        Some(name) if !name.is_empty() => (name.to_owned(), "off".to_owned()),
                        _ => (part, "on".to_owned()),
                    },
                })
                .collect(),
        )
    }

    /// The last value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str())
    }

    /// Sets what was not given.
    pub(crate) fn set_default(&mut self, key: &str, value: &str) {
        if self.get(key).is_none() {
            self.0.push((key.to_owned(), value.to_owned()));
        }
    }

    pub(crate) fn take(&mut self, key: &str) -> Option<String> {
        let value = self.get(key).map(str::to_owned);
        self.0.retain(|(name, _)| name != key);
        value
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    pub(crate) fn flag(&self, key: &str) -> Result<Option<bool>, String> {
        self.get(key)
            .map(|value| match value {
                "on" | "yes" | "true" | "y" => Ok(true),
                "off" | "no" | "false" | "n" => Ok(false),
                _ => Err(format!("Parameter '{key}' expects 'on' or 'off'")),
            })
            .transpose()
    }

    pub(crate) fn number(&self, key: &str) -> Result<Option<u64>, String> {
        self.get(key)
            .map(|value| number(value).ok_or_else(|| format!("Parameter '{key}' expects a number")))
            .transpose()
    }

    pub(crate) fn size(&self, key: &str, unit: u64) -> Result<Option<u64>, String> {
        self.get(key)
            .map(|value| {
                size(value, unit).ok_or_else(|| format!("Parameter '{key}' expects a size"))
            })
            .transpose()
    }
}

/// A number in decimal, or in hexadecimal after `0x`.
pub(crate) fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// A size: a number with a suffix, or in units of `unit` bytes without.
pub(crate) fn size(text: &str, unit: u64) -> Option<u64> {
    let (digits, scale) = match text.char_indices().last()? {
        (at, 'b' | 'B') => (&text[..at], 1),
        (at, 'k' | 'K') => (&text[..at], 1 << 10),
        (at, 'm' | 'M') => (&text[..at], 1 << 20),
        (at, 'g' | 'G') => (&text[..at], 1 << 30),
        (at, 't' | 'T') => (&text[..at], 1 << 40),
        _ => (text, unit),
    };
    if let Some((whole, fraction)) = digits.split_once('.') {
        // So many tenths, hundredths, … of the unit.
        let power = 10_u64.checked_pow(fraction.len() as u32)?;
        let part = fraction.parse::<u64>().ok()?.checked_mul(scale)? / power;
        return number(whole)?.checked_mul(scale)?.checked_add(part);
    }
    number(digits)?.checked_mul(scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_are_doubled() {
        let options = Options::parse("opt/a,string=x,,y,z=1", "name");
        assert_eq!(options.get("name"), Some("opt/a"));
        assert_eq!(options.get("string"), Some("x,y"));
        assert_eq!(options.get("z"), Some("1"));
    }

    #[test]
    fn a_flag_is_on_or_with_no_off() {
        let options = Options::parse("unix:/a,server,nowait", "path");
        assert_eq!(options.flag("server"), Ok(Some(true)));
        assert_eq!(options.flag("wait"), Ok(Some(false)));
    }

    #[test]
    fn sizes_have_suffixes() {
        assert_eq!(size("128", 1 << 20), Some(128 << 20));
        assert_eq!(size("4096B", 1 << 20), Some(4096));
        assert_eq!(size("1.5G", 1), Some(3 << 29));
        assert_eq!(size("0x10", 1), Some(16));
        assert_eq!(size("x", 1), None);
        assert_eq!(size("99999999999G", 1), None);
    }
}
