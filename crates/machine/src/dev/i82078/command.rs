//! The commands.

use super::{DMA, DMA_GATE, I82078, Phase};
use crate::board::Board;
use crate::disk::SECTOR;

/// A revolution of a disk at 300 a minute, in nanoseconds.
const REVOLUTION: u64 = 200_000_000;

/// [Configure] EIS, implied seeks.
const IMPLIED_SEEK: u8 = 0x40;

/// [ST0] Interrupt code.
const ABNORMAL: u8 = 0x40;
const INVALID: u8 = 0x80;
const SEEK_END: u8 = 0x20;
/// [ST1]
const END_OF_CYLINDER: u8 = 0x80;
const NO_DATA: u8 = 0x04;
const NOT_WRITABLE: u8 = 0x02;
const MISSING_ADDRESS: u8 = 0x01;
/// [ST2]
const SCAN_EQUAL: u8 = 0x08;
const SCAN_NOT: u8 = 0x04;
const CONTROL_MARK: u8 = 0x40;

/// How many parameters follow a command's first byte; `None` if there is no such command.
pub(super) fn parameters(bytes: &[u8]) -> Option<usize> {
    let first = bytes[0];
    Some(match (first, first & 0x1f) {
        (0x08 | 0x0e | 0x10 | 0x14 | 0x94 | 0x18 | 0x2e, _) => 0,
        (0x07 | 0x04 | 0x4a | 0x0a | 0x12 | 0x17 | 0x33, _) => 1,
        (0x0f | 0x8f | 0xcf | 0x03, _) => 2,
        (0x13, _) => 3,
        (0x0d | 0x4d, _) => 5,
        (0x4e, _) => 17,
        // [Drive Specification] up to the byte with DN.
        (0x8e, _) => bytes[1..]
            .iter()
            .position(|byte| byte & 0x80 != 0)
            .map_or(6, |at| at + 1),
        (_, 0x06 | 0x05 | 0x0c | 0x09 | 0x02 | 0x16 | 0x11 | 0x19 | 0x1d) => 8,
        _ => return None,
    })
}

/// A complete command.
pub(super) struct Command(Vec<u8>);

impl Command {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    fn parameter(&self, number: usize) -> u8 {
        self.0.get(number).copied().unwrap_or(0)
    }
}

/// What a transfer does with a sector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Operation {
    #[default]
    Read,
    Write,
    Verify,
    /// [Scan] 0x11 equal, 0x19 low or equal, 0x1d high or equal.
    Scan(u8),
    Format,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Transfer {
    operation: Operation,
    drive: u8,
    cylinder: u8,
    head: u8,
    sector: u8,
    size: u8,
    end: u8,
    multi_track: bool,
    /// [Scan] Whether the last sector was equal, and whether it satisfied the condition.
    equal: bool,
    satisfied: bool,
    /// [ST0, SE]
    seeked: bool,
    /// [Read Deleted Data] What is wanted has the other mark than all sectors here.
    deleted: bool,
    /// [SK] And such a sector is skipped.
    skip: bool,
}

