//! The clock as part of QEMU's machine: what time it starts with, whom it tells of changes, whom it wakes.
//!
//! Source: QEMU's manual (`-rtc`, `-device mc146818rtc,help`) and QMP schema, and ACPI for sleep and wake.

use super::*;
use std::time::SystemTime;
use testjig::qmp::commands::{QomGet, QueryStatus};
use testjig::qos::bus::Pio;
use testjig::qos::dev::mc146818::Divider;
use testjig::vm::LaunchOptions;

/// `-rtc base=…`: a moment.
#[testjig::test(on = Mc146818, launch = |l| l.rtc(Rtc::at("2006-06-17T16:01:21")))]
fn a_machine_starts_at_the_moment_it_is_given(rtc: Mc146818) {
    let expected = DateTime::new(Date::new(2006, 6, 17), Time::new(16, 1, 21));
    assert_eq!(rtc.now(), expected);
    assert_eq!(rtc.weekday(), 7);
}

/// `-rtc base=…`: a date alone is its midnight.
#[testjig::test(on = Mc146818, launch = |l| l.rtc(Rtc::at("2006-06-17")))]
fn a_date_alone_is_its_midnight(rtc: Mc146818) {
    let expected = DateTime::new(Date::new(2006, 6, 17), Time::new(0, 0, 0));
    assert_eq!(rtc.now(), expected);
}

/// Seconds that the machine's clock is ahead of the host's.
fn ahead_of_host(rtc: &Mc146818) -> i64 {
    let host = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let host = host.expect("the host's clock is past 1970");
    rtc.now().unix_time() - host.as_secs() as i64
}

/// What a machine may lag behind the host: its clock stands still from its start to the look at it.
const LAG: i64 = 300;

/// `-rtc base=utc`: the host's time, in whichever format it is then asked for.
#[testjig::test(on = Mc146818, launch = |l| l.rtc(Rtc::utc()))]
fn a_machine_can_start_at_the_hosts_utc(rtc: Mc146818) {
    for format in FORMATS {
        rtc.set_b(RegB::new().with_format(format));
        let ahead = ahead_of_host(&rtc);
        assert!((-LAG..=1).contains(&ahead), "{format:?}: {ahead} s");
    }
}

/// `-rtc base=localtime`: the host's local time, quarters of an hour from UTC.
#[testjig::test(on = Mc146818, launch = |l| l.rtc(Rtc::localtime()))]
fn a_machine_can_start_at_the_hosts_local_time(rtc: Mc146818) {
    let ahead = ahead_of_host(&rtc);
    assert!(ahead.abs() <= 14 * 3600 + LAG);
    assert!((900 - LAG..900).contains(&(ahead - 1).rem_euclid(900)));
}

/// QMP tells events from its first command on.
fn listen_to_events(vm: &Vm) {
    vm.qmp(QueryStatus);
}

/// RTC_CHANGE tells that the guest has set its clock; the offset is the new time's distance to the host's, base included.
#[testjig::test(on = Mc146818)]
fn setting_the_time_is_told_to_the_host(rtc: Mc146818, vm: &Vm) {
    listen_to_events(vm);
    rtc.set_time(Time::new(15, 0, 0));
    let event = vm.wait_event("RTC_CHANGE", 5 * SECOND);
    let offset = event.data()["offset"]
        .as_i64()
        .expect("offset is an integer");
    assert!(
        (3 * 3600 - LAG..=3 * 3600).contains(&offset),
        "offset is {offset}"
    );
}

/// RTC_CHANGE: a time set by way of the divider reset is told as well.
#[testjig::test(on = Mc146818)]
fn setting_the_time_in_divider_reset_is_told_to_the_host(rtc: Mc146818, vm: &Vm) {
    listen_to_events(vm);
    rtc.set_a(rtc.a().with_divider(Divider::Reset));
    rtc.write_time(Time::new(9, 0, 0));
    rtc.set_a(rtc.a().with_divider(Divider::Khz32));
    let event = vm.wait_event("RTC_CHANGE", 5 * SECOND);
    let offset = event.data()["offset"]
        .as_i64()
        .expect("offset is an integer");
    assert!(
        (-3 * 3600 - LAG..=-3 * 3600).contains(&offset),
        "offset is {offset}"
    );
}

