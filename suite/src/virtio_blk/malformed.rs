//! Requests that no driver makes: each breaks the device until it is reset, and nothing else.
//!
//! §2.1.2: "The device SHOULD set DEVICE_NEEDS_RESET when it enters an error state that a reset is needed."

use super::*;

/// Has a test's request break the device, and resets it to find it well; for both layouts.
#[track_caller]
fn breaks(blk: &VirtioBlk, layouts: &[Layout], publish: impl Fn(&Disk)) {
    for &layout in layouts {
        if layout == Layout::Packed && blk.device().vm().qemu().version.major < 11 {
            Fault::skip("QEMU before 11 takes a packed virtqueue of a broken device to be never empty (virtio-packed-chain-broken.qtr)").raise();
        }
        let disk = blk.start(layout);
        publish(&disk);
        disk.queue().kick();
        disk.wait_needs_reset();
        assert!(!disk.queue().has_used(), "{layout:?}");
        recovers(blk, layout);
    }
}

fn desc(segment: Segment) -> Desc {
    Desc {
        addr: segment.addr,
        len: segment.len,
        flags: if segment.device_writes {
            DescFlags::WRITE
        } else {
            DescFlags::NONE
        },
        next: 0,
    }
}

/// [5.2.6] "… the final status byte is written by the device": there must be one.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn a_request_without_a_status_breaks(blk: Modern<VirtioBlk>) {
    let request = Request::new(blk.device(), Kind::FLUSH, 0);
    breaks(&blk, &LAYOUTS, |disk| {
        disk.queue().add(&[request.header().readable()]);
    });
}

/// [5.2.6] A request begins with a header that the device reads.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn a_request_without_a_header_breaks(blk: Modern<VirtioBlk>) {
    let request = Request::new(blk.device(), Kind::FLUSH, 0);
    breaks(&blk, &LAYOUTS, |disk| {
        disk.queue().add(&[request.status_byte().writable()]);
    });
}

/// [5.2.6] The header has 16 bytes.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn a_short_header_breaks(blk: Modern<VirtioBlk>) {
    let request = Request::new(blk.device(), Kind::FLUSH, 0);
    breaks(&blk, &LAYOUTS, |disk| {
        disk.queue().add(&[
            Segment::readable(request.header().addr(), 15),
            request.status_byte().writable(),
        ]);
    });
    assert_eq!(request.status(), Status::PENDING);
}

/// [2.7.4.2, 2.8.6] What the device reads comes before what it writes.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn writable_before_readable_breaks(blk: Modern<VirtioBlk>) {
    let request = Request::new(blk.device(), Kind::FLUSH, 0);
    breaks(&blk, &LAYOUTS, |disk| {
        disk.queue().add(&[
            request.status_byte().writable(),
            request.header().readable(),
        ]);
    });
}

/// [2.7.5] A descriptor of no bytes is none.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn an_empty_descriptor_breaks(blk: Modern<VirtioBlk>) {
    let request = Request::new(blk.device(), Kind::IN, 0);
    breaks(&blk, &LAYOUTS, |disk| {
        disk.queue().add(&[
            request.header().readable(),
            Segment::writable(request.header().addr(), 0),
            request.status_byte().writable(),
        ]);
    });
}

/// [2.7.5] A descriptor names memory.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn a_descriptor_of_no_memory_breaks(blk: Modern<VirtioBlk>) {
    let request = Request::new(blk.device(), Kind::IN, 0);
    for addr in [1 << 52, 1 << 60] {
        breaks(&blk, &LAYOUTS, |disk| {
            disk.queue().add(&[
                request.header().readable(),
                Segment::writable(addr, 64 << 10),
                request.status_byte().writable(),
            ]);
        });
    }
}

/// [2.7.5.3.1] "The driver MUST NOT create a descriptor chain longer than the Queue Size", or one that never ends.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn a_chain_that_bites_its_tail_breaks(blk: Modern<VirtioBlk>) {
    let request = Request::new(blk.device(), Kind::FLUSH, 0);
    breaks(&blk, &[Layout::Split], |disk| {
        let raw = disk.queue().raw();
        let numbers = raw.next_free(2);
        let linked = |segment: Segment, next| Desc {
            flags: desc(segment).flags.with(DescFlags::NEXT),
            next,
            ..desc(segment)
        };
        raw.add(&[
            linked(request.header().readable(), numbers[1]),
            linked(request.header().readable(), numbers[0]),
        ]);
    });
}

/// [2.8.6] In a packed ring a chain has no more descriptors than the ring.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn a_packed_chain_without_an_end_breaks(blk: Modern<VirtioBlk>) {
    let request = Request::new(blk.device(), Kind::FLUSH, 0);
    breaks(&blk, &[Layout::Packed], |disk| {
        let endless = Desc {
            flags: DescFlags::NEXT,
            ..desc(request.header().readable())
        };
        let all = vec![endless; usize::from(disk.queue().size())];
        disk.queue().raw().add(&all);
    });
}

/// [2.7.5] The next descriptor is one of the table.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn a_next_beyond_the_table_breaks(blk: Modern<VirtioBlk>) {
    let request = Request::new(blk.device(), Kind::FLUSH, 0);
    for beyond in [0, 1, 0x7fff] {
        breaks(&blk, &[Layout::Split], |disk| {
            disk.queue().raw().add(&[Desc {
                flags: DescFlags::NEXT,
                next: disk.queue().size() + beyond,
                ..desc(request.header().readable())
            }]);
        });
    }
}

