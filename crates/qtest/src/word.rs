//! [`Word`]: a name or path that stays one word on the wire.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

/// A word of a command: QOM path, GPIO name, module name, an extension's argument.
///
/// One to [`Word::MAX`] bytes, UTF-8, without blanks and control characters. The wire has no
/// quoting, so a blank would begin another word, a newline another command, and an empty word makes
/// QEMU abort.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word(Box<str>);

impl Word {
    /// The longest word, in bytes.
    pub const MAX: usize = 1024;

    /// Checks `text` and takes a copy.
    ///
    /// # Errors
    ///
    /// If `text` is empty, longer than [`Word::MAX`], or holds a blank or control character.
    pub fn new(text: &str) -> Result<Self, InvalidWord> {
        let reason = if text.is_empty() {
            "is empty"
        } else if text.len() > Self::MAX {
            "is longer than 1024 bytes"
        } else if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            "holds a blank or control character"
        } else {
            return Ok(Self(text.into()));
        };
        Err(InvalidWord {
            text: text.chars().take(64).collect(),
            reason,
        })
    }

    /// The word's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Word {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Word {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Word {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl FromStr for Word {
    type Err = InvalidWord;

    fn from_str(text: &str) -> Result<Self, InvalidWord> {
        Self::new(text)
    }
}

impl TryFrom<&str> for Word {
    type Error = InvalidWord;

    fn try_from(text: &str) -> Result<Self, InvalidWord> {
        Self::new(text)
    }
}

/// A text that can't be a [`Word`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} {reason}, so it can't be one word of a command")]
pub struct InvalidWord {
    text: String,
    reason: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_names_are_words() {
        for text in [
            "ioapic",
            "/machine/unattached/device[7]",
            "ssi-gpio-cs",
            "größe",
        ] {
            assert_eq!(Word::new(text).unwrap().as_str(), text);
        }
        assert!(Word::new(&"x".repeat(Word::MAX)).is_ok());
    }

    #[test]
    fn what_would_not_stay_one_word_is_refused() {
        for text in [
            "", " ", "a b", "a\nb", "a\rb", "a\tb", "\0", "a\u{a0}b", "\u{7f}",
        ] {
            assert!(Word::new(text).is_err(), "{text:?}");
        }
        assert!(Word::new(&"x".repeat(Word::MAX + 1)).is_err());
    }
}
