//! What a removal takes away, and what it leaves.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

#[test]
fn a_removal_takes_all_of_ours_and_nothing_else() {
    let trial = Trial::new();
    let installed = trial.fetch(&[Arch::X86_64], false).expect("fetched");
    let outside = trial.directory.path().join("outside");
    fs::create_dir(&outside).expect("writable");
    fs::write(outside.join("precious"), "").expect("writable");
    symlink(&outside, installed.root().join("link")).expect("writable");
    symlink(&outside, trial.cache.provisioned().join("link-amd64")).expect("writable");
    let sealed = installed.root().join("sealed");
    fs::create_dir(&sealed).expect("writable");
    fs::write(sealed.join("file"), "").expect("writable");
    fs::set_permissions(&sealed, fs::Permissions::from_mode(0o500)).expect("ours");
    let history = trial.cache.root().join("history.json");
    fs::write(&history, "").expect("writable");
    fs::create_dir_all(trial.cache.probes()).expect("writable");

    let removed = remove(&trial.cache, None).expect("removed");
    assert!(removed.bytes > 0);
    assert!(!installed.directory().exists());
    assert!(!trial.cache.probes().exists());
    assert!(outside.join("precious").exists());
    assert!(history.exists());
    assert_eq!(
        remove(&trial.cache, None).expect("nothing there"),
        Removed::default()
    );
}

#[test]
fn a_removal_of_one_suite_leaves_the_others() {
    let mut trial = Trial::new();
    let sid = trial.fetch(&[Arch::X86_64], false).expect("fetched");
    trial.suite = Suite::new("bookworm-backports").expect("a good name");
    let backports = trial.fetch(&[Arch::X86_64], false).expect("fetched");
    let bookworm = Suite::new("bookworm").expect("a good name");
    assert_eq!(
        remove(&trial.cache, Some(&bookworm)).expect("none"),
        Removed::default()
    );
    let removed = remove(&trial.cache, Some(&trial.suite)).expect("removed");
    assert_eq!(
        removed.directories,
        [backports.directory().parent().expect("its home")]
    );
    assert_eq!(list(&trial.cache), [sid]);
}

#[test]
fn a_directory_that_is_a_link_elsewhere_is_not_emptied() {
    let trial = Trial::new();
    let outside = trial.directory.path().join("outside");
    fs::create_dir_all(outside.join("sid-amd64/1/root")).expect("writable");
    symlink(&outside, trial.cache.provisioned()).expect("writable");
    remove(&trial.cache, None).expect("the link");
    assert!(outside.join("sid-amd64/1/root").exists());
    assert!(fs::symlink_metadata(trial.cache.provisioned()).is_err());
}

#[test]
fn while_one_fetches_nothing_is_removed() {
    let trial = Trial::new();
    trial.fetch(&[Arch::X86_64], false).expect("fetched");
    let lock = Lock::take(&trial.cache.provisioned(), &Silent).expect("free");
    let error = remove(&trial.cache, None).expect_err("in use");
    assert!(matches!(error, RemoveError::Busy { .. }), "{error}");
    assert_eq!(list(&trial.cache).len(), 1);
    drop(lock);
    remove(&trial.cache, None).expect("free again");
}

/// Tells when it is told to wait.
struct Signal(Mutex<std::sync::mpsc::Sender<()>>);
impl Progress for Signal {
    fn stage(&self, what: &str) {
        if what.starts_with("waiting") {
            let sender = self.0.lock().expect("no panic");
            sender.send(()).expect("somebody listens");
        }
    }
    fn bytes(&self, _: u64, _: u64) {}
    fn done(&self) {}
}

#[test]
fn whoever_waits_while_all_is_removed_starts_anew() {
    let trial = Trial::new();
    let directory = trial.cache.provisioned();
    fs::create_dir(&directory).expect("writable");
    let lock = Lock::take(&directory, &Silent).expect("free");
    let (sender, waits) = std::sync::mpsc::channel();
    let installed = std::thread::scope(|scope| {
        let signal = Signal(Mutex::new(sender));
        let fetch = scope.spawn(|| {
            let signal = signal;
            trial.fetch_watched(&[Arch::X86_64], false, &signal)
        });
        waits.recv().expect("it waits");
        fs::remove_dir_all(&directory).expect("writable");
        drop(lock);
        fetch.join().expect("no panic").expect("fetched")
    });
    assert_eq!(list(&trial.cache), [installed]);
    assert!(directory.join("lock").exists());
}
