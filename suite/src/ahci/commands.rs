//! Commands that are not queued: FISes, descriptors, slots.

use super::*;
use testjig::qos::dev::ahci::received;
use testjig::qos::dev::ata::{Error, Identify};

/// [Serial ATA, register FIS from the device] After the engines start the device's signature is received: type 34h, with interrupt.
#[testjig::test(on = Ahci, launch = disk)]
fn the_signature_is_received(hba: Ahci) {
    let engine = hba.port(0).start();
    let fis = engine.received(received::REGISTER);
    assert_eq!(fis[..2], [0x34, 0x40]);
    assert_eq!(Error::from(fis[3]), Error::DIAGNOSTIC_PASSED);
    assert_eq!(fis[4..7], [1, 0, 0]);
    assert_eq!(fis[12], 1);
    assert_eq!(engine.port().read(PortReg::Sig), 0x0000_0101);
    assert_eq!(engine.port().task_file().0.into_bits(), fis[2]);
}

fn named(launch: Launch) -> Launch {
    let device = hd("hd0", 0).prop("serial", "a disk").prop("ver", "1.23");
    launch
        .drive(Drive::new("hd0", Image::zeroed(SECTORS * SECTOR as u64)))
        .device(device)
}

/// [IDENTIFY DEVICE] by PIO: the data, a PIO setup FIS of 512 bytes, the bytes moved; queueing of 32 commands is told.
#[testjig::test(on = Ahci, launch = named)]
fn identify_is_a_pio_transfer(hba: Ahci) {
    let engine = hba.port(0).start();
    let buffer = buffer(&hba, SECTOR);
    let task = Taskfile::new(Command::IDENTIFY_DEVICE);
    let outcome = engine.execute(&Request::new(&task, &[whole(&buffer)]));
    assert!(outcome.is_good(), "{outcome:?}");
    assert!(outcome.interrupts.pio_setup(), "{outcome:?}");
    assert_eq!(outcome.moved, 512);
    let fis = engine.received(received::PIO_SETUP);
    assert_eq!(fis[..2], [0x5f, 0x40]);
    assert_eq!(u16::from_le_bytes([fis[16], fis[17]]), 512);
    let identify = Identify::new(&buffer.to_vec());
    assert_eq!(identify.lba48_sectors(), SECTORS);
    assert_eq!(identify.serial(), format!("{:20}", "a disk"));
    assert_eq!(identify.firmware(), format!("{:8}", "1.23"));
    assert_eq!(identify.word(5), 512);
    assert_eq!(identify.word(75), 31);
    assert_eq!(identify.word(76), 1 << 8);
}

/// Ways to move sectors.
#[derive(Clone, Copy, Debug)]
enum Way {
    Dma,
    DmaExt,
    Pio,
    PioExt,
    Multiple,
}

impl Way {
    fn read(self) -> Command {
        match self {
            Self::Dma => Command::READ_DMA,
            Self::DmaExt => Command::READ_DMA_EXT,
            Self::Pio => Command::READ_SECTORS,
            Self::PioExt => Command::READ_SECTORS_EXT,
            Self::Multiple => Command::READ_MULTIPLE,
        }
    }

    fn write(self) -> Command {
        match self {
            Self::Dma => Command::WRITE_DMA,
            Self::DmaExt => Command::WRITE_DMA_EXT,
            Self::Pio => Command::WRITE_SECTORS,
            Self::PioExt => Command::WRITE_SECTORS_EXT,
            Self::Multiple => Command::WRITE_MULTIPLE,
        }
    }

    fn has_48_bits(self) -> bool {
        matches!(self, Self::DmaExt | Self::PioExt)
    }

    /// A count of 0 is the most that the command can count.
    fn task(self, command: Command, lba: u64, count: u16) -> Taskfile {
        let address = if self.has_48_bits() {
            Address::Lba48(lba)
        } else {
            Address::Lba28(lba as u32)
        };
        Taskfile::new(command).at(address).count(count)
    }
}

