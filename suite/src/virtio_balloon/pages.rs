//! Pages that are given and taken, good ones and bad (§5.5.6).

use super::*;

/// [5.5.6] One buffer may have many pages, and be in pieces that cut through their numbers.
#[testjig::test(on = Modern<VirtioBalloon>, vary(layout = LAYOUTS))]
fn many_pages_are_given_at_once(balloon: Modern<VirtioBalloon>, layout: Layout) {
    let balloon = balloon.start(layout);
    let pages = balloon.pages(16);
    // The even ones, the last first.
    let numbers: Vec<u32> = (0..8).rev().map(|at| pages.pfn() + 2 * at).collect();
    let memory = balloon.numbers(&numbers);
    let pieces: Vec<Segment> = [(0, 1), (1, 6), (7, 2), (9, 23)]
        .map(|(at, len)| Segment::readable(memory.addr() + at, len))
        .to_vec();
    assert_eq!(balloon.inflate_queue().run(&pieces), 0);
    for (at, page) in pages.memory().to_vec().chunks(PAGE as usize).enumerate() {
        let expected = if at % 2 == 0 { 0 } else { 0xa5 };
        assert!(page.iter().all(|&byte| byte == expected), "page {at}");
    }
}

/// [5.5.6] Several buffers are done in order, and returned.
#[testjig::test(on = Modern<VirtioBalloon>, vary(layout = LAYOUTS))]
fn a_batch_is_done_in_order(balloon: Modern<VirtioBalloon>, layout: Layout) {
    let balloon = balloon.start(layout);
    let pages = balloon.pages(4);
    let queue = balloon.inflate_queue();
    let memory = [0, 1, 2, 3].map(|at| balloon.numbers(&[pages.pfn() + at]));
    let ids = memory.each_ref().map(|one| queue.add(&[one.readable()]));
    queue.kick();
    assert_eq!(ids.map(|_| queue.wait().id), ids);
    assert!(pages.is_empty());
}

/// [5.5.6] A page that was given twice is given; one that was taken is the driver's, with what it writes there.
#[testjig::test(on = Modern<VirtioBalloon>, vary(layout = LAYOUTS))]
fn pages_come_and_go_in_any_number(balloon: Modern<VirtioBalloon>, layout: Layout) {
    let balloon = balloon.start(layout);
    let page = balloon.page();
    for round in 1..4 {
        balloon.inflate(&[page.pfn(), page.pfn()]);
        balloon.inflate(&[page.pfn()]);
        assert!(page.is_empty());
        balloon.deflate(&[page.pfn(), page.pfn()]);
        page.memory().fill(round);
        balloon.deflate(&[page.pfn()]);
        assert_eq!(page.memory().to_vec(), [round; PAGE as usize]);
    }
}

/// [5.5.6] Numbers of pages that are not RAM change nothing: those after them are done.
#[testjig::test(on = Modern<VirtioBalloon>, vary(layout = LAYOUTS))]
fn pages_that_are_not_memory_are_passed_over(
    balloon: Modern<VirtioBalloon>,
    vm: &Vm,
    layout: Layout,
) {
    let balloon = balloon.start(layout);
    let beyond = (vm.launch().memory_size() / PAGE) as u32 + (1 << 20);
    let [first, last] = [balloon.page(), balloon.page()];
    let numbers = [
        first.pfn(),
        // On a PC, a register of the interrupt controller and the firmware's ROM; elsewhere, nothing.
        0x000f_ec00,
        0x000f_ffff,
        beyond,
        0x7fff_ffff,
        0x8000_0000,
        u32::MAX,
        last.pfn(),
    ];
    balloon.inflate(&numbers);
    assert!(first.is_empty() && last.is_empty());
    balloon.deflate(&numbers);
    assert!(!balloon.device().status().needs_reset());
    works(&balloon);
}

/// [5.5.6] Numbers have four bytes: what is left over is none, and a shorter buffer has none at all.
#[testjig::test(on = Modern<VirtioBalloon>, vary(layout = LAYOUTS))]
fn bytes_left_over_are_no_page(balloon: Modern<VirtioBalloon>, layout: Layout) {
    let balloon = balloon.start(layout);
    let pages = balloon.pages(2);
    let memory = balloon.numbers(&[pages.pfn(), pages.pfn() + 1]);
    for len in 1..4 {
        balloon
            .inflate_queue()
            .run(&[Segment::readable(memory.addr(), len)]);
    }
    assert_eq!(pages.memory().to_vec(), [0xa5; 2 * PAGE as usize]);
    balloon
        .inflate_queue()
        .run(&[Segment::readable(memory.addr(), 7)]);
    let bytes = pages.memory().to_vec();
    assert!(bytes[..PAGE as usize].iter().all(|&byte| byte == 0));
    assert!(bytes[PAGE as usize..].iter().all(|&byte| byte == 0xa5));
}

/// [5.5.6] Buffers that the device may only write have no pages, and are returned as they are.
#[testjig::test(on = Modern<VirtioBalloon>, vary(layout = LAYOUTS))]
fn buffers_of_the_wrong_direction_have_no_pages(balloon: Modern<VirtioBalloon>, layout: Layout) {
    let balloon = balloon.start(layout);
    let page = balloon.page();
    let memory = balloon.numbers(&[page.pfn()]);
    let before = memory.to_vec();
    for queue in [balloon.inflate_queue(), balloon.deflate_queue()] {
        assert_eq!(queue.run(&[memory.writable()]), 0);
    }
    assert_eq!(memory.to_vec(), before);
    assert_eq!(page.memory().to_vec(), [0xa5; PAGE as usize]);
    works(&balloon);
}

/// [2.7.13] Pages go round the ring more than once.
#[testjig::test(on = Modern<VirtioBalloon>, vary(layout = LAYOUTS))]
fn the_rings_go_round(balloon: Modern<VirtioBalloon>, layout: Layout) {
    let balloon = balloon.start(layout);
    let page = balloon.page();
    let laps = usize::from(balloon.inflate_queue().size()) + 3;
    for _ in 0..laps {
        page.memory().fill(0x11);
        balloon.inflate(&[page.pfn()]);
        assert!(page.is_empty());
        balloon.deflate(&[page.pfn()]);
    }
}

/// [2.4.1] A device that is reset begins anew, and what it has of the driver's it keeps.
#[testjig::test(on = Modern<VirtioBalloon>)]
fn a_reset_device_works(balloon: Modern<VirtioBalloon>) {
    for layout in LAYOUTS {
        let running = balloon.start(layout);
        works(&running);
        let page = running.page();
        running.inflate(&[page.pfn()]);
        balloon.device().reset();
        assert!(page.is_empty());
    }
}
