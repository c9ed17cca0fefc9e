//! [`Reader`]: from the steps of a session to an input for a target.

use testjig_qtest::{Command, PortWidth, Reply, Width};
use testjig_trace::{Action, Step, Trace};

use crate::input::{Input, Op, Place, Size, Value};
use crate::target::{Space, Target};

/// The most operations that are taken over from a recording.
const MOST: usize = 2000;
/// How far from a base address its registers are, at most: in ports, and in memory.
const REACH: (u64, u64) = (0x100, 0x10_0000);

/// [PCI Local Bus 3.0, 3.2.2.3.2] Configuration mechanism #1; [6.2.5] base address registers.
const ADDRESS: u16 = 0xcf8;
const DATA: u16 = 0xcfc;
const BARS: std::ops::Range<u32> = 0x10..0x28;
/// [Intel 82G33 Graphics and Memory Controller Hub, 5.1.16] PCIEXBAR of function 0: bit 0 enables a window of memory in which bus 0's
/// configuration spaces are the first MiB.
const PCIEXBAR: u32 = 0x8000_0060;
const WINDOW: u64 = 0x10_0000;

/// Reads a session that was made on another machine, with the device elsewhere.
pub(crate) struct Reader<'a> {
    target: &'a Target,
    /// Device and function number of the device in the session.
    function: Option<u8>,
    /// What configuration accesses go to.
    config: u32,
    /// Where memory is configuration space; 0 for nowhere.
    window: u64,
    /// The six base address registers, as the session has set them, and as the target has.
    bars: [u32; 6],
    own: [u32; 6],
    /// When it is, in nanoseconds.
    now: u64,
    /// Ranges of memory that are not 0 any more, as far as is known.
    used: Vec<(u64, u64)>,
    ops: Vec<Op>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(target: &'a Target, function: Option<u8>) -> Self {
        Self {
            target,
            function,
            config: 0,
            window: 0,
            bars: [0; 6],
            own: own_bars(target),
            now: 0,
            used: Vec::new(),
            ops: Vec::new(),
        }
    }

    /// For a session that says where it has the device.
    pub(crate) fn of(session: &Trace, target: &'a Target) -> Self {
        let function = session
            .header
            .values("-device")
            .find_map(|device| place(device, &target.types))
            .or(target.function);
        Self::new(target, function)
    }

    pub(crate) fn input(mut self, steps: &[Step]) -> Input {
        for step in steps {
            match &step.action {
                Action::Do(command, expected) => {
                    self.command(command);
                    let reply = expected.as_ref().map(|expected| &expected.reply);
                    if let Some(Reply::Nanos(now)) = reply {
                        self.now = now.get();
                    }
                }
                Action::Until(command, _) => {
                    self.ops.push(Op::Wait);
                    self.command(command);
                }
                Action::Reset => {
                    self.bars = [0; 6];
                    self.ops.push(Op::Reset);
                }
                Action::Settle => self.ops.push(Op::Wait),
                _ => {}
            }
            if self.ops.len() >= MOST {
                break;
            }
        }
        Input {
            on: 0,
            ops: self.ops,
        }
    }

    fn command(&mut self, command: &Command) {
        match command {
            Command::In { width, port } => {
                self.access(Space::Ports, (*port).into(), Width::from(*width), None);
            }
            Command::Out {
                width: PortWidth::L,
                port: ADDRESS,
                value,
            } => self.config = *value,
            Command::Out { width, port, value } => {
                let value = u64::from(*value);
                self.access(
                    Space::Ports,
                    (*port).into(),
                    Width::from(*width),
                    Some(value),
                );
            }
            Command::Read { addr, .. } if self.target.is_memory(*addr) => {}
            Command::Read { width, addr } => self.access(Space::Memory, *addr, *width, None),
            Command::Write { width, addr, value } if self.target.is_memory(*addr) => {
                let size = Size::from(*width);
                self.used.push((*addr, *addr + u64::from(size.bytes())));
                let value = self.value(*value, size);
                let offset = self.target.offset(*addr);
                self.ops.push(Op::Store(offset, size, value));
            }
            Command::Write { width, addr, value } => {
                self.access(Space::Memory, *addr, *width, Some(*value));
            }
            Command::WriteBlock { addr, data, .. } if self.target.is_memory(*addr) => {
                let bytes = data.bytes();
                self.used.push((*addr, *addr + bytes.len() as u64));
                let offset = self.target.offset(*addr);
                self.ops.push(Op::Fill(offset, bytes.to_vec()));
            }
            Command::Memset { addr, len, value } if self.target.is_memory(*addr) => {
                let len = len.get();
                let end = *addr + u64::from(len);
                let is_used = self
                    .used
                    .iter()
                    .any(|(from, to)| *from < end && *addr < *to);
                if *value != 0 || is_used {
                    self.used.push((*addr, end));
                    let offset = self.target.offset(*addr);
                    self.ops.push(Op::Set(offset, len, *value));
                }
            }
            Command::ClockStep(Some(span)) => self.ops.push(Op::Step(span.get())),
            Command::ClockStep(None) => self.ops.push(Op::Next),
            Command::ClockSet(time) => {
                let span = time.get().saturating_sub(self.now);
                self.ops.push(Op::Step(span));
            }
            _ => {}
        }
    }

    fn access(&mut self, space: Space, address: u64, width: Width, value: Option<u64>) {
        let size = Size::from(width);
        let ports = u64::from(DATA)..u64::from(DATA) + 4;
        if space == Space::Ports && ports.contains(&address) {
            self.configuration((address - u64::from(DATA)) as u32, size, value);
            return;
        }
        if space == Space::Memory
            && self.window != 0
            && (self.window..self.window + WINDOW).contains(&address)
        {
            let distance = (address - self.window) as u32;
            // What is beyond 256 bytes has no other way.
            if distance & 0xf00 == 0 {
                self.config = 1 << 31 | distance >> 12 << 8 | distance & 0xfc;
                self.configuration(distance & 3, size, value);
            }
            return;
        }
        let place = self.target.place(space, self.moved(space, address));
        self.push(place, size, value.map(|value| self.value(value, size)));
    }

    /// An access to a configuration space. That of other functions matters only if it is written.
    fn configuration(&mut self, byte: u32, size: Size, value: Option<u64>) {
        let is_its = self.config >> 31 == 1
            && self.config & 0xff_0000 == 0
            && self.function == Some((self.config >> 8) as u8)
            && self.target.function.is_some();
        if !is_its {
            if let (PCIEXBAR, Some(value)) = (self.config, value) {
                self.window = match value & 1 {
                    0 => 0,
                    _ => value & 0xf000_0000,
                };
            }
            if value.is_some() {
                let address = Value::Number(self.config.into());
                self.ops
                    .push(Op::Write(Place::Port(ADDRESS), Size::L, address));
                let place = Place::Port(DATA + byte as u16);
                self.push(place, size, value.map(Value::Number));
            }
            return;
        }
        let register = self.config & 0xfc | byte;
        let value = value.map(|value| {
            let number = value as u32;
            // The size is asked for by ones.
            if !(BARS.contains(&register) && size == Size::L && number != u32::MAX) {
                return value;
            }
            let index = (register - BARS.start) as usize / 4;
            self.bars[index] = number;
            if self.is_upper(index) {
                // A base of 512 GiB has nothing but 0 in its lower half.
                if number != 0 {
                    let lower = Place::Config((register - 4) as u8);
                    let own = Value::Number(self.own[index - 1].into());
                    self.push(lower, size, Some(own));
                }
                return 0;
            }
            let has_upper = self.is_upper(index + 1) && self.bars[index + 1] != 0;
            match self.own[index] {
                own if own != 0 && (number > 1 || has_upper) => own.into(),
                _ => value,
            }
        });
        self.push(
            Place::Config(register as u8),
            size,
            value.map(Value::Number),
        );
    }

    /// Where the target has what the session had at this address.
    fn moved(&self, space: Space, address: u64) -> u64 {
        let reach = match space {
            Space::Ports => REACH.0,
            Space::Memory => REACH.1,
        };
        (0..6)
            .filter(|index| self.own[*index] != 0)
            .filter(|index| is_port(self.own[*index]) == (space == Space::Ports))
            .filter_map(|index| {
                let low = u64::from(self.bars[index]);
                let base = match space {
                    Space::Ports => low & !3,
                    Space::Memory if self.is_upper(index + 1) => {
                        u64::from(self.bars[index + 1]) << 32 | low & !0xf
                    }
                    Space::Memory => low & !0xf,
                };
                let distance = address.checked_sub(base)?;
                (base != 0 && distance < reach)
                    .then_some((distance, u64::from(self.own[index]) + distance))
            })
            .min()
            .map_or(address, |(_, address)| address)
    }

    /// Whether a base address register is the upper half of the one before: the target has nothing above 4 GiB.
    fn is_upper(&self, index: usize) -> bool {
        (1..6).contains(&index)
            && self.own[index] == 0
            && self.own[index - 1] != 0
            && !is_port(self.own[index - 1])
    }

    fn push(&mut self, place: Place, size: Size, value: Option<Value>) {
        let Some(value) = value else {
            match self.ops.last_mut() {
                Some(Op::Read(last, width)) if (*last, *width) == (place, size) => {
                    self.ops.pop();
                    self.ops.push(Op::Reads(place, size, 2));
                }
                Some(Op::Reads(last, width, count))
                    if (*last, *width) == (place, size) && *count < u16::MAX =>
                {
                    *count += 1;
                }
                _ => self.ops.push(Op::Read(place, size)),
            }
            return;
        };
        let Value::Number(number) = value else {
            self.ops.push(Op::Write(place, size, value));
            return;
        };
        match self.ops.last_mut() {
            Some(Op::Write(last, width, Value::Number(first)))
                if (*last, *width) == (place, size) =>
            {
                let numbers = vec![*first, number];
                self.ops.pop();
                self.ops.push(Op::Writes(place, size, numbers));
            }
            Some(Op::Writes(last, width, numbers)) if (*last, *width) == (place, size) => {
                numbers.push(number);
            }
            _ => self.ops.push(Op::Write(place, size, value)),
        }
    }

    /// A number that may be the address of guest memory is one.
    fn value(&self, number: u64, size: Size) -> Value {
        let is_address =
            size.bytes() >= 4 && number >= self.target.scratch && self.target.is_memory(number);
        if is_address {
            Value::Address(self.target.offset(number))
        } else {
            Value::Number(number)
        }
    }
}

