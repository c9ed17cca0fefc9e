//! Run-time abstraction services of a `pseries` machine. Names of sections of PAPR's chapter on them stand in brackets. Configuration space
//! by these services is `pci`'s.

use std::time::Duration;

use testjig::prelude::*;
use testjig::qmp::commands::QueryStatus;
use testjig::qos::dev::mc146818::{Date, DateTime, Time};
use testjig::qos::mem::GuestAlloc;
use testjig::qos::rtas::{RtasStatus, Services};
use testjig::vm::Chardev;

const SECOND: Duration = Duration::from_secs(1);

const fn at(year: u16, month: u8, day: u8, hours: u8, minutes: u8, seconds: u8) -> DateTime {
    DateTime::new(
        Date::new(year, month, day),
        Time::new(hours, minutes, seconds),
    )
}

#[track_caller]
fn now(rtas: &Services) -> DateTime {
    rtas.time_of_day().expect("the service is carried out").0
}

/// Waits until the monitor is open: it tells of no event before, and is opened while the test runs.
fn listen(vm: &Vm) {
    vm.qmp(QueryStatus);
}

/// [get-time-of-day] Year with its century, month, day, hour, minute, second.
#[testjig::test(on = Services)]
fn the_time_is_the_machines(rtas: Services) {
    assert_eq!(now(&rtas), at(2026, 1, 15, 12, 0, 0));
}

/// [get-time-of-day] Time passes, and turns.
#[testjig::test(on = Services, needs(clock))]
fn time_passes(rtas: Services, vm: &Vm) {
    for (before, after) in [
        (at(2026, 5, 6, 7, 8, 9), at(2026, 5, 6, 7, 8, 10)),
        (at(2026, 2, 28, 23, 59, 59), at(2026, 3, 1, 0, 0, 0)),
        (at(2028, 2, 28, 23, 59, 59), at(2028, 2, 29, 0, 0, 0)),
        (at(1999, 12, 31, 23, 59, 59), at(2000, 1, 1, 0, 0, 0)),
        (at(2099, 12, 31, 23, 59, 59), at(2100, 1, 1, 0, 0, 0)),
    ] {
        assert_eq!(rtas.set_time_of_day(before), RtasStatus::SUCCESS);
        assert_eq!(now(&rtas), before);
        vm.clock().step(SECOND);
        assert_eq!(now(&rtas), after);
    }
}

/// [get-time-of-day] The nanoseconds are those behind the second, less than 1,000,000,000.
#[testjig::test(on = Services, needs(clock), xfail = "the low half of the nanoseconds since 1970 (hw/ppc/spapr_rtc.c, spapr_rtc_read); no report known")]
fn nanoseconds_are_of_the_second(rtas: Services, vm: &Vm) {
    vm.clock().step(SECOND / 2);
    assert_eq!(
        rtas.time_of_day(),
        Ok((at(2026, 1, 15, 12, 0, 0), 500_000_000))
    );
}

/// [set-time-of-day] The platform's manager is told of the difference.
#[testjig::test(on = Services)]
fn a_set_time_is_an_event(rtas: Services, vm: &Vm) {
    listen(vm);
    rtas.set_time_of_day(at(2026, 1, 15, 13, 0, 0));
    let event = vm.wait_event("RTC_CHANGE", 5 * SECOND);
    let offset = event.data()["offset"].as_i64().expect("a number");
    // By the host's clock, which may have gone on.
    assert!((3540..=3600).contains(&offset), "{offset}");
}

/// [RTAS Argument Call Buffer] A call with another number of arguments or results than the service has is a parameter error.
#[testjig::test(on = Services)]
fn other_counts_are_parameter_errors(rtas: Services) {
    for (service, arguments, results) in [
        ("get-time-of-day", 1, 8),
        ("get-time-of-day", 0, 7),
        ("set-time-of-day", 6, 1),
        ("set-time-of-day", 7, 2),
        ("nvram-fetch", 2, 2),
        ("nvram-fetch", 3, 1),
        ("nvram-store", 4, 2),
        ("power-off", 0, 1),
        ("system-reboot", 1, 1),
        ("query-cpu-stopped-state", 0, 2),
        ("start-cpu", 2, 1),
        ("get-sensor-state", 1, 2),
        ("set-indicator", 3, 2),
        ("get-power-level", 1, 1),
        ("set-power-level", 1, 2),
    ] {
        let status = rtas.status(service, &vec![0; arguments], results);
        assert_eq!(
            status,
            RtasStatus::PARAMETER_ERROR,
            "{service} {arguments} {results}"
        );
    }
}

