//! Errors: of commands, of the medium, of what is in memory; and recovery (§6.2).

use serde_json::json;

use super::*;
use testjig::qos::dev::ahci::{Header, RegisterFis, received};
use testjig::vm::Fault;

/// [§6.2.2] A command that the device does not know: ERR and TFES; its bit of PxCI stays until the port is stopped.
#[testjig::test(on = Ahci, launch = disk)]
fn an_aborted_command_is_a_task_file_error(hba: Ahci, vm: &Vm) {
    let engine = hba.port(0).start();
    let outcome = engine.execute(&Request::new(&Taskfile::new(Command(0xff)), &[]));
    assert_failed(&outcome);
    assert!(outcome.error.aborted() && outcome.issued, "{outcome:?}");
    let fis = engine.received(received::REGISTER);
    assert_eq!(fis[2] & 1, 1);
    assert_eq!(fis[3], outcome.error.into_bits());
    engine.recover();
    assert_eq!(engine.port().read(PortReg::Ci), 0);
    assert_reads(&engine, vm);
}

/// Beyond the disk: ERR and TFES, memory and medium untouched.
#[testjig::test(
    on = Ahci,
    launch = disk,
    vary(command = [Command::READ_DMA_EXT, Command::READ_SECTORS_EXT, Command::WRITE_DMA_EXT, Command::WRITE_SECTORS_EXT])
)]
fn beyond_the_disk_is_an_error(hba: Ahci, vm: &Vm, command: Command) {
    let engine = hba.port(0).start();
    let buffer = buffer(&hba, 2 * SECTOR);
    buffer.fill(0x5a);
    let task = Taskfile::new(command).at(Address::Lba48(SECTORS)).count(2);
    let request = Request::new(&task, &[whole(&buffer)]);
    let writes = matches!(command, Command::WRITE_DMA_EXT | Command::WRITE_SECTORS_EXT);
    let request = if writes { request.to_device() } else { request };
    assert_failed(&engine.execute(&request));
    assert_eq!(buffer.to_vec(), [0x5a; 2 * SECTOR]);
    assert_eq!(vm.disk("hd0").len(), SECTORS * SECTOR as u64);
    engine.recover();
    assert_reads(&engine, vm);
}

/// A disk whose first read of sector [`BAD`], write to it, or flush fails.
pub(super) fn bad(launch: Launch, iotype: &str, action: &str) -> Launch {
    let sector = match iotype {
        "flush" => String::new(),
        _ => format!("inject-error.0.sector={BAD},"),
    };
    launch
        .drive(Drive::new("hd0", Image::zeroed(SECTORS * SECTOR as u64)))
        .arg("-blockdev")
        .arg(format!(
            "driver=blkdebug,node-name=bad,image=hd0,inject-error.0.event=none,inject-error.0.iotype={iotype},\
             {sector}inject-error.0.errno=5,inject-error.0.once=on"
        ))
        .device(hd("bad", 0).prop("rerror", action).prop("werror", action))
}

fn queued_read(tag: u8) -> Taskfile {
    Taskfile::new(Command::READ_FPDMA_QUEUED)
        .at(Address::Lba48(100))
        .features(1)
        .count(u16::from(tag) << 3)
}

/// A medium error of a command that is not queued.
#[testjig::test(on = Ahci, launch = |launch| bad(launch, "read", "report"), vary(command = [Command::READ_DMA_EXT, Command::READ_SECTORS_EXT]))]
fn a_medium_error_is_a_task_file_error(hba: Ahci, vm: &Vm, command: Command) {
    let engine = hba.port(0).start();
    let buffer = buffer(&hba, SECTOR);
    let task = Taskfile::new(command).at(Address::Lba48(100)).count(1);
    assert_failed(&engine.execute(&Request::new(&task, &[whole(&buffer)])));
    engine.recover();
    assert_reads(&engine, vm);
}

/// [§6.2.2.2] A medium error of a queued command: ERR and TFES; its tag stays active.
#[testjig::test(on = Ahci, launch = |launch| bad(launch, "read", "report"))]
fn a_medium_error_of_a_queued_command_keeps_its_tag(hba: Ahci, vm: &Vm) {
    let engine = hba.port(0).start();
    let buffer = buffer(&hba, SECTOR);
    engine.prepare(3, &Request::new(&queued_read(3), &[whole(&buffer)]));
    engine.port().write(PortReg::Sact, 1 << 3);
    engine.issue(1 << 3);
    engine.wait(1 << 3);
    let outcome = engine.outcome(3);
    assert_failed(&outcome);
    assert_eq!(engine.port().read(PortReg::Sact), 1 << 3);
    engine.recover();
    assert_eq!(engine.port().read(PortReg::Sact), 0);
    assert_reads(&engine, vm);
}

/// [rerror=stop, werror=stop] A command that waits for the user's remedy is done again, queued or not.
#[testjig::test(
    on = Ahci,
    launch = |launch| bad(launch, failing.iotype(), "stop"),
    vary(failing = Failing::ALL),
    needs(running)
)]
fn a_stopped_command_is_done_again(hba: Ahci, vm: &Vm, failing: Failing) {
    let [data, medium] = [13, 14].map(|seed| pattern(seed, SECTOR));
    vm.disk("hd0").set_sector(BAD.into(), &medium);
    let engine = hba.port(0).start();
    let buffer = buffer(&hba, SECTOR);
    buffer.write(0, &data);
    failing.issue(&engine, &buffer);
    crate::ide::wait_stopped(vm);
    assert!(!engine.port().interrupts().task_file());
    vm.qmp_raw("cont", json!({}));
    engine.wait(1);
    assert!(engine.outcome(0).is_good());
    let [memory, medium] = failing.moves(&data, &medium);
    assert_eq!(buffer.to_vec(), memory);
    assert_eq!(vm.disk("hd0").sector(BAD.into())[..], *medium);
}

