//! What may take the place of a part of a session: simpler, of the same kind.

use testjig_qtest::{Command, Data, Length, Nanos, Width};

use crate::session::{Action, Trace};

/// A kind of simplification. The candidates of a pass are numbered; a pass is asked for those from one number on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// Blocks become shorter.
    Lengths,
    /// Runs of bytes of blocks become zero.
    Bytes,
    /// Values become 0, or lose a bit.
    Values,
    /// Steps of the clock become shorter.
    Time,
    /// Accesses become narrower.
    Widths,
    /// Options, properties and disks go.
    Arguments,
}

impl Pass {
    pub(super) const ALL: [Self; 6] = [
        Self::Lengths,
        Self::Bytes,
        Self::Values,
        Self::Time,
        Self::Widths,
        Self::Arguments,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Lengths => "sizes",
            Self::Bytes => "bytes",
            Self::Values => "values",
            Self::Time => "time",
            Self::Widths => "widths",
            Self::Arguments => "arguments",
        }
    }

    /// At most `count` candidates, from number `from` on.
    pub(super) fn candidates(self, of: &Trace, from: usize, count: usize) -> Vec<Trace> {
        if self == Self::Arguments {
            return arguments(of).skip(from).take(count).collect();
        }
        let all = of.steps.iter().enumerate().flat_map(|(at, step)| {
            let commands = match &step.action {
                Action::Do(command, _) => self.simpler(command),
                _ => Vec::new(),
            };
            commands.into_iter().map(move |command| (at, command))
        });
        all.skip(from)
            .take(count)
            .map(|(at, simpler)| {
                let mut candidate = of.clone();
                if let Action::Do(command, _) = &mut candidate.steps[at].action {
                    *command = simpler;
                }
                candidate
            })
            .collect()
    }

    /// The simpler ones of a command, the simplest first.
    fn simpler(self, command: &Command) -> Vec<Command> {
        match self {
            Self::Lengths => shorter(command),
            Self::Bytes => emptier(command),
            Self::Values => values(command),
            Self::Time => sooner(command),
            Self::Widths => narrower(command),
            Self::Arguments => Vec::new(),
        }
    }
}

/// Lengths from one towards this one, which is not among them.
fn lengths(length: usize) -> Vec<usize> {
    let mut lengths = Vec::new();
    let mut cut = length / 2;
    while cut > 0 {
        lengths.push(length - cut);
        cut /= 2;
    }
    if length > 2 {
        lengths.insert(0, 1);
    }
    lengths
}

