//! `jig minimise` on bugs that are planted in the embedded machine: among hundreds of operations that have nothing to do with them, those
//! are found that do.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use testjig_trace::{Trace, Verdict};

fn jig(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_jig"))
        .env_remove("CARGO")
        .args(words)
        .output()
        .expect("jig")
}

/// Operations that mean nothing to the bugs, drawn from a seed.
fn noise(count: usize, seed: u32, text: &mut String) {
    let mut state = seed;
    for _ in 0..count {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let number = state >> 8;
        let _ = match number % 5 {
            0 => writeln!(
                text,
                "writel {:#x} {number:#x}  # noise",
                0x20_0000 + number % 4096 * 4
            ),
            1 => writeln!(text, "inb 0x71"),
            2 => writeln!(
                text,
                "write {:#x} 0x4 0x{number:08x}",
                0x30_0000 + number % 4096
            ),
            3 => writeln!(text, "readb {:#x} -> 0x0 & 0x0", 0x10_0000 + number % 4096),
            _ => writeln!(text, "memset 0x400000 0x40 {:#x}", number % 256),
        };
    }
}

/// A session in which these operations are far apart.
fn session(operations: &[&str], path: &Path) {
    noisy("machine: pc\nmemory: 64M\n", operations, 60, path);
}

/// A session for x86_64 with so much noise before, between and behind the operations.
fn noisy(header: &str, operations: &[&str], each: usize, path: &Path) {
    let mut text = format!("qtr 1\ntitle: noise\narch: x86_64\n{header}\n");
    for (index, operation) in operations.iter().enumerate() {
        noise(each, index as u32 + 1, &mut text);
        text.push_str(operation);
        text.push('\n');
    }
    noise(each, 99, &mut text);
    fs::write(path, text).unwrap();
}

#[test]
fn what_a_bug_needs_is_found_and_nothing_else() {
    // What sets each off, and how many operations that takes.
    let bugs: [(&str, &[&str], &str); 4] = [
        ("crash", &["outb 0x80 0x55"], "signal 11"),
        ("assertion", &["outb 0x80 0x55"], "signal 6: plant.rs"),
        ("hang", &["outb 0x80 0x55"], "hang"),
        (
            "wrong-bit",
            &["outb 0x70 0x41", "outb 0x71 0xff", "inb 0x71 -> 0xff"],
            "replied differently",
        ),
    ];
    for (plant, operations, signature) in bugs {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("noisy.qtr");
        session(operations, &file);
        let output = jig(&[
            "minimise",
            "--vmm",
            "embedded",
            "--plant",
            plant,
            file.to_str().unwrap(),
        ]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{plant}: {said}");
        assert!(
            said.contains(signature) && said.contains("confirmed 20 of 20 times"),
            "{plant}: {said}"
        );
        let short = file.with_extension("min.qtr");
        let trace = Trace::read(&short).unwrap();
        assert_eq!(trace.operations(), operations.len(), "{plant}: {trace}");
        assert_eq!(trace.header.memory, None, "{plant}: {trace}");
        if operations.len() == 1 {
            assert!(
                trace.to_string().contains("outb 0x80 0x0\n"),
                "{plant}: {trace}"
            );
        }
        assert!(!file.with_extension("min.partial").exists(), "{plant}");
        // It still shows the bug, and shows none where none is.
        let replayed = |plants: &[&str]| {
            let mut words = vec!["replay", "--vmm", "embedded"];
            words.extend(plants.iter().flat_map(|name| ["--plant", name]));
            words.push(short.to_str().unwrap());
            jig(&words).status.code()
        };
        assert_eq!(
            (replayed(&[plant]), replayed(&[])),
            (Some(1), Some(0)),
            "{plant}: {trace}"
        );
    }
}

#[test]
fn what_was_written_before_a_wrong_answer_stays_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("values.qtr");
    session(
        &["outb 0x70 0xc1", "outb 0x71 0x5b", "inb 0x71 -> 0x5b"],
        &file,
    );
    let words = ["minimise", "--vmm", "embedded", "--plant", "wrong-bit"];
    let output = jig(&[&words[..], &[file.to_str().unwrap()]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let trace = Trace::read(&file.with_extension("min.qtr")).unwrap();
    // With other values another answer would be right.
    let text = trace.to_string();
    assert!(
        text.contains("\noutb 0x70 0xc1\noutb 0x71 0x5b\ninb 0x71 -> 0x5b\n"),
        "{text}"
    );
}

#[test]
fn without_a_bug_there_is_nothing_to_minimise() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("fine.qtr");
    session(&["outb 0x80 0x55"], &file);
    let output = jig(&["minimise", "--vmm", "embedded", file.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("nothing to minimise: the session survived"),
        "{said}"
    );
    assert!(!file.with_extension("min.qtr").exists());
}

#[test]
fn what_had_no_time_is_taken_up_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("slow.qtr");
    session(&["outb 0x80 0x55"], &file);
    let words = [
        "minimise", "--vmm", "embedded", "--plant", "hang", "--jobs", "1",
    ];
    let run = |more: &[&str]| {
        let output = jig(&[&words[..], more, &[file.to_str().unwrap()]].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
    };
    let first = run(&["--budget", "2"]);
    assert!(first.contains("the time was up"), "{first}");
    assert!(file.with_extension("min.partial").exists());
    let second = run(&[]);
    assert!(
        second.contains("going on from") && second.contains("nothing can be taken away"),
        "{second}"
    );
    assert_eq!(
        Trace::read(&file.with_extension("min.qtr"))
            .unwrap()
            .operations(),
        1
    );
}

/// A bug, and a session of a thousand operations of which few set it off.
struct Hidden {
    /// What has it: words for `jig`.
    on: &'static [&'static str],
    header: &'static str,
    operations: &'static [&'static str],
    signature: &'static str,
}