/// [§5.4] No descriptors, or too few of them: the command ends with nothing beyond them moved, and the port works on.
#[testjig::test(on = Ahci, launch = disk, vary(bytes = [0_u32, 2, 512]))]
fn too_few_descriptors_move_nothing_beyond(hba: Ahci, vm: &Vm, bytes: u32) {
    if bytes == 0 && vm.qemu().version.major < 11 {
        Fault::skip("QEMU before 11 ends with an assertion (ide_dma_cb) when a DMA command has no descriptors").raise();
    }
    let engine = hba.port(0).start();
    let buffer = buffer(&hba, 4 * SECTOR);
    buffer.fill(0x5a);
    let descriptors: Vec<Descriptor> = (bytes > 0)
        .then(|| Descriptor::new(buffer.addr(), bytes))
        .into_iter()
        .collect();
    engine.prepare(0, &Request::new(&read(0, 4), &descriptors));
    engine.issue(1);
    vm.sync();
    let rest = buffer.read_vec(bytes.into(), 4 * SECTOR - bytes as usize);
    assert!(rest.iter().all(|&byte| byte == 0x5a));
    engine.recover();
    engine.port().reset();
    assert_reads(&engine, vm);
}

/// Descriptors of addresses where there is no memory: the data goes nowhere, and the port works on.
#[testjig::test(on = Ahci, launch = disk)]
fn unmapped_descriptors_lose_the_data(hba: Ahci, vm: &Vm) {
    let engine = hba.port(0).start();
    let nowhere = Descriptor::new(0x4000_0000, 4 * SECTOR as u32);
    engine.execute(&Request::new(&read(0, 4), &[nowhere]));
    engine.recover();
    assert_reads(&engine, vm);
}

/// FISes that are none from the host, or for a port multiplier that is not there, or with reserved bits: nothing is executed.
#[testjig::test(
    on = Ahci,
    launch = disk,
    vary(head = [[0x34_u8, 0x80], [0x27, 0x81], [0x27, 0x90], [0x00, 0x00]])
)]
fn another_fis_is_not_executed(hba: Ahci, vm: &Vm, head: [u8; 2]) {
    let engine = hba.port(0).start();
    let buffer = buffer(&hba, SECTOR);
    buffer.fill(0x5a);
    let mut fis = RegisterFis::command(&read(0, 1));
    fis.0[..2].copy_from_slice(&head);
    engine.prepare(0, &Request::of_fis(fis, &[whole(&buffer)]));
    engine.issue(1);
    vm.sync();
    assert_eq!(buffer.to_vec(), [0x5a; SECTOR]);
    engine.recover();
    assert_reads(&engine, vm);
}

/// A command table where there is no memory, or one that ends beyond it: nothing is executed, and the port works on.
#[testjig::test(on = Ahci, launch = disk, vary(table = [0x4000_0000_u64, 0xffff_ffff_ffff_ff80, 0x7ff_ffc0]))]
fn a_table_without_memory_is_not_executed(hba: Ahci, vm: &Vm, table: u64) {
    let engine = hba.port(0).start();
    let buffer = buffer(&hba, SECTOR);
    buffer.fill(0x5a);
    engine.prepare(0, &Request::new(&read(0, 1), &[whole(&buffer)]));
    let header = engine.header(0);
    engine.set_header(
        0,
        Header {
            table: table.into(),
            ..header
        },
    );
    engine.issue(1);
    vm.sync();
    assert_eq!(buffer.to_vec(), [0x5a; SECTOR]);
    engine.recover();
    assert_reads(&engine, vm);
}

/// Bases where there is no memory, or that end beyond it: whether the engines start or not, the port works once it is given others.
#[testjig::test(on = Ahci, launch = disk, vary(base = [0x4000_0000_u64, 0x7ff_ff80, 0xffff_ffff_ffff_fc00]))]
fn bases_without_memory_can_be_replaced(hba: Ahci, vm: &Vm, base: u64) {
    let port = hba.port(0);
    port.set_bases(base, base);
    port.change_cmd(|cmd| cmd.with_receive(true));
    port.change_cmd(|cmd| cmd.with_start(true));
    port.write(PortReg::Ci, 1);
    vm.sync();
    port.change_cmd(|cmd| cmd.with_start(false));
    port.change_cmd(|cmd| cmd.with_receive(false));
    assert!(!port.cmd().running() && !port.cmd().receiving());
    assert_reads(&port.start(), vm);
}

/// A port without a device executes nothing, and does not trouble the others.
#[testjig::test(on = Ahci, launch = disk)]
fn an_empty_port_executes_nothing(hba: Ahci, vm: &Vm) {
    let empty = hba.port(1).start();
    let buffer = buffer(&hba, SECTOR);
    empty.prepare(0, &Request::new(&read(0, 1), &[whole(&buffer)]));
    empty.issue(1);
    vm.sync();
    assert_eq!(empty.port().read(PortReg::Ci), 1);
    assert_reads(&hba.port(0).start(), vm);
}
