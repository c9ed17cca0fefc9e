//! Text without an allocator: numbers from C strings, sentences of a bounded length.

use core::ffi::{CStr, c_char, c_int};
use core::fmt;

/// A sentence of at most so many bytes; what does not fit is left out.
pub(crate) struct Text {
    bytes: [u8; 112],
    len: usize,
}

impl Text {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; 112],
            len: 0,
        }
    }

    /// Formats a sentence.
    pub(crate) fn of(arguments: fmt::Arguments<'_>) -> Self {
        let mut text = Self::new();
        // It can't fail: what does not fit is left out.
        let _ = fmt::write(&mut text, arguments);
        text
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// As a C string: without what would not leave room for its end.
    pub(crate) fn with_c_str<R>(&mut self, with: impl FnOnce(&CStr) -> R) -> Option<R> {
        let end = self.len.min(self.bytes.len() - 1);
        *self.bytes.get_mut(end)? = 0;
        CStr::from_bytes_until_nul(&self.bytes).ok().map(with)
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if let Some(place) = self.bytes.get_mut(self.len) {
                *place = byte;
                self.len += 1;
            }
        }
        Ok(())
    }
}

/// The number that a C string is.
///
/// # Safety
/// `text` is null or a C string.
pub(crate) unsafe fn number(text: *const c_char) -> Option<c_int> {
    if text.is_null() {
        return None;
    }
    // SAFETY: not null, so a C string by the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_str().ok()?.parse().ok()
}

/// The C string as text, for a sentence.
///
/// # Safety
/// `text` is null or a C string that lives as long as the answer is used.
pub(crate) unsafe fn shown<'a>(text: *const c_char) -> &'a str {
    if text.is_null() {
        return "(nothing)";
    }
    // SAFETY: not null, so a C string by the caller's promise.
    unsafe { CStr::from_ptr(text) }
        .to_str()
        .unwrap_or("(not text)")
}
