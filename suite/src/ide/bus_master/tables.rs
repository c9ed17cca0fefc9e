//! Descriptor tables: parts, limits, and tables that do not fit the transfer.

use super::*;

/// [§1.2] A buffer may be in parts of any even length, anywhere in memory; the data fills them in the order of the table.
#[testjig::test(on = PiixIde, launch = disk)]
fn parts_are_filled_in_order(ide: PiixIde, vm: &Vm) {
    let Port { ata, bus_master } = ide.primary();
    let data = pattern(2, 2 * SECTOR);
    vm.disk("hd0").write(0, &data);
    let (one, two) = (buffer(&ide, SECTOR), buffer(&ide, SECTOR));
    let (low, high) = (one.addr() as u32, two.addr() as u32);
    let table = ide.table(&[
        Prd::new(high + 10, 2),
        Prd::new(low, 500),
        Prd::new(high + 12, 498),
        Prd::new(low + 500, 12),
        Prd::new(high, 10),
        Prd::last(high + 510, 2),
    ]);
    assert_done(bus_master.transfer(&ata, &read(0, 2), &table, Direction::ToMemory));
    assert_eq!(two.read_vec(10, 2), data[..2]);
    assert_eq!(one.read_vec(0, 500), data[2..502]);
    assert_eq!(two.read_vec(12, 498), data[502..1000]);
    assert_eq!(one.read_vec(500, 12), data[1000..1012]);
    assert_eq!(two.read_vec(0, 10), data[1012..1022]);
    assert_eq!(two.read_vec(510, 2), data[1022..]);
}

/// [§1.2] The same, read by the bus master for a write.
#[testjig::test(on = PiixIde, launch = disk)]
fn parts_are_gathered_in_order(ide: PiixIde, vm: &Vm) {
    let Port { ata, bus_master } = ide.primary();
    let data = pattern(2, SECTOR);
    let buffer = buffer(&ide, SECTOR);
    buffer.write(0, &data[200..]);
    buffer.write(312, &data[..200]);
    let base = buffer.addr() as u32;
    let table = ide.table(&[Prd::new(base + 312, 200), Prd::last(base, 312)]);
    assert_done(bus_master.transfer(&ata, &write(4, 1), &table, Direction::FromMemory));
    assert_eq!(vm.disk("hd0").sector(4), data[..]);
}

/// [§1.2, Physical Region Descriptor] Count 0 is 64 KiB.
#[testjig::test(on = PiixIde, launch = disk)]
fn count_0_is_64_kib(ide: PiixIde, vm: &Vm) {
    let Port { ata, bus_master } = ide.primary();
    let data = pattern(2, 128 * SECTOR);
    vm.disk("hd0").write(0, &data);
    let buffer = buffer(&ide, data.len());
    let table = ide.table(&[Prd::last(buffer.addr() as u32, 0)]);
    assert_done(bus_master.transfer(&ata, &read(0, 128), &table, Direction::ToMemory));
    assert_eq!(buffer.to_vec(), data);
}

/// [§1.2] Bit 0 of a count is zero, whatever is written there.
#[testjig::test(on = PiixIde, launch = disk)]
fn a_count_is_even(ide: PiixIde, vm: &Vm) {
    let Port { ata, bus_master } = ide.primary();
    vm.disk("hd0").set_sector(0, &sector(2));
    let buffer = buffer(&ide, SECTOR + 2);
    let base = buffer.addr() as u32;
    let table = ide.table(&[Prd::new(base, 257), Prd::last(base + 256, 257)]);
    assert_done(bus_master.transfer(&ata, &read(0, 1), &table, Direction::ToMemory));
    assert_eq!(buffer.read_vec(0, SECTOR), sector(2));
}

/// [§1.2] Only bits 15:1 of a count and bit 15 of the flags mean anything.
#[testjig::test(on = PiixIde, launch = disk)]
fn reserved_flags_mean_nothing(ide: PiixIde, vm: &Vm) {
    let Port { ata, bus_master } = ide.primary();
    vm.disk("hd0").set_sector(0, &sector(2));
    let buffer = buffer(&ide, SECTOR);
    let base = buffer.addr() as u32;
    let table = ide.table(&[
        Prd {
            flags: 0x7fff.into(),
            ..Prd::new(base, 256)
        },
        Prd {
            flags: 0xffff.into(),
            ..Prd::new(base + 256, 256)
        },
    ]);
    assert_done(bus_master.transfer(&ata, &read(0, 1), &table, Direction::ToMemory));
    assert_eq!(buffer.to_vec(), sector(2));
}

/// [§3.1, interrupt 1, active 1] The regions are larger than the transfer: it is good, and the rest of them untouched.
#[testjig::test(on = PiixIde, launch = disk, vary(extra = [2, 512, 4096]))]
fn a_long_table_leaves_the_bus_master_active(ide: PiixIde, vm: &Vm, extra: usize) {
    let Port { ata, bus_master } = ide.primary();
    vm.disk("hd0").set_sector(0, &sector(2));
    let buffer = buffer(&ide, SECTOR + extra);
    buffer.fill(0x5a);
    let base = buffer.addr() as u32;
    let table = ide.table(&[Prd::new(base, 512), Prd::last(base + 512, extra as u16)]);
    let (status, ending) = bus_master.transfer(&ata, &read(0, 1), &table, Direction::ToMemory);
    assert_eq!(status, DONE.with_active(true));
    assert!(ending.is_good(), "{ending:?}");
    assert!(!bus_master.status().active(), "stopped by software");
    assert_eq!(buffer.read_vec(0, SECTOR), sector(2));
    assert!(
        buffer
            .read_vec(SECTOR as u64, extra)
            .iter()
            .all(|&byte| byte == 0x5a)
    );
}

