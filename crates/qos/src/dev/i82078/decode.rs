//! Decoding of the controller's operations for the failure report.

use std::collections::BTreeMap;

use testjig_qtest::Entry;

use super::regs::{Ccr, Dir, Dor, Dsr, Msr, Reg, Srb, St0, St1, St2, St3, Tdr, set};
use crate::describe::{Access, Describe, Space, Transfer};

/// Follows the FIFO through the phases of each command, and so knows which byte is what.
#[derive(Debug)]
pub struct Decoder {
    space: Space,
    base: u64,
    seen: BTreeMap<(Reg, bool), String>,
    /// Bytes of the command, from its first on.
    command: Vec<u8>,
    /// Bytes read since the last one that was written.
    results: Vec<u8>,
    /// The last main status register that was read.
    msr: Option<Msr>,
}

impl Decoder {
    /// For the controller at `port` and the seven ports above it.
    pub fn ports(port: u16) -> Self {
        Self::new(Space::Port, port.into())
    }

    /// For the controller in memory, from the guest-physical address `base` on.
    pub fn memory(base: u64) -> Self {
        Self::new(Space::Memory, base)
    }

    fn new(space: Space, base: u64) -> Self {
        Self {
            space,
            base,
            seen: BTreeMap::new(),
            command: Vec::new(),
            results: Vec::new(),
            msr: None,
        }
    }

    fn register(&mut self, reg: Reg, transfer: Transfer) -> String {
        let (written, value) = match transfer {
            Transfer::Write(value) => (true, value as u8),
            Transfer::Read(Some(value)) => (false, value as u8),
            Transfer::Read(None) => return format!("fdc.{}→no answer", name(reg, false)),
        };
        if reg == Reg::Fifo {
            return self.fifo(written, value);
        }
        if (reg, written) == (Reg::MsrDsr, false) {
            self.msr = Some(value.into());
        }
        if reg == Reg::Dor && written && !Dor::from(value).not_reset() {
            self.command.clear();
            self.results.clear();
        }
        let text = fields(reg, written, value);
        self.seen.insert((reg, written), text.clone());
        let arrow = if written { '←' } else { '→' };
        format!("fdc.{}{arrow}{text}", name(reg, written))
    }

    fn fifo(&mut self, written: bool, value: u8) -> String {
        if written {
            return self.written(value);
        }
        // A result phase is told apart from data by the main status register, which every driver reads between the two.
        if self.msr.is_some_and(|msr| msr.non_dma()) {
            return format!("fdc.data→{value:#04x}");
        }
        self.results.push(value);
        format!("fdc.result→{}", self.result(value))
    }

    fn written(&mut self, value: u8) -> String {
        if self.msr.is_some_and(|msr| msr.non_dma()) && self.results.is_empty() {
            return format!("fdc.data←{value:#04x}");
        }
        let begins = !self.results.is_empty()
            || self.command.is_empty()
            || self.command.len() >= length(self.command[0])
            || self.msr.is_some_and(|msr| msr == Msr::IDLE);
        if begins {
            self.command.clear();
            self.results.clear();
        }
        self.command.push(value);
        // What a driver has read before this byte says nothing about the next one.
        self.msr = None;
        if begins {
            format!("fdc.command←{value:#04x} ({})", title(value))
        } else {
            format!("fdc.parameter←{value:#04x}")
        }
    }

    /// A result byte by its place in the result of the command that was written.
    fn result(&self, value: u8) -> String {
        let Some(&code) = self.command.first() else {
            return format!("{value:#04x}");
        };
        let fields = match (title(code), self.results.len()) {
            ("sense_drive_status", 1) => format!("{:?}", St3::from(value)),
            ("sense_interrupt_status" | "invalid", 1) => format!("{:?}", St0::from(value)),
            ("sense_interrupt_status", 2) => format!("PCN={value}"),
            (title, nth) if transfers(title) => match nth {
                1 => format!("{:?}", St0::from(value)),
                2 => format!("{:?}", St1::from(value)),
                3 => format!("{:?}", St2::from(value)),
                4 => format!("C={value}"),
                5 => format!("H={value}"),
                6 => format!("R={value}"),
                _ => format!("N={value}"),
            },
            _ => return format!("{value:#04x}"),
        };
        format!("{value:#04x} {fields}")
    }
}

