//! The format: what is printed reads back, what is wrong is told with its place, and nothing costs more than the limits.

use proptest::prelude::*;
use testjig_qtest::{
    Command, Data, Encoding, Endianness, Failure, Length, Nanos, PortWidth, Reply, Severity, Width,
    Word,
};
use testjig_trace::{
    Action, Detect, Disk, DiskInterface, Expect, Expected, FileError, Header, Red, Requirement,
    Step, Trace, VersionNumber, VersionRange,
};
use testjig_vm::Arch;

fn port_width() -> impl Strategy<Value = PortWidth> {
    prop_oneof![Just(PortWidth::B), Just(PortWidth::W), Just(PortWidth::L)]
}

fn width() -> impl Strategy<Value = Width> {
    prop_oneof![
        Just(Width::B),
        Just(Width::W),
        Just(Width::L),
        Just(Width::Q)
    ]
}

fn word() -> impl Strategy<Value = Word> {
    "[a-z/][a-z0-9/_.\\[\\]-]{0,20}".prop_map(|text| Word::new(&text).unwrap())
}

fn encoding() -> impl Strategy<Value = Encoding> {
    prop_oneof![Just(Encoding::Hex), Just(Encoding::Base64)]
}

fn command() -> impl Strategy<Value = Command> {
    let data = prop::collection::vec(any::<u8>(), 1..200);
    prop_oneof![
        (port_width(), any::<u16>()).prop_map(|(width, port)| Command::In { width, port }),
        (port_width(), any::<u16>(), any::<u32>()).prop_map(|(width, port, value)| Command::Out {
            width,
            port,
            value: value & width.mask()
        }),
        (width(), any::<u64>()).prop_map(|(width, addr)| Command::Read { width, addr }),
        (width(), any::<u64>(), any::<u64>()).prop_map(|(width, addr, value)| Command::Write {
            width,
            addr,
            value: value & width.mask()
        }),
        (any::<u64>(), 1_u32..64, encoding()).prop_map(|(addr, len, encoding)| {
            Command::ReadBlock {
                addr,
                len: Length::new(len).unwrap(),
                encoding,
            }
        }),
        (any::<u64>(), data, encoding()).prop_map(|(addr, data, encoding)| Command::WriteBlock {
            addr,
            data: Data::new(&data).unwrap(),
            encoding
        }),
        (any::<u64>(), 1_u32..9999, any::<u8>()).prop_map(|(addr, len, value)| Command::Memset {
            addr,
            len: Length::new(len).unwrap(),
            value
        }),
        prop::option::of(any::<u32>()).prop_map(|ns| Command::ClockStep(ns.map(Nanos::from))),
        any::<u32>().prop_map(|ns| Command::ClockSet(ns.into())),
        word().prop_map(|path| Command::InterceptIn { path }),
        (word(), prop::option::of(word()))
            .prop_map(|(path, name)| Command::InterceptOut { path, name }),
        (word(), any::<u16>(), any::<i32>()).prop_map(|(path, number, level)| Command::SetIrqIn {
            path,
            name: None,
            number,
            level
        }),
        Just(Command::Endianness),
    ]
}

