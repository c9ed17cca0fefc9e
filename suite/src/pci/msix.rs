//! Message-signaled interrupts from a table. PCI §6.8.2.

use testjig::prelude::*;
use testjig::qos::pci::{Bar, MsiMessage, MsiSlot, Msix, MsixControl, MsixEntry, Pci};

use super::fixture::Nic;

/// The card with its registers mapped, its causes unmasked, and MSI-X enabled, all vectors masked as after reset.
#[track_caller]
fn ready(nic: &Nic) -> (Bar, Msix) {
    let registers = nic.map();
    let msix = nic.function.msix(&[&registers]).expect("it has MSI-X");
    Nic::arm(&registers);
    msix.enable();
    (registers, msix)
}

/// §6.8.2.9: the mask bit of each entry is set after reset. §6.8.2.3: the table's size less one is in message control.
#[testjig::test(on = Nic)]
fn after_reset_all_vectors_are_masked_and_none_is_pending(nic: Nic) {
    let msix = nic.function.msix(&[]).expect("it has MSI-X");
    assert_eq!(msix.entries(), 5, "82574 data sheet, §9.3.4");
    let control = msix.control();
    assert!(!control.enable() && !control.function_mask());
    for vector in 0..5 {
        assert!(msix.entry(vector).masked, "{vector}");
        assert!(!msix.is_pending(vector), "{vector}");
    }
}

/// §6.8.2.6–8: a vector's message is its own entry's data, written to its own entry's address.
#[testjig::test(on = Nic)]
fn each_vector_sends_its_own_message(nic: Nic) {
    let (registers, msix) = ready(&nic);
    let slots: Vec<_> = (0..5).map(|_| MsiSlot::new(nic.function.pci())).collect();
    for (index, slot) in (0..).zip(&slots) {
        msix.set_message(index, slot.message(0xa000_0001 + u32::from(index)));
    }
    for vector in 0..5_u8 {
        Nic::ring(&registers, vector);
        let received: Vec<_> = slots.iter().map(MsiSlot::take).collect();
        let mut expected = vec![None; 5];
        expected[usize::from(vector)] = Some(0xa000_0001 + u32::from(vector));
        assert_eq!(received, expected, "vector {vector}");
    }
}

/// §6.8.2.9: while a vector is masked nothing is sent; its pending bit is set. Unmasked, it is sent and the bit is cleared.
#[testjig::test(on = Nic)]
fn a_masked_vector_waits_and_is_sent_once(nic: Nic) {
    let (registers, msix) = ready(&nic);
    let slot = MsiSlot::new(nic.function.pci());
    msix.set_message(2, slot.message(2));
    msix.mask(2, true);
    Nic::ring(&registers, 2);
    Nic::ring(&registers, 2);
    assert_eq!((slot.take(), msix.is_pending(2)), (None, true));
    assert!(!msix.is_pending(1) && !msix.is_pending(3));
    msix.mask(2, false);
    assert_eq!((slot.take(), msix.is_pending(2)), (Some(2), false));
    msix.mask(2, true);
    msix.mask(2, false);
    assert_eq!(slot.take(), None);
}

/// §6.8.2.3: the function mask masks all vectors, whatever their own masks are; they are sent when it is cleared.
#[testjig::test(on = Nic)]
fn the_function_mask_holds_all_back(nic: Nic) {
    let (registers, msix) = ready(&nic);
    let slots = [0, 1].map(|_| MsiSlot::new(nic.function.pci()));
    msix.set_message(0, slots[0].message(10));
    msix.set_message(1, slots[1].message(11));
    msix.mask(1, true);
    msix.mask_all(true);
    Nic::ring(&registers, 0);
    Nic::ring(&registers, 1);
    assert_eq!([slots[0].take(), slots[1].take()], [None, None]);
    assert!(msix.is_pending(0) && msix.is_pending(1));
    msix.mask_all(false);
    assert_eq!([slots[0].take(), slots[1].take()], [Some(10), None]);
    assert!(!msix.is_pending(0) && msix.is_pending(1));
}

