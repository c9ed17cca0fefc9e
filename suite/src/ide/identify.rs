//! [IDENTIFY DEVICE]: what the drive says of itself, and that it is what it was made as.

use serde_json::json;

use super::*;
use testjig::qos::dev::ata::{Channel, Chs, Identify, Unit};

fn identify(ide: &Channel) -> Identify {
    ide.identify(Unit::Device0)
}

fn named(launch: Launch) -> Launch {
    disk_with(launch, |device| {
        device
            .prop("serial", "S-0123456789abcdefgh")
            .prop("ver", "REV 1.23")
            .prop("model", "A model with a name of forty characters!")
    })
}

/// [Words 10–19, 23–26, 27–46] serial number, firmware revision and model number, 20, 8 and 40 characters.
#[testjig::test(on = Channel, launch = named)]
fn names_are_those_of_the_drive(ide: Channel) {
    let identify = identify(&ide);
    assert_eq!(identify.serial(), "S-0123456789abcdefgh");
    assert_eq!(identify.firmware(), "REV 1.23");
    assert_eq!(identify.model(), "A model with a name of forty characters!");
}

fn shortly_named(launch: Launch) -> Launch {
    disk_with(launch, |device| {
        device
            .prop("serial", "x")
            .prop("ver", "")
            .prop("model", "odd")
    })
}

/// [ATA string] Names that are shorter are filled up with spaces on the right.
#[testjig::test(on = Channel, launch = shortly_named)]
fn names_are_filled_up_with_spaces(ide: Channel) {
    let identify = identify(&ide);
    assert_eq!(identify.serial(), format!("{:20}", "x"));
    assert_eq!(identify.firmware(), " ".repeat(8));
    assert_eq!(identify.model(), format!("{:40}", "odd"));
}

/// [Words 10–19] Two drives of one model can be told apart by their serial numbers.
#[testjig::test(on = Channel, launch = two_disks)]
fn drives_have_serial_numbers_of_their_own(ide: Channel) {
    let [one, two] = [Unit::Device0, Unit::Device1].map(|unit| ide.identify(unit));
    assert_eq!(one.model(), two.model());
    assert_ne!(one.serial(), two.serial());
    assert!(one.serial().starts_with("QM0000"), "{:?}", one.serial());
}

/// [Words 1, 3, 6, 54–58] The default translation, and the current one, which is the same after power-on, with its capacity.
#[testjig::test(on = Channel, launch = disk)]
fn the_current_translation_is_the_default_one(ide: Channel) {
    let identify = identify(&ide);
    let chs = Chs::new(40, 16, 63);
    assert_eq!(identify.chs(), chs);
    assert_eq!(identify.current_chs(), chs);
    assert_eq!(u64::from(identify.current_capacity()), chs.capacity());
}

/// Disks at the ends of what words can tell, in sectors.
#[derive(Clone, Copy, Debug)]
enum Size {
    Odd,
    BelowLba28,
    Lba28,
    AboveLba28,
    Tebibytes,
}

impl Size {
    fn sectors(self) -> u64 {
        match self {
            Self::Odd => 0x12_3457,
            Self::BelowLba28 => (1 << 28) - 2,
            Self::Lba28 => (1 << 28) - 1,
            Self::AboveLba28 => 1 << 28,
            Self::Tebibytes => 0x2_8765_4321,
        }
    }
}

fn sized(launch: Launch, sectors: u64) -> Launch {
    launch
        .drive(Drive::new("hd0", Image::zeroed(sectors * SECTOR as u64)))
        .device(
            Device::new("ide-hd")
                .bus("ide.0")
                .prop("unit", 0)
                .prop("drive", "hd0"),
        )
}

/// [Words 60–61] Sectors that 28-bit commands reach: at most 0FFFFFFFh. [Words 100–103] Sectors that 48-bit commands reach.
#[testjig::test(
    on = Channel,
    launch = |launch| sized(launch, size.sectors()),
    vary(size = [Size::Odd, Size::BelowLba28, Size::Lba28, Size::AboveLba28, Size::Tebibytes])
)]
fn sizes_are_those_of_the_medium(ide: Channel, size: Size) {
    let identify = identify(&ide);
    assert_eq!(identify.lba48_sectors(), size.sectors());
    assert_eq!(
        u64::from(identify.lba28_sectors()),
        size.sectors().min(0x0fff_ffff)
    );
}

/// A medium that grows while the machine runs shows its new size; nothing else of the answer changes.
#[testjig::test(on = Channel, launch = disk)]
fn a_resize_is_seen(ide: Channel, vm: &Vm) {
    let before = identify(&ide);
    let sectors = 0x1_0345_u64;
    vm.qmp_raw(
        "block_resize",
        json!({"node-name": "hd0", "size": sectors * SECTOR as u64}),
    );
    let after = identify(&ide);
    assert_eq!(after.lba48_sectors(), sectors);
    assert_eq!(u64::from(after.lba28_sectors()), sectors);
    let changed = (0..256).filter(|&word| before.word(word) != after.word(word));
    assert_eq!(changed.collect::<Vec<_>>(), [60, 61, 100, 101]);
}