impl Describe for Decoder {
    fn name(&self) -> &'static str {
        "fdc"
    }

    fn observe(&mut self, entry: &Entry) -> Option<String> {
        let access = Access::of(entry)?;
        if access.space != self.space {
            return None;
        }
        let reg = match access.address.checked_sub(self.base)? {
            0 => Reg::Sra,
            1 => Reg::Srb,
            2 => Reg::Dor,
            3 => Reg::Tdr,
            4 => Reg::MsrDsr,
            5 => Reg::Fifo,
            7 => Reg::DirCcr,
            _ => return None,
        };
        Some(self.register(reg, access.transfer))
    }

    fn state(&self) -> Vec<String> {
        let mut state: Vec<String> = self
            .seen
            .iter()
            .map(|(&(reg, written), text)| format!("{}={text}", name(reg, written)))
            .collect();
        if let Some(&code) = self.command.first() {
            state.push(format!(
                "command={} {:02x?} result={:02x?}",
                title(code),
                self.command,
                self.results
            ));
        }
        state
    }
}

fn name(reg: Reg, written: bool) -> &'static str {
    match (reg, written) {
        (Reg::Sra, _) => "SRA",
        (Reg::Srb, _) => "SRB",
        (Reg::Dor, _) => "DOR",
        (Reg::Tdr, _) => "TDR",
        (Reg::MsrDsr, false) => "MSR",
        (Reg::MsrDsr, true) => "DSR",
        (Reg::Fifo, _) => "FIFO",
        (Reg::DirCcr, false) => "DIR",
        (Reg::DirCcr, true) => "CCR",
    }
}

fn fields(reg: Reg, written: bool, value: u8) -> String {
    let text = match (reg, written) {
        (Reg::Srb, _) => {
            let srb = Srb::from(value);
            let flags = [
                (srb.drive_select0(), "drive_select0"),
                (srb.motor1(), "motor1"),
                (srb.motor0(), "motor0"),
            ];
            set(flags)
        }
        (Reg::Dor, _) => {
            let dor = Dor::from(value);
            let flags = [
                (dor.motor3(), "motor3"),
                (dor.motor2(), "motor2"),
                (dor.motor1(), "motor1"),
                (dor.motor0(), "motor0"),
                (dor.dma_gate(), "dma_gate"),
                (!dor.not_reset(), "reset"),
            ];
            format!("{} drive={}", set(flags), dor.drive())
        }
        (Reg::Tdr, _) => format!("boot={}", Tdr::from(value).boot()),
        (Reg::MsrDsr, false) => set(Msr::from(value).flags()),
        (Reg::MsrDsr, true) => {
            let dsr = Dsr::from(value);
            let flags = [(dsr.reset(), "reset"), (dsr.power_down(), "power_down")];
            format!("{} rate={:?}", set(flags), dsr.rate())
        }
        (Reg::DirCcr, false) => set([(Dir::from(value).disk_changed(), "disk_changed")]),
        (Reg::DirCcr, true) => format!("rate={:?}", Ccr::from(value).rate()),
        (Reg::Sra | Reg::Fifo, _) => return format!("{value:#04x}"),
    };
    format!("{value:#04x} {{{}}}", text.trim_start())
}

/// The command that a first byte begins.
fn title(code: u8) -> &'static str {
    match code {
        0x03 => "specify",
        0x04 => "sense_drive_status",
        0x07 => "recalibrate",
        0x08 => "sense_interrupt_status",
        0x0e => "dumpreg",
        0x0f => "seek",
        0x10 => "version",
        0x12 => "perpendicular_mode",
        0x13 => "configure",
        0x14 | 0x94 => "lock",
        0x17 => "powerdown_mode",
        0x18 => "part_id",
        0x2e => "save",
        0x33 => "option",
        0x4e => "restore",
        0x8e => "drive_specification",
        0x8f | 0xcf => "relative_seek",
        _ => match code & 0x1f {
            0x02 if code & 0xa0 == 0 => "read_track",
            0x05 => "write",
            0x06 => "read",
            0x09 => "write_deleted",
            0x0a if code & 0xa0 == 0 => "read_id",
            0x0c => "read_deleted",
            0x0d if code & 0xa0 == 0 => "format_track",
            0x11 => "scan_equal",
            0x16 => "verify",
            0x19 => "scan_low_or_equal",
            0x1d => "scan_high_or_equal",
            _ => "invalid",
        },
    }
}

/// Bytes of the command phase.
fn length(code: u8) -> usize {
    match title(code) {
        "read" | "write" | "read_deleted" | "write_deleted" | "read_track" | "verify"
        | "scan_equal" | "scan_low_or_equal" | "scan_high_or_equal" => 9,
        "restore" => 16,
        "format_track" => 6,
        "configure" => 4,
        "specify" | "seek" | "relative_seek" => 3,
        "drive_specification" => usize::MAX,
        "recalibrate" | "sense_drive_status" | "perpendicular_mode" | "powerdown_mode"
        | "option" | "read_id" => 2,
        _ => 1,
    }
}