/// §6.8.2.3: while the enable bit is 0 nothing is sent, nor kept for later.
#[testjig::test(on = Nic)]
fn nothing_is_sent_while_disabled(nic: Nic) {
    let (registers, msix) = ready(&nic);
    let slot = MsiSlot::new(nic.function.pci());
    msix.set_message(0, slot.message(1));
    msix.disable();
    Nic::ring(&registers, 0);
    assert_eq!((slot.take(), msix.is_pending(0)), (None, false));
    msix.enable();
    assert_eq!(slot.take(), None);
    Nic::ring(&registers, 0);
    assert_eq!(slot.take(), Some(1));
}

/// §6.8: a message is a memory write, which needs the bus master bit. The card holds a second interrupt of one vector back for a while,
/// so there are two.
#[testjig::test(on = Nic)]
fn nothing_is_sent_by_what_is_no_bus_master(nic: Nic) {
    let (registers, msix) = ready(&nic);
    let slot = MsiSlot::new(nic.function.pci());
    msix.set_message(0, slot.message(1));
    msix.set_message(1, slot.message(2));
    nic.function
        .change_command(|command| command.with_bus_master(false));
    Nic::ring(&registers, 0);
    assert_eq!(slot.take(), None);
    nic.function.enable_bus_master();
    Nic::ring(&registers, 1);
    assert_eq!(slot.take(), Some(2));
}

/// §6.8.2.6–9: address, upper address and data are read/write; the two low bits of the address are zero in a message. Of vector
/// control, only the mask is defined.
#[testjig::test(on = Nic)]
fn entries_read_back_and_are_apart_from_each_other(nic: Nic) {
    let msix = nic.function.msix(&[]).expect("it has MSI-X");
    let entry = |vector: u16| MsixEntry {
        message: MsiMessage {
            address: 0x0123_4567_89ab_cd00 + 4 * u64::from(vector),
            data: 0xdead_0000 + u32::from(vector),
        },
        masked: vector % 2 == 0,
    };
    for vector in 0..5 {
        msix.set_entry(vector, entry(vector));
    }
    for vector in 0..5 {
        assert_eq!(msix.entry(vector), entry(vector), "{vector}");
    }
}

/// §6.8.2.5: software accesses the table with dwords and qwords; both see the same.
#[testjig::test(on = Nic)]
fn the_table_takes_dwords_and_qwords(nic: Nic) {
    let msix = nic.function.msix(&[]).expect("it has MSI-X");
    let (bar, table) = msix.table();
    bar.write::<u64>(table, 0x1122_3344_5566_7788);
    assert_eq!(bar.read::<u32>(table), 0x5566_7788);
    assert_eq!(bar.read::<u32>(table + 4), 0x1122_3344);
    bar.write::<u32>(table + 8, 0x99aa_bbcc);
    assert_eq!(bar.read::<u64>(table + 8), 0x0000_0001_99aa_bbcc);
}

/// §6.8.2.10: pending bits are read-only for software.
#[testjig::test(on = Nic)]
fn pending_bits_can_t_be_written(nic: Nic) {
    let (registers, msix) = ready(&nic);
    Nic::ring(&registers, 1);
    assert!(msix.is_pending(1));
    let (bar, offset) = msix.pending_bits();
    bar.write::<u32>(offset, 0);
    assert_eq!(bar.read::<u32>(offset), 1 << 1);
    bar.write::<u32>(offset, u32::MAX);
    assert_eq!(bar.read::<u32>(offset), 1 << 1);
    assert_eq!(bar.read::<u64>(offset), 1 << 1);
}