/// RTC_CHANGE names the clock by its QOM path.
#[testjig::test(on = Mc146818)]
fn a_told_change_names_the_clock(rtc: Mc146818, vm: &Vm) {
    listen_to_events(vm);
    rtc.set_time(Time::new(15, 0, 0));
    let event = vm.wait_event("RTC_CHANGE", 5 * SECOND);
    let path = event.data()["qom-path"]
        .as_str()
        .expect("qom-path is a string");
    let kind = vm.qmp(QomGet::new(path, "type"));
    assert_eq!(kind, "mc146818rtc");
}

/// The machine's `rtc-time` is the clock's time, as C's `struct tm` has it.
#[testjig::test(on = Mc146818)]
fn the_host_reads_the_time(rtc: Mc146818, vm: &Vm) {
    for format in FORMATS {
        rtc.set_b(RegB::new().with_format(format));
        rtc.set(DateTime::new(
            Date::new(1999, 11, 28),
            Time::new(22, 33, 44),
        ));
        let tm = vm.qmp(QomGet::new("/machine", "rtc-time"));
        assert_eq!(tm["tm_year"], 99, "{format:?}");
        assert_eq!(tm["tm_mon"], 10, "{format:?}");
        assert_eq!(tm["tm_mday"], 28, "{format:?}");
        assert_eq!(tm["tm_hour"], 22, "{format:?}");
        assert_eq!(tm["tm_min"], 33, "{format:?}");
        assert_eq!(tm["tm_sec"], 44, "{format:?}");
    }
}

/// The machine's `rtc-time` is that of the moment, whether or not the guest has read the clock.
#[testjig::test(on = Mc146818, needs(clock))]
fn the_host_reads_the_time_of_the_moment(vm: &Vm) {
    leave_update_pending(vm);
    vm.clock().step(9 * SECOND);
    let tm = vm.qmp(QomGet::new("/machine", "rtc-time"));
    assert_eq!(tm["tm_sec"], 10);
}

/// A clock of its own at other ports, its years counted from 1980.
fn second_clock(launch: Launch) -> Launch {
    launch.device(Device::new("mc146818rtc").prop("iobase", SECOND_CLOCK))
}

const SECOND_CLOCK: u16 = 0x270;

/// `iobase`: a clock can be anywhere.
#[testjig::test(on = Mc146818, launch = second_clock)]
fn two_clocks_are_independent(rtc: Mc146818, vm: &Vm) {
    let other = Mc146818::at(vm, SECOND_CLOCK);
    other.set_time(Time::new(3, 4, 5));
    assert_eq!(other.time(), Time::new(3, 4, 5));
    assert_eq!(rtc.time(), Time::new(12, 0, 0));
}

/// `base_year`: which year the year byte 00 stands for.
#[testjig::test(on = Mc146818, launch = second_clock)]
fn years_count_from_the_base_year(vm: &Vm) {
    let other = Mc146818::at(vm, SECOND_CLOCK);
    assert_eq!(other.read(Reg::CENTURY), 0x00);
    assert_eq!(other.read(Reg::YEAR), 0x46);
}

/// `base_year`: the calendar is that of the year meant. Year byte 00 is 1980, a leap year that 1900 was not.
#[testjig::test(on = Mc146818, needs(clock), launch = second_clock)]
fn leap_years_count_from_the_base_year(vm: &Vm) {
    let other = Mc146818::at(vm, SECOND_CLOCK);
    other.set(DateTime::new(Date::new(20, 2, 28), Time::new(23, 59, 59)));
    vm.clock().step(SECOND);
    assert_eq!(other.date(), Date::new(20, 2, 29));
}

/// `base_year`: the host sees the year meant.
#[testjig::test(on = Mc146818, launch = |l| l.device(
    Device::new("mc146818rtc").prop("iobase", SECOND_CLOCK).prop("id", "other")
))]
fn the_host_reads_the_year_meant(vm: &Vm) {
    let other = Mc146818::at(vm, SECOND_CLOCK);
    other.set_date(Date::new(14, 7, 8));
    let tm = vm.qmp(QomGet::new("/machine/peripheral/other", "date"));
    assert_eq!(tm["tm_year"], 94);
}

