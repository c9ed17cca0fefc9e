//! What becomes of errors of the host: `rerror` and `werror`.
//!
//! A node of QEMU's between device and image fails requests of the kind that a case names.

use super::*;

/// A disk whose requests fail.
struct Faulty(VirtioBlk);

/// The node that fails.
const NODE: &str = "faulty";

/// Fails requests: `what` and how it goes on, as options of the driver `blkdebug`.
fn fail(launch: Launch, what: &str) -> Launch {
    launch.arg("-blockdev").arg(format!(
        "driver=blkdebug,node-name={NODE},image={VIRTIO_BLK_DRIVE},discard=unmap,inject-error.0.event=none,{what}"
    ))
}

fn policy(launch: Launch, read: &str, write: &str) -> Launch {
    launch
        .global("virtio-blk-device", "rerror", read)
        .global("virtio-blk-device", "werror", write)
}

/// Has the first request of a kind fail.
fn failing(launch: Launch, kind: &str) -> Launch {
    // QEMU reads the first sectors itself, for the geometry.
    let place = if kind == "read" {
        ",inject-error.0.sector=8"
    } else {
        ""
    };
    fail(
        launch,
        &format!(
            "inject-error.0.iotype={kind},inject-error.0.errno=5,inject-error.0.once=on{place}"
        ),
    )
}

testjig::graph!(|graph| {
    graph
        .edge("virtio-blk-pci-faulty", |q35: &Q35| {
            // Events count once the monitor has answered: an error may come before it has.
            q35.vm().qmp(QueryStatus);
            Faulty(VirtioBlk::new(on_q35(q35)))
        })
        .launch(|launch| on_pci(launch, "virtio-blk-pci", NODE));
});

/// The action that QEMU says it took for an error.
#[track_caller]
fn action(vm: &Vm) -> String {
    let event = vm.wait_event("BLOCK_IO_ERROR", SECOND);
    event.data()["action"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// [5.2.6] "VIRTIO_BLK_S_IOERR for a device or driver error": reported errors are the request's.
#[testjig::test(on = Faulty, needs(running), launch = |launch| policy(failing(launch, "read"), "report", "report"))]
fn a_reported_read_error_is_the_requests(blk: Faulty, vm: &Vm) {
    let disk = blk.0.start(Layout::Split);
    assert_eq!(disk.try_write(8, &[1; BYTES]), Status::OK);
    assert_eq!(disk.try_read(8, SECTOR), Status::IOERR);
    assert_eq!(action(vm), "report");
    assert_eq!(disk.read(8, SECTOR), [1; BYTES]);
}

/// [5.2.6] The same for writes.
#[testjig::test(on = Faulty, needs(running), launch = |launch| policy(failing(launch, "write"), "report", "report"))]
fn a_reported_write_error_is_the_requests(blk: Faulty, vm: &Vm) {
    let disk = blk.0.start(Layout::Split);
    assert_eq!(disk.try_write(0, &[1; BYTES]), Status::IOERR);
    assert_eq!(action(vm), "report");
    assert_eq!(disk.read(0, SECTOR), [0; BYTES]);
    assert_eq!(disk.try_write(0, &[1; BYTES]), Status::OK);
}

/// [5.2.6] The same for flushes, discards and write zeroes.
#[testjig::test(
    on = Faulty,
    needs(running),
    launch = |launch| policy(failing(launch, kind), "report", "report"),
    vary(kind = ["flush", "discard", "write-zeroes"])
)]
fn other_errors_are_reported_too(blk: Faulty, vm: &Vm, kind: &str) {
    let disk = blk.0.start(Layout::Split);
    let run = || match kind {
        "flush" => {
            // A flush of nothing fails never.
            disk.write(0, &[1; BYTES]);
            disk.flush()
        }
        "discard" => disk.discard(Range::new(0, 8)),
        _ => disk.write_zeroes(Range::new(0, 8)),
    };
    assert_eq!(run(), Status::IOERR);
    assert_eq!(action(vm), "report");
    assert_eq!(run(), Status::OK);
}