/// [§3.1, interrupt 1, active 1] The same where one region is larger than the whole transfer.
#[testjig::test(on = PiixIde, launch = disk)]
fn a_long_region_leaves_the_bus_master_active(ide: PiixIde) {
    let Port { ata, bus_master } = ide.primary();
    let buffer = buffer(&ide, SECTOR);
    let table = ide.table(&[Prd::last(buffer.addr() as u32, 0)]);
    let (status, ending) = bus_master.transfer(&ata, &read(0, 1), &table, Direction::ToMemory);
    assert_eq!(status, DONE.with_active(true));
    assert!(ending.is_good(), "{ending:?}");
}

/// [§3.1, interrupt 0, active 0] The regions are smaller than the transfer: no interrupt, and nothing is moved beyond them.
#[testjig::test(on = PiixIde, launch = disk, vary(bytes = [2, 510, 512, 1022]))]
fn a_short_table_ends_without_an_interrupt(ide: PiixIde, vm: &Vm, bytes: u16) {
    let Port { ata, bus_master } = ide.primary();
    let irq = vm.intercept(ata.irq());
    vm.disk("hd0").write(0, &pattern(2, 2 * SECTOR));
    let buffer = buffer(&ide, 2 * SECTOR);
    buffer.fill(0x5a);
    let table = ide.table(&[Prd::last(buffer.addr() as u32, bytes)]);
    let (status, _) = bus_master.transfer(&ata, &read(0, 2), &table, Direction::ToMemory);
    assert_eq!(status, BmStatus::new());
    assert_eq!(irq.edges(), []);
    let rest = buffer.read_vec(bytes.into(), 2 * SECTOR - usize::from(bytes));
    assert!(rest.iter().all(|&byte| byte == 0x5a));
}

/// [§3.1] After a table that was too short the next transfer is as any other.
#[testjig::test(on = PiixIde, launch = disk)]
fn a_transfer_after_a_short_table_is_good(ide: PiixIde, vm: &Vm) {
    let Port { ata, bus_master } = ide.primary();
    vm.disk("hd0").set_sector(9, &sector(2));
    let buffer = buffer(&ide, 2 * SECTOR);
    let short = ide.table(&[Prd::last(buffer.addr() as u32, 512)]);
    bus_master.transfer(&ata, &read(0, 2), &short, Direction::ToMemory);
    ata.software_reset();
    assert_done(bus_master.transfer(&ata, &read(9, 1), &short, Direction::ToMemory));
    assert_eq!(buffer.read_vec(0, SECTOR), sector(2));
}

/// A table whose end nobody marked is read no further than the transfer needs data: 64 KiB of regions for one sector.
#[testjig::test(on = PiixIde, launch = disk)]
fn a_table_without_an_end_does_not_run_away(ide: PiixIde, vm: &Vm) {
    let Port { ata, bus_master } = ide.primary();
    vm.disk("hd0").set_sector(0, &sector(2));
    let buffer = buffer(&ide, SECTOR);
    let table = ide.table(&[Prd::new(buffer.addr() as u32, 512); 600]);
    let (status, ending) = bus_master.transfer(&ata, &read(0, 1), &table, Direction::ToMemory);
    assert!(status.interrupt());
    assert!(ending.is_good(), "{ending:?}");
    assert_eq!(buffer.to_vec(), sector(2));
}

/// [BMIDTP] The table begins on a dword: bits 1:0 are zero.
#[testjig::test(on = PiixIde, launch = disk, vary(misaligned = [1, 2, 3]))]
fn a_table_begins_on_a_dword(ide: PiixIde, vm: &Vm, misaligned: u32) {
    let Port { ata, bus_master } = ide.primary();
    vm.disk("hd0").set_sector(0, &sector(2));
    let buffer = buffer(&ide, SECTOR);
    let table = ide.table(&[whole(&buffer)]);
    bus_master.prepare(&table, Direction::ToMemory);
    bus_master.set_table(table.addr() as u32 + misaligned);
    assert_eq!(u64::from(bus_master.table()), table.addr());
    ata.issue(&read(0, 1));
    bus_master.start();
    assert_eq!(bus_master.wait(), DONE);
    assert_eq!(buffer.to_vec(), sector(2));
}

/// A region where there is no memory: the device's data goes nowhere, and the transfer ends.
#[testjig::test(on = PiixIde, launch = disk, vary(base = [0x4000_0000_u32, 0xe000_0000, 0xffff_fe00]))]
fn a_region_without_memory_loses_the_data(ide: PiixIde, vm: &Vm, base: u32) {
    let Port { ata, bus_master } = ide.primary();
    vm.disk("hd0").write(0, &pattern(2, 2 * SECTOR));
    let buffer = buffer(&ide, SECTOR);
    let table = ide.table(&[Prd::new(base, 512), whole(&buffer)]);
    let (status, _) = bus_master.transfer(&ata, &read(0, 2), &table, Direction::ToMemory);
    assert!(!status.active());
    ata.software_reset();
    vm.disk("hd0").set_sector(0, &sector(7));
    let table = ide.table(&[whole(&buffer)]);
    assert_done(bus_master.transfer(&ata, &read(0, 1), &table, Direction::ToMemory));
    assert_eq!(buffer.to_vec(), sector(7));
}