/// A base below 64 KiB is one of ports: the target has memory at 3.5 GiB.
fn is_port(base: u32) -> bool {
    base <= 0xffff
}

/// What the prelude writes to base address registers.
fn own_bars(target: &Target) -> [u32; 6] {
    let mut bars = [0; 6];
    let mut register = 0;
    for command in &target.prelude {
        match command {
            Command::Out {
                port: ADDRESS,
                value,
                ..
            } => register = value & 0xff,
            Command::Out {
                port: DATA, value, ..
            } if BARS.contains(&register) => bars[(register - BARS.start) as usize / 4] = *value,
            _ => {}
        }
    }
    bars
}

/// Device and function number in the value of `-device`, if it is of one of these types.
fn place(device: &str, types: &[String]) -> Option<u8> {
    let mut parts = device.split(',');
    let kind = parts.next()?;
    let kind = kind.strip_prefix("driver=").unwrap_or(kind);
    let kind = kind.strip_suffix("-non-transitional").unwrap_or(kind);
    let kind = kind.strip_suffix("-transitional").unwrap_or(kind);
    if !types.iter().any(|known| known == kind) {
        return None;
    }
    let address = parts.find_map(|part| part.strip_prefix("addr="))?;
    let (slot, function) = address.split_once('.').unwrap_or((address, "0"));
    let slot = u8::from_str_radix(slot.trim_start_matches("0x"), 16).ok()?;
    Some(slot << 3 | function.parse::<u8>().ok()? & 7)
}