/// [2.7.6] An available head is one of the table.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn a_head_beyond_the_table_breaks(blk: Modern<VirtioBlk>) {
    for beyond in [0, 1, 0x7fff] {
        breaks(&blk, &[Layout::Split], |disk| {
            let head = disk.queue().size() + beyond;
            disk.queue().raw().split().push_avail(head);
        });
    }
}

/// [2.7.6] The available ring holds no more than its size.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn an_index_that_leaps_breaks(blk: Modern<VirtioBlk>) {
    for ahead in [1, 0x4000] {
        let disk = blk.start(Layout::Split);
        let index = disk.queue().size() + ahead;
        disk.queue().raw().split().set_avail_idx(index);
        disk.queue().notify();
        disk.wait_needs_reset();
        recovers(&blk, Layout::Split);
    }
}

/// [2.7.5.3.2] A table of descriptors has a whole number of them, and at least one.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn a_table_of_odd_length_breaks(blk: Modern<VirtioBlk>) {
    let request = Request::new(blk.device(), Kind::FLUSH, 0);
    for len in [0, 1, 15, 17, 31] {
        breaks(&blk, &LAYOUTS, |disk| {
            let table = disk.queue().table(&request.segments());
            let addr = table.addr();
            disk.queue().raw().add(&[Desc {
                addr,
                len,
                flags: DescFlags::INDIRECT,
                next: 0,
            }]);
            disk.queue().kick();
            disk.wait_needs_reset();
        });
    }
}

/// [2.7.5.3] A table's descriptors are numbered in the table.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn a_next_beyond_the_indirect_table_breaks(blk: Modern<VirtioBlk>) {
    let request = Request::new(blk.device(), Kind::FLUSH, 0);
    breaks(&blk, &[Layout::Split], |disk| {
        let table = disk.queue().table(&request.segments());
        let linked = Desc {
            flags: DescFlags::NEXT,
            next: 2,
            ..desc(request.header().readable())
        };
        disk.queue().write_table_entry(&table, 0, linked);
        disk.queue().raw().add(&[Desc {
            addr: table.addr(),
            len: table.len() as u32,
            flags: DescFlags::INDIRECT,
            next: 0,
        }]);
        disk.queue().kick();
        disk.wait_needs_reset();
    });
}

/// [2.7.5.3.2] A table's chain ends as well.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn an_indirect_chain_that_bites_its_tail_breaks(blk: Modern<VirtioBlk>) {
    let request = Request::new(blk.device(), Kind::FLUSH, 0);
    breaks(&blk, &[Layout::Split], |disk| {
        let table = disk.queue().table(&request.segments());
        for (entry, next) in [(0, 1), (1, 0)] {
            let linked = Desc {
                flags: DescFlags::NEXT,
                next,
                ..desc(request.header().readable())
            };
            disk.queue().write_table_entry(&table, entry, linked);
        }
        disk.queue().raw().add(&[Desc {
            addr: table.addr(),
            len: table.len() as u32,
            flags: DescFlags::INDIRECT,
            next: 0,
        }]);
        disk.queue().kick();
        disk.wait_needs_reset();
    });
}

/// [2.1.2] A device that needs a reset says so by an interrupt for its configuration, and serves nothing.
#[testjig::test(on = Modern<VirtioBlk>, needs(running), vary(layout = LAYOUTS))]
fn a_broken_device_interrupts_and_serves_nothing(blk: Modern<VirtioBlk>, vm: &Vm, layout: Layout) {
    let (disk, irq) = settled(&blk, vm, layout, false);
    let broken = Request::new(blk.device(), Kind::FLUSH, 0);
    disk.queue().add(&[broken.header().readable()]);
    disk.queue().kick();
    vm.wait_until(irq.raised(), SECOND);
    assert!(blk.device().take_isr().configuration());
    assert!(blk.device().status().needs_reset());

    let flush = disk.request(Kind::FLUSH, 0);
    disk.queue().add(&flush.segments());
    disk.queue().expose();
    disk.queue().notify();
    vm.qmp(QueryStatus);
    assert!(!disk.queue().has_used());
    assert_eq!(flush.status(), Status::PENDING);
    recovers(&blk, layout);
}

/// [3.1.1] A notification of a virtqueue that was not set up, or that does not exist, is harmless.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn a_notification_of_no_virtqueue_is_harmless(blk: Modern<VirtioBlk>, vm: &Vm) {
    blk.device().negotiate_layout(Layout::Split);
    blk.device().start();
    blk.device().notify(0, 0);
    vm.qmp(QueryStatus);
    assert!(!blk.device().status().needs_reset());
    recovers(&blk, Layout::Split);
}

/// [2.7.4.1] No chain has more descriptors than 1024, in a table or out of it.
#[testjig::test(on = Modern<VirtioBlk>, needs(running))]
fn a_chain_longer_than_any_queue_breaks(blk: Modern<VirtioBlk>) {
    let request = Request::new(blk.device(), Kind::IN, 0).receiving(SECTOR);
    breaks(&blk, &LAYOUTS, |disk| {
        let data = request.data().addr();
        let mut segments = vec![request.header().readable()];
        segments.extend(vec![Segment::writable(data, 1); 1100]);
        segments.push(request.status_byte().writable());
        let id = disk.queue().add_indirect(&segments);
        let _ = id;
    });
}
