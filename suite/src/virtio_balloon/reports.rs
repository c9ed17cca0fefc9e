//! Free pages that the driver reports (§5.5.6.7), and what it fills them with (§5.5.6.6).

use super::*;

/// Starts a device with reports and without hints, which a thread of its own would look for at any time until it is reset.
#[track_caller]
fn start(balloon: &VirtioBalloon, layout: Layout) -> Balloon {
    let reports =
        Features::VERSION_1 | BalloonFeature::PAGE_REPORTING | BalloonFeature::PAGE_POISON;
    balloon.start_with(match layout {
        Layout::Split => reports,
        Layout::Packed => reports | Features::RING_PACKED,
    })
}

/// All of a page, for a report.
fn piece(page: &Page) -> Segment {
    Segment::writable(page.memory().addr(), page.memory().len() as u32)
}

/// [5.5.6.7] Memory that is reported free is the host's until the buffer is returned: it is empty then.
#[testjig::test(on = Modern<VirtioBalloon>, launch = with_all, vary(layout = LAYOUTS))]
fn reported_pages_are_empty(balloon: Modern<VirtioBalloon>, layout: Layout) {
    let balloon = start(&balloon, layout);
    let pages = [balloon.pages(4), balloon.page(), balloon.pages(2)];
    let used = balloon.report_queue().run(&pages.each_ref().map(piece));
    assert_eq!(used, 0, "the device wrote nothing");
    assert!(pages.iter().all(Page::is_empty));
    works(&balloon);
}

/// [5.5.6.7] Pieces that are no whole pages are left as they are.
#[testjig::test(on = Modern<VirtioBalloon>, launch = with_all, vary(layout = LAYOUTS))]
fn parts_of_pages_are_left(balloon: Modern<VirtioBalloon>, layout: Layout) {
    let balloon = start(&balloon, layout);
    let pages = balloon.pages(2);
    let addr = pages.memory().addr();
    for (offset, len) in [(0, 2048), (1, 4096), (2048, 2048), (0, 4097)] {
        balloon.report(&[Segment::writable(addr + offset, len)]);
    }
    assert_eq!(pages.memory().to_vec(), [0xa5; 2 * PAGE as usize]);
}

/// [5.5.6.7] What the device may only read is not reported.
#[testjig::test(on = Modern<VirtioBalloon>, launch = with_all, vary(layout = LAYOUTS))]
fn what_may_only_be_read_is_left(balloon: Modern<VirtioBalloon>, layout: Layout) {
    let balloon = start(&balloon, layout);
    let page = balloon.page();
    balloon.report(&[page.memory().readable()]);
    assert_eq!(page.memory().to_vec(), [0xa5; PAGE as usize]);
}

/// [5.5.6.7.2] A reported page may hold nothing then but what the driver fills its pages with: if that is not zero, it is left.
#[testjig::test(on = Modern<VirtioBalloon>, launch = with_all, vary(layout = LAYOUTS))]
fn poisoned_pages_are_left(balloon: Modern<VirtioBalloon>, layout: Layout) {
    let balloon = start(&balloon, layout);
    balloon.config().set_poison(0xa5a5_a5a5);
    assert_eq!(balloon.config().poison(), 0xa5a5_a5a5);
    let page = balloon.page();
    balloon.report(&[piece(&page)]);
    assert_eq!(page.memory().to_vec(), [0xa5; PAGE as usize]);
    // Zero is what an empty page has.
    balloon.config().set_poison(0);
    balloon.report(&[piece(&page)]);
    assert!(page.is_empty());
}

/// [5.5.6.6] A reset forgets what pages are filled with, and without the feature the driver can't say it.
#[testjig::test(on = Modern<VirtioBalloon>, launch = with_all)]
fn a_reset_forgets_the_poison(balloon: Modern<VirtioBalloon>) {
    let running = start(&balloon, Layout::Split);
    running.config().set_poison(0x1234_5678);
    balloon.device().reset();
    drop(running);
    let reporting = Features::VERSION_1 | BalloonFeature::PAGE_REPORTING;
    let running = balloon.start_with(reporting);
    running.config().set_poison(0x8765_4321);
    let page = running.page();
    running.report(&[piece(&page)]);
    assert!(page.is_empty());
    balloon.device().reset();
    drop((running, page));
    let running = balloon.start_with(reporting | BalloonFeature::PAGE_POISON);
    assert_eq!(running.config().poison(), 0);
}

/// [5.5.2] The virtqueues have the same numbers whichever of them there are: that of reports is 4 without hints, too.
#[testjig::test(
    on = Modern<VirtioBalloon>,
    launch = |launch| launch.global("virtio-balloon-device", "free-page-reporting", "on"),
    xfail = "the virtqueues are numbered without those that are not there, so that it is 3 (hw/virtio/virtio-balloon.c, virtio_balloon_device_realize; Linux counts alike)"
)]
fn reports_have_their_virtqueue_without_hints(balloon: Modern<VirtioBalloon>) {
    assert!(
        !balloon
            .device()
            .offered()
            .contains(BalloonFeature::FREE_PAGE_HINT)
    );
    let balloon = balloon.start(Layout::Split);
    let page = balloon.page();
    balloon.report(&[piece(&page)]);
    assert!(page.is_empty());
}
