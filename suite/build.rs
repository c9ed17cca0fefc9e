//! Makes a table of the known bugs in `regressions`, one for each architecture.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

fn main() {
    let directory = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo says where it is"))
        .join("../regressions");
    println!("cargo::rerun-if-changed={}", directory.display());
    let mut tables: BTreeMap<&str, Vec<(String, PathBuf)>> = BTreeMap::new();
    tables.insert("x86_64", Vec::new());
    tables.insert("aarch64", Vec::new());
    for entry in fs::read_dir(&directory).expect("the directory of known bugs") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "qtr") {
            continue;
        }
        println!("cargo::rerun-if-changed={}", path.display());
        let text = fs::read_to_string(&path).expect("a session");
        let arch = text
            .lines()
            .find_map(|line| line.strip_prefix("arch: "))
            .expect("an architecture");
        let table = tables
            .get_mut(arch)
            .unwrap_or_else(|| panic!("no test runs sessions of {arch}: {}", path.display()));
        let name = path.file_stem().expect("a name").to_string_lossy();
        table.push((name.into_owned(), path));
    }
    let mut code = String::new();
    for (arch, mut bugs) in tables {
        bugs.sort();
        let name = arch.to_uppercase();
        let _ = writeln!(code, "const {name}: [Bug; {}] = [", bugs.len());
        for (name, path) in bugs {
            let path = path.canonicalize().expect("a path");
            let path = path.to_str().expect("a path of text");
            let _ = writeln!(
                code,
                "    Bug {{ name: {name:?}, text: include_str!({path:?}) }},"
            );
        }
        let _ = writeln!(code, "];");
    }
    let to =
        PathBuf::from(env::var("OUT_DIR").expect("cargo says where to")).join("regressions.rs");
    fs::write(to, code).expect("the table");
}
