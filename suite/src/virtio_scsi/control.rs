//! Task management and asynchronous notifications.

use super::*;

/// [5.6.6.2] A reset of a logical unit succeeds; the unit says afterwards that it was reset.
#[testjig::test(on = VirtioScsi, needs(running))]
fn a_reset_unit_says_so(scsi: VirtioScsi) {
    let hba = ready(&scsi);
    assert_eq!(hba.manage(tmf::LOGICAL_UNIT_RESET, DISK, 0), response::OK);
    let first = hba.run(&hba.command(DISK, &[0; 6]));
    assert_eq!(first.status, status::CHECK_CONDITION);
    assert_eq!(
        first.sense_code().map(|code| (code.0, code.1)),
        Some((0x6, 0x29))
    );
    hba.ready(DISK);
}

/// [5.6.6.2] A reset of a target resets all its logical units.
#[testjig::test(on = VirtioScsi, needs(running))]
fn a_reset_target_resets_its_units(scsi: VirtioScsi) {
    let hba = ready(&scsi);
    assert_eq!(hba.manage(tmf::I_T_NEXUS_RESET, DISK, 0), response::OK);
    assert_eq!(
        hba.run(&hba.command(DISK, &[0; 6])).status,
        status::CHECK_CONDITION
    );
    hba.ready(DISK);
}

/// [5.6.6.2] With nothing under way there is nothing to abort, and nothing to be found.
#[testjig::test(on = VirtioScsi, needs(running))]
fn an_idle_unit_has_no_tasks(scsi: VirtioScsi) {
    let hba = ready(&scsi);
    for function in [
        tmf::ABORT_TASK,
        tmf::ABORT_TASK_SET,
        tmf::CLEAR_TASK_SET,
        tmf::QUERY_TASK,
        tmf::QUERY_TASK_SET,
    ] {
        assert_eq!(
            hba.manage(function, DISK, 77),
            response::OK,
            "function {function}"
        );
    }
}

/// [5.6.6.2] A function that no unit here has is rejected, as is one that does not exist.
#[testjig::test(on = VirtioScsi, needs(running))]
fn an_unknown_function_is_rejected(scsi: VirtioScsi) {
    let hba = ready(&scsi);
    for function in [tmf::CLEAR_ACA, 8, 0xffff] {
        let answer = hba.manage(function, DISK, 0);
        assert_eq!(answer, response::FUNCTION_REJECTED, "function {function}");
    }
}

/// [5.6.6.2] BAD_TARGET for a target, INCORRECT_LUN for a logical unit that is not there.
#[testjig::test(on = VirtioScsi, needs(running))]
fn task_management_needs_a_unit(scsi: VirtioScsi) {
    let hba = ready(&scsi);
    for function in [
        tmf::ABORT_TASK,
        tmf::LOGICAL_UNIT_RESET,
        tmf::QUERY_TASK_SET,
    ] {
        let nobody = hba.manage(function, Lun::new(9, 0), 0);
        assert_eq!(nobody, response::BAD_TARGET, "function {function}");
        let no_unit = hba.manage(function, Lun::new(0, 3), 0);
        assert_eq!(no_unit, response::INCORRECT_LUN, "function {function}");
    }
}

/// [5.6.6.2] Asynchronous notifications can be asked for and subscribed to; there are none.
#[testjig::test(on = VirtioScsi, needs(running))]
fn there_are_no_asynchronous_notifications(scsi: VirtioScsi) {
    let hba = ready(&scsi);
    assert_eq!(hba.notifications(1, DISK, 0xff), (0, response::OK));
    assert_eq!(hba.notifications(2, DISK, 0xff), (0, response::OK));
}
