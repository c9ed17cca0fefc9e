//! What IDENTIFY DEVICE and IDENTIFY PACKET DEVICE answer: 256 words (ATA/ATAPI-6 and ATA8-ACS, IDENTIFY DEVICE).

use std::fmt;

use bitfield_struct::bitfield;

/// The 256 words.
#[derive(Clone, PartialEq, Eq)]
pub struct Identify([u16; 256]);

/// Cylinders, heads and sectors per track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chs {
    /// Number of cylinders.
    pub cylinders: u16,
    /// Number of heads.
    pub heads: u16,
    /// Sectors per track.
    pub sectors: u16,
}

impl Chs {
    /// A geometry.
    pub const fn new(cylinders: u16, heads: u16, sectors: u16) -> Self {
        Self {
            cylinders,
            heads,
            sectors,
        }
    }

    /// How many sectors it spans.
    pub const fn capacity(self) -> u64 {
        self.cylinders as u64 * self.heads as u64 * self.sectors as u64
    }
}

/// Words 82 and 85: command set supported, or enabled.
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct CommandSet1 {
    /// SMART feature set.
    pub smart: bool,
    /// Security Mode feature set.
    pub security: bool,
    /// Removable Media feature set.
    pub removable_media: bool,
    /// Power Management feature set.
    pub power_management: bool,
    /// PACKET Command feature set.
    pub packet: bool,
    /// Write cache.
    pub write_cache: bool,
    /// Look-ahead.
    pub look_ahead: bool,
    /// Release interrupt.
    pub release_interrupt: bool,
    /// SERVICE interrupt.
    pub service_interrupt: bool,
    /// DEVICE RESET command.
    pub device_reset: bool,
    /// Host Protected Area feature set.
    pub host_protected_area: bool,
    __: bool,
    /// WRITE BUFFER command.
    pub write_buffer: bool,
    /// READ BUFFER command.
    pub read_buffer: bool,
    /// NOP command.
    pub nop: bool,
    __: bool,
}

/// Words 83 and 86: command set supported, or enabled.
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct CommandSet2 {
    /// DOWNLOAD MICROCODE command.
    pub download_microcode: bool,
    /// READ/WRITE DMA QUEUED.
    pub queued: bool,
    /// CFA feature set.
    pub cfa: bool,
    /// Advanced Power Management feature set.
    pub advanced_power_management: bool,
    /// Removable Media Status Notification feature set.
    pub media_status_notification: bool,
    /// Power-Up In Standby feature set.
    pub power_up_in_standby: bool,
    /// SET FEATURES is needed to spin up after power-up.
    pub spin_up_needed: bool,
    __: bool,
    /// SET MAX security extension.
    pub set_max_security: bool,
    /// Automatic Acoustic Management feature set.
    pub acoustic_management: bool,
    /// 48-bit Address feature set.
    pub lba48: bool,
    /// Device Configuration Overlay feature set.
    pub configuration_overlay: bool,
    /// FLUSH CACHE command.
    pub flush_cache: bool,
    /// FLUSH CACHE EXT command.
    pub flush_cache_ext: bool,
    /// Word 83: always one.
    pub one: bool,
    /// Word 83: always zero.
    pub zero: bool,
}

/// Words 84 and 87: command set supported, or its default.
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct CommandSet3 {
    /// SMART error logging.
    pub smart_error_logging: bool,
    /// SMART self-test.
    pub smart_self_test: bool,
    #[bits(6)]
    __: u8,
    /// World wide name, in words 108–111.
    pub world_wide_name: bool,
    #[bits(5)]
    __: u8,
    /// Always one.
    pub one: bool,
    /// Always zero.
    pub zero: bool,
}

/// Word 106: physical and logical sector sizes.
#[bitfield(u16)]
#[derive(PartialEq, Eq)]
pub struct SectorSizes {
    /// Logical sectors in a physical one, as a power of two.
    #[bits(4)]
    pub logical_per_physical: u8,
    __: u8,
    /// A logical sector is longer than 256 words.
    pub long_logical: bool,
    /// A physical sector holds several logical ones.
    pub several_logical: bool,
    /// Always one if the word is valid.
    pub one: bool,
    /// Always zero if the word is valid.
    pub zero: bool,
}

impl Identify {
    /// The answer as it was read from the data register.
    ///
    /// # Panics
    /// If these are not 512 bytes.
    #[track_caller]
    pub fn new(bytes: &[u8]) -> Self {
        assert_eq!(bytes.len(), 512, "IDENTIFY answers 512 bytes");
        let mut words = [0; 256];
        for (word, pair) in words.iter_mut().zip(bytes.chunks_exact(2)) {
            *word = u16::from_le_bytes([pair[0], pair[1]]);
        }
        Self(words)
    }

