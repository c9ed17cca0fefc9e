//! The machine as a process, against clients that nobody here wrote, and beside a real QEMU where there is one.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A process that is killed with its test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn machine(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_testjig-machine"));
    command.args(["-machine", "pc,pit=off", "-m", "16M", "-nodefaults"]);
    command.args(arguments).stderr(Stdio::null());
    command
}

fn socket(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("testjig-machine-{}-{name}", std::process::id()))
}

/// Sends requests to a VMM on its standard input and reads its lines until the last is answered.
fn transcript(mut command: Command, requests: &str) -> Vec<String> {
    command.args(["-qtest", "stdio", "-qtest-log", "none"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = Killed(command.spawn().expect("starts"));
    let mut stdin = child.0.stdin.take().expect("a pipe");
    let stdout = BufReader::new(child.0.stdout.take().expect("a pipe"));
    stdin.write_all(requests.as_bytes()).expect("takes it");
    stdin
        .write_all(b"inb 0x71\nendianness\n")
        .expect("takes it");
    let lines = stdout.lines().map(|line| line.expect("text"));
    lines.take_while(|line| line != "OK little").collect()
}

/// Widths of numbers, texts of refusals, interrupt lines, blocks, time: what a QEMU answers, letter by letter.
const REQUESTS: &str = "inb 0x70\noutb 0x70 0xb\ninb 0x71\ninl 0xcf8\noutl 0xcf8 0x80000000\ninl 0xcfc\ninw 0xcfe\n\
    readb 0x1000\nwriteq 0x1000 0x1122334455667788\nreadl 0x1000\nreadw 0x1001\nread 0x1000 9\nb64read 0x1000 5\n\
    write 0x2000 4 0xdeadbeef\nread 0x2000 4\nb64write 0x2000 3 AQID\nread 0x2000 4\nmemset 0x2000 2 0x55\nread 0x2000 3\n\
    memset 0x2000 0 1\nwrite 0x2000 2 0x\nfrobnicate\n inb 0x70\nirq_intercept_in nobody\nirq_intercept_in ioapic list\n\
    irq_intercept_in ioapic\nirq_intercept_in ioapic\nset_irq_in ioapic unnamed-gpio-in 5 1\nset_irq_in ioapic unnamed-gpio-in 5 0\n\
    clock_set 0\nclock_step 1000\nclock_set 500\nclock_step -1\noutb 0x70 0xb more words\nclock_set 5000000\nmodule_load a b\n";

#[test]
fn replies_are_qemus_letter_by_letter() {
    let Ok(qemu) = testjig_vm::Qemu::find(testjig_vm::Arch::X86_64) else {
        eprintln!("skipped: there is no QEMU to compare with");
        return;
    };
    let common = [
        "-machine",
        "pc,pit=off",
        "-m",
        "16M",
        "-nodefaults",
        "-accel",
        "qtest",
        "-display",
        "none",
    ];
    let mut real = qemu.command();
    real.args(common).stderr(Stdio::null());
    let mut embedded = Command::new(env!("CARGO_BIN_EXE_testjig-machine"));
    embedded.args(common).stderr(Stdio::null());
    let expected = transcript(real, REQUESTS);
    let answered = transcript(embedded, REQUESTS);
    let requests: Vec<&str> = REQUESTS.lines().collect();
    assert_eq!(answered, expected, "{requests:#?}");
    assert!(expected.len() >= requests.len());
}

#[test]
fn the_qtest_crate_of_crates_io_works_against_it() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut listener = qtest::socket::SocketListener::new("127.0.0.1:0")
            .await
            .expect("a port");
        let option = format!("tcp:{}", listener.address());
        let _machine = Killed(machine(&["-qtest", &option]).spawn().expect("starts"));
        let mut session = listener.new_session().await.expect("connects");

        let mut interrupts = session.irq_intercept_in("ioapic").await.expect("watched");
        for (register, value) in [(0x0a, 0x2f), (0x0b, 0x42)] {
            session.outb(0x70, register).await.expect("written");
            session.outb(0x71, value).await.expect("written");
        }
        session
            .clock_step(Some(500_000_000))
            .await
            .expect("stepped");
        let tick = interrupts.recv().await.expect("an interrupt");
        assert_eq!((tick.line, tick.state), (8, qtest::IrqState::Raise));
        session.outb(0x70, 0x0c).await.expect("written");
        assert_eq!(session.inb(0x71).await.expect("read"), 0xc0);
        // Its `writel` and the like send no end of line (0.2.0): no server answers them.
        let bytes = session.write(0x1000, "0x78563412", Some(4));
        bytes.await.expect("written");
        assert_eq!(session.readw(0x1002).await.expect("read"), 0x1234);
    });
}

#[test]
fn a_client_that_listens_is_connected_to() {
    let path = socket("listens");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    let _machine = Killed(
        machine(&["-qtest", &format!("unix:{}", path.display())])
            .spawn()
            .expect("starts"),
    );
    let (mut stream, _) = listener.accept().expect("connects");
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a timeout");
    stream.write_all(b"endianness\n").expect("takes it");
    let mut line = String::new();
    BufReader::new(stream)
        .read_line(&mut line)
        .expect("answers");
    assert_eq!(line, "OK little\n");
    std::fs::remove_file(path).expect("removed");
}

#[test]
fn a_client_that_connects_is_listened_to_and_may_come_again() {
    let path = socket("connects");
    let option = format!("unix:{},server=on,wait=off", path.display());
    let _machine = Killed(machine(&["-qtest", &option]).spawn().expect("starts"));
    let until = Instant::now() + Duration::from_secs(10);
    for value in ["0x11", "0x22"] {
        let mut stream = loop {
            match UnixStream::connect(&path) {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < until, "{error}"),
            }
        };
        stream
            .write_all(format!("outb 0x70 0x50\noutb 0x71 {value}\ninb 0x71\n").as_bytes())
            .expect("takes it");
        let lines: Vec<String> = BufReader::new(stream)
            .lines()
            .take(3)
            .map(|line| line.expect("text"))
            .collect();
        assert_eq!(
            lines,
            [
                "OK".to_owned(),
                "OK".to_owned(),
                format!("OK 0x00{}", &value[2..])
            ]
        );
    }
    std::fs::remove_file(path).expect("removed");
}

#[test]
fn what_it_does_not_have_is_declined_at_once() {
    for (arguments, words) in [
        (["-device", "edu"], "'edu' is not a valid device model name"),
        (["-machine", "q35"], "unsupported machine type"),
        (["-accel", "kvm"], "invalid accelerator kvm"),
        (["-vga", "std"], "the embedded machine does not have it"),
        (["-m", "x"], "expects a size"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_testjig-machine"));
        let output = command
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(
            said.starts_with("qemu-system-x86_64: ") && said.contains(words),
            "{said}"
        );
    }
}
