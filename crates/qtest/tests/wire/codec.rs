//! Commands and replies to bytes and back.

use proptest::collection::vec;
use proptest::prelude::*;
use testjig_qtest::{
    Arguments, Command, Csr, Data, Encoding, Endianness, Extension, Failure, Length, Line, Nanos,
    ParseError, PortWidth, Reply, Rtas, Severity, Shape, Width, Word,
};

use crate::fake::write_block;

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

fn encoding() -> impl Strategy<Value = Encoding> {
    prop_oneof![Just(Encoding::Hex), Just(Encoding::Base64)]
}

/// Numbers of every magnitude.
fn number() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0..64_u32).prop_map(|(value, shift)| value >> shift)
}

fn any_word() -> impl Strategy<Value = Word> {
    r"[!-~\u{a1}-\u{17f}]{1,20}".prop_map(|text| Word::new(&text).unwrap())
}

fn any_length() -> impl Strategy<Value = Length> {
    (1..=Length::MAX).prop_map(|len| Length::new(len).unwrap())
}

fn nanos() -> impl Strategy<Value = Nanos> {
    number().prop_map(|ns| Nanos::new(ns >> 1).unwrap())
}

struct Call(Word, Vec<Word>);

impl Extension for Call {
    const NAME: &'static str = "hv-call";
    type Reply = ();

    fn arguments(&self, arguments: &mut Arguments) {
        arguments.word(&self.0);
        for word in &self.1 {
            arguments.word(word).hex(word.len() as u64);
        }
    }

    fn decode(&self, _: &str) -> Option<()> {
        Some(())
    }
}

fn extension() -> impl Strategy<Value = Command> {
    prop_oneof![
        (any_word(), vec(any_word(), 0..4))
            .prop_map(|(first, more)| Command::extension(&Call(first, more)).unwrap()),
        (any::<i32>(), 0..0x1000_u16, any::<u64>()).prop_map(|(hart, number, value)| {
            Command::extension(&Csr::set(hart.unsigned_abs() >> 1, number, value).unwrap()).unwrap()
        }),
        (any_word(), any::<u32>(), number()).prop_map(|(service, count, addr)| {
            let call = Rtas::new(&service)
                .unwrap()
                .with_arguments(count, addr)
                .with_results(count / 2, addr);
            Command::extension(&call).unwrap()
        }),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        (port_width(), any::<u16>()).prop_map(|(width, port)| Command::In { width, port }),
        (port_width(), any::<u16>(), any::<u32>()).prop_map(|(width, port, value)| Command::Out {
            width,
            port,
            value: value & width.mask()
        }),
        (width(), number()).prop_map(|(width, addr)| Command::Read { width, addr }),
        (width(), number(), number()).prop_map(|(width, addr, value)| Command::Write {
            width,
            addr,
            value: value & width.mask()
        }),
        (number(), any_length(), encoding()).prop_map(|(addr, len, encoding)| Command::ReadBlock {
            addr,
            len,
            encoding
        }),
        (number(), vec(any::<u8>(), 1..100), encoding())
            .prop_map(|(addr, bytes, encoding)| write_block(addr, &bytes, encoding)),
        (number(), any_length(), any::<u8>()).prop_map(|(addr, len, value)| Command::Memset {
            addr,
            len,
            value
        }),
        proptest::option::of(nanos()).prop_map(Command::ClockStep),
        nanos().prop_map(Command::ClockSet),
        any_word().prop_map(|path| Command::InterceptIn { path }),
        (any_word(), proptest::option::of(any_word()))
            .prop_map(|(path, name)| Command::InterceptOut { path, name }),
        (
            any_word(),
            proptest::option::of(any_word()),
            any::<u16>(),
            any::<i32>()
        )
            .prop_map(|(path, name, number, level)| Command::SetIrqIn {
                path,
                name,
                number,
                level
            }),
        (any_word(), any_word()).prop_map(|(prefix, name)| Command::ModuleLoad { prefix, name }),
        Just(Command::Endianness),
        extension(),
    ]
}

