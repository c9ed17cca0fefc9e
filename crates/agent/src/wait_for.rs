//! `wait_for [--gone] PATH [SECONDS]`: waits until a file has come or gone.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::sys;

/// How long if nothing is said.
const USUAL: Duration = Duration::from_secs(60);
/// Files that no uevent announces are looked for after so long; and a file goes a moment after its uevent.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
const USAGE: &str = "usage: wait_for [--gone] PATH [SECONDS]";

/// Waits; the exit status is 0 if it came to that, 1 if not in time, 2 for wrong usage.
pub(crate) fn run(words: impl Iterator<Item = OsString>) -> i32 {
    let mut words = words.peekable();
    let gone = words.next_if(|word| word == "--gone").is_some();
    let Some(path) = words.next().map(PathBuf::from) else {
        eprintln!("{USAGE}");
        return 2;
    };
    let patience = match words.next().map(|word| word.to_str().map(str::parse)) {
        None => USUAL,
        Some(Some(Ok(seconds))) => Duration::from_secs(seconds),
        Some(_) => {
            eprintln!("{USAGE}");
            return 2;
        }
    };
    let deadline = Instant::now() + patience;
    // From before the first look: what comes after it wakes this.
    let socket = sys::uevent_socket();
    while fs::symlink_metadata(&path).is_err() != gone {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let what = if gone { "go" } else { "come" };
            eprintln!(
                "wait_for: {} did not {what} within {} s",
                path.display(),
                patience.as_secs()
            );
            return 1;
        }
        match &socket {
            Ok(socket) => sys::wait_readable(socket, left.min(LOOK_AGAIN)),
            Err(_) => std::thread::sleep(left.min(LOOK_AGAIN)),
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waited(words: &[&str]) -> i32 {
        run(words.iter().map(OsString::from))
    }

    #[test]
    fn what_is_so_is_not_waited_for() {
        assert_eq!(waited(&["/"]), 0);
        assert_eq!(waited(&["--gone", "/no/such/file"]), 0);
    }

    #[test]
    fn a_wait_ends_in_time_and_wrong_words_at_once() {
        assert_eq!(waited(&["/no/such/file", "0"]), 1);
        assert_eq!(waited(&["--gone", "/", "0"]), 1);
        assert_eq!(waited(&[]), 2);
        assert_eq!(waited(&["/", "soon"]), 2);
    }
}
