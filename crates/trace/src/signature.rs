//! [`Ending`]: how a machine ended, and which ends are the same bug.

use testjig_vm::{ExitReport, ExitStatus};

/// How a machine fared.
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
    /// What the same bug has in common wherever it is met; `None` for a machine that is fine.
    ///
    /// Of a machine that is gone: the signal, and the first of these that is known:
    ///
    /// 1. the assertion that failed, without line numbers and the program's name;
    /// 2. what the address sanitizer says, and the first functions it names;
    /// 3. the frames of the stack that the preload library writes ([`LaunchOptions::frames`](testjig_vm::LaunchOptions::frames)):
    ///    the program's build id, and where in it, whatever address it was loaded at;
    /// 4. the last words on standard error, without numbers.
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
                let stderr = &report.stderr;
                let words = assertion(stderr)
                    .or_else(|| sanitizer(stderr))
                    .or_else(|| frames(stderr))
                    .or_else(|| last_words(stderr));
                match words {
                    Some(words) => format!("{end}: {words}"),
                    None => end,
                }
            }
        })
    }
}

/// Before each line of the preload library about a crash.
const FRAME: &str = "testjig: frame ";
/// Frames of a signature that are the program's own.
const FRAMES: usize = 3;

/// The assertion in what a program said. glibc: `program: file:line: function: Assertion …`; GLib: `ERROR:file:line:function: …`.
fn assertion(stderr: &str) -> Option<String> {
    let line = stderr.lines().rfind(|line| {
        let failed = line.contains("Assertion `") && line.contains("failed")
            || line.contains("assertion failed")
            || line.contains("should not be reached")
            || line.contains("code should not be reached");
        failed && !line.starts_with("Bail out!")
    })?;
    let start = line
        .find("ERROR:")
        .or_else(|| line.find(": ").map(|at| at + 2))
        .unwrap_or(0);
    // Where the source was when it was compiled is the packager's affair.
    let rest = line[start..].trim_start_matches("ERROR:");
    Some(without_numbers(
        rest.trim_start_matches("../").trim_start_matches("./"),
    ))
}

/// `ERROR: AddressSanitizer: heap-buffer-overflow on address …`, and `#0 0x… in function file:line` below it.
fn sanitizer(stderr: &str) -> Option<String> {
    let mut lines = stderr.lines();
    let kind = lines.find_map(|line| {
        let (_, rest) = line.split_once("ERROR: ")?;
        let (tool, rest) = rest.split_once("Sanitizer: ")?;
        Some(format!(
            "{tool}Sanitizer: {}",
            rest.split_whitespace().next()?
        ))
    })?;
    let mut functions: Vec<&str> = Vec::new();
    for line in lines {
        let line = line.trim_start();
        if !line.starts_with('#') {
            // The stacks of allocation and release follow.
            if functions.is_empty() {
                continue;
            }
            break;
        }
        let function = line
            .split(" in ")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        functions.extend(function.filter(|name| !name.starts_with("__")));
        if functions.len() == FRAMES {
            break;
        }
    }
    Some(format!("{kind} in {}", functions.join(" < ")))
}

/// A frame: `testjig: frame MODULE BUILD-ID OFFSET [SYMBOL+OFFSET]`.
struct Frame<'a> {
    build: &'a str,
    place: &'a str,
    symbol: Option<&'a str>,
    is_program: bool,
}

impl Frame<'_> {
    fn parse(line: &str) -> Option<Frame<'_>> {
        let mut words = line.strip_prefix(FRAME)?.split(' ');
        let module = words.next()?;
        Some(Frame {
            build: words.next()?,
            place: words.next()?,
            symbol: words.next(),
            is_program: module == "program" || module.starts_with("qemu"),
        })
    }

    fn shown(&self) -> String {
        match self.symbol {
            Some(symbol) => symbol.to_owned(),
            None => self.place.to_owned(),
        }
    }
}

