//! What the driver says of its memory (§5.5.6.3).

use testjig::qmp::commands::QomSet;
use testjig::qos::mem::GuestBuf;

use super::*;

/// What the monitor calls the counts, by their tags.
const NAMES: [(Tag, &str); 10] = [
    (Tag::SWAP_IN, "stat-swap-in"),
    (Tag::SWAP_OUT, "stat-swap-out"),
    (Tag::MAJFLT, "stat-major-faults"),
    (Tag::MINFLT, "stat-minor-faults"),
    (Tag::MEMFREE, "stat-free-memory"),
    (Tag::MEMTOT, "stat-total-memory"),
    (Tag::AVAIL, "stat-available-memory"),
    (Tag::CACHES, "stat-disk-caches"),
    (Tag::HTLB_PGALLOC, "stat-htlb-pgalloc"),
    (Tag::HTLB_PGFAIL, "stat-htlb-pgfail"),
];

/// Has the device ask for statistics so often; 0 is never.
#[track_caller]
fn ask_every(vm: &Vm, seconds: u64) {
    let name = "guest-stats-polling-interval";
    vm.qmp(QomSet::new(path(vm), name, seconds));
}

/// A count, as the monitor says it.
#[track_caller]
fn count(vm: &Vm, name: &str) -> Value {
    property(vm, "guest-stats")["stats"][name].clone()
}

/// Shows the device a count of minor faults, and waits until it knows.
#[track_caller]
fn tell(balloon: &Balloon, faults: u64) -> GuestBuf {
    let memory = balloon.offer_stats(&[Stat::new(Tag::MINFLT, faults)]);
    let vm = balloon.device().vm();
    let taken = Condition::new("the statistics are taken", || {
        count(vm, "stat-minor-faults") == faults
    });
    vm.wait_until(taken, SECOND);
    memory
}

/// What the monitor says of a count that it does not have.
fn unknown() -> Value {
    json!(u64::MAX)
}

/// [5.5.6.4] Each tag is known by what it counts.
#[testjig::test(on = Modern<VirtioBalloon>, vary(layout = LAYOUTS))]
fn every_tag_is_known(balloon: Modern<VirtioBalloon>, vm: &Vm, layout: Layout) {
    let balloon = balloon.start(layout);
    for (_, name) in NAMES {
        assert_eq!(count(vm, name), unknown(), "{name}");
    }
    let value = |tag: Tag| 1 << 40 | u64::from(tag.0) << 8 | 0x5a;
    // The last first: the order does not matter.
    let all: Vec<Stat> = NAMES
        .iter()
        .rev()
        .map(|&(tag, _)| Stat::new(tag, value(tag)))
        .collect();
    let _memory = balloon.offer_stats(&all);
    let taken = Condition::new("the statistics are taken", || {
        count(vm, NAMES[0].1) == value(NAMES[0].0)
    });
    vm.wait_until(taken, SECOND);
    for (tag, name) in NAMES {
        assert_eq!(count(vm, name), value(tag), "{name}");
    }
}

/// [5.5.6.3] Counts that the device does not know, and bytes that are no whole count, are passed over.
#[testjig::test(on = Modern<VirtioBalloon>, vary(layout = LAYOUTS))]
fn unknown_tags_are_passed_over(balloon: Modern<VirtioBalloon>, vm: &Vm, layout: Layout) {
    let balloon = balloon.start(layout);
    let all = [
        Stat::new(Tag(0x7fff), 1),
        Stat::new(Tag(0xffff), 2),
        Stat::new(Tag::CACHES, 3),
        Stat::new(Tag::MEMTOT, 4),
    ];
    let bytes = stats(balloon.device().order(), &all);
    let memory = GuestAlloc::of(vm).copy_of(&bytes);
    let cut = Segment::readable(memory.addr(), memory.len() as u32 - 1);
    balloon.stats_queue().add(&[cut]);
    balloon.stats_queue().kick();
    let taken = Condition::new("the statistics are taken", || {
        count(vm, "stat-disk-caches") == 3
    });
    vm.wait_until(taken, SECOND);
    assert_eq!(count(vm, "stat-total-memory"), unknown());
    works(&balloon);
}

