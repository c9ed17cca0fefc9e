//! The HTML report in a browser: what a person sees of a run with five thousand cases, and of one that failed.
//!
//! Needs a Chromium on `PATH`. Without one the tests say so and do nothing, unless `TESTJIG_BROWSER_TESTS=required`.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use serde_json::json;

/// The name of the browser, if there is one.
fn browser() -> Option<&'static str> {
    let found = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok());
    if found.is_none() {
        let required =
            std::env::var_os("TESTJIG_BROWSER_TESTS").is_some_and(|value| value == "required");
        assert!(!required, "there is no Chromium on PATH");
        println!("SKIP: there is no Chromium on PATH");
    }
    found
}

/// The document as it is after its scripts ran.
fn rendered(browser: &str, page: &Path, fragment: &str) -> String {
    let profile = tempfile::tempdir().unwrap();
    let output = Command::new("timeout")
        .arg("60")
        .arg(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("file://{}#{fragment}", page.display()))
        .output()
        .expect("the browser starts");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("a document is UTF-8")
}

/// A record of `cases` cases on two machines, of which number 7 failed.
fn page_of(cases: usize, directory: &Path) -> std::path::PathBuf {
    let mut record = json!({
        "event": "start", "version": "0.1.0", "qemus": [], "cases": cases, "jobs": 2, "rerun": "jig run --exact",
    })
    .to_string();
    for nr in 0..cases {
        let machine = ["pc", "q35"][nr % 2];
        let case = if nr == 7 {
            json!({
                "event": "case", "name": format!("rtc::case_{nr}@x86_64/{machine}/mc146818rtc"), "place": "rtc.rs:1", "verdict": "FAIL",
                "reason": "irq 8 was <never> raised", "seconds": 0.05, "launch_seconds": 0.04, "operations": 2,
                "evidence": { "place": "rtc.rs:2", "message": "irq 8 was <never> raised", "facts": [], "stderr": "", "output": "", "log": null },
                "timeline": { "dropped": 0, "steps": [
                    { "op": { "seq": 0, "request": "outb 0x70 0xb", "reply": "", "meaning": "rtc.index←B", "place": "rtc.rs:1" } },
                    { "edge": { "line": 8, "level": true } },
                    { "op": { "seq": 1, "request": "clock_step", "reply": "5000", "place": "rtc.rs:2", "clock": 5000 } },
                ] },
            })
        } else {
            json!({
                "event": "case", "name": format!("rtc::case_{nr}@x86_64/{machine}/mc146818rtc"), "place": "rtc.rs:1", "verdict": "PASS",
                "seconds": 0.05, "launch_seconds": 0.04, "operations": 2,
            })
        };
        let _ = write!(record, "\n{case}");
    }
    let _ = write!(
        record,
        "\n{}\n",
        json!({ "event": "end", "seconds": 60.0, "interrupted": false, "counts": {} })
    );
    let file = directory.join("run.jsonl");
    std::fs::write(&file, record).unwrap();
    let page = directory.join("run.html");
    let status = Command::new(env!("CARGO_BIN_EXE_jig"))
        .arg("merge")
        .arg(&file)
        .arg("--html")
        .arg(&page)
        .output()
        .expect("jig starts")
        .status;
    assert_eq!(status.code(), Some(1), "a failed case makes it red");
    page
}

#[test]
fn the_failure_is_open_with_its_report_and_timeline() {
    let Some(browser) = browser() else { return };
    let directory = tempfile::tempdir().unwrap();
    let document = rendered(browser, &page_of(10, directory.path()), "");

    assert!(
        document.contains("irq 8 was &lt;never&gt; raised"),
        "the reason, as text"
    );
    assert!(
        document.contains("jig run --exact 'rtc::case_7@x86_64/q35/mc146818rtc'"),
        "how to run it again"
    );
    assert!(document.contains("rtc.index←B"), "the decoded operation");
    assert!(
        document.contains(">irq 8</text>"),
        "a lane of the interrupt line"
    );
    assert!(document.contains("5.000 µs"), "the virtual clock");
    assert_eq!(document.matches("<tr class=\"case\"").count(), 10);
}

#[test]
fn five_thousand_cases_have_their_matrix_and_the_first_of_their_rows() {
    let Some(browser) = browser() else { return };
    let directory = tempfile::tempdir().unwrap();
    let document = rendered(browser, &page_of(5000, directory.path()), "");

    assert!(document.contains("5000 cases in 1 min 0 s"));
    assert!(
        document.contains("title=\"2500 PASS\""),
        "the cell of one machine"
    );
    assert!(
        document.contains("title=\"2499 PASS, 1 FAIL\""),
        "and of the other"
    );
    assert_eq!(document.matches("<tr class=\"case\"").count(), 200);
}

#[test]
fn a_link_opens_its_case() {
    let Some(browser) = browser() else { return };
    let directory = tempfile::tempdir().unwrap();
    let name = "rtc::case_3@x86_64/q35/mc146818rtc";
    let document = rendered(browser, &page_of(10, directory.path()), name);

    assert_eq!(document.matches("<tr class=\"case\"").count(), 1);
    assert!(
        document.contains("Run with --timelines"),
        "its detail is open"
    );
}
