//! Data on its way between host and disk: DRQ blocks of PIO, requests of DMA.

use super::{DRDY, DRQ, DSC, Drive, IDNF, LBA, Next, SECTOR};

/// How a command says where and how much.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Task {
    extended: bool,
}

impl Task {
    pub(super) const fn of28() -> Self {
        Self { extended: false }
    }

    /// [48-bit Address feature set]
    pub(super) const fn of48() -> Self {
        Self { extended: true }
    }
}

/// A PIO transfer: one DRQ block, and what follows it.
pub(super) struct Transfer {
    block: Vec<u8>,
    at: usize,
    kind: Kind,
}

enum Kind {
    /// Data that is no sector: IDENTIFY DEVICE and the like.
    Once,
    Read(Rest),
    Write(Rest),
}

/// The sectors that are left, the block at hand included.
#[derive(Clone, Copy)]
struct Rest {
    task: Task,
    lba: u64,
    sectors: u64,
    per_block: usize,
}

/// A DMA command that waits for the bus master.
pub(crate) struct DmaRequest {
    task: Task,
    lba: u64,
    sectors: u64,
    kind: DmaKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum DmaKind {
    Read,
    Write,
    Trim,
}

impl Drive {
    /// The sector that the command block names.
    fn lba(&self, task: Task) -> Option<u64> {
        let registers = &self.registers;
        let [low, mid, high] = registers.lba;
        let bytes = if task.extended {
            [
                low.now,
                mid.now,
                high.now,
                low.before,
                mid.before,
                high.before,
                0,
                0,
            ]
        } else if registers.device & LBA != 0 {
            [
                low.now,
                mid.now,
                high.now,
                registers.device & 0xf,
                0,
                0,
                0,
                0,
            ]
        } else {
            let translation = self.translation;
            let cylinder = u64::from(u16::from_le_bytes([mid.now, high.now]));
            let head = u64::from(registers.device & 0xf);
            let sector = u64::from(low.now).checked_sub(1)?;
            let heads = u64::from(translation.heads);
            let sectors = u64::from(translation.sectors);
            return Some((cylinder * heads + head) * sectors + sector);
        };
        Some(u64::from_le_bytes(bytes))
    }

    /// Names a sector in the command block, as the command before did.
    pub(super) fn put_lba(&mut self, lba: u64, task: Task) {
        let chs = !task.extended && self.registers.device & LBA == 0;
        let bytes = if chs {
            let (heads, sectors) = (
                u64::from(self.translation.heads),
                u64::from(self.translation.sectors),
            );
            let (track, sector) = (lba / sectors, lba % sectors + 1);
            let [low, high, ..] = (track / heads).to_le_bytes();
            self.registers.device = self.registers.device & 0xf0 | (track % heads) as u8 & 0xf;
            [sector as u8, low, high, 0, 0, 0, 0, 0]
        } else {
            lba.to_le_bytes()
        };
        for (register, byte) in self.registers.lba.iter_mut().zip(bytes) {
            register.now = byte;
        }
        if task.extended {
            for (register, byte) in self.registers.lba.iter_mut().zip(&bytes[3..]) {
                register.before = *byte;
            }
        } else if !chs {
            self.registers.device = self.registers.device & 0xf0 | bytes[3] & 0xf;
        }
    }

    /// [Sector Count] 0 stands for the most.
    fn count(&self, task: Task) -> u64 {
        match (task.extended, self.registers.count) {
            (false, count) if count.now == 0 => 256,
            (false, count) => count.now.into(),
            (true, count) if count.both() == 0 => 65_536,
            (true, count) => count.both().into(),
        }
    }

    fn rest(&self, task: Task, per_block: usize) -> Option<Rest> {
        Some(Rest {
            task,
            lba: self.lba(task)?,
            sectors: self.count(task),
            per_block,
        })
    }

    pub(super) fn read(&mut self, task: Task, per_block: usize) -> Next {
        match self.rest(task, per_block) {
            Some(rest) => self.read_block(rest),
            None => Next::NotFound,
        }
    }

    fn read_block(&mut self, rest: Rest) -> Next {
        let sectors = rest.sectors.min(rest.per_block as u64) as usize;
        let mut block = vec![0; sectors * SECTOR];
        if self.disk.read(rest.lba, &mut block).is_err() {
            return Next::NotFound;
        }
        self.begin(block, Kind::Read(rest));
        self.interrupt = true;
        Next::Transfer
    }

    pub(super) fn write(&mut self, task: Task, per_block: usize) -> Next {
        match self.rest(task, per_block) {
            Some(rest) => {
                self.expect_block(rest);
                Next::Transfer
            }
            None => Next::NotFound,
        }
    }

    fn expect_block(&mut self, rest: Rest) {
        let sectors = rest.sectors.min(rest.per_block as u64) as usize;
        self.begin(vec![0; sectors * SECTOR], Kind::Write(rest));
    }

    /// Answers with data that is no sector.
    pub(super) fn send(&mut self, data: Vec<u8>) -> Next {
        self.begin(data, Kind::Once);
        self.interrupt = true;
        Next::Transfer
    }

    fn begin(&mut self, block: Vec<u8>, kind: Kind) {
        self.transfer = Some(Transfer { block, at: 0, kind });
        self.registers.status = DRDY | DSC | DRQ;
    }

