//! How many pages the device wants, and how many it has (§5.5.4, §5.5.6).

use super::*;

/// [5.5.3] What the device can do is offered; that it must be told of pages before they are taken is not.
#[testjig::test(on = Modern<VirtioBalloon>, launch = with_all)]
fn all_is_offered_that_was_asked_for(balloon: Modern<VirtioBalloon>) {
    let offered = balloon.device().offered();
    for feature in [
        BalloonFeature::STATS_VQ,
        BalloonFeature::DEFLATE_ON_OOM,
        BalloonFeature::FREE_PAGE_HINT,
        BalloonFeature::PAGE_POISON,
        BalloonFeature::PAGE_REPORTING,
    ] {
        assert!(offered.contains(feature), "{feature:?}");
    }
    assert!(!offered.contains(BalloonFeature::MUST_TELL_HOST));
}

/// [5.5.3] And what was not asked for is not.
#[testjig::test(
    on = Modern<VirtioBalloon>,
    launch = |launch| launch.global("virtio-balloon-device", "page-poison", "off")
)]
fn what_was_not_asked_for_is_not_offered(balloon: Modern<VirtioBalloon>) {
    let offered = balloon.device().offered();
    for feature in [
        BalloonFeature::FREE_PAGE_HINT,
        BalloonFeature::PAGE_POISON,
        BalloonFeature::PAGE_REPORTING,
    ] {
        assert!(!offered.contains(feature), "{feature:?}");
    }
    works(&balloon.start(Layout::Split));
}

/// [5.5.4] The number of pages wanted is that of the memory less what the monitor leaves, rounded down to pages; more than there is
/// means none.
#[testjig::test(on = Modern<VirtioBalloon>)]
fn the_pages_wanted_are_what_the_monitor_takes(balloon: Modern<VirtioBalloon>, vm: &Vm) {
    let balloon = balloon.start(Layout::Split);
    let whole = actual(vm);
    for (left, pages) in [
        (whole - PAGE, 1),
        (whole - 2 * PAGE + 1, 1),
        (whole - (32 << 20), 8192),
        (1, (whole / PAGE - 1) as u32),
        (whole, 0),
        (whole - PAGE, 1),
        (whole + (1 << 30), 0),
    ] {
        want(vm, left);
        assert_eq!(balloon.config().num_pages(), pages, "{left} bytes left");
    }
}

/// [5.5.4] Nothing cannot be wanted.
#[testjig::test(on = Modern<VirtioBalloon>)]
fn a_machine_is_left_something(balloon: Modern<VirtioBalloon>, vm: &Vm) {
    let balloon = balloon.start(Layout::Split);
    for left in ["0", "-1"] {
        let said = vm.hmp(&format!("balloon {left}"));
        assert!(!said.trim().is_empty(), "{left} is taken");
        assert_eq!(balloon.config().num_pages(), 0);
    }
}

/// [5.5.4] `num_pages` is not the driver's to write.
#[testjig::test(on = Modern<VirtioBalloon>)]
fn the_driver_can_not_say_what_is_wanted(balloon: Modern<VirtioBalloon>, vm: &Vm) {
    let balloon = balloon.start(Layout::Split);
    want(vm, actual(vm) - 5 * PAGE);
    balloon.config().set_num_pages(77);
    assert_eq!(balloon.config().num_pages(), 5);
}

/// [5.5.6] What the driver says it has given is told by an event, once a change; further ones are held back for a second.
#[testjig::test(on = Modern<VirtioBalloon>, needs(clock))]
fn each_change_is_told_of(balloon: Modern<VirtioBalloon>, vm: &Vm) {
    let balloon = balloon.start(Layout::Split);
    let whole = actual(vm);
    for pages in [1, 5, 0] {
        balloon.config().set_actual(pages);
        balloon.config().set_actual(pages);
        vm.clock().step(Duration::from_secs(2));
        let event = vm.wait_event("BALLOON_CHANGE", SECOND);
        assert_eq!(event.data()["actual"], whole - u64::from(pages) * PAGE);
    }
    // A byte of the field is written, too.
    balloon.config().set_actual(0x100);
    balloon.config().set_actual_low_byte(7);
    assert_eq!(balloon.config().actual(), 0x107);
    assert_eq!(actual(vm), whole - 0x107 * PAGE);
}

/// [2.5.1] Each change of the configuration by the device has another generation.
#[testjig::test(on = Modern<VirtioBalloon>)]
fn a_change_has_a_generation_of_its_own(balloon: Modern<VirtioBalloon>, vm: &Vm) {
    let balloon = balloon.start(Layout::Split);
    let whole = actual(vm);
    let mut before = balloon.device().config_generation();
    for pages in 1..4 {
        want(vm, whole - pages * PAGE);
        let after = balloon.device().config_generation();
        assert_ne!(after, before, "{pages}");
        before = after;
    }
    assert_eq!(balloon.device().config_generation(), before);
}

/// [2.4.1] What is wanted outlives a reset of the device, since it is the host's.
#[testjig::test(on = Modern<VirtioBalloon>)]
fn what_is_wanted_outlives_a_reset(balloon: Modern<VirtioBalloon>, vm: &Vm) {
    want(vm, actual(vm) - 9 * PAGE);
    let running = balloon.start(Layout::Split);
    assert_eq!(running.config().num_pages(), 9);
    balloon.device().reset();
    assert_eq!(balloon.config().num_pages(), 9);
    assert_eq!(balloon.start(Layout::Packed).config().num_pages(), 9);
}

/// There is one memory, and one balloon for it.
#[testjig::test(on = Pc, launch = |launch| launch
    .device(Device::new("virtio-balloon-pci").id(VIRTIO_BALLOON_ID)))]
fn a_second_balloon_is_refused(vm: &Vm) {
    let second = testjig::qmp::commands::DeviceAdd::new("virtio-balloon-pci");
    let refusal = vm.try_qmp(&second).expect_err("there is a balloon");
    assert!(
        refusal.to_string().contains("Only one balloon device"),
        "{refusal}"
    );
}
