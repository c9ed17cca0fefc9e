//! Hints which pages are free, for a machine that goes elsewhere (§5.5.6.5).

use testjig::qos::pci::Pci;
use testjig::qos::virtio::{PciTransport, Virtio};
use testjig::vm::LaunchOptions;

use super::*;

/// A machine with a balloon that asks for hints.
fn hinting(launch: Launch) -> Launch {
    let device = Device::new("virtio-balloon-pci")
        .id(VIRTIO_BALLOON_ID)
        .prop("packed", "on")
        .prop("addr", format!("{VIRTIO_PCI_SLOT:02x}.0"));
    with_all(launch).device(device)
}

#[track_caller]
fn balloon_of(vm: &Vm) -> VirtioBalloon {
    let function = Pci::q35(vm).device(VIRTIO_PCI_SLOT);
    VirtioBalloon::new(Virtio::new(PciTransport::modern(&function)))
}

/// [5.5.6.5] Outside of a migration the device wants no hints.
#[testjig::test(on = Modern<VirtioBalloon>, needs(running), launch = with_all)]
fn no_hints_are_wanted_at_first(balloon: Modern<VirtioBalloon>) {
    let running = balloon.start(Layout::Split);
    assert_eq!(running.config().hint_command(), HintCommand::STOP);
    // What comes all the same is taken note of and changes nothing.
    let page = running.page();
    running.say_hints(HintCommand(0x1234));
    running.hint(&[page.memory().writable()]);
    running.say_hints(HintCommand::STOP);
    assert_eq!(page.memory().to_vec(), [0xa5; PAGE as usize]);
    // A thread of the device's own looks for hints until then.
    balloon.device().reset();
}

/// [5.5.6.5] A machine that goes elsewhere asks for hints by a command of its own, and pages that it has hints of do not go along.
#[testjig::test(on = Q35, needs(running), launch = hinting, vary(layout = LAYOUTS))]
fn hinted_pages_do_not_go_along(vm: &Vm, qemu: &Qemu, launch: &Launch, layout: Layout) {
    let balloon = balloon_of(vm).start(layout);
    let pages = [balloon.pages(64), balloon.pages(64)];
    let incoming = launch.clone().arg("-incoming").arg("tcp:127.0.0.1:0");
    let to = match qemu.launch(&incoming, &LaunchOptions::default()) {
        Ok(vm) => vm,
        Err(error) => panic!("{error}"),
    };
    let status = to.hmp("info migrate");
    let address = status
        .split_whitespace()
        .find(|word| word.starts_with("tcp:"))
        .unwrap_or_else(|| panic!("the target does not say where it listens:\n{status}"));
    // So slowly that it has sent hardly anything when the hints come.
    vm.qmp_raw("migrate-set-parameters", json!({ "max-bandwidth": 10_000 }));
    vm.hmp(&format!("migrate -d {address}"));
    let asked = Condition::new("hints are wanted", || {
        balloon.config().hint_command().0 > HintCommand::DONE.0
    });
    vm.wait_until(asked, Duration::from_secs(20));
    assert!(balloon.device().take_isr().configuration());
    let command = balloon.config().hint_command();

    // Hints of another command are none.
    balloon.say_hints(HintCommand(command.0 ^ 1));
    balloon.hint(&[pages[0].memory().writable()]);
    balloon.say_hints(command);
    balloon.hint(&[pages[1].memory().writable()]);
    balloon.say_hints(HintCommand::STOP);
    vm.qmp_raw(
        "migrate-set-parameters",
        json!({ "max-bandwidth": 1 << 30 }),
    );
    to.wait_event("RESUME", Duration::from_secs(30));

    let byte = |at: u64| to.ram().read_le::<u8>(at);
    assert_eq!(byte(pages[0].memory().addr() + 5 * PAGE), 0xa5);
    assert_eq!(byte(pages[1].memory().addr() + 5 * PAGE), 0);
    to.stop();
    balloon.device().reset();
}
