//! The bytes that are no registers.

use testjig::devices::SPARC_SS5_M48T08;
use testjig::machines::SparcSs5;
use testjig::qos::bus::Mmio;

use super::*;

/// A value of its own for each byte of any 251 that follow each other.
fn pattern(address: u16) -> u8 {
    (address % 251) as u8 ^ 0xa5
}

/// [§1, Table 5] Every byte below the registers is RAM, on its own, and the clock does not touch it.
#[testjig::test(on = Timekeeper, needs(clock))]
fn every_byte_below_the_registers_is_ram(rtc: Timekeeper, vm: &Vm) {
    let addresses = 0..rtc.ram_size();
    addresses
        .clone()
        .for_each(|address| rtc.set_byte(address, pattern(address)));
    vm.clock().step(SECOND);
    let read: Vec<u8> = addresses.clone().map(|address| rtc.byte(address)).collect();
    assert_eq!(read, addresses.map(pattern).collect::<Vec<_>>());
}

/// [§2.2] A byte holds any value.
#[testjig::test(on = Timekeeper)]
fn a_byte_holds_any_value(rtc: Timekeeper) {
    for value in 0..=0xff {
        rtc.set_byte(0x123, value);
        assert_eq!(rtc.byte(0x123), value);
    }
}

/// [§1] The RAM is on battery: a reset of the machine changes nothing.
#[testjig::test(on = Timekeeper)]
fn ram_survives_a_reset(rtc: Timekeeper, vm: &Vm) {
    let ends = [0, rtc.ram_size() / 2, rtc.ram_size() - 1];
    for address in ends {
        rtc.set_byte(address, pattern(address));
    }
    vm.reset();
    rtc.reach();
    assert_eq!(ends.map(|address| rtc.byte(address)), ends.map(pattern));
}

/// [§2.2] The chip is a byte wide: a wider access is its bytes in the order of addresses, on a big-endian machine the highest first.
#[testjig::test(on = SparcSs5)]
fn a_wide_access_is_its_bytes_in_order(vm: &Vm) {
    let array = Mmio::new(vm, SPARC_SS5_M48T08);
    array.writel(0x10, 0x1234_5678);
    assert_eq!(
        [0, 1, 2, 3].map(|at| array.readb(0x10 + at)),
        [0x12, 0x34, 0x56, 0x78]
    );
    array.writeb(0x12, 0x9a);
    assert_eq!(
        (array.readw(0x11), array.readl(0x10)),
        (0x349a, 0x1234_9a78)
    );
}
