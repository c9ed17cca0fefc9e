//! Where a PC has its firmware: the last 128 KiB below 4 GiB, and again below 1 MiB. No CPU runs it, so it is as short as one can be: it
//! begins where a processor begins, jumps, and halts.

use crate::board::{Board, Device, Range};

const SIZE: u64 = 128 << 10;
const BELOW_4G: u64 = (4 << 30) - SIZE;
const BELOW_1M: u64 = (1 << 20) - SIZE;
/// Where a processor begins, 16 bytes before the end: `jmp f000:fff8`, then `hlt` and `jmp` back to it.
const START: u64 = SIZE - 16;
const CODE: [u8; 11] = [
    0xea, 0xf8, 0xff, 0x00, 0xf0, 0x90, 0x90, 0x90, 0xf4, 0xeb, 0xfd,
];

pub(crate) struct Rom;

impl Device for Rom {
    fn name(&self) -> &'static str {
        "rom"
    }

    fn memory(&self) -> Vec<Range> {
        vec![Range::new(BELOW_4G, SIZE, 0), Range::new(BELOW_1M, SIZE, 0)]
    }

    fn memory_read(&mut self, _: &mut Board, _: u8, offset: u64, data: &mut [u8]) {
        for (at, byte) in (offset..).zip(data) {
            let code = at.checked_sub(START).map(|at| at as usize);
            *byte = code.and_then(|at| CODE.get(at)).copied().unwrap_or(0);
        }
    }
}
