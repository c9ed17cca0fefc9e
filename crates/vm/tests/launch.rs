//! Machines that start as asked, and machines that don't: the reason in QEMU's words, in well under a second.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::{eventually, qemu, start};
use testjig_vm::{
    Arch, Chardev, Device, Drive, Image, Interface, Launch, LaunchError, LaunchErrorKind,
    LaunchOptions, MachineType, Netdev, Object, Qemu, Rtc, machine,
};

/// Why a launch fails, and that it does so at once.
fn failure(qemu: &Qemu, launch: &Launch) -> LaunchError {
    let begin = Instant::now();
    let error = match qemu.launch(launch, &LaunchOptions::default()) {
        Ok(vm) => panic!("it started: {}", vm.command_line()),
        Err(error) => error,
    };
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "after {:?}: {error}",
        begin.elapsed()
    );
    error
}

/// The QEMU of these tests, as if it were another program.
fn as_if(program: &Path) -> Qemu {
    let mut other = qemu().clone();
    other.program = program.into();
    other.leading_args.clear();
    other.env.clear();
    other
}

/// An executable file of this content.
fn script(dir: &tempfile::TempDir, content: &str) -> PathBuf {
    let path = dir.path().join("qemu-system-x86_64");
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

const MIB: u64 = 1 << 20;

#[test]
fn an_unknown_machine_is_told_with_one_that_is_meant() {
    static Q36: MachineType = MachineType {
        name: "q36",
        ..machine::Q35
    };
    let error = failure(qemu(), &Launch::new(&Q36));
    assert_eq!(error.kind(), LaunchErrorKind::UnknownMachine);
    let text = error.to_string();
    assert!(text.contains("has no machine \"q36\""), "{text}");
    assert!(text.contains("did you mean \"q35\"?"), "{text}");
    assert!(
        text.contains("unsupported machine type"),
        "QEMU's words: {text}"
    );
    assert!(
        error.command_line().contains("-machine q36"),
        "{}",
        error.command_line()
    );
}

#[test]
fn an_unknown_device_is_told_with_one_that_is_meant() {
    let launch = Launch::new(&machine::PC).device(Device::new("virtio-blk-pcj"));
    let error = failure(qemu(), &launch);
    assert_eq!(error.kind(), LaunchErrorKind::UnknownDevice);
    let text = error.to_string();
    assert!(text.contains("has no device \"virtio-blk-pcj\""), "{text}");
    assert!(text.contains("did you mean \"virtio-blk-pci\"?"), "{text}");
}

#[test]
fn a_bad_option_is_told_in_qemus_words() {
    let bare = || Launch::new(&machine::PC);
    let cases = [
        (bare().arg("-no-such-option"), "invalid option"),
        (
            bare().machine_option("no-such-option", "on"),
            "no-such-option",
        ),
        (
            bare().device(Device::new("e1000").prop("no-such-property", 1)),
            "no-such-property",
        ),
        (
            bare().device(Device::new("e1000").bus("no-such-bus")),
            "no-such-bus",
        ),
        (bare().cpu("no-such-cpu"), "no-such-cpu"),
        (
            bare().object(Object::new("no-such-object", "o")),
            "no-such-object",
        ),
        (
            bare().device(Device::new("virtio-blk-pci").prop("drive", "no-such-drive")),
            "no-such-drive",
        ),
    ];
    for (launch, words) in cases {
        let error = failure(qemu(), &launch);
        assert_eq!(error.kind(), LaunchErrorKind::BadOption, "{error}");
        let first = error.to_string();
        let first = first.lines().next().unwrap();
        assert!(
            first.contains("declines") && first.contains(words),
            "{first}"
        );
    }
}

#[test]
fn a_missing_binary() {
    let error = failure(
        &as_if(Path::new("/no/such/qemu")),
        &Launch::new(&machine::PC),
    );
    assert_eq!(error.kind(), LaunchErrorKind::NotFound);
    assert!(
        error.to_string().contains("/no/such/qemu does not exist"),
        "{error}"
    );
}

#[test]
fn a_binary_without_permission() {
    let dir = tempfile::tempdir().unwrap();
    let path = script(&dir, "#!/bin/sh\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let error = failure(&as_if(&path), &Launch::new(&machine::PC));
    assert_eq!(error.kind(), LaunchErrorKind::NotExecutable, "{error}");
    let error = failure(&as_if(dir.path()), &Launch::new(&machine::PC));
    assert_eq!(error.kind(), LaunchErrorKind::NotExecutable, "{error}");
}

#[test]
fn a_binary_that_is_no_program() {
    let dir = tempfile::tempdir().unwrap();
    let path = script(&dir, "some text, not a program\n");
    let error = failure(&as_if(&path), &Launch::new(&machine::PC));
    assert_eq!(error.kind(), LaunchErrorKind::NotAQemu, "{error}");
}

#[test]
fn a_binary_that_speaks_something_else() {
    let dir = tempfile::tempdir().unwrap();
    // It finds the socket where the command line says, and chats.
    let path = script(
        &dir,
        "#!/bin/bash\nfor word; do case $word in socket,id=qtest,fd=*) fd=${word##*=};; esac; done\n\
         echo hello >&$fd\nsleep 100\n",
    );
    let begin = Instant::now();
    let error = as_if(&path)
        .launch(
            &Launch::new(&machine::PC),
            &LaunchOptions::default().deadline(Duration::from_secs(30)),
        )
        .unwrap_err();
    assert_eq!(error.kind(), LaunchErrorKind::NotAQemu, "{error}");
    assert!(error.to_string().contains("hello"), "{error}");
    assert!(begin.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_binary_that_exits_at_once() {
    let dir = tempfile::tempdir().unwrap();
    for (content, status, words) in [
        ("#!/bin/sh\n", "exit status 0", ""),
        (
            "#!/bin/sh\necho some reason >&2\nexit 3\n",
            "exit status 3",
            "some reason",
        ),
        (
            "#!/bin/sh\necho on stdout\nexit 1\n",
            "exit status 1",
            "on stdout",
        ),
    ] {
        let error = failure(&as_if(&script(&dir, content)), &Launch::new(&machine::PC));
        assert_eq!(error.kind(), LaunchErrorKind::ExitedAtOnce, "{error}");
        let text = error.to_string();
        assert!(text.contains(status) && text.contains(words), "{text}");
    }
}

#[test]
fn a_binary_that_crashes() {
    let dir = tempfile::tempdir().unwrap();
    let path = script(&dir, "#!/bin/sh\necho last words >&2\nkill -SEGV $$\n");
    let error = failure(&as_if(&path), &Launch::new(&machine::PC));
    assert_eq!(error.kind(), LaunchErrorKind::Crashed, "{error}");
    let text = error.to_string();
    assert!(
        text.contains("signal 11 (SIGSEGV)") && text.contains("last words"),
        "{text}"
    );
}

#[test]
fn a_binary_that_says_nothing_is_given_up_at_the_deadline() {
    let dir = tempfile::tempdir().unwrap();
    let path = script(&dir, "#!/bin/sh\necho $$ >\"$0.pid\"\nsleep 100\n");
    let begin = Instant::now();
    let error = as_if(&path)
        .launch(
            &Launch::new(&machine::PC),
            &LaunchOptions::default().deadline(Duration::from_millis(200)),
        )
        .unwrap_err();
    let took = begin.elapsed();
    assert_eq!(error.kind(), LaunchErrorKind::TimedOut, "{error}");
    assert!(
        took >= Duration::from_millis(200) && took < Duration::from_secs(10),
        "{took:?}"
    );
    let pid = fs::read_to_string(path.with_extension("pid")).unwrap();
    assert!(
        !Path::new(&format!("/proc/{}", pid.trim())).exists(),
        "it is still there"
    );
}

#[test]
fn two_drives_of_one_name_contradict_each_other() {
    let drive = || Drive::new("d", Image::zeroed(512));
    let error = failure(
        qemu(),
        &Launch::new(&machine::PC).drive(drive()).drive(drive()),
    );
    assert_eq!(error.kind(), LaunchErrorKind::Invalid, "{error}");
}

#[test]
fn an_image_that_is_not_there_is_named() {
    let drive = Drive::new("d", Image::file("/no/such/image"));
    let error = failure(qemu(), &Launch::new(&machine::PC).drive(drive));
    assert_eq!(error.kind(), LaunchErrorKind::Host, "{error}");
    assert!(error.to_string().contains("/no/such/image"), "{error}");
}

#[test]
fn a_machine_with_everything_starts() {
    let launch = Launch::new(&machine::Q35)
        .memory(256 * MIB)
        .cpu("max")
        .cpus(2)
        .smp_option("maxcpus", 4)
        .rtc(Rtc::at("2001-02-03T04:05:06"))
        .boot("menu", "off")
        .global("virtio-net-pci", "disable-legacy", "on")
        .object(Object::new("rng-builtin", "r0"))
        .chardev(Chardev::socket("s0"))
        .chardev(Chardev::ring("s1", 4096))
        .chardev(Chardev::null("s2"))
        .serial("s1")
        .netdev(Netdev::packets("n0"))
        .netdev(Netdev::stream("n1"))
        .netdev(Netdev::new("user", "n2").option("restrict", "on"))
        .device(Device::new("rtl8139").prop("netdev", "n2"))
        .drive(Drive::new("d0", Image::zeroed(4 << 30)))
        .drive(Drive::new("d1", Image::bytes(*b"0123456789abcdef")).read_only(true))
        .drive(
            Drive::new("cd", Image::zeroed(2048))
                .interface(Interface::Ide)
                .index(2)
                .cdrom(),
        )
        .device(Device::new("virtio-rng-pci").prop("rng", "r0"))
        .device(
            Device::new("isa-serial")
                .prop("chardev", "s0")
                .prop("iobase", 0x2f8),
        )
        .device(Device::new("virtio-net-pci").prop("netdev", "n0"))
        .device(Device::new("e1000").prop("netdev", "n1"))
        .device(
            Device::new("virtio-blk-pci")
                .id("blk")
                .prop("drive", "d0")
                .prop("serial", "a,b"),
        )
        .device(Device::new("virtio-blk-pci").prop("drive", "d1"))
        .fw_cfg_string("opt/text", "a,b")
        .fw_cfg_file("opt/file", vec![7; 100_000])
        .machine_option("smm", "off");
    let vm = start(&launch);
    let serial = vm.qmp_raw(
        "qom-get",
        serde_json::json!({"path": "blk", "property": "serial"}),
    );
    assert_eq!(serial, "a,b");
    assert_eq!(vm.launch(), &launch);
    let report = vm.stop();
    assert!(report.is_clean(), "{report}");
    assert_eq!(report.stderr, "");
}

#[test]
fn every_machine_of_this_architecture_starts_and_shares_its_memory() {
    for &machine in machine::ALL
        .iter()
        .filter(|machine| machine.arch == Arch::X86_64)
    {
        let vm = start(&Launch::new(machine));
        vm.writel(0x2000, 0x1234_5678);
        assert_eq!(vm.ram().read_le::<u32>(0x2000), 0x1234_5678, "{machine}");
        let report = vm.stop();
        assert!(report.is_clean(), "{machine}: {report}");
    }
}

#[test]
fn a_machine_of_nothing_starts() {
    static NONE: MachineType = machine::none(Arch::X86_64);
    let vm = start(&Launch::new(&NONE));
    assert!(vm.hmp("info version").contains('.'));
    let fault = common::fault_of(|| vm.ram().read_le::<u8>(0));
    assert!(fault.to_string().contains("has no RAM"), "{fault}");
}

#[test]
fn a_machine_whose_memory_can_not_be_mapped_uses_the_wire() {
    use testjig_vm::RamBackend;

    static WIRED: MachineType = MachineType {
        ram_backend: RamBackend::Wire,
        ..machine::PC
    };
    let vm = start(&Launch::new(&WIRED));
    let bytes: Vec<u8> = (0..100_000_u32).map(|index| (index % 251) as u8).collect();
    vm.ram().write(0x10_0003, &bytes);
    assert!(vm.ram().read_vec(0x10_0003, bytes.len()) == bytes);
    assert_eq!(vm.readb(0x10_0003 + 77), 77);
    vm.ram().write_be(0x2000, 0x1122_3344_u32);
    assert_eq!(vm.ram().read_le::<u32>(0x2000), 0x4433_2211);
    assert_eq!(vm.readl(0x2000), 0x4433_2211);
    vm.ram().fill(0x2001, 2, 0xee);
    assert_eq!(vm.readl(0x2000), 0x44ee_ee11);
    let fault = common::fault_of(|| vm.ram().read_le::<u32>(0xf_0000));
    assert!(
        fault
            .to_string()
            .contains("plain RAM of x86_64/pc is 0x0–0x9ffff"),
        "{fault}"
    );
}

#[test]
fn stopping_is_clean() {
    for _ in 0..5 {
        let vm = start(&Launch::new(&machine::PC));
        vm.outb(0x80, 1);
        // What takes too long is killed, which is not clean; the benchmark has the figure.
        let report = vm.stop();
        assert!(report.is_clean(), "{report}");
    }
}

#[test]
fn a_clone_of_a_stopped_machine_looks_back_and_no_more() {
    let vm = start(&Launch::new(&machine::PC));
    let other = vm.clone();
    vm.outb(0x80, 1);
    vm.stop();
    assert!(!other.is_alive());
    assert_eq!(other.operations(), 2);
    let fault = common::fault_of(|| other.inb(0x80));
    assert!(fault.to_string().contains("exit status 0"), "{fault}");
}

#[test]
fn stderr_is_there_while_the_machine_runs() {
    let launch = Launch::new(&machine::PC)
        .arg("-d")
        .arg("unimp,guest_errors");
    let vm = start(&launch);
    // A command that the keyboard controller does not know, which it logs.
    vm.outb(0x64, 0x13);
    vm.sync();
    eventually("a word about the command", || vm.stderr().contains("0x13"));
    let report = vm.stop();
    assert!(report.stderr.contains("0x13"), "{report}");
}
