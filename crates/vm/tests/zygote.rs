//! A machine that is forked from a zygote is what it would be had its program been executed.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use common::{eventually, process, qemu, start, start_on};
use rustix::process::{Signal, kill_process};
use testjig_vm::{Device, Drive, ExitStatus, Image, Interface, Launch, LaunchOptions, Vm, machine};

/// The first machine that this thread starts, whose program is executed, and the second, which is a zygote's child.
fn both(launch: &Launch) -> (Vm, Vm) {
    let executed = start(launch);
    let forked = start(launch);
    assert_eq!(parent(&executed), std::process::id());
    assert_ne!(parent(&forked), std::process::id());
    (executed, forked)
}

fn parent(vm: &Vm) -> u32 {
    let stat = of_process(vm, "stat");
    let after_name = &stat[stat.rfind(')').expect("a name") + 1..];
    let parent = after_name.split_whitespace().nth(1);
    parent
        .and_then(|parent| parent.parse().ok())
        .expect("a number")
}

fn of_process(vm: &Vm, file: &str) -> String {
    fs::read_to_string(format!("/proc/{}/{file}", vm.pid())).expect("a process")
}

fn words(vm: &Vm) -> Vec<String> {
    let line = of_process(vm, "cmdline");
    // What the zygote had room for and this one does not need is empty.
    let line = line.trim_end_matches('\0');
    line.split('\0').map(str::to_owned).collect()
}

fn descriptors(vm: &Vm) -> BTreeSet<String> {
    let kind = |entry: fs::DirEntry| {
        let number = entry.file_name().into_string().expect("a number");
        let target = fs::read_link(entry.path()).expect("a descriptor");
        let target = target.to_string_lossy().into_owned();
        let kind = target.split(':').next().unwrap_or_default();
        format!("{number} {kind}")
    };
    let directory = fs::read_dir(format!("/proc/{}/fd", vm.pid())).expect("a process");
    directory
        .map(|entry| kind(entry.expect("an entry")))
        .collect()
}

#[test]
fn it_has_the_words_the_directory_and_the_descriptors_of_one_that_is_executed() {
    let disk = Drive::new("disk", Image::zeroed(1 << 20)).interface(Interface::Ide);
    let (executed, forked) = both(&Launch::new(&machine::PC).drive(disk));
    let numbers = |words: &[String]| -> Vec<String> {
        let without = |word: &String| word.replace(|c: char| c.is_ascii_digit(), "");
        words.iter().map(without).collect()
    };
    assert_eq!(numbers(&words(&executed)), numbers(&words(&forked)));
    // Which numbers they have depends on what else this process has open; how many there are does not.
    assert_eq!(descriptors(&executed).len(), descriptors(&forked).len());
    let place = |vm: &Vm| fs::read_link(format!("/proc/{}/cwd", vm.pid())).expect("a process");
    assert_eq!(place(&executed), place(&forked));
    assert_eq!(of_process(&forked, "comm"), of_process(&executed, "comm"));
    let limits = |vm: &Vm| of_process(vm, "limits");
    assert_eq!(limits(&executed), limits(&forked));
}

#[test]
fn it_leads_a_group_and_its_end_is_told() {
    let (_executed, forked) = both(&Launch::new(&machine::PC));
    assert_eq!(
        rustix::process::getpgid(Some(process(&forked))),
        Ok(process(&forked))
    );
    kill_process(process(&forked), Signal::SEGV).expect("our own machine");
    let report = forked.stop();
    let expected = ExitStatus::Signal {
        signal: 11,
        core: false,
    };
    assert_eq!(report.status, expected, "{report}");

    let orderly = start(&Launch::new(&machine::PC));
    let report = orderly.stop();
    assert!(report.is_clean(), "{report}");
}

#[test]
fn what_qemu_declines_it_declines_in_its_words() {
    let (_executed, _forked) = both(&Launch::new(&machine::PC));
    let wrong = Launch::new(&machine::PC).device(Device::new("edu").prop("no-such-property", 1));
    let error = qemu()
        .launch(&wrong, &LaunchOptions::default())
        .expect_err("no such property");
    let text = error.to_string();
    assert!(text.contains("no-such-property"), "{text}");
    assert!(text.contains("declines"), "{text}");
}

#[test]
fn without_its_zygote_the_program_is_executed() {
    let (_executed, forked) = both(&Launch::new(&machine::PC));
    let zygote = parent(&forked);
    let zygote = rustix::process::Pid::from_raw(zygote as i32).expect("a number");
    kill_process(zygote, Signal::KILL).expect("our own child");
    let machine = process(&forked);
    eventually("the machine's end with its zygote", || {
        fs::read_to_string(format!("/proc/{machine}/stat"))
            .map_or(true, |stat| stat.contains(") Z"))
    });
    let next = start(&Launch::new(&machine::PC));
    assert_eq!(parent(&next), std::process::id());
}

#[test]
fn a_script_is_executed_each_time() {
    let directory = tempfile::tempdir().expect("a directory");
    let script = directory.path().join("qemu-system-x86_64");
    let runs = directory.path().join("runs");
    let real = qemu();
    let mut words = vec![real.program.display().to_string()];
    words.extend(
        real.leading_args
            .iter()
            .map(|word| word.to_string_lossy().into_owned()),
    );
    let text = format!(
        "#!/bin/sh\necho run >> {}\nexec {} \"$@\"\n",
        runs.display(),
        words.join(" ")
    );
    fs::write(&script, text).expect("a script");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("our own file");
    let mut scripted = real.clone();
    scripted.program = script;
    scripted.leading_args.clear();
    for _ in 0..3 {
        start_on(&scripted, &Launch::new(&machine::PC));
    }
    assert_eq!(fs::read_to_string(runs).expect("runs").lines().count(), 3);
}
