//! [`Outcome`]: what became of a session.

use std::fmt;
use std::time::Duration;

use testjig_qtest::{Edge, Reply};
use testjig_vm::ExitReport;

use crate::header::Expect;
use crate::session::{Action, Expected, Trace};
use crate::signature::Ending;

/// What became of a session.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// In a word.
    pub verdict: Verdict,
    /// Operations that were answered.
    pub answered: u64,
    /// The first reply that is another than the file's, whatever came after it.
    pub difference: Option<Difference>,
    /// What QEMU wrote to its standard error.
    pub stderr: String,
    /// The answers, in the order of the file's operations; shorter if the machine did not answer all. A reset is [`Reply::Done`].
    pub replies: Vec<Reply>,
    /// How interrupt lines moved.
    pub edges: Vec<Edge>,
    /// How long the operations took.
    pub took: Duration,
}

/// What became of a session, in a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The machine lives, and has answered as the file says, where it does.
    Survived,
    /// The machine ended by itself.
    Crashed {
        /// What the same bug has in common wherever it is met.
        signature: String,
        /// How it ended.
        report: ExitReport,
    },
    /// The machine does not answer.
    Hung,
    /// It answered otherwise than the file says, or an interrupt line moved otherwise, or it did not say what it should.
    Differs(String),
    /// It took so many bytes more memory than at its start.
    Leaked(u64),
    /// This QEMU can't replay the session; why.
    Skipped(String),
}

impl Verdict {
    /// What the same bug has in common wherever it is met; `None` where there is none.
    pub fn signature(&self) -> Option<String> {
        match self {
            Self::Survived | Self::Skipped(_) => None,
            Self::Crashed { signature, .. } => Some(signature.clone()),
            Self::Hung => Ending::Hung.signature(),
            Self::Leaked(bytes) => Ending::Grown(*bytes).signature(),
            Self::Differs(_) => Some("replied differently".to_owned()),
        }
    }

    /// Whether the session ended as its file expects.
    pub fn is_as(&self, expect: &Expect) -> bool {
        match (self, expect) {
            (Self::Survived, Expect::Survive | Expect::Reply) => true,
            (Self::Crashed { signature, .. }, Expect::Crash(wanted)) => {
                wanted.is_empty() || wanted == signature
            }
            _ => false,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Survived => f.write_str("survived"),
            Self::Crashed { signature, .. } => write!(f, "crashed({signature})"),
            Self::Hung => f.write_str("hung"),
            Self::Differs(difference) => write!(f, "replied differently: {difference}"),
            Self::Leaked(bytes) => write!(f, "leaked memory: {} MiB", bytes >> 20),
            Self::Skipped(reason) => write!(f, "skipped: {reason}"),
        }
    }
}

/// A reply that is another than the file's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which line after the header, counted from 0.
    pub step: usize,
    /// Which operation, counted from 1.
    pub operation: usize,
    /// The request.
    pub request: String,
    /// What the file says.
    pub expected: Expected,
    /// What came.
    pub got: Reply,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "operation {}, {}: {}, not {}",
            self.operation,
            self.request,
            Expected::exactly(self.got.clone()),
            self.expected
        )
    }
}

impl Outcome {
    pub(crate) fn skipped(reason: String) -> Self {
        Self {
            verdict: Verdict::Skipped(reason),
            answered: 0,
            difference: None,
            stderr: String::new(),
            replies: Vec::new(),
            edges: Vec::new(),
            took: Duration::ZERO,
        }
    }

    /// Of a machine that lives: whether it did as the file says. The words are QEMU's own; another VMM has others.
    pub(crate) fn judged(&self, trace: &Trace, is_qemu: bool) -> Verdict {
        if let Some(difference) = &self.difference {
            return Verdict::Differs(difference.to_string());
        }
        if let Some(difference) = edges_differ(trace, &self.edges) {
            return Verdict::Differs(difference);
        }
        match trace
            .header
            .says
            .iter()
            .find(|words| is_qemu && !self.stderr.contains(words.as_str()))
        {
            Some(words) => Verdict::Differs(format!("it did not say “{words}”")),
            None => Verdict::Survived,
        }
    }
}

/// Where the interrupt lines moved otherwise than the file says, if it says anything of them.
fn edges_differ(trace: &Trace, edges: &[Edge]) -> Option<String> {
    let mut wanted = trace.steps.iter().filter_map(|step| match step.action {
        Action::Edge { line, level } => Some((line, level)),
        _ => None,
    });
    wanted.clone().next()?;
    let word = |level| if level { "raised" } else { "lowered" };
    let mut got = edges.iter();
    let mut number = 0;
    loop {
        number += 1;
        match (wanted.next(), got.next()) {
            (None, None) => return None,
            (Some(wanted), Some(got)) if wanted == (got.line, got.level) => {}
            (Some((line, level)), None) => {
                return Some(format!(
                    "interrupt line {line} was not {} ({number})",
                    word(level)
                ));
            }
            (None, Some(edge)) => {
                return Some(format!(
                    "interrupt line {} was {} once more",
                    edge.line,
                    word(edge.level)
                ));
            }
            (Some((line, level)), Some(edge)) => {
                return Some(format!(
                    "edge {number}: interrupt line {} was {}, not line {line} {}",
                    edge.line,
                    word(edge.level),
                    word(level)
                ));
            }
        }
    }
}
