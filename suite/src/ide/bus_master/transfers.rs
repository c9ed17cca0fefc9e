//! Reads and writes whose tables fit.

use super::*;
use testjig::qos::dev::ata::Unit;
use testjig::vm::EdgeKind::Raise;

/// [READ DMA and its siblings] Data goes from the medium to memory.
#[testjig::test(
    on = PiixIde,
    launch = disk,
    vary(command = [Command::READ_DMA, Command::READ_DMA_NO_RETRY, Command::READ_DMA_EXT])
)]
fn a_read_fills_memory(ide: PiixIde, vm: &Vm, command: Command) {
    let Port { ata, bus_master } = ide.primary();
    let data = pattern(1, 3 * SECTOR);
    vm.disk("hd0").write(77 * SECTOR as u64, &data);
    let buffer = buffer(&ide, data.len());
    let table = ide.table(&[whole(&buffer)]);
    let task = dma(command, 77, 3);
    assert_done(bus_master.transfer(&ata, &task, &table, Direction::ToMemory));
    assert_eq!(buffer.to_vec(), data);
}

/// [WRITE DMA and its siblings] Data goes from memory to the medium, and not beyond.
#[testjig::test(
    on = PiixIde,
    launch = disk,
    vary(command = [Command::WRITE_DMA, Command::WRITE_DMA_NO_RETRY, Command::WRITE_DMA_EXT])
)]
fn a_write_reaches_the_medium(ide: PiixIde, vm: &Vm, command: Command) {
    let Port { ata, bus_master } = ide.primary();
    let buffer = buffer(&ide, 3 * SECTOR);
    buffer.write(0, &pattern(1, 3 * SECTOR));
    let table = ide.table(&[whole(&buffer)]);
    let task = dma(command, 77, 3);
    assert_done(bus_master.transfer(&ata, &task, &table, Direction::FromMemory));
    let image = vm.disk("hd0");
    let mut written = vec![0; 3 * SECTOR];
    image.read(77 * SECTOR as u64, &mut written);
    assert_eq!(written, buffer.to_vec());
    assert_eq!(image.sector(76), [0; SECTOR]);
    assert_eq!(image.sector(80), [0; SECTOR]);
}

fn dma(command: Command, lba: u32, count: u16) -> Taskfile {
    let address = match command {
        Command::READ_DMA_EXT | Command::WRITE_DMA_EXT => Address::Lba48(lba.into()),
        _ => Address::Lba28(lba),
    };
    Taskfile::new(command).at(address).count(count)
}

/// [DMA command protocol] One interrupt at the end, however many sectors.
#[testjig::test(on = PiixIde, launch = disk)]
fn a_transfer_has_one_interrupt(ide: PiixIde, vm: &Vm) {
    let Port { ata, bus_master } = ide.primary();
    let irq = vm.intercept(ata.irq());
    let buffer = buffer(&ide, 16 * SECTOR);
    let table = ide.table(&[whole(&buffer)]);
    assert_done(bus_master.transfer(&ata, &read(0, 16), &table, Direction::ToMemory));
    assert_eq!(irq.edges(), [Raise]);
    assert_eq!(ata.ending().count, 0);
    ata.status();
    assert!(!irq.level());
}

/// [Sector Count] 0000h in a 48-bit command: 65,536 sectors, 32 MiB, by a table of 512 descriptors of 64 KiB, as long as a table gets.
#[testjig::test(on = PiixIde, launch = |launch| disk_of(launch, 65537).memory(256 * MIB))]
fn the_longest_transfer_is_32_mib(ide: PiixIde, vm: &Vm) {
    let Port { ata, bus_master } = ide.primary();
    let image = vm.disk("hd0");
    image.set_sector(1, &sector(1));
    image.set_sector(0x8000, &sector(2));
    image.set_sector(65536, &sector(3));
    let buffer = buffer(&ide, 65536 * SECTOR);
    let parts: Vec<Prd> = (0..512)
        .map(|part| Prd {
            flags: if part == 511 { Prd::END } else { 0 }.into(),
            ..Prd::new((buffer.addr() + part * 0x1_0000) as u32, 0)
        })
        .collect();
    let table = ide.table(&parts);
    let task = Taskfile::new(Command::READ_DMA_EXT).at(Address::Lba48(1));
    assert_done(bus_master.transfer(&ata, &task, &table, Direction::ToMemory));
    assert_eq!(buffer.read_vec(0, SECTOR), sector(1));
    assert_eq!(buffer.read_vec(0x7fff * SECTOR as u64, SECTOR), sector(2));
    assert_eq!(buffer.read_vec(0xffff * SECTOR as u64, SECTOR), sector(3));
}

