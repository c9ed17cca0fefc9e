//! Interrupts by messages: MSI-X (§4.1.5.1.2, §4.1.5.3).

use testjig::qos::pci::MsiSlot;
use testjig::qos::virtio::pci::NO_VECTOR;

use super::*;

/// Memory for messages, and a device that sends vector N's, which say N + 1, to the Nth of them.
struct Messages {
    slots: Vec<MsiSlot>,
}

impl Messages {
    #[track_caller]
    fn of(blk: &VirtioBlk) -> Self {
        let pci = blk.device().pci();
        let slots: Vec<MsiSlot> = (0..pci.msix().entries())
            .map(|vector| {
                let slot = MsiSlot::new(pci.function().pci());
                let message = slot.message(u32::from(vector) + 1);
                pci.msix().set_message(vector, message);
                slot
            })
            .collect();
        pci.enable_msix();
        Self { slots }
    }

    /// Vectors that have sent their message, which are forgotten then.
    #[track_caller]
    fn take(&self) -> Vec<usize> {
        let mut vectors = Vec::new();
        for (vector, slot) in self.slots.iter().enumerate() {
            if let Some(data) = slot.received() {
                assert_eq!(data, vector as u32 + 1);
                slot.clear();
                vectors.push(vector);
            }
        }
        vectors
    }
}

/// Waits for QEMU to have done all that it does by itself.
fn settle(vm: &Vm) {
    vm.qmp(QueryStatus);
}

/// [4.1.5.1.2] A virtqueue's used buffers send its vector, configuration changes theirs; nothing else interrupts.
#[testjig::test(on = OnPci<VirtioBlk>, needs(running), vary(layout = LAYOUTS))]
fn used_buffers_and_changes_send_their_vectors(blk: OnPci<VirtioBlk>, vm: &Vm, layout: Layout) {
    let messages = Messages::of(&blk);
    blk.device().negotiate_layout(layout);
    let pci = blk.device().pci();
    assert_eq!(pci.set_config_vector(0), 0);
    assert_eq!(pci.set_queue_vector(0, 1), 1);
    let disk = blk.start_negotiated(1);
    let irq = vm.intercept(blk.device().line());
    assert_eq!(messages.take(), [0; 0]);
    assert_eq!(disk.flush(), Status::OK);
    settle(vm);
    assert_eq!(messages.take(), [1]);
    resize(vm, VIRTIO_BLK_SIZE * 2);
    settle(vm);
    assert_eq!(messages.take(), [0]);
    assert_eq!(irq.edges(), []);
}

/// [4.1.5.1.2] Both may share a vector.
#[testjig::test(on = OnPci<VirtioBlk>, needs(running))]
fn one_vector_serves_both(blk: OnPci<VirtioBlk>, vm: &Vm) {
    let messages = Messages::of(&blk);
    blk.device().negotiate_layout(Layout::Split);
    let pci = blk.device().pci();
    assert_eq!(pci.set_config_vector(1), 1);
    assert_eq!(pci.set_queue_vector(0, 1), 1);
    let disk = blk.start_negotiated(1);
    assert_eq!(disk.flush(), Status::OK);
    settle(vm);
    assert_eq!(messages.take(), [1]);
    resize(vm, VIRTIO_BLK_SIZE * 2);
    settle(vm);
    assert_eq!(messages.take(), [1]);
}

/// [4.1.4.3.1] Without a vector nothing is sent. At first, and after a reset, there is none.
#[testjig::test(on = OnPci<VirtioBlk>, needs(running))]
fn without_a_vector_nothing_is_sent(blk: OnPci<VirtioBlk>, vm: &Vm) {
    use testjig::qos::virtio::pci::common;

    let messages = Messages::of(&blk);
    blk.device().negotiate_layout(Layout::Split);
    let pci = blk.device().pci();
    assert_eq!(pci.common::<u16>(common::CONFIG_MSIX_VECTOR), NO_VECTOR);
    assert_eq!(pci.common::<u16>(common::QUEUE_MSIX_VECTOR), NO_VECTOR);
    let disk = blk.start_negotiated(1);
    assert_eq!(disk.flush(), Status::OK);
    resize(vm, VIRTIO_BLK_SIZE * 2);
    settle(vm);
    assert_eq!(messages.take(), [0; 0]);

    pci.set_config_vector(0);
    pci.set_queue_vector(0, 1);
    blk.device().reset();
    assert_eq!(pci.common::<u16>(common::CONFIG_MSIX_VECTOR), NO_VECTOR);
    assert_eq!(pci.common::<u16>(common::QUEUE_MSIX_VECTOR), NO_VECTOR);
}

