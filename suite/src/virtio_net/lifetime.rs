//! Going elsewhere, plugging out and in, and giving one virtqueue up.

use testjig::qmp::commands::DeviceDel;
use testjig::vm::LaunchOptions;

use super::*;
use testjig::qos::pci::Pci;
use testjig::qos::virtio::{PciTransport, Virtio};

/// Sends a machine to a new one, and returns that one.
#[track_caller]
fn migrate(from: &Vm, qemu: &Qemu, launch: &Launch) -> Vm {
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
    from.hmp(&format!("migrate -d {address}"));
    to.wait_event("RESUME", Duration::from_secs(30));
    to
}

/// The device in a machine's slot.
#[track_caller]
fn on_q35(vm: &Vm) -> VirtioNet {
    let function = Pci::q35(vm).device(VIRTIO_PCI_SLOT);
    VirtioNet::new(Virtio::new(PciTransport::modern(&function)))
}

fn plugged(launch: Launch) -> Launch {
    let device = Device::new("virtio-net-pci")
        .id(VIRTIO_NET_ID)
        .prop("netdev", VIRTIO_NET_WIRE)
        .prop("mac", "52:54:00:12:34:56")
        .prop("romfile", "")
        .prop("addr", format!("{VIRTIO_PCI_SLOT:02x}.0"));
    launch
        .netdev(testjig::vm::Netdev::packets(VIRTIO_NET_WIRE))
        .device(device)
}

/// Address, modes, tables and VLANs travel, and the driver is asked to announce itself where it has come to.
#[testjig::test(on = Q35, needs(running), launch = plugged)]
fn the_filter_travels(q35: Q35, qemu: &Qemu, launch: &Launch) {
    let vm = q35.vm();
    let nic = on_q35(vm).start(Layout::Split);
    let other = [0x52, 0x54, 0, 0, 0, 0x42];
    assert_eq!(nic.command(ControlCommand::PROMISC, &[0]), Ack::OK);
    assert_eq!(nic.command(ControlCommand::ALLMULTI, &[1]), Ack::OK);
    assert_eq!(nic.command(ControlCommand::MAC_ADDR_SET, &other), Ack::OK);
    assert_eq!(nic.set_mac_tables(&[[2; 6]], &[[3; 6]]), Ack::OK);
    assert_eq!(nic.command_u16(ControlCommand::VLAN_ADD, 17), Ack::OK);
    let before = filter(vm);

    let target = migrate(vm, qemu, launch);
    assert_eq!(filter(&target), before);
    let there = on_q35(&target);
    assert_eq!(there.config().mac(), other);
    assert!(there.device().status().driver_ok());
    let asked = Condition::new("the driver is asked to announce itself", || {
        there.config().status().announce()
    });
    target.wait_until(asked, SECOND);
    target.stop();
}

/// [2.6.1] A virtqueue that was reset is not used until it is enabled again; the others are meanwhile.
#[testjig::test(on = Q35, needs(running), launch = plugged)]
fn one_virtqueue_is_reset(q35: Q35) {
    let vm = q35.vm();
    let net = on_q35(vm);
    if !net.device().offered().contains(Features::RING_RESET) {
        Fault::skip("the device can't reset one virtqueue").raise();
    }
    let nic = net.start(Layout::Split);
    nic.give(100);
    let device = net.device();
    device.transport().reset_queue(0);
    assert!(!device.transport().is_queue_enabled(0));
    assert!(device.transport().is_queue_enabled(1));
    wire(vm).send(&frame(VIRTIO_NET_MAC, 60, 1));
    nic.send(&frame(BROADCAST, 60, 2));
    assert_eq!(wire(vm).recv(SECOND), frame(BROADCAST, 60, 2));
    assert!(!nic.receive_queue().has_used());

    let again = device.queue_sized(0, 64);
    let room = GuestAlloc::of(vm).buf(200);
    again.add(&[room.writable()]);
    again.kick();
    wire(vm).send(&frame(VIRTIO_NET_MAC, 60, 3));
    assert_eq!(again.wait().len as usize, nic.header_len() + 60);
}

/// [5.1.6.2] A device that is plugged out in the middle of its work is gone.
#[testjig::test(on = Q35, needs(running), launch = on_root_port)]
fn a_device_with_rooms_is_plugged_out(q35: Q35) {
    let vm = q35.vm();
    vm.qmp(DeviceDel::new(VIRTIO_NET_ID));
    let pci = Pci::q35(vm);
    assert!(pci.device(VIRTIO_PCI_SLOT).is_present());
    vm.reset();
    vm.wait_event("DEVICE_DELETED", SECOND);
    let gone = vm.qmp_raw("query-rx-filter", Value::Null);
    assert_eq!(gone, json!([]));
}

/// A port with the device behind it.
fn on_root_port(launch: Launch) -> Launch {
    let port = Device::new("pcie-root-port")
        .id("rp")
        .prop("addr", format!("{VIRTIO_PCI_SLOT:02x}.0"));
    let device = Device::new("virtio-net-pci")
        .id(VIRTIO_NET_ID)
        .bus("rp")
        .prop("romfile", "")
        .prop("netdev", VIRTIO_NET_WIRE);
    launch
        .netdev(testjig::vm::Netdev::packets(VIRTIO_NET_WIRE))
        .device(port)
        .device(device)
}
