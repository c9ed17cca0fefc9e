//! [`Input`]: what is done to a device, as typed operations that can be mutated.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};
use testjig_qtest::{Command, Data, Encoding, Length, Nanos, PortWidth, Width};
use testjig_trace::Action;

use crate::target::{Region, Space, Target};

/// How much of the target's [`scratch`](Target::scratch) memory is used by inputs that are made up, in bytes. Recordings use more.
pub(crate) const SCRATCH: u32 = 0x1_0000;
/// The furthest that the clock is moved at once, in nanoseconds: 10 s. Timers that fire often make more take long, which is no bug.
const FURTHEST: u64 = 10_000_000_000;
/// The most operations of an input, unless the one that it was made from has more.
pub(crate) const MOST: usize = 400;
/// The most operations that an input becomes on the wire: more would take as long as a machine that hangs.
pub(crate) const MOST_COMMANDS: usize = 10_000;
/// The most bytes that are set at once.
pub(crate) const LONGEST: u32 = 0x10_0000;

/// Operations, carried out one after the other on a machine that is as it was built.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Input {
    /// On which machine: 0 for the target's own, then its [others](Target::others).
    #[serde(default)]
    pub on: usize,
    /// In order.
    pub ops: Vec<Op>,
}

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Op {
    /// Reads a register.
    Read(Place, Size),
    /// Writes a register.
    Write(Place, Size, Value),
    /// Reads a register so many times.
    Reads(Place, Size, u16),
    /// Writes numbers to a register, one after the other: commands of several bytes, data.
    Writes(Place, Size, Vec<u64>),
    /// Writes to guest memory, at this distance in the scratch memory.
    Store(u32, Size, Value),
    /// Writes a block to guest memory, at this distance in the scratch memory.
    Fill(u32, Vec<u8>),
    /// Sets guest memory, at this distance in the scratch memory, to a byte: so many, 1 MiB at most.
    Set(u32, u32, u8),
    /// Moves the virtual clock by nanoseconds, 10 s at most.
    Step(u64),
    /// Moves the virtual clock to the next timer.
    Next,
    /// Waits until the machine has done what it does in its own time, a tenth of a second at most.
    Wait,
    /// Drives an input line of the target: its index, and the level.
    Line(u16, bool),
    /// Resets the machine, as by its button. What is done before each input is done again.
    Reset,
    /// Asks the device to go, and agrees for the guest, if its bus is one that devices are plugged into.
    Unplug,
    /// Plugs it in again. What is done before each input is done again.
    Plug,
}

/// Where a register is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Place {
    /// In a region of the target: its index, and the distance in bytes.
    Region(u16, u32),
    /// In the device's PCI configuration space.
    Config(u8),
    /// A port of another device, which a recording used.
    Port(u16),
    /// An address of another device, which a recording used.
    Memory(u64),
}

/// How wide an access is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Size {
    /// 1 byte.
    B,
    /// 2 bytes.
    W,
    /// 4 bytes.
    L,
    /// 8 bytes; at a port, 4.
    Q,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Value {
    /// A number, of which as many bits count as the access is wide.
    Number(u64),
    /// The address of scratch memory at this distance.
    Address(u32),
    /// The number of the 4 KiB page of scratch memory at this distance.
    Page(u32),
}

impl From<Width> for Size {
    fn from(width: Width) -> Self {
        match width {
            Width::B => Self::B,
            Width::W => Self::W,
            Width::L => Self::L,
            Width::Q => Self::Q,
        }
    }
}

impl Size {
    pub(crate) const ALL: [Self; 4] = [Self::B, Self::W, Self::L, Self::Q];

    pub(crate) fn bytes(self) -> u32 {
        match self {
            Self::B => 1,
            Self::W => 2,
            Self::L => 4,
            Self::Q => 8,
        }
    }

    fn width(self) -> Width {
        match self {
            Self::B => Width::B,
            Self::W => Width::W,
            Self::L => Width::L,
            Self::Q => Width::Q,
        }
    }

    fn port_width(self) -> PortWidth {
        match self {
            Self::B => PortWidth::B,
            Self::W => PortWidth::W,
            Self::L | Self::Q => PortWidth::L,
        }
    }
}

impl Value {
    fn number(self, target: &Target) -> u64 {
        match self {
            Self::Number(number) => number,
            Self::Address(offset) => target.address(offset),
            Self::Page(offset) => target.address(offset) >> 12,
        }
    }
}

impl Input {
    /// What is done to the target, in order, as far as its machine answers in time. An operation on something that the target lacks is
    /// left out.
    pub fn actions(&self, target: &Target) -> Vec<Action> {
        let target = target.of(self);
        let mut actions = Vec::with_capacity(self.ops.len());
        for op in &self.ops {
            if actions.len() >= MOST_COMMANDS {
                break;
            }
            match op {
                Op::Reset => actions.push(Action::Reset),
                Op::Wait => actions.push(Action::Settle),
                Op::Unplug => {
                    let id = target.plug.iter().map(|plug| plug.id.clone());
                    actions.extend(id.map(Action::Unplug));
                }
                Op::Plug => {
                    let device = target.plug.iter().map(|plug| plug.device.clone());
                    actions.extend(device.map(Action::Plug));
                }
                _ => {}
            }
            let mut commands = Vec::new();
            op.add(target, &mut commands);
            actions.extend(
                commands
                    .into_iter()
                    .map(|command| Action::Do(command, None)),
            );
        }
        actions.truncate(MOST_COMMANDS);
        actions
    }
}

