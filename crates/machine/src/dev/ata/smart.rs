//! The SMART feature set (ATA/ATAPI-6 §8.55, data structures of ATA-3 and ATA/ATAPI-5).

use crate::disk::SECTOR;

/// Descriptors in the self-test log.
const TESTS: usize = 21;

/// Attributes: identifier, flags, value, worst value, raw value, threshold.
const ATTRIBUTES: [(u8, u16, u8, u8, [u8; 6], u8); 7] = [
    (1, 0x03, 100, 100, [0; 6], 6),
    (3, 0x03, 100, 100, [16, 0, 0, 0, 0, 0], 0),
    (4, 0x02, 100, 100, [100, 0, 0, 0, 0, 0], 0x14),
    (5, 0x03, 100, 100, [0; 6], 0x24),
    (9, 0x03, 100, 100, [1, 0, 0, 0, 0, 0], 0),
    (12, 0x32, 100, 100, [0; 6], 0),
    (190, 0x03, 69, 69, [31, 0, 31, 31, 0, 0], 0x32),
];

#[derive(Clone)]
pub(super) struct Smart {
    pub(super) enabled: bool,
    autosave: bool,
    /// The tests that ran, by number, in the log's places.
    tests: [u8; TESTS],
    last: usize,
}

impl Default for Smart {
    fn default() -> Self {
        Self {
            enabled: true,
            autosave: true,
            tests: [0; TESTS],
            last: 0,
        }
    }
}

/// What a subcommand does.
pub(super) enum Answer {
    Done,
    Data(Vec<u8>),
    Aborted,
}

impl Smart {
    /// Carries out the subcommand in Features, with LBA Low.
    pub(super) fn execute(&mut self, subcommand: u8, lba_low: u8) -> Answer {
        if !self.enabled && subcommand != 0xd8 {
            return Answer::Aborted;
        }
        match (subcommand, lba_low) {
            (0xd0, _) => Answer::Data(checked(self.data())),
            (0xd1, _) => Answer::Data(checked(thresholds())),
            (0xd2, 0x00 | 0xf1) => {
                self.autosave = lba_low != 0;
                Answer::Done
            }
            (0xd4, 0..=2) => {
                self.last = if self.last == TESTS { 1 } else { self.last + 1 };
                self.tests[self.last - 1] = lba_low;
                Answer::Done
            }
            (0xd5, 0x01) => Answer::Data(checked(versioned())),
            (0xd5, 0x06) => Answer::Data(checked(self.self_tests())),
            (0xd8 | 0xd9, _) => {
                self.enabled = subcommand == 0xd8;
                Answer::Done
            }
            (0xda, _) => Answer::Done,
            _ => Answer::Aborted,
        }
    }

    fn data(&self) -> Vec<u8> {
        let mut data = versioned();
        for (entry, (id, flags, value, worst, raw, _)) in data[2..].chunks_mut(12).zip(ATTRIBUTES) {
            entry[0] = id;
            entry[1..3].copy_from_slice(&flags.to_le_bytes());
            entry[3] = value;
            entry[4] = worst;
            entry[5..11].copy_from_slice(&raw);
        }
        // Off-line collection completed, bit 7 for autosave; the self-test too.
        data[362] = 0x02 | if self.autosave { 0x80 } else { 0 };
        data[363] = 0;
        data[364..366].copy_from_slice(&0x120_u16.to_le_bytes());
        data[367] = 1 << 4 | 1 << 3 | 1;
        data[368..370].copy_from_slice(&3_u16.to_le_bytes());
        data[370] = 1;
        data[372..375].copy_from_slice(&[2, 54, 1]);
        data
    }

    fn self_tests(&self) -> Vec<u8> {
        let mut log = versioned();
        for (place, test) in log[2..].chunks_mut(24).zip(self.tests) {
            place[0] = test;
            if test != 0 {
                // Hours of operation when it ran.
                place[2] = 0x34;
                place[3] = 0x12;
            }
        }
        log[508] = self.last as u8;
        log
    }
}

fn thresholds() -> Vec<u8> {
    let mut data = versioned();
    for (entry, (id, .., threshold)) in data[2..].chunks_mut(12).zip(ATTRIBUTES) {
        entry[0] = id;
        entry[1] = threshold;
    }
    data
}

/// An empty structure of version 1.
fn versioned() -> Vec<u8> {
    let mut data = vec![0; SECTOR];
    data[0] = 1;
    data
}

/// With the last byte that makes all sum up to zero.
fn checked(mut data: Vec<u8>) -> Vec<u8> {
    let sum = data.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    data[SECTOR - 1] = 0_u8.wrapping_sub(sum);
    data
}