fn disk_of(launch: Launch, sectors: u64) -> Launch {
    launch
        .drive(Drive::new("hd0", Image::zeroed(sectors * SECTOR as u64)))
        .device(
            Device::new("ide-hd")
                .bus("ide.0")
                .prop("unit", 0)
                .prop("drive", "hd0"),
        )
}

/// [Sector Count] 00h in a 28-bit command: 256 sectors.
#[testjig::test(on = PiixIde, launch = disk)]
fn count_0_is_256_sectors(ide: PiixIde, vm: &Vm) {
    let Port { ata, bus_master } = ide.primary();
    let data = pattern(1, 256 * SECTOR);
    vm.disk("hd0").write(0, &data);
    let buffer = buffer(&ide, data.len());
    let base = buffer.addr() as u32;
    let table = ide.table(&[Prd::new(base, 0), Prd::last(base + 0x1_0000, 0)]);
    assert_done(bus_master.transfer(&ata, &read(0, 0), &table, Direction::ToMemory));
    assert_eq!(buffer.to_vec(), data);
}

/// Both devices of a channel have one bus master; the command goes to the selected one.
#[testjig::test(on = PiixIde, launch = two_disks)]
fn device_1_transfers(ide: PiixIde, vm: &Vm) {
    let Port { ata, bus_master } = ide.primary();
    vm.disk("hd1").set_sector(5, &sector(5));
    let buffer = buffer(&ide, SECTOR);
    let table = ide.table(&[whole(&buffer)]);
    let task = read(5, 1).to(Unit::Device1);
    assert_done(bus_master.transfer(&ata, &task, &table, Direction::ToMemory));
    assert_eq!(buffer.to_vec(), sector(5));
}

/// The secondary channel has a bus master of its own.
#[testjig::test(on = PiixIde, launch = secondary)]
fn the_secondary_channel_transfers(ide: PiixIde, vm: &Vm) {
    let Port { ata, bus_master } = ide.secondary();
    vm.disk("hd2").set_sector(5, &sector(5));
    let buffer = buffer(&ide, SECTOR);
    let table = ide.table(&[whole(&buffer)]);
    assert_done(bus_master.transfer(&ata, &read(5, 1), &table, Direction::ToMemory));
    assert_eq!(buffer.to_vec(), sector(5));
    assert_eq!(ide.primary().bus_master.status(), BmStatus::new());
}

fn secondary(launch: Launch) -> Launch {
    launch
        .drive(Drive::new("hd2", Image::zeroed(4096 * SECTOR as u64)))
        .device(
            Device::new("ide-hd")
                .bus("ide.1")
                .prop("unit", 0)
                .prop("drive", "hd2"),
        )
}

/// [READ DMA, error outputs] Beyond the disk: ERR, the interrupt, the bus master no longer active, memory untouched.
#[testjig::test(on = PiixIde, launch = disk, vary(lba = [SECTORS as u32, SECTORS as u32 - 1, 0x0fff_ffff]))]
fn a_read_beyond_the_disk_fails(ide: PiixIde, lba: u32) {
    let Port { ata, bus_master } = ide.primary();
    let buffer = buffer(&ide, 2 * SECTOR);
    buffer.fill(0x5a);
    let table = ide.table(&[whole(&buffer)]);
    let (status, ending) = bus_master.transfer(&ata, &read(lba, 2), &table, Direction::ToMemory);
    assert!(ending.status.err() && !ending.status.drq(), "{ending:?}");
    assert!(ending.error.aborted() || ending.error.id_not_found());
    assert!(status.interrupt() && !status.active(), "{status:?}");
    assert_eq!(buffer.to_vec(), [0x5a; 2 * SECTOR]);
}

/// [WRITE DMA, error outputs] Beyond the disk: ERR, and the medium untouched.
#[testjig::test(on = PiixIde, launch = disk)]
fn a_write_beyond_the_disk_fails(ide: PiixIde, vm: &Vm) {
    let Port { ata, bus_master } = ide.primary();
    let buffer = buffer(&ide, 2 * SECTOR);
    let table = ide.table(&[whole(&buffer)]);
    let task = write(SECTORS as u32, 2);
    let (status, ending) = bus_master.transfer(&ata, &task, &table, Direction::FromMemory);
    assert!(ending.status.err(), "{ending:?}");
    assert!(status.interrupt() && !status.active(), "{status:?}");
    assert_eq!(vm.disk("hd0").len(), SECTORS * SECTOR as u64);
}