/// [5.2.6] Requests that were done as one fail each for itself.
#[testjig::test(on = Faulty, needs(running), launch = |launch| policy(failing(launch, "write"), "report", "report"))]
fn merged_requests_fail_each(blk: Faulty) {
    let disk = blk.0.start(Layout::Split);
    let requests: Vec<Request> = (0..4)
        .map(|sector| disk.request(Kind::OUT, sector).sending(&[1; BYTES]))
        .collect();
    for request in &requests {
        disk.queue().add(&request.segments());
    }
    disk.queue().kick();
    for _ in &requests {
        disk.queue().wait();
    }
    for request in &requests {
        assert_eq!(request.status(), Status::IOERR);
    }
}

/// Ignored errors are none for the driver.
#[testjig::test(
    on = Faulty,
    needs(running),
    launch = |launch| policy(failing(launch, kind), "ignore", "ignore"),
    vary(kind = ["read", "write", "flush"])
)]
fn an_ignored_error_is_none(blk: Faulty, vm: &Vm, kind: &str) {
    let disk = blk.0.start(Layout::Split);
    let status = match kind {
        "read" => disk.try_read(8, SECTOR),
        "write" => disk.try_write(0, &[1; BYTES]),
        _ => {
            disk.write(0, &[1; BYTES]);
            disk.flush()
        }
    };
    assert_eq!(status, Status::OK);
    assert_eq!(action(vm), "ignore");
}

/// An error that stops the machine leaves the request to be tried again when it goes on.
#[testjig::test(
    on = Faulty,
    needs(running),
    launch = |launch| policy(failing(launch, kind), "stop", "stop"),
    vary(kind = ["read", "write", "flush", "discard"])
)]
fn a_request_that_stopped_the_machine_is_tried_again(blk: Faulty, vm: &Vm, kind: &str) {
    image(vm).set_sector(8, &pattern(BYTES, 0x21));
    let disk = blk.0.start(Layout::Split);
    let range = Range::new(0, 8).bytes(blk.0.device().order());
    let request = match kind {
        "read" => disk.request(Kind::IN, 8).receiving(SECTOR),
        "write" => disk.request(Kind::OUT, 9).sending(&pattern(BYTES, 0x22)),
        "flush" => {
            disk.write(0, &[1; BYTES]);
            disk.request(Kind::FLUSH, 0)
        }
        _ => disk.request(Kind::DISCARD, 0).sending(&range),
    };
    disk.queue().add(&request.segments());
    disk.queue().kick();
    vm.wait_event("STOP", SECOND);
    assert_eq!(action(vm), "stop");
    assert!(!disk.queue().has_used());
    assert_eq!(request.status(), Status::PENDING);

    vm.qmp(Cont);
    disk.queue().wait();
    assert_eq!(request.status(), Status::OK);
    match kind {
        "read" => assert_eq!(request.data().to_vec(), pattern(BYTES, 0x21)),
        "write" => assert_eq!(image(vm).sector(9)[..], pattern(BYTES, 0x22)),
        _ => {}
    }
}

/// Requests of several virtqueues that wait for the machine to go on are all tried again, each on its own.
#[testjig::test(
    on = Faulty,
    needs(running),
    launch = |launch| policy(failing(launch, "write"), "stop", "stop")
        .global("virtio-blk-device", "num-queues", 2)
)]
fn waiting_requests_return_to_their_own_virtqueues(blk: Faulty, vm: &Vm) {
    blk.0.device().negotiate_layout(Layout::Split);
    let disk = blk.0.start_negotiated(2);
    let requests = [10, 20].map(|sector| {
        disk.request(Kind::OUT, sector)
            .sending(&pattern(BYTES, sector as u8))
    });
    disk.queues()[1].add(&requests[1].segments());
    disk.queues()[1].kick();
    vm.wait_event("STOP", SECOND);
    disk.queues()[0].add(&requests[0].segments());
    disk.queues()[0].kick();
    vm.qmp(Cont);
    for (queue, request) in disk.queues().iter().zip(&requests) {
        queue.wait();
        assert_eq!(request.status(), Status::OK);
        assert!(!queue.has_used());
    }
    assert_eq!(image(vm).sector(10)[..], pattern(BYTES, 10));
    assert_eq!(image(vm).sector(20)[..], pattern(BYTES, 20));
}

