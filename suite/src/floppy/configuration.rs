//! What commands set in the controller, as DUMPREG and SAVE show it.

use super::*;
use testjig::qos::dev::i82078::{
    Configure, DumpRegisters, FormatTrack, Lock, Msr, Perpendicular, Seek, SenseInterrupt, Version,
};

const CONFIGURATION: Configure = Configure {
    implied_seek: true,
    no_fifo: false,
    no_polling: true,
    threshold: 0xb,
    precompensation_track: 0x2a,
};

/// [Configure] EIS, EFIFO, POLL and FIFOTHR in one byte, PRETRK in the next, as [Dumpreg] shows them.
#[testjig::test(on = I82078, vary(bit = [0x40, 0x20, 0x10, 0x08, 0x01]))]
fn the_configuration_is_dumped(fdc: I82078, bit: u8) {
    fdc.run(Configure {
        implied_seek: bit == 0x40,
        no_fifo: bit == 0x20,
        no_polling: bit == 0x10,
        threshold: bit & 0x0f,
        precompensation_track: 0x51,
    });
    let dump = fdc.run(DumpRegisters);
    assert_eq!(dump.configuration, bit);
    assert_eq!(dump.precompensation_track, 0x51);
}

/// [Configure, default values] After power-on the FIFO is off.
#[testjig::test(on = I82078)]
fn the_fifo_is_off_at_first(fdc: I82078) {
    assert_eq!(fdc.run(DumpRegisters).configuration & 0x20, 0x20);
}

/// [Specify] HLT in bits 7:1, as [Dumpreg] shows it.
#[testjig::test(on = I82078, vary(head_load = [0, 1, 0x40, 0x7f]))]
fn the_head_load_time_is_dumped(fdc: I82078, head_load: u8) {
    fdc.run(Specify {
        head_load,
        ..Specify::DMA
    });
    assert_eq!(fdc.run(DumpRegisters).load_and_non_dma >> 1, head_load);
}

/// [Specify] SRT and ND are dumped: what differs in them differs in the dump.
#[testjig::test(on = I82078)]
fn step_rate_and_mode_are_told_apart(fdc: I82078) {
    let dump = |step_rate, non_dma| {
        fdc.run(Specify {
            step_rate,
            non_dma,
            ..Specify::DMA
        });
        let dump = fdc.run(DumpRegisters);
        (dump.step_and_unload, dump.load_and_non_dma & 1)
    };
    let steps: Vec<u8> = (0..16).map(|rate| dump(rate, false).0).collect();
    for (rate, step) in steps.iter().enumerate() {
        assert!(!steps[..rate].contains(step), "{steps:02x?}");
    }
    assert_ne!(dump(3, false).1, dump(3, true).1);
}

/// [Dumpreg] EOT, SC after a format: sectors of a track.
#[testjig::test(on = I82078, launch = diskette)]
fn the_sectors_of_a_track_are_dumped(fdc: I82078, vm: &Vm) {
    ready(&fdc);
    assert_eq!(fdc.run(DumpRegisters).sectors, 18);

    dma_from_memory(vm, &[0; 4 * 9]);
    fdc.run(FormatTrack {
        drive: 0,
        head: 0,
        size: 2,
        sectors: 9,
        gap: 0x50,
        filler: 0xf6,
    });
    assert_eq!(fdc.run(DumpRegisters).sectors, 9);
}

/// [Lock] The result is LOCK in bit 4.
#[testjig::test(on = I82078)]
fn locking_answers_with_the_lock(fdc: I82078) {
    assert_eq!(fdc.run(Lock(true)), 0x10);
    assert_eq!(fdc.run(Lock(false)), 0x00);
}

/// [Dumpreg] LOCK in bit 7.
#[testjig::test(on = I82078)]
fn the_lock_is_dumped(fdc: I82078) {
    fdc.run(Lock(true));
    assert_eq!(fdc.run(DumpRegisters).lock_and_perpendicular, 0x80);
    fdc.run(Lock(false));
    assert_eq!(fdc.run(DumpRegisters).lock_and_perpendicular, 0x00);
}

/// [Lock] Locked, the configuration is that of before a software reset.
#[testjig::test(on = I82078)]
fn a_locked_configuration_survives_a_software_reset(fdc: I82078) {
    fdc.run(CONFIGURATION);
    fdc.run(Lock(true));
    fdc.reset();
    let dump = fdc.run(DumpRegisters);
    assert_eq!(dump.configuration, 0x5b);
    assert_eq!(dump.precompensation_track, 0x2a);
}

/// [Perpendicular Mode, OW] Without OW the drive bits are kept.
#[testjig::test(on = I82078, launch = diskette)]
fn drives_become_perpendicular_only_by_overwriting(fdc: I82078) {
    fdc.reset();
    fdc.run(Perpendicular(0x84));
    assert_ne!(fdc.run(DumpRegisters).lock_and_perpendicular, 0);
    let before = fdc.run(DumpRegisters);
    fdc.run(Perpendicular(0x00));
    assert_eq!(fdc.run(DumpRegisters), before);
    fdc.run(Perpendicular(0x80));
    assert_eq!(fdc.run(DumpRegisters).lock_and_perpendicular, 0);
}

/// [Perpendicular Mode, OW] Which drives are perpendicular is dumped: what differs in the command differs in the dump.
#[testjig::test(on = I82078, launch = diskette)]
fn perpendicular_drives_are_told_apart(fdc: I82078) {
    fdc.reset();
    let dumps = [0x80, 0x84, 0x82, 0x81].map(|mode| {
        fdc.run(Perpendicular(mode));
        fdc.run(DumpRegisters).lock_and_perpendicular
    });
    for (index, dump) in dumps.iter().enumerate() {
        assert!(!dumps[..index].contains(dump), "{dumps:02x?}");
    }
}

