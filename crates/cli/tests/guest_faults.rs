//! Guest tests that are ended from outside, and guests whose parts are missing or wrong: each has its own message, and nothing is left.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use testjig::vm::{Cache, Silent};
use testjig_guest::Environment;

/// A machine without anything that takes long to boot.
const SMALL: &str = "-nodefaults -no-hpet";
/// How often the runner is killed, unless `TESTJIG_KILLS` says so.
const KILLS: u64 = 4;
/// How long anything may take under load.
const PATIENCE: Duration = Duration::from_secs(120);

fn jig(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jig"));
    command.args(["guest", "run"]).args(arguments);
    command
}

fn environment() -> Environment {
    let cache = Cache::open().expect("a cache");
    Environment::fetch(&Environment::default_suite(), &cache, &Silent).expect("an environment")
}

/// A test in the middle of its work: a shell that ignores polite signals, with its children, a QEMU, files.
struct Busy {
    directory: TempDir,
    runner: Child,
}

impl Busy {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let here = directory.path().display();
        let host = format!(
            "(trap '' TERM HUP INT; exec sh -c 'while :; do sleep 1; done' {here}) &
            start_qemu {SMALL} -name {here} || return 1; echo x > $tmpdir/file; : > {here}/started; sleep 1000"
        );
        let path = directory.path().join("test.sh");
        let text = format!(
            "#!/bin/sh\n# testjig: lane=warm\nin_host() {{\n{host}\n}}\nin_guest() {{ sleep 1000; }}\nif test $QEMU_TEST; then in_host; else in_guest; fi\n"
        );
        fs::write(&path, text).expect("writable");
        let temporary = directory.path().join("tmp");
        fs::create_dir(&temporary).expect("writable");
        let runner = jig(&[path.to_str().expect("a path")])
            .env("TMPDIR", &temporary)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("jig runs");
        let busy = Self { directory, runner };
        let deadline = Instant::now() + PATIENCE;
        while !busy.directory.path().join("started").exists() {
            assert!(Instant::now() < deadline, "the test did not begin");
            thread::sleep(Duration::from_millis(5));
        }
        assert!(busy.processes().len() >= 3, "{:?}", busy.processes());
        busy
    }

    /// The processes whose arguments name the directory.
    fn processes(&self) -> Vec<String> {
        let name = self.directory.path().display().to_string();
        let entries = fs::read_dir("/proc").expect("it is there").flatten();
        entries
            .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
            .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
            .filter(|line| line.contains(&name))
            .collect()
    }

    /// Waits until the shell, the QEMU and the files are gone.
    fn expect_nothing_left(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let processes = self.processes();
            let files: Vec<_> = fs::read_dir(self.directory.path().join("tmp"))
                .expect("it is there")
                .flatten()
                .map(|entry| entry.file_name())
                .collect();
            if processes.is_empty() && files.is_empty() {
                return;
            }
            assert!(Instant::now() < deadline, "left: {processes:?} {files:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn nothing_is_left_of_a_test_whose_runner_was_killed() {
    environment();
    let kills = std::env::var("TESTJIG_KILLS").ok();
    let kills = kills.map_or(KILLS, |text| text.parse().expect("a number"));
    for round in 0..kills {
        let mut busy = Busy::start();
        // Another moment each time: as it begins, while the guest wakes, while its half runs.
        thread::sleep(Duration::from_millis(round * 37 % 400));
        busy.runner.kill().expect("it runs");
        busy.runner.wait().expect("it ends");
        busy.expect_nothing_left();
    }
}

#[test]
fn an_interrupted_run_says_so_and_leaves_nothing() {
    environment();
    let mut busy = Busy::start();
    let pid = busy.runner.id().to_string();
    let told = Command::new("/bin/sh")
        .args(["-c", &format!("kill -INT {pid}")])
        .status();
    assert!(told.expect("a shell").success());
    let status = busy.runner.wait().expect("it ends");
    assert_eq!(status.code(), Some(130), "signal {:?}", status.signal());
    busy.expect_nothing_left();
}

/// A cache that has what the user's has, and a copy of the guests' environment that can be spoilt.
fn spoilable() -> (TempDir, std::path::PathBuf) {
    let environment = environment();
    let cache = Cache::open().expect("a cache");
    let directory = tempfile::tempdir().expect("a directory");
    let own = directory.path().join("testjig");
    fs::create_dir_all(own.join("guest")).expect("writable");
    for place in ["qemu", "probe"] {
        symlink(cache.root().join(place), own.join(place)).expect("writable");
    }
    let from = environment.directory();
    let home = from.parent().and_then(Path::file_name).expect("a home");
    let to = own.join("guest").join(home).join("copy");
    fs::create_dir_all(&to).expect("writable");
    for entry in fs::read_dir(from).expect("readable").flatten() {
        symlink(entry.path(), to.join(entry.file_name())).expect("writable");
    }
    (directory, to)
}

fn run_with(cache: &Path) -> (Option<i32>, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("test.sh");
    fs::write(&path, format!("#!/bin/sh\nqemu {SMALL}\n")).expect("writable");
    let output = jig(&[
        path.to_str().expect("a path"),
        "--offline",
        "--lane",
        "fetched",
    ])
    .env("XDG_CACHE_HOME", cache)
    .output()
    .expect("jig runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), text)
}

#[test]
fn a_missing_artifact_is_named() {
    let (cache, place) = spoilable();
    fs::remove_file(place.join("busybox")).expect("it is there");
    let (status, text) = run_with(cache.path());
    assert_eq!(status, Some(5), "{text}");
    assert!(
        text.contains("busybox is missing, of which guests are made"),
        "{text}"
    );
    assert!(text.contains("jig guest fetch"), "{text}");

    fs::remove_dir_all(&place).expect("removable");
    let (status, text) = run_with(cache.path());
    assert_eq!(status, Some(5), "{text}");
    assert!(
        text.contains("there is no kernel for guests, and nothing may be fetched"),
        "{text}"
    );
}

#[test]
fn a_wrong_kernel_is_found_out_before_it_is_booted() {
    let (cache, place) = spoilable();
    let kernel = ["vmlinux", "vmlinuz"]
        .map(|name| place.join(name))
        .into_iter()
        .find(|kernel| kernel.exists())
        .expect("a kernel");
    let mut bytes = fs::read(&kernel).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::remove_file(&kernel).expect("it is there");
    fs::write(&kernel, bytes).expect("writable");
    let (status, text) = run_with(cache.path());
    assert_eq!(status, Some(5), "{text}");
    assert!(
        text.contains("is another kernel than the manifest says"),
        "{text}"
    );
}

#[test]
fn a_test_s_own_kernel_that_is_none_is_an_error_in_qemu_s_words() {
    environment();
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("test.sh");
    let kernel = directory.path().join("kernel");
    fs::write(&kernel, "no kernel").expect("writable");
    let text = format!("#!/bin/sh\nqemu {SMALL} -kernel {}\n", kernel.display());
    fs::write(&path, text).expect("writable");
    let output = jig(&[path.to_str().expect("a path")])
        .output()
        .expect("jig runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(5), "{text}");
    assert!(
        text.contains("QEMU declined to start the machine"),
        "{text}"
    );
}