/// A command with an answer that it can have.
fn answered() -> impl Strategy<Value = (Command, Expected)> {
    (command(), any::<u64>(), any::<bool>(), any::<bool>()).prop_map(
        |(command, seed, masks, fails)| {
            if fails {
                let reason = if masks { "no such thing" } else { "" };
                let failure = Failure {
                    severity: Severity::Fail,
                    reason: reason.into(),
                };
                return (command, Expected::exactly(Reply::Failed(failure)));
            }
            let reply = match &command {
                Command::In { width, .. } => Reply::Value(seed & u64::from(width.mask())),
                Command::Read { width, .. } => Reply::Value(seed & width.mask()),
                Command::ReadBlock { len, .. } => {
                    Reply::Bytes(vec![seed as u8; len.get() as usize])
                }
                Command::ClockStep(_) | Command::ClockSet(_) => Reply::Nanos((seed as u32).into()),
                Command::Endianness => Reply::Endianness(Endianness::Big),
                _ => Reply::Done,
            };
            let mask = (masks && matches!(reply, Reply::Value(_))).then_some(seed.rotate_left(7));
            (command, Expected { reply, mask })
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let action = prop_oneof![
        1 => Just(Action::Nothing),
        4 => command().prop_map(|command| Action::Do(command, None)),
        4 => answered().prop_map(|(command, expected)| Action::Do(command, Some(expected))),
        1 => answered().prop_map(|(command, expected)| Action::Until(command, expected)),
        1 => (0_u32..=0xffff, any::<bool>()).prop_map(|(line, level)| Action::Edge { line, level }),
        1 => Just(Action::Reset),
        1 => Just(Action::Settle),
        1 => "[a-z-]{1,9},id=[a-z]{1,9}".prop_map(Action::Plug),
        1 => "[a-z]{1,9}".prop_map(Action::Unplug),
        1 => prop::collection::vec(any::<u8>(), 1..20).prop_map(|bytes| Action::Image {
            disk: "d0".to_owned(),
            offset: 0x200,
            data: Data::new(&bytes).unwrap(),
        }),
    ];
    (action, prop::option::of("[!-~]([ -~]{0,30}[!-~])?"))
        .prop_map(|(action, comment)| Step { action, comment })
}

fn header() -> impl Strategy<Value = Header> {
    let text = "[!-~]([ -~]{0,30}[!-~])?";
    let version = (0_u64..20, 0_u64..9, 0_u64..9).prop_map(|(a, b, c)| VersionNumber(a, b, c));
    let range = (
        prop::option::of(version.clone()),
        prop::option::of(version.clone()),
    )
        .prop_map(|(from, before)| VersionRange { from, before });
    let disk = (
        "[a-z][a-z0-9]{0,5}",
        1_u64..1 << 40,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(id, size, read_only, is_sd)| Disk {
            id,
            size,
            interface: if is_sd {
                DiskInterface::Sd
            } else {
                DiskInterface::None
            },
            read_only,
            discard: is_sd,
            index: is_sd.then_some(size as u32 % 64),
            content: if size > 9 { vec![1, 2, 0xff] } else { vec![] },
        });
    let requirement = prop_oneof![
        Just(Requirement::Clock),
        Just(Requirement::Running),
        "[a-z][a-z0-9-]{0,9}".prop_map(Requirement::Device),
    ];
    let expect = prop_oneof![
        Just(Expect::Survive),
        Just(Expect::Reply),
        Just(Expect::Crash(String::new())),
        text.prop_map(Expect::Crash),
    ];
    let first = (
        text,
        prop::collection::vec(text, 0..3),
        prop::collection::vec(range, 0..3),
        prop::option::of(version),
        prop::sample::select(&Arch::ALL[..]),
        prop::collection::vec(("[a-z-]{1,8}", "[a-z0-9.]{0,8}"), 0..3),
    );
    let second = (
        prop::option::of(1_u64..1 << 50),
        any::<bool>(),
        prop::collection::vec(disk, 0..3),
        prop::collection::vec("-[a-z]{1,8}|[a-z=, '\"\\\\#$-]{1,20}", 0..6),
        prop::collection::vec(requirement, 0..3),
        expect,
        any::<bool>(),
        prop::option::of(prop::option::of((any::<bool>(), text))),
    );
    (first, second).prop_map(
        |(
            (title, texts, affected, fixed, arch, machine_options),
            (memory, default_devices, disks, args, requires, expect, is_asan, red),
        )| Header {
            title,
            ids: texts.clone(),
            sources: texts.clone(),
            affected,
            fixed,
            machine: "pc".to_owned(),
            arch,
            machine_options,
            memory,
            default_devices,
            disks,
            // Blanks at an end of a word are not kept by those who print it for people.
            args: args.iter().map(|word| word.trim().to_owned()).collect(),
            requires,
            expect,
            says: texts.clone(),
            detect: if is_asan { Detect::Asan } else { Detect::Stock },
            red: red.map(|shown| match shown {
                None => Red::NotDemonstrated,
                Some((true, place)) => Red::Shown(place),
                Some((false, what)) => Red::Undone(what),
            }),
            notes: texts,
        },
    )
}

proptest! {
    #[test]
    fn what_is_printed_reads_back(header in header(), steps in prop::collection::vec(step(), 0..20)) {
        let trace = Trace { header, steps };
        let text = trace.to_string();
        let back: Trace = match text.parse() {
            Ok(back) => back,
            Err(error) => return Err(TestCaseError::fail(format!("{error}\n{text}"))),
        };
        prop_assert_eq!(&back, &trace, "{}", text);
    }

    #[test]
    fn any_text_is_a_session_or_an_error_within_it(text in "(qtr 1\n)?(arch: x86_64\nmachine: pc\n)?[ -~\n]{0,200}") {
        if let Err(error) = text.parse::<Trace>() {
            prop_assert!(error.line >= 1 && error.line <= text.lines().count().max(1), "{} of {}", error, text);
        }
    }
}

fn problem(text: &str) -> (usize, usize, String) {
    let error = text.parse::<Trace>().expect_err(text);
    (error.line, error.column, error.problem)
}

/// A session of these lines.
fn with(lines: &str) -> String {
    format!("qtr 1\narch: x86_64\nmachine: pc\n\n{lines}\n")
}

#[test]
fn what_is_wrong_is_told_with_its_line_and_column() {
    for (text, line, column, part) in [
        ("", 1, 1, "empty"),
        ("qtr 3\n", 1, 1, "later version"),
        ("#!/bin/sh\n", 1, 1, "jig import"),
        ("qtr 1\narch: x86_64\n", 2, 1, "machine"),
        ("qtr 1\nmachine: pc\n", 2, 1, "arch"),
        ("qtr 1\narch: vax\n", 2, 7, "no architecture `vax`"),
        ("qtr 1\narch: arm\narch: arm\n", 3, 1, "twice"),
        ("qtr 1\nnonsense: 1\n", 2, 1, "no line of the header"),
        ("qtr 1\nnonsense\n", 2, 1, "`name: value`"),
        ("qtr 1\ntitle:\n", 2, 7, "no value"),
        ("qtr 1\nargs: -device 'x\n", 2, 7, "quotation"),
        ("qtr 1\ndisk: d 1M if=usb\n", 2, 7, "no interface `usb`"),
        ("qtr 1\ndisk: d 134217729G\n", 2, 7, "134217728G"),
        ("qtr 1\nmemory: many\n", 2, 9, "no size"),
        ("qtr 1\naffected: 8.1\n", 2, 11, "7.0..8.1"),
        ("qtr 1\nexpect: crash(x\n", 2, 9, "crash(SIGNATURE)"),
        ("qtr 1\nred: perhaps\n", 2, 6, "not demonstrated"),
    ] {
        let (l, c, problem) = problem(text);
        assert!(
            (l, c) == (line, column) && problem.contains(part),
            "{text:?}: line {l}, column {c}: {problem}"
        );
    }
    for (line, column, part) in [
        ("outb 0x70", 1, "takes 2 arguments"),
        ("outb 0x70 zero", 11, "`zero` is no number"),
        ("  outb  0x70000 1", 9, "port"),
        ("write 0x0 0x2 0xa", 15, "misspelled"),
        ("peek 0x70", 1, "no operation is called `peek`"),
        ("inb 0x70 -> 0x100", 13, "no answer here"),
        ("inb 0x70 ->", 9, "no answer here"),
        ("inb 0x70 -> 0x1 & x", 13, "mask"),
        ("until inb 0x70", 15, "needs an answer"),
        ("irq toggle 3", 5, "raise"),
        ("image d 0x0 0x2 0xab", 7, "1 bytes, and not 2"),
        ("image d 0x0", 7, "image DISK OFFSET"),
        ("irq raise 70000", 5, "65535"),
        ("outb 0x70 1 -> fine", 16, "`ok`"),
        ("inb 0x70\u{7}", 9, "control"),
        ("settle", 1, "version 2"),
    ] {
        let (l, c, problem) = problem(&with(line));
        assert!(
            (l, c) == (5, column) && problem.contains(part),
            "{line:?}: line {l}, column {c}: {problem}"
        );
    }
}

#[test]
fn a_session_is_of_the_first_version_that_can_say_it() {
    let old = with("inb 0x71 -> 0x80");
    let trace: Trace = old.parse().unwrap();
    assert_eq!(trace.to_string(), old);
    let new = old.replace("qtr 1", "qtr 2").replace("inb", "settle\ninb");
    let trace: Trace = new.parse().unwrap();
    assert_eq!(trace.to_string(), new);
    assert_eq!(trace.operations(), 1, "a rest has no answer");
}

#[test]
fn a_file_larger_than_the_limits_is_refused_without_being_kept() {
    use std::io::Write;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("huge.qtr");
    // A line of 1 GiB, of which the file system stores nothing.
    let mut file = std::fs::File::create(&path).unwrap();
    write!(file, "{}write 0x0 0x1 0x", with("")).unwrap();
    file.set_len(1 << 30).unwrap();
    let error = Trace::read(&path).unwrap_err();
    assert!(
        matches!(&error, FileError::Parse { source, .. } if source.line == 6 && source.problem.contains("longer than 4 MiB")),
        "{error}"
    );
    assert!(resident() < 200 << 20, "{} bytes", resident());

    let many = with("inb 1\n".repeat(testjig_trace::MOST_STEPS + 1).trim_end());
    let (line, _, problem) = problem(&many);
    assert!(
        problem.contains("2,000,000 lines") && line == testjig_trace::MOST_STEPS + 5,
        "{line}: {problem}"
    );
    std::fs::write(&path, b"qtr 1\ntitle: \xff\n").unwrap();
    let error = Trace::read(&path).unwrap_err().to_string();
    assert!(
        error.contains("line 2, column 8: this is no text"),
        "{error}"
    );
}

/// How much memory this process has had at most, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}