/// Whether a command ends with ST0, ST1, ST2, C, H, R and N.
fn transfers(title: &str) -> bool {
    matches!(title, "read_id" | "format_track") || title.starts_with("scan") || {
        let verbs = ["read", "write", "verify"];
        verbs.iter().any(|verb| title.starts_with(verb))
    }
}

#[cfg(test)]
mod tests {
    use std::panic::Location;

    use testjig_qtest::{Command, PortWidth, Reply};

    use super::*;

    fn entry(command: Command, reply: Reply) -> Entry {
        Entry {
            seq: 0,
            command,
            reply: Some(reply),
            elided: 0,
            location: Location::caller(),
        }
    }

    fn out(port: u16, value: u32) -> Entry {
        let width = PortWidth::B;
        entry(Command::Out { width, port, value }, Reply::Done)
    }

    fn input(port: u16, value: u64) -> Entry {
        let width = PortWidth::B;
        entry(Command::In { width, port }, Reply::Value(value))
    }

    fn texts(entries: &[Entry]) -> Vec<String> {
        let mut decoder = Decoder::ports(0x3f0);
        entries.iter().filter_map(|e| decoder.observe(e)).collect()
    }

    #[test]
    fn a_command_is_told_by_name_and_its_result_by_field() {
        let texts = texts(&[
            input(0x3f4, 0x80),
            out(0x3f5, 0x08),
            input(0x3f4, 0xd0),
            input(0x3f5, 0x20),
            input(0x3f5, 0x07),
        ]);
        assert_eq!(texts[0], "fdc.MSR→0x80 {rqm}");
        assert_eq!(texts[1], "fdc.command←0x08 (sense_interrupt_status)");
        assert_eq!(texts[2], "fdc.MSR→0xd0 {rqm, dio, cmd_bsy}");
        assert!(texts[3].starts_with("fdc.result→0x20 St0"), "{}", texts[3]);
        assert_eq!(texts[4], "fdc.result→0x07 PCN=7");
    }

    #[test]
    fn parameters_follow_their_command() {
        let texts = texts(&[
            out(0x3f5, 0x0f),
            out(0x3f5, 0),
            out(0x3f5, 9),
            out(0x3f5, 8),
        ]);
        assert_eq!(
            texts,
            [
                "fdc.command←0x0f (seek)",
                "fdc.parameter←0x00",
                "fdc.parameter←0x09",
                "fdc.command←0x08 (sense_interrupt_status)"
            ]
        );
    }

    #[test]
    fn data_without_dma_is_no_result() {
        let mut entries = vec![input(0x3f4, 0x80)];
        entries.extend([0x46, 0, 0, 0, 1, 2, 1, 0x1b, 0xff].map(|byte| out(0x3f5, byte)));
        entries.extend([input(0x3f4, 0xf0), input(0x3f5, 0x55)]);
        entries.extend([input(0x3f4, 0xd0), input(0x3f5, 0), input(0x3f5, 0x80)]);
        let texts = texts(&entries);
        assert_eq!(texts[11], "fdc.data→0x55");
        assert_eq!(texts[14], "fdc.result→0x80 St1 {end_of_cylinder}");
    }

    #[test]
    fn registers_are_told_by_their_fields() {
        assert_eq!(
            texts(&[out(0x3f2, 0x1d), out(0x3f7, 2), input(0x3f7, 0x80)]),
            [
                "fdc.DOR←0x1d {motor0, dma_gate drive=1}",
                "fdc.CCR←0x02 {rate=Kbps250}",
                "fdc.DIR→0x80 {disk_changed}"
            ]
        );
    }

    #[test]
    fn other_ports_are_not_the_controllers() {
        assert_eq!(texts(&[out(0x3f6, 1), out(0x3ef, 1)]), [""; 0]);
    }

    #[test]
    fn state_shows_registers_and_the_last_command() {
        let mut decoder = Decoder::ports(0x3f0);
        for entry in [out(0x3f2, 0x0c), out(0x3f5, 0x10), input(0x3f5, 0x90)] {
            decoder.observe(&entry);
        }
        assert_eq!(
            decoder.state(),
            [
                "DOR=0x0c {dma_gate drive=0}",
                "command=version [10] result=[90]"
            ]
        );
    }
}
