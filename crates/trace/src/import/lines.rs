//! The lines of a text, without what mail programs and web pages put around them.

/// A line, and where it stood.
#[derive(Clone, Debug)]
pub(super) struct Line {
    /// Counted from 1.
    pub(super) number: usize,
    /// Characters that were taken off its beginning.
    pub(super) offset: usize,
    pub(super) text: String,
}

impl Line {
    /// The place of a byte of the text, in the text that was read.
    pub(super) fn place(&self, byte: usize) -> (usize, usize) {
        let before = self.text.get(..byte).map_or(0, |text| text.chars().count());
        (self.number, self.offset + before + 1)
    }
}

/// The lines, decoded: carriage returns, quoted-printable, quotation marks of mail, fences, prompts.
pub(super) fn lines(text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = text
        .lines()
        .enumerate()
        .map(|(at, line)| Line {
            number: at + 1,
            offset: 0,
            text: line.trim_end_matches('\r').replace('\u{a0}', " "),
        })
        .collect();
    if is_quoted_printable(&lines) {
        lines = from_quoted_printable(lines);
    }
    unquote(&mut lines);
    lines.retain(|line| !line.text.trim_start().starts_with("```"));
    outdent(&mut lines);
    lines
}

/// Whether it can't be read otherwise: a soft break at the end of a line and an encoded `=`.
fn is_quoted_printable(lines: &[Line]) -> bool {
    let all = |what: fn(&str) -> bool| lines.iter().any(|line| what(&line.text));
    all(|line| line.contains("=3D"))
        || all(|line| line.contains("=20")) && all(|line| line.ends_with('='))
}

/// RFC 2045, 6.7.
fn from_quoted_printable(lines: Vec<Line>) -> Vec<Line> {
    let mut decoded: Vec<Line> = Vec::new();
    let mut goes_on = false;
    for line in lines {
        let text = line.text.trim_end();
        let (text, soft) = match text.strip_suffix('=') {
            Some(text) => (text, true),
            None => (text, false),
        };
        let text = unescape(text);
        match decoded.last_mut() {
            Some(last) if goes_on => last.text.push_str(&text),
            _ => decoded.push(Line { text, ..line }),
        }
        goes_on = soft;
    }
    decoded
}

fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let code = (bytes[at] == b'=')
            .then(|| bytes.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| const_hex::decode(digits).ok());
        if let Some([byte]) = code.as_deref() {
            decoded.push(*byte);
            at += 3;
        } else {
            decoded.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&decoded).replace('\u{a0}', " ")
}

/// Takes `> ` off, as often as the lines have it.
fn unquote(lines: &mut Vec<Line>) {
    loop {
        let filled = || lines.iter().filter(|line| !line.text.trim().is_empty());
        let quoted = filled().filter(|line| line.text.starts_with('>')).count();
        if quoted == 0 || quoted * 2 < filled().count() {
            return;
        }
        // What is not quoted is what somebody wrote about it.
        lines.retain(|line| line.text.starts_with('>') || line.text.trim().is_empty());
        for line in lines.iter_mut() {
            let rest = line.text.strip_prefix('>').unwrap_or(&line.text);
            let rest = rest.strip_prefix(' ').unwrap_or(rest).to_owned();
            line.offset += line.text.chars().count() - rest.chars().count();
            line.text = rest;
        }
    }
}

/// Takes off blanks and prompts.
fn outdent(lines: &mut [Line]) {
    for line in lines {
        let rest = line.text.trim_start();
        let rest = rest
            .strip_prefix("$ ")
            .unwrap_or(rest)
            .trim_end()
            .to_owned();
        let taken = line.text.trim_end().chars().count() - rest.chars().count();
        line.offset += taken;
        line.text = rest;
    }
}