#[cfg(test)]
pub(crate) mod tests {
    use testjig_vm::{Launch, machine};

    use super::*;
    use crate::target::Region;

    fn region(space: Space, start: u64, len: u64) -> Region {
        Region {
            space,
            start,
            len,
            name: String::new(),
        }
    }

    pub(crate) fn floppy() -> Target {
        Target {
            name: "floppy".to_owned(),
            kind: "isa-fdc".to_owned(),
            others: Vec::new(),
            launch: Launch::new(&machine::PC),
            types: Vec::new(),
            regions: vec![region(Space::Ports, 0x3f1, 5)],
            function: None,
            prelude: Vec::new(),
            scratch: 1 << 20,
            scratch_len: 64 << 20,
            plug: None,
            lines: Vec::new(),
            has_clock: true,
        }
    }

    fn ops(text: &str, target: &Target) -> Vec<Op> {
        let session: Trace = format!("qtr 2\narch: x86_64\nmachine: pc\n{text}")
            .parse()
            .expect("a session");
        Reader::of(&session, target).input(&session.steps).ops
    }

    #[test]
    fn a_session_is_what_it_did_to_registers_memory_and_the_clock() {
        let found = ops(
            "\n\
             outb 0x3f5 0x3\n\
             outb 0x3f5 0x0\n\
             outb 0x3f5 0x0\n\
             inb 0x3f5 -> 0x1\n\
             inb 0x3f5 -> 0x1\n\
             until inb 0x3f4 -> 0x80\n\
             memset 0x300000 0x1000 0x0\n\
             writel 0x301000 0x302008\n\
             memset 0x301000 0x1000 0x0\n\
             readl 0x301000 -> 0x302008\n\
             writew 0xfebf0010 0x1\n\
             write 0x300000 0x2 0xabcd\n\
             clock_step 1000 -> 1000\n\
             clock_step -> 1500\n\
             clock_set 2000 -> 2000\n\
             settle\n\
             reset\n",
            &floppy(),
        );
        assert_eq!(
            found,
            [
                Op::Writes(Place::Region(0, 4), Size::B, vec![3, 0, 0]),
                Op::Reads(Place::Region(0, 4), Size::B, 2),
                Op::Wait,
                Op::Read(Place::Region(0, 3), Size::B),
                Op::Store(0x20_1000, Size::L, Value::Address(0x20_2008)),
                Op::Set(0x20_1000, 0x1000, 0),
                Op::Write(Place::Memory(0xfebf_0010), Size::W, Value::Number(1)),
                Op::Fill(0x20_0000, vec![0xab, 0xcd]),
                Op::Step(1000),
                Op::Next,
                Op::Step(500),
                Op::Wait,
                Op::Reset,
            ]
        );
    }