fn text() -> impl Strategy<Value = Box<str>> {
    r"([!-~][ -~]{0,30})?".prop_map(String::into_boxed_str)
}

/// A reply and the shape of the command that it answers.
fn reply() -> impl Strategy<Value = (Reply, Shape)> {
    let value = (width(), number());
    let bytes = (vec(any::<u8>(), 1..100), encoding());
    let order = prop_oneof![Just(Endianness::Little), Just(Endianness::Big)];
    let severity = prop_oneof![Just(Severity::Fail), Just(Severity::Err)];
    prop_oneof![
        Just((Reply::Done, Shape::Done)),
        value.prop_map(|(width, value)| (Reply::Value(value & width.mask()), Shape::Value(width))),
        (port_width(), number()).prop_map(|(width, value)| (
            Reply::Value(value & u64::from(width.mask())),
            Shape::Port(width)
        )),
        bytes.prop_map(|(bytes, encoding)| {
            let len = Length::try_from(bytes.len()).unwrap();
            (Reply::Bytes(bytes), Shape::Bytes { len, encoding })
        }),
        nanos().prop_map(|time| (Reply::Nanos(time), Shape::Nanos)),
        order.prop_map(|order| (Reply::Endianness(order), Shape::Endianness)),
        text().prop_map(|text| (Reply::Text(text), Shape::Text)),
        (severity, text()).prop_map(|(severity, reason)| (
            Reply::Failed(Failure { severity, reason }),
            Shape::Done
        )),
    ]
}

/// The words and numbers that lines are made of, and some that they are not.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(
        &[
            "inb",
            "outl",
            "readq",
            "writew",
            "read",
            "write",
            "b64read",
            "b64write",
            "memset",
            "clock_step",
            "clock_set",
            "irq_intercept_in",
            "irq_intercept_out",
            "set_irq_in",
            "module_load",
            "endianness",
            "rtas",
            "csr",
            "get_csr",
            " ",
            "0",
            "0x0",
            "0x10",
            "07",
            "-1",
            "0xffffffffffffffff",
            "0x10000000000000000",
            "65536",
            "AQID",
            "0x010203",
        ][..],
    );
    prop_oneof![
        6 => known.prop_map(|text| text.as_bytes().to_vec()),
        3 => Just(b" ".to_vec()),
        1 => vec(any::<u8>(), 0..6),
    ]
}

proptest! {
    #[test]
    fn a_command_survives_the_wire(command in command()) {
        let mut line = Vec::new();
        command.encode(&mut line);
        prop_assert_eq!(line.pop(), Some(b'\n'));
        prop_assert!(!line.contains(&b'\n'));
        prop_assert!(line.split(|byte| *byte == b' ').all(|word| !word.is_empty()));
        prop_assert_eq!(Command::parse(&line).unwrap(), command);
    }

    #[test]
    fn a_reply_survives_the_wire((reply, shape) in reply()) {
        let mut line = Vec::new();
        reply.encode(shape, &mut line);
        prop_assert_eq!(line.pop(), Some(b'\n'));
        prop_assert_eq!(Reply::parse(&line, shape), Some(reply));
    }

    #[test]
    fn an_edge_survives_the_wire(line in 0..=Line::IRQ_MAX, level: bool) {
        let mut text = Vec::new();
        Line::Irq { line, level }.encode(&mut text);
        prop_assert_eq!(text.pop(), Some(b'\n'));
        prop_assert_eq!(Line::parse(&text), Some(Line::Irq { line, level }));
    }

    #[test]
    fn what_the_parser_takes_means_the_same_when_it_is_sent(fragments in vec(fragment(), 0..12)) {
        let line = fragments.concat();
        if let Ok(command) = Command::parse(&line) {
            let mut again = Vec::new();
            command.encode(&mut again);
            again.pop();
            prop_assert_eq!(Command::parse(&again), Ok(command));
        }
    }
}

#[track_caller]
fn assert_spelled(command: &Command, line: &str) {
    let mut encoded = Vec::new();
    command.encode(&mut encoded);
    assert_eq!(String::from_utf8(encoded).unwrap(), format!("{line}\n"));
    assert_eq!(command.to_string(), line);
}