/// [Word 0] Bit 15 clear: an ATA device. Bit 6: its medium is fixed.
#[testjig::test(on = Channel, launch = disk)]
fn a_disk_is_a_fixed_ata_device(ide: Channel) {
    assert_eq!(identify(&ide).word(0), 0x0040);
}

/// [Word 49] LBA and DMA are supported; ATA/ATAPI-6 wants both set. [Word 53] Words 54–58, 64–70 and 88 are valid.
#[testjig::test(on = Channel, launch = disk)]
fn capabilities_are_lba_and_dma(ide: Channel) {
    let identify = identify(&ide);
    assert_eq!(identify.word(49), 1 << 11 | 1 << 9 | 1 << 8);
    assert_eq!(identify.word(53), 0b111);
}

/// [Words 51, 52 of ATA-3] PIO and single word DMA timing mode 2. [Word 48 of ATA-2] Doubleword I/O.
#[testjig::test(on = Channel, launch = disk)]
fn old_timing_words_say_mode_2(ide: Channel) {
    let identify = identify(&ide);
    assert_eq!(
        [48, 51, 52].map(|word| identify.word(word)),
        [1, 0x200, 0x200]
    );
}

/// [Words 4, 5, 20–22 of ATA-1] Unformatted bytes a track and a sector, buffer type and size, bytes of ECC.
#[testjig::test(on = Channel, launch = disk)]
fn retired_words_are_those_of_ata_1(ide: Channel) {
    let identify = identify(&ide);
    let words = [4, 5, 20, 21, 22].map(|word| identify.word(word));
    assert_eq!(words, [512 * 63, 512, 3, 512, 4]);
}

/// [Words 62 (ATA-2), 63, 64, 88] Single word DMA 0–2, multiword DMA 0–2, PIO 3 and 4, Ultra DMA 0–5; Ultra DMA 5 is selected.
#[testjig::test(on = Channel, launch = disk)]
fn transfer_modes_are_those_up_to_ultra_5(ide: Channel) {
    let identify = identify(&ide);
    let modes = [62, 63, 64, 88].map(|word| identify.word(word));
    assert_eq!(modes, [0b111, 0b111, 0b11, 1 << 13 | 0b11_1111]);
}

/// [Words 65–68] Cycle times in nanoseconds: multiword DMA 2 and PIO 4 take 120.
#[testjig::test(on = Channel, launch = disk)]
fn cycle_times_are_those_of_the_fastest_modes(ide: Channel) {
    let identify = identify(&ide);
    assert_eq!([65, 66, 67, 68].map(|word| identify.word(word)), [120; 4]);
}

/// [Word 80] Which standards it follows: ATA/ATAPI-4 to -7. [Word 81] 0016h, a revision of ATA/ATAPI-5.
#[testjig::test(on = Channel, launch = disk)]
fn versions_are_told(ide: Channel) {
    let identify = identify(&ide);
    assert_eq!(identify.word(80), 0b1111 << 4);
    assert_eq!(identify.word(81), 0x16);
}

/// [Words 82, 83, 84] NOP, write cache and SMART; FLUSH CACHE with EXT and 48-bit addresses. Bit 14 of words 83 and 84 is one, bit 15
/// zero: only then are the words valid.
#[testjig::test(on = Channel, launch = disk)]
fn supported_command_sets_are_told(ide: Channel) {
    let identify = identify(&ide);
    assert_eq!(identify.word(82), 1 << 14 | 1 << 5 | 1);
    assert_eq!(identify.word(83), 1 << 14 | 1 << 13 | 1 << 12 | 1 << 10);
    assert_eq!(identify.word(84), 1 << 14);
}

/// [Words 85, 86, 87] All of it is enabled after power-on.
#[testjig::test(on = Channel, launch = disk)]
fn supported_command_sets_are_enabled(ide: Channel) {
    let identify = identify(&ide);
    assert_eq!(identify.word(85), identify.word(82));
    assert_eq!(identify.word(86), 1 << 13 | 1 << 12 | 1 << 10);
    assert_eq!(identify.word(87), identify.word(84));
}

/// [Word 93] Bits 15:14 are 01: the result of the reset is valid. Bit 13: CBLID- was seen high, an 80-conductor cable. Bit 0 is one.
#[testjig::test(on = Channel, launch = disk)]
fn the_cable_has_80_conductors(ide: Channel) {
    assert_eq!(identify(&ide).word(93), 1 << 14 | 1 << 13 | 1);
}

/// [Word 47] 80h and the most sectors of a block. [Word 59] Bit 8 and the sectors of one now: READ MULTIPLE works from power-on.
#[testjig::test(on = Channel, launch = disk)]
fn blocks_have_16_sectors_at_most_and_at_first(ide: Channel) {
    let identify = identify(&ide);
    assert_eq!(identify.word(47), 0x8000 | 16);
    assert_eq!(identify.per_block(), Some(16));
}

