//! A shell that was started ahead of need: [`Shell`].
//!
//! To start a shell takes a guest without KVM as long as many a test needs altogether. In a machine whose state is kept, one waits in that
//! state, and does for the test's script what it would have done if it had been started for it.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::process::{ChildStdin, Command};
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::exec::{Answer, Listener};
use crate::sys;

/// What the shell does: it says that it waits; a line tells it the environment and the script, and it forgets that there was one.
const WAIT: &str = concat!(
    include_str!("wait_for.sh"),
    "if [ -p /run/testjig.never ]; then wait_for /; fi; echo; IFS= read -r testjig_line && eval \"unset testjig_line; $testjig_line\""
);
/// A pipe that nobody writes to, for [`WAIT`]'s function: reading of it for a moment is a shell's only way to wait without a process.
const NEVER: &str = "/run/testjig.never";
/// How long the shell may take until it waits.
const PATIENCE: Duration = Duration::from_secs(20);
/// What a guest is left alone for when it is about to be kept: what it still does, its copies would do again each time.
const REST: Duration = Duration::from_millis(100);

/// The command that starts one; its standard input is where the line comes from.
pub(crate) fn command(script: &[u8]) -> Command {
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", WAIT])
        .arg(OsString::from_vec(script.to_vec()))
        .env_clear()
        .current_dir("/");
    command
}

/// Makes what the shell needs. Without it, `wait_for` is the program of that name.
pub(crate) fn make_ready() {
    let _ = sys::make_fifo(NEVER);
}

/// Waits until the shell waits, and the guest does nothing more.
pub(crate) fn rest(first: &Receiver<()>) {
    let _ = first.recv_timeout(PATIENCE);
    thread::sleep(REST);
    // Else the kernel does so a second later, in every copy.
    let _ = sys::reseed_random();
}

/// A shell that waits.
pub(crate) struct Shell {
    script: Vec<u8>,
    pid: i32,
    input: ChildStdin,
    listener: Listener,
    line: Vec<u8>,
}

impl Shell {
    pub(crate) fn new(script: Vec<u8>, pid: i32, input: ChildStdin, listener: Listener) -> Self {
        Self {
            script,
            pid,
            input,
            listener,
            line: Vec::new(),
        }
    }

    /// Has it run its script; its process, or the answer back if it is gone.
    pub(crate) fn begin(mut self, answer: Answer) -> Result<i32, Answer> {
        self.listener.set(answer)?;
        // One that has been killed has told so to nobody.
        let _ = self.input.write_all(&self.line);
        Ok(self.pid)
    }
}

/// At most one shell that waits.
#[derive(Default)]
pub(crate) struct Shells(Mutex<Option<Shell>>);

impl Shells {
    pub(crate) fn keep(&self, shell: Shell) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(shell);
    }

    /// The shell, if it is what this would start.
    pub(crate) fn take(
        &self,
        argv: &[Vec<u8>],
        env: &[Vec<u8>],
        directory: &[u8],
    ) -> Option<Shell> {
        let [program, script] = argv else {
            return None;
        };
        if program != b"/bin/sh" || directory != b"/" {
            return None;
        }
        let line = line(script, env)?;
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut shell = kept.take_if(|shell| shell.script == *script)?;
        shell.line = line;
        Some(shell)
    }
}

/// What a shell is told that waits; `None` if that can't be said in one line.
fn line(script: &[u8], env: &[Vec<u8>]) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    for variable in env {
        let equals = variable.iter().position(|&byte| byte == b'=')?;
        let (name, value) = (&variable[..equals], &variable[equals + 1..]);
        let is_name = name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
            && name.first().is_some_and(|byte| !byte.is_ascii_digit());
        if !is_name {
            return None;
        }
        line.extend_from_slice(b"export ");
        line.extend_from_slice(name);
        line.push(b'=');
        quote(&mut line, value)?;
        line.extend_from_slice(b"; ");
    }
    line.extend_from_slice(b"exec </dev/null; . ");
    quote(&mut line, script)?;
    line.push(b'\n');
    Some(line)
}

