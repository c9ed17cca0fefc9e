//! What holds on every machine, transport and interface.

use super::*;

/// [5.5.1, 5.5.2] A balloon is of type 5, and has a virtqueue each for pages to give, pages to take and statistics.
#[testjig::test(on = VirtioBalloon)]
fn there_are_three_virtqueues(balloon: VirtioBalloon) {
    let transport = balloon.device().transport();
    assert_eq!(transport.device_id(), DEVICE_ID);
    let max = [0, 1, 2, 3, 4, 5].map(|index| transport.queue_max(index));
    assert!(max[..3].iter().all(|&max| max > 0), "{max:?}");
    assert_eq!(max[3..], [0, 0, 0]);
}

/// [5.5.6] A page that is given is the host's: it is empty. Its neighbours are not touched.
#[testjig::test(on = VirtioBalloon)]
fn a_page_that_is_given_is_empty(balloon: VirtioBalloon) {
    let balloon = balloon.start(Layout::Split);
    let pages = balloon.pages(3);
    balloon.inflate(&[pages.pfn() + 1]);
    let bytes = pages.memory().to_vec();
    let page = PAGE as usize;
    assert!(bytes[..page].iter().all(|&byte| byte == 0xa5));
    assert!(bytes[page..2 * page].iter().all(|&byte| byte == 0));
    assert!(bytes[2 * page..].iter().all(|&byte| byte == 0xa5));
    works(&balloon);
}

/// [5.5.6, 5.5.4] What the monitor wants is in the configuration, and interrupts; what the driver says it has given, the monitor knows.
///
/// [5.5.4.1] In the legacy interface, too, the fields are little-endian.
#[testjig::test(on = VirtioBalloon, needs(running))]
fn what_is_wanted_interrupts_and_what_is_given_is_known(balloon: VirtioBalloon, vm: &Vm) {
    let balloon = balloon.start(Layout::Split);
    assert_eq!(balloon.config().num_pages(), 0);
    let whole = actual(vm);
    let irq = vm.intercept(balloon.device().line());
    want(vm, whole - 300 * PAGE);
    vm.wait_until(irq.raised(), SECOND);
    assert!(balloon.device().take_isr().configuration());
    assert_eq!(balloon.config().num_pages(), 300);
    assert_eq!(actual(vm), whole);
    balloon.config().set_actual(299);
    assert_eq!(actual(vm), whole - 299 * PAGE);
    assert_eq!(balloon.config().actual(), 299);
    let event = vm.wait_event("BALLOON_CHANGE", SECOND);
    assert_eq!(event.data()["actual"], whole - 299 * PAGE);
}

/// [5.5.6.3] The device takes the driver's statistics.
#[testjig::test(on = VirtioBalloon)]
fn statistics_are_taken(balloon: VirtioBalloon, vm: &Vm) {
    let balloon = balloon.start(Layout::Split);
    let free = Stat::new(Tag::MEMFREE, 0x0123_4567_89ab_cdef);
    let _memory = balloon.offer_stats(&[free, Stat::new(Tag::MAJFLT, 7)]);
    let taken = Condition::new("the statistics are taken", || {
        let stats = property(vm, "guest-stats");
        stats["stats"]["stat-free-memory"] == free.value && stats["stats"]["stat-major-faults"] == 7
    });
    vm.wait_until(taken, SECOND);
}
