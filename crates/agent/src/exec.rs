//! Programs that the host has run: [`Programs`].

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread;

use crate::shell::{self, Shell, Shells};
use crate::sys;
use crate::wire::{MAX_BYTES, Reply};

/// How long the output of a program that has ended is waited for, if something that it started keeps it open.
const LINGER: std::time::Duration = std::time::Duration::from_millis(500);

/// The programs that run, and their statuses.
///
/// As PID 1, the agent is the parent of every orphan, so one thread waits for all children. It looks which has ended before it takes the
/// status, and takes it under the lock under which programs are started: so each status finds who waits for it.
#[derive(Default)]
pub(crate) struct Programs {
    running: Mutex<Running>,
    started: Condvar,
    shell: Shells,
}

/// Where what a program writes, and how it ends, goes.
pub(crate) type Answer = Box<dyn Fn(Reply) + Send + Sync>;
/// The same, if anybody listens yet.
pub(crate) type Listener = Arc<OnceLock<Answer>>;

/// They are few: to find them in turn is less for a guest to do than any map.
#[derive(Default)]
struct Running {
    /// Processes, and who waits for each.
    waiting: Vec<(i32, mpsc::Sender<i32>)>,
    /// Requests, and the process of each.
    pids: Vec<(u32, i32)>,
}

impl Programs {
    /// Takes the status of whatever child ends. Does not return.
    pub(crate) fn reap(&self) {
        loop {
            match sys::wait_for_any() {
                Ok(pid) => {
                    let mut running = self.lock();
                    let Ok(status) = sys::take_status(pid) else {
                        continue;
                    };
                    running.pids.retain(|(_, its)| *its != pid);
                    let waiting = running.waiting.iter().position(|(its, _)| *its == pid);
                    if let Some(index) = waiting {
                        let _ = running.waiting.swap_remove(index).1.send(status);
                    }
                }
                // No child: there is one after the next start.
                Err(_) => {
                    let running = self.lock();
                    if running.waiting.is_empty() {
                        drop(
                            self.started
                                .wait(running)
                                .unwrap_or_else(PoisonError::into_inner),
                        );
                    }
                }
            }
        }
    }

    /// Runs a program to its end, and hands on what it writes and how it ends.
    pub(crate) fn run(
        &self,
        id: u32,
        argv: Vec<Vec<u8>>,
        env: &[Vec<u8>],
        directory: Vec<u8>,
        reply: impl Fn(Reply) + Send + Sync + 'static,
    ) -> io::Result<()> {
        let reply: Answer = Box::new(reply);
        let reply = match self.shell.take(&argv, env, &directory) {
            Some(shell) => match shell.begin(reply) {
                Ok(pid) => {
                    self.lock().pids.push((id, pid));
                    return Ok(());
                }
                Err(reply) => reply,
            },
            None => reply,
        };
        let mut argv = argv.into_iter().map(OsString::from_vec);
        let program = argv
            .next()
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no program was named"))?;
        let mut command = Command::new(program);
        command
            .args(argv)
            .env_clear()
            .current_dir(OsString::from_vec(directory))
            .stdin(Stdio::null());
        for variable in env {
            let equals = variable.iter().position(|&byte| byte == b'=');
            let (name, value) = variable.split_at(equals.unwrap_or(variable.len()));
            let value = value.get(1..).unwrap_or_default();
            command.env(
                OsString::from_vec(name.to_vec()),
                OsString::from_vec(value.to_vec()),
            );
        }
        let listener = Arc::new(OnceLock::from(reply));
        let (child, _) = self.start(command, listener)?;
        self.lock().pids.push((id, child.id() as i32));
        Ok(())
    }

    /// Starts a shell for this script, which waits until it is [run](Self::run). Returns when it does.
    pub(crate) fn prepare(&self, script: Vec<u8>) -> io::Result<()> {
        shell::make_ready();
        let listener = Arc::default();
        let mut command = shell::command(&script);
        command.stdin(Stdio::piped());
        let (mut child, first) = self.start(command, Arc::clone(&listener))?;
        if let Some(input) = child.stdin.take() {
            let pid = child.id() as i32;
            self.shell.keep(Shell::new(script, pid, input, listener));
            shell::rest(&first);
        }
        Ok(())
    }

    /// Starts a program, with threads that hand on to the listener what it writes and how it ends. What there is before somebody listens
    /// goes nowhere, but is announced.
    fn start(
        &self,
        mut command: Command,
        listener: Listener,
    ) -> io::Result<(Child, mpsc::Receiver<()>)> {
        let (output, input) = sys::pipe()?;
        command
            .process_group(0)
            .stdout(input.try_clone()?)
            .stderr(input);
        let (sender, status) = mpsc::channel();
        let child = {
            let mut running = self.lock();
            let child = command.spawn()?;
            running.waiting.push((child.id() as i32, sender));
            child
        };
        self.started.notify_all();
        // The command holds the write end: while it lives, the output has no end.
        drop(command);

        let (drained, all_read) = mpsc::channel::<()>();
        let mut output = File::from(output);
        let (unheard, announced) = mpsc::channel();
        let tell = move |listener: &Listener, reply| match listener.get() {
            Some(listener) => listener(reply),
            None => drop(unheard.send(())),
        };
        let tell_end = tell.clone();
        let its = Arc::clone(&listener);
        thread::spawn(move || {
            let _drained = drained;
            let mut buffer = vec![0; MAX_BYTES];
            while let Ok(count) = output.read(&mut buffer) {
                if count == 0 {
                    break;
                }
                tell(&its, Reply::Output(buffer[..count].to_vec()));
            }
        });
        thread::spawn(move || {
            let status = status.recv().unwrap_or(0xff00);
            // What it wrote comes first. Something in the background may keep the pipe for ever.
            let _ = all_read.recv_timeout(LINGER);
            let signal = status & 0x7f;
            let end = if signal == 0 {
                Reply::Exited(status >> 8 & 0xff)
            } else {
                Reply::Signalled(signal)
            };
            tell_end(&listener, end);
        });
        Ok((child, announced))
    }

    /// Sends a signal to the group of a request's program.
    pub(crate) fn kill(&self, id: u32, signal: u32) -> io::Result<()> {
        let running = self.lock();
        let (_, pid) = running
            .pids
            .iter()
            .find(|(request, _)| *request == id)
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such program is running"))?;
        sys::kill(-pid, signal as i32)
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
