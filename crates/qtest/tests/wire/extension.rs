//! Commands of some machines only, and those of a user's own.

use testjig_qtest::{Arguments, Command, Csr, ErrorKind, Extension, InvalidCall, ParseError, Rtas};

use crate::fake::Fake;

/// Asks for the sum of two numbers.
struct Sum(u64, u64);

impl Extension for Sum {
    const NAME: &'static str = "sum";
    type Reply = u64;

    fn arguments(&self, arguments: &mut Arguments) {
        arguments.hex(self.0).hex(self.1);
    }

    fn decode(&self, reply: &str) -> Option<u64> {
        reply.parse().ok()
    }
}

/// A call with one word, whatever it is.
struct Say<'a>(&'a str);

impl Extension for Say<'_> {
    const NAME: &'static str = "say";
    type Reply = ();

    fn arguments(&self, arguments: &mut Arguments) {
        arguments.word(self.0);
    }

    fn decode(&self, reply: &str) -> Option<()> {
        reply.is_empty().then_some(())
    }
}

#[test]
fn a_call_of_ones_own_is_answered() {
    let mut session = Fake::new(|command, out| {
        assert_eq!(command.to_string(), "sum 0x2 0x28");
        out.extend(b"OK 42\n");
    })
    .session();
    assert_eq!(session.extension(&Sum(2, 40)).unwrap(), 42);
    assert_eq!(
        session.journal().entries().next().unwrap().to_string(),
        "sum 0x2 0x28 → 42"
    );
}

#[test]
fn a_call_may_answer_nothing() {
    Fake::saying(b"OK\n")
        .session()
        .extension(&Say("hello"))
        .unwrap();
}

#[test]
fn a_call_that_the_server_does_not_know_is_refused() {
    let error = Fake::machine()
        .session()
        .extension(&Sum(2, 40))
        .unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::UnknownCommand), "{error}");
    assert_eq!(error.command(), Some("sum 0x2 0x28"));
}

#[test]
fn an_answer_that_makes_no_sense_leaves_the_session_usable() {
    let mut session = Fake::saying(b"OK forty-two\nOK 0x0001\n").session();
    let error = session.extension(&Sum(2, 40)).unwrap_err();
    // The fake said both lines at once; the second was not asked for yet.
    assert!(
        matches!(error.kind(), ErrorKind::UnexpectedReply { .. }),
        "{error}"
    );

    let mut session = Fake::new(|command, out| match command {
        Command::Extension(_) => out.extend(b"OK forty-two\n"),
        _ => out.extend(b"OK 0x0001\n"),
    })
    .session();
    let error = session.extension(&Sum(2, 40)).unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Undecoded { reply } if reply == "forty-two"),
        "{error}"
    );
    assert_eq!(session.inb(0).unwrap(), 1);
}

#[test]
fn a_word_that_is_none_is_not_sent() {
    let mut session = Fake::machine().session();
    for text in ["", "a b", "a\nquit", &"x".repeat(2000)] {
        let error = session.extension(&Say(text)).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Invalid { .. }), "{error}");
    }
    assert_eq!(session.transport().exchanges, 0);
}

macro_rules! named {
    ($type:ident, $name:literal) => {
        struct $type;

        impl Extension for $type {
            const NAME: &'static str = $name;
            type Reply = ();

            fn arguments(&self, _: &mut Arguments) {}

            fn decode(&self, _: &str) -> Option<()> {
                Some(())
            }
        }
    };
}

named!(Common, "outb");
named!(Nameless, "");
named!(BareRtas, "rtas");
named!(BareCsr, "csr");

#[test]
fn a_call_may_not_pretend_to_be_another_command() {
    assert!(matches!(
        Command::extension(&Common),
        Err(InvalidCall::Common { .. })
    ));
    assert!(matches!(
        Command::extension(&Nameless),
        Err(InvalidCall::Word(_))
    ));
    assert!(matches!(
        Command::extension(&BareRtas),
        Err(InvalidCall::Arguments { .. })
    ));
    assert!(matches!(
        Command::extension(&BareCsr),
        Err(InvalidCall::Arguments { .. })
    ));
}

