//! Requests that no client makes: each breaks the device until it is reset, and nothing else.
//!
//! §2.1.2 of Virtio 1.2: a device that finds an error from which only a reset recovers should say so by DEVICE_NEEDS_RESET.

use super::*;

/// Has a test's request break the device, and resets it to find it well; for both layouts.
#[track_caller]
fn breaks(device: &Virtio9p, publish: impl Fn(&Client)) {
    for layout in LAYOUTS {
        let client = up(device, layout);
        publish(&client);
        client.queue().kick();
        let state = device.device();
        let broken = Condition::new("the device needs a reset", || state.status().needs_reset());
        state.vm().wait_until(broken, SECOND);
        state.reset();
        drop(client);
        works(&up(device, layout));
    }
}

/// A request has a header.
#[testjig::test(on = Modern<Virtio9p>)]
fn a_request_without_a_whole_header_breaks(device: Modern<Virtio9p>, vm: &Vm) {
    let alloc = GuestAlloc::of(vm);
    let message = Body::new().u32(ROOT).message(Kind::TCLUNK, 1);
    let (request, reply) = (alloc.copy_of(&message), alloc.buf(64));
    for len in [1, 6] {
        breaks(&device, |client| {
            let cut = Segment::readable(request.addr(), len);
            client.queue().add(&[cut, reply.writable()]);
        });
    }
    assert_eq!(reply.to_vec(), [0; 64]);
}

/// A request ends where it must: not within a number, nor within a text.
#[testjig::test(on = Modern<Virtio9p>)]
fn a_request_that_ends_early_breaks(device: Modern<Virtio9p>, vm: &Vm) {
    let alloc = GuestAlloc::of(vm);
    let bodies = [
        (Kind::TCLUNK, Body::new().u16(0)),
        (Kind::TVERSION, Body::new().u32(MSIZE).u16(8).bytes(b"9P2")),
        (Kind::TWALK, Body::new().u32(ROOT).u32(1).u16(2).text("one")),
        (Kind::TGETATTR, Body::new().u32(ROOT)),
    ];
    for (kind, body) in bodies {
        let request = alloc.copy_of(&body.message(kind, 1));
        let reply = alloc.buf(64);
        breaks(&device, |client| {
            client.queue().add(&[request.readable(), reply.writable()]);
        });
    }
}

/// A reply has room.
#[testjig::test(on = Modern<Virtio9p>)]
fn a_reply_without_room_breaks(device: Modern<Virtio9p>, vm: &Vm) {
    let alloc = GuestAlloc::of(vm);
    let message = Body::new().u32(ROOT).u64(0x7ff).message(Kind::TGETATTR, 1);
    let (request, reply) = (alloc.copy_of(&message), alloc.buf(256));
    for len in [1, 6, 7, 40, 159] {
        breaks(&device, |client| {
            let cut = Segment::writable(reply.addr(), len);
            client.queue().add(&[request.readable(), cut]);
        });
        let past = reply.read_vec(len.into(), 256 - len as usize);
        assert!(past.iter().all(|&byte| byte == 0), "{len} bytes");
        reply.fill(0);
    }
}

/// A chain has a request and a room for the reply.
#[testjig::test(on = Modern<Virtio9p>)]
fn a_chain_of_one_direction_breaks(device: Modern<Virtio9p>, vm: &Vm) {
    let alloc = GuestAlloc::of(vm);
    let message = Body::new().u32(ROOT).message(Kind::TCLUNK, 1);
    let (request, reply) = (alloc.copy_of(&message), alloc.buf(64));
    breaks(&device, |client| {
        client.queue().add(&[reply.writable()]);
    });
    breaks(&device, |client| {
        client.queue().add(&[request.readable()]);
    });
}
