//! What reporters write, read back by somebody else's parser where there is one.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use testjig::report::{
    All, Html, JsonLines, Junit, QemuFacts, Record, Reporter, Start, Tap, Timelines,
};
use testjig::runner::Summary;
use testjig::timeline::{Op, Step, Timeline};
use testjig::verdict::{Evidence, Fact, Outcome, Verdict};
use testjig::vm::Arch;

/// What a reporter wrote, after the reporter is gone.
#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).expect("reports are UTF-8")
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

const PASSES: &str = "rtc::alarm::rings@x86_64/pc/mc146818rtc/bcd-24h";
const FAILS: &str = "rtc::alarm::is_late@x86_64/q35/mc146818rtc";
const KNOWN: &str = "rtc::alarm::is_lost@x86_64/q35/mc146818rtc";
const SKIPPED: &str = "fw_cfg::legacy::declined@x86_64/pc-i440fx-2.5/fw_cfg_io";

fn op(seq: u64, request: &str, reply: Option<&str>, clock: Option<u64>) -> Step {
    Step::Op(Op {
        seq,
        request: request.to_owned(),
        reply: reply.map(str::to_owned),
        meaning: request.contains("0x71").then(|| "rtc.B←0x26".to_owned()),
        place: "suite/src/rtc.rs:14".to_owned(),
        clock,
    })
}

fn timeline() -> Timeline {
    Timeline {
        dropped: 0,
        steps: vec![
            op(0, "outb 0x70 0xb", Some(""), None),
            op(1, "outb 0x71 0x26", Some(""), None),
            op(2, "clock_step 1000", Some("1000"), Some(1000)),
            Step::Edge {
                line: 8,
                level: true,
            },
            op(3, "inb 0x71", None, None),
            Step::Edge {
                line: 8,
                level: false,
            },
        ],
    }
}

/// A run with a case of each kind of verdict, as each reporter is told of it.
fn report(reporter: impl Reporter + 'static) {
    let mut reporter = All(vec![Box::new(reporter)]);
    reporter.start(&Start {
        version: "0.1.0".to_owned(),
        qemus: vec![QemuFacts {
            arch: Arch::X86_64,
            version: "11.1.3".to_owned(),
            summary: "QEMU 11.1.3 for x86_64, named".to_owned(),
        }],
        missing: vec!["no QEMU for arm: it could not\nbe fetched".to_owned()],
        cases: 4,
        jobs: 2,
        rerun: "jig run --exact".to_owned(),
    });
    let mut summary = Summary {
        duration: Duration::from_millis(1500),
        ..Summary::default()
    };
    for (case, outcome) in outcomes() {
        reporter.started(case);
        reporter.finished(case, "suite/src/rtc.rs:14", &outcome);
        summary.outcomes.push((case.to_owned(), outcome));
    }
    reporter.end(&summary);
}

fn outcomes() -> Vec<(&'static str, Outcome)> {
    let failed = Outcome {
        duration: Duration::from_millis(45),
        operations: 4,
        qemu: "11.1.3".to_owned(),
        timeline: Some(timeline()),
        evidence: Some(Evidence {
            place: Some("suite/src/rtc.rs:17".to_owned()),
            message: "irq 8 was # never\nraised </script> & \"so\" on".to_owned(),
            facts: vec![Fact::new("irq 8", "low now")],
            stderr: "qemu: \u{1b}[31mwarning\u{1b}[0m".to_owned(),
            output: "printed \\ by the test".to_owned(),
            log: None,
        }),
        ..Outcome::without_run(Verdict::Fail, "irq 8 was # never")
    };
    let passed = Outcome {
        duration: Duration::from_millis(40),
        ..Outcome::without_run(Verdict::Pass, "")
    };
    vec![
        (PASSES, passed),
        (FAILS, failed.clone()),
        (
            SKIPPED,
            Outcome::without_run(Verdict::Skip, "no machine pc-i440fx-2.5"),
        ),
        (
            KNOWN,
            failed.expected_to_fail("loses it, example.org/#1", "suite/src/rtc.rs:14"),
        ),
    ]
}

#[test]
fn junit_is_read_back_by_a_parser_with_every_case_in_its_suite() {
    let buffer = Buffer::default();
    report(Junit::new(buffer.clone()));

    let junit = quick_junit::Report::deserialize_from_str(&buffer.text()).expect("it is JUnit XML");
    assert_eq!(
        (junit.tests, junit.failures, junit.errors),
        (4, 1, 0),
        "{}",
        buffer.text()
    );
    let root = buffer.text().lines().nth(1).unwrap().to_owned();
    assert_eq!(
        root,
        "<testsuites name=\"testjig\" tests=\"4\" failures=\"1\" errors=\"0\" time=\"1.500\">"
    );
    let names: Vec<_> = junit
        .test_suites
        .iter()
        .map(|suite| suite.name.as_str())
        .collect();
    assert_eq!(names, ["fw_cfg", "rtc"]);
    let known = &junit.test_suites[1].test_cases[2];
    assert!(
        matches!(&known.status, quick_junit::TestCaseStatus::Skipped { message: Some(why), .. } if why.as_str().starts_with("loses it")),
        "{known:?}"
    );
    let failed = &junit.test_suites[1].test_cases[1];
    assert_eq!(failed.name.as_str(), "is_late@x86_64/q35/mc146818rtc");
    assert_eq!(failed.classname.as_deref(), Some("rtc.alarm"));
    assert!(
        buffer.text().contains("jig run --exact"),
        "{}",
        buffer.text()
    );
}