/// The first frames of the program itself; of a recursion that used up the stack, all that take part in it, since where it ended is
/// chance.
fn frames(stderr: &str) -> Option<String> {
    let all: Vec<Frame<'_>> = stderr.lines().filter_map(Frame::parse).collect();
    let own: Vec<&Frame<'_>> = all.iter().filter(|frame| frame.is_program).collect();
    let first = own.first()?;
    let short: String = first.build.chars().take(12).collect();
    let again = own
        .iter()
        .filter(|frame| frame.place == first.place)
        .count();
    let round = own
        .iter()
        .skip(1)
        .position(|frame| frame.place == first.place);
    if let (Some(round), true) = (round, again >= 3) {
        let mut places: Vec<String> = own[..=round].iter().map(|frame| frame.shown()).collect();
        places.sort();
        places.dedup();
        return Some(format!("recursion in {short}: {}", places.join(", ")));
    }
    let shown: Vec<String> = own.iter().take(FRAMES).map(|frame| frame.shown()).collect();
    Some(format!("in {short}: {}", shown.join(" < ")))
}

fn last_words(stderr: &str) -> Option<String> {
    let said = |line: &&str| !line.trim().is_empty() && !line.starts_with("testjig: ");
    let line = stderr.lines().rfind(said)?;
    let start = line.find(": ").map_or(0, |at| at + 2);
    Some(without_numbers(&line[start..]))
}

/// Numbers are addresses, lines and processes: a word that begins with a digit is one, one that has some is a name.
fn without_numbers(line: &str) -> String {
    let mut words = String::new();
    let mut is_number = false;
    let mut before = ' ';
    for character in line.chars() {
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
    words.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone(signal: i32, stderr: &str) -> String {
        let report = ExitReport {
            status: ExitStatus::Signal {
                signal,
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
            6,
            "qemu-system-x86_64: ../hw/ide/core.c:944: ide_dma_cb: Assertion `n * 512 == s' failed.\n",
        );
        let other = gone(
            6,
            "/opt/qemu: ../../hw/ide/core.c:951: ide_dma_cb: Assertion `n * 512 == s' failed.\nunrelated\n",
        );
        assert_eq!(one, other);
        assert_eq!(
            one,
            "signal 6: hw/ide/core.c:#: ide_dma_cb: Assertion `n * # == s' failed."
        );
        assert_ne!(
            one,
            gone(
                6,
                "q: ../hw/ide/core.c:944: ide_dma_cb: Assertion `m' failed.\n"
            )
        );
    }

    #[test]
    fn the_assertion_counts_and_not_what_was_said_after_it() {
        assert_eq!(
            gone(
                6,
                "**\nERROR:../hw/a.c:12:f: assertion failed: (x)\nBail out! ERROR:../hw/a.c:12:f: assertion failed: (x)\ncore dumped\n"
            ),
            "signal 6: hw/a.c:#:f: assertion failed: (x)"
        );
        assert_eq!(gone(6, ""), "signal 6");
        assert_eq!(Ending::Fine.signature(), None);
    }

    #[test]
    fn frames_count_where_nothing_was_said() {
        let text = "warning: x\ntestjig: frame libc.so.6 aa 0x10\ntestjig: frame program 0123456789abcdef 0x1234\n\
                    testjig: frame program 0123456789abcdef 0x99 dma_blk_io+0x5\ntestjig: frame program 0123456789abcdef 0x55\n\
                    testjig: frame program 0123456789abcdef 0x66\n";
        assert_eq!(
            gone(11, text),
            "signal 11: in 0123456789ab: 0x1234 < dma_blk_io+0x5 < 0x55"
        );
        assert_eq!(gone(11, "q: bad guest 17\n"), "signal 11: bad guest #");
    }

    #[test]
    fn a_recursion_is_the_same_wherever_the_stack_ended() {
        let cycle = |from: usize| {
            let places = ["0x10", "0x20", "0x30"];
            (0..30).fold(String::new(), |text, at| {
                text + "testjig: frame program bb " + places[(from + at) % 3] + "\n"
            })
        };
        assert_eq!(gone(11, &cycle(0)), gone(11, &cycle(1)));
        assert_eq!(
            gone(11, &cycle(2)),
            "signal 11: recursion in bb: 0x10, 0x20, 0x30"
        );
    }

    #[test]
    fn what_a_sanitizer_says_is_its_kind_and_where() {
        let text = "==7==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x60 at pc 0x1\nWRITE of size 1\n    \
                    #0 0x5 in __asan_memcpy (q+1)\n    #1 0x6 in sdhci_write_dataport hw/sd/sdhci.c:1\n    #2 0x7 in sdhci_write hw/sd/sdhci.c:2\n\n\
                    0x60 is located\n    #0 0x9 in malloc\n";
        assert_eq!(
            gone(6, text),
            "signal 6: AddressSanitizer: heap-buffer-overflow in sdhci_write_dataport < sdhci_write"
        );
    }
}