impl I82078 {
    pub(super) fn execute(&mut self, board: &mut Board, command: &Command) {
        let Command(bytes) = command;
        let first = bytes[0];
        match first {
            0x03 => self.settings.specify = [command.parameter(1), command.parameter(2)],
            0x04 => self.sense_drive(command.parameter(1)),
            0x07 => self.seek(board, command.parameter(1) & 3, 0),
            0x08 => self.sense_interrupt(board),
            0x0a | 0x4a => self.read_id(board, command.parameter(1)),
            0x0d | 0x4d => self.format(board, command),
            0x0e => self.dump(),
            0x0f => self.seek(board, command.parameter(1), command.parameter(2)),
            0x10 => self.answer(&[0x90]),
            0x12 => self.perpendicular(command.parameter(1)),
            0x13 => {
                self.settings.configuration = command.parameter(2) & 0x7f;
                self.settings.precompensation = command.parameter(3);
            }
            0x14 | 0x94 => {
                self.settings.locked = first & 0x80 != 0;
                self.answer(&[u8::from(self.settings.locked) << 4]);
            }
            0x17 => self.answer(&[command.parameter(1)]),
            0x18 => self.answer(&[0x41]),
            0x2e => self.save(),
            0x33 => {}
            0x4e => self.restore(&bytes[3..]),
            0x8e => {
                // [Drive Specification] NRP: no result.
                if bytes[bytes.len() - 1] & 0x40 == 0 {
                    self.answer(&[0; 4]);
                }
            }
            0x8f | 0xcf => self.relative_seek(board, first, command),
            _ => match first & 0x1f {
                0x06 | 0x0c | 0x02 => self.begin(board, command, Operation::Read),
                0x05 | 0x09 => self.begin(board, command, Operation::Write),
                0x16 => self.begin(board, command, Operation::Verify),
                kind @ (0x11 | 0x19 | 0x1d) => {
                    self.begin(board, command, Operation::Scan(kind));
                }
                _ => self.answer(&[INVALID]),
            },
        }
    }

    fn sense_drive(&mut self, select: u8) {
        let drive = self.drive(select & 3);
        let protected = drive.as_ref().is_some_and(|drive| drive.is_protected());
        let track0 = drive.is_none_or(|drive| drive.cylinder == 0);
        let st3 = 0x28 | u8::from(protected) << 6 | u8::from(track0) << 4 | select & 7;
        self.answer(&[st3]);
    }

    /// [Sense Interrupt Status] Without an interrupt it is an invalid command.
    fn sense_interrupt(&mut self, board: &mut Board) {
        match self.sensed.pop() {
            Some(st0) => {
                let cylinder = self.cylinders[usize::from(st0 & 3)];
                self.answer(&[st0, cylinder]);
                self.set_interrupt(board, false);
            }
            None => self.answer(&[INVALID]),
        }
    }

    fn seek(&mut self, board: &mut Board, select: u8, cylinder: u8) {
        let number = select & 3;
        if let Some(drive) = self.drive(number) {
            drive.step_to(cylinder);
        }
        self.cylinders[usize::from(number)] = cylinder;
        self.sensed = vec![SEEK_END | select & 7];
        self.set_interrupt(board, true);
    }

    /// [Relative Seek] Inward, or outward.
    fn relative_seek(&mut self, board: &mut Board, first: u8, command: &Command) {
        let (select, steps) = (command.parameter(1), command.parameter(2));
        let from = self.cylinders[usize::from(select & 3)];
        let most = self
            .drive(select & 3)
            .and_then(|drive| drive.format())
            .map_or(u8::MAX, |format| format.cylinders - 1);
        let to = if first & 0x40 != 0 {
            from.saturating_add(steps).min(most)
        } else {
            from.saturating_sub(steps)
        };
        self.seek(board, select, to);
    }

    fn perpendicular(&mut self, value: u8) {
        let kept = self.settings.perpendicular & 0x3c;
        let drives = if value & 0x80 != 0 {
            value & 0x3c
        } else {
            kept
        };
        self.settings.perpendicular = drives | value & 3;
    }

    fn lock_and_perpendicular(&self) -> u8 {
        u8::from(self.settings.locked) << 7 | self.settings.perpendicular & 0x7f
    }

    fn dump(&mut self) {
        let [a, b, c, d] = self.cylinders;
        let [step, load] = self.settings.specify;
        let bytes = [
            a,
            b,
            c,
            d,
            step,
            load,
            self.sectors_now(),
            self.lock_and_perpendicular(),
            self.settings.configuration,
            self.settings.precompensation,
        ];
        self.answer(&bytes);
    }

    /// Sectors of the disk in drive 0's track, or what a format has set.
    fn sectors_now(&mut self) -> u8 {
        if self.formatted != 0 {
            return self.formatted;
        }
        self.drive(0).map_or(0, |drive| drive.sectors())
    }

