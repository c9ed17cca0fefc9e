//! The PC's keyboard controller and its keyboard. Sections of IBM's PC/AT Technical Reference stand in brackets, those of the PS/2
//! Hardware Interface Technical Reference after "PS/2".

use std::time::Duration;

use testjig::prelude::*;
use testjig::qos::dev::i8042::*;

/// More of the host's time than any of this takes.
const SOON: Duration = Duration::from_secs(10);

/// No interrupts, no translation, both devices enabled.
const QUIET: Mode = Mode::new().with_system(true);

/// [Self-Test] "55h is placed in the output buffer if no errors are detected."
#[testjig::test(on = I8042)]
fn the_self_test_answers_55(kbc: I8042) {
    assert_eq!(kbc.ask(command::SELF_TEST), 0x55);
    assert!(kbc.status().system());
}

/// [Interface Test, PS/2 Auxiliary Interface Test] "00h: No error detected."
#[testjig::test(on = I8042, vary(which = [command::TEST_KEYBOARD, command::TEST_AUXILIARY]))]
fn an_interface_test_answers_0(kbc: I8042, which: u8) {
    assert_eq!(kbc.ask(which), 0x00);
}

/// [Command Byte] It reads back as it was written.
#[testjig::test(on = I8042)]
fn the_command_byte_reads_back(kbc: I8042) {
    for mode in [0x00, 0x04, 0x47, 0x65, 0x30] {
        kbc.set_mode(mode.into());
        assert_eq!(kbc.mode(), mode.into(), "{mode:#04x}");
    }
}

/// [Command Byte] "Bit 2 … The value written to this bit is placed in the system-flag bit of the … status register."
#[testjig::test(on = I8042, xfail = "only the self-test sets the system flag; no report known")]
fn the_command_byte_sets_the_system_flag(kbc: I8042) {
    for mode in [0x04, 0x00] {
        kbc.set_mode(mode.into());
        assert_eq!(kbc.status().system(), mode & 4 != 0, "{mode:#04x}");
    }
}

/// [Disable Keyboard Interface, Enable Keyboard Interface, PS/2] The commands for it are bits of the command byte.
#[testjig::test(on = I8042)]
fn devices_are_disabled_by_commands_and_by_bits(kbc: I8042) {
    kbc.set_mode(QUIET);
    kbc.command(command::DISABLE_KEYBOARD);
    kbc.command(command::DISABLE_AUXILIARY);
    let both = QUIET
        .with_keyboard_disabled(true)
        .with_auxiliary_disabled(true);
    assert_eq!(kbc.mode(), both);
    kbc.command(command::ENABLE_KEYBOARD);
    kbc.command(command::ENABLE_AUXILIARY);
    assert_eq!(kbc.mode(), QUIET);
}

/// [Status Register] Bit 3: what was written last was a command or data.
#[testjig::test(on = I8042, xfail = "bit 3 is always set; no report known")]
fn the_status_tells_commands_from_data(kbc: I8042) {
    kbc.command(command::WRITE_MODE);
    assert!(kbc.status().command());
    kbc.write(QUIET.into());
    assert!(!kbc.status().command());
}

/// [Echo] "the keyboard issues an EEh response".
#[testjig::test(on = I8042)]
fn the_keyboard_echoes(kbc: I8042) {
    kbc.set_mode(QUIET);
    kbc.write(keyboard::ECHO);
    assert_eq!(kbc.wait(), 0xee);
    assert!(!kbc.status().output_full());
}

/// [Reset] Acknowledged, and followed by the completion of the keyboard's own test.
#[testjig::test(on = I8042)]
fn a_reset_of_the_keyboard_tests_it(kbc: I8042) {
    kbc.set_mode(QUIET);
    kbc.write(keyboard::RESET);
    assert_eq!(kbc.wait(), keyboard::ACK);
    assert_eq!(kbc.wait(), keyboard::TEST_PASSED);
    assert!(!kbc.status().output_full());
}