    /// A word, 0–255.
    pub fn word(&self, index: usize) -> u16 {
        self.0[index]
    }

    /// All of them.
    pub fn words(&self) -> &[u16; 256] {
        &self.0
    }

    fn long(&self, index: usize) -> u32 {
        u32::from(self.0[index]) | u32::from(self.0[index + 1]) << 16
    }

    /// A string: two characters a word, the first in the high byte, filled up with spaces.
    fn text(&self, first: usize, words: usize) -> String {
        let bytes = self.0[first..first + words]
            .iter()
            .flat_map(|word| word.to_be_bytes());
        bytes.map(char::from).collect()
    }

    /// Words 10–19: the serial number, 20 characters with the spaces that fill it up.
    pub fn serial(&self) -> String {
        self.text(10, 10)
    }

    /// Words 23–26: the firmware revision, 8 characters.
    pub fn firmware(&self) -> String {
        self.text(23, 4)
    }

    /// Words 27–46: the model number, 40 characters.
    pub fn model(&self) -> String {
        self.text(27, 20)
    }

    /// Words 1, 3 and 6: the default translation.
    pub fn chs(&self) -> Chs {
        Chs::new(self.0[1], self.0[3], self.0[6])
    }

    /// Words 54–56: the current translation.
    pub fn current_chs(&self) -> Chs {
        Chs::new(self.0[54], self.0[55], self.0[56])
    }

    /// Words 57–58: the sectors that the current translation spans.
    pub fn current_capacity(&self) -> u32 {
        self.long(57)
    }

    /// Word 47: the most sectors that a DRQ block of READ MULTIPLE can have.
    pub fn most_per_block(&self) -> u8 {
        self.0[47] as u8
    }

    /// Word 59: sectors in a DRQ block of READ MULTIPLE now, if bit 8 says that the setting is valid.
    pub fn per_block(&self) -> Option<u8> {
        (self.0[59] & 0x100 != 0).then_some(self.0[59] as u8)
    }

    /// Words 60–61: sectors that 28-bit commands reach.
    pub fn lba28_sectors(&self) -> u32 {
        self.long(60)
    }

    /// Words 100–103: sectors that 48-bit commands reach.
    pub fn lba48_sectors(&self) -> u64 {
        u64::from(self.long(100)) | u64::from(self.long(102)) << 32
    }

    /// Words 82 and 85: supported, and enabled.
    pub fn set1(&self) -> (CommandSet1, CommandSet1) {
        (self.0[82].into(), self.0[85].into())
    }

    /// Words 83 and 86: supported, and enabled.
    pub fn set2(&self) -> (CommandSet2, CommandSet2) {
        (self.0[83].into(), self.0[86].into())
    }

    /// Words 84 and 87: supported, and the default.
    pub fn set3(&self) -> (CommandSet3, CommandSet3) {
        (self.0[84].into(), self.0[87].into())
    }

    /// Word 106.
    pub fn sector_sizes(&self) -> SectorSizes {
        self.0[106].into()
    }

    /// Words 108–111: the world wide name, the first word the most significant.
    pub fn world_wide_name(&self) -> u64 {
        self.0[108..112]
            .iter()
            .fold(0, |name, &word| name << 16 | u64::from(word))
    }
}

impl fmt::Debug for Identify {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = self.0.iter().enumerate().filter(|&(_, &word)| word != 0);
        f.debug_map()
            .entries(set.map(|(index, word)| (index, format!("{word:#06x}"))))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(words: &[(usize, u16)]) -> Identify {
        let mut all = [0; 256];
        for &(index, word) in words {
            all[index] = word;
        }
        Identify(all)
    }

    #[test]
    fn text_has_its_first_character_in_the_high_byte() {
        assert_eq!(
            with(&[(23, 0x6162), (24, 0x6320), (25, 0x2020), (26, 0x2020)]).firmware(),
            "abc     "
        );
    }

    #[test]
    fn long_numbers_have_their_low_word_first() {
        let identify = with(&[
            (60, 0x5678),
            (61, 0x1234),
            (100, 4),
            (101, 3),
            (102, 2),
            (103, 1),
        ]);
        assert_eq!(identify.lba28_sectors(), 0x1234_5678);
        assert_eq!(identify.lba48_sectors(), 0x0001_0002_0003_0004);
    }

    #[test]
    fn the_world_wide_name_has_its_high_word_first() {
        let identify = with(&[(108, 0x1234), (109, 0x5678), (110, 0x9abc), (111, 0xdef0)]);
        assert_eq!(identify.world_wide_name(), 0x1234_5678_9abc_def0);
    }
}