    fn save(&mut self) {
        let [a, b, c, d] = self.cylinders;
        let [step, load] = self.settings.specify;
        let bytes = [
            0,
            0,
            a,
            b,
            c,
            d,
            step,
            load,
            self.sectors_now(),
            self.lock_and_perpendicular(),
            self.settings.configuration,
            self.settings.precompensation,
            0,
            0,
            0,
        ];
        self.answer(&bytes);
    }

    /// [Restore] What SAVE gave, from its third byte on.
    fn restore(&mut self, state: &[u8]) {
        for (number, cylinder) in (0..).zip(&state[..4]) {
            self.cylinders[usize::from(number)] = *cylinder;
            if let Some(drive) = self.drive(number) {
                drive.cylinder = *cylinder;
            }
        }
        self.settings.specify = [state[4], state[5]];
        self.formatted = state[6];
        self.settings.locked = state[7] & 0x80 != 0;
        self.settings.perpendicular = state[7] & 0x7f;
        self.settings.configuration = state[8];
        self.settings.precompensation = state[9];
    }

    fn read_id(&mut self, board: &mut Board, select: u8) {
        let cylinder = self.cylinders[usize::from(select & 3)];
        self.transfer = Transfer {
            drive: select & 3,
            cylinder,
            head: select >> 2 & 1,
            sector: 1,
            size: 2,
            ..Transfer::default()
        };
        // The disk turns: the next ID comes with the next sector, or what is not there within a revolution.
        let sectors = u64::from(self.natural_sectors().max(1));
        let step = REVOLUTION / sectors;
        let next = board.now / step + 1;
        self.transfer.sector = (next % sectors) as u8 + 1;
        self.turning_until = Some(next * step);
        self.phase = Phase::Turning;
    }

    /// The ID that was waited for has come by.
    pub(super) fn id_has_come(&mut self, board: &mut Board) {
        self.turning_until = None;
        match self.missing() {
            Some(st1) => self.end(board, ABNORMAL, st1, 0),
            None => self.end(board, 0, 0, 0),
        }
    }

    fn format(&mut self, board: &mut Board, command: &Command) {
        let select = command.parameter(1);
        self.transfer = Transfer {
            operation: Operation::Format,
            drive: select & 3,
            head: select >> 2 & 1,
            size: command.parameter(2),
            end: command.parameter(3),
            cylinder: self.cylinders[usize::from(select & 3)],
            sector: 1,
            ..Transfer::default()
        };
        let filler = command.parameter(5);
        let transfer = self.transfer;
        if self
            .drive(transfer.drive)
            .is_some_and(|drive| drive.is_protected())
        {
            return self.end(board, ABNORMAL, NOT_WRITABLE, 0);
        }
        if let Some(st1) = self.missing() {
            return self.end(board, ABNORMAL, st1, 0);
        }
        self.formatted = transfer.end;
        let track = vec![filler; usize::from(transfer.end.min(self.natural_sectors())) * SECTOR];
        let first = self.lba().unwrap_or(0);
        if let Some(disk) = self.drive(transfer.drive).and_then(|drive| drive.disk()) {
            let _ = disk.write(first, &track);
        }
        // The IDs of the sectors come by DMA, four bytes each.
        let mut ids = vec![0; 4 * usize::from(transfer.end)];
        board.dma.transfer(&board.ram, DMA, &mut ids);
        self.end(board, 0, 0, 0);
    }

    fn natural_sectors(&mut self) -> u8 {
        let number = self.transfer.drive;
        self.drive(number).map_or(0, |drive| drive.sectors())
    }

