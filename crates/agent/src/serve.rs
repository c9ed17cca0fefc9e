//! What the host asks for, and the answers: [`Server`].

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::exec::Programs;
use crate::sys;
use crate::uevents::Uevents;
use crate::wire::{Exit, Frame, MAX_BYTES, Reply, Request};

/// Nothing announces that an ordinary file has come or gone, so a wait for one looks again after so long.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// The agent's side of the channel.
pub(crate) struct Server {
    channel: Arc<Mutex<File>>,
    programs: Arc<Programs>,
    uevents: Arc<Uevents>,
    settled: Arc<Settled>,
}

/// Whether the drivers of all devices that were there at boot are loaded.
#[derive(Default)]
pub(crate) struct Settled {
    is_so: Mutex<bool>,
    told: Condvar,
}

impl Settled {
    /// They are.
    pub(crate) fn tell(&self) {
        *self.is_so.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.told.notify_all();
    }

    fn wait(&self) {
        let mut is_so = self.is_so.lock().unwrap_or_else(PoisonError::into_inner);
        while !*is_so {
            is_so = self
                .told
                .wait(is_so)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Server {
    pub(crate) fn new(
        channel: &File,
        uevents: Arc<Uevents>,
        settled: Arc<Settled>,
    ) -> io::Result<Self> {
        let programs = Arc::new(Programs::default());
        let reaper = Arc::clone(&programs);
        thread::spawn(move || reaper.reap());
        Ok(Self {
            channel: Arc::new(Mutex::new(channel.try_clone()?)),
            programs,
            uevents,
            settled,
        })
    }

    fn reply(&self, id: u32, reply: &Reply) {
        send(&self.channel, id, reply);
    }

    /// Serves until the channel can't be read any more.
    pub(crate) fn serve(&self, channel: File) -> io::Error {
        let mut channel = Patient(channel);
        loop {
            let frame = match Frame::read(&mut channel) {
                Ok(frame) => frame,
                Err(error) => return error,
            };
            let id = frame.id;
            match frame.request() {
                Ok(request) => self.answer(id, request),
                Err(error) => self.reply(id, &failed(&error)),
            }
        }
    }

    fn answer(&self, id: u32, request: Request) {
        if !matches!(request, Request::Ping(_)) {
            self.settled.wait();
        }
        let result = match request {
            Request::Ping(number) => Ok(Reply::Pong(number)),
            Request::Exec {
                argv,
                env,
                directory,
            } => {
                let channel = Arc::clone(&self.channel);
                let reply = move |reply: Reply| send(&channel, id, &reply);
                match self.programs.run(id, argv, &env, directory, reply) {
                    Ok(()) => return,
                    Err(error) => Err(error),
                }
            }
            Request::Prepare(script) => self.programs.prepare(script).map(|()| Reply::Done),
            Request::Kill { exec, signal } => {
                self.programs.kill(exec, signal).map(|()| Reply::Done)
            }
            Request::Read {
                path,
                offset,
                length,
            } => read(path, offset, length),
            Request::Write {
                path,
                mode,
                append,
                bytes,
            } => write(path, mode, append, &bytes),
            Request::Stat(path) => fs::symlink_metadata(to_path(path)).map(|data| Reply::Stat {
                mode: data.mode(),
                size: data.size(),
            }),
            Request::WaitPath { .. } | Request::Uevent { .. } => {
                let (channel, uevents) = (Arc::clone(&self.channel), Arc::clone(&self.uevents));
                thread::spawn(move || send(&channel, id, &wait(&uevents, request)));
                return;
            }
            Request::Log(text) => log(&text),
            Request::Exit(how) => {
                sys::sync();
                self.reply(id, &Reply::Done);
                let error = match how {
                    Exit::Stay => return,
                    Exit::PowerOff => sys::power_off(),
                    Exit::Reboot => sys::reboot(),
                };
                Err(error)
            }
        };
        let reply = result.unwrap_or_else(|error| failed(&error));
        self.reply(id, &reply);
    }
}

/// A port whose host side is not connected reads as ended; it may be connected again, as after a migration.
struct Patient(File);

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Ok(0) => thread::sleep(LOOK_AGAIN),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

fn send(channel: &Mutex<File>, id: u32, reply: &Reply) {
    let mut channel = channel.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = reply.write(id, &mut *channel) {
        eprintln!("testjig-agent: failed to answer the host: {error}");
    }
}

fn failed(error: &io::Error) -> Reply {
    Reply::Failed {
        errno: error.raw_os_error().unwrap_or(0),
        text: error.to_string().into_bytes(),
    }
}

fn to_path(bytes: Vec<u8>) -> PathBuf {
    OsString::from_vec(bytes).into()
}

fn read(path: Vec<u8>, offset: u64, length: u32) -> io::Result<Reply> {
    let mut file = File::open(to_path(path))?;
    if offset > 0 {
        file.seek(SeekFrom::Start(offset))?;
    }
    let mut bytes = Vec::new();
    let most = u64::from(length).min(MAX_BYTES as u64);
    file.take(most).read_to_end(&mut bytes)?;
    Ok(Reply::Data(bytes))
}

fn write(path: Vec<u8>, mode: u32, append: bool, bytes: &[u8]) -> io::Result<Reply> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).mode(mode);
    let mut file = options
        .append(append)
        .truncate(!append)
        .open(to_path(path))?;
    file.write_all(bytes)?;
    Ok(Reply::Done)
}

fn log(text: &[u8]) -> io::Result<Reply> {
    let mut line = b"testjig: ".to_vec();
    line.extend(text.iter().filter(|&&byte| byte != b'\n').take(800));
    line.push(b'\n');
    OpenOptions::new()
        .write(true)
        .open("/dev/kmsg")?
        .write_all(&line)?;
    Ok(Reply::Done)
}

fn wait(uevents: &Uevents, request: Request) -> Reply {
    let timed_out = |what: &str| Reply::Failed {
        errno: 110,
        text: format!("{what} in time").into_bytes(),
    };
    let deadline = |millis: u32| Instant::now() + Duration::from_millis(millis.into());
    match request {
        Request::WaitPath {
            path,
            present,
            millis,
        } => {
            let (path, deadline) = (to_path(path), deadline(millis));
            loop {
                if fs::symlink_metadata(&path).is_ok() == present {
                    return Reply::Done;
                }
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return timed_out(if present {
                        "it did not come"
                    } else {
                        "it did not go"
                    });
                }
                uevents.pause(left.min(LOOK_AGAIN));
            }
        }
        Request::Uevent {
            since,
            fields,
            millis,
        } => match uevents.wait(since, &fields, deadline(millis)) {
            Some((seq, fields)) => Reply::Uevent { seq, fields },
            None => timed_out("no such uevent came"),
        },
        _ => timed_out("it is not waited for, so it was not done"),
    }
}