/// [4.1.4.3.1] "the device … return NO_VECTOR when read" after a vector that it has not.
#[testjig::test(on = OnPci<VirtioBlk>)]
fn a_vector_beyond_the_table_is_none(blk: OnPci<VirtioBlk>) {
    blk.device().negotiate_layout(Layout::Split);
    let pci = blk.device().pci();
    let entries = pci.msix().entries();
    for vector in [entries, entries + 1, 0x7ff] {
        assert_eq!(pci.set_config_vector(vector), NO_VECTOR, "{vector}");
        assert_eq!(pci.set_queue_vector(0, vector), NO_VECTOR, "{vector}");
    }
    assert_eq!(pci.set_config_vector(entries - 1), entries - 1);
    assert_eq!(pci.set_queue_vector(0, entries - 1), entries - 1);
}

/// [PCI 3.0 §6.8.2.5] A masked vector's message waits until it is unmasked.
#[testjig::test(on = OnPci<VirtioBlk>, needs(running))]
fn a_masked_vector_waits(blk: OnPci<VirtioBlk>, vm: &Vm) {
    let messages = Messages::of(&blk);
    blk.device().negotiate_layout(Layout::Split);
    let pci = blk.device().pci();
    pci.set_queue_vector(0, 1);
    let disk = blk.start_negotiated(1);
    pci.msix().mask(1, true);
    assert_eq!(disk.flush(), Status::OK);
    settle(vm);
    assert_eq!(messages.take(), [0; 0]);
    assert!(pci.msix().is_pending(1));
    pci.msix().mask(1, false);
    settle(vm);
    assert_eq!(messages.take(), [1]);
    assert!(!pci.msix().is_pending(1));
}

/// [4.1.5.1.2] Each virtqueue may have a vector of its own.
#[testjig::test(on = OnPci<VirtioBlk>, needs(running), launch = |launch| launch
    .global("virtio-blk-device", "num-queues", 3))]
fn each_virtqueue_has_its_vector(blk: OnPci<VirtioBlk>, vm: &Vm) {
    let messages = Messages::of(&blk);
    assert_eq!(messages.slots.len(), 4);
    blk.device().negotiate_layout(Layout::Split);
    let pci = blk.device().pci();
    for (queue, vector) in [(0, 3), (1, 1), (2, 2)] {
        assert_eq!(pci.set_queue_vector(queue, vector), vector);
    }
    let disk = blk.start_negotiated(3);
    for (queue, vector) in [(2, 2), (0, 3), (1, 1)] {
        let flush = disk.request(Kind::FLUSH, 0);
        disk.queues()[queue].run(&flush.segments());
        settle(vm);
        assert_eq!(messages.take(), [vector], "virtqueue {queue}");
    }
}

/// [4.1.4.10.1] The legacy interface has the vectors before the device's configuration, while messages are enabled.
#[testjig::test(on = LegacyOnPci, needs(running))]
fn a_legacy_device_sends_messages(blk: LegacyOnPci, vm: &Vm) {
    let blk = blk.0;
    assert_eq!(blk.config().capacity(), CAPACITY);
    let messages = Messages::of(&blk);
    assert_eq!(blk.config().capacity(), CAPACITY);
    blk.device().negotiate_layout(Layout::Split);
    let pci = blk.device().pci();
    assert_eq!(pci.set_config_vector(0), 0);
    assert_eq!(pci.set_queue_vector(0, 1), 1);
    assert_eq!(pci.set_queue_vector(0, 77), NO_VECTOR);
    assert_eq!(pci.set_queue_vector(0, 1), 1);
    let disk = blk.start_negotiated(1);
    assert_eq!(disk.flush(), Status::OK);
    settle(vm);
    assert_eq!(messages.take(), [1]);
    resize(vm, VIRTIO_BLK_SIZE * 2);
    settle(vm);
    assert_eq!(messages.take(), [0]);
    assert_eq!(blk.config().capacity(), 2 * CAPACITY);
}

/// A transitional device by its legacy interface, on the machine where its messages reach memory.
struct LegacyOnPci(VirtioBlk);

testjig::graph!(|graph| {
    graph
        .edge("virtio-blk-pci-transitional", |q35: &Q35| {
            let pci = qos::pci::Pci::q35(q35.vm());
            let transport = PciTransport::legacy(&pci.device(VIRTIO_PCI_SLOT));
            LegacyOnPci(VirtioBlk::new(Virtio::new(transport)))
        })
        .launch(|launch| on_pci(launch, "virtio-blk-pci-transitional", VIRTIO_BLK_DRIVE));
});
