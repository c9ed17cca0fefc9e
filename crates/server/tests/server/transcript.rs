//! What a request is answered with, byte by byte. The expected lines are those of QEMU (7.2 to 11.1); `crates/machine` compares again
//! with one that runs.

use std::sync::{Arc, Mutex};

use testjig_server::{Limits, Log, Server, Tag};

use crate::board::Board;

fn answers(requests: &str) -> String {
    answers_of(Server::new(Board::default()), requests)
}

fn answers_of(mut server: Server<Board>, requests: &str) -> String {
    let mut client = server.connect(Limits::default());
    server.receive(&mut client, requests.as_bytes());
    String::from_utf8(client.output().to_vec()).expect("text")
}

#[test]
fn a_port_has_four_digits_or_more() {
    let requests = "outb 0x80 0x12345678\ninb 0x80\ninl 0x80\noutl 0x80 0x12345678\ninb 0x80\ninl 0x80\ninw 0x90\n";
    let expected = "OK\nOK 0x0078\nOK 0x0078\nOK\nOK 0x0078\nOK 0x12345678\nOK 0xffff\n";
    assert_eq!(answers(requests), expected);
}

#[test]
fn memory_has_sixteen_digits() {
    let requests = "writel 0x10 0x12345678\nreadb 0x10\nreadq 0x10\nreadw 0x11\n";
    let expected = "OK\nOK 0x0000000000000078\nOK 0x0000000012345678\nOK 0x0000000000003456\n";
    assert_eq!(answers(requests), expected);
}

#[test]
fn a_scalar_is_in_the_guests_byte_order() {
    let big = Board::big_endian();
    let requests = "endianness\nwritel 0 0x12345678\nread 0 4\nreadw 0\n";
    let expected = "OK big\nOK\nOK 0x12345678\nOK 0x0000000000001234\n";
    assert_eq!(answers_of(Server::new(big), requests), expected);
    assert_eq!(
        answers("endianness\nwritel 0 0x12345678\nread 0 4\n"),
        "OK little\nOK\nOK 0x78563412\n"
    );
}

#[test]
fn blocks_travel_in_hex_and_in_base64() {
    let requests = "write 0x100 3 0x010203\nb64read 0x100 3\nb64write 0x200 2 //8=\nread 0x200 4\nmemset 0x100 2 0xaa\nread 0x100 3\n";
    let expected = "OK\nOK AQID\nOK\nOK 0xffff0000\nOK\nOK 0xaaaa03\n";
    assert_eq!(answers(requests), expected);
}

#[test]
fn the_clock_goes_from_deadline_to_deadline() {
    let requests = "clock_step\nclock_step 5\noutb 0x81 1\nclock_step\nclock_set 1000000\nclock_set 999999\nclock_step 0\n";
    let expected = "FAIL cannot advance clock to the next deadline because there is no pending deadline\nOK 5\nOK\nOK 1000000\n\
                    OK 1000000\nFAIL 1000000\nFAIL could not advance time\n";
    assert_eq!(answers(requests), expected);
}

#[test]
fn a_watched_line_is_told_before_the_reply_and_each_level_once() {
    let requests = "outb 0x82 1\nirq_intercept_in pic\noutb 0x82 1\nirq_intercept_in /machine/pic\noutb 0x81 1\nclock_step 2000000\n";
    let expected = "OK\nIRQ raise 3\nIRQ lower 3\nOK\nIRQ raise 3\nIRQ lower 3\nOK\nOK\nOK\n\
                    IRQ raise 8\nIRQ lower 8\nIRQ raise 8\nIRQ lower 8\nOK 2000000\n";
    assert_eq!(answers(requests), expected);
}

#[test]
fn what_can_not_be_watched_is_refused_in_qemus_words() {
    let requests = "irq_intercept_in nobody\nirq_intercept_in pic list\nirq_intercept_out bare\nirq_intercept_in pic\nirq_intercept_in bare\n";
    let expected = "FAIL Unknown device\nFAIL Interception of named in-GPIOs not yet supported\nFAIL No intercepts installed\nOK\n\
                    FAIL IRQ intercept already enabled\n";
    assert_eq!(answers(requests), expected);
}

