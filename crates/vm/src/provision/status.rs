//! What apt reports on its status descriptor: [`Lines`], [`Status`].

/// One report on a download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Status {
    /// The ordinal of the file it is at, from 1.
    pub(super) file: u64,
    /// How much of all bytes is there, in millionths.
    pub(super) millionths: u64,
}

/// Cuts what is read into reports.
#[derive(Debug, Default)]
pub(super) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// The reports that are complete with these bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Vec<Status> {
        self.rest.extend_from_slice(bytes);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else {
            return Vec::new();
        };
        let text: Vec<u8> = self.rest.drain(..=end).collect();
        String::from_utf8_lossy(&text)
            .lines()
            .filter_map(report)
            .collect()
    }
}

/// `dlstatus:FILE:PERCENT:TEXT`; of other kinds (`pmstatus`, `media-change`) nothing is needed.
fn report(line: &str) -> Option<Status> {
    let mut parts = line.strip_prefix("dlstatus:")?.splitn(3, ':');
    let file = parts.next()?.parse().ok()?;
    let percent: f64 = parts.next()?.parse().ok()?;
    (0.0..=100.0).contains(&percent).then_some(Status {
        file,
        millionths: (percent * 1e4).round() as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_read_across_the_cuts_of_the_pipe() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(b"dlstatus:1:0.0000:Retr"), []);
        let first = Status {
            file: 1,
            millionths: 0,
        };
        assert_eq!(lines.push(b"ieving file 1 of 71\ndlstatus:27:29."), [first]);
        let second = Status {
            file: 27,
            millionths: 290_276,
        };
        assert_eq!(lines.push(b"0276:Retrieving file 27 of 71\n"), [second]);
    }

    #[test]
    fn what_is_no_report_on_a_download_is_passed_over() {
        let mut lines = Lines::default();
        let text = b"pmstatus:dpkg-exec:0.0000:Running dpkg\n\ndlstatus:x:1.0:\ndlstatus:1:nan:\ndlstatus:1:101:\ndlstatus:1\n\xff\n";
        assert_eq!(lines.push(text), []);
    }
}
