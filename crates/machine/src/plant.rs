//! Bugs to order: `--plant NAME` makes the machine misbehave in a known way, so that runner, replay and fuzzer can be tested on it.

/// Which bugs are planted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Plant {
    /// Set off by a write to the trigger port.
    pub(crate) at_trigger: Bugs,
    /// `…-sequence`: set off by the right three writes to a register, one after the other.
    pub(crate) after_sequence: Bugs,
    /// `…-chain`: set off by a chain of descriptors in memory.
    pub(crate) behind_chain: Bugs,
    /// `wrong-bit`: the clock's RAM loses bit 3 of every byte whose index is odd.
    pub(crate) wrong_bit: bool,
    /// `lost-interrupt`: every third rising edge of the interrupt lines is lost.
    pub(crate) lost_interrupt: bool,
    /// `dma-off-by-one`: DMA copies one byte more than it was asked for.
    pub(crate) dma_off_by_one: bool,
}

/// What a bug that is set off does.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bugs {
    /// `crash`: the machine ends by SIGSEGV.
    crash: bool,
    /// `assertion`: an assertion fails: SIGABRT, and a message as QEMU's C library prints it.
    assertion: bool,
    /// `hang`: the access is never answered.
    hang: bool,
    /// `memory-growth`: this much memory is kept, in MiB.
    memory_growth: usize,
}

/// The port whose writes set off the bugs that need one: the POST code port, which every firmware writes and no device needs.
pub(crate) const TRIGGER: u16 = 0x80;

/// The names, in the order of the documentation.
pub const PLANTS: [&str; 15] = [
    "crash",
    "assertion",
    "hang",
    "memory-growth",
    "crash-sequence",
    "assertion-sequence",
    "hang-sequence",
    "memory-growth-sequence",
    "crash-chain",
    "assertion-chain",
    "hang-chain",
    "memory-growth-chain",
    "wrong-bit",
    "lost-interrupt",
    "dma-off-by-one",
];

impl Plant {
    /// Plants the bug of a name.
    pub(crate) fn add(&mut self, name: &str) -> Result<(), String> {
        let (kind, bugs, mebibytes) = if let Some(kind) = name.strip_suffix("-sequence") {
            (kind, &mut self.after_sequence, 16)
        } else if let Some(kind) = name.strip_suffix("-chain") {
            (kind, &mut self.behind_chain, 16)
        } else {
            (name, &mut self.at_trigger, 1)
        };
        match (kind, name) {
            ("crash", _) => bugs.crash = true,
            ("assertion", _) => bugs.assertion = true,
            ("hang", _) => bugs.hang = true,
            ("memory-growth", _) => bugs.memory_growth = mebibytes,
            (_, "wrong-bit") => self.wrong_bit = true,
            (_, "lost-interrupt") => self.lost_interrupt = true,
            (_, "dma-off-by-one") => self.dma_off_by_one = true,
            _ => {
                return Err(format!(
                    "there is no planted bug '{name}'; there are {}",
                    PLANTS.join(", ")
                ));
            }
        }
        Ok(())
    }

    /// Whether a bug needs the [device](crate::dev::planted) to be set off.
    pub(crate) fn needs_device(self) -> bool {
        self.after_sequence.is_any() || self.behind_chain.is_any()
    }
}

impl Bugs {
    fn is_any(self) -> bool {
        self.crash || self.assertion || self.hang || self.memory_growth > 0
    }

    /// Does what is planted.
    pub(crate) fn set_off(self, kept: &mut Vec<Vec<u8>>) {
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
        if self.memory_growth > 0 {
            kept.push(vec![0xa5; self.memory_growth << 20]);
        }
        if self.hang {
            loop {
                std::thread::park();
            }
        }
    }
}
