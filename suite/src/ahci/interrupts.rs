//! Interrupts: from FIS to PxIS, by PxIE to IS, by GHC.IE to INTx# or a message.

use super::*;
use testjig::qos::dev::ahci::{HostReg, PortInterrupt};
use testjig::qos::pci::MsiSlot;
use testjig::vm::EdgeKind::{Lower, Raise};
use testjig::vm::Irq;

fn enabled(hba: &Ahci, vm: &Vm, interrupts: PortInterrupt) -> (Engine, Irq) {
    let irq = vm.intercept(hba.function().intx().expect("it has a pin"));
    let engine = hba.port(0).start();
    engine.port().enable_interrupts(interrupts);
    hba.enable_interrupts();
    (engine, irq)
}

fn flush() -> Request {
    Request::new(&Taskfile::new(Command::FLUSH_CACHE), &[])
}

/// [§3.1.3, §3.3.5] A register FIS interrupts; PxIS and then IS are cleared by writing 1, and the line goes low.
#[testjig::test(on = Ahci, launch = disk)]
fn a_register_fis_interrupts(hba: Ahci, vm: &Vm) {
    let (engine, irq) = enabled(&hba, vm, PortInterrupt::ALL);
    engine.execute(&flush());
    assert!(irq.level());
    assert_eq!(hba.read(HostReg::Is), 1);
    assert_eq!(
        engine.port().interrupts(),
        PortInterrupt::new().with_register(true)
    );
    irq.clear();
    engine
        .port()
        .clear_interrupts(PortInterrupt::new().with_register(true));
    hba.write(HostReg::Is, 1);
    assert_eq!(hba.read(HostReg::Is), 0);
    assert_eq!(irq.edges(), [Lower]);
}

/// [§3.3.5] Writing 0 clears nothing.
#[testjig::test(on = Ahci, launch = disk)]
fn writing_0_clears_nothing(hba: Ahci, vm: &Vm) {
    let (engine, irq) = enabled(&hba, vm, PortInterrupt::ALL);
    engine.execute(&flush());
    engine.port().clear_interrupts(PortInterrupt::new());
    engine
        .port()
        .clear_interrupts(PortInterrupt::new().with_pio_setup(true));
    assert!(engine.port().interrupts().register());
    assert!(irq.level());
}

/// [§3.3.6] What PxIE leaves out is in PxIS and interrupts nobody; enabling it interrupts at once.
#[testjig::test(on = Ahci, launch = disk)]
fn a_masked_interrupt_waits(hba: Ahci, vm: &Vm) {
    let (engine, irq) = enabled(&hba, vm, PortInterrupt::new().with_task_file(true));
    engine.execute(&flush());
    assert!(engine.port().interrupts().register());
    assert_eq!(hba.read(HostReg::Is), 0);
    assert_eq!(irq.edges(), []);
    engine
        .port()
        .enable_interrupts(PortInterrupt::new().with_register(true));
    assert_eq!(hba.read(HostReg::Is), 1);
    assert_eq!(irq.edges(), [Raise]);
}

/// [§3.1.2] Without GHC.IE the line stays low; IS tells nevertheless.
#[testjig::test(on = Ahci, launch = disk)]
fn the_hba_may_not_interrupt(hba: Ahci, vm: &Vm) {
    let (engine, irq) = enabled(&hba, vm, PortInterrupt::ALL);
    hba.set_ghc(hba.ghc().with_interrupts(false));
    engine.execute(&flush());
    assert_eq!(hba.read(HostReg::Is), 1);
    assert_eq!(irq.edges(), []);
    hba.enable_interrupts();
    assert_eq!(irq.edges(), [Raise]);
}

fn two_disks(launch: Launch) -> Launch {
    disk(launch)
        .drive(Drive::new("hd1", Image::zeroed(SECTORS * SECTOR as u64)))
        .device(hd("hd1", 4))
}

/// [§3.1.3] Each port has a bit of IS; the line is high while any is set.
#[testjig::test(on = Ahci, launch = two_disks)]
fn each_port_has_a_bit(hba: Ahci, vm: &Vm) {
    let (engine, irq) = enabled(&hba, vm, PortInterrupt::ALL);
    let other = hba.port(4).start();
    other.port().enable_interrupts(PortInterrupt::ALL);
    engine.execute(&flush());
    other.execute(&flush());
    assert_eq!(hba.read(HostReg::Is), 1 << 4 | 1);
    engine.port().clear_interrupts(PortInterrupt::ALL);
    hba.write(HostReg::Is, 1);
    assert_eq!(hba.read(HostReg::Is), 1 << 4);
    assert!(irq.level());
    other.port().clear_interrupts(PortInterrupt::ALL);
    assert!(!irq.level());
}

/// [§10.6.2] A message in place of the line.
#[testjig::test(on = Ahci, launch = disk)]
fn a_message_may_interrupt(hba: Ahci, vm: &Vm) {
    let (engine, irq) = enabled(&hba, vm, PortInterrupt::ALL);
    let slot = MsiSlot::new(hba.function().pci());
    let msi = hba.function().msi().expect("an ICH9 has it");
    msi.enable(slot.message(0x55));
    engine.execute(&flush());
    assert_eq!(slot.take(), Some(0x55));
    assert_eq!(irq.edges(), []);
    engine.port().clear_interrupts(PortInterrupt::ALL);
    engine.execute(&flush());
    assert_eq!(slot.take(), Some(0x55));
}

/// [§5.4.2] Data to the device by PIO: one register FIS at the end, and a PIO setup interrupt from the second DRQ block on.
#[testjig::test(on = Ahci, launch = disk)]
fn a_pio_write_interrupts_from_the_second_block_on(hba: Ahci, vm: &Vm) {
    let (engine, _) = enabled(&hba, vm, PortInterrupt::ALL);
    let buffer = buffer(&hba, 2 * SECTOR);
    let task = |count| {
        Taskfile::new(Command::WRITE_SECTORS_EXT)
            .at(Address::Lba48(0))
            .count(count)
    };
    let one =
        engine.execute(&Request::new(&task(1), &[Descriptor::new(buffer.addr(), 512)]).to_device());
    assert!(one.is_good() && one.interrupts.register(), "{one:?}");
    assert!(!one.interrupts.pio_setup(), "{one:?}");
    let two = engine.execute(&Request::new(&task(2), &[whole(&buffer)]).to_device());
    assert!(two.is_good() && two.interrupts.pio_setup(), "{two:?}");
}