/// [RTAS Argument Call Buffer] A service that the machine does not have is refused.
#[testjig::test(on = Services)]
fn an_unknown_service_is_refused(rtas: Services) {
    assert_eq!(
        rtas.raw("no-such-service", (0, 0), (0, 0)),
        Services::H_PARAMETER
    );
}

const NVRAM: u32 = 64 * 1024;

/// [nvram-store, nvram-fetch] What is stored is fetched, with its length, and survives a reset.
#[testjig::test(on = Services)]
fn nvram_keeps_what_is_stored(rtas: Services, vm: &Vm) {
    let source = GuestAlloc::of(vm).copy_of(b"common partition");
    let target = GuestAlloc::of(vm).buf(16);
    for offset in [0, 0x1235, NVRAM - 16] {
        let stored = rtas.call("nvram-store", &[offset, source.addr() as u32, 16], 2);
        assert_eq!(stored, [0, 16]);
        vm.reset();
        target.fill(0);
        let fetched = rtas.call("nvram-fetch", &[offset, target.addr() as u32, 16], 2);
        assert_eq!(fetched, [0, 16]);
        assert_eq!(target.to_vec(), b"common partition", "{offset:#x}");
    }
}

/// [nvram-store, nvram-fetch] Beyond the end is a parameter error, and nothing moves.
#[testjig::test(on = Services, vary(service = ["nvram-store", "nvram-fetch"]))]
fn nvram_ends(rtas: Services, vm: &Vm, service: &'static str) {
    let buf = GuestAlloc::of(vm).copy_of(&[0x5a; 16]);
    for (offset, len) in [(NVRAM, 1), (NVRAM - 15, 16), (u32::MAX, 16)] {
        let status = rtas.status(service, &[offset, buf.addr() as u32, len], 2);
        assert_eq!(status, RtasStatus::PARAMETER_ERROR, "{offset:#x} {len}");
    }
    assert_eq!(buf.to_vec(), [0x5a; 16]);
}

/// [display-character] A character goes to the console.
#[testjig::test(on = Services, launch = |l| l.chardev(Chardev::socket("console")).serial("console"))]
fn a_character_is_displayed(rtas: Services, vm: &Vm) {
    let console = vm.channel("console");
    for character in b"jig" {
        assert_eq!(
            rtas.status("display-character", &[(*character).into()], 1),
            RtasStatus::SUCCESS
        );
    }
    let mut shown = Vec::new();
    while shown.len() < 3 {
        shown.extend(console.recv(SECOND));
    }
    assert_eq!(shown, b"jig");
}

/// [display-character] Without a console it is a hardware error.
#[testjig::test(on = Services)]
fn without_a_console_nothing_is_displayed(rtas: Services) {
    assert_eq!(
        rtas.status("display-character", &[b'j'.into()], 1),
        RtasStatus::HARDWARE_ERROR
    );
}

/// [query-cpu-stopped-state] The processor that runs is not stopped: 2. One that there is not is a parameter error.
#[testjig::test(on = Services)]
fn the_first_processor_is_not_stopped(rtas: Services) {
    assert_eq!(rtas.call("query-cpu-stopped-state", &[0], 2), [0, 2]);
    assert_eq!(
        rtas.status("query-cpu-stopped-state", &[0x7777], 2),
        RtasStatus::PARAMETER_ERROR
    );
}

/// [get-power-level, set-power-level] The domain of what is plugged in is on, 100 %; there is no other.
#[testjig::test(on = Services)]
fn power_is_always_on(rtas: Services) {
    const LIVE_INSERTION: u32 = u32::MAX;
    assert_eq!(rtas.call("get-power-level", &[LIVE_INSERTION], 2), [0, 100]);
    assert_eq!(
        rtas.call("set-power-level", &[LIVE_INSERTION, 0], 2),
        [0, 100]
    );
    assert_eq!(
        rtas.status("get-power-level", &[1], 2),
        RtasStatus::PARAMETER_ERROR
    );
}

/// [get-sensor-state] A sensor that there is not is told: -3.
#[testjig::test(on = Services)]
fn an_unknown_sensor_is_told(rtas: Services) {
    const ENTITY_SENSE: u32 = 9003;
    for sensor in [[1, 0], [ENTITY_SENSE, 0]] {
        assert_eq!(
            rtas.status("get-sensor-state", &sensor, 2),
            RtasStatus::PARAMETER_ERROR
        );
    }
}

const CHARACTERISTICS: u32 = 20;
const RUN_MODE: u32 = 42;
const UUID: u32 = 48;