impl Op {
    /// Whether it is done over the machine's monitor.
    pub(crate) fn needs_monitor(&self) -> bool {
        matches!(self, Self::Reset | Self::Plug | Self::Unplug)
    }

    fn add(&self, target: &Target, commands: &mut Vec<Command>) {
        match self {
            Self::Read(place, size) => access(target, *place, *size, None, commands),
            Self::Write(place, size, value) => {
                access(target, *place, *size, Some(value.number(target)), commands);
            }
            Self::Reads(place, size, count) => {
                for _ in 0..*count {
                    access(target, *place, *size, None, commands);
                }
            }
            Self::Writes(place, size, values) => {
                for value in values {
                    access(target, *place, *size, Some(*value), commands);
                }
            }
            Self::Store(offset, size, value) => commands.push(Command::Write {
                width: size.width(),
                addr: target.address(*offset),
                value: value.number(target),
            }),
            Self::Fill(offset, bytes) => {
                if let Ok(data) = Data::new(bytes) {
                    commands.push(Command::WriteBlock {
                        addr: target.address(*offset),
                        data,
                        encoding: Encoding::default(),
                    });
                }
            }
            Self::Set(offset, len, value) => {
                if let Ok(len) = Length::try_from((*len).min(LONGEST) as usize) {
                    commands.push(Command::Memset {
                        addr: target.address(*offset),
                        len,
                        value: *value,
                    });
                }
            }
            Self::Step(nanoseconds) => {
                if let (true, Some(span)) =
                    (target.has_clock, Nanos::new(FURTHEST.min(*nanoseconds)))
                {
                    commands.push(Command::ClockStep(Some(span)));
                }
            }
            Self::Next if target.has_clock => commands.push(Command::ClockStep(None)),
            Self::Line(index, level) => {
                commands.extend(
                    target
                        .lines
                        .get(usize::from(*index))
                        .and_then(|line| line.driven(*level)),
                );
            }
            Self::Reset => commands.extend(target.prelude.iter().cloned()),
            Self::Plug if target.plug.is_some() => {
                commands.extend(target.prelude.iter().cloned());
            }
            Self::Unplug => {
                let agree = target.plug.iter().flat_map(|plug| &plug.agree);
                commands.extend(agree.cloned());
            }
            Self::Next | Self::Wait | Self::Plug => {}
        }
    }
}

fn access(
    target: &Target,
    place: Place,
    size: Size,
    value: Option<u64>,
    commands: &mut Vec<Command>,
) {
    /// [PCI Local Bus 3.0, 3.2.2.3.2] Configuration mechanism #1.
    const ADDRESS: u16 = 0xcf8;
    const DATA: u16 = 0xcfc;
    match place {
        Place::Region(index, offset) => {
            let Some(Region {
                space, start, len, ..
            }) = target.regions.get(usize::from(index))
            else {
                return;
            };
            let address = start + u64::from(offset) % len;
            commands.push(plain(*space, address, size, value));
        }
        Place::Port(port) => commands.push(plain(Space::Ports, port.into(), size, value)),
        Place::Memory(address) => commands.push(plain(Space::Memory, address, size, value)),
        Place::Config(offset) => {
            let Some(function) = target.function else {
                return;
            };
            commands.push(Command::Out {
                width: PortWidth::L,
                port: ADDRESS,
                value: 0x8000_0000 | u32::from(function) << 8 | u32::from(offset & 0xfc),
            });
            let port = DATA + u16::from(offset & 3);
            let width = size.port_width();
            commands.push(match value {
                None => Command::In { width, port },
                Some(value) => Command::Out {
                    width,
                    port,
                    value: value as u32,
                },
            });
        }
    }
}

fn plain(space: Space, address: u64, size: Size, value: Option<u64>) -> Command {
    match (space, value) {
        (Space::Ports, None) => Command::In {
            width: size.port_width(),
            port: address as u16,
        },
        (Space::Ports, Some(value)) => Command::Out {
            width: size.port_width(),
            port: address as u16,
            value: value as u32,
        },
        (Space::Memory, None) => Command::Read {
            width: size.width(),
            addr: address,
        },
        (Space::Memory, Some(value)) => Command::Write {
            width: size.width(),
            addr: address,
            value,
        },
    }
}

impl libafl::inputs::Input for Input {
    fn to_file<P: AsRef<Path>>(&self, path: P) -> Result<(), libafl::Error> {
        let text = serde_json::to_vec(self)
            .map_err(|error| libafl::Error::serialize(error.to_string()))?;
        // Whole or not at all: whoever ends this process in between leaves no half of a file.
        let path = path.as_ref();
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        fs::write(&part, text)
            .and_then(|()| fs::rename(&part, path))
            .map_err(|error| {
                libafl::Error::os_error(error, format!("failed to write {}", path.display()))
            })
    }

    fn from_file<P: AsRef<Path>>(path: P) -> Result<Self, libafl::Error> {
        let read = || -> io::Result<Self> { Ok(serde_json::from_slice(&fs::read(&path)?)?) };
        read().map_err(|error| libafl::Error::serialize(error.to_string()))
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} operations", self.ops.len())
    }
}