/// Data goes from the medium to memory; PRDBC tells how much.
#[testjig::test(on = Ahci, launch = disk, vary(way = [Way::Dma, Way::DmaExt, Way::Pio, Way::PioExt, Way::Multiple]))]
fn a_read_fills_memory(hba: Ahci, vm: &Vm, way: Way) {
    let data = pattern(3, 19 * SECTOR);
    vm.disk("hd0").write(0x1_0001 * SECTOR as u64, &data);
    let engine = hba.port(0).start();
    let buffer = buffer(&hba, data.len());
    let task = way.task(way.read(), 0x1_0001, 19);
    let outcome = engine.execute(&Request::new(&task, &[whole(&buffer)]));
    assert!(outcome.is_good(), "{outcome:?}");
    assert_eq!(outcome.moved as usize, data.len());
    assert_eq!(buffer.to_vec(), data);
}

/// Data goes from memory to the medium, and not beyond.
#[testjig::test(on = Ahci, launch = disk, vary(way = [Way::Dma, Way::DmaExt, Way::Pio, Way::PioExt, Way::Multiple]))]
fn a_write_reaches_the_medium(hba: Ahci, vm: &Vm, way: Way) {
    let data = pattern(3, 19 * SECTOR);
    let engine = hba.port(0).start();
    let buffer = buffer(&hba, data.len());
    buffer.write(0, &data);
    let task = way.task(way.write(), 0x1_0001, 19);
    let outcome = engine.execute(&Request::new(&task, &[whole(&buffer)]).to_device());
    assert!(outcome.is_good(), "{outcome:?}");
    assert_eq!(outcome.moved as usize, data.len());
    let mut written = vec![0; data.len()];
    vm.disk("hd0").read(0x1_0001 * SECTOR as u64, &mut written);
    assert_eq!(written, data);
    assert_eq!(vm.disk("hd0").sector(0x1_0001 + 19), [0; SECTOR]);
}

/// More sectors than 28 bits count.
const LARGE: u64 = 0x1234_5678;

/// A disk of so many, all of them holes.
fn large(launch: Launch) -> Launch {
    launch
        .drive(Drive::new("hd0", Image::zeroed(LARGE * SECTOR as u64)))
        .device(hd("hd0", 0))
}

/// Places on a disk, of the first sector of several.
#[derive(Clone, Copy, Debug)]
enum Place {
    First,
    Second,
    /// So that the last one is the last that the command reaches.
    Last,
}

/// Whatever their number, and wherever they are, sectors are written and read back; of 512, a 28-bit command does
/// 256.
#[testjig::test(on = Ahci, launch = large, vary(
    way = [Way::Dma, Way::DmaExt, Way::Pio, Way::PioExt],
    sectors = [1, 8, 16, 512],
    place = [Place::First, Place::Second, Place::Last]
))]
fn any_number_anywhere_reads_back(hba: Ahci, vm: &Vm, way: Way, sectors: u16, place: Place) {
    let (reach, sectors, count) = if way.has_48_bits() {
        (LARGE, sectors, sectors)
    } else {
        (1 << 28, sectors.min(256), sectors % 256)
    };
    let lba = match place {
        Place::First => 0,
        Place::Second => 1,
        Place::Last => reach - u64::from(sectors),
    };
    let data = pattern(9, usize::from(sectors) * SECTOR);
    let engine = hba.port(0).start();
    let buffer = buffer(&hba, data.len());
    buffer.write(0, &data);
    let write = Request::new(&way.task(way.write(), lba, count), &[whole(&buffer)]);
    let outcome = engine.execute(&write.to_device());
    assert!(outcome.is_good(), "{outcome:?}");
    let mut written = vec![0; data.len()];
    vm.disk("hd0").read(lba * SECTOR as u64, &mut written);
    assert_eq!(written, data);

    buffer.fill(0);
    let read = Request::new(&way.task(way.read(), lba, count), &[whole(&buffer)]);
    let outcome = engine.execute(&read);
    assert!(outcome.is_good(), "{outcome:?}");
    assert_eq!(buffer.to_vec(), data);
}

/// [§4.2.3.3] A buffer may be in parts of any even length at any even address.
#[testjig::test(on = Ahci, launch = disk, vary(way = [Way::DmaExt, Way::PioExt]))]
fn parts_are_filled_in_order(hba: Ahci, vm: &Vm, way: Way) {
    let data = pattern(3, 3 * SECTOR);
    vm.disk("hd0").write(0, &data);
    let engine = hba.port(0).start();
    let buffer = buffer(&hba, 0x2000);
    let base = buffer.addr();
    let parts = [(0x1000, 2), (0x10, 1000), (0x1002, 30), (0x800, 504)];
    let descriptors = parts.map(|(offset, bytes)| Descriptor::new(base + offset, bytes));
    let outcome = engine.execute(&Request::new(&way.task(way.read(), 0, 3), &descriptors));
    assert!(outcome.is_good(), "{outcome:?}");
    let mut gathered = Vec::new();
    for (offset, bytes) in parts {
        gathered.extend(buffer.read_vec(offset, bytes as usize));
    }
    assert_eq!(gathered, data);
}

