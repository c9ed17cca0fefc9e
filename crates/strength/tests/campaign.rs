//! A campaign in a tree of two source files, whose "device" is a program that says what it does with its arguments.
//!
//! Needs ninja and a C compiler, as QEMU's own build does.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use testjig_strength::{Campaign, Error, Finding, Judgement, Tree};

const DEVICE: &str = "\
int clamp(int value)
{
    int unused = value;
    if (value > 7) {
        value = 7;
    }
    unused = 3;
    return value;
}
";
const MAIN: &str = "\
#include <stdlib.h>
int clamp(int value);
int main(int argc, char **argv) { return clamp(atoi(argv[1])); }
";

/// A source tree with a build, in a directory of its own.
struct Fixture {
    _directory: tempfile::TempDir,
    source: PathBuf,
    build: PathBuf,
}

fn fixture() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let (source, build) = (directory.path().join("src"), directory.path().join("build"));
    fs::create_dir_all(source.join("hw")).unwrap();
    fs::create_dir_all(&build).unwrap();
    fs::write(source.join("hw/clamp.c"), DEVICE).unwrap();
    fs::write(source.join("main.c"), MAIN).unwrap();
    let compile = |file: &str, object: &str| {
        format!("cc -O1 -MD -MF {object}.d -o {object} -c ../src/{file}")
    };
    let objects = [
        ("hw/clamp.c", "d.p/hw_clamp.c.o"),
        ("main.c", "d.p/main.c.o"),
    ];
    let mut ninja = "rule run\n  command = $line\n".to_owned();
    let mut database = Vec::new();
    for (file, object) in objects {
        let line = compile(file, object);
        let _ = write!(
            ninja,
            "build {object}: run ../src/{file}
  line = {line}
"
        );
        database.push(serde_json::json!({
            "directory": build, "file": format!("../src/{file}"), "command": compile(file, object), "output": object,
        }));
    }
    ninja.push_str("build device: run d.p/hw_clamp.c.o d.p/main.c.o\n  line = cc -o device d.p/hw_clamp.c.o d.p/main.c.o\n");
    fs::write(build.join("build.ninja"), ninja).unwrap();
    fs::write(
        build.join("compile_commands.json"),
        serde_json::to_string(&database).unwrap(),
    )
    .unwrap();
    let made = Command::new("ninja")
        .arg("-C")
        .arg(&build)
        .output()
        .expect("ninja is there");
    assert!(made.status.success(), "{made:?}");
    Fixture {
        _directory: directory,
        source,
        build,
    }
}

impl Fixture {
    fn tree(&self) -> Tree {
        Tree::open(&self.source, &self.build, "device").unwrap()
    }

    fn campaign(&self, seed: u64, record: &str) -> Campaign {
        Campaign {
            files: vec!["hw/clamp.c".to_owned()],
            count: 5,
            seed,
            jobs: 2,
            firmware: Vec::new(),
            record: self.build.parent().unwrap().join(record),
            work: self.build.parent().unwrap().join("work"),
        }
    }

    /// Every file of source and build, with its text.
    fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        let mut directories = vec![self.source.clone(), self.build.clone()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                } else {
                    found.insert(path.clone(), fs::read(path).unwrap());
                }
            }
        }
        found
    }
}

/// Tests of what the device does with these values.
fn judge(
    values: &'static [(i32, i32)],
) -> impl Fn(&str, &Path, Duration) -> Result<Judgement, Error> + Sync {
    move |_, binary, _| {
        for (value, expected) in values {
            let got = Command::new(binary)
                .arg(value.to_string())
                .status()
                .unwrap()
                .code();
            if got != Some(*expected) {
                return Ok(Judgement::Red(format!("clamp({value}) is {got:?}")));
            }
        }
        Ok(Judgement::Green)
    }
}

