//! What testjig is measured against: the plainest client of the same QEMU. It starts the process, waits for its
//! connections, writes a line, reads a line.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Stdio};
use std::sync::OnceLock;

use testjig_vm::{Arch, Launch, LaunchOptions, Qemu, Vm, machine};

/// The QEMU that a run would use.
pub(crate) fn qemu() -> &'static Qemu {
    static QEMU: OnceLock<Qemu> = OnceLock::new();
    QEMU.get_or_init(|| Qemu::find(Arch::X86_64).unwrap_or_else(|error| panic!("{error}")))
}

/// A bare PC of testjig.
pub(crate) fn jig() -> Vm {
    qemu()
        .launch(&Launch::new(&machine::PC), &LaunchOptions::default())
        .expect("a machine")
}

/// A bare PC of the plain client.
pub(crate) struct Plain {
    child: Child,
    qtest: Line,
    qmp: Line,
    _dir: tempfile::TempDir,
}

struct Line {
    reader: BufReader<UnixStream>,
    text: String,
}

impl Line {
    fn new(stream: UnixStream) -> Self {
        Self {
            reader: BufReader::new(stream),
            text: String::new(),
        }
    }

    fn read(&mut self) -> &str {
        self.text.clear();
        self.reader.read_line(&mut self.text).expect("a line");
        &self.text
    }

    fn ask(&mut self, request: &str) -> &str {
        self.reader
            .get_mut()
            .write_all(request.as_bytes())
            .expect("a peer");
        self.read()
    }
}

impl Plain {
    /// From exec to the greeting of QMP and the first answer of qtest.
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let (qtest, qmp) = (dir.path().join("qtest"), dir.path().join("qmp"));
        let listeners = [&qtest, &qmp].map(|path| UnixListener::bind(path).expect("a socket"));
        let child = qemu()
            .command()
            .args([
                "-nodefaults",
                "-display",
                "none",
                "-machine",
                "pc",
                "-m",
                "128M",
                "-accel",
                "qtest",
            ])
            .arg("-qtest")
            .arg(format!("unix:{}", qtest.display()))
            .args(["-qtest-log", "none"])
            .arg("-chardev")
            .arg(format!("socket,id=qmp,path={}", qmp.display()))
            .args(["-object", "monitor-qmp,id=monitor,chardev=qmp"])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a QEMU");
        let [qtest, qmp] =
            listeners.map(|listener| Line::new(listener.accept().expect("a connection").0));
        let mut plain = Self {
            child,
            qtest,
            qmp,
            _dir: dir,
        };
        assert!(plain.qmp.read().contains("QMP"));
        assert!(plain.ask("endianness").starts_with("OK"));
        plain
    }

    /// Sends one request and waits for its answer.
    pub(crate) fn ask(&mut self, request: &str) -> &str {
        let mut line = String::with_capacity(request.len() + 1);
        line.push_str(request);
        line.push('\n');
        let reply = self.qtest.ask(&line);
        assert!(reply.starts_with("OK"), "{reply}");
        reply
    }

    pub(crate) fn inb(&mut self, port: u16) -> u8 {
        let reply = self.ask(&format!("inb {port:#x}"));
        let value = reply.trim_end().strip_prefix("OK 0x").expect("a value");
        u8::try_from(u16::from_str_radix(value, 16).expect("a number")).expect("a byte")
    }

    /// Executes a QMP command without arguments; the first one has to be `qmp_capabilities`.
    pub(crate) fn qmp(&mut self, command: &str) -> &str {
        self.qmp.ask(&format!("{{\"execute\":\"{command}\"}}\n"))
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("our own child");
        self.child.wait().expect("our own child");
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