/// [2.4.1] A reset drops the requests that wait for the machine to go on.
#[testjig::test(on = Faulty, needs(running), launch = |launch| policy(failing(launch, "write"), "stop", "stop"))]
fn a_reset_drops_waiting_requests(blk: Faulty, vm: &Vm) {
    let disk = blk.0.start(Layout::Split);
    let request = disk.request(Kind::OUT, 5).sending(&[0xff; BYTES]);
    disk.queue().add(&request.segments());
    disk.queue().kick();
    vm.wait_event("STOP", SECOND);
    blk.0.device().reset();
    vm.qmp(Cont);
    vm.qmp(QueryStatus);
    assert_eq!(request.status(), Status::PENDING);
    assert_eq!(image(vm).sector(5), [0; BYTES]);
    recovers(&blk.0, Layout::Split);
}

/// With `enospc` only a full disk stops the machine.
#[testjig::test(
    on = Faulty,
    needs(running),
    launch = |launch| policy(
        fail(launch, &format!("inject-error.0.iotype=write,inject-error.0.once=on,inject-error.0.errno={errno}")),
        "report",
        "enospc",
    ),
    vary(errno = [5, 28])
)]
fn a_full_disk_stops_the_machine(blk: Faulty, vm: &Vm, errno: u32) {
    let disk = blk.0.start(Layout::Split);
    let request = disk.request(Kind::OUT, 0).sending(&[1; BYTES]);
    disk.queue().add(&request.segments());
    disk.queue().kick();
    if errno == 28 {
        vm.wait_event("STOP", SECOND);
        assert_eq!(action(vm), "stop");
        vm.qmp(Cont);
        disk.queue().wait();
        assert_eq!(request.status(), Status::OK);
    } else {
        disk.queue().wait();
        assert_eq!(action(vm), "report");
        assert_eq!(request.status(), Status::IOERR);
    }
}

/// A request that makes no sense any more when the machine goes on breaks the device, and those that wait behind it are dropped.
#[testjig::test(on = Faulty, needs(running), launch = |launch| policy(fail(launch,
    "inject-error.0.iotype=flush,inject-error.0.errno=5,inject-error.0.once=off"), "stop", "stop"))]
fn a_waiting_request_that_was_spoilt_breaks_the_device(blk: Faulty, vm: &Vm) {
    let disk = blk.0.start(Layout::Split);
    disk.write(0, &[1; BYTES]);
    let flushes = [0, 0].map(|sector| disk.request(Kind::FLUSH, sector));
    for flush in &flushes {
        disk.queue().add(&flush.segments());
    }
    disk.queue().kick();
    vm.wait_event("STOP", SECOND);
    // A discard without a range.
    for flush in &flushes {
        let header = Header {
            kind: Kind::DISCARD,
            reserved: 0,
            sector: 0,
        };
        flush.set_header(blk.0.device(), header);
    }
    vm.qmp(Cont);
    disk.wait_needs_reset();
    assert!(!disk.queue().has_used());
    recovers(&blk.0, Layout::Split);
}

/// Waiting requests travel with a machine, and are done where it goes on.
#[testjig::test(
    on = Faulty,
    needs(running),
    launch = |launch| policy(failing(launch, "write"), "stop", "stop")
        .global("virtio-blk-device", "num-queues", queues),
    vary(queues = [1, 2])
)]
fn waiting_requests_travel(blk: Faulty, vm: &Vm, qemu: &Qemu, launch: Launch, queues: u16) {
    blk.0.device().negotiate_layout(Layout::Split);
    let disk = blk.0.start_negotiated(queues);
    let request = disk.request(Kind::OUT, 5).sending(&pattern(BYTES, 0x55));
    let queue = disk.queues().last().expect("there is one");
    queue.add(&request.segments());
    queue.kick();
    vm.wait_event("STOP", SECOND);

    let target = migrate(vm, qemu, &launch);
    target.qmp(Cont);
    // The first write fails there, too.
    target.wait_event("STOP", SECOND);
    target.qmp(Cont);
    let status = request.status_byte().addr();
    let done = Condition::new("the request is done where it went", || {
        target.ram().read_le::<u8>(status) == Status::OK.0
    });
    target.wait_until(done, SECOND);
    assert_eq!(image(&target).sector(5)[..], pattern(BYTES, 0x55));
    let used: u16 = target.ram().read_le(queue.rings().device + 2);
    assert_eq!(used, 1);
    target.stop();
}