/// [PS/2 Keyboard: Read ID] ABh 83h, the second of which is 41h where scan codes are translated.
#[testjig::test(on = I8042, vary(translate = [false, true]))]
fn the_keyboard_identifies_itself(kbc: I8042, translate: bool) {
    kbc.set_mode(QUIET.with_translate(translate));
    kbc.write(keyboard::IDENTIFY);
    assert_eq!(kbc.wait(), keyboard::ACK);
    assert_eq!(kbc.wait(), 0xab);
    assert_eq!(kbc.wait(), if translate { 0x41 } else { 0x83 });
}

/// [Set/Reset Status Indicators, Set Typematic Rate/Delay] The parameter is acknowledged as well.
#[testjig::test(on = I8042, vary(which = [keyboard::SET_INDICATORS, keyboard::SET_TYPEMATIC]))]
fn a_parameter_is_acknowledged(kbc: I8042, which: u8) {
    kbc.set_mode(QUIET);
    kbc.write(which);
    assert_eq!(kbc.wait(), keyboard::ACK);
    kbc.write(0x02);
    assert_eq!(kbc.wait(), keyboard::ACK);
    assert!(!kbc.status().output_full());
}

/// [Resend] "The keyboard issues a Resend command following receipt of an invalid input".
#[testjig::test(on = I8042)]
fn the_keyboard_does_not_understand(kbc: I8042) {
    kbc.set_mode(QUIET);
    kbc.write(0xef);
    assert_eq!(kbc.wait(), keyboard::RESEND);
}

/// [Command Byte] Bit 0: the keyboard's byte raises interrupt 1, reading it lowers the line.
#[testjig::test(on = I8042)]
fn the_keyboards_byte_interrupts_until_it_is_read(kbc: I8042, vm: &Vm) {
    let irq = vm.intercept(kbc.keyboard_irq());
    kbc.set_mode(QUIET.with_keyboard_irq(true));
    kbc.write(keyboard::ECHO);
    vm.wait_until(irq.raised(), SOON);
    assert_eq!(kbc.wait(), 0xee);
    vm.wait_until(irq.lowered(), SOON);
}

/// [Command Byte] Without bit 0 nothing interrupts.
#[testjig::test(on = I8042)]
fn nothing_interrupts_unless_it_may(kbc: I8042, vm: &Vm) {
    let irq = vm.intercept(kbc.keyboard_irq());
    kbc.set_mode(QUIET);
    kbc.write(keyboard::ECHO);
    assert_eq!(kbc.wait(), 0xee);
    assert_eq!(irq.edges(), []);
}

/// [PS/2 Write Keyboard Output Buffer, Write Auxiliary Device Output Buffer] "as if initiated by" the device: data, and its interrupt.
#[testjig::test(on = I8042, vary(auxiliary = [false, true]))]
fn a_byte_is_put_into_a_devices_mouth(kbc: I8042, vm: &Vm, auxiliary: bool) {
    let (pin, which) = if auxiliary {
        (kbc.auxiliary_irq(), command::WRITE_AUXILIARY_BUFFER)
    } else {
        (kbc.keyboard_irq(), command::WRITE_KEYBOARD_BUFFER)
    };
    let irq = vm.intercept(pin);
    kbc.set_mode(QUIET.with_keyboard_irq(true).with_auxiliary_irq(true));
    kbc.command(which);
    kbc.write(0x5c);
    vm.wait_until(irq.raised(), SOON);
    let status = kbc.status();
    assert!(status.output_full());
    assert_eq!(status.auxiliary(), auxiliary);
    assert_eq!(kbc.read(), 0x5c);
}

/// [Write Output Port, Read Output Port] Bit 1 gates A20; bit 0 is the processor's reset line, which is high.
#[testjig::test(on = I8042)]
fn the_output_port_gates_a20(kbc: I8042) {
    kbc.set_mode(QUIET);
    for a20 in [0x00, 0x02] {
        kbc.command(command::WRITE_OUTPUT_PORT);
        kbc.write(0x01 | a20);
        assert_eq!(kbc.ask(command::READ_OUTPUT_PORT) & 0x03, 0x01 | a20);
    }
}

/// [Pulse Output Port] "Bit 0 of the output port is connected to System Reset."
#[testjig::test(on = I8042, needs(running))]
fn a_pulse_resets_the_machine(kbc: I8042, vm: &Vm) {
    kbc.command(command::PULSE_RESET);
    vm.wait_event("RESET", SOON);
}