fn word(text: &str) -> Word {
    Word::new(text).unwrap()
}

fn length(bytes: u32) -> Length {
    Length::new(bytes).unwrap()
}

/// Spellings that QEMU 11.1 was seen to take.
#[test]
fn ports_are_spelled_as_qemu_takes_them() {
    let read = |width, port| Command::In { width, port };
    let write = |width, port, value| Command::Out { width, port, value };
    assert_spelled(&read(PortWidth::B, 0x71), "inb 0x71");
    assert_spelled(&read(PortWidth::W, 0), "inw 0x0");
    assert_spelled(&read(PortWidth::L, 0xffff), "inl 0xffff");
    assert_spelled(&write(PortWidth::B, 0x70, 0xff), "outb 0x70 0xff");
    assert_spelled(&write(PortWidth::W, 0x70, 1), "outw 0x70 0x1");
    assert_spelled(
        &write(PortWidth::L, 0xcf8, u32::MAX),
        "outl 0xcf8 0xffffffff",
    );
}

/// As above.
#[test]
fn memory_is_spelled_as_qemu_takes_it() {
    let read = |width, addr| Command::Read { width, addr };
    let write = |width, value| Command::Write {
        width,
        addr: 1,
        value,
    };
    assert_spelled(&read(Width::B, u64::MAX), "readb 0xffffffffffffffff");
    assert_spelled(&read(Width::W, 2), "readw 0x2");
    assert_spelled(&read(Width::L, 4), "readl 0x4");
    assert_spelled(&read(Width::Q, 8), "readq 0x8");
    assert_spelled(&write(Width::B, 2), "writeb 0x1 0x2");
    assert_spelled(&write(Width::W, 2), "writew 0x1 0x2");
    assert_spelled(&write(Width::L, 2), "writel 0x1 0x2");
    assert_spelled(&write(Width::Q, u64::MAX), "writeq 0x1 0xffffffffffffffff");
}

/// As above.
#[test]
fn blocks_are_spelled_as_qemu_takes_them() {
    let read = |encoding| Command::ReadBlock {
        addr: 1,
        len: length(16),
        encoding,
    };
    assert_spelled(&read(Encoding::Hex), "read 0x1 0x10");
    assert_spelled(&read(Encoding::Base64), "b64read 0x1 0x10");
    assert_spelled(
        &write_block(1, &[0xab, 0xcd], Encoding::Hex),
        "write 0x1 0x2 0xabcd",
    );
    let base64 = write_block(1, &[1, 2, 3, 4], Encoding::Base64);
    assert_spelled(&base64, "b64write 0x1 0x4 AQIDBA==");
    let fill = Command::Memset {
        addr: 1,
        len: length(16),
        value: 0xaa,
    };
    assert_spelled(&fill, "memset 0x1 0x10 0xaa");
}

/// As above.
#[test]
fn clock_and_pins_are_spelled_as_qemu_takes_them() {
    assert_spelled(&Command::ClockStep(None), "clock_step");
    assert_spelled(
        &Command::ClockStep(Some(Nanos::MAX)),
        "clock_step 9223372036854775807",
    );
    assert_spelled(&Command::ClockSet(100.into()), "clock_set 100");
    let path = || word("/machine/soc");
    assert_spelled(
        &Command::InterceptIn { path: path() },
        "irq_intercept_in /machine/soc",
    );
    let intercept = |name| Command::InterceptOut { path: path(), name };
    assert_spelled(&intercept(None), "irq_intercept_out /machine/soc");
    assert_spelled(
        &intercept(Some(word("cs"))),
        "irq_intercept_out /machine/soc cs",
    );
    let drive = |name, level| Command::SetIrqIn {
        path: path(),
        name,
        number: 3,
        level,
    };
    assert_spelled(
        &drive(None, 1),
        "set_irq_in /machine/soc unnamed-gpio-in 3 1",
    );
    assert_spelled(
        &drive(Some(word("a20")), i32::MIN),
        "set_irq_in /machine/soc a20 3 -2147483648",
    );
    let load = Command::ModuleLoad {
        prefix: word("hw-"),
        name: word("display-qxl"),
    };
    assert_spelled(&load, "module_load hw- display-qxl");
    assert_spelled(&Command::Endianness, "endianness");
}

