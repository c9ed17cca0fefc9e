//! A machine dies with the process that launched it, however that ends.

mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use common::{eventually, pc};

/// Set in the process that plays the parent.
const PARENT: &str = "TESTJIG_TEST_PARENT";

#[test]
fn a_machine_dies_with_a_killed_parent() {
    if std::env::var_os(PARENT).is_some() {
        let vm = pc();
        println!("machine {}", vm.pid());
        loop {
            std::thread::park();
        }
    }
    for _ in 0..10 {
        let mut parent = Command::new(std::env::current_exe().expect("this program"))
            .args([
                "--exact",
                "a_machine_dies_with_a_killed_parent",
                "--nocapture",
            ])
            .env(PARENT, "1")
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program again");
        let output = BufReader::new(parent.stdout.take().expect("a pipe"));
        let pid = output
            .lines()
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("machine ")?.1.trim().to_owned()))
            .expect("the machine's number");
        assert!(is_running(&pid));
        parent.kill().expect("our own child");
        parent.wait().expect("our own child");
        eventually("the machine's end", || !is_running(&pid));
    }
}

/// An orphan that nobody has reaped yet is at its end too.
fn is_running(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}