/// §6.8.2.3: of message control, enable and function mask can be written.
#[testjig::test(on = Nic)]
fn message_control_keeps_what_can_be_written(nic: Nic) {
    let msix = nic.function.msix(&[]).expect("it has MSI-X");
    msix.set_control(MsixControl::from_bits(0xffff));
    assert_eq!(msix.control().into_bits(), 0xc004);
    msix.set_control(MsixControl::from_bits(0));
    assert_eq!(msix.control().into_bits(), 0x0004);
    let places = [4, 8].map(|offset| msix.capability().read::<u32>(offset));
    msix.capability().write::<u32>(4, u32::MAX);
    msix.capability().write::<u32>(8, 0);
    assert_eq!(
        places,
        [4, 8].map(|offset| msix.capability().read::<u32>(offset))
    );
}

/// §6.8.2: reset disables MSI-X, masks every vector, and forgets what was pending.
#[testjig::test(on = Nic)]
fn a_reset_brings_the_table_back(nic: Nic, vm: &Vm) {
    let (registers, msix) = ready(&nic);
    msix.set_message(
        0,
        MsiMessage {
            address: 0x1000,
            data: 1,
        },
    );
    Nic::ring(&registers, 1);
    assert!(msix.is_pending(1));
    vm.reset();
    nic.function.pci().after_reset();
    let again = nic.function.msix(&[]).expect("it has MSI-X");
    assert!(!again.control().enable());
    assert_eq!(
        again.entry(0),
        MsixEntry {
            message: MsiMessage {
                address: 0,
                data: 0
            },
            masked: true
        }
    );
    assert!(!again.is_pending(1));
}

/// §6.8.2.2–5: table and pending bits do not overlap, are aligned to 8 bytes, and are within their registers; a pending bit for each
/// entry, in qwords.
#[testjig::test(on = Pci, launch = of_sizes)]
fn a_table_of_any_size_has_room_beside_its_pending_bits(pci: Pci) {
    for (device, vectors) in (4..).zip(SIZES) {
        let msix = pci.device(device).msix(&[]).expect("it has MSI-X");
        assert_eq!(msix.entries(), vectors);
        assert_room(&msix, vectors);

        let last = vectors - 1;
        assert!(msix.entry(last).masked);
        let entry = MsixEntry {
            message: MsiMessage {
                address: 0xfee0_0000,
                data: 0x4000 + u32::from(last),
            },
            masked: true,
        };
        msix.set_entry(last, entry);
        assert_eq!(msix.entry(last), entry);
        assert!(!msix.is_pending(last));
    }
}

#[track_caller]
fn assert_room(msix: &Msix, vectors: u16) {
    let (table, at) = msix.table();
    let (pending, pending_at) = msix.pending_bits();
    let entries = at..at + 16 * u64::from(vectors);
    let bits = pending_at..pending_at + 8 * u64::from(vectors).div_ceil(64);
    assert_eq!((entries.start % 8, bits.start % 8), (0, 0));
    assert!(entries.end <= table.size(), "{entries:?} of {vectors}");
    assert!(bits.end <= pending.size(), "{bits:?} of {vectors}");
    if table.info().index == pending.info().index {
        let apart = entries.end <= bits.start || bits.end <= entries.start;
        assert!(apart, "{entries:?} and {bits:?} of {vectors}");
    }
}

const SIZES: [u16; 9] = [1, 2, 3, 33, 64, 65, 128, 129, 2048];

fn of_sizes(launch: Launch) -> Launch {
    (4..).zip(SIZES).fold(launch, |launch, (device, vectors)| {
        launch.device(serial(device, vectors))
    })
}

fn serial(device: u8, vectors: u16) -> Device {
    Device::new("virtio-serial-pci")
        .prop("addr", format!("{device:02x}.0"))
        .prop("vectors", vectors)
}

/// A device that is asked to have no vectors has no such capability.
#[testjig::test(on = Pci, launch = |l| l.device(serial(4, 0)))]
fn without_vectors_there_is_no_capability(pci: Pci) {
    assert!(pci.device(4).msix_capability().is_none());
}