    /// [Data] The host reads; without a transfer that way nothing moves.
    pub(crate) fn read_data(&mut self, data: &mut [u8]) {
        data.fill(0);
        let Some(transfer) = &mut self.transfer else {
            return;
        };
        if matches!(transfer.kind, Kind::Write(_)) {
            return;
        }
        let end = (transfer.at + data.len()).min(transfer.block.len());
        let moved = end - transfer.at;
        data[..moved].copy_from_slice(&transfer.block[transfer.at..end]);
        transfer.at = end;
        if end == transfer.block.len() {
            self.block_is_over();
        }
    }

    /// [Data] The host writes.
    pub(crate) fn write_data(&mut self, data: &[u8]) {
        let Some(transfer) = &mut self.transfer else {
            return;
        };
        if !matches!(transfer.kind, Kind::Write(_)) {
            return;
        }
        let end = (transfer.at + data.len()).min(transfer.block.len());
        let moved = end - transfer.at;
        transfer.block[transfer.at..end].copy_from_slice(&data[..moved]);
        transfer.at = end;
        if end == transfer.block.len() {
            self.block_is_over();
        }
    }

    fn block_is_over(&mut self) {
        let Some(Transfer { block, kind, .. }) = self.transfer.take() else {
            return;
        };
        self.registers.status = DRDY | DSC;
        let sectors = (block.len() / SECTOR) as u64;
        match kind {
            Kind::Once => {}
            Kind::Read(rest) => {
                let rest = self.advance(rest, sectors);
                if rest.sectors > 0 {
                    let next = self.read_block(rest);
                    self.end_of(next);
                }
            }
            Kind::Write(rest) => {
                if self.disk.write(rest.lba, &block).is_err() {
                    return self.end_of(Next::NotFound);
                }
                let rest = self.advance(rest, sectors);
                if rest.sectors > 0 {
                    self.expect_block(rest);
                    self.interrupt = true;
                } else {
                    self.end_of(Next::Done);
                }
            }
        }
    }

    /// So many sectors are done: the command block names the next one and counts what is left.
    fn advance(&mut self, rest: Rest, sectors: u64) -> Rest {
        let rest = Rest {
            lba: rest.lba + sectors,
            sectors: rest.sectors - sectors,
            ..rest
        };
        self.put_lba(rest.lba, rest.task);
        self.registers.count.set(rest.sectors as u16);
        rest
    }

    /// [READ VERIFY SECTOR(S)], [SEEK] There must be such sectors.
    pub(super) fn verify(&mut self, task: Task) -> Next {
        match self.lba(task) {
            Some(lba) if self.disk.holds(lba, 1) => Next::Done,
            _ => Next::NotFound,
        }
    }

    pub(super) fn dma(&mut self, task: Task, write: bool) -> Next {
        let Some(rest) = self.rest(task, 1) else {
            return Next::NotFound;
        };
        self.request(DmaRequest {
            task,
            lba: rest.lba,
            sectors: rest.sectors,
            kind: if write { DmaKind::Write } else { DmaKind::Read },
        })
    }

    /// [DATA SET MANAGEMENT] Blocks of 64 ranges: 48 bits of address, 16 of length.
    pub(super) fn trim(&mut self) -> Next {
        self.request(DmaRequest {
            task: Task::of48(),
            lba: 0,
            sectors: self.count(Task::of28()),
            kind: DmaKind::Trim,
        })
    }

    fn request(&mut self, request: DmaRequest) -> Next {
        self.registers.status = DRDY | DSC | DRQ;
        self.dma = Some(request);
        Next::Transfer
    }

    /// The whole of a DMA command's data, by a bus master that moves it to memory (`to_memory`) or from there; `false` if it did not
    /// have room for all.
    pub(crate) fn run_dma(
        &mut self,
        to_memory: bool,
        mover: &mut dyn FnMut(&mut [u8]) -> bool,
    ) -> bool {
        let Some(request) = self.dma.take() else {
            return false;
        };
        if to_memory != (request.kind == DmaKind::Read) {
            self.dma = Some(request);
            return false;
        }
        let mut data = vec![0; request.sectors as usize * SECTOR];
        if request.kind == DmaKind::Read && self.disk.read(request.lba, &mut data).is_err() {
            self.end_of(Next::NotFound);
            return true;
        }
        if !mover(&mut data) {
            self.dma = Some(request);
            return false;
        }
        let done = match request.kind {
            DmaKind::Read => Ok(()),
            DmaKind::Write => self.disk.write(request.lba, &data),
            DmaKind::Trim => self.trim_ranges(&data),
        };
        if done.is_ok() && request.kind != DmaKind::Trim {
            self.put_lba(request.lba + request.sectors, request.task);
            self.registers.count.set(0);
        }
        self.registers.error &= !IDNF;
        self.end_of(match (done, request.kind) {
            (Ok(()), _) => Next::Done,
            (Err(_), DmaKind::Trim) => Next::Aborted,
            (Err(_), _) => Next::NotFound,
        });
        true
    }

    fn trim_ranges(&self, data: &[u8]) -> std::io::Result<()> {
        for range in data.chunks_exact(8) {
            let range = u64::from_le_bytes([
                range[0], range[1], range[2], range[3], range[4], range[5], range[6], range[7],
            ]);
            let (lba, count) = (range & 0xffff_ffff_ffff, (range >> 48) as usize);
            if count > 0 {
                self.disk.write(lba, &vec![0; count * SECTOR])?;
            }
        }
        Ok(())
    }
}
