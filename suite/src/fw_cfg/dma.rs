//! DMA that succeeds: read, skip, select, and what they do to the position. [Guest-side DMA Interface] is meant throughout.

use testjig::prelude::*;
use testjig::qos::dev::fw_cfg::{Control, Dma, DmaAccess, FwCfg, Key};

use super::pc::PcFwCfg;

/// "length bytes for the current selector and offset will be copied into the physical RAM address specified by the address field", and
/// not one more.
#[testjig::test(on = FwCfg, launch = with_digits)]
fn a_read_copies_as_many_bytes_as_asked(fw: FwCfg) {
    let dma = Dma::new(&fw);
    assert_eq!(dma.run(Control::READ.of(fw.key(DIGITS)), 4), Control::DONE);
    assert_eq!(dma.buffer(8), b"0123\xaa\xaa\xaa\xaa");
}

/// Reads follow each other, with or without DMA.
#[testjig::test(on = FwCfg, launch = with_digits)]
fn reads_continue_where_the_last_one_ended(fw: FwCfg) {
    let dma = Dma::new(&fw);
    fw.select(fw.key(DIGITS));
    assert_eq!(dma.run(Control::READ, 3), Control::DONE);
    assert_eq!(dma.buffer(4), b"012\xaa");
    assert_eq!(fw.bytes(2), b"34");
    assert_eq!(dma.run(Control::READ, 1), Control::DONE);
    assert_eq!(dma.buffer(2), b"51");
    assert_eq!(fw.byte(), b'6');
}

/// "if the control field has bit 3 set, the upper 16 bits are interpreted as an index of a firmware configuration item. This has the
/// same effect as writing the selector register."
#[testjig::test(on = FwCfg, launch = with_digits)]
fn selecting_begins_at_the_first_byte(fw: FwCfg) {
    let dma = Dma::new(&fw);
    let digits = fw.key(DIGITS);
    fw.item(digits, 5);
    assert_eq!(dma.run(Control::DONE.of(digits), 0), Control::DONE);
    assert_eq!(fw.bytes(2), b"01");
    assert_eq!(dma.run(Control::DONE.of(Key::SIGNATURE), 7), Control::DONE);
    assert_eq!(fw.bytes(4), b"QEMU");
}

/// Without bit 3 the upper 16 bits mean nothing.
#[testjig::test(on = FwCfg, launch = with_digits)]
fn a_key_without_the_select_bit_is_ignored(fw: FwCfg) {
    let dma = Dma::new(&fw);
    fw.select(fw.key(DIGITS));
    fw.bytes(2);
    assert_eq!(dma.run(Control::READ.with_key(Key::ID), 3), Control::DONE);
    assert_eq!(dma.buffer(4), b"234\xaa");
}

/// "The offset for the current selector will be advanced length bytes", and nothing is copied.
#[testjig::test(on = FwCfg, launch = with_digits)]
fn a_skip_moves_the_position_and_nothing_else(fw: FwCfg) {
    let dma = Dma::new(&fw);
    assert_eq!(dma.run(Control::SKIP.of(fw.key(DIGITS)), 4), Control::DONE);
    assert_eq!(fw.byte(), b'4');
    assert_eq!(dma.run(Control::SKIP, 2), Control::DONE);
    assert_eq!(fw.byte(), b'7');
    assert_eq!(dma.buffer(8), [Dma::FILL; 8]);
}

/// A skip may end behind the item, where reads give zeroes.
#[testjig::test(on = FwCfg, launch = with_digits)]
fn a_skip_may_leave_the_item(fw: FwCfg) {
    for length in [10, 11, 4096, u32::MAX] {
        let dma = Dma::new(&fw);
        assert_eq!(
            dma.run(Control::SKIP.of(fw.key(DIGITS)), length),
            Control::DONE,
            "{length:#x}"
        );
        assert_eq!(fw.bytes(2), [0, 0], "{length:#x}");
        assert_eq!(dma.run(Control::SKIP, 1), Control::DONE, "{length:#x}");
        assert_eq!(dma.run(Control::READ, 2), Control::DONE, "{length:#x}");
        assert_eq!(dma.buffer(3), [0, 0, Dma::FILL], "{length:#x}");
    }
}

/// A skip to the item's last byte leaves that one to be read.
#[testjig::test(on = FwCfg, launch = with_digits)]
fn a_skip_may_end_before_the_last_byte(fw: FwCfg) {
    let dma = Dma::new(&fw);
    assert_eq!(dma.run(Control::SKIP.of(fw.key(DIGITS)), 9), Control::DONE);
    assert_eq!(fw.bytes(2), b"9\0");
}

