//! Export to the Trace Event Format, which Perfetto and Chrome's `about:tracing` open.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Step, Timeline};

/// Threads of the trace: operations, and one counter an interrupt line.
const OPERATIONS: u32 = 1;

/// A timeline as a trace: one slice an operation, one counter an interrupt line. Times are virtual, as in [`vcd`](super::vcd).
pub fn trace(case: &str, timeline: &Timeline) -> Value {
    let mut events = vec![
        json!({ "ph": "M", "name": "process_name", "pid": 1, "args": { "name": case } }),
        json!({ "ph": "M", "name": "thread_name", "pid": 1, "tid": OPERATIONS, "args": { "name": "operations" } }),
    ];
    let counter = |line: u32, time: u64, level: bool| {
        json!({
            "ph": "C", "pid": 1, "ts": micros(time), "name": format!("irq {line}"), "args": { "level": u8::from(level) },
        })
    };
    events.extend(
        timeline
            .lines()
            .into_iter()
            .map(|line| counter(line, 0, false)),
    );
    let mut begin = 0;
    for (time, step) in timeline.timed() {
        events.push(match step {
            Step::Edge { line, level } => counter(*line, time, *level),
            Step::Op(op) => json!({
                "ph": "X", "pid": 1, "tid": OPERATIONS, "ts": micros(begin), "dur": micros(time - begin),
                "name": op.request,
                "args": { "seq": op.seq, "reply": op.reply, "meaning": op.meaning, "place": op.place },
            }),
        });
        begin = time;
    }
    json!({ "displayTimeUnit": "ns", "traceEvents": events })
}

/// The format counts microseconds, with fractions.
fn micros(nanos: u64) -> f64 {
    Duration::from_nanos(nanos).as_secs_f64() * 1e6
}
