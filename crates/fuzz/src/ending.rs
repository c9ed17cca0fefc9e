//! [`Ending`]: how a machine fared with an input, and which ends are the same bug.

use testjig_vm::{ExitReport, ExitStatus};

/// How a machine fared with an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It lives, or ended as the guest asked it to.
    Fine,
    /// It ended by itself.
    Gone(ExitReport),
    /// It does not answer.
    Hung,
    /// It took so many bytes more memory.
    Grown(u64),
}

impl Ending {
    /// What the same bug has in common wherever it is met: the assertion, else the last words without numbers, and the signal. `None` for
    /// a machine that is fine.
    pub fn signature(&self) -> Option<String> {
        Some(match self {
            Self::Fine => return None,
            Self::Hung => "hang".to_owned(),
            Self::Grown(_) => "memory growth".to_owned(),
            Self::Gone(report) => {
                let end = match report.status {
                    ExitStatus::Exited(status) => format!("exit status {status}"),
                    ExitStatus::Signal { signal, .. } => format!("signal {signal}"),
                    _ => "gone".to_owned(),
                };
                match words(&report.stderr) {
                    Some(words) => format!("{end}: {words}"),
                    None => end,
                }
            }
        })
    }
}

/// The assertion in what a program said, or its last line; numbers are left out, since they are addresses, lines and processes.
fn words(stderr: &str) -> Option<String> {
    let said = |line: &&str| !line.trim().is_empty();
    let line = stderr
        .lines()
        .rfind(|line| {
            line.to_ascii_lowercase().contains("assert") || line.contains("should not be reached")
        })
        .or_else(|| stderr.lines().rfind(said))?;
    // `program: file:line: function: Assertion …` and `ERROR:file:line:function: …`: the program may be called anything.
    let start = line
        .find("ERROR:")
        .or_else(|| line.find(": ").map(|at| at + 2));
    // A word that begins with a digit is a number, one that has some is a name.
    let mut words = String::new();
    let mut is_number = false;
    let mut before = ' ';
    for character in line[start.unwrap_or(0)..].chars() {
        let is_in_word = |character: char| character.is_alphanumeric() || character == '_';
        if !is_in_word(before) {
            is_number = character.is_ascii_digit();
            if is_number {
                words.push('#');
            }
        }
        if !is_number || !is_in_word(character) {
            words.push(character);
        }
        before = character;
    }
    Some(words.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone(stderr: &str) -> String {
        let report = ExitReport {
            status: ExitStatus::Signal {
                signal: 6,
                core: false,
            },
            forced: false,
            stderr: stderr.to_owned(),
        };
        Ending::Gone(report).signature().expect("an end")
    }

    #[test]
    fn one_bug_is_one_signature_whatever_the_numbers() {
        let one = gone(
            "qemu-system-x86_64: ../hw/ide/core.c:944: ide_dma_cb: Assertion `n * 512 == s' failed.\n",
        );
        let other =
            gone("/opt/qemu: ../hw/ide/core.c:951: ide_dma_cb: Assertion `n * 512 == s' failed.\n");
        assert_eq!(one, other);
        assert_eq!(
            one,
            "signal 6: ../hw/ide/core.c:#: ide_dma_cb: Assertion `n * # == s' failed."
        );
        assert_ne!(
            one,
            gone("q: ../hw/ide/core.c:944: ide_dma_cb: Assertion `m' failed.\n")
        );
    }

    #[test]
    fn the_assertion_counts_and_not_what_was_said_after_it() {
        assert_eq!(
            gone(
                "**\nERROR:../hw/a.c:12:f: assertion failed: (x)\nBail out! ERROR:…\ncore dumped\n"
            ),
            "signal 6: ERROR:../hw/a.c:#:f: assertion failed: (x)"
        );
        assert_eq!(gone(""), "signal 6");
        assert_eq!(Ending::Fine.signature(), None);
    }
}
