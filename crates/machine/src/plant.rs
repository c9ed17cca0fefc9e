//! Bugs to order: `--plant NAME` makes the machine misbehave in a known way, so that runner, replay and fuzzer can be tested on it.

/// Which bugs are planted.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a bug of its own")]
pub(crate) struct Plant {
    /// `crash`: a write to the trigger port ends the machine by SIGSEGV.
    pub(crate) crash: bool,
    /// `assertion`: a write to the trigger port fails an assertion: SIGABRT, and a message as QEMU's C library prints it.
    pub(crate) assertion: bool,
    /// `hang`: a write to the trigger port is never answered.
    pub(crate) hang: bool,
    /// `wrong-bit`: the clock's RAM loses bit 3 of every byte whose index is odd.
    pub(crate) wrong_bit: bool,
    /// `lost-interrupt`: every third rising edge of the interrupt lines is lost.
    pub(crate) lost_interrupt: bool,
    /// `memory-growth`: each write to the trigger port keeps another MiB.
    pub(crate) memory_growth: bool,
    /// `dma-off-by-one`: DMA copies one byte more than it was asked for.
    pub(crate) dma_off_by_one: bool,
}

/// The port whose writes set off the bugs that need one: the POST code port, which every firmware writes and no device needs.
pub(crate) const TRIGGER: u16 = 0x80;

/// The names, in the order of the documentation.
pub const PLANTS: [&str; 7] = [
    "crash",
    "assertion",
    "hang",
    "wrong-bit",
    "lost-interrupt",
    "memory-growth",
    "dma-off-by-one",
];

impl Plant {
    /// Plants the bug of a name.
    pub(crate) fn add(&mut self, name: &str) -> Result<(), String> {
        let flag = match name {
            "crash" => &mut self.crash,
            "assertion" => &mut self.assertion,
            "hang" => &mut self.hang,
            "wrong-bit" => &mut self.wrong_bit,
            "lost-interrupt" => &mut self.lost_interrupt,
            "memory-growth" => &mut self.memory_growth,
            "dma-off-by-one" => &mut self.dma_off_by_one,
            _ => {
                return Err(format!(
                    "there is no planted bug '{name}'; there are {}",
                    PLANTS.join(", ")
                ));
            }
        };
        *flag = true;
        Ok(())
    }

    /// What a write to the trigger port does.
    pub(crate) fn trigger(self, kept: &mut Vec<Vec<u8>>) {
        if self.crash {
            // The first goes to the standard library's handler, which looks for stack overflows and gives up its place.
            for _ in 0..2 {
                let _ = rustix::process::kill_process(
                    rustix::process::getpid(),
                    rustix::process::Signal::SEGV,
                );
            }
        }
        if self.assertion {
            eprintln!("testjig-machine: plant.rs: trigger: Assertion `!planted' failed.");
            std::process::abort();
        }
        if self.memory_growth {
            kept.push(vec![0xa5; 1 << 20]);
        }
        if self.hang {
            loop {
                std::thread::park();
            }
        }
    }
}