/// Gets a system parameter: its length and as many bytes.
#[track_caller]
fn parameter(rtas: &Services, token: u32) -> Vec<u8> {
    let buf = GuestAlloc::of(rtas.vm()).buf(1024);
    let status = rtas.status(
        "ibm,get-system-parameter",
        &[token, buf.addr() as u32, 1024],
        1,
    );
    assert_eq!(status, RtasStatus::SUCCESS);
    buf.read_vec(2, buf.read_be::<u16>(0).into())
}

/// [System Parameters, SPLPAR characteristics] Keywords with values, as text that ends with a zero byte.
#[testjig::test(on = Services, launch = |l| l.memory(768 * MIB).cpus(2))]
fn characteristics_are_the_machines(rtas: Services) {
    let bytes = parameter(&rtas, CHARACTERISTICS);
    let (last, text) = bytes.split_last().expect("it is not empty");
    let text = String::from_utf8_lossy(text);
    assert_eq!(*last, 0);
    for word in ["MaxEntCap=2", "DesMem=768", "DesProcs=2"] {
        assert!(
            text.split(',').any(|found| found == word),
            "{word} is not in {text}"
        );
    }
}

/// [System Parameters, platform diagnostics run mode] One byte: 0, disabled.
#[testjig::test(on = Services)]
fn diagnostics_are_disabled(rtas: Services) {
    assert_eq!(parameter(&rtas, RUN_MODE), [0]);
}

/// [System Parameters, UUID] The 16 bytes of the command line; none without.
#[testjig::test(on = Services, launch = |l| l.arg("-uuid").arg("4600cb32-38ec-4b2f-8acb-81c6ea54f2d8"))]
fn the_uuid_is_that_of_the_command_line(rtas: Services) {
    assert_eq!(
        parameter(&rtas, UUID),
        [
            0x46, 0x00, 0xcb, 0x32, 0x38, 0xec, 0x4b, 0x2f, 0x8a, 0xcb, 0x81, 0xc6, 0xea, 0x54,
            0xf2, 0xd8
        ]
    );
}

/// [ibm,get-system-parameter] A buffer that is too small gets what fits behind the whole length; one without room for the length is -9999.
#[testjig::test(on = Services)]
fn a_small_buffer_gets_what_fits(rtas: Services, vm: &Vm) {
    let buf = GuestAlloc::of(vm).copy_of(&[0x5a; 16]);
    let get = |len| {
        rtas.status(
            "ibm,get-system-parameter",
            &[CHARACTERISTICS, buf.addr() as u32, len],
            1,
        )
    };
    assert_eq!(get(1), RtasStatus::BUFFER_TOO_SMALL);
    assert_eq!(buf.to_vec(), [0x5a; 16]);
    assert_eq!(get(8), RtasStatus::SUCCESS);
    assert!(buf.read_be::<u16>(0) > 6);
    assert_eq!(buf.read_vec(2, 8), b"MaxEnt\x5a\x5a");
}

/// [ibm,get-system-parameter] A parameter that there is not is -3.
#[testjig::test(on = Services)]
fn an_unknown_parameter_is_told(rtas: Services, vm: &Vm) {
    let buf = GuestAlloc::of(vm).buf(16);
    let arguments = [0x7777, buf.addr() as u32, 16];
    assert_eq!(
        rtas.status("ibm,get-system-parameter", &arguments, 1),
        RtasStatus(-3)
    );
    assert_eq!(
        rtas.status("ibm,set-system-parameter", &arguments[..2], 1),
        RtasStatus(-3)
    );
}

/// [ibm,set-system-parameter] What may not be set is -9002.
#[testjig::test(on = Services)]
fn parameters_may_not_be_set(rtas: Services, vm: &Vm) {
    let buf = GuestAlloc::of(vm).buf(16);
    for token in [CHARACTERISTICS, RUN_MODE, UUID] {
        let status = rtas.status("ibm,set-system-parameter", &[token, buf.addr() as u32], 1);
        assert_eq!(status, RtasStatus::NOT_AUTHORIZED, "{token}");
    }
}

/// [system-reboot] The machine begins anew.
#[testjig::test(on = Services)]
fn a_reboot_resets(rtas: Services, vm: &Vm) {
    listen(vm);
    assert_eq!(rtas.status("system-reboot", &[], 1), RtasStatus::SUCCESS);
    let event = vm.wait_event("RESET", 5 * SECOND);
    assert_eq!(
        (&event.data()["guest"], &event.data()["reason"]),
        (&true.into(), &"guest-reset".into())
    );
}
