//! The controller and its drives as QEMU's devices: `-device isa-fdc,help`, `-device floppy,help`.

use super::*;
use testjig::qos::dev::i82078::{Seek, SenseInterrupt, Transfer, Version};
use testjig::vm::EdgeKind::Raise;
use testjig::vm::{Image, LaunchOptions};

const PORT: u16 = 0x370;
const IRQ: u32 = 7;
const DMA: u8 = 3;

/// A second controller with everything else than the first one, and a disk in it.
fn second(launch: Launch) -> Launch {
    let controller = Device::new("isa-fdc")
        .id("second")
        .prop("iobase", PORT)
        .prop("irq", IRQ)
        .prop("dma", DMA);
    let drive = Device::new("floppy")
        .bus("second.0")
        .prop("drive", "fd0")
        .prop("unit", 0);
    launch
        .device(controller)
        .drive(image(0, DISK))
        .device(drive)
}

/// `iobase`: two controllers at their own ports.
#[testjig::test(on = I82078, launch = second)]
fn two_controllers_have_their_own_ports(fdc: I82078, vm: &Vm) {
    let other = I82078::at(vm, PORT, IRQ);
    fdc.reset();
    other.reset();
    other.write_fifo(0x0f);
    assert_eq!(fdc.run(Version), 0x90);
    other.send_rest(&[0x00, 0x09]);
    assert_eq!(other.run(SenseInterrupt).cylinder, 9);
}

/// `irq`: another line.
#[testjig::test(on = I82078, launch = second)]
fn a_controller_can_have_another_line(vm: &Vm) {
    let other = I82078::at(vm, PORT, IRQ);
    other.reset();
    let irq = vm.intercept(other.irq());
    let usual = vm.intercept(I82078::pc(vm).irq());
    other.run(Seek::to(2));
    assert_eq!(irq.edges(), [Raise]);
    assert_eq!(usual.edges(), []);
}

/// `dma`: another channel.
#[testjig::test(on = I82078, launch = second)]
fn a_controller_can_have_another_channel(vm: &Vm) {
    let other = I82078::at(vm, PORT, IRQ);
    let expected = fill(vm, Chs::FIRST, 1);
    ready(&other);
    let memory = dma_memory(vm, 512);
    let dma = I8237::new(vm);
    let mode = Mode::single(Direction::ToMemory);
    dma.program(DMA, mode, memory.addr(), 512);
    dma.unmask(DMA);
    let status = other.run(Transfer::read(Chs::FIRST).to(18));
    assert_ended(status, 0, Chs::new(0, 0, 2));
    assert_eq!(memory.to_vec(), expected);
}

/// Why QEMU does not start such a machine.
fn refusal(qemu: &Qemu, launch: &Launch, adapt: impl FnOnce(Launch) -> Launch) -> String {
    let launch = adapt(launch.clone());
    let started = qemu.launch(&launch, &LaunchOptions::default());
    started.expect_err("such a machine is refused").to_string()
}

/// `fallback`: it can't be the automatic choice, of which it is a part.
#[testjig::test(on = I82078)]
fn the_fallback_is_a_real_type(qemu: &Qemu, launch: &Launch) {
    let refusal = refusal(qemu, launch, |launch| {
        launch.global("isa-fdc", "fallback", "auto")
    });
    assert!(refusal.contains("Cannot choose a fallback"), "{refusal}");
}

/// `unit`: two drives a controller.
#[testjig::test(on = I82078)]
fn a_third_drive_is_refused(qemu: &Qemu, launch: &Launch) {
    let refusal = refusal(qemu, launch, |launch| {
        launch.device(Device::new("floppy").prop("unit", 2))
    });
    assert!(refusal.contains("supports only 2 units"), "{refusal}");
}

/// `unit`: without one, the next that is free; then there is none.
#[testjig::test(on = I82078)]
fn units_are_taken_in_turn(qemu: &Qemu, launch: &Launch) {
    let refusal = refusal(qemu, launch, |launch| {
        let floppy = || Device::new("floppy");
        launch.device(floppy()).device(floppy()).device(floppy())
    });
    assert!(refusal.contains("floppy unit 2"), "{refusal}");
}

/// `unit`: each once.
#[testjig::test(on = I82078)]
fn a_unit_is_taken_once(qemu: &Qemu, launch: &Launch) {
    let refusal = refusal(qemu, launch, |launch| {
        let floppy = || Device::new("floppy").prop("unit", 1);
        launch.device(floppy()).device(floppy())
    });
    assert!(refusal.contains("unit 1 is in use"), "{refusal}");
}

/// `logical_block_size`, `physical_block_size`: a floppy disk's sectors have 512 bytes here.
#[testjig::test(on = I82078, vary(logical = [512, 1024], physical = [1024, 4096]))]
fn another_sector_size_is_refused(qemu: &Qemu, launch: &Launch, logical: u32, physical: u32) {
    let refusal = refusal(qemu, launch, |launch| {
        let drive = drive(0)
            .prop("logical_block_size", logical)
            .prop("physical_block_size", physical);
        launch.drive(image(0, DISK)).device(drive)
    });
    assert!(refusal.contains("must be 512"), "{refusal}");
}

/// `rerror`, `werror`: the controller can't stop a machine at an error of its disk.
#[testjig::test(on = Pc, vary(policy = ["werror=stop", "rerror=stop"]))]
fn error_policies_are_refused(qemu: &Qemu, launch: &Launch, policy: &str) {
    let refusal = refusal(qemu, launch, |launch| {
        launch
            .arg("-drive")
            .arg(format!("if=none,id=legacy,driver=null-co,{policy}"))
            .device(Device::new("floppy").prop("drive", "legacy"))
    });
    let option = &policy[..6];
    assert!(
        refusal.contains(&format!("doesn't support drive option {option}")),
        "{refusal}"
    );
}

/// [PC/AT CMOS RAM, byte 10H] The machine notes the types of its drives: drive 0 in bits 7:4.
#[testjig::test(on = Pc, launch = |l| l.drive(
    Drive::new("fd0", Image::zeroed(kib << 10)).interface(testjig::vm::Interface::Floppy).index(0)
), vary(kib = [1440, 2880, 1200]))]
fn the_cmos_ram_knows_the_drive(vm: &Vm, kib: u64) {
    use testjig::qos::dev::mc146818::{Mc146818, Reg};

    let expected = match kib {
        1440 => 4,
        2880 => 5,
        _ => 2,
    };
    let types = Mc146818::new(vm).read(Reg::at(0x10));
    assert_eq!(types >> 4, expected);
    assert_eq!(types & 0x0f, 0);
}
