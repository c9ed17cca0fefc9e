//! The selector and the data register: which byte a read gives.

use testjig::prelude::*;
use testjig::qos::dev::fw_cfg::{FwCfg, Key};

use super::pc::PcFwCfg;

/// [Selector] "Setting the selector register will cause the data offset to be set to zero."
#[testjig::test(on = FwCfg)]
fn selecting_begins_at_the_first_byte(fw: FwCfg) {
    fw.select(Key::SIGNATURE);
    fw.bytes(3);
    fw.select(Key::SIGNATURE);
    assert_eq!(fw.byte(), b'Q');
}

/// [Data Register] "Each successful access to the data register will increment the data offset by the appropriate access width."
#[testjig::test(on = FwCfg, launch = with_digits)]
fn each_read_moves_on_by_a_byte(fw: FwCfg) {
    fw.select(fw.key(DIGITS));
    let bytes: Vec<_> = (0..10).map(|_| fw.byte()).collect();
    assert_eq!(bytes, b"0123456789");
}

/// [Data Register] "After the data offset has passed the end of this maximum data length, then any reads will return a data value of
/// 0x00"
#[testjig::test(on = FwCfg, launch = with_digits)]
fn past_the_end_there_are_only_zeroes(fw: FwCfg) {
    assert_eq!(fw.item(fw.key(DIGITS), 10), b"0123456789");
    assert_eq!(fw.bytes(1000), [0; 1000]);
}

/// A change of the item forgets how far the one before was read.
#[testjig::test(on = FwCfg, launch = with_digits)]
fn each_item_begins_at_its_own_first_byte(fw: FwCfg) {
    let digits = fw.key(DIGITS);
    assert_eq!(fw.item(Key::SIGNATURE, 2), b"QE");
    assert_eq!(fw.item(digits, 4), b"0123");
    assert_eq!(fw.item(Key::SIGNATURE, 4), b"QEMU");
}

/// [Selector] "configuration write mode is enabled when the selector value is between 0x4000-0x7fff or 0xc000-0xffff", and since QEMU
/// 2.9 "writeability of any specific item is governed independently of Bit14 in the selector key value".
#[testjig::test(on = FwCfg, launch = with_digits)]
fn the_write_bit_selects_the_same_item(fw: FwCfg) {
    let digits = fw.key(DIGITS);
    assert_eq!(fw.item(digits.with_write(true), 4), b"0123");
    assert_eq!(fw.item(Key::SIGNATURE.with_write(true), 4), b"QEMU");
}

/// [Selector] "Bit15 of the selector register indicates whether the configuration setting is architecture specific."
#[testjig::test(on = PcFwCfg, launch = with_digits)]
fn bit_15_selects_the_architectures_own_items(fw: PcFwCfg) {
    let digits = fw.key(DIGITS);
    for generic in [
        Key::SIGNATURE,
        Key::ID,
        Key::RAM_SIZE,
        Key::FILE_DIR,
        digits,
    ] {
        assert_eq!(
            fw.item(generic.with_arch_local(true), 4),
            [0; 4],
            "{generic}"
        );
    }
    assert_eq!(
        fw.item(Key::IRQ0_OVERRIDE.with_arch_local(false), 4),
        [0; 4]
    );
}

/// [Selector] of as many keys as 16 bits have, those without an item read as an item without bytes.
#[testjig::test(on = FwCfg, launch = with_digits)]
fn a_key_without_item_reads_zeroes(fw: FwCfg) {
    for key in NOTHING {
        fw.item(fw.key(DIGITS), 3);
        assert_eq!(fw.item(key, 16), [0; 16], "{key:?}");
        assert_eq!(fw.item(Key::SIGNATURE, 4), b"QEMU", "{key:?}");
    }
}

const NOTHING: [Key; 7] = [
    Key::from_bits(0x001a),
    Key::from_bits(0x001f),
    Key::from_bits(0x3fff),
    Key::from_bits(0x7fff),
    Key::from_bits(0x8005),
    Key::from_bits(0xbfff),
    Key::from_bits(0xffff),
];

/// [Data Register] "writes ignored as of QEMU v2.4"
#[testjig::test(on = FwCfg, launch = with_digits)]
fn writes_to_the_data_register_are_ignored(fw: FwCfg) {
    let digits = fw.key(DIGITS);
    fw.select(digits.with_write(true));
    assert_eq!(fw.byte(), b'0');
    fw.write_byte(0xff);
    assert_eq!(fw.bytes(2), b"12");
    assert_eq!(fw.item(digits, 10), b"0123456789");
}

/// [Selector] "Width: 16-bit": a byte written to the selector's port selects nothing, nor do two words at once.
#[testjig::test(on = PcFwCfg, launch = with_digits)]
fn only_a_word_selects(fw: PcFwCfg) {
    let io = fw.io();
    let digits = fw.key(DIGITS);
    fw.select(digits);
    assert_eq!(fw.byte(), b'0');
    io.outb(0, 0);
    io.outl(0, 0);
    io.outw(1, 0);
    assert_eq!(fw.bytes(2), b"12");
}

/// [Data Register] "Width: 8-bit (if IOport)": wider reads give nothing, and leave the position alone.
#[testjig::test(on = PcFwCfg, launch = with_digits)]
fn only_a_byte_reads(fw: PcFwCfg) {
    let io = fw.io();
    fw.select(fw.key(DIGITS));
    assert_eq!(fw.byte(), b'0');
    assert_eq!(io.inw(0), 0);
    assert_eq!(io.inl(0), 0);
    assert_eq!(fw.bytes(2), b"12");
}

/// [Register Locations] selector 0x510, data 0x511, DMA 0x514: nothing answers at the ports between and behind.
#[testjig::test(on = PcFwCfg)]
fn ports_around_the_registers_are_free(fw: PcFwCfg) {
    let io = fw.io();
    assert_eq!((io.inb(2), io.inb(3), io.inb(12)), (0xff, 0xff, 0xff));
}

const DIGITS: &str = "opt/digits";

/// A file of ten digits, whose bytes tell their position.
fn with_digits(launch: Launch) -> Launch {
    launch.fw_cfg_string(DIGITS, "0123456789")
}
