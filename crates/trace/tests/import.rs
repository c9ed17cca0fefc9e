//! Spellings that circulate, each with the session that it means or the error that it is; and texts that mean nothing.
//!
//! `UPDATE=1 cargo test -p testjig-trace --test import` writes what is found over what is expected, to be looked at.

use std::fs;
use std::path::{Path, PathBuf};

use testjig_trace::{Import, Spelling, Target, Trace};
use testjig_vm::Arch;

fn spellings() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/spellings");
    let mut files: Vec<PathBuf> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "in"))
        .collect();
    files.sort();
    files
}

/// For texts that name neither.
fn import() -> Import {
    Import {
        arch: Some(Arch::X86_64),
        machine: None,
    }
}

#[test]
fn each_spelling_is_its_session() {
    let files = spellings();
    assert!(files.len() >= 45, "{}", files.len());
    let mut wrong = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let is_error = path
            .file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("error-");
        let (got, extension) = match import().read(&text) {
            Ok((trace, _)) => (trace.to_string(), "qtr"),
            Err(error) => (format!("{error}\n"), "err"),
        };
        let golden = path.with_extension(extension);
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&golden, &got).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        if got != expected || is_error != (extension == "err") {
            wrong.push(format!("{}:\n{got}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_exported_reads_back() {
    let text = "qtr 1\ntitle: a thing\narch: x86_64\nmachine: q35,usb=off\nmemory: 64M\nargs: -device 'e1000,netdev=n'\nargs: -netdev \
                'hubport,hubid=0,id=n'\n\noutl 0xcf8 0x80002010\nwrite 0x100 0x5 0x00ff22410a\nmemset 0x0 0x10 0x7\nclock_step 7\nreadl 0x100\n";
    let trace: Trace = text.parse().unwrap();
    for (target, spelling) in [(Target::Heredoc, Spelling::Shell), (Target::C, Spelling::C)] {
        let exported = trace.export(target);
        let (back, found) = import()
            .read(&exported)
            .unwrap_or_else(|error| panic!("{error}\n{exported}"));
        assert_eq!(found, spelling, "{exported}");
        assert_eq!(back.steps, trace.steps, "{exported}");
        assert_eq!(back.header.args, trace.header.args, "{exported}");
        assert_eq!(
            back.header.machine_options, trace.header.machine_options,
            "{exported}"
        );
        assert_eq!(back.header.memory, trace.header.memory, "{exported}");
    }
    let rust = trace.export(Target::Rust);
    for part in [
        "fn a_thing(vm: &Vm)",
        "vm.outl(0xcf8, 0x80002010);",
        ".arg(\"e1000,netdev=n\")",
        "on = Q35",
    ] {
        assert!(rust.contains(part), "{rust}");
    }
}

/// A million texts, made from the spellings by what breaks parsers: bytes changed, parts left out, repeated and put together.
#[test]
fn no_text_makes_the_reader_panic() {
    const TEXTS: usize = 1_000_000;
    let seeds: Vec<String> = spellings()
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let odd = [
        "<<",
        "EOF",
        "|",
        "\\",
        "\"",
        "'",
        "(",
        ")",
        "{",
        "#",
        "->",
        "=3D",
        "=\n",
        "> ",
        "[R +1] ",
        "[S +1] ",
        "0x",
        "\u{a0}",
        "ß",
        "\0",
        "qtest_",
        "/*",
        "*/",
        "qtr 1\n",
        "\n\n",
        "-device",
        "99999999999999999999",
        ",",
        "=",
    ];
    let mut rng = fastrand::Rng::with_seed(1);
    let import = import();
    let mut understood = 0;
    for _ in 0..TEXTS {
        let mut text = pick(&mut rng, &seeds);
        for _ in 0..rng.usize(1..4) {
            let at = boundary(&text, rng.usize(..=text.len()));
            match rng.u8(..4) {
                0 => text.insert_str(at, odd[rng.usize(..odd.len())]),
                1 => {
                    let end = boundary(&text, (at + rng.usize(..20)).min(text.len()));
                    text.replace_range(at..end.max(at), "");
                }
                2 => text.truncate(at),
                _ => {
                    let end = boundary(&text, (at + rng.usize(..20)).min(text.len()));
                    let part = text[at..end.max(at)].to_owned();
                    text.push_str(&part);
                }
            }
        }
        understood += usize::from(import.read(&text).is_ok());
    }
    // Both ways are taken often.
    assert!(
        understood > TEXTS / 50 && understood < TEXTS,
        "{understood}"
    );
}

/// A part of some spelling: short, for there are many.
fn pick(rng: &mut fastrand::Rng, seeds: &[String]) -> String {
    let seed = &seeds[rng.usize(..seeds.len())];
    let lines: Vec<&str> = seed.lines().take(6).collect();
    lines.join("\n")
}

fn boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
