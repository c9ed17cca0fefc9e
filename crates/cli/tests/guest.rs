//! What `jig guest run` makes of tests of each kind.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Output};

use tempfile::TempDir;
use testjig::vm::{Cache, Silent};
use testjig_guest::Environment;
use testjig_guest::initramfs::Archive;

/// A machine without anything that takes long to boot.
const SMALL: &str = "-nodefaults -no-hpet";

/// A test with these halves.
fn script(host: &str, guest: &str) -> (TempDir, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("test.sh");
    let text = format!(
        "#!/bin/sh\nin_host() {{\n{host}\n}}\nin_guest() {{\n{guest}\n}}\nif test $QEMU_TEST; then in_host; else in_guest; fi\n"
    );
    fs::write(&path, text).expect("writable");
    (directory, path.display().to_string())
}

fn jig(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_jig"));
    command.args(["guest", "run"]).args(arguments);
    command
}

fn run(host: &str, guest: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let (_directory, path) = script(host, guest);
    let mut all = vec![path.as_str()];
    all.extend(arguments);
    let Output { status, stdout, .. } = jig(&all).output().expect("jig runs");
    (status.code(), String::from_utf8_lossy(&stdout).into_owned())
}

#[track_caller]
fn expect((status, text): (Option<i32>, String), code: i32, parts: &[&str]) {
    assert_eq!(status, Some(code), "{text}");
    for part in parts {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

#[test]
fn the_guest_halfs_status_is_the_words_and_the_tests() {
    let host = format!("qemu {SMALL}; status=$?; echo \"status $status\"; return $status");
    let result = run(&host, "echo canary; exit 3", &[]);
    expect(
        result,
        1,
        &[
            "FAIL",
            "the guest half failed: exit status 3",
            "status 3",
            "canary",
        ],
    );
}

#[test]
fn the_guest_half_finds_what_the_machine_began_with() {
    let host = "truncate -s 1M $tmpdir/disk && qemu -M q35 -no-hpet -hda $tmpdir/disk";
    let guest = "test -b /dev/sda && test -b /dev/sr0 && test -d /sys/class/net/eth0";
    expect(run(host, guest, &[]), 0, &["1 passed"]);
}

#[test]
fn a_machine_in_the_background_is_told_and_asked() {
    let host = format!(
        "start_qemu {SMALL} || return 1
        wait_log canary || return 2
        grep -q canary $tmplog || return 3
        qemu_is_okay || return 4
        kill -0 $pid || return 5
        qmp query-status | grep -q running || return 6
        hmp info version | grep -q '[0-9]' || return 7
        qmp no-such-command 2>/dev/null && return 8
        test \"$(guest echo \"it's a  \\\"test\\\"\")\" = \"it's a  \\\"test\\\"\" || return 9
        guest touch /tmp/go || return 10
        wait $pid"
    );
    expect(
        run(&host, "echo canary; wait_for /tmp/go", &[]),
        0,
        &["1 passed"],
    );
}

#[test]
fn what_a_guest_can_die_of_is_told_apart() {
    let host = format!("qemu {SMALL}");
    let panic = run(&host, "echo c > /proc/sysrq-trigger; sleep 60", &[]);
    expect(panic, 1, &["FAIL", "the guest's kernel panicked"]);
    let off = run(&host, "poweroff -f", &[]);
    expect(
        off,
        1,
        &["FAIL", "switched the machine off before its half had ended"],
    );
    let reset = run(&host, "reboot -f", &[]);
    expect(reset, 1, &["FAIL", "the guest reset the machine"]);
}

#[test]
fn a_dead_qemu_is_a_crash() {
    let host = format!("start_qemu {SMALL}; wait_log canary; kill -SEGV $pid; get_qemu_status");
    let result = run(&host, "echo canary; sleep 600", &[]);
    expect(result, 1, &["CRASH", "signal 11 (SIGSEGV)"]);
}

#[test]
fn a_half_without_end_is_a_hang_that_says_which() {
    let guest = run(
        &format!("qemu {SMALL}"),
        "sleep 6000",
        &["--deadline", "40"],
    );
    expect(
        guest,
        1,
        &["HANG", "after 40 s; the guest half was still running"],
    );
    let host = run("sleep 6000", ":", &["--deadline", "1"]);
    expect(host, 1, &["HANG", "after 1 s; no machine was started"]);
}

#[test]
fn what_this_qemu_lacks_is_a_skip_and_nonsense_an_error() {
    let nic = run("qemu -net nic,model=no-such-card -net user", ":", &[]);
    expect(nic, 4, &["this QEMU has no device no-such-card"]);
    let machine = run("qemu -M pc-0.10", ":", &[]);
    expect(machine, 4, &["this QEMU has no machine pc-0.10"]);
    let status = run("exit 77", ":", &[]);
    expect(status, 4, &["1 skipped"]);
    let nonsense = run("qemu -no-such-option", ":", &[]);
    expect(nonsense, 5, &["ERROR", "no-such-option"]);
    let refused = run("skip 'no reason'", ":", &["--accept-skip", "a reason"]);
    expect(
        refused,
        5,
        &["skipped for a reason that is not accepted: no reason"],
    );
}

#[test]
fn choices_are_replayed_pinned_and_all_made() {
    let host = "c=$(named_choose color red green blue); test $c = red && s=$(named_choose shade dark light); test \"$c$s\" != redlight";
    let (status, text) = run(host, ":", &["--exhaustive", "--verbose"]);
    assert_eq!(status, Some(1), "{text}");
    for name in [
        "color=red,shade=dark",
        "color=red,shade=light",
        "color=green",
        "color=blue",
    ] {
        assert!(text.contains(&format!("@{name}")), "no {name} in:\n{text}");
    }
    assert!(text.contains("3 passed, 1 failed"), "{text}");
    let pinned = run(host, ":", &["--choose", "color=blue", "--repeat", "5"]);
    expect(pinned, 0, &["5 passed"]);
    let first = run("test $(choose a b c d e f g h) = x", ":", &["--seed", "4"]);
    let second = run("test $(choose a b c d e f g h) = x", ":", &["--seed", "4"]);
    let drawn = |text: &str| text.split("#1=").nth(1).map(|rest| rest[..1].to_owned());
    assert!(drawn(&first.1).is_some(), "{}", first.1);
    assert_eq!(drawn(&first.1), drawn(&second.1));
}

/// A test whose agent is a shell script, in an initial file system of its own.
fn with_agent(script_of_agent: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let cache = Cache::open().expect("a cache");
    let suite = Environment::default_suite();
    let environment = Environment::fetch(&suite, &cache, &Silent).expect("a guest environment");
    let busybox = fs::read(environment.directory().join("busybox")).expect("it is there");
    let mut archive = Archive::new();
    archive.character_device("/dev/console", 5, 1);
    archive.file("/bin/busybox", 0o755, busybox);
    archive.link("/bin/sh", "busybox");
    let init = format!(
        "#!/bin/sh\nPATH=/bin; for p in mkdir mount stty printf sleep cat; do /bin/busybox ln -s busybox /bin/$p; done\n\
         mkdir -p /dev; mount -t devtmpfs none /dev; stty -F /dev/ttyS1 raw -echo\n{script_of_agent}\nsleep 1000\n"
    );
    archive.file("/init", 0o755, init);
    let directory = tempfile::tempdir().expect("a directory");
    let initrd = directory.path().join("initrd");
    fs::write(&initrd, archive.to_bytes()).expect("writable");
    let (_directory, path) = script(&format!("qemu {SMALL} -initrd {}", initrd.display()), ":");
    let text = fs::read_to_string(&path).expect("it is there");
    fs::write(&path, text.replacen('\n', "\n# testjig: agent=isa\n", 1)).expect("writable");
    let mut all = vec![path.as_str()];
    all.extend(arguments);
    let Output { status, stdout, .. } = jig(&all).output().expect("jig runs");
    (status.code(), String::from_utf8_lossy(&stdout).into_owned())
}

/// A hello, as a shell prints it: identifier 0, version 2, an empty release, no uptime.
const HELLO: &str =
    r"printf '\025\0\0\0\0\0\0\0\200\002\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0' > /dev/ttyS1";

#[test]
fn an_agent_that_is_silent_wedged_or_lying_is_found_out() {
    let silent = with_agent(":", &["--deadline", "15"]);
    expect(silent, 1, &["HANG", "its agent did not say hello"]);
    let wedged = with_agent(HELLO, &[]);
    expect(
        wedged,
        1,
        &["HANG", "the agent in the guest does not answer"],
    );
    let lying = with_agent(&format!("{HELLO}; printf 'AAAAAAAA' > /dev/ttyS1"), &[]);
    expect(lying, 1, &["FAIL", "sends what makes no sense"]);
    let dead = with_agent("exit 1", &[]);
    expect(dead, 1, &["FAIL", "the agent in the guest ended"]);
}

#[test]
fn output_without_end_is_a_failure_of_its_own() {
    let endless = run(
        &format!("qemu {SMALL} > /dev/null"),
        "yes 0123456789012345678901234567890123456789",
        &[],
    );
    expect(endless, 1, &["FAIL", "the guest printed more than 64 MiB"]);
}

#[test]
fn a_full_disk_in_the_guest_is_the_guests_failure() {
    let guest = "mount -t tmpfs -o size=1m t /mnt; dd if=/dev/zero of=/mnt/f bs=64k count=64";
    let full = run(&format!("qemu {SMALL}"), guest, &[]);
    expect(
        full,
        1,
        &["FAIL", "the guest half failed", "No space left on device"],
    );
}

/// A cache that has what the user's has, and states of its own.
fn own_states() -> TempDir {
    let cache = Cache::open().expect("a cache");
    let suite = Environment::default_suite();
    let environment = Environment::fetch(&suite, &cache, &Silent).expect("a guest environment");
    let directory = tempfile::tempdir().expect("a directory");
    let own = directory.path().join("testjig");
    fs::create_dir_all(own.join("guest")).expect("writable");
    let home = environment.directory().parent().expect("a suite's home");
    let name = home
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    for place in [
        "qemu".to_owned(),
        "probe".to_owned(),
        format!("guest/{name}"),
    ] {
        symlink(cache.root().join(&place), own.join(&place)).expect("writable");
    }
    directory
}

/// What `wait_for` is to do: as a program, and as the function of a shell that waited in a state.
const WAITS: &str = "set -eu
    wait_for / && wait_for --gone /no && wait_for / 0
    if wait_for --gone / 0; then exit 2; fi
    if wait_for /no 1; then exit 3; fi
    if wait_for; then exit 4; fi
    ln -s nowhere /tmp/dangling && wait_for /tmp/dangling
    { sleep 0.2; mkdir /tmp/soon; } & wait_for /tmp/soon
    { sleep 0.2; rmdir /tmp/soon; } & wait_for --gone /tmp/soon
    { sleep 1.5; mkdir /tmp/late; } & wait_for /tmp/late
    echo all";

#[test]
fn wait_for_does_in_a_state_what_it_does_in_a_machine_that_boots() {
    let cache = own_states();
    let host = format!("start_qemu {SMALL} && wait_log all && get_qemu_status");
    let (_directory, path) = script(&host, WAITS);
    let text = fs::read_to_string(&path).expect("it is there");
    fs::write(&path, text.replacen('\n', "\n# testjig: lane=warm\n", 1)).expect("writable");
    // The first makes the state and begins in it, too.
    for arguments in [&["--cold"][..], &[], &[]] {
        let mut all = vec![path.as_str()];
        all.extend(arguments);
        let output = jig(&all).env("XDG_CACHE_HOME", cache.path()).output();
        let Output { status, stdout, .. } = output.expect("jig runs");
        let text = String::from_utf8_lossy(&stdout).into_owned();
        expect((status.code(), text), 0, &["1 passed"]);
    }
}

#[test]
fn a_state_is_used_again_and_a_corrupted_one_is_not() {
    let cache = own_states();
    let ids = cache.path().join("ids");
    let host = format!(
        "start_qemu {SMALL} && wait_guest && guest grep btime /proc/stat >> {} && get_qemu_status",
        ids.display()
    );
    let (_directory, path) = script(&host, ":");
    let text = fs::read_to_string(&path).expect("it is there");
    fs::write(&path, text.replacen('\n', "\n# testjig: lane=warm\n", 1)).expect("writable");
    let run = |arguments: &[&str]| {
        let mut all = vec![path.as_str()];
        all.extend(arguments);
        let output = jig(&all).env("XDG_CACHE_HOME", cache.path()).output();
        let output = output.expect("jig runs");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    run(&[]);
    run(&[]);
    run(&["--cold"]);
    let states = cache.path().join("testjig/guest/states");
    let spoil = |part: &str| {
        for state in fs::read_dir(&states).expect("it was made").flatten() {
            fs::write(state.path().join(part), "no state").expect("writable");
        }
        run(&[])
    };
    for part in ["machine", "memory"] {
        let said = spoil(part);
        assert!(said.contains("was of no use, so it boots"), "{said}");
    }
    run(&[]);
    let ids = fs::read_to_string(ids).expect("it was written");
    let ids: Vec<&str> = ids.lines().collect();
    assert_eq!(ids.len(), 6);
    assert_eq!(
        ids[0], ids[1],
        "the second began where the first had booted to"
    );
    assert_ne!(ids[1], ids[2], "--cold boots");
    assert_ne!(ids[0], ids[3], "the state was no state");
    assert_ne!(ids[3], ids[4], "its memory was no memory");
    assert_eq!(ids[4], ids[5], "another was written");
}
