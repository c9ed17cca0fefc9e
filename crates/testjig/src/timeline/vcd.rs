//! Export to Value Change Dump (IEEE 1364-2001 §18), for waveform viewers.

use std::io::{self, Write};

use vcd::{SimulationCommand, TimescaleUnit, Value, VarType};

use super::{Step, Timeline};

/// Writes a timeline as a VCD file: each interrupt line that moved, the number and the text of the operation, and the virtual clock.
///
/// A tick is a nanosecond of virtual time; an operation that does not move the clock takes one tick, so that its place can be seen.
///
/// # Errors
/// Those of the writer.
pub fn vcd(case: &str, timeline: &Timeline, to: impl Write) -> io::Result<()> {
    let mut writer = vcd::Writer::new(to);
    writer.comment(case)?;
    writer.timescale(1, TimescaleUnit::NS)?;
    writer.add_module("machine")?;
    let mut irqs = Vec::new();
    for line in timeline.lines() {
        let id = writer.add_var(VarType::Wire, 1, &format!("irq{line}"), None)?;
        irqs.push((line, id));
    }
    let number = writer.add_var(VarType::Integer, 32, "operation", None)?;
    let text = writer.add_var(VarType::String, 1, "text", None)?;
    let clock = writer.add_var(VarType::Time, 64, "clock", None)?;
    writer.upscope()?;
    writer.enddefinitions()?;
    writer.begin(SimulationCommand::Dumpvars)?;
    for (_, id) in &irqs {
        writer.change_scalar(*id, Value::V0)?;
    }
    writer.change_vector(clock, bits(0, 64))?;
    writer.end()?;
    let mut last = None;
    for (time, step) in timeline.timed() {
        if last != Some(time) {
            writer.timestamp(time)?;
            last = Some(time);
        }
        match step {
            Step::Op(op) => {
                writer.change_vector(number, bits(op.seq, 32))?;
                // A string value ends at white space.
                writer.change_string(text, &op.line().replace(char::is_whitespace, "_"))?;
                if let Some(now) = op.clock {
                    writer.change_vector(clock, bits(now, 64))?;
                }
            }
            Step::Edge { line, level } => {
                for (_, id) in irqs.iter().filter(|(number, _)| number == line) {
                    writer.change_scalar(*id, Value::from(*level))?;
                }
            }
        }
    }
    writer.flush()
}

fn bits(value: u64, width: u32) -> impl Iterator<Item = Value> {
    (0..width)
        .rev()
        .map(move |bit| Value::from(value >> bit & 1 == 1))
}
