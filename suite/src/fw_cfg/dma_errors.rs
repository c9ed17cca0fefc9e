//! DMA that fails. [Guest-side DMA Interface] "Error bit set: Something went wrong."

use testjig::prelude::*;
use testjig::qos::dev::fw_cfg::{Control, Dma, DmaAccess, FwCfg, Key};

use super::pc::PcFwCfg;

/// A read into addresses without memory fails.
#[testjig::test(on = FwCfg)]
fn a_read_to_nowhere_fails(fw: FwCfg, vm: &Vm) {
    let dma = Dma::new(&fw);
    let control = Control::READ.of(Key::SIGNATURE);
    assert_eq!(dma.run_at(control, 4, nowhere(vm)), Control::ERROR);
}

/// So does one that begins in memory and ends beyond it.
#[testjig::test(on = FwCfg)]
fn a_read_across_the_end_of_memory_fails(fw: FwCfg, vm: &Vm) {
    let dma = Dma::new(&fw);
    let control = Control::READ.of(Key::SIGNATURE);
    assert_eq!(dma.run_at(control, 4, nowhere(vm) - 2), Control::ERROR);
}

/// So does the padding of one that has no bytes to copy.
#[testjig::test(on = FwCfg)]
fn padding_to_nowhere_fails(fw: FwCfg, vm: &Vm) {
    for key in [Key::MACHINE_ID, Key::from_bits(0x3fff)] {
        let dma = Dma::new(&fw);
        assert_eq!(
            dma.run_at(Control::READ.of(key), 4, nowhere(vm)),
            Control::ERROR,
            "{key:?}"
        );
    }
}

/// So does one whose bytes fit and whose padding does not.
#[testjig::test(on = FwCfg)]
fn padding_across_the_end_of_memory_fails(fw: FwCfg, vm: &Vm) {
    let dma = Dma::new(&fw);
    let address = nowhere(vm) - 4;
    assert_eq!(
        dma.run_at(Control::READ.of(Key::SIGNATURE), 8, address),
        Control::ERROR
    );
    assert_eq!(vm.ram().read_vec(address, 4), b"QEMU");
}

/// After a failure nothing more is copied: what does not fit is not tried with padding.
#[testjig::test(on = FwCfg)]
fn nothing_follows_a_failure(fw: FwCfg, vm: &Vm) {
    let dma = Dma::new(&fw);
    assert_eq!(
        dma.run_at(Control::READ.of(Key::SIGNATURE), 64, nowhere(vm)),
        Control::ERROR
    );
    assert_eq!(dma.buffer(8), [Dma::FILL; 8]);
}

/// "Writes to read-only items are also rejected."
#[testjig::test(on = FwCfg)]
fn a_write_to_a_read_only_item_fails(fw: FwCfg) {
    for key in [
        Key::SIGNATURE,
        Key::ID,
        Key::NB_CPUS,
        Key::FILE_DIR,
        Key::IRQ0_OVERRIDE,
    ] {
        let dma = Dma::new(&fw);
        let before = fw.item(key, 4);
        assert_eq!(dma.write(key, &[0x55; 2]), Control::ERROR, "{key:?}");
        assert_eq!(
            dma.write(key.with_write(true), &[0x55; 2]),
            Control::ERROR,
            "{key:?}"
        );
        assert_eq!(fw.item(key, 4), before, "{key:?}");
    }
}

/// The files that a machine makes are read-only too, unless they are meant to be written.
#[testjig::test(on = PcFwCfg)]
fn a_write_to_a_read_only_file_fails(fw: PcFwCfg) {
    for name in [
        "bootorder",
        "etc/acpi/tables",
        "etc/e820",
        "etc/boot-fail-wait",
        "etc/system-states",
    ] {
        let dma = Dma::new(&fw);
        let file = fw.file(name).expect("the file");
        let before = fw.item(file.key, 8);
        assert_eq!(dma.write(file.key, &[0x55]), Control::ERROR, "{name:?}");
        assert_eq!(fw.item(file.key, 8), before, "{name:?}");
    }
}

/// "QEMU prevents starting … the write beyond the end of the item": one without bytes ends at its beginning.
#[testjig::test(on = FwCfg)]
fn a_write_to_nothing_fails(fw: FwCfg) {
    for key in NOTHING {
        let dma = Dma::new(&fw);
        assert_eq!(dma.write(key, &[0x55]), Control::ERROR, "{key:?}");
        assert_eq!(fw.item(key, 4), [0; 4], "{key:?}");
    }
}

const NOTHING: [Key; 5] = [
    Key::MACHINE_ID,
    Key::from_bits(0x001f),
    Key::from_bits(0x3fff),
    Key::from_bits(0xbfff),
    Key::from_bits(0xffff),
];

/// A descriptor that is not all in memory is not executed, and where it begins in memory its control field says so.
#[testjig::test(on = FwCfg)]
fn a_descriptor_across_the_end_of_memory_fails(fw: FwCfg, vm: &Vm) {
    for inside in [4, 8, 15] {
        let dma = Dma::new(&fw);
        fw.select(Key::UUID);
        let address = nowhere(vm) - inside as u64;
        vm.ram()
            .write(address, &read_signature(&dma).to_bytes()[..inside]);
        fw.start_dma(address);
        assert_eq!(
            vm.ram().read_be::<u32>(address),
            Control::ERROR.into_bits(),
            "{inside:?}"
        );
        assert_eq!(dma.buffer(4), [Dma::FILL; 4], "{inside:?}");
        assert_eq!(fw.byte(), 0, "still the UUID");
    }
}

/// Where there is no memory at all nothing can be said, and the next operation is not hurt.
#[testjig::test(on = FwCfg)]
fn a_descriptor_that_is_nowhere_does_nothing(fw: FwCfg, vm: &Vm) {
    let dma = Dma::new(&fw);
    fw.select(Key::SIGNATURE);
    fw.byte();
    fw.start_dma(nowhere(vm));
    assert_eq!(fw.byte(), b'E');
    assert_eq!(dma.run(Control::READ, 2), Control::DONE);
    assert_eq!(dma.buffer(3), b"MU\xaa");
}

/// An error is of its operation, and not of the next.
#[testjig::test(on = FwCfg)]
fn an_error_is_forgotten_by_the_next_operation(fw: FwCfg, vm: &Vm) {
    let dma = Dma::new(&fw);
    assert_eq!(
        dma.run_at(Control::READ.of(Key::UUID), 4, nowhere(vm)),
        Control::ERROR
    );
    assert_eq!(dma.write(Key::SIGNATURE, b"x"), Control::ERROR);
    assert_eq!(dma.run(Control::READ.of(Key::SIGNATURE), 4), Control::DONE);
    assert_eq!(dma.buffer(4), b"QEMU");
}

fn read_signature(dma: &Dma) -> DmaAccess {
    DmaAccess {
        control: Control::READ.of(Key::SIGNATURE),
        length: 4,
        address: dma.buffer_address(),
    }
}

/// The first address behind the machine's memory, where nothing is.
fn nowhere(vm: &Vm) -> u64 {
    vm.ram()
        .regions()
        .last()
        .expect("a machine with memory")
        .end()
}
