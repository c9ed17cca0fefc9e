//! The ports, the index and the bytes of RAM.

use super::*;

/// Index 0x0e on is RAM, to the end of what seven bits reach; without the two indices of the century.
fn ram() -> impl Iterator<Item = Reg> {
    (0x0e..=0x7f)
        .map(Reg::at)
        .filter(|&reg| reg != Reg::CENTURY && reg != Reg::CENTURY_PS2)
}

/// A value of its own for each index, none of them the index itself.
fn pattern(reg: Reg) -> u8 {
    reg.index().wrapping_mul(3) ^ 0xa5
}

/// [Static CMOS RAM] General purpose RAM bytes are not affected by the clock.
#[testjig::test(on = Mc146818, needs(clock))]
fn ram_bytes_keep_what_is_written(rtc: Mc146818, vm: &Vm) {
    ram().for_each(|reg| rtc.write(reg, pattern(reg)));
    vm.clock().step(2 * SECOND);
    let read: Vec<u8> = ram().map(|reg| rtc.read(reg)).collect();
    assert_eq!(read, ram().map(pattern).collect::<Vec<_>>());
}

/// [Static CMOS RAM] All eight bits of a byte are RAM.
#[testjig::test(on = Mc146818)]
fn a_ram_byte_holds_any_value(rtc: Mc146818) {
    for value in [0x00, 0x55, 0xaa, 0xff] {
        rtc.write(Reg::at(0x40), value);
        assert_eq!(rtc.read(Reg::at(0x40)), value, "{value:#x}");
    }
}

/// [PC/AT, port 70H] Bit 7 masks the NMI: it is not part of the index.
#[testjig::test(on = Mc146818)]
fn bit_7_of_the_index_port_is_not_part_of_the_index(rtc: Mc146818) {
    for index in [0x0e, 0x41, 0x7f] {
        rtc.write(Reg::at(index), 0x5a);
        rtc.select(0x80 | index);
        assert_eq!(rtc.read_selected(), 0x5a, "{index:#x}");
        rtc.write_selected(0xc3);
        assert_eq!(rtc.read(Reg::at(index)), 0xc3, "{index:#x}");
    }
}

/// [PC/AT, port 70H] The index is latched: it stays for any number of accesses.
#[testjig::test(on = Mc146818)]
fn the_index_stays_selected(rtc: Mc146818) {
    rtc.select(0x50);
    rtc.write_selected(0x11);
    assert_eq!(rtc.read_selected(), 0x11);
    rtc.write_selected(0x22);
    assert_eq!(rtc.read_selected(), 0x22);
}

/// [PC/AT, port 70H] The index port is write-only: a read finds an undriven bus, and leaves the index alone.
#[testjig::test(on = Mc146818)]
fn the_index_port_reads_as_an_undriven_bus(rtc: Mc146818) {
    rtc.write(Reg::at(0x50), 0x33);
    assert_eq!(rtc.io().inb(0), 0xff);
    assert_eq!(rtc.read_selected(), 0x33);
}

/// [ISA] A word access to an 8-bit device is two byte accesses, the lower port first.
#[testjig::test(on = Mc146818)]
fn a_word_write_selects_and_writes(rtc: Mc146818) {
    rtc.io().outw(0, 0x7e_51);
    assert_eq!(rtc.read(Reg::at(0x51)), 0x7e);
}

/// [PC/AT, byte 32H] A started machine's century byte belongs to its date.
#[testjig::test(on = Mc146818)]
fn the_century_is_at_32h(rtc: Mc146818) {
    assert_eq!(rtc.read(Reg::CENTURY), 0x20);
    assert_eq!(rtc.read(Reg::YEAR), 0x26);
}

/// [PS/2, byte 37H] The same byte under the index that IBM's PS/2 uses for it.
#[testjig::test(on = Mc146818)]
fn the_century_reads_at_37h_too(rtc: Mc146818) {
    rtc.set_date(Date::new(1987, 4, 2));
    assert_eq!(rtc.read(Reg::CENTURY_PS2), 0x19);
    assert_eq!(rtc.read_selected(), 0x19);
}

/// [PS/2, byte 37H] The same byte under the index that IBM's PS/2 uses for it.
#[testjig::test(on = Mc146818, vary(hold = [false, true]))]
fn the_century_can_be_written_at_37h_too(rtc: Mc146818, hold: bool) {
    rtc.set_b(IDLE.with_set(hold));
    rtc.write(Reg::CENTURY_PS2, 0x19);
    assert_eq!(rtc.read_selected(), 0x19);
    assert_eq!(rtc.read(Reg::CENTURY), 0x19);
    assert_eq!(rtc.date().year, 1926);
}
