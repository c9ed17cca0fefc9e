//! Making a finding's input short.

use std::time::Instant;

use testjig_vm::LaunchError;

use crate::input::{Input, Op, Value};
use crate::machines::Machines;

/// The input without operations that `is_enough` is true without: ever smaller runs are left out.
pub(crate) fn leave_out<E>(
    input: Input,
    mut is_enough: impl FnMut(&Input) -> Result<bool, E>,
) -> Result<Input, E> {
    let mut best = input;
    let mut run = best.ops.len().div_ceil(2);
    while run > 0 {
        let mut at = 0;
        let mut is_shorter = false;
        while at < best.ops.len() {
            let mut candidate = best.clone();
            candidate.ops.drain(at..best.ops.len().min(at + run));
            if is_enough(&candidate)? {
                best = candidate;
                is_shorter = true;
            } else {
                at += run;
            }
        }
        if !is_shorter || run > best.ops.len() {
            run /= 2;
        }
    }
    Ok(best)
}

/// The shortest input that ends like this one, as far as it is found until `end`: operations are left out, in ever smaller runs, then
/// values become 0 and blocks short.
pub(crate) fn minimise(
    machines: &mut Machines<'_>,
    input: Input,
    signature: &str,
    end: Instant,
) -> Result<Input, LaunchError> {
    let mut ends_so = |candidate: &Input| -> Result<bool, LaunchError> {
        Ok(Instant::now() < end
            && machines.run(candidate)?.0.signature().as_deref() == Some(signature))
    };
    let mut best = leave_out(input, &mut ends_so)?;
    for at in 0..best.ops.len() {
        let simpler = match &best.ops[at] {
            Op::Write(place, size, value) if *value != Value::Number(0) => {
                Op::Write(*place, *size, Value::Number(0))
            }
            Op::Store(offset, size, value) if *value != Value::Number(0) => {
                Op::Store(*offset, *size, Value::Number(0))
            }
            Op::Reads(place, size, _) => Op::Read(*place, *size),
            Op::Writes(place, size, numbers) if !numbers.is_empty() => {
                let last = Value::Number(numbers[numbers.len() - 1]);
                Op::Write(*place, *size, last)
            }
            Op::Fill(offset, bytes) => Op::Fill(*offset, vec![0; bytes.len()]),
            _ => continue,
        };
        let mut candidate = best.clone();
        candidate.ops[at] = simpler;
        if ends_so(&candidate)? {
            best = candidate;
        }
    }
    Ok(best)
}
