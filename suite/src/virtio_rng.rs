//! Tests of the virtio entropy device. Sections are of Virtio 1.2.

use testjig::prelude::*;
use testjig::qos::dev::virtio_rng::{DEVICE_ID, VirtioRng};
use testjig::qos::mem::GuestAlloc;
use testjig::qos::virtio::Layout;

/// [5.4] An entropy device is of type 4, and has one virtqueue.
#[testjig::test(on = VirtioRng)]
fn the_device_has_one_virtqueue(rng: VirtioRng) {
    assert_eq!(rng.device().transport().device_id(), DEVICE_ID);
    assert!(rng.device().transport().queue_max(0) > 0);
    assert_eq!(rng.device().transport().queue_max(1), 0);
}

/// [5.4.6.2] "The device MUST place one or more random bytes into the buffer", and says how many.
#[testjig::test(on = VirtioRng, needs(running))]
fn a_room_is_filled_with_other_bytes_each_time(rng: VirtioRng, vm: &Vm) {
    let queue = rng.start(Layout::Split);
    let alloc = GuestAlloc::of(vm);
    let rooms = [(); 2].map(|()| {
        let room = alloc.buf(64);
        let written = queue.run(&[room.writable()]);
        assert!((1..=64).contains(&written), "{written}");
        assert!(
            room.to_vec()[written as usize..]
                .iter()
                .all(|&byte| byte == 0),
            "more than {written} bytes were written"
        );
        (written, room.to_vec())
    });
    // Sixteen bytes that are twice the same come once in 2^128.
    assert!(rooms[0].0 < 16 || rooms[0] != rooms[1]);
}

/// [2.7.4] A room may be in pieces, and is filled across them.
#[testjig::test(on = VirtioRng, needs(running))]
fn a_room_in_pieces_is_filled(rng: VirtioRng, vm: &Vm) {
    let queue = rng.start(Layout::Split);
    let pieces = [(); 4].map(|()| GuestAlloc::of(vm).buf(32));
    let segments = [0, 1, 2, 3].map(|index: usize| pieces[index].writable());
    assert_eq!(queue.run(&segments), 128);
    for piece in &pieces {
        assert!(piece.to_vec().iter().any(|&byte| byte != 0));
    }
}

/// [2.4.1] Rooms that were given before a reset are not filled after it.
#[testjig::test(on = VirtioRng, needs(running))]
fn a_reset_device_starts_anew(rng: VirtioRng, vm: &Vm) {
    for _ in 0..2 {
        let queue = rng.start(Layout::Split);
        let room = GuestAlloc::of(vm).buf(16);
        assert!(queue.run(&[room.writable()]) > 0);
        rng.device().reset();
    }
}