/// [§4.2.3.3] Many descriptors: one for each two bytes of a sector; and one of 4 MiB for more than the data.
#[testjig::test(on = Ahci, launch = disk)]
fn tables_may_be_long_and_descriptors_large(hba: Ahci, vm: &Vm) {
    let data = pattern(4, 4 * SECTOR);
    vm.disk("hd0").write(0, &data);
    let engine = hba.port(0).start();
    let buffer = buffer(&hba, 4 * SECTOR);
    let tiny: Vec<Descriptor> = (0..1024)
        .map(|at| Descriptor::new(buffer.addr() + at * 2, 2))
        .collect();
    assert!(engine.execute(&Request::new(&read(0, 4), &tiny)).is_good());
    assert_eq!(buffer.to_vec(), data);
    let write = Way::Dma.task(Command::WRITE_DMA, 100, 4);
    let write = Request::new(&write, &tiny).to_device();
    assert!(engine.execute(&write).is_good());
    let mut written = vec![0; data.len()];
    vm.disk("hd0").read(100 * SECTOR as u64, &mut written);
    assert_eq!(written, data);

    buffer.fill(0);
    let large = Descriptor::new(buffer.addr(), 4 << 20);
    let outcome = engine.execute(&Request::new(&read(0, 4), &[large]));
    assert!(outcome.is_good(), "{outcome:?}");
    assert_eq!(outcome.moved as usize, data.len());
    assert_eq!(buffer.to_vec(), data);
}

/// [§3.3.14] Commands in all 32 slots, issued at once, are all executed.
#[testjig::test(on = Ahci, launch = disk)]
fn all_slots_are_executed(hba: Ahci, vm: &Vm) {
    let data = pattern(5, 32 * SECTOR);
    vm.disk("hd0").write(0, &data);
    let engine = hba.port(0).start();
    let buffer = buffer(&hba, data.len());
    for slot in 0..32_u8 {
        let part = Descriptor::new(
            buffer.addr() + u64::from(slot) * SECTOR as u64,
            SECTOR as u32,
        );
        engine.prepare(slot, &Request::new(&read(slot.into(), 1), &[part]));
    }
    engine.issue(u32::MAX);
    engine.wait(u32::MAX);
    assert_eq!(engine.port().read(PortReg::Ci), 0);
    assert_eq!(buffer.to_vec(), data);
    assert!((0..32).all(|slot| engine.header(slot).moved.get() == 512));
}

/// [§3.3.7] A stopped port executes nothing; what was issued before the start is executed then.
#[testjig::test(on = Ahci, launch = disk)]
fn nothing_is_executed_before_the_start(hba: Ahci, vm: &Vm) {
    let engine = hba.port(0).start();
    engine.stop();
    let buffer = buffer(&hba, SECTOR);
    buffer.fill(0x5a);
    engine.prepare(0, &Request::new(&read(0, 1), &[whole(&buffer)]));
    engine.issue(1);
    vm.sync();
    assert_eq!(engine.port().read(PortReg::Ci), 1);
    assert_eq!(buffer.to_vec(), [0x5a; SECTOR]);
    engine.port().change_cmd(|cmd| cmd.with_start(true));
    engine.wait(1);
    assert_eq!(buffer.to_vec(), [0; SECTOR]);
}

/// [§3.3.7] CR and FR follow ST and FRE; clearing ST clears PxCI and PxSACT.
#[testjig::test(on = Ahci, launch = disk)]
fn engines_follow_their_bits(hba: Ahci) {
    let engine = hba.port(0).start();
    let port = engine.port();
    assert!(port.cmd().running() && port.cmd().receiving());
    port.write(PortReg::Sact, 0x8000_0002);
    assert_eq!(port.read(PortReg::Sact), 0x8000_0002);
    engine.stop();
    assert!(!port.cmd().running() && port.cmd().receiving());
    assert_eq!(port.read(PortReg::Sact), 0);
    port.change_cmd(|cmd| cmd.with_receive(false));
    assert!(!port.cmd().receiving());
    // Stopping what stands is no news.
    engine.stop();
    assert!(!port.cmd().running());
}