fn shorter(command: &Command) -> Vec<Command> {
    match command {
        Command::WriteBlock {
            addr,
            data,
            encoding,
        } => lengths(data.bytes().len())
            .into_iter()
            .filter_map(|length| {
                Some(Command::WriteBlock {
                    addr: *addr,
                    data: Data::new(&data.bytes()[..length]).ok()?,
                    encoding: *encoding,
                })
            })
            .collect(),
        Command::ReadBlock {
            addr,
            len,
            encoding,
        } => lengths(len.get() as usize)
            .into_iter()
            .filter_map(|length| {
                Some(Command::ReadBlock {
                    addr: *addr,
                    len: Length::try_from(length).ok()?,
                    encoding: *encoding,
                })
            })
            .collect(),
        Command::Memset { addr, len, value } => lengths(len.get() as usize)
            .into_iter()
            .filter_map(|length| {
                Some(Command::Memset {
                    addr: *addr,
                    len: Length::try_from(length).ok()?,
                    value: *value,
                })
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// Runs of bytes that become zero: the whole, halves, quarters, and so on.
fn emptier(command: &Command) -> Vec<Command> {
    /// More than that are not looked at one by one.
    const SMALL: usize = 256;
    let Command::WriteBlock {
        addr,
        data,
        encoding,
    } = command
    else {
        return Vec::new();
    };
    let bytes = data.bytes();
    let mut simpler = Vec::new();
    let mut run = bytes.len();
    while run > 0 && (run > 1 || bytes.len() <= SMALL) {
        for start in (0..bytes.len()).step_by(run) {
            let end = bytes.len().min(start + run);
            if bytes[start..end].iter().any(|&byte| byte != 0) {
                let mut emptier = bytes.to_vec();
                emptier[start..end].fill(0);
                if let Ok(data) = Data::new(&emptier) {
                    simpler.push(Command::WriteBlock {
                        addr: *addr,
                        data,
                        encoding: *encoding,
                    });
                }
            }
        }
        run /= 2;
    }
    simpler
}

fn values(command: &Command) -> Vec<Command> {
    match *command {
        Command::Out { width, port, value } => fewer_bits(value.into())
            .map(|value| Command::Out {
                width,
                port,
                value: value as u32,
            })
            .collect(),
        Command::Write { width, addr, value } => fewer_bits(value)
            .map(|value| Command::Write { width, addr, value })
            .collect(),
        Command::Memset { addr, len, value } => fewer_bits(value.into())
            .map(|value| Command::Memset {
                addr,
                len,
                value: value as u8,
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// 0, then the value without one of its bits, the highest first.
fn fewer_bits(value: u64) -> impl Iterator<Item = u64> {
    let bits = (0..64).rev().map(|bit| 1_u64 << bit);
    let without = bits
        .filter(move |bit| value & bit != 0 && value != *bit)
        .map(move |bit| value & !bit);
    (value != 0).then_some(0).into_iter().chain(without)
}

fn sooner(command: &Command) -> Vec<Command> {
    let Command::ClockStep(Some(span)) = command else {
        return Vec::new();
    };
    // Whole powers of ten are what people would have written.
    let powers = (0..19).map(|power| 10_u64.pow(power));
    let rounder = powers.filter(|power| *power < span.get());
    let halves = [span.get() / 2, span.get() - span.get() / 4];
    rounder
        .chain(
            halves
                .into_iter()
                .filter(|half| *half > 0 && !is_round(span.get())),
        )
        .filter_map(Nanos::new)
        .filter(|shorter| shorter < span)
        .map(|span| Command::ClockStep(Some(span)))
        .collect()
}

fn is_round(mut number: u64) -> bool {
    while number >= 10 && number % 10 == 0 {
        number /= 10;
    }
    number == 1
}

fn narrower(command: &Command) -> Vec<Command> {
    let widths = |width: Width| {
        [Width::B, Width::W, Width::L]
            .into_iter()
            .filter(move |narrow| *narrow < width)
    };
    match *command {
        Command::Write { width, addr, value } => widths(width)
            .filter(|narrow| value <= narrow.mask())
            .map(|width| Command::Write { width, addr, value })
            .collect(),
        Command::Read { width, addr } => widths(width)
            .map(|width| Command::Read { width, addr })
            .collect(),
        _ => Vec::new(),
    }
}

/// Sessions on a machine of less.
fn arguments(of: &Trace) -> impl Iterator<Item = Trace> + '_ {
    let header = &of.header;
    let disks = (0..header.disks.len()).map(|at| {
        let mut candidate = of.clone();
        candidate.header.disks.remove(at);
        candidate
    });
    let options = (0..header.machine_options.len()).map(|at| {
        let mut candidate = of.clone();
        candidate.header.machine_options.remove(at);
        candidate
    });
    let memory = header.memory.map(|_| {
        let mut candidate = of.clone();
        candidate.header.memory = None;
        candidate
    });
    let devices = header.default_devices.then(|| {
        let mut candidate = of.clone();
        candidate.header.default_devices = false;
        candidate
    });
    // An option with its value.
    let words = header
        .args
        .iter()
        .enumerate()
        .filter(|(_, word)| word.starts_with('-'))
        .map(|(at, _)| {
            let mut candidate = of.clone();
            let has_value = header
                .args
                .get(at + 1)
                .is_some_and(|next| !next.starts_with('-'));
            candidate
                .header
                .args
                .drain(at..=at + usize::from(has_value));
            candidate
        });
    let properties = header.args.iter().enumerate().flat_map(move |(at, word)| {
        let parts = word.split(',').count();
        (1..parts).map(move |part| {
            let mut fewer: Vec<&str> = word.split(',').collect();
            fewer.remove(part);
            let mut candidate = of.clone();
            candidate.header.args[at] = fewer.join(",");
            candidate
        })
    });
    words
        .chain(disks)
        .chain(options)
        .chain(memory)
        .chain(devices)
        .chain(properties)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pass: Pass, line: &str) -> Vec<String> {
        let command = Command::parse(line.as_bytes()).unwrap();
        let simpler = pass.simpler(&command);
        simpler.iter().map(crate::print::wire).collect()
    }

    #[test]
    fn candidates_are_simpler_and_of_the_same_kind() {
        assert_eq!(
            shown(Pass::Values, "outb 0x80 0x85"),
            [
                "outb 0x80 0x0",
                "outb 0x80 0x5",
                "outb 0x80 0x81",
                "outb 0x80 0x84"
            ]
        );
        assert_eq!(shown(Pass::Values, "writel 0x10 0x0"), [""; 0]);
        assert_eq!(
            shown(Pass::Lengths, "memset 0x0 0x8 0x1"),
            [
                "memset 0x0 0x1 0x1",
                "memset 0x0 0x4 0x1",
                "memset 0x0 0x6 0x1",
                "memset 0x0 0x7 0x1"
            ]
        );
        assert_eq!(
            shown(Pass::Bytes, "write 0x0 0x2 0x0102"),
            [
                "write 0x0 0x2 0x0000",
                "write 0x0 0x2 0x0002",
                "write 0x0 0x2 0x0100"
            ]
        );
        assert_eq!(
            shown(Pass::Widths, "writeq 0x8 0x1ff"),
            ["writew 0x8 0x1ff", "writel 0x8 0x1ff"]
        );
        assert_eq!(
            shown(Pass::Time, "clock_step 12"),
            [
                "clock_step 1",
                "clock_step 10",
                "clock_step 6",
                "clock_step 9"
            ]
        );
        assert_eq!(shown(Pass::Time, "clock_step 1"), [""; 0]);
    }

    #[test]
    fn every_part_of_the_machine_may_go() {
        let text = "qtr 1\narch: x86_64\nmachine: pc,usb=off\nmemory: 64M\ndisk: d 1M\nargs: -device e1000,id=n -usb\n\ninb 1\n";
        let trace: Trace = text.parse().unwrap();
        let all: Vec<Trace> = arguments(&trace).collect();
        assert_eq!(all.len(), 6);
        assert_eq!(all[0].header.args, ["-usb"]);
        assert_eq!(all[1].header.args, ["-device", "e1000,id=n"]);
        assert_eq!(all[5].header.args, ["-device", "e1000", "-usb"]);
        assert!(all[2].header.disks.is_empty() && all[4].header.memory.is_none());
    }
}