fn quote(to: &mut Vec<u8>, text: &[u8]) -> Option<()> {
    if text.contains(&b'\n') || text.contains(&0) {
        return None;
    }
    to.push(b'\'');
    for &byte in text {
        match byte {
            b'\'' => to.extend_from_slice(b"'\\''"),
            byte => to.push(byte),
        }
    }
    to.push(b'\'');
    Some(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::{Output, Stdio};

    use super::*;

    fn env(texts: &[&str]) -> Vec<Vec<u8>> {
        texts.iter().map(|text| text.as_bytes().to_vec()).collect()
    }

    /// What a shell does that waited, and one that is started for the script.
    fn both(text: &str) -> [Output; 2] {
        let number = text.len();
        let path = std::env::temp_dir().join(format!("testjig-{}-{number}", std::process::id()));
        fs::write(&path, text).expect("writable");
        let script = path.to_str().expect("a name").as_bytes();
        let env = env(&["A=it's \"$B\" \\", "PATH=/usr/bin:/bin"]);
        let mut waiting = command(script);
        let waiting = waiting.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut waiting = waiting.spawn().expect("a shell");
        let mut input = waiting.stdin.take().expect("a pipe");
        input
            .write_all(&line(script, &env).expect("one line"))
            .expect("it waits");
        let mut waited = waiting.wait_with_output().expect("it ends");
        assert_eq!(
            waited.stdout.first(),
            Some(&b'\n'),
            "it has said that it waits"
        );
        waited.stdout.remove(0);
        drop(input);
        let mut started = Command::new("/bin/sh");
        let started = started.arg(&path).env_clear().current_dir("/");
        let started = started
            .stdin(Stdio::null())
            .env("A", "it's \"$B\" \\")
            .env("PATH", "/usr/bin:/bin")
            .output()
            .expect("a shell");
        fs::remove_file(path).expect("it is there");
        [waited, started]
    }

    #[test]
    fn a_shell_that_waited_does_what_one_does_that_is_started() {
        for text in [
            "echo \"$0 $# $* $A [$(cat)] $testjig_line\"; pwd; env | sort | grep -v ^_; exit 3",
            "false",
            "set -e; false; echo not reached",
            "return 4",
            "trap 'echo bye' EXIT; echo hello",
        ] {
            let [waited, started] = both(text);
            assert_eq!(waited.status, started.status, "{text}");
            let [waited, started] =
                [waited, started].map(|output| String::from_utf8(output.stdout).expect("text"));
            assert_eq!(waited, started, "{text}");
        }
    }

    #[test]
    fn what_is_no_such_script_is_started_anew() {
        let mut child = command(b"/tmp/test")
            .stdin(Stdio::piped())
            .spawn()
            .expect("a shell");
        let input = child.stdin.take().expect("a pipe");
        let shells = Shells::default();
        shells.keep(Shell::new(
            b"/tmp/test".to_vec(),
            1,
            input,
            Listener::default(),
        ));
        let argv = env(&["/bin/sh", "/tmp/test"]);
        let none = |argv: &[Vec<u8>], env: &[Vec<u8>], directory| {
            assert!(shells.take(argv, env, directory).is_none());
        };
        none(&env(&["/bin/sh", "/tmp/other"]), &[], b"/");
        none(&env(&["/bin/sh", "-c", "true"]), &[], b"/");
        none(&argv, &[], b"/tmp");
        none(&argv, &env(&["A=two\nlines"]), b"/");
        none(&argv, &env(&["A-B=1"]), b"/");
        let shell = shells.take(&argv, &env(&["A=1"]), b"/");
        none(&argv, &[], b"/");
        drop(shell.expect("it is the one that waits"));
        assert!(!child.wait().expect("it ends").success());
    }
}