/// Answers that QEMU 11.1 was seen to give.
#[test]
fn replies_are_read_as_qemu_spells_them() {
    let read = |line: &str, shape| Reply::parse(line.as_bytes(), shape);
    let refused = |severity, reason: &str| {
        Some(Reply::Failed(Failure {
            severity,
            reason: reason.into(),
        }))
    };
    assert_eq!(read("OK", Shape::Done), Some(Reply::Done));
    assert_eq!(
        read("OK 0x00ff", Shape::Value(Width::B)),
        Some(Reply::Value(0xff))
    );
    assert_eq!(
        read("OK 0x59ff59ff", Shape::Value(Width::L)),
        Some(Reply::Value(0x59ff_59ff))
    );
    assert_eq!(
        read("OK 0x00000000000000ea", Shape::Value(Width::B)),
        Some(Reply::Value(0xea))
    );
    assert_eq!(
        read("OK 27462700", Shape::Nanos),
        Some(Reply::Nanos(27_462_700.into()))
    );
    assert_eq!(
        read("OK little", Shape::Endianness),
        Some(Reply::Endianness(Endianness::Little))
    );
    let bytes = Some(Reply::Bytes(vec![0xea, 0x5b, 0xe0, 0]));
    assert_eq!(
        read(
            "OK 0xea5be000",
            Shape::Bytes {
                len: length(4),
                encoding: Encoding::Hex
            }
        ),
        bytes
    );
    assert_eq!(
        read(
            "OK 6lvgAA==",
            Shape::Bytes {
                len: length(4),
                encoding: Encoding::Base64
            }
        ),
        bytes
    );
    assert_eq!(read("FAIL", Shape::Done), refused(Severity::Fail, ""));
    assert_eq!(
        read("FAIL Unknown device", Shape::Nanos),
        refused(Severity::Fail, "Unknown device")
    );
    assert_eq!(
        read("ERR invalid argument size", Shape::Done),
        refused(Severity::Err, "invalid argument size")
    );
    assert_eq!(read("IRQ raise 3", Shape::Done), None);
    assert_eq!(
        Line::parse(b"IRQ raise 3"),
        Some(Line::Irq {
            line: 3,
            level: true
        })
    );
    assert_eq!(
        Line::parse(b"IRQ lower 0"),
        Some(Line::Irq {
            line: 0,
            level: false
        })
    );
}

/// Lines that other clients send and QEMU takes.
#[test]
fn other_spellings_of_a_command_are_understood() {
    let parse = |line: &str| Command::parse(line.as_bytes()).unwrap();
    assert_eq!(
        parse("inb 113"),
        Command::In {
            width: PortWidth::B,
            port: 0x71
        }
    );
    assert_eq!(
        parse("inb 0161"),
        Command::In {
            width: PortWidth::B,
            port: 0x71
        }
    );
    assert_eq!(
        parse("inb 0X71"),
        Command::In {
            width: PortWidth::B,
            port: 0x71
        }
    );
    assert_eq!(
        parse("outb 0x70 0x1ff"),
        Command::Out {
            width: PortWidth::B,
            port: 0x70,
            value: 0xff
        }
    );
    assert_eq!(
        parse("writew 0 0x12345"),
        Command::Write {
            width: Width::W,
            addr: 0,
            value: 0x2345
        }
    );
    assert_eq!(
        parse("write 0x0 0x2 0xABCD"),
        write_block(0, &[0xab, 0xcd], Encoding::Hex)
    );
}