    fn begin(&mut self, board: &mut Board, command: &Command, operation: Operation) {
        let select = command.parameter(1);
        self.transfer = Transfer {
            operation,
            drive: select & 3,
            cylinder: command.parameter(2),
            head: command.parameter(3),
            sector: command.parameter(4),
            size: command.parameter(5),
            end: command.parameter(6),
            multi_track: command.parameter(0) & 0x80 != 0,
            deleted: command.parameter(0) & 0x1f == 0x0c,
            skip: command.parameter(0) & 0x20 != 0,
            ..Transfer::default()
        };
        let Transfer {
            drive: number,
            cylinder,
            ..
        } = self.transfer;
        if let Some(st1) = self.missing() {
            return self.end(board, ABNORMAL, st1, 0);
        }
        if operation == Operation::Write
            && self.drive(number).is_some_and(|drive| drive.is_protected())
        {
            return self.end(board, ABNORMAL, NOT_WRITABLE, 0);
        }
        // Implied seek; its end is told where it was asked for.
        let moved = self.cylinders[usize::from(number)] != cylinder;
        self.transfer.seeked = moved && self.settings.configuration & IMPLIED_SEEK != 0;
        self.cylinders[usize::from(number)] = cylinder;
        if let Some(drive) = self.drive(number) {
            drive.step_to(cylinder);
        }
        match operation {
            Operation::Verify => self.verify(board),
            _ if self.transfer.deleted && self.transfer.skip => {
                while self.advance() && self.missing().is_none() {}
                self.end(board, 0, 0, CONTROL_MARK);
            }
            _ if self.settings.specify[1] & 1 == 0 && self.dor & DMA_GATE != 0 => {
                self.phase = Phase::Dma;
                board.dma.request(DMA, true);
                self.run_dma(board);
            }
            _ => self.load(board),
        }
    }

    /// Why the sector at hand is not there, as ST1 says it.
    fn missing(&mut self) -> Option<u8> {
        let transfer = self.transfer;
        let rate = self.rate;
        let Some(format) = self.drive(transfer.drive).and_then(|drive| drive.format()) else {
            return Some(MISSING_ADDRESS);
        };
        if format.rate != rate {
            return Some(MISSING_ADDRESS);
        }
        if transfer.cylinder >= format.cylinders || transfer.head >= format.heads {
            return Some(NO_DATA);
        }
        let behind = transfer.end != 0 && transfer.sector > transfer.end;
        if transfer.sector > format.sectors || transfer.sector == 0 || behind {
            return Some(END_OF_CYLINDER);
        }
        None
    }

    fn lba(&mut self) -> Option<u64> {
        let transfer = self.transfer;
        let format = self.drive(transfer.drive)?.format()?;
        let track =
            u64::from(transfer.cylinder) * u64::from(format.heads) + u64::from(transfer.head);
        Some(track * u64::from(format.sectors) + u64::from(transfer.sector) - 1)
    }

    /// [Read Data, Result Phase Table] Goes to the next sector; `false` after the last one.
    fn advance(&mut self) -> bool {
        let heads = self
            .drive(self.transfer.drive)
            .and_then(|drive| drive.format())
            .map_or(1, |format| format.heads);
        let transfer = &mut self.transfer;
        if transfer.sector < transfer.end {
            transfer.sector += 1;
            return true;
        }
        transfer.sector = 1;
        if transfer.multi_track && transfer.head == 0 && heads > 1 {
            transfer.head = 1;
            return true;
        }
        if transfer.multi_track {
            transfer.head = 0;
        }
        transfer.cylinder += 1;
        false
    }

    /// Has the sector at hand go through the FIFO.
    fn load(&mut self, board: &mut Board) {
        self.data = vec![0; SECTOR];
        self.at = 0;
        if self.transfer.operation == Operation::Read {
            let lba = self.lba();
            let disk = self
                .drive(self.transfer.drive)
                .and_then(|drive| drive.disk());
            let mut data = vec![0; SECTOR];
            if let (Some(disk), Some(lba)) = (disk, lba) {
                let _ = disk.read(lba, &mut data);
            }
            self.data = data;
            self.phase = Phase::ToHost;
        } else {
            self.phase = Phase::FromHost;
        }
        self.set_interrupt(board, true);
    }

