//! A machine that stands still, test and VMM alike, as a sleeping laptop or a virtual machine that is being moved: no peer is late then.

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use common::{pc, process};
use rustix::process::{Pid, Signal, kill_process};
use testjig_qmp::commands::QueryStatus;
use testjig_vm::Vm;

/// Set in the process that stands still.
const SLEEPER: &str = "TESTJIG_TEST_SLEEPER";
const PATIENCE: Duration = Duration::from_secs(2);

#[test]
fn an_answer_is_waited_for_beyond_a_standstill() {
    if std::env::var_os(SLEEPER).is_some() {
        return ask(|vm| {
            vm.inb(0x80);
        });
    }
    stand_still("an_answer_is_waited_for_beyond_a_standstill");
}

#[test]
fn an_answer_of_the_monitor_is_waited_for_beyond_a_standstill() {
    if std::env::var_os(SLEEPER).is_some() {
        return ask(|vm| {
            vm.qmp(QueryStatus);
        });
    }
    stand_still("an_answer_of_the_monitor_is_waited_for_beyond_a_standstill");
}

/// The part of the one that stands still: asks a machine that is stopped.
fn ask(question: fn(&Vm)) {
    let vm = pc();
    vm.qmp(QueryStatus);
    vm.set_timeout(PATIENCE);
    kill_process(process(&vm), Signal::STOP).expect("our own child");
    println!("machine {}", vm.pid());
    question(&vm);
}

/// Runs the test in a process of its own, which is stopped for longer than its patience; its machine goes on a little after it.
#[track_caller]
fn stand_still(test: &str) {
    let mut sleeper = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture"])
        .env(SLEEPER, "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program again");
    let mut output = BufReader::new(sleeper.stdout.take().expect("a pipe"));
    let machine = machine(&mut output);
    sleep(Duration::from_millis(300));
    let pid = pid(&sleeper);
    kill_process(pid, Signal::STOP).expect("our own child");
    sleep(2 * PATIENCE);
    kill_process(pid, Signal::CONT).expect("our own child");
    sleep(Duration::from_millis(200));
    kill_process(machine, Signal::CONT).expect("our child's child");
    let rest: Vec<String> = output.lines().map_while(Result::ok).collect();
    let status = sleeper.wait().expect("our own child");
    assert!(status.success(), "{}", rest.join("\n"));
}

fn machine(output: &mut impl BufRead) -> Pid {
    let number = output
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.split_once("machine ")?.1.trim().parse().ok())
        .expect("the machine's number");
    Pid::from_raw(number).expect("a process")
}

fn pid(child: &Child) -> Pid {
    Pid::from_child(child)
}
