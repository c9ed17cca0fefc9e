//! READ ID: the next ID field under the head.

use std::time::Duration;

use super::*;
use testjig::qos::dev::i82078::{Msr, ReadId, Seek, SenseInterrupt};
use testjig::vm::EdgeKind::{Lower, Raise};

/// Reads an ID on drive 0 while the disk turns.
#[track_caller]
fn read_id(fdc: &I82078, vm: &Vm, head: u8) -> TransferStatus {
    fdc.send(&ReadId { drive: 0, head });
    let ready = testjig::vm::Condition::new("the result phase", || fdc.msr() == Msr::RESULT);
    vm.clock().step_until(ready, Duration::from_secs(1));
    fdc.result::<ReadId>()
}

/// [Read ID] C and H are where the head is, N is 2, and R is one of the track's.
#[testjig::test(on = I82078, needs(clock), launch = diskette, vary(cylinder = [0, 1, 79], head = [0, 1]))]
fn an_id_names_where_the_head_is(fdc: I82078, vm: &Vm, cylinder: u8, head: u8) {
    ready(&fdc);
    fdc.run(Seek::to(cylinder));
    fdc.run(SenseInterrupt);
    let status = read_id(&fdc, vm, head);
    assert!((1..=18).contains(&status.at.sector), "{status:?}");
    assert_ended(status, 0, Chs::new(cylinder, head, status.at.sector));
}

/// [Command Set] Bits 7:3 of the second byte say nothing.
#[testjig::test(on = I82078, needs(clock), launch = diskette)]
fn other_bits_of_the_selection_say_nothing(fdc: I82078, vm: &Vm) {
    ready(&fdc);
    fdc.send_bytes(&[0x4a, 0xf8]);
    vm.clock().step(Duration::from_secs(1));
    let status = fdc.result::<ReadId>();
    assert_ended(status, 0, Chs::new(0, 0, status.at.sector));
}

/// [Read ID] The disk turns: all sectors of the track come by, in their order.
#[testjig::test(on = I82078, needs(clock), launch = diskette)]
fn all_sectors_of_a_track_come_by(fdc: I82078, vm: &Vm) {
    ready(&fdc);
    let first = read_id(&fdc, vm, 0).at.sector;
    for passed in 1..=18 {
        let expected = (first - 1 + passed) % 18 + 1;
        assert_eq!(read_id(&fdc, vm, 0).at.sector, expected);
    }
}

/// [Read ID] Until a field has come by, the command is busy, and no interrupt comes.
#[testjig::test(on = I82078, needs(clock), launch = diskette)]
fn an_id_takes_its_time(fdc: I82078, vm: &Vm) {
    ready(&fdc);
    let irq = vm.intercept(fdc.irq());
    fdc.send(&ReadId { drive: 0, head: 0 });
    let msr = fdc.msr();
    assert!(msr.command_busy() && !msr.request(), "{msr:?}");
    assert_eq!(irq.edges(), []);
    vm.clock()
        .step_until(irq.raised(), Duration::from_millis(200));
    fdc.result::<ReadId>();
    assert_eq!(irq.edges(), [Raise, Lower]);
}

/// A disk of 300 revolutions a minute shows each of its fields within 200 ms; the next one can't come at once.
#[testjig::test(on = I82078, needs(clock), launch = diskette)]
fn an_id_comes_within_a_revolution(fdc: I82078, vm: &Vm) {
    ready(&fdc);
    let irq = vm.intercept(fdc.irq());
    fdc.send(&ReadId { drive: 0, head: 0 });
    let waited = vm.clock().step_until(irq.raised(), Duration::from_secs(1));
    assert!(
        (Duration::from_millis(1)..=Duration::from_millis(200)).contains(&waited),
        "{waited:?}"
    );
}

/// [ST1, MA] At another data rate no ID is found.
#[testjig::test(on = I82078, needs(clock), launch = diskette, vary(rate = [DataRate::Kbps300, DataRate::Kbps250, DataRate::Mbps1]))]
fn at_a_wrong_rate_no_id_is_found(fdc: I82078, vm: &Vm, rate: DataRate) {
    ready(&fdc);
    fdc.set_rate(rate);
    let status = read_id(&fdc, vm, 0);
    assert_eq!(status.st0.code(), InterruptCode::Abnormal);
    assert_eq!(status.st1, St1::new().with_missing_address(true));
}

/// [Read ID] Nothing is written, and the head stays on its cylinder.
#[testjig::test(on = I82078, needs(clock), launch = diskette)]
fn reading_an_id_moves_nothing(fdc: I82078, vm: &Vm) {
    use testjig::qos::dev::i82078::DumpRegisters;

    ready(&fdc);
    fdc.run(Seek::to(30));
    fdc.run(SenseInterrupt);
    read_id(&fdc, vm, 1);
    assert_eq!(fdc.run(DumpRegisters).cylinders[0], 30);
}
