//! The watchdog.

use super::*;

const RESOLUTIONS: [Resolution; 4] = [
    Resolution::Sixteenth,
    Resolution::Quarter,
    Resolution::One,
    Resolution::Four,
];

fn watch(multiplier: u8, resolution: Resolution) -> Watchdog {
    Watchdog::new()
        .with_multiplier(multiplier)
        .with_resolution(resolution)
}

/// [§3.6] The register is read as written.
#[testjig::test(on = M48t59)]
fn the_register_keeps_what_is_written(rtc: M48t59) {
    for bits in [0x01, 0x0e, 0x55, 0x7f, 0x80, 0xff, 0x00] {
        rtc.set_watchdog(Watchdog::from(bits));
        assert_eq!(rtc.watchdog(), Watchdog::from(bits));
    }
}

/// [Table 5] "WDF = Watchdog flag (read only)", "AF = Alarm flag (read only)", "Z = '0' and are read only".
#[testjig::test(on = M48t59)]
fn the_flags_are_read_only(rtc: M48t59) {
    rtc.write(Reg::FLAGS, 0xff);
    assert_eq!(rtc.flags(), Flags::new());
}

/// [§3.7] The watchdog is off when the chip gets power, and off again with a register of 0.
#[testjig::test(on = M48t59, needs(clock), vary(started = [false, true]))]
fn a_watchdog_that_is_off_never_times_out(rtc: M48t59, vm: &Vm, started: bool) {
    let irq = vm.intercept(rtc.irq());
    if started {
        rtc.set_watchdog(watch(31, Resolution::Four));
        rtc.set_watchdog(Watchdog::new());
    }
    vm.clock().step(HOUR);
    assert!(!rtc.flags().watchdog());
    assert_eq!(irq.edges(), []);
}

/// [§3.6] A watchdog that nobody restarts sets WDF and pulls /IRQ: the longest has done so after an hour.
#[testjig::test(on = M48t59, needs(clock), vary(resolution = RESOLUTIONS))]
fn a_time_out_sets_the_flag_and_interrupts(rtc: M48t59, vm: &Vm, resolution: Resolution) {
    let irq = vm.intercept(rtc.irq());
    rtc.set_watchdog(watch(31, resolution));
    vm.clock().step(HOUR);
    assert!(rtc.flags().watchdog());
    let raised = irq.edges().iter().filter(|edge| **edge == Raise).count();
    assert_eq!(raised, 1);
}

/// [§3.6] The time-out is the multiplier times the resolution, to within the resolution.
#[testjig::test(
    on = M48t59,
    needs(clock),
    vary(resolution = RESOLUTIONS),
    xfail = "it times out when virtual time reaches the host's calendar time, a second as a microsecond; no report known"
)]
fn a_time_out_comes_at_its_time(rtc: M48t59, vm: &Vm, resolution: Resolution) {
    let watchdog = watch(5, resolution);
    let irq = vm.intercept(rtc.irq());
    rtc.set_watchdog(watchdog);
    vm.clock().step(watchdog.timeout() - resolution.step());
    assert_eq!(irq.edges(), []);
    vm.clock().step(2 * resolution.step());
    assert_eq!(irq.edges().first(), Some(&Raise));
}

/// [§3.8] Reading the flags register clears WDF.
#[testjig::test(on = M48t59, needs(clock), xfail = "WDF stays; no report known")]
fn reading_the_flags_clears_the_watchdogs(rtc: M48t59, vm: &Vm) {
    rtc.set_watchdog(watch(1, Resolution::One));
    vm.clock().step(HOUR);
    assert!(rtc.flags().watchdog());
    assert!(!rtc.flags().watchdog());
}

/// [§3.6] Writing the watchdog register starts it anew, and lets the flag go.
#[testjig::test(on = M48t59, needs(clock))]
fn a_restart_clears_the_flag(rtc: M48t59, vm: &Vm) {
    rtc.set_watchdog(watch(1, Resolution::One));
    vm.clock().step(HOUR);
    rtc.set_watchdog(Watchdog::new());
    assert!(!rtc.flags().watchdog());
}

/// [§3.6] With WDS the time-out resets the machine instead, and the watchdog register and FT are 0 then.
#[testjig::test(on = M48t59, needs(clock))]
fn a_steered_time_out_resets_the_machine(rtc: M48t59, vm: &Vm) {
    let irq = vm.intercept(rtc.irq());
    rtc.set_day(rtc.day().with_frequency_test(true));
    rtc.set_watchdog(watch(1, Resolution::One).with_steering(true));
    vm.clock().step(HOUR);
    let event = vm.wait_event("WATCHDOG", Duration::from_secs(5));
    assert_eq!(event.data()["action"], "reset");
    assert_eq!(rtc.watchdog(), Watchdog::new());
    assert!(!rtc.day().frequency_test());
    assert_eq!(irq.edges(), []);
}