/// [5.5.6.3] The device keeps the buffer until it wants other counts, which it does as often as it was told to.
#[testjig::test(on = Modern<VirtioBalloon>, needs(clock), vary(layout = LAYOUTS))]
fn statistics_are_asked_for_by_and_by(balloon: Modern<VirtioBalloon>, vm: &Vm, layout: Layout) {
    let balloon = balloon.start(layout);
    let queue = balloon.stats_queue();
    ask_every(vm, 3);
    assert_eq!(property(vm, "guest-stats-polling-interval"), 3);
    let _memory: Vec<_> = (1..4)
        .map(|round| {
            let memory = tell(&balloon, round);
            vm.clock().step(Duration::from_millis(2900));
            settle(vm);
            assert!(!queue.has_used(), "round {round}");
            vm.clock().step(Duration::from_millis(200));
            vm.wait_until(queue.used(), SECOND);
            queue.pop();
            memory
        })
        .collect();
    ask_every(vm, 0);
    let _last = tell(&balloon, 9);
    vm.clock().step(Duration::from_secs(60));
    settle(vm);
    assert!(!queue.has_used());
}

/// [2.7.8] "The number of bytes written into the device writable portion of the buffer": none, of one that the device reads.
#[testjig::test(on = Modern<VirtioBalloon>, needs(clock), vary(layout = LAYOUTS))]
fn nothing_is_written_to_statistics(balloon: Modern<VirtioBalloon>, vm: &Vm, layout: Layout) {
    let balloon = balloon.start(layout);
    ask_every(vm, 1);
    let _memory = tell(&balloon, 1);
    vm.clock().step(Duration::from_millis(1500));
    assert_eq!(balloon.stats_queue().wait().len, 0);
}

/// [5.5.6.3] The device has one buffer of counts: of two it returns one.
#[testjig::test(on = Modern<VirtioBalloon>, vary(layout = LAYOUTS))]
fn a_second_buffer_takes_the_place_of_the_first(
    balloon: Modern<VirtioBalloon>,
    vm: &Vm,
    layout: Layout,
) {
    let balloon = balloon.start(layout);
    let _first = tell(&balloon, 1);
    assert!(!balloon.stats_queue().has_used());
    let _second = tell(&balloon, 2);
    balloon.stats_queue().wait();
    settle(vm);
    assert!(!balloon.stats_queue().has_used());
}

/// [5.5.3] Without the feature nothing can be asked for.
#[testjig::test(on = Modern<VirtioBalloon>, needs(clock))]
fn a_driver_without_statistics_is_not_asked(balloon: Modern<VirtioBalloon>, vm: &Vm) {
    ask_every(vm, 1);
    let balloon = balloon.start_with(Features::VERSION_1);
    vm.clock().step(Duration::from_secs(5));
    works(&balloon);
    assert_eq!(count(vm, "stat-free-memory"), unknown());
}

/// [2.4.1] A reset takes the buffer of counts from the device.
#[testjig::test(on = Modern<VirtioBalloon>, needs(clock))]
fn a_reset_takes_the_counts_back(balloon: Modern<VirtioBalloon>, vm: &Vm) {
    let running = balloon.start(Layout::Split);
    ask_every(vm, 1);
    let memory = tell(&running, 1);
    balloon.device().reset();
    drop((running, memory));
    let running = balloon.start(Layout::Split);
    vm.clock().step(Duration::from_secs(3));
    settle(vm);
    assert!(!running.stats_queue().has_used());
    let _memory = tell(&running, 2);
    vm.clock().step(Duration::from_secs(3));
    running.stats_queue().wait();
}

/// No such time can be waited for.
#[testjig::test(on = Modern<VirtioBalloon>)]
fn bad_intervals_are_refused(balloon: Modern<VirtioBalloon>, vm: &Vm) {
    let _running = balloon.start(Layout::Split);
    for seconds in [json!(-1), json!(1_u64 << 32), json!("1")] {
        let bad = QomSet::new(path(vm), "guest-stats-polling-interval", seconds.clone());
        assert!(vm.try_qmp(&bad).is_err(), "{seconds}");
    }
    assert_eq!(property(vm, "guest-stats-polling-interval"), 0);
}