/// Why QEMU does not start a machine with such a clock.
fn refusal(qemu: &Qemu, launch: Launch, property: &str, value: impl ToString) -> String {
    let clock = Device::new("mc146818rtc").prop("iobase", SECOND_CLOCK);
    let launch = launch.device(clock.prop(property, value));
    let started = qemu.launch(&launch, &LaunchOptions::default());
    started.expect_err("such a clock is refused").to_string()
}

/// `irq`: the ISA bus has lines 0 to 15.
#[testjig::test(on = Mc146818)]
fn an_interrupt_line_beyond_15_is_refused(qemu: &Qemu, launch: &Launch) {
    let refusal = refusal(qemu, launch.clone(), "irq", 16);
    assert!(
        refusal.contains("Maximum value for \"irq\" is: 15"),
        "{refusal}"
    );
}

/// `lost_tick_policy`: of QEMU's policies the clock knows to discard lost ticks and to slew.
#[testjig::test(on = Mc146818)]
fn another_policy_for_lost_ticks_is_refused(qemu: &Qemu, launch: &Launch) {
    let refusal = refusal(qemu, launch.clone(), "lost_tick_policy", "delay");
    assert!(refusal.contains("Invalid lost tick policy"), "{refusal}");
}

/// The PC's power management (PIIX4, function 3), where ACPI puts it to sleep.
fn power_management(vm: &Vm) -> Pio {
    const PIIX4_PM: u32 = 0x8000_0b00;
    const BASE: u16 = 0x600;
    vm.outl(0xcf8, PIIX4_PM | 0x40);
    vm.outl(0xcfc, u32::from(BASE) | 1);
    vm.outl(0xcf8, PIIX4_PM | 0x80);
    vm.outl(0xcfc, 1);
    Pio::new(vm, BASE)
}

/// Lets the clock wake the PC, and puts it to sleep [ACPI 6.5 §4.8.4: PM1 enable, PM1 control].
fn suspend_to_ram(vm: &Vm) {
    const PM1_ENABLE: u16 = 0x02;
    const PM1_CONTROL: u16 = 0x04;
    const RTC_EN: u16 = 1 << 10;
    const SLEEP_S3: u16 = 1 << 13 | 1 << 10;
    listen_to_events(vm);
    let power = power_management(vm);
    power.outw(PM1_ENABLE, RTC_EN);
    power.outw(PM1_CONTROL, SLEEP_S3);
    vm.wait_event("SUSPEND", 5 * SECOND);
}

/// A sleeping machine's virtual time stands, so the clock that is to wake it runs by the host's.
fn host_clock(launch: Launch) -> Launch {
    launch.rtc(Rtc::default().host_clock())
}

/// [ACPI §4.8.2.4] The alarm wakes a sleeping machine.
#[testjig::test(on = Pc, needs(running), launch = host_clock)]
fn the_alarm_wakes_a_sleeping_machine(vm: &Vm) {
    let rtc = Mc146818::new(vm);
    rtc.set_alarm(AlarmMatch::any());
    rtc.set_b(IDLE.with_alarm_irq(true));
    suspend_to_ram(vm);
    vm.wait_event("WAKEUP", 10 * SECOND);
    assert!(vm.qmp(QueryStatus).running);
}

/// [Register B, AIE] Not enabled, an alarm is flagged and wakes nobody.
#[testjig::test(on = Pc, needs(running), launch = host_clock)]
fn a_disabled_alarm_wakes_nobody(vm: &Vm) {
    let rtc = Mc146818::new(vm);
    rtc.set_alarm(AlarmMatch::any());
    suspend_to_ram(vm);
    rtc.c();
    let flagged = Condition::new("the alarm is flagged", || rtc.c().alarm());
    vm.wait_until(flagged, 10 * SECOND);
    assert!(!vm.qmp(QueryStatus).running);
}

/// [PC/AT, byte 0FH] A machine that goes to sleep leaves FE, "resume from S3", for its firmware.
#[testjig::test(on = Pc, needs(running))]
fn falling_asleep_leaves_a_note_for_the_firmware(vm: &Vm) {
    suspend_to_ram(vm);
    let rtc = Mc146818::new(vm);
    assert_eq!(rtc.read(Reg::SHUTDOWN_STATUS), 0xfe);
}
