//! Inputs for virtio devices on PCI: virtqueues that are set up as a driver does it, with one request each. What is changed later is
//! changed in a device that listens.

use crate::input::{Input, Op, Place, Size, Value};
use crate::target::Target;

/// [Virtio 1.2, 4.1.4.3] Common configuration: distances, and widths.
mod common {
    use super::Size;

    pub(super) const DRIVER_FEATURE_SELECT: (u32, Size) = (0x08, Size::L);
    pub(super) const DRIVER_FEATURE: (u32, Size) = (0x0c, Size::L);
    pub(super) const DEVICE_STATUS: (u32, Size) = (0x14, Size::B);
    pub(super) const QUEUE_SELECT: (u32, Size) = (0x16, Size::W);
    pub(super) const QUEUE_SIZE: (u32, Size) = (0x18, Size::W);
    pub(super) const QUEUE_ENABLE: (u32, Size) = (0x1c, Size::W);
    /// Descriptors, what the driver writes, what the device writes: low halves.
    pub(super) const QUEUE_AREAS: [(u32, Size); 3] =
        [(0x20, Size::L), (0x28, Size::L), (0x30, Size::L)];
}

/// [Virtio 1.2, 2.1] ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK, added one after the other.
const STATUS: [u64; 4] = [1, 3, 0xb, 0xf];
/// [Virtio 1.2, 6] VIRTIO_F_VERSION_1 and VIRTIO_F_RING_PACKED, of the features 32 to 63.
const VERSION_1: u64 = 1;
const PACKED: u64 = 1 << 2;
/// [Virtio 1.2, 2.7.5] Flags of descriptors; [2.8.1] and that one is available in the first round.
const NEXT: u16 = 1;
const WRITE: u16 = 2;
const AVAILABLE: u16 = 0x80;
/// Descriptors of a virtqueue.
const QUEUE: u64 = 16;
/// How far a virtqueue's areas are from each other, in bytes. The buffers are the fourth.
const AREA: u32 = 0x1000;
/// How far buffers are from each other, in bytes.
const BUFFER: u32 = 0x200;
/// Requests: what the device reads, and what it writes, by length.
const SHAPES: [&[(bool, u32)]; 6] = [
    &[(false, 16)],
    &[(true, 64)],
    &[(false, 16), (true, 1)],
    &[(false, 16), (true, 512), (true, 1)],
    &[(false, 16), (false, 512), (true, 1)],
    &[(false, 64), (true, 64)],
];

/// The inputs; none if the target is no such device.
pub(crate) fn beginnings(target: &Target) -> Vec<Input> {
    let region = |name: &str| {
        let found = target
            .regions
            .iter()
            .position(|region| region.name.starts_with(name));
        found.map(|index| index as u16)
    };
    let (Some(common), Some(notify)) = (region("virtio-pci-common"), region("virtio-pci-notify"))
    else {
        return Vec::new();
    };
    let mut inputs = Vec::new();
    for is_packed in [false, true] {
        for queue in 0..2 {
            for shape in SHAPES {
                let mut ops = Vec::new();
                set_up(common, queue, is_packed, &mut ops);
                request(target, shape, is_packed, &mut ops);
                // [Virtio 1.2, 4.1.4.4] QEMU has the queues' places in order, four bytes from each other.
                let bell = Place::Region(notify, 4 * queue);
                let number = Value::Number(queue.into());
                ops.extend([Op::Write(bell, Size::W, number), Op::Wait]);
                inputs.push(Input { on: 0, ops });
            }
        }
    }
    inputs
}

/// [Virtio 1.2, 3.1.1] From reset to DRIVER_OK, with one virtqueue.
fn set_up(region: u16, queue: u32, is_packed: bool, ops: &mut Vec<Op>) {
    let mut write = |(offset, size): (u32, Size), value| {
        ops.push(Op::Write(Place::Region(region, offset), size, value));
    };
    let number = Value::Number;
    let features = if is_packed {
        VERSION_1 | PACKED
    } else {
        VERSION_1
    };
    write(common::DEVICE_STATUS, number(0));
    write(common::DEVICE_STATUS, number(STATUS[0]));
    write(common::DEVICE_STATUS, number(STATUS[1]));
    write(common::DRIVER_FEATURE_SELECT, number(1));
    write(common::DRIVER_FEATURE, number(features));
    write(common::DEVICE_STATUS, number(STATUS[2]));
    write(common::QUEUE_SELECT, number(queue.into()));
    write(common::QUEUE_SIZE, number(QUEUE));
    for (nth, area) in (0..).zip(common::QUEUE_AREAS) {
        write(area, Value::Address(nth * AREA));
    }
    write(common::QUEUE_ENABLE, number(1));
    write(common::DEVICE_STATUS, number(STATUS[3]));
}

/// A chain in the descriptors' area, each operation one that can be changed by itself.
fn request(target: &Target, shape: &[(bool, u32)], is_packed: bool, ops: &mut Vec<Op>) {
    let mut table = Vec::new();
    for (nth, (is_written, len)) in (0..).zip(shape) {
        let buffer = 3 * AREA + nth * BUFFER;
        if !is_written {
            ops.push(Op::Store(buffer, Size::L, Value::Number(0)));
        }
        let is_last = nth as usize + 1 == shape.len();
        let flags = if is_last { 0 } else { NEXT } | if *is_written { WRITE } else { 0 };
        // [Virtio 1.2, 2.7.5 and 2.8.13] Address and length, then flags and next, or identifier and flags.
        let (third, fourth) = if is_packed {
            (0, flags | AVAILABLE)
        } else {
            (flags, nth as u16 + 1)
        };
        table.extend(target.address(buffer).to_le_bytes());
        table.extend(len.to_le_bytes());
        table.extend([third.to_le_bytes(), fourth.to_le_bytes()].concat());
    }
    ops.push(Op::Fill(0, table));
    if !is_packed {
        // [Virtio 1.2, 2.7.6] Flags, index; the ring's first entry is 0, as all memory.
        ops.push(Op::Store(AREA, Size::L, Value::Number(1 << 16)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machines::tests::{answers, target};

    /// [Virtio 1.2, 2.7.8] The used ring's index counts requests that are done.
    #[test]
    fn a_request_in_each_beginning_is_carried_out() {
        let target = target("virtio-blk");
        let beginnings = beginnings(&target);
        assert_eq!(beginnings.len(), 2 * 2 * SHAPES.len());
        // A sector is read: type 0, sector 0, data, status.
        let mut ops = beginnings[3].ops.clone();
        let memory = |offset: u32| Place::Memory(target.address(offset));
        ops.push(Op::Read(memory(2 * AREA + 2), Size::W));
        ops.push(Op::Read(memory(2 * AREA + 8), Size::L));
        assert_eq!(answers(&target, &ops), [1, 513]);
        // [2.8.22] Packed: used flags, and the length, where the first descriptor was.
        let mut ops = beginnings[2 * SHAPES.len() + 3].ops.clone();
        ops.push(Op::Read(memory(8), Size::L));
        ops.push(Op::Read(memory(14), Size::W));
        assert_eq!(answers(&target, &ops), [513, 0x8080]);
    }

    #[test]
    fn other_devices_have_none() {
        assert_eq!(beginnings(&crate::recording::tests::floppy()), []);
    }
}
