//! What a distribution's kernel image holds: [`uncompressed`].

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

/// Where a field of the header lies in a `bzImage` (Linux `Documentation/arch/x86/boot.rst`), in bytes.
const SETUP_SECTORS: usize = 0x1f1;
const MAGIC: usize = 0x202;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;

/// Programs that decompress what begins so.
const FORMATS: [(&[u8], &str); 4] = [
    (b"\xfd7zXZ\0", "xz"),
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x02\x21\x4c\x18", "lz4"),
];

/// The kernel itself out of an x86 image that decompresses itself. A guest without KVM takes longer for that than for the rest of its boot.
///
/// # Errors
/// If the image is of another kind, or the program that decompresses it is missing or fails.
pub(crate) fn uncompressed(image: &Path) -> io::Result<Vec<u8>> {
    let bytes = fs::read(image)?;
    let payload = payload(&bytes).ok_or_else(|| invalid("it is no bzImage with a payload"))?;
    let (_, program) = FORMATS
        .iter()
        .find(|(magic, _)| payload.starts_with(magic))
        .ok_or_else(|| invalid("its payload is compressed in a way that is not known"))?;
    let mut child = Command::new(program)
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| {
            io::Error::new(error.kind(), format!("failed to start {program}: {error}"))
        })?;
    let mut input = child.stdin.take().ok_or_else(|| invalid("no pipe"))?;
    let output = thread::scope(|scope| {
        scope.spawn(move || {
            // A program that stops reading has failed, which its output shows.
            let _ = input.write_all(payload);
        });
        child.wait_with_output()
    })?;
    // Behind the payload there may be its length, of which programs complain: what counts is what came out.
    if !output.stdout.starts_with(b"\x7fELF") {
        return Err(invalid(&format!("{program} made no ELF of it")));
    }
    Ok(output.stdout)
}

fn payload(image: &[u8]) -> Option<&[u8]> {
    let word = |at: usize| {
        let bytes = image.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    if image.get(MAGIC..MAGIC + 4)? != b"HdrS" {
        return None;
    }
    // 0 stands for 4.
    let sectors = match *image.get(SETUP_SECTORS)? {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let start = (sectors + 1) * 512 + word(PAYLOAD_OFFSET)?;
    let length = word(PAYLOAD_LENGTH)?;
    // The last four bytes are the length of the kernel.
    image.get(start..(start + length).checked_sub(4)?)
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An image with one sector of set-up and this payload.
    fn image(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 1024];
        image[SETUP_SECTORS] = 1;
        image[MAGIC..MAGIC + 4].copy_from_slice(b"HdrS");
        image[PAYLOAD_OFFSET] = 16;
        let length = u32::try_from(payload.len() + 4).expect("short");
        image[PAYLOAD_LENGTH..PAYLOAD_LENGTH + 4].copy_from_slice(&length.to_le_bytes());
        image.extend([0; 16]);
        image.extend(payload);
        image.extend([0xaa; 4]);
        image
    }

    #[test]
    fn the_payload_is_where_the_header_says() {
        assert_eq!(payload(&image(b"payload")), Some(&b"payload"[..]));
        let whole = image(b"payload");
        for length in 0..whole.len() - 4 {
            let _ = payload(&whole[..length]);
        }
        assert_eq!(payload(b"MZ"), None);
    }

    #[test]
    fn what_can_not_be_taken_out_is_an_error() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        for bytes in [
            b"nothing".to_vec(),
            image(b"nothing"),
            image(b"\x1f\x8bnothing"),
        ] {
            fs::write(file.path(), bytes).expect("writable");
            uncompressed(file.path()).expect_err("no kernel");
        }
    }
}
