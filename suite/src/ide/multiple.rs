//! READ and WRITE MULTIPLE: DRQ blocks of several sectors.

use super::*;
use testjig::qos::dev::ata::{Address, Channel, Command, Taskfile, Unit};
use testjig::vm::EdgeKind::Raise;

/// [SET MULTIPLE MODE] so many sectors a block.
#[track_caller]
fn set_multiple(ide: &Channel, sectors: u16) {
    let ending = ide.execute(&Taskfile::new(Command::SET_MULTIPLE_MODE).count(sectors));
    assert!(ending.is_good(), "{ending:?}");
}

/// [SET MULTIPLE MODE] The block size is seen in word 59.
#[testjig::test(on = Channel, launch = disk, vary(sectors = [1, 2, 4, 8, 16]))]
fn the_block_size_is_told(ide: Channel, sectors: u16) {
    set_multiple(&ide, sectors);
    let identify = ide.identify(Unit::Device0);
    assert_eq!(identify.per_block().map(u16::from), Some(sectors));
}

/// [SET MULTIPLE MODE] A size that is no power of two, or above the most of word 47, is aborted; the old one stays.
#[testjig::test(on = Channel, launch = disk, vary(sectors = [3, 12, 17, 32, 128, 255]))]
fn other_block_sizes_are_refused(ide: Channel, sectors: u16) {
    set_multiple(&ide, 4);
    let ending = ide.execute(&Taskfile::new(Command::SET_MULTIPLE_MODE).count(sectors));
    assert!(ending.is_aborted(), "{ending:?}");
    assert_eq!(ide.identify(Unit::Device0).per_block(), Some(4));
}

/// [SET MULTIPLE MODE] 00h disables READ and WRITE MULTIPLE: they are aborted.
#[testjig::test(on = Channel, launch = disk)]
fn block_size_0_disables_the_commands(ide: Channel) {
    set_multiple(&ide, 0);
    for command in [
        Command::READ_MULTIPLE,
        Command::READ_MULTIPLE_EXT,
        Command::WRITE_MULTIPLE,
        Command::WRITE_MULTIPLE_EXT,
    ] {
        let ending = ide.execute(&Taskfile::new(command).count(1));
        assert!(ending.is_aborted(), "{command:?}: {ending:?}");
    }
    assert_eq!(ide.identify(Unit::Device0).per_block(), None);
}

/// [READ MULTIPLE] One DRQ block and one interrupt for so many sectors; the last block has what is left.
#[testjig::test(on = Channel, launch = disk, vary(sectors = [1, 4, 16], command = [Command::READ_MULTIPLE, Command::READ_MULTIPLE_EXT]))]
fn a_read_has_an_interrupt_a_block(ide: Channel, vm: &Vm, sectors: u16, command: Command) {
    let data = pattern(3, 18 * SECTOR);
    vm.disk("hd0").write(100 * SECTOR as u64, &data);
    set_multiple(&ide, sectors);
    ide.status();
    let irq = vm.intercept(ide.irq());
    let task = multiple(command, 100, 18);
    assert_eq!(
        ide.pio_in_blocks(&task, data.len(), usize::from(sectors) * SECTOR),
        data
    );
    let raised = irq.edges().iter().filter(|&&edge| edge == Raise).count();
    assert_eq!(raised, 18_usize.div_ceil(sectors.into()));
}

/// [WRITE MULTIPLE] One DRQ block and one interrupt for so many sectors; the last block has what is left.
#[testjig::test(on = Channel, launch = disk, vary(sectors = [1, 4, 16], command = [Command::WRITE_MULTIPLE, Command::WRITE_MULTIPLE_EXT]))]
fn a_write_has_a_block_at_a_time(ide: Channel, vm: &Vm, sectors: u16, command: Command) {
    let data = pattern(3, 18 * SECTOR);
    set_multiple(&ide, sectors);
    let task = multiple(command, 100, 18);
    ide.issue(&task);
    for piece in data.chunks(usize::from(sectors) * SECTOR) {
        ide.wait_data(task.command);
        let (last, rest) = piece
            .split_last_chunk::<2>()
            .map(|(rest, last)| (last, rest))
            .expect("whole sectors");
        ide.write_block(rest);
        assert!(ide.alternate_status().drq(), "the block ended early");
        ide.write_block(last);
    }
    ide.wait_idle();
    assert!(ide.ending().is_good());
    let mut written = vec![0; data.len()];
    vm.disk("hd0").read(100 * SECTOR as u64, &mut written);
    assert_eq!(written, data);
}

/// [READ MULTIPLE] A block that would reach beyond the disk is not transferred.
#[testjig::test(on = Channel, launch = disk)]
fn a_block_beyond_the_disk_fails(ide: Channel) {
    set_multiple(&ide, 4);
    let ending = ide.execute(&multiple(Command::READ_MULTIPLE, SECTORS as u32, 4));
    assert!(ending.status.err() && !ending.status.drq(), "{ending:?}");
}

/// [CompactFlash, Set Multiple Mode] A card begins with READ and WRITE MULTIPLE disabled, and 00h disables them again.
#[testjig::test(on = Channel, launch = card)]
fn a_card_begins_without_blocks(ide: Channel) {
    let read = multiple(Command::READ_MULTIPLE, 0, 1);
    assert!(ide.execute(&read).is_aborted());
    set_multiple(&ide, 1);
    ide.pio_in(&read, SECTOR);
    set_multiple(&ide, 0);
    assert!(ide.execute(&read).is_aborted());
}

fn multiple(command: Command, lba: u32, count: u16) -> Taskfile {
    let address = match command {
        Command::READ_MULTIPLE_EXT | Command::WRITE_MULTIPLE_EXT => Address::Lba48(lba.into()),
        _ => Address::Lba28(lba),
    };
    Taskfile::new(command).at(address).count(count)
}
