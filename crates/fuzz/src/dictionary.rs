//! [`dictionary`]: words that mean something to a device.

use std::fs;
use std::path::Path;

use libafl::mutators::Tokens;

/// The words of a file in AFL's format: a line `name="\x12\x34"` each, or only what is quoted; `#` begins a comment.
///
/// A word of up to eight bytes is also a value of registers, its bytes as they lie in a little-endian guest's memory.
///
/// # Errors
/// Which line is none, or why the file can't be read.
pub fn dictionary(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    // The library takes text for granted.
    fs::read_to_string(path).map_err(|error| error.to_string())?;
    let tokens = Tokens::from_file(path).map_err(|error| error.to_string())?;
    Ok(tokens.tokens().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_in_order() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("words");
        fs::write(
            &path,
            "# commands\nread_id=\"\\x4a\"\n\"\\x12\\x34\"\nmagic@2=\"virt\"\n",
        )
        .expect("writable");
        let words = dictionary(&path).expect("a dictionary");
        assert_eq!(words, [&[0x4a][..], &[0x12, 0x34], b"virt"]);
    }

    #[test]
    fn what_is_none_is_told() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("words");
        fs::write(&path, "name without quotes\n").expect("writable");
        assert!(dictionary(&path).is_err());
        assert!(dictionary(&directory.path().join("none")).is_err());
    }
}