/// Lines on which QEMU 11.1 was seen to abort, or to hang, or to do something else than they say.
#[test]
fn lines_that_no_command_says_are_refused() {
    for line in [
        "",
        " ",
        "inb",
        "inb ",
        "inb x",
        "inb 0x",
        "inb  1",
        "inb -1",
        "inb 0x10000",
        "inb 0x70\r",
        "inb 0x70\0",
        "outb 1",
        "outb 0x10000 1",
        "outb 0x70 0x10000000000000000",
        "outb 1 -1",
        "readb",
        "readb x",
        "readb 0x10000000000000000",
        "writeb 0",
        "writeb 0 x",
        "read 0 0",
        "read 0 0x100001",
        "b64read 0 0",
        "write 0 4",
        "write 0 0 0x",
        "write 0 4 0x01",
        "write 0 4 01020304",
        "write 0 4 0x0102030405",
        "write 0 4 0xzzzzzzzz",
        "b64write 0 4",
        "b64write 0 4 AQ==",
        "b64write 0 4 !!!!",
        "b64write 0 1 AQIDBA==",
        "memset 0 0",
        "memset 0 0 0",
        "memset 0 0xffffffffffffffff 0",
        "clock_step x",
        "clock_step -1",
        "clock_step 9223372036854775808",
        "clock_step ",
        "clock_set",
        "clock_set x",
        "clock_set 9223372036854775808",
        "irq_intercept_in",
        "irq_intercept_in  ioapic",
        "irq_intercept_out",
        "set_irq_in ioapic unnamed-gpio-in 0",
        "set_irq_in ioapic unnamed-gpio-in -1 1",
        "set_irq_in ioapic unnamed-gpio-in x 1",
        "set_irq_in ioapic unnamed-gpio-in 0 x",
        "set_irq_in ioapic unnamed-gpio-in 0 2147483648",
        "module_load",
        "module_load a",
        "endianness ",
        "a\0b",
        "a\tb",
        " a",
        "a ",
        // QEMU overlooks what is too much; here it is a mistake.
        "inb 1 2",
        "clock_step 1 2",
        "endianness now",
    ] {
        assert!(Command::parse(line.as_bytes()).is_err(), "{line:?}");
    }
    assert_eq!(Command::parse(b"\xff"), Err(ParseError::NotText));
}

#[test]
fn a_mistake_is_named() {
    let message = |line: &str| Command::parse(line.as_bytes()).unwrap_err().to_string();
    assert_eq!(message("outb 1"), "`outb` takes 2 arguments, not 1");
    assert_eq!(
        message("clock_step 1 2"),
        "`clock_step` takes 0 or 1 arguments, not 2"
    );
    assert_eq!(message("inb 0x10000"), "`0x10000` is no port below 0x10000");
    assert_eq!(
        message("memset 0 0 0"),
        "`0` is no length from 1 to 1048576"
    );
    assert_eq!(
        message("write 0 4 0x01"),
        "the bytes of the block are misspelled, or not 4 of them"
    );
}

#[test]
fn values_are_cut_to_their_width() {
    assert_spelled(
        &Command::Out {
            width: PortWidth::B,
            port: 1,
            value: 0x1ff,
        },
        "outb 0x1 0xff",
    );
    assert_spelled(
        &Command::Write {
            width: Width::L,
            addr: 1,
            value: u64::MAX,
        },
        "writel 0x1 0xffffffff",
    );
}

#[test]
fn a_long_block_is_shown_by_its_beginning() {
    let bytes: Vec<u8> = (0..200).collect();
    assert_eq!(
        write_block(0x1000, &bytes, Encoding::Base64).to_string(),
        "b64write 0x1000 0xc8 0x000102030405060708090a0b0c0d0e0f…"
    );
}

#[test]
fn lengths_and_times_have_ends() {
    assert_eq!(Length::new(0), None);
    assert_eq!(Length::new(Length::MAX + 1), None);
    assert!(Length::try_from(usize::MAX).is_err());
    assert!(Data::new(&[]).is_err());
    assert!(Data::try_from(vec![0; Length::MAX as usize + 1]).is_err());
    assert!(Data::try_from(vec![0; Length::MAX as usize]).is_ok());
    assert_eq!(Nanos::new(1 << 63), None);
    assert_eq!(Nanos::new((1 << 63) - 1), Some(Nanos::MAX));
}
