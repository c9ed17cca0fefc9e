//! What a test's file says of how it is to be run: [`Header`].

use std::time::Duration;

use crate::machine::ChannelKind;

/// What a test's file says in comments of the form `# testjig: name=value …`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Header {
    pub(crate) channel: ChannelKind,
    pub(crate) deadline: Option<Duration>,
    /// Whether machines may begin where an equal one has booted to.
    pub(crate) warm: bool,
}

impl Header {
    pub(crate) fn of(script: &[u8]) -> Result<Self, String> {
        let mut header = Self::default();
        let text = String::from_utf8_lossy(script);
        let words = text
            .lines()
            .filter_map(|line| line.strip_prefix("# testjig:"))
            .flat_map(str::split_whitespace);
        for word in words {
            match word.split_once('=') {
                Some(("agent", "virtio")) => header.channel = ChannelKind::Virtio,
                Some(("agent", "isa")) => header.channel = ChannelKind::Isa,
                Some(("lane", "warm")) => header.warm = true,
                Some(("lane", "cold")) => header.warm = false,
                Some(("deadline", seconds)) if seconds.parse::<u32>().is_ok() => {
                    header.deadline = seconds.parse().ok().map(Duration::from_secs);
                }
                _ => {
                    return Err(format!(
                        "the comment `# testjig: {word}` is not understood; there are agent=virtio, agent=isa, lane=warm, lane=cold and deadline=SECONDS"
                    ));
                }
            }
        }
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_how_it_wants_to_be_run() {
        let header =
            Header::of(b"#!/bin/sh\n# testjig: agent=isa deadline=7\n").expect("it is understood");
        assert_eq!(header.channel, ChannelKind::Isa);
        assert_eq!(header.deadline, Some(Duration::from_secs(7)));
        let error = Header::of(b"# testjig: lane=fast\n").expect_err("there is no such");
        assert!(error.contains("lane=fast"), "{error}");
    }
}