/// [Save] The present cylinders, EOT, LOCK, the configuration and PRETRK.
#[testjig::test(on = I82078, launch = two_diskettes)]
fn the_state_is_saved(fdc: I82078) {
    fdc.reset();
    fdc.run(Seek::to(0x11));
    fdc.run(SenseInterrupt);
    fdc.run(Seek::to(0x22).on(1));
    fdc.run(SenseInterrupt);
    fdc.run(CONFIGURATION);
    fdc.run(Lock(true));

    let saved = fdc.save();
    assert_eq!(saved.cylinders(), [0x11, 0x22, 0, 0]);
    assert_eq!(saved.sectors(), 18);
    assert_eq!(saved.lock_and_perpendicular(), 0x80);
    assert_eq!(saved.configuration(), 0x5b);
    assert_eq!(saved.precompensation_track(), 0x2a);
}

/// [Save] The drives' times and modes are in it: what differs in them differs in what is saved.
#[testjig::test(on = I82078, launch = diskette)]
fn times_and_modes_are_saved(fdc: I82078) {
    fdc.reset();
    let save = |specify: Specify, perpendicular| {
        fdc.run(specify);
        fdc.run(Perpendicular(perpendicular));
        fdc.save()
    };
    let base = save(Specify::DMA, 0x80);
    let step = Specify {
        step_rate: 5,
        ..Specify::DMA
    };
    let load = Specify {
        head_load: 0x33,
        ..Specify::DMA
    };
    let saves = [
        base,
        save(step, 0x80),
        save(load, 0x80),
        save(Specify::DMA, 0x84),
    ];
    for (index, saved) in saves.iter().enumerate() {
        assert!(!saves[..index].contains(saved), "{saves:02x?}");
    }
}

/// [Restore] What was saved is as it was.
#[testjig::test(on = I82078, launch = two_diskettes)]
fn the_saved_state_is_restored(fdc: I82078) {
    fdc.reset();
    fdc.run(Seek::to(0x11));
    fdc.run(SenseInterrupt);
    fdc.run(Seek::to(0x22).on(1));
    fdc.run(SenseInterrupt);
    fdc.run(CONFIGURATION);
    fdc.run(Lock(true));
    fdc.run(Specify {
        step_rate: 9,
        head_unload: 3,
        head_load: 0x25,
        non_dma: false,
    });
    fdc.run(Perpendicular(0x84));
    let (saved, dump) = (fdc.save(), fdc.run(DumpRegisters));

    fdc.run(Seek::to(3));
    fdc.run(SenseInterrupt);
    fdc.run(Seek::to(4).on(1));
    fdc.run(SenseInterrupt);
    fdc.run(Configure {
        implied_seek: false,
        no_fifo: true,
        no_polling: false,
        threshold: 0,
        precompensation_track: 0,
    });
    fdc.run(Lock(false));
    fdc.run(Specify::DMA);
    fdc.run(Perpendicular(0x80));
    assert_ne!(fdc.save(), saved);

    fdc.restore(&saved);
    assert_eq!(fdc.save(), saved);
    assert_eq!(fdc.run(DumpRegisters), dump);
    assert_eq!(fdc.run(Version), 0x90);
}

/// [Restore] Each named field of what is restored is then there, whatever it was.
#[testjig::test(on = I82078, launch = two_diskettes)]
fn any_state_can_be_restored(fdc: I82078) {
    fdc.reset();
    let mut state = fdc.save();
    state.0[2..6].copy_from_slice(&[0x31, 0x12, 0, 0]);
    state.0[8] = 17;
    state.0[9] = 0x80;
    state.0[10] = 0x4c;
    state.0[11] = 0x66;
    fdc.restore(&state);
    let saved = fdc.save();
    assert_eq!(saved, state);
    let dump = fdc.run(DumpRegisters);
    assert_eq!(dump.cylinders, [0x31, 0x12, 0, 0]);
    assert_eq!((dump.sectors, dump.lock_and_perpendicular), (17, 0x80));
    assert_eq!(
        (dump.configuration, dump.precompensation_track),
        (0x4c, 0x66)
    );
}

/// [Dumpreg] SRT in bits 7:4 and HUT in bits 3:0 of one byte.
#[testjig::test(on = I82078, xfail = "SRT is in bits 3:0, HUT is not kept; no report known")]
fn step_rate_and_unload_time_are_dumped(fdc: I82078) {
    fdc.run(Specify {
        step_rate: 0xa,
        head_unload: 0x5,
        ..Specify::DMA
    });
    assert_eq!(fdc.run(DumpRegisters).step_and_unload, 0xa5);
}

/// [Dumpreg] ND in bit 0.
#[testjig::test(on = I82078, xfail = "ND is inverted; no report known")]
fn the_mode_is_dumped(fdc: I82078) {
    fdc.run(Specify::PIO);
    assert_eq!(fdc.run(DumpRegisters).load_and_non_dma & 1, 1);
}

/// [Powerdown Mode] One parameter, which is the result.
#[testjig::test(on = I82078, xfail = "it waits for a second parameter; no report known")]
fn the_powerdown_mode_takes_one_parameter(fdc: I82078) {
    fdc.send_bytes(&[0x17, 0x02]);
    assert_eq!(fdc.msr(), Msr::RESULT);
}
