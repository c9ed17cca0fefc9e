//! From a machine that was [recorded](Vm::record) to a [`Trace`].

use std::collections::VecDeque;

use testjig_qtest::{Command, Data, Edge, Encoding, Entry, Length, Reply};
use testjig_vm::{Interface, Launch, Note, Noted, Vm};

use crate::header::{Disk, DiskInterface, Header};
use crate::session::{Action, Expected, Step, Trace};

/// The most bytes of one operation on memory.
const BLOCK: usize = 4096;

impl Trace {
    /// What was done to a machine since [`Vm::record`], with all answers. Memory that was written through its mapping is written by
    /// operations; what a test waited for is waited for.
    ///
    /// # Errors
    /// Why the session can't be done again from a file.
    pub fn record(vm: &Vm, title: &str) -> Result<Self, String> {
        let recording = vm.recording().ok_or("it was not recorded")?;
        if let Some(obstacle) = recording.obstacle {
            return Err(obstacle);
        }
        let (header, images) = described(vm.launch(), title)?;
        if header
            .values("-device")
            .any(|device| device.starts_with("virtio-rng"))
        {
            return Err("its device gives random numbers".into());
        }
        let (entries, edges) = vm.with_journal(|journal| {
            let entries: Vec<Entry> = journal
                .entries()
                .filter(|entry| entry.seq >= recording.begin)
                .cloned()
                .collect();
            let edges: VecDeque<Edge> = journal
                .edges()
                .filter(|edge| edge.before >= recording.begin)
                .copied()
                .collect();
            (entries, edges)
        });
        if entries.iter().any(|entry| entry.elided > 0) {
            return Err("some of its blocks are too long".into());
        }
        let mut writer = Writer {
            steps: Vec::new(),
            edges,
            wait: None,
            chance: false,
        };
        for (disk, offset, bytes) in &images {
            writer.image(disk, *offset, bytes);
        }
        let mut notes = VecDeque::from(recording.notes);
        for entry in &entries {
            while notes.front().is_some_and(|note| note.before <= entry.seq) {
                writer.note(notes.pop_front());
            }
            writer.entry(entry);
        }
        for note in notes {
            writer.note(Some(note));
        }
        writer.rest();
        Ok(Self {
            header,
            steps: writer.steps,
        })
    }
}

impl Header {
    /// The machine of a launch.
    ///
    /// # Errors
    /// What of it can't be said in a header.
    pub fn of_launch(launch: &Launch, title: &str) -> Result<Self, String> {
        match described(launch, title)? {
            (header, images) if images.is_empty() => Ok(header),
            _ => Err("its drives have more on them than a header says".into()),
        }
    }
}

/// What a header does not say of a disk: its name, and bytes by their offset.
type Written = (String, u64, Vec<u8>);

fn described(launch: &Launch, title: &str) -> Result<(Header, Vec<Written>), String> {
    let machine = launch.machine();
    let portable = launch.portable()?;
    let mut header = Header::new(machine.arch, machine.name);
    title.clone_into(&mut header.title);
    header.machine_options = portable.machine_options;
    header.default_devices = portable.default_devices;
    if portable.memory != machine.default_memory {
        header.memory = Some(portable.memory);
    }
    let mut images = Vec::new();
    for drive in portable.drives {
        for (offset, bytes) in drive.rest {
            images.push((drive.id.clone(), offset, bytes));
        }
        header.disks.push(Disk {
            id: drive.id,
            size: drive.size,
            interface: match drive.interface {
                Interface::Ide if drive.cdrom => DiskInterface::IdeCd,
                Interface::Ide => DiskInterface::Ide,
                Interface::Floppy => DiskInterface::Floppy,
                Interface::Scsi => DiskInterface::Scsi,
                Interface::Sd => DiskInterface::Sd,
                Interface::Mtd => DiskInterface::Mtd,
                Interface::Pflash => DiskInterface::Pflash,
                _ => DiskInterface::None,
            },
            read_only: drive.read_only && !drive.cdrom,
            discard: drive.discard,
            index: drive.index,
            content: drive.content,
        });
    }
    header.args = portable.args;
    Ok((header, images))
}

/// The steps so far.
struct Writer {
    steps: Vec<Step>,
    edges: VecDeque<Edge>,
    /// While a test waits: where the last look began.
    wait: Option<usize>,
    /// Whether what is seen is decided by chance.
    chance: bool,
}

impl Writer {
    fn entry(&mut self, entry: &Entry) {
        while self
            .edges
            .front()
            .is_some_and(|edge| edge.before <= entry.seq)
        {
            if let Some(edge) = self.edges.pop_front() {
                self.edge(edge);
            }
        }
        // A round trip that only passes time.
        if self.wait.is_some() && entry.command == Command::Endianness {
            return;
        }
        let expected = match &entry.reply {
            // That it was done is no news.
            None | Some(Reply::Done) => None,
            Some(_) if self.chance => None,
            Some(reply) => Some(Expected::exactly(reply.clone())),
        };
        self.steps
            .push(Step::new(Action::Do(entry.command.clone(), expected)));
    }

    fn edge(&mut self, edge: Edge) {
        self.steps.push(Step::new(Action::Edge {
            line: edge.line,
            level: edge.level,
        }));
    }

