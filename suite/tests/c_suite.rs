//! `c-suite.tsv`, the table of what checks what QEMU's C tests check, names tests that there are.

use std::collections::BTreeSet;

use testjig::case::Cases;
use testjig_suite as _;

const TABLE: &str = include_str!("../c-suite.tsv");

/// A line: the C case, our tests, the remark if there is one.
fn lines() -> impl Iterator<Item = Vec<&'static str>> {
    TABLE.lines().skip(1).map(|line| line.split('\t').collect())
}

/// Each name is a test and a machine that it has a case on: `rtc::reset::a_reset_keeps_a_byte@x86_64/pc`.
#[test]
fn every_test_is_registered_on_its_machine() {
    let cases = Cases::collect().cases;
    let known: BTreeSet<String> = cases
        .iter()
        .filter_map(|case| {
            let (test, path) = case.name.split_once('@')?;
            let mut parts = path.split('/');
            Some(format!("{test}@{}/{}", parts.next()?, parts.next()?))
        })
        .collect();
    let unknown: Vec<&str> = lines()
        .flat_map(|line| line[1].split(' '))
        .filter(|&name| name != "-" && !known.contains(name))
        .collect();
    assert!(unknown.is_empty(), "no such cases: {unknown:#?}");
}

/// Each C case has one line, grouped by binary, and a reason where no test of ours checks as much.
#[test]
fn every_line_says_what_checks_a_case_or_why_nothing_does() {
    let cases: Vec<&str> = lines().map(|line| line[0]).collect();
    let distinct: BTreeSet<&str> = cases.iter().copied().collect();
    assert_eq!(distinct.len(), cases.len());
    assert!(cases.is_sorted_by_key(|case| case.split(' ').next()));
    for line in lines() {
        assert!((2..=3).contains(&line.len()), "{line:?}");
        let reason = line.get(2).is_some_and(|remark| !remark.is_empty());
        assert!(line[1] != "-" || reason, "{line:?}");
    }
}
