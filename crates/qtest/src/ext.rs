//! [`Extension`]: commands that only some machines answer, open for more.

use std::fmt;

use crate::command::{Command, OutOfRange};
use crate::number::{parse, push_hex};
use crate::parse::is_builtin;
use crate::word::{InvalidWord, Word};

mod csr;
mod rtas;

pub use csr::{Csr, CsrAccess};
pub use rtas::Rtas;

/// A command that a machine, or a server of one's own, adds to the common ones.
///
/// ```
/// use testjig_qtest::{Arguments, Command, Extension, InvalidCall};
///
/// /// Asks a hypervisor of one's own for its version.
/// struct Version {
///     feature: u32,
/// }
///
/// impl Extension for Version {
///     const NAME: &'static str = "hv_version";
///     type Reply = u64;
///
///     fn arguments(&self, arguments: &mut Arguments) {
///         arguments.hex(self.feature.into());
///     }
///
///     fn decode(&self, reply: &str) -> Option<u64> {
///         reply.parse().ok()
///     }
/// }
///
/// let command = Command::extension(&Version { feature: 7 })?;
/// assert_eq!(command.to_string(), "hv_version 0x7");
/// # Ok::<(), InvalidCall>(())
/// ```
pub trait Extension {
    /// The command's first word. Not the name of one of the common commands.
    const NAME: &'static str;

    /// What the command answers.
    type Reply;

    /// Adds the words that follow the name.
    fn arguments(&self, arguments: &mut Arguments);

    /// Reads what follows `OK `, empty if nothing does; `None` if that makes no sense.
    fn decode(&self, reply: &str) -> Option<Self::Reply>;
}

/// Collects the words of a [`Call`].
#[derive(Debug)]
pub struct Arguments {
    line: Vec<u8>,
    refused: Option<InvalidWord>,
}

impl Arguments {
    /// Adds a number, as `0x` and hexadecimal digits.
    pub fn hex(&mut self, value: u64) -> &mut Self {
        self.line.push(b' ');
        push_hex(&mut self.line, value);
        self
    }

    /// Adds a name. One that can't be a [`Word`] makes the call invalid.
    pub fn word(&mut self, text: &str) -> &mut Self {
        match Word::new(text) {
            Ok(word) => {
                self.line.push(b' ');
                self.line.extend_from_slice(word.as_bytes());
            }
            Err(refused) => self.refused = self.refused.take().or(Some(refused)),
        }
        self
    }
}

/// The request of an [`Extension`]: its name and words, checked.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Call(Box<str>);

impl Call {
    /// Checks and spells a request.
    ///
    /// # Errors
    ///
    /// If the name or an argument is not one word, if the name is a common command's, if it is
    /// `rtas` or `csr` with arguments that QEMU would abort on, or if the line is longer than
    /// [`Call::MAX`].
    pub fn new<E: Extension + ?Sized>(extension: &E) -> Result<Self, InvalidCall> {
        let name = Word::new(E::NAME)?;
        let mut arguments = Arguments {
            line: name.as_bytes().to_vec(),
            refused: None,
        };
        extension.arguments(&mut arguments);
        if let Some(refused) = arguments.refused {
            return Err(refused.into());
        }
        let line = String::from_utf8(arguments.line).map_err(|_| InvalidCall::Arguments {
            name: E::NAME.into(),
        })?;
        Self::from_line(&line)
    }

    /// The longest request, in bytes.
    pub const MAX: usize = 16 * 1024;

    /// Takes a line whose words are known to be separated by single blanks.
    pub(crate) fn from_line(line: &str) -> Result<Self, InvalidCall> {
        let mut words = line.split(' ');
        let name = words.next().unwrap_or_default();
        if is_builtin(name) {
            return Err(InvalidCall::Common { name: name.into() });
        }
        if line.len() > Self::MAX {
            return Err(InvalidCall::TooLong { name: name.into() });
        }
        let sound = match name {
            Rtas::NAME => rtas::is_sound(&words.collect::<Vec<_>>()),
            Csr::NAME => csr::is_sound(&words.collect::<Vec<_>>()),
            _ => true,
        };
        if !sound {
            return Err(InvalidCall::Arguments { name: name.into() });
        }
        Ok(Self(line.into()))
    }

    /// The line, without its newline.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first word.
    pub fn name(&self) -> &str {
        self.words().next().unwrap_or_default()
    }

    /// The words that follow the name.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        self.words().skip(1)
    }

    fn words(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ')
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Command {
    /// The request of an extension.
    ///
    /// # Errors
    ///
    /// As for [`Call::new`].
    pub fn extension<E: Extension>(extension: &E) -> Result<Self, InvalidCall> {
        Call::new(extension).map(Self::Extension)
    }
}

/// Why an [`Extension`] can't be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCall {
    /// The name or an argument is not one word.
    #[error(transparent)]
    Word(#[from] InvalidWord),
    /// The name belongs to a common command, which has a variant of its own.
    #[error("`{name}` is a common command, not an extension: use its own variant of `Command`")]
    Common {
        /// The name.
        name: String,
    },
    /// The arguments are not those that the command takes; QEMU would abort.
    #[error("the arguments of `{name}` are too few, or malformed, or out of range")]
    Arguments {
        /// The command's name.
        name: String,
    },
    /// The line exceeds [`Call::MAX`].
    #[error("the request `{name}` is longer than 16384 bytes")]
    TooLong {
        /// The command's name.
        name: String,
    },
}

/// Whether a word is a number, and not above `max`.
fn is_at_most(word: &str, max: u64) -> bool {
    parse(word.as_bytes()).is_some_and(|value| value <= max)
}