/// Bases above 4 GiB: the machine has memory there.
#[testjig::test(on = Ahci, launch = |launch| disk(launch.memory(4 * GIB)), deadline = std::time::Duration::from_secs(120))]
fn everything_may_be_above_4_gib(hba: Ahci, vm: &Vm) {
    const HIGH: u64 = 4 * GIB + 0x10_0000;
    let ram = vm.ram();
    assert!(ram.contains(HIGH, 0x10000), "no memory above 4 GiB");
    let data = pattern(6, SECTOR);
    vm.disk("hd0").write(5 * SECTOR as u64, &data);
    let engine = hba.port(0).start();
    let low = buffer(&hba, SECTOR);
    engine.prepare(
        0,
        &Request::new(&read(5, 1), &[Descriptor::new(HIGH + 0x4000, 512)]),
    );
    engine.stop();
    let list = engine.list().to_vec();
    let table = engine.with_table(0, GuestBuf::to_vec);
    ram.write(HIGH, &list);
    ram.write(HIGH + 0x1000, &table);
    ram.write_le(HIGH + 8, HIGH + 0x1000);
    let port = engine.port();
    port.change_cmd(|cmd| cmd.with_receive(false));
    port.set_bases(HIGH, HIGH + 0x2000);
    port.change_cmd(|cmd| cmd.with_receive(true));
    port.change_cmd(|cmd| cmd.with_start(true));
    engine.issue(1);
    engine.wait(1);
    assert_eq!(ram.read_vec(HIGH + 0x4000, SECTOR), data);
    assert_eq!(ram.read_vec(HIGH + 0x2040, 1), [0x34]);
    drop(low);
}

/// Commands without data end with a register FIS.
#[testjig::test(on = Ahci, launch = disk, vary(command = [
    Command::FLUSH_CACHE, Command::FLUSH_CACHE_EXT, Command::STANDBY_IMMEDIATE, Command::READ_VERIFY, Command::SEEK
]))]
fn a_command_without_data_is_executed(hba: Ahci, command: Command) {
    let engine = hba.port(0).start();
    let outcome = engine.execute(&Request::new(
        &Taskfile::new(command).at(Address::Lba28(1)).count(1),
        &[],
    ));
    assert!(outcome.is_good(), "{outcome:?}");
    assert!(outcome.interrupts.register(), "{outcome:?}");
    assert_eq!(outcome.moved, 0);
}

/// [READ NATIVE MAX ADDRESS EXT] Its answer is in the register FIS, all six bytes of it.
#[testjig::test(on = Ahci, launch = disk)]
fn an_address_is_received(hba: Ahci) {
    let engine = hba.port(0).start();
    let task = Taskfile::new(Command::READ_NATIVE_MAX_EXT).at(Address::Lba48(0));
    assert!(engine.execute(&Request::new(&task, &[])).is_good());
    let fis = engine.received(received::REGISTER);
    let address = [fis[4], fis[5], fis[6], fis[8], fis[9], fis[10], 0, 0];
    assert_eq!(u64::from_le_bytes(address), SECTORS - 1);
}

/// [DATA SET MANAGEMENT, ATA8-ACS] A trimmed range is given up.
#[testjig::test(on = Ahci, launch = disk)]
fn a_trim_gives_sectors_up(hba: Ahci, vm: &Vm) {
    let image = vm.disk("hd0");
    image.write(0, &[0x77; 24 * SECTOR]);
    let engine = hba.port(0).start();
    let buffer = buffer(&hba, SECTOR);
    buffer.fill(0);
    buffer.write_le(0, 8_u64 << 48 | 0x8);
    let task = Taskfile::new(Command::DATA_SET_MANAGEMENT)
        .features(1)
        .count(1);
    let outcome = engine.execute(&Request::new(&task, &[whole(&buffer)]).to_device());
    assert!(outcome.is_good(), "{outcome:?}");
    assert_eq!(image.sector(7), [0x77; SECTOR]);
    assert_eq!(image.sector(8), [0; SECTOR]);
    assert_eq!(image.sector(16), [0x77; SECTOR]);
}