#[test]
fn tap_plans_its_points_and_escapes_what_it_reads() {
    let buffer = Buffer::default();
    report(Tap::new(buffer.clone()));

    let text = buffer.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], ["TAP version 14", "1..4"]);
    assert!(lines.contains(&format!("ok 1 - {PASSES}").as_str()));
    assert!(lines.contains(&format!("not ok 2 - {FAILS}").as_str()));
    assert!(
        lines.contains(&format!("ok 3 - {SKIPPED} # SKIP no machine pc-i440fx-2.5").as_str()),
        "{text}"
    );
    assert!(
        lines.contains(&format!("not ok 4 - {KNOWN} # TODO loses it, example.org/\\#1").as_str()),
        "{text}"
    );
    // The diagnostic is a YAML block: indented lines between its marks.
    let begin = lines.iter().position(|line| *line == "  ---").unwrap();
    let end = lines.iter().position(|line| *line == "  ...").unwrap();
    assert!(
        lines[begin..end].contains(&"  message: \"irq 8 was # never\""),
        "{text}"
    );
    assert!(lines[2..].iter().all(|line| {
        line.starts_with("ok ")
            || line.starts_with("not ok ")
            || line.starts_with("# ")
            || line.starts_with("  ")
    }));
}

#[test]
fn a_record_reads_back_as_what_was_reported() {
    let buffer = Buffer::default();
    report(JsonLines::new(buffer.clone()));

    let text = format!("{}{{\"event\":\"of a later version\"}}\n", buffer.text());
    let record = Record::read(text.as_bytes()).unwrap();
    assert_eq!(record.start.cases, 4);
    assert_eq!(record.duration, Some(Duration::from_millis(1500)));
    let (name, place, outcome) = &record.cases[1];
    assert_eq!(
        (name.as_str(), place.as_str()),
        (FAILS, "suite/src/rtc.rs:14")
    );
    assert_eq!(outcome.verdict, Verdict::Fail);
    assert_eq!(record.cases[3].2.verdict, Verdict::Xfail);
    assert_eq!(outcome.timeline, Some(timeline()));
    assert_eq!(outcome.duration, Duration::from_millis(45));
    assert_eq!(
        outcome.evidence.as_ref().unwrap().output,
        "printed \\ by the test"
    );
}

#[test]
fn a_line_that_is_no_record_is_named() {
    let buffer = Buffer::default();
    report(JsonLines::new(buffer.clone()));
    let text = buffer.text().replacen("{\"event\":\"case\"", "{\"even", 1);

    let error = Record::read(text.as_bytes()).unwrap_err().to_string();

    assert!(error.starts_with("line 2 "), "{error}");
}

#[test]
fn a_vcd_has_each_edge_at_its_virtual_time() {
    let buffer = Buffer::default();
    report(Timelines::vcd(buffer.clone()));

    let text = buffer.text();
    let mut parser = vcd::Parser::new(text.as_bytes());
    let header = parser.parse_header().expect("a VCD header");
    assert_eq!(header.timescale, Some((1, vcd::TimescaleUnit::NS)));
    let irq = header.find_var(&["machine", "irq8"]).expect("a wire").code;
    let mut now = 0;
    let mut edges = Vec::new();
    for command in parser {
        match command.expect("a VCD command") {
            vcd::Command::Timestamp(time) => {
                assert!(time > now || now == 0, "time goes forward");
                now = time;
            }
            vcd::Command::ChangeScalar(id, value) if id == irq => edges.push((now, value)),
            _ => {}
        }
    }
    assert_eq!(
        edges,
        [
            (0, vcd::Value::V0),
            (1000, vcd::Value::V1),
            (1001, vcd::Value::V0)
        ]
    );
}

#[test]
fn a_trace_has_a_slice_an_operation_and_a_counter_a_line() {
    let buffer = Buffer::default();
    report(Timelines::trace(buffer.clone()));

    let trace: serde_json::Value = serde_json::from_str(&buffer.text()).expect("it is JSON");
    let events = trace["traceEvents"].as_array().expect("a list of events");
    let of = |phase: &str| {
        events
            .iter()
            .filter(|event| event["ph"] == phase)
            .collect::<Vec<_>>()
    };
    assert_eq!(of("X").len(), 4);
    assert!(of("X").iter().all(|slice| slice["dur"].as_f64() > Some(0.0)
        && slice["pid"].is_u64()
        && slice["tid"].is_u64()));
    let levels: Vec<_> = of("C")
        .iter()
        .map(|counter| counter["args"]["level"].clone())
        .collect();
    assert_eq!(levels, [0, 1, 0]);
}

#[test]
fn the_page_holds_the_data_and_nothing_ends_its_script_early() {
    let buffer = Buffer::default();
    report(Html::new(buffer.clone()));

    let page = buffer.text();
    assert_eq!(page.matches("</script>").count(), 1);
    assert!(!page.contains("http://") && !page.contains("https://"));
    let data = page
        .split_once("const run = ")
        .and_then(|(_, rest)| rest.split_once(";\n"))
        .expect("the page begins with its data")
        .0;
    let data: serde_json::Value = serde_json::from_str(data).expect("it is JSON");
    assert_eq!(data["cases"].as_array().unwrap().len(), 4);
    assert_eq!(
        data["cases"][1]["timeline"]["steps"]
            .as_array()
            .unwrap()
            .len(),
        6
    );
}