    pub(super) fn sector_is_over(&mut self, board: &mut Board) {
        let data = std::mem::take(&mut self.data);
        if self.transfer.operation != Operation::Read {
            self.store(&data);
        }
        if self.transfer.deleted {
            self.advance();
            return self.end(board, 0, 0, CONTROL_MARK);
        }
        if !self.transfer.satisfied && self.advance() && self.missing().is_none() {
            self.load(board);
        } else {
            self.end(board, 0, 0, 0);
        }
    }

    /// Writes the sector at hand, or compares it.
    fn store(&mut self, data: &[u8]) {
        let lba = self.lba();
        let operation = self.transfer.operation;
        let disk = self
            .drive(self.transfer.drive)
            .and_then(|drive| drive.disk());
        let (Some(disk), Some(lba)) = (disk, lba) else {
            return;
        };
        if operation == Operation::Write {
            let _ = disk.write(lba, data);
        } else {
            let mut held = vec![0; SECTOR];
            let _ = disk.read(lba, &mut held);
            // [Scan] FFH in either is equal to anything.
            let pairs = || {
                held.iter()
                    .zip(data)
                    .filter(|(disk, host)| **disk != 0xff && **host != 0xff)
            };
            let equal = pairs().all(|(disk, host)| disk == host);
            self.transfer.satisfied = match operation {
                Operation::Scan(0x19) => pairs().all(|(disk, host)| disk <= host),
                Operation::Scan(0x1d) => pairs().all(|(disk, host)| disk >= host),
                _ => equal,
            };
            self.transfer.equal = equal;
        }
    }

    fn verify(&mut self, board: &mut Board) {
        while self.advance() {
            if let Some(st1) = self.missing() {
                return self.end(board, ABNORMAL, st1, 0);
            }
        }
        self.end(board, 0, 0, 0);
    }

    /// Moves sectors by DMA until terminal count or the end of the track; waits if the channel is masked.
    pub(super) fn run_dma(&mut self, board: &mut Board) {
        while board.dma.direction(DMA).is_some() {
            let reading = self.transfer.operation == Operation::Read;
            let lba = self.lba();
            let mut data = vec![0; SECTOR];
            if reading {
                let disk = self
                    .drive(self.transfer.drive)
                    .and_then(|drive| drive.disk());
                if let (Some(disk), Some(lba)) = (disk, lba) {
                    let _ = disk.read(lba, &mut data);
                }
            }
            let done = board.dma.transfer(&board.ram, DMA, &mut data);
            if !reading {
                self.store(&data);
            }
            if self.transfer.satisfied {
                return self.end(board, 0, 0, 0);
            }
            let more = self.advance();
            if self.transfer.deleted {
                return self.end(board, 0, 0, CONTROL_MARK);
            }
            if done.terminal || done.moved < SECTOR || !more {
                return self.end(board, 0, 0, 0);
            }
            if let Some(st1) = self.missing() {
                return self.end(board, ABNORMAL, st1, 0);
            }
        }
    }

    /// The result phase of a transfer.
    fn end(&mut self, board: &mut Board, code: u8, st1: u8, st2: u8) {
        board.dma.request(DMA, false);
        let transfer = self.transfer;
        let scan = match (transfer.operation, transfer.equal, transfer.satisfied) {
            (Operation::Scan(_), true, _) if code == 0 => SCAN_EQUAL,
            (Operation::Scan(_), false, false) if code == 0 => SCAN_NOT,
            _ => 0,
        };
        let seeked = if transfer.seeked { SEEK_END } else { 0 };
        let st0 = code | seeked | (transfer.head & 1) << 2 | transfer.drive;
        self.answer(&[
            st0,
            st1,
            st2 | scan,
            transfer.cylinder,
            transfer.head,
            transfer.sector,
            transfer.size,
        ]);
        self.sensed.clear();
        self.set_interrupt(board, true);
    }
}