#[test]
fn an_input_pin_is_driven() {
    let requests = "irq_intercept_in pic\nset_irq_in pic unnamed-gpio-in 4 1\nset_irq_in pic unnamed-gpio-in 4 -1\nset_irq_in nobody x 0 0\n";
    let expected = "OK\nIRQ raise 4\nOK\nOK\nFAIL Unknown device\n";
    assert_eq!(answers(requests), expected);
}

#[test]
fn an_unknown_command_is_named() {
    assert_eq!(
        answers("frobnicate 1\n inb 0x80\nmodule_load a b\n"),
        "FAIL Unknown command 'frobnicate'\nFAIL Unknown command ''\nFAIL\n"
    );
}

/// QEMU takes these, so the clients that say them are right.
#[test]
fn what_qemu_takes_is_taken() {
    let requests = "outb 0x80 0x5a more words\ninb 0x80 \nmemset 0 0 0\nwrite 0 2 0x\nwrite 0 3 0x0102\nread 0 3\nclock_step -1\nclock_set -5\n";
    let expected = "OK\nOK 0x005a\nOK\nERR invalid argument size\nOK\nOK 0x010200\nFAIL could not advance time\nFAIL 0\n";
    assert_eq!(answers(requests), expected);
}

/// QEMU aborts on each of these.
#[test]
fn what_would_abort_qemu_fails_and_says_why() {
    for request in [
        "",
        "inb",
        "inb x",
        "inb 0x10000",
        "outb 0x80",
        "outb 0x80  1",
        "read 0 0",
        "read 0",
        "readb 0x10000000000000000",
        "set_irq_in pic unnamed-gpio-in 99 1",
        "clock_step x",
        "b64write 0 4 AQID",
        "irq_intercept_in",
        "rtas",
        "csr get_csr 0",
        "\u{fffd}",
    ] {
        let answer = answers(&format!("{request}\nendianness\n"));
        let (first, second) = answer.split_once('\n').expect("two lines");
        assert!(
            first.starts_with("FAIL ") && first.len() > 10,
            "{request}: {first}"
        );
        assert_eq!(second, "OK little\n", "{request}");
    }
}

#[test]
fn a_line_in_pieces_is_one_line() {
    let mut server = Server::new(Board::default());
    let mut client = server.connect(Limits::default());
    for byte in b"outb 0x80 0x77\ninb 0x80\n" {
        server.receive(&mut client, &[*byte]);
    }
    assert_eq!(client.output(), b"OK\nOK 0x0077\n");
}

#[test]
fn a_registered_command_reaches_its_handler() {
    let server =
        Server::new(Board::default()).with_command("hv_latch", |board, words| match words {
            [value] => {
                board.latch = value.parse().map_err(|_| "not a number")?;
                Ok(format!("was told {value}"))
            }
            _ => Err("hv_latch takes one number".into()),
        });
    let expected = "OK was told 9\nFAIL hv_latch takes one number\nFAIL not a number\nOK 0x0009\n";
    assert_eq!(
        answers_of(server, "hv_latch 9\nhv_latch\nhv_latch x\ninb 0x80\n"),
        expected
    );
}

#[test]
fn the_log_has_requests_and_replies() {
    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<String>>>);
    impl Log for Kept {
        fn line(&mut self, tag: Tag, text: &[u8]) {
            let text = String::from_utf8_lossy(text);
            self.0.lock().unwrap().push(format!("{tag:?} {text}"));
        }
    }
    let log = Kept::default();
    let mut server = Server::new(Board::default()).with_log(log.clone());
    let mut client = server.connect(Limits::default());
    server.receive(&mut client, b"irq_intercept_in pic\noutb 0x82 1\n");
    server.disconnect(client);
    let expected = [
        "Opened ",
        "Received irq_intercept_in pic",
        "Sent OK",
        "Received outb 0x82 1",
        "Sent IRQ raise 3",
        "Sent IRQ lower 3",
        "Sent OK",
        "Closed ",
    ];
    assert_eq!(*log.0.lock().unwrap(), expected);
}
