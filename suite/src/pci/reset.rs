//! Resets of one function, and power states. PCIe §6.6.2; PM §3.2, §5.4.

use testjig::prelude::*;
use testjig::qos::pci::{Command, MsiMessage, Pci, PowerState, header};

use super::fixture::Nic;

/// PCIe §6.6.2: a function level reset brings registers back to their initial state, the command and the base addresses among them, and
/// leaves out what is hardwired.
#[testjig::test(on = Pci, launch = with_flr)]
fn a_function_level_reset_brings_the_initial_state_back(pci: Pci) {
    for function in [4, 5].map(|device| pci.device(device)) {
        assert!(function.can_reset(), "{:?}", function.id());
        let before = function.bytes();
        for info in function.bars() {
            let _ = function.iomap(info.index);
        }
        function.enable_bus_master();
        function.write::<u8>(header::CACHE_LINE_SIZE, 0x10);
        assert_ne!(function.bytes(), before);

        function.reset();
        assert_eq!(function.command(), Command::new());
        let mut after = function.bytes();
        // The interrupt line is the firmware's note, kept or not.
        after[usize::from(header::INTERRUPT_LINE)] = before[usize::from(header::INTERRUPT_LINE)];
        assert_eq!(after, before);
    }
}

/// As above: MSI-X is disabled by it.
#[testjig::test(on = Pci, launch = with_flr)]
fn a_function_level_reset_disables_msix(pci: Pci) {
    for function in [4, 5].map(|device| pci.device(device)) {
        assert!(function.can_reset(), "{:?}", function.id());
        let msix = function.msix(&[]).expect("it has MSI-X");
        msix.set_message(
            0,
            MsiMessage {
                address: 0x1000,
                data: 1,
            },
        );
        msix.enable();
        function.reset();
        assert!(!msix.control().enable());
        let again = function.msix(&[]).expect("it has MSI-X");
        assert!(again.entry(0).masked);
    }
}

/// PCIe §7.8.4: the bit that resets always reads as 0.
#[testjig::test(on = Pci, launch = with_flr)]
fn the_reset_bit_reads_as_zero(pci: Pci) {
    for function in [4, 5].map(|device| pci.device(device)) {
        let express = function.express().expect("it is an endpoint");
        express.set_device_control(1 << 15);
        assert_eq!(express.device_control() & (1 << 15), 0);
    }
}

/// An 82576 and an NVMe controller, which both can be reset alone.
fn with_flr(launch: Launch) -> Launch {
    let igb = Device::new("igb").prop("romfile", "").prop("addr", "04.0");
    let nvme = Device::new("nvme")
        .prop("serial", "testjig")
        .prop("addr", "05.0");
    launch.device(igb).device(nvme)
}

/// PM §3.2.4: the state can be read back; D1 and D2 only if the function says that it has them (PM §3.2.3).
#[testjig::test(on = Nic)]
fn a_function_goes_to_d3_and_back(nic: Nic) {
    let power = nic.function.power().expect("it has power management");
    assert_eq!(power.state(), PowerState::D0);
    power.set_state(PowerState::D3Hot);
    assert_eq!(power.state(), PowerState::D3Hot);
    power.set_state(PowerState::D0);
    assert_eq!(power.state(), PowerState::D0);
}

/// PM §5.4: in D3hot configuration accesses are answered.
#[testjig::test(on = Nic)]
fn in_d3_the_configuration_space_answers(nic: Nic) {
    let power = nic.function.power().expect("it has power management");
    power.set_state(PowerState::D3Hot);
    assert_eq!(nic.function.id(), Nic::ID);
    nic.function.write::<u8>(header::INTERRUPT_LINE, 0x5a);
    assert_eq!(nic.function.read::<u8>(header::INTERRUPT_LINE), 0x5a);
}