    fn function() -> Target {
        let out = |port, value| Command::Out {
            width: PortWidth::L,
            port,
            value,
        };
        Target {
            types: vec!["virtio-blk-pci".to_owned()],
            regions: vec![region(Space::Memory, 0xe000_0000, 0x1000)],
            function: Some(5 << 3),
            prelude: vec![
                out(ADDRESS, 0x8000_2820),
                out(DATA, 0xe000_0000),
                out(ADDRESS, 0x8000_2824),
                out(DATA, 0),
            ],
            ..floppy()
        }
    }

    /// The session has the device in slot 4 with its 64-bit base at 0x80_0000_0000, the target in slot 5 at 0xe000_0000.
    #[test]
    fn a_function_is_where_the_target_has_it() {
        let target = function();
        let found = ops(
            "args: -device 'virtio-blk-pci-transitional,id=blk,addr=04.0'\n\
             \n\
             outl 0xcf8 0x80000000\n\
             inw 0xcfc -> 0x8086\n\
             outl 0xcf8 0x80002004\n\
             inw 0xcfe -> 0x10\n\
             outl 0xcf8 0x80002020\n\
             outl 0xcfc 0xffffffff\n\
             outl 0xcfc 0x4\n\
             outl 0xcf8 0x80002024\n\
             outl 0xcfc 0x80\n\
             outl 0xcf8 0x80002020\n\
             outl 0xcfc 0x10000\n\
             writeb 0x8000010014 0x1\n\
             outl 0xcf8 0x80000904\n\
             outw 0xcfc 0x7\n",
            &target,
        );
        let config =
            |register, number| Op::Write(Place::Config(register), Size::L, Value::Number(number));
        assert_eq!(
            found,
            [
                Op::Read(Place::Config(6), Size::W),
                Op::Writes(
                    Place::Config(0x20),
                    Size::L,
                    vec![0xffff_ffff, 0xe000_0000, 0xe000_0000]
                ),
                config(0x24, 0),
                config(0x20, 0xe000_0000),
                Op::Write(Place::Region(0, 0x14), Size::B, Value::Number(1)),
                Op::Write(Place::Port(ADDRESS), Size::L, Value::Number(0x8000_0904)),
                Op::Write(Place::Port(DATA), Size::W, Value::Number(7)),
            ]
        );
    }

    /// The lower half is 0 when it is sized and when the base is 512 GiB.
    #[test]
    fn a_base_is_one_by_its_upper_half_too() {
        let found = ops(
            "args: -device 'virtio-blk-pci,id=blk,addr=04.0'\n\
             \n\
             outl 0xcf8 0x80002020\n\
             outl 0xcfc 0x0\n\
             outl 0xcf8 0x80002024\n\
             outl 0xcfc 0x0\n\
             outl 0xcfc 0x80\n\
             writeb 0x8000000014 0x2\n\
             outl 0xcf8 0x80002020\n\
             outl 0xcfc 0x0\n",
            &function(),
        );
        let config =
            |register, number| Op::Write(Place::Config(register), Size::L, Value::Number(number));
        assert_eq!(
            found,
            [
                config(0x20, 0),
                config(0x24, 0),
                config(0x20, 0xe000_0000),
                config(0x24, 0),
                Op::Write(Place::Region(0, 0x14), Size::B, Value::Number(2)),
                config(0x20, 0xe000_0000),
            ]
        );
    }
}
