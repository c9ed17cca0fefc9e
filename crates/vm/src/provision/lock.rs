//! One at a time: [`Lock`].

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::error::ProvisionError;
use super::progress::Progress;

/// The right to change what is provisioned in a cache. Given back when dropped, and when the
/// process ends, whichever way.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Lock {
    /// Takes it, or says who has it and waits. Those who have it are themselves bounded: apt gives
    /// up on what stands still.
    pub(super) fn take(directory: &Path, progress: &dyn Progress) -> Result<Self, ProvisionError> {
        let path = directory.join("lock");
        Self::wait(&path, progress).map_err(|error| ProvisionError::io("lock", &path, error))
    }

    /// Takes it unless somebody has it; then says who, as far as that can be told.
    pub(super) fn try_take(directory: &Path) -> io::Result<Result<Self, String>> {
        let mut file = open(&directory.join("lock"))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Ok(Self::taken(file)?)),
            Err(Errno::WOULDBLOCK) => Ok(Err(holder(&mut file))),
            Err(error) => Err(error.into()),
        }
    }

    fn wait(path: &Path, progress: &dyn Progress) -> io::Result<Self> {
        loop {
            let mut file = open(path)?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) => {
                    progress.stage(&format!(
                        "waiting for {}, which is fetching one",
                        holder(&mut file)
                    ));
                    while let Err(error) = flock(&file, FlockOperation::LockExclusive) {
                        if error != Errno::INTR {
                            return Err(error.into());
                        }
                    }
                }
                result => result?,
            }
            // A removal takes the file away while it has the lock: then this is the lock of nothing.
            let there = fs::metadata(path).map(|there| (there.dev(), there.ino()));
            let mine = file.metadata()?;
            if there.is_ok_and(|there| there == (mine.dev(), mine.ino())) {
                return Self::taken(file);
            }
            fs::create_dir_all(path.parent().unwrap_or(path))?;
        }
    }

    fn taken(mut file: File) -> io::Result<Self> {
        file.set_len(0)?;
        // Only for the message to those who wait: a disk that is full shall not fail here.
        let _ = write!(file, "{}", std::process::id());
        Ok(Self { file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.file.set_len(0);
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
    match (read, text.trim().parse::<u32>()) {
        (Ok(_), Ok(pid)) => format!("another testjig (process {pid})"),
        _ => "another testjig".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc;

    use super::*;
    use crate::provision::Silent;

    /// Tells what it is told.
    struct Told(Mutex<mpsc::Sender<String>>);

    impl Progress for Told {
        fn stage(&self, what: &str) {
            let told = self.0.lock().expect("no panic").send(what.to_owned());
            told.expect("somebody listens");
        }
        fn bytes(&self, _: u64, _: u64) {}
        fn done(&self) {}
    }

    #[test]
    fn the_second_says_for_whom_it_waits_and_then_has_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = Lock::take(directory.path(), &Silent).expect("nobody has it");
        let (sender, told) = mpsc::channel();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| {
                let told = Told(Mutex::new(sender));
                Lock::take(directory.path(), &told).expect("it is free in the end")
            });
            let message = told.recv().expect("it waits and says so");
            let pid = std::process::id();
            assert_eq!(
                message,
                format!("waiting for another testjig (process {pid}), which is fetching one")
            );
            assert!(!second.is_finished());
            drop(first);
            drop(second.join().expect("no panic"));
        });
    }

    #[test]
    fn who_does_not_wait_is_told_who_has_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = Lock::take(directory.path(), &Silent).expect("nobody has it");
        let holder = Lock::try_take(directory.path())
            .expect("a lock file")
            .expect_err("somebody has it");
        assert!(holder.contains(&std::process::id().to_string()), "{holder}");
        drop(first);
        let again = Lock::try_take(directory.path()).expect("a lock file");
        again.expect("nobody has it any more");
    }
}