/// [Data Register] "any reads will return a data value of 0x00" behind the item's end: a read across it is padded.
#[testjig::test(on = FwCfg, launch = with_digits)]
fn a_read_across_the_end_is_padded_with_zeroes(fw: FwCfg) {
    let dma = Dma::new(&fw);
    assert_eq!(dma.run(Control::READ.of(fw.key(DIGITS)), 14), Control::DONE);
    assert_eq!(dma.buffer(16), b"0123456789\0\0\0\0\xaa\xaa");
}

/// A read of all bytes needs no padding, and one more gets it.
#[testjig::test(on = FwCfg, launch = with_digits)]
fn a_read_up_to_the_end_is_exact(fw: FwCfg) {
    let dma = Dma::new(&fw);
    assert_eq!(dma.run(Control::READ.of(fw.key(DIGITS)), 10), Control::DONE);
    assert_eq!(dma.buffer(11), b"0123456789\xaa");
    assert_eq!(dma.run(Control::READ, 1), Control::DONE);
    assert_eq!(dma.buffer(2), b"\x001");
}

/// An item that is not there has no bytes.
#[testjig::test(on = FwCfg)]
fn a_read_of_nothing_is_all_zeroes(fw: FwCfg) {
    for key in NOTHING {
        let dma = Dma::new(&fw);
        fw.select(Key::SIGNATURE);
        assert_eq!(dma.run(Control::READ.of(key), 6), Control::DONE, "{key:?}");
        assert_eq!(
            dma.buffer(8),
            [0, 0, 0, 0, 0, 0, Dma::FILL, Dma::FILL],
            "{key:?}"
        );
        assert_eq!(dma.run(Control::SKIP, 6), Control::DONE, "{key:?}");
        assert_eq!(fw.byte(), 0, "{key:?}");
    }
}

/// Keys below, among and above those of the files, generic and the architecture's.
const NOTHING: [Key; 6] = [
    Key::from_bits(0x001f),
    Key::from_bits(0x003f),
    Key::from_bits(0x3fff),
    Key::from_bits(0x8001),
    Key::from_bits(0xbfff),
    Key::from_bits(0xffff),
];

/// Length 0 is nothing to do.
#[testjig::test(on = FwCfg, launch = with_digits)]
fn length_0_is_done_at_once(fw: FwCfg) {
    for control in [Control::READ, Control::SKIP, Control::WRITE] {
        let dma = Dma::new(&fw);
        fw.select(fw.key(DIGITS));
        fw.byte();
        assert_eq!(dma.run(control, 0), Control::DONE, "{control:?}");
        assert_eq!(dma.buffer(4), [Dma::FILL; 4], "{control:?}");
        assert_eq!(fw.byte(), b'1', "{control:?}");
    }
}

/// Neither read nor write nor skip: nothing is copied and the position stays.
#[testjig::test(on = FwCfg, launch = with_digits)]
fn without_operation_nothing_happens(fw: FwCfg) {
    for control in IDLE {
        let dma = Dma::new(&fw);
        fw.select(fw.key(DIGITS));
        fw.byte();
        assert_eq!(dma.run(control, 4), Control::DONE, "{control:?}");
        assert_eq!(dma.buffer(4), [Dma::FILL; 4], "{control:?}");
        assert_eq!(fw.byte(), b'1', "{control:?}");
    }
}

/// No bit, the error bit, all bits without meaning, and those together with a key that is not to be selected.
const IDLE: [Control; 4] = [
    Control::DONE,
    Control::ERROR,
    Control::from_bits(0x0000_ffe0),
    Control::from_bits(0xffff_ffe1),
];

/// "If the control field has bit 4 set (and not bit 1), a write operation will be performed", "if the control field has bit 2 set (and
/// neither bit 1 nor bit 4), a skip operation": a read goes before both.
#[testjig::test(on = FwCfg, launch = with_digits)]
fn a_read_goes_before_write_and_skip(fw: FwCfg) {
    for others in [
        Control::SKIP,
        Control::WRITE,
        Control::WRITE.with_skip(true),
    ] {
        let dma = Dma::new(&fw);
        let control = others.with_read(true).of(fw.key(DIGITS));
        assert_eq!(dma.run(control, 3), Control::DONE, "{others:?}");
        assert_eq!(dma.buffer(4), b"012\xaa", "{others:?}");
        assert_eq!(fw.byte(), b'3', "{others:?}");
    }
}

/// "All bits cleared: Transfer finished successfully", the error bit and those without meaning too.
#[testjig::test(on = FwCfg, launch = with_digits)]
fn bits_without_meaning_change_nothing_and_are_cleared(fw: FwCfg) {
    for bits in [0x0001, 0x0020, 0x8000, 0xffe1] {
        let dma = Dma::new(&fw);
        let control = Control::READ.of(fw.key(DIGITS)).into_bits() | bits;
        assert_eq!(dma.run(control.into(), 3), Control::DONE, "{bits}");
        assert_eq!(dma.buffer(4), b"012\xaa", "{bits}");
    }
}

