//! How many files there may be: the machine's property `x-file-slots`, and the keys that follow from it.

use testjig::prelude::*;
use testjig::qos::dev::fw_cfg::{Control, Dma, FwCfg, Key};

use testjig::vm::Arch;

use super::starting::{assert_declined, start};

/// [Ranges] "the number of allowed firmware configuration items depends on the machine type/version": every slot holds a file, the
/// last one too, be its name as long as it may.
#[testjig::test(on = FwCfg)]
fn every_slot_holds_a_file(qemu: &Qemu, launch: Launch) {
    let (_vm, fw) = start(qemu, &launch);
    let taken = fw.directory().len() as u16;
    let slots = taken.max(MINIMUM) + 2;
    let full = (taken..slots).fold(with_slots(launch, slots.into()), |launch, slot| {
        launch.fw_cfg_string(format!("opt/{slot:051}"), slot.to_string())
    });

    let (_vm, fw) = start(qemu, &full);
    let directory = fw.directory();
    assert_eq!(directory.len(), usize::from(slots));
    let last = directory.last().expect("the last file");
    assert_eq!(last.key, Key::file(slots - 1));
    assert_eq!(last.name, format!("opt/{:051}", slots - 1));
    assert_eq!(
        fw.item(last.key, last.size as usize),
        (slots - 1).to_string().as_bytes()
    );
}

/// The key behind the last slot selects nothing, as generic item and as the architecture's own.
#[testjig::test(on = FwCfg, launch = |l| with_slots(l, slots.into()), vary(slots = [16_u16, 17, 257]))]
fn the_key_behind_the_last_slot_selects_nothing(fw: FwCfg, slots: u16) {
    let dma = Dma::new(&fw);
    for key in [Key::file(slots), Key::file(slots).with_arch_local(true)] {
        assert_eq!(fw.item(key, 64), [0; 64], "{key}");
        assert_eq!(dma.read(key, 64), [0; 64], "{key}");
        assert_eq!(dma.write(key, &[1]), Control::ERROR, "{key}");
    }
}

/// As many slots as keys of 14 bits leave room for.
#[testjig::test(on = FwCfg, launch = |l| with_slots(l, MAXIMUM.into()))]
fn there_may_be_0x3fe0_slots(fw: FwCfg) {
    assert_eq!(fw.item(Key::SIGNATURE, 4), b"QEMU");
    assert_eq!(fw.item(Key::file(MAXIMUM - 1), 8), [0; 8]);
    assert_eq!(fw.contents("etc/boot-fail-wait"), [0xff; 4]);
}

/// More slots than keys, or less than 16, are declined.
#[testjig::test(on = FwCfg, vary(slots = [15, 0x3fe1, 0xffff]))]
fn other_numbers_of_slots_are_declined(qemu: &Qemu, launch: Launch, slots: u32) {
    let reason = if slots < 16 {
        "\"file_slots\" must be at least 0x10"
    } else {
        "\"file_slots\" must not exceed 0x3fe0"
    };
    assert_declined(qemu, &with_slots(launch, slots), reason);
}

/// The files are the same however many there may be.
#[testjig::test(on = FwCfg, launch = |l| with_slots(l, 40).fw_cfg_string("opt/a", "a"))]
fn the_number_of_slots_changes_no_file(fw: FwCfg) {
    let files = fw.directory();
    assert_eq!(files.last().expect("a file").name, "opt/a");
    assert_eq!(fw.contents("opt/a"), b"a");
    assert_eq!(fw.bytes(1), [0]);
}

fn with_slots(launch: Launch, slots: u32) -> Launch {
    let driver = match launch.machine().arch {
        Arch::X86_64 | Arch::I386 => "fw_cfg_io",
        _ => "fw_cfg_mem",
    };
    launch.global(driver, "x-file-slots", slots)
}

const MINIMUM: u16 = 16;
const MAXIMUM: u16 = 0x3fe0;
