//! Commands that take their time, and what ends them. What is held up is so by the host, for as long as the test wants.

use testjig::vm::{Fault, Image, Object};

use super::*;

/// The disk that is held up.
const SLOW: Lun = Lun::new(1, 0);
/// What the command that waits is called.
const WAITS: u64 = 0x1234_5678_9abc_def0;

/// A disk as target 1 whose image is reached through that node.
fn beside(launch: Launch, node: &str) -> Launch {
    launch
        .drive(testjig::vm::Drive::new("image", Image::zeroed(1 << 20)))
        .arg("-blockdev")
        .arg(format!("node-name=beside,{node}"))
        .device(
            Device::new("scsi-hd")
                .id("held")
                .bus("scsi.0")
                .prop("scsi-id", 1)
                .prop("drive", "beside")
                .prop("rerror", "report"),
        )
}

/// A disk whose writes can be held up.
fn held(launch: Launch) -> Launch {
    beside(launch, "driver=blkdebug,image=image")
}

/// A disk of a byte a second, which has read its first sector.
fn slow(launch: Launch) -> Launch {
    let launch = launch.object(Object::new("throttle-group", "slowly").prop("x-bps-total", 1));
    beside(launch, "driver=throttle,throttle-group=slowly,file=image")
}

/// A write that waits, and the number of its buffer.
struct Waiting {
    hba: Hba,
    command: Command,
    buffer: u16,
}

impl Waiting {
    #[track_caller]
    fn new(scsi: &VirtioScsi) -> Self {
        let hba = ready(scsi);
        hba.ready(SLOW);
        let command = Command::new(hba.device(), SLOW, WAITS, &transfer(WRITE_10, 1, 1));
        let command = command.sending(&pattern(512, 7));
        let buffer = hba.requests().add(&command.segments());
        hba.requests().kick();
        let found = hba.manage(tmf::QUERY_TASK, SLOW, WAITS);
        assert_eq!(found, response::FUNCTION_SUCCEEDED);
        Self {
            hba,
            command,
            buffer,
        }
    }

    /// One that waits for [`end`](Self::end).
    #[track_caller]
    fn held(scsi: &VirtioScsi, vm: &Vm) -> Self {
        vm.hmp("qemu-io -d held \"break pwritev write\"");
        Self::new(scsi)
    }

    /// Lets it go on, and waits for its end.
    #[track_caller]
    fn end(&self, vm: &Vm) -> Response {
        vm.hmp("qemu-io -d held \"resume write\"");
        self.hba.requests().finish(self.buffer);
        self.command.response()
    }
}

/// [5.6.6.2] A command under way is found by its identity, on its logical unit; when it has ended it is not.
#[testjig::test(on = VirtioScsi, needs(running), launch = held)]
fn a_command_under_way_is_found(scsi: VirtioScsi, vm: &Vm) {
    let waiting = Waiting::held(&scsi, vm);
    let hba = &waiting.hba;
    assert_eq!(hba.manage(tmf::QUERY_TASK, SLOW, WAITS ^ 1), response::OK);
    assert_eq!(hba.manage(tmf::QUERY_TASK, DISK, WAITS), response::OK);
    assert_eq!(hba.manage(tmf::QUERY_TASK_SET, DISK, 0), response::OK);
    let found = hba.manage(tmf::QUERY_TASK_SET, SLOW, 0);
    assert_eq!(found, response::FUNCTION_SUCCEEDED);

    assert!(waiting.end(vm).is_good());
    assert_eq!(hba.manage(tmf::QUERY_TASK, SLOW, WAITS), response::OK);
    assert_eq!(hba.manage(tmf::QUERY_TASK_SET, SLOW, 0), response::OK);
    assert_eq!(vm.disk("image").sector(1)[..], pattern(512, 7));
}

/// [5.6.6.1] A command that task management ends says so, and the function ends with it.
#[testjig::test(on = VirtioScsi, needs(running), launch = held,
    vary(function = [tmf::ABORT_TASK, tmf::ABORT_TASK_SET, tmf::CLEAR_TASK_SET]))]