/// Of the descriptor only the control field is written.
#[testjig::test(on = FwCfg, launch = with_digits)]
fn length_and_address_stay_as_they_were(fw: FwCfg, vm: &Vm) {
    for length in [4, 14] {
        let dma = Dma::new(&fw);
        dma.run(Control::READ.of(fw.key(DIGITS)), length);
        let access = DmaAccess {
            control: Control::DONE,
            length,
            address: dma.buffer_address(),
        };
        assert_eq!(
            vm.ram().read_vec(dma.descriptor_address(), 16),
            access.to_bytes(),
            "{length:#x}"
        );
        assert_eq!(
            vm.ram().read_vec(dma.descriptor_address() + 16, 4),
            [0; 4],
            "{length:#x}"
        );
    }
}

/// "The fields of the structure are in big endian mode": one in little-endian order asks for nothing, and is done.
#[testjig::test(on = FwCfg, launch = with_digits)]
fn a_little_endian_descriptor_asks_for_nothing(fw: FwCfg, vm: &Vm) {
    let dma = Dma::new(&fw);
    let digits = fw.key(DIGITS);
    let access = DmaAccess {
        control: Control::READ.of(digits),
        length: 4,
        address: dma.buffer_address(),
    };
    let mut bytes = access.to_bytes();
    bytes[..4].reverse();
    bytes[4..8].reverse();
    bytes[8..].reverse();
    fw.item(digits, 2);
    vm.ram().write(dma.descriptor_address(), &bytes);
    fw.start_dma(dma.descriptor_address());
    assert_eq!(dma.control(), Control::DONE);
    assert_eq!(dma.buffer(4), [Dma::FILL; 4]);
    assert_eq!(fw.byte(), b'2');
}

/// [Selector] keys with bit 14 or 15 reach what they reach by the selector register.
#[testjig::test(on = PcFwCfg, launch = with_digits)]
fn keys_have_the_same_bits_as_in_the_selector(fw: PcFwCfg) {
    let dma = Dma::new(&fw);
    assert_eq!(dma.read(fw.key(DIGITS).with_write(true), 4), b"0123");
    assert_eq!(dma.read(fw.key(DIGITS).with_arch_local(true), 4), [0; 4]);
    assert_eq!(dma.read(Key::IRQ0_OVERRIDE, 4), [1, 0, 0, 0]);
    assert_eq!(
        dma.read(Key::IRQ0_OVERRIDE.with_write(true), 4),
        [1, 0, 0, 0]
    );
    assert_eq!(
        dma.read(Key::IRQ0_OVERRIDE.with_arch_local(false), 4),
        [0; 4]
    );
}

/// The buffer may begin at any byte, and cross pages.
#[testjig::test(on = FwCfg, launch = with_digits)]
fn the_buffer_may_be_anywhere(fw: FwCfg, vm: &Vm) {
    for offset in [1, 7, 0xffb] {
        let dma = Dma::new(&fw);
        let address = dma.buffer_address() + offset;
        assert_eq!(
            dma.run_at(Control::READ.of(fw.key(DIGITS)), 10, address),
            Control::DONE,
            "{offset:#x}"
        );
        assert_eq!(
            vm.ram().read_vec(address - 1, 12),
            b"\xaa0123456789\xaa",
            "{offset:#x}"
        );
    }
}

/// "uint64_t address": all 64 bits count.
#[testjig::test(on = FwCfg, launch = |l| with_digits(l).memory(5 * GIB))]
fn the_buffer_may_be_above_4_gib(fw: FwCfg, vm: &Vm) {
    let dma = Dma::new(&fw);
    let address = 4 * GIB + dma.buffer_address();
    assert_eq!(
        dma.run_at(Control::READ.of(fw.key(DIGITS)), 10, address),
        Control::DONE
    );
    assert_eq!(vm.ram().read_vec(address, 11), b"0123456789\0");
    assert_eq!(dma.buffer(2), [Dma::FILL; 2]);
}

/// An operation does not know of the one before: length and control are its own.
#[testjig::test(on = FwCfg, launch = with_digits)]
fn operations_follow_each_other(fw: FwCfg) {
    let dma = Dma::new(&fw);
    let digits = fw.key(DIGITS);
    for _ in 0..3 {
        dma.clear();
        assert_eq!(dma.run(Control::SKIP.of(digits), 1), Control::DONE);
        assert_eq!(dma.run(Control::READ, 2), Control::DONE);
        assert_eq!(dma.buffer(3), b"12\xaa");
    }
}

const DIGITS: &str = "opt/digits";

fn with_digits(launch: Launch) -> Launch {
    launch.fw_cfg_string(DIGITS, "0123456789")
}
