//! What a disk says of itself: the 256 words of IDENTIFY DEVICE (ATA/ATAPI-6 §8.15, older words from the standard named beside them).

use super::{Disk, Drive, MOST_PER_BLOCK, SECTOR};

/// Answers IDENTIFY DEVICE.
pub(super) fn identify(drive: &Drive, disk: &Disk) -> Vec<u8> {
    let mut words = [0_u16; 256];
    let (natural, current) = (drive.geometry, drive.translation);
    let sectors = disk.sectors();
    let options = &drive.options;

    words[0] = 0x0040;
    words[1] = natural.cylinders as u16;
    words[3] = natural.heads as u16;
    // ATA-1: unformatted bytes a track and a sector, buffer type and size, bytes of ECC.
    words[4] = (512 * natural.sectors) as u16;
    words[5] = 512;
    words[6] = natural.sectors as u16;
    put_text(&mut words[10..20], &options.serial);
    (words[20], words[21], words[22]) = (3, 512, 4);
    put_text(&mut words[23..27], &options.version);
    put_text(&mut words[27..47], &options.model);
    words[47] = 0x8000 | MOST_PER_BLOCK as u16;
    // ATA-2: doubleword I/O.
    words[48] = 1;
    // LBA, DMA, IORDY.
    words[49] = 1 << 11 | 1 << 9 | 1 << 8;
    // ATA-3: PIO and single word DMA timing mode 2.
    (words[51], words[52]) = (0x200, 0x200);
    words[53] = 0b111;
    words[54] = current.cylinders as u16;
    words[55] = current.heads as u16;
    words[56] = current.sectors as u16;
    put_dword(
        &mut words[57..59],
        current.cylinders * current.heads * current.sectors,
    );
    if drive.per_block > 0 {
        words[59] = 0x100 | drive.per_block as u16;
    }
    put_dword(&mut words[60..62], sectors.min(0x0fff_ffff) as u32);
    words[62] = 0b111 | drive.single_word_dma;
    words[63] = 0b111 | drive.multiword_dma;
    words[64] = 0b11;
    words[65..69].fill(120);
    // TRIM, and that trimmed sectors read the same each time: ATA8-ACS.
    words[69] = u16::from(options.trim) << 14;
    words[169] = u16::from(options.trim);
    words[80] = 0b1111 << 4;
    words[81] = 0x16;
    // NOP, write cache, SMART.
    words[82] = 1 << 14 | 1 << 5 | 1;
    // FLUSH CACHE EXT, FLUSH CACHE, 48-bit addresses.
    words[83] = 1 << 14 | 1 << 13 | 1 << 12 | 1 << 10;
    words[84] = 1 << 14 | u16::from(options.wwn != 0) << 8;
    words[85] = 1 << 14 | u16::from(drive.write_cache) << 5 | u16::from(drive.smart.enabled);
    words[86] = 1 << 13 | 1 << 12 | 1 << 10;
    words[87] = words[84];
    words[88] = 0b11_1111 | drive.ultra_dma;
    words[93] = 1 << 14 | 1 << 13 | 1;
    for (word, shift) in words[100..104].iter_mut().zip([0, 16, 32, 48]) {
        *word = (sectors >> shift) as u16;
    }
    let per_physical = options.physical_block.trailing_zeros() - 9;
    words[106] = 1 << 14 | u16::from(per_physical > 0) << 13 | per_physical as u16;
    for (word, shift) in words[108..112].iter_mut().zip([48, 32, 16, 0]) {
        *word = (options.wwn >> shift) as u16;
    }
    words[217] = options.rotation_rate;

    let mut bytes = Vec::with_capacity(SECTOR);
    bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    bytes
}

/// A string: two characters a word, the first in the high byte, filled up with spaces.
fn put_text(words: &mut [u16], text: &str) {
    let mut bytes = text.bytes().chain(std::iter::repeat(b' '));
    for word in words {
        let mut next = || bytes.next().unwrap_or(b' ');
        *word = u16::from_be_bytes([next(), next()]);
    }
}

fn put_dword(words: &mut [u16], value: u32) {
    words[0] = value as u16;
    words[1] = (value >> 16) as u16;
}
