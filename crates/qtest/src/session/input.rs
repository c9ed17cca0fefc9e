//! [`Input`]: bytes in, lines out.

use memchr::memchr;

/// Collects bytes until they make lines. Grows to the longest line that makes sense, no further.
#[derive(Debug)]
pub(super) struct Input {
    bytes: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// Up to here there is no newline.
    searched: usize,
    /// Up to here there are bytes from the peer.
    end: usize,
}

/// Capacity at first.
const INITIAL: usize = 32 * 1024;

impl Default for Input {
    fn default() -> Self {
        Self {
            bytes: vec![0; INITIAL],
            start: 0,
            searched: 0,
            end: 0,
        }
    }
}

impl Input {
    /// Room for more bytes: never empty, `None` if the last line is longer than `longest` bytes
    /// already.
    pub(super) fn room(&mut self, longest: usize) -> Option<&mut [u8]> {
        if self.end - self.start > longest {
            return None;
        }
        if self.start == self.end {
            (self.start, self.searched, self.end) = (0, 0, 0);
        }
        if self.end == self.bytes.len() {
            if self.start == 0 {
                // One byte more than the longest line, so that its newline, or what is there
                // instead, fits.
                let size = (2 * self.bytes.len())
                    .min(longest + 1)
                    .max(self.bytes.len() + 1);
                self.bytes.resize(size, 0);
            } else {
                self.bytes.copy_within(self.start..self.end, 0);
                self.searched -= self.start;
                self.end -= self.start;
                self.start = 0;
            }
        }
        Some(&mut self.bytes[self.end..])
    }

    /// Takes notice that the first `count` bytes of the room were filled.
    pub(super) fn filled(&mut self, count: usize) {
        self.end += count;
    }

    /// The next whole line, without its newline.
    #[inline]
    pub(super) fn line(&mut self) -> Option<&[u8]> {
        let Some(length) = memchr(b'\n', &self.bytes[self.searched..self.end]) else {
            self.searched = self.end;
            return None;
        };
        let line = self.start..self.searched + length;
        self.start = line.end + 1;
        self.searched = self.start;
        Some(&self.bytes[line])
    }

    /// The bytes after the last whole line.
    pub(super) fn partial(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }
}