/// [Reserved words] Those that no standard up to ATA8-ACS gives a meaning that this drive has are zero.
#[testjig::test(on = Channel, launch = disk)]
fn all_other_words_are_zero(ide: Channel) {
    let identify = identify(&ide);
    let told = [
        0..=1,
        3..=6,
        10..=23,
        24..=49,
        51..=68,
        69..=69,
        80..=88,
        93..=93,
        100..=101,
        106..=106,
        169..=169,
    ];
    let others = (0..256)
        .filter(|word| !told.iter().any(|range| range.contains(word)))
        .filter(|&word| identify.word(word) != 0);
    assert_eq!(others.collect::<Vec<_>>(), [0; 0]);
}

fn world_wide_named(launch: Launch) -> Launch {
    disk_with(launch, |device| device.prop("wwn", "0x5000123456789abc"))
}

/// [Words 84, 87 bit 8; words 108–111] The world wide name, most significant word first.
#[testjig::test(on = Channel, launch = world_wide_named)]
fn a_world_wide_name_is_told(ide: Channel) {
    let identify = identify(&ide);
    assert_eq!(identify.world_wide_name(), 0x5000_1234_5678_9abc);
    let (supported, enabled) = identify.set3();
    assert!(supported.world_wide_name() && enabled.world_wide_name());
    assert!(supported.one() && enabled.one() && !supported.zero());
}

/// [Word 106] Bits 15:14 are 01; several logical sectors make a physical one of 512 · 2ⁿ bytes.
#[testjig::test(
    on = Channel,
    launch = |launch| disk_with(launch, |device| device.prop("physical_block_size", bytes)),
    vary(bytes = [512, 4096, 32768])
)]
fn physical_sectors_are_told(ide: Channel, bytes: u64) {
    let sizes = identify(&ide).sector_sizes();
    assert!(sizes.one() && !sizes.zero());
    assert!(!sizes.long_logical());
    assert_eq!(512 << sizes.logical_per_physical(), bytes);
}

/// [Word 217, ATA8-ACS] The rotation rate in revolutions a minute; 1 is a disk that does not rotate.
#[testjig::test(
    on = Channel,
    launch = |launch| disk_with(launch, |device| device.prop("rotation_rate", rate)),
    vary(rate = [1, 7200])
)]
fn the_rotation_rate_is_told(ide: Channel, rate: u16) {
    assert_eq!(identify(&ide).word(217), rate);
}

/// [Word 169 bit 0, ATA8-ACS] TRIM is supported. [Word 69 bit 14] Trimmed sectors read the same each time.
#[testjig::test(
    on = Channel,
    launch = |launch| disk_with(launch, |device| device.prop("discard_granularity", granularity)),
    vary(granularity = [0, 512])
)]
fn trim_is_told(ide: Channel, granularity: u64) {
    let identify = identify(&ide);
    assert_eq!(identify.word(169), u16::from(granularity != 0));
    assert_eq!(identify.word(69), u16::from(granularity != 0) << 14);
}

fn write_through(launch: Launch) -> Launch {
    disk_with(launch, |device| device.prop("write-cache", "off"))
}

/// [Word 85 bit 5] The write cache is enabled, or not; [word 82 bit 5] supported either way.
#[testjig::test(on = Channel, launch = write_through)]
fn a_disabled_write_cache_is_told(ide: Channel) {
    let (supported, enabled) = identify(&ide).set1();
    assert!(supported.write_cache());
    assert!(!enabled.write_cache());
    assert!(enabled.nop() && enabled.smart());
}

/// The answer is the same however often it is asked for.
#[testjig::test(on = Channel, launch = disk)]
fn a_second_answer_is_the_same(ide: Channel) {
    assert_eq!(identify(&ide), identify(&ide));
}

/// [IDENTIFY DEVICE] A packet device aborts it, with its signature in the command block.
#[testjig::test(on = Channel, launch = empty_cd)]
fn a_packet_device_aborts_with_its_signature(ide: Channel) {
    use testjig::qos::dev::ata::{Command, Signature, Taskfile};

    let ending = ide.execute(&Taskfile::new(Command::IDENTIFY_DEVICE));
    assert!(ending.is_aborted(), "{ending:?}");
    assert_eq!(ide.signature(), Signature::ATAPI);
}

/// [CompactFlash, Identify Device, word 0] 848Ah: a CompactFlash card. [Words 7–8] Sectors of the card, high word first.
#[testjig::test(on = Channel, launch = card)]
fn a_card_says_that_it_is_one(ide: Channel) {
    let identify = identify(&ide);
    assert_eq!(identify.word(0), 0x848a);
    assert_eq!(identify.chs(), Chs::new(40, 16, 63));
    assert_eq!(identify.current_chs(), identify.chs());
    assert_eq!(
        u64::from(identify.current_capacity()),
        identify.chs().capacity()
    );
    let sectors = u32::from(identify.word(7)) << 16 | u32::from(identify.word(8));
    assert_eq!(u64::from(sectors), SECTORS);
    assert_eq!(u64::from(identify.lba28_sectors()), SECTORS);
    assert_eq!(identify.model(), format!("{:40}", "QEMU MICRODRIVE"));
    assert_eq!(identify.per_block(), None);
    let (supported, enabled) = identify.set2();
    assert!(enabled.cfa() && supported.one());
}