    fn note(&mut self, note: Option<Note>) {
        match note.map(|note| note.what) {
            Some(Noted::Wrote { addr, bytes }) => self.write(addr, &bytes),
            Some(Noted::Filled { addr, len, value }) => self.fill(addr, len, value),
            Some(Noted::Read { addr, bytes }) => self.read(addr, &bytes),
            Some(Noted::Image {
                disk,
                offset,
                bytes,
            }) => self.image(&disk, offset, &bytes),
            Some(Noted::Reset) => self.steps.push(Step::new(Action::Reset)),
            Some(Noted::Waits) => self.wait = Some(self.steps.len()),
            Some(Noted::Again) => {
                // Of all looks the last one counts; what happened meanwhile stays.
                if let Some(from) = self.wait {
                    let looks = self.steps.split_off(from);
                    let rested = looks.iter().any(|step| step.action == Action::Settle);
                    let happened = looks
                        .into_iter()
                        .filter(|step| !matches!(step.action, Action::Do(..) | Action::Settle));
                    self.steps.extend(happened);
                    if rested {
                        self.rests();
                    }
                    self.wait = Some(self.steps.len());
                }
            }
            Some(Noted::Waited) => self.waited(),
            Some(Noted::Rests) => self.rests(),
            Some(Noted::Chance) => self.chance = true,
            Some(Noted::Sure) => self.chance = false,
            _ => {}
        }
    }

    /// Two rests with nothing between them are one.
    fn rests(&mut self) {
        let mut before = self.steps.iter().rev().map(|step| &step.action);
        let last = before.find(|action| !matches!(action, Action::Edge { .. }));
        if last != Some(&Action::Settle) {
            self.steps.push(Step::new(Action::Settle));
        }
    }

    /// What was seen in the last look is waited for.
    fn waited(&mut self) {
        let from = self.wait.take().unwrap_or(self.steps.len());
        for step in &mut self.steps[from..] {
            if let Action::Do(command, Some(expected)) = &step.action {
                step.action = Action::Until(command.clone(), expected.clone());
            }
        }
    }

    fn write(&mut self, addr: u64, bytes: &[u8]) {
        for (index, block) in bytes.chunks(BLOCK).enumerate() {
            let Ok(data) = Data::new(block) else { continue };
            self.steps.push(Step::plain(Command::WriteBlock {
                addr: addr + (index * BLOCK) as u64,
                data,
                encoding: Encoding::Hex,
            }));
        }
    }

    fn image(&mut self, disk: &str, offset: u64, bytes: &[u8]) {
        for (index, block) in bytes.chunks(BLOCK).enumerate() {
            let Ok(data) = Data::new(block) else { continue };
            self.steps.push(Step::new(Action::Image {
                disk: disk.to_owned(),
                offset: offset + (index * BLOCK) as u64,
                data,
            }));
        }
    }

    fn fill(&mut self, addr: u64, len: usize, value: u8) {
        let most = Length::MAX as usize;
        for at in (0..len).step_by(most) {
            let Ok(len) = Length::try_from(most.min(len - at)) else {
                continue;
            };
            self.steps.push(Step::plain(Command::Memset {
                addr: addr + at as u64,
                len,
                value,
            }));
        }
    }

    fn read(&mut self, addr: u64, bytes: &[u8]) {
        for (index, block) in bytes.chunks(BLOCK).enumerate() {
            let addr = addr + (index * BLOCK) as u64;
            let Ok(len) = Length::try_from(block.len()) else {
                continue;
            };
            let expected = (!self.chance).then(|| Expected::exactly(Reply::Bytes(block.to_vec())));
            self.steps.push(Step::new(Action::Do(
                Command::ReadBlock {
                    addr,
                    len,
                    encoding: Encoding::Hex,
                },
                expected,
            )));
        }
    }

    fn rest(&mut self) {
        while let Some(edge) = self.edges.pop_front() {
            self.edge(edge);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer() -> Writer {
        Writer {
            steps: Vec::new(),
            edges: VecDeque::new(),
            wait: None,
            chance: false,
        }
    }

    fn noted(notes: impl IntoIterator<Item = Noted>) -> Vec<String> {
        let mut writer = writer();
        for what in notes {
            writer.note(Some(Note { before: 0, what }));
        }
        writer.steps.iter().map(ToString::to_string).collect()
    }

    fn read(bytes: [u8; 2]) -> Noted {
        Noted::Read {
            addr: 0x1000,
            bytes: bytes.to_vec(),
        }
    }

    #[test]
    fn of_a_wait_the_last_look_stays_with_one_rest_before_it() {
        let notes = [
            Noted::Waits,
            Noted::Rests,
            Noted::Again,
            read([0, 0]),
            Noted::Rests,
            Noted::Again,
            read([1, 0]),
            Noted::Waited,
        ];
        assert_eq!(noted(notes), ["settle", "until read 0x1000 0x2 -> 0x0100"]);
    }

    #[test]
    fn what_is_seen_by_chance_is_looked_at_and_not_asked_for() {
        let notes = [Noted::Chance, read([7, 0]), Noted::Sure, read([1, 0])];
        assert_eq!(
            noted(notes),
            ["read 0x1000 0x2", "read 0x1000 0x2 -> 0x0100"]
        );
    }
}