/// On the machine of the project's own.
const EMBEDDED: [Hidden; 2] = [
    Hidden {
        on: &["--vmm", "embedded", "--plant", "wrong-bit"],
        header: "machine: pc\n",
        operations: &["outb 0x70 0x41", "outb 0x71 0xff", "inb 0x71 -> 0xff"],
        signature: "replied differently",
    },
    // fw_cfg: the first three bytes of its signature by DMA; the byte behind them stays what it was.
    Hidden {
        on: &["--vmm", "embedded", "--plant", "dma-off-by-one"],
        header: "machine: pc\n",
        operations: &[
            "write 0x100000 0x10 0x0000000a000000030000000000110000",
            "outl 0x518 0x1000",
            "readb 0x110003 -> 0x0",
        ],
        signature: "replied differently",
    },
];

/// On QEMUs that are packaged.
const PACKAGED: [Hidden; 2] = [
    // AMD IOMMU: a command buffer of a reserved length.
    Hidden {
        on: &["--suite", "sid"],
        header: "machine: q35\nargs: -device amd-iommu\n",
        operations: &[
            "writeq 0xfed80008 0x100000100000000",
            "writew 0xfed80018 0x1005",
            "writew 0xfed82008 0x10",
        ],
        signature: "signal 8",
    },
    // AHCI: a command that transfers, without buffers. Base address, decoding, start, header, FIS, issue.
    Hidden {
        on: &["--suite", "bookworm-backports"],
        header: "machine: pc\nargs: -device ich9-ahci,id=ahci,addr=04.0 -device ide-hd,bus=ahci.0,drive=null0\n\
            args: -blockdev driver=null-co,read-zeroes=on,node-name=null0\n",
        operations: &[
            "outl 0xcf8 0x80002024",
            "outl 0xcfc 0xe0000000",
            "outl 0xcf8 0x80002004",
            "outw 0xcfc 0x7",
            "writel 0xe0000118 0x11",
            "writel 0x8 0x20000",
            "writel 0x20000 0x258027",
            "writel 0xe0000138 0x1",
        ],
        signature: "ide_dma_cb",
    },
];

/// What is left of a thousand operations is what the bug needs; machines are started, none forked.
fn is_found(hidden: &Hidden) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("noisy.qtr");
    let each = (1000 - hidden.operations.len()).div_ceil(hidden.operations.len() + 1);
    noisy(hidden.header, hidden.operations, each, &file);
    let words = [&["minimise", "--no-forks", "--budget", "120"], hidden.on].concat();
    let output = jig(&[&words[..], &[file.to_str().unwrap()]].concat());
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(
        said.contains(hidden.signature) && said.contains("confirmed 20 of 20 times"),
        "{said}"
    );
    let trace = Trace::read(&file.with_extension("min.qtr")).unwrap();
    println!("{said}\n{trace}");
    let (least, left) = (hidden.operations.len(), trace.operations());
    assert!(left <= least + 2, "{left} operations: {trace}");
}

#[test]
fn a_planted_bug_is_found_among_a_thousand_operations() {
    EMBEDDED.iter().for_each(is_found);
}

/// What it took is printed.
#[test]
#[ignore = "fetches two QEMUs besides the usual one and takes a minute: `cargo test -p jig --test minimise -- --ignored`"]
fn a_packaged_bug_is_found_among_a_thousand_operations() {
    PACKAGED.iter().for_each(is_found);
}

/// What a verdict is to the minimiser.
#[test]
fn a_skip_and_a_survivor_have_no_signature() {
    assert_eq!(Verdict::Survived.signature(), None);
    assert_eq!(Verdict::Skipped("no device".to_owned()).signature(), None);
}