fn changes(findings: &[Finding]) -> Vec<(usize, &str, &str)> {
    findings
        .iter()
        .map(|finding| {
            (
                finding.mutant.line,
                finding.mutant.original.as_str(),
                finding.mutant.replacement.as_str(),
            )
        })
        .collect()
}

#[test]
fn strong_tests_notice_what_weak_ones_do_not_and_the_tree_stays_as_it_was() {
    let fixture = fixture();
    let before = fixture.contents();

    let run = |record, values| {
        fixture
            .campaign(1, record)
            .run(&fixture.tree(), &judge(values), &|_| {})
            .unwrap()
    };
    let strong = run("strong", &[(3, 3), (7, 7), (8, 7), (9, 7)][..]);
    let weak = run("weak", &[(3, 3)][..]);

    assert_eq!(
        changes(&strong),
        changes(&weak),
        "one seed, the same changes"
    );
    let noticed = |findings: &[Finding]| {
        findings
            .iter()
            .filter(|finding| finding.noticed.is_some())
            .count()
    };
    assert!(noticed(&strong) > noticed(&weak), "{strong:?}\n{weak:?}");
    assert!(
        strong
            .iter()
            .all(|finding| finding.mutant.line != 7 && finding.mutant.line != 3),
        "what the compiler sees through is not drawn: {strong:?}"
    );
    assert_eq!(fixture.contents(), before);
}

#[test]
fn another_seed_draws_other_changes() {
    let fixture = fixture();
    let draw = |seed: u64| {
        let mut campaign = fixture.campaign(seed, &format!("seed-{seed}"));
        campaign.count = 2;
        campaign
            .run(&fixture.tree(), &judge(&[(3, 3)]), &|_| {})
            .unwrap()
    };
    let drawn: Vec<_> = (1..6).map(draw).collect();
    assert!(
        drawn
            .iter()
            .any(|other| changes(other) != changes(&drawn[0])),
        "{drawn:?}"
    );
}

#[test]
fn a_campaign_goes_on_where_it_stopped() {
    let fixture = fixture();
    let campaign = fixture.campaign(1, "record");
    let whole = campaign
        .run(&fixture.tree(), &judge(&[(8, 7)]), &|_| {})
        .unwrap();
    let lines = fs::read_to_string(&campaign.record).unwrap();
    let half: Vec<&str> = lines.lines().take(2).collect();
    // The third line was cut off by whatever stopped it.
    fs::write(
        &campaign.record,
        format!("{}\n{{\"mutant\":", half.join("\n")),
    )
    .unwrap();

    let tried = Mutex::new(0);
    let again = campaign
        .run(&fixture.tree(), &judge(&[(8, 7)]), &|progress| {
            if let testjig_strength::Progress::Tried(_) = progress {
                *tried.lock().unwrap() += 1;
            }
        })
        .unwrap();

    assert_eq!(changes(&again), changes(&whole));
    assert_eq!(*tried.lock().unwrap(), whole.len() - 2);
    let thrice = campaign
        .run(&fixture.tree(), &judge(&[(8, 8)]), &|_| {})
        .unwrap();
    assert_eq!(
        changes(&thrice),
        changes(&whole),
        "all is known, nothing is tried"
    );
}

#[test]
fn tests_that_are_not_green_on_the_unchanged_device_judge_nothing() {
    let fixture = fixture();
    let error = fixture
        .campaign(1, "record")
        .run(&fixture.tree(), &judge(&[(8, 8)]), &|_| {})
        .unwrap_err();
    assert!(error.to_string().contains("clamp(8) is Some(7)"), "{error}");
}

#[test]
fn a_file_that_the_target_is_not_made_from_is_named() {
    let fixture = fixture();
    let mut campaign = fixture.campaign(1, "record");
    campaign.files = vec!["hw/other.c".to_owned()];
    let error = campaign
        .run(&fixture.tree(), &judge(&[(8, 7)]), &|_| {})
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("device is not made from hw/other.c"),
        "{error}"
    );
}