/// Has more arguments than a line holds.
struct Long;

impl Extension for Long {
    const NAME: &'static str = "long";
    type Reply = ();

    fn arguments(&self, arguments: &mut Arguments) {
        for nr in 0..10_000 {
            arguments.hex(nr);
        }
    }

    fn decode(&self, _: &str) -> Option<()> {
        Some(())
    }
}

#[test]
fn a_call_has_a_longest_line() {
    assert!(matches!(
        Command::extension(&Long),
        Err(InvalidCall::TooLong { .. })
    ));
}

#[test]
fn rtas_is_spelled_and_read_as_pseries_does() {
    let call = Rtas::new("get-time-of-day")
        .unwrap()
        .with_arguments(1, 0x1_0000)
        .with_results(8, 0x2_0000);
    let command = Command::extension(&call).unwrap();
    assert_eq!(
        command.to_string(),
        "rtas get-time-of-day 0x1 0x10000 0x8 0x20000"
    );
    assert_eq!(
        Fake::saying(b"OK 0\n").session().extension(&call).unwrap(),
        0
    );
    assert_eq!(
        Fake::saying(b"OK 18446744073709551612\n")
            .session()
            .extension(&call)
            .unwrap(),
        -4
    );
    assert!(
        Fake::saying(b"OK 0x0\n")
            .session()
            .extension(&call)
            .is_err()
    );
    assert!(Rtas::new("get time").is_err());
}

#[test]
fn csr_is_spelled_and_read_as_riscv_machines_do() {
    let mut session = Fake::new(|command, out| {
        out.extend(match command.to_string().as_str() {
            "csr get_csr 0x0 0x300 0x0" => &b"OK 0 a00000000\n"[..],
            "csr set_csr 0x3 0x340 0xfedc" => b"OK 0 fedc\n",
            other => panic!("{other}"),
        });
    })
    .session();
    assert_eq!(
        session.extension(&Csr::get(0, 0x300).unwrap()).unwrap(),
        0xa_0000_0000
    );
    assert_eq!(
        session
            .extension(&Csr::set(3, 0x340, 0xfedc).unwrap())
            .unwrap(),
        0xfedc
    );
    for reply in [
        "OK",
        "OK 0",
        "OK 0 ",
        "OK 1 5",
        "OK 0 +5",
        "OK 0 x",
        "OK 0 10000000000000000",
    ] {
        let mut session = Fake::saying(format!("{reply}\n").as_bytes()).session();
        assert!(
            session.extension(&Csr::get(0, 0x300).unwrap()).is_err(),
            "{reply}"
        );
    }
    assert!(Csr::get(0, 0x1000).is_err());
    assert!(Csr::set(1 << 31, 0, 0).is_err());
}

#[test]
fn lines_on_which_qemu_would_abort_are_no_calls() {
    for line in [
        "rtas",
        "rtas x",
        "rtas x 0 0 8",
        "rtas x y 0 8 0",
        "rtas x 0 y 8 0",
        "rtas x 0 0 8 0 0",
        "rtas x 0x100000000 0 8 0",
        "csr",
        "csr get_csr 0 0x300",
        "csr foo 0 0x300 0",
        "csr get_csr -1 0x300 0",
        "csr get_csr 0 0x1000 0",
        "csr get_csr x 0 0",
        "csr get_csr 0 0x300 x",
    ] {
        assert!(
            matches!(Command::parse(line.as_bytes()), Err(ParseError::Call(_))),
            "{line}"
        );
    }
    assert!(Command::parse(b"rtas x 0 0 8 0x10000").is_ok());
    assert!(Command::parse(b"csr set_csr 0 0xfff 0xffffffffffffffff").is_ok());
}
