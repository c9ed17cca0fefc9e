//! What went over the wire, as QEMU's `-qtest-log` has it.

use std::io::Write;
use std::time::Instant;

/// What a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// A client connected (`I`, `OPENED`).
    Opened,
    /// A client is gone (`I`, `CLOSED`).
    Closed,
    /// A request (`R`).
    Received,
    /// A reply or an interrupt line (`S`).
    Sent,
}

/// Is told of each line.
pub trait Log {
    /// A line, without its newline.
    fn line(&mut self, tag: Tag, text: &[u8]);
}

/// QEMU's own format: `[R +0.001234] inb 0x70`, the time in seconds since the client connected.
#[derive(Debug)]
pub struct TextLog<W> {
    writer: W,
    opened: Instant,
}

impl<W: Write> TextLog<W> {
    /// Writes to `writer`; what can't be written is lost.
    pub fn new(writer: W) -> Self {
        Self {
            writer,
            opened: Instant::now(),
        }
    }
}

impl<W: Write> Log for TextLog<W> {
    fn line(&mut self, tag: Tag, text: &[u8]) {
        let (letter, sign, text) = match tag {
            Tag::Opened => {
                self.opened = Instant::now();
                ('I', "", b"OPENED".as_slice())
            }
            Tag::Closed => ('I', "+", b"CLOSED".as_slice()),
            Tag::Received => ('R', "+", text),
            Tag::Sent => ('S', "+", text),
        };
        let since = self.opened.elapsed().as_secs_f64();
        let mut line = format!("[{letter} {sign}{since:.6}] ").into_bytes();
        line.extend_from_slice(text);
        line.push(b'\n');
        let _ = self.writer.write_all(&line);
    }
}