fn an_aborted_command_says_so(scsi: VirtioScsi, vm: &Vm, function: u32) {
    if vm.qemu().version.major < 11 {
        Fault::skip("QEMU before 11 does not let a command go on while it aborts it").raise();
    }
    let waiting = Waiting::held(&scsi, vm);
    let task = waiting.hba.begin(function, SLOW, WAITS);
    // It has to have begun before the command may go on.
    vm.settle(SECOND);
    let response = waiting.end(vm);
    assert_eq!(response.response, response::ABORTED);
    assert_eq!(task.finish(), response::OK);
    assert_eq!(
        waiting.hba.manage(tmf::QUERY_TASK_SET, SLOW, 0),
        response::OK
    );
    waiting.hba.ready(SLOW);
}

/// [5.6.6.2] ABORT TASK ends the command that it names, and none of another identity or logical unit.
#[testjig::test(on = VirtioScsi, needs(running), launch = held)]
fn a_command_that_is_not_meant_is_not_aborted(scsi: VirtioScsi, vm: &Vm) {
    let waiting = Waiting::held(&scsi, vm);
    let hba = &waiting.hba;
    assert_eq!(hba.manage(tmf::ABORT_TASK, SLOW, WAITS ^ 1), response::OK);
    assert_eq!(hba.manage(tmf::ABORT_TASK_SET, DISK, WAITS), response::OK);
    assert!(waiting.end(vm).is_good());
    assert_eq!(vm.disk("image").sector(1)[..], pattern(512, 7));
}

/// [5.6.6.1] A command that a reset of its logical unit or target ends says so, unless it was just done; the unit says so afterwards.
#[testjig::test(on = VirtioScsi, needs(running), launch = slow,
    vary(function = [tmf::LOGICAL_UNIT_RESET, tmf::I_T_NEXUS_RESET]))]
fn a_command_that_a_reset_ends_says_so(scsi: VirtioScsi, vm: &Vm, function: u32) {
    let waiting = Waiting::new(&scsi);
    assert_eq!(waiting.hba.manage(function, SLOW, 0), response::OK);
    // The reset waits for nothing, so the command has ended without time passing.
    waiting.hba.requests().finish(waiting.buffer);
    let ended = vm.by_chance(|| waiting.command.response());
    assert!(
        ended.is_good() || ended.response == response::RESET,
        "{ended:?}"
    );
    let first = waiting.hba.run(&waiting.hba.command(SLOW, &[0; 6]));
    assert_eq!(first.status, status::CHECK_CONDITION);
    waiting.hba.ready(SLOW);
}

/// [2.1.2] A reset of the device with a command under way ends it: no buffer of before is used any more, and the device works again.
#[testjig::test(on = VirtioScsi, needs(running), launch = slow)]
fn a_reset_device_forgets_its_commands(scsi: VirtioScsi) {
    let waiting = Waiting::new(&scsi);
    scsi.device().reset();
    let before = waiting.command.response_bytes().to_vec();
    let hba = ready(&scsi);
    hba.ready(SLOW);
    assert_eq!(waiting.command.response_bytes().to_vec(), before);
}

/// A disk whose host fails the first read of its second half.
fn failing(launch: Launch) -> Launch {
    beside(
        launch,
        "driver=blkdebug,image=image,inject-error.0.event=none,inject-error.0.iotype=read,inject-error.0.sector=1024,\
         inject-error.0.once=on",
    )
}

/// [SPC-4 §4.5.6] A request that the host fails is a command that ended early: ABORTED COMMAND, I/O process terminated. The next is not.
#[testjig::test(on = VirtioScsi, needs(running), launch = failing)]
fn an_error_of_the_host_has_its_sense(scsi: VirtioScsi) {
    let hba = ready(&scsi);
    hba.ready(SLOW);
    let (failed, _) = hba.receive(SLOW, &transfer(READ_10, 1024, 1), 512);
    assert_eq!(failed.response, response::OK);
    assert_eq!(failed.status, status::CHECK_CONDITION);
    assert_eq!(failed.sense_code(), Some((0xb, 0x00, 0x06)));
    let (read, _) = hba.receive(SLOW, &transfer(READ_10, 1024, 1), 512);
    assert!(read.is_good(), "{read:?}");
}
