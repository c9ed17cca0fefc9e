//! A guest that does what no guest should: no panic, no hang, no memory without bound.
//!
//! `TESTJIG_HOSTILE_INPUTS` says how many operations; 100,000 unless set.

use std::fmt::Write;
use std::time::Instant;

use testjig_qtest::Transport;

/// xorshift64: the same operations every time.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn roll(&mut self, sides: usize) -> usize {
        (self.next() % sides as u64) as usize
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.roll(all.len())]
    }

    /// A number that a device may misunderstand.
    fn value(&mut self) -> u64 {
        match self.roll(6) {
            0 => self.one_of(&[0, 1, 0x7f, 0x80, 0xff, 0xffff, 0xffff_ffff, u64::MAX]),
            1 => 1 << self.roll(64),
            2 => u64::MAX << self.roll(64),
            3 => self.next() & 0xff,
            4 => self.next() & 0xffff_ffff,
            _ => self.next(),
        }
    }

    /// Where a device is, mostly: DMA controller, PICs, PIT, clock, disks, floppy, fw_cfg, PCI configuration, reset, bus master.
    fn port(&mut self) -> u64 {
        let base = self.one_of(&[
            0, 0x20, 0x40, 0x60, 0x70, 0x80, 0x92, 0xa0, 0xc0, 0x170, 0x1f0, 0x370, 0x3f0, 0x4d0,
            0x510, 0xb000, 0xc000, 0xcf8, 0xffff,
        ]);
        (base + self.next() % 16).min(0xffff)
    }

    /// DRAM and its ends, the segments below 1 MiB, the hole below 4 GiB, and the end of the address space.
    fn address(&mut self) -> u64 {
        let base = self.one_of(&[
            0,
            0x9_fff8,
            0xa_0000,
            0xc_0000,
            0xf_fff0,
            0x10_0000,
            0xff_fff0,
            0x100_0000,
            0xe000_0000,
            0xfebf_0000,
            0xfec0_0000,
            0xfee0_0000,
            0xffff_0000,
            0xffff_fff8,
            1 << 32,
            u64::MAX - 15,
        ]);
        base.saturating_add(self.next() % 16)
    }

    fn operation(&mut self, lines: &mut String) {
        let width = self.one_of(&["b", "w", "l"]);
        let wide = self.one_of(&["b", "w", "l", "q"]);
        let _ = match self.roll(16) {
            0..5 => writeln!(lines, "out{width} {:#x} {:#x}", self.port(), self.value()),
            5..7 => writeln!(lines, "in{width} {:#x}", self.port()),
            7 => {
                let register = 0x8000_0000 | (self.next() & 0xffff);
                let (value, port) = (self.value() as u32, 0xcfc + self.next() % 4);
                writeln!(
                    lines,
                    "outl 0xcf8 {register:#x}\nout{width} {port:#x} {value:#x}"
                )
            }
            8 => writeln!(
                lines,
                "write{wide} {:#x} {:#x}",
                self.address(),
                self.value()
            ),
            9 => writeln!(lines, "read{wide} {:#x}", self.address()),
            10 => {
                let len = self.one_of(&[1_u64, 7, 512, 4096, 0x2_0000]);
                writeln!(
                    lines,
                    "memset {:#x} {len} {:#x}",
                    self.address(),
                    self.next() & 0xff
                )
            }
            11 => {
                let len = 1 + self.next() % 64;
                writeln!(lines, "read {:#x} {len}", self.address())
            }
            12 => writeln!(lines, "clock_step {}", self.next() % 1_000_000),
            13 => writeln!(lines, "clock_step"),
            14 => {
                let controller = self.one_of(&["ioapic", "isa-i8259"]);
                let (line, level) = (self.roll(30), self.roll(3));
                writeln!(
                    lines,
                    "set_irq_in {controller} unnamed-gpio-in {line} {level}"
                )
            }
            // Structures for DMA: what was written last may point at what is written now.
            _ => {
                let at = self.address() & !7;
                let (low, high) = (self.value() & 0xffff_ffff, self.address());
                writeln!(
                    lines,
                    "writel {at:#x} {low:#x}\nwriteq {:#x} {high:#x}",
                    at.wrapping_add(4)
                )
            }
        };
    }
}

fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("this process");
    let pages = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok());
    pages.expect("a number") * 4096
}

#[test]
fn no_guest_makes_the_machine_panic_hang_or_grow() {
    let count = std::env::var("TESTJIG_HOSTILE_INPUTS")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(100_000);
    let words = [
        "-machine",
        "pc",
        "-m",
        "16M",
        "-nodefaults",
        "-blockdev",
        "driver=null-co,node-name=hd,size=1048576",
        "-device",
        "ide-hd,drive=hd,bus=ide.0",
        "-blockdev",
        "driver=null-co,node-name=fd,size=1474560",
        "-device",
        "floppy,drive=fd",
    ];
    let mut machine = testjig_machine::InProcess::new(words).expect("a machine");
    let mut dice = Dice(0x7e57_1195_eed5_eed5);
    let mut input = vec![0; 1 << 20];
    let mut start = None;
    let mut done = 0;
    while done < count {
        let mut lines = String::new();
        for _ in 0..50 {
            dice.operation(&mut lines);
        }
        let mut out = lines.as_bytes();
        let mut answered = 0;
        let asked = lines.lines().count();
        // Interrupt lines are not intercepted: each line that comes is an answer.
        while answered < asked {
            let moved = machine
                .exchange(out, &mut input, Instant::now())
                .expect("a transport");
            assert!(
                moved.written + moved.read > 0,
                "{answered} answers, and nothing more, to\n{lines}"
            );
            out = &out[moved.written..];
            let read = String::from_utf8_lossy(&input[..moved.read]);
            answered += read.matches('\n').count();
        }
        done += 50;
        // What DRAM and buffers take is there after the first ten thousand.
        if done % 10_000 == 0 {
            let now = resident();
            let start = *start.get_or_insert(now);
            assert!(
                now < start + (64 << 20),
                "{start} bytes grew to {now} in {done} operations"
            );
        }
    }
}
