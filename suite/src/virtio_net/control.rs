//! Commands that the device refuses, and those that do not choose frames.

use super::*;

/// [5.1.6.5] A command of no known class, or of no known number, is refused.
#[testjig::test(on = Modern<VirtioNet>, needs(running), vary(layout = LAYOUTS))]
fn unknown_commands_are_refused(net: Modern<VirtioNet>, layout: Layout) {
    let nic = net.start(layout);
    for (class, command) in [
        (0, 6),
        (1, 2),
        (2, 2),
        (3, 1),
        (4, 3),
        (5, 1),
        (6, 0),
        (255, 255),
    ] {
        let command = ControlCommand::of(class, command);
        assert_eq!(
            nic.command(command, &[1, 0, 0, 0, 0, 0, 0, 0]),
            Ack::ERR,
            "{command:?}"
        );
    }
    works(&nic);
}

/// [5.1.6.5] A command with less data than it has is refused, and changes nothing.
#[testjig::test(on = Modern<VirtioNet>, needs(running))]
fn short_commands_are_refused(net: Modern<VirtioNet>, vm: &Vm) {
    let nic = net.start(Layout::Split);
    let before = filter(vm);
    for (command, data) in [
        (ControlCommand::PROMISC, vec![]),
        (ControlCommand::MAC_ADDR_SET, vec![1; 5]),
        (ControlCommand::MAC_ADDR_SET, vec![1; 7]),
        (ControlCommand::MAC_ADDR_SET, vec![]),
        (ControlCommand::VLAN_ADD, vec![1]),
        (ControlCommand::VLAN_DEL, vec![]),
        (ControlCommand::VQ_PAIRS_SET, vec![1]),
    ] {
        assert_eq!(
            nic.command(command, &data),
            Ack::ERR,
            "{command:?} {data:?}"
        );
    }
    assert_eq!(filter(vm), before);
}

/// [5.1.6.5.2] Tables that end before what their numbers of entries say are refused, and change nothing.
#[testjig::test(on = Modern<VirtioNet>, needs(running))]
fn short_tables_are_refused(net: Modern<VirtioNet>, vm: &Vm) {
    let nic = net.start(Layout::Split);
    let order = nic.device().order();
    let good = mac_tables(order, &[[2; 6], [4; 6]], &[[3; 6]]);
    assert_eq!(nic.command(ControlCommand::MAC_TABLE_SET, &good), Ack::OK);
    let before = filter(vm);
    assert_eq!(before["unicast-table"].as_array().map(Vec::len), Some(2));
    for len in (0..good.len()).filter(|len| ![4, 16].contains(len)) {
        let ack = nic.command(ControlCommand::MAC_TABLE_SET, &good[..len]);
        assert_eq!(ack, Ack::ERR, "{len} bytes");
    }
    let longer = [good.clone(), vec![0]].concat();
    assert_eq!(
        nic.command(ControlCommand::MAC_TABLE_SET, &longer),
        Ack::ERR
    );
    // So many entries that their size in bytes does not fit 32 bits.
    let huge = [order.bytes32(0x2aaa_aaab).to_vec(), vec![0; 40]].concat();
    assert_eq!(nic.command(ControlCommand::MAC_TABLE_SET, &huge), Ack::ERR);
    assert_eq!(filter(vm), before);
}

/// [5.1.6.5.3] VLANs have 12 bits.
#[testjig::test(on = Modern<VirtioNet>, needs(running))]
fn there_is_no_vlan_4096(net: Modern<VirtioNet>) {
    let nic = net.start(Layout::Split);
    for vlan in [4096, 0xffff] {
        assert_eq!(nic.command_u16(ControlCommand::VLAN_ADD, vlan), Ack::ERR);
        assert_eq!(nic.command_u16(ControlCommand::VLAN_DEL, vlan), Ack::ERR);
    }
}

/// [5.1.6.5.4] The device asks the driver to announce itself, by status and interrupt, until the driver says that it did.
#[testjig::test(on = Modern<VirtioNet>, needs(running))]
fn an_announcement_is_asked_for_until_it_is_acknowledged(net: Modern<VirtioNet>, vm: &Vm) {
    let nic = net.start(Layout::Split);
    assert!(nic.features().contains(NetFeature::GUEST_ANNOUNCE));
    assert_eq!(nic.command(ControlCommand::ANNOUNCE_ACK, &[]), Ack::ERR);
    net.device().take_isr();
    let how = json!({ "initial": 50, "max": 50, "rounds": 1, "step": 10 });
    vm.qmp_raw("announce-self", how);
    let asked = Condition::new("the driver is asked to announce itself", || {
        nic.config().status().announce()
    });
    vm.wait_until(asked, SECOND);
    assert!(net.device().take_isr().configuration());
    assert_eq!(nic.command(ControlCommand::ANNOUNCE_ACK, &[]), Ack::OK);
    assert!(!nic.config().status().announce());
    assert!(nic.config().status().link_up());
    assert_eq!(nic.command(ControlCommand::ANNOUNCE_ACK, &[]), Ack::ERR);
}

/// [5.1.6.5.4] A driver that did not take the feature is not asked.
#[testjig::test(on = Modern<VirtioNet>, needs(running))]
fn a_driver_that_cannot_announce_is_not_asked(net: Modern<VirtioNet>, vm: &Vm) {
    let features = Features::VERSION_1 | NetFeature::STATUS | NetFeature::CTRL_VQ;
    let nic = net.start_with(features);
    let how = json!({ "initial": 50, "max": 50, "rounds": 1, "step": 10 });
    vm.qmp_raw("announce-self", how);
    // QEMU announces it itself: a frame from its address to everybody.
    let frame = wire(vm).recv(SECOND);
    assert_eq!(frame[..6], BROADCAST);
    assert_eq!(frame[6..12], VIRTIO_NET_MAC);
    assert!(!nic.config().status().announce());
    assert!(!net.device().take_isr().configuration());
}

/// QEMU's announcements have names: of two names each has its rounds, and a second one of a name takes the place of the first.
#[testjig::test(on = Modern<VirtioNet>, needs(running))]
fn each_announcement_has_its_rounds(net: Modern<VirtioNet>, vm: &Vm) {
    let _nic = net.start_with(Features::VERSION_1 | NetFeature::STATUS | NetFeature::CTRL_VQ);
    // The first round is at once, the others follow; those of the first one would in a minute.
    for (id, initial, rounds) in [("one", 60_000, 100), ("one", 20, 3), ("two", 30, 2)] {
        let how =
            json!({ "initial": initial, "max": initial, "rounds": rounds, "step": 0, "id": id });
        vm.qmp_raw("announce-self", how);
    }
    let announced = || {
        let frame = wire(vm).recv(SECOND);
        assert_eq!(frame[..12], [BROADCAST, VIRTIO_NET_MAC].concat());
    };
    for _ in 0..1 + 3 + 2 {
        announced();
    }
    // The next ones are the third name's, and not another of theirs, which would come at once.
    let how = json!({ "initial": 250, "max": 250, "rounds": 2, "step": 0, "id": "three" });
    let since = Instant::now();
    vm.qmp_raw("announce-self", how);
    announced();
    announced();
    assert!(since.elapsed() > Duration::from_millis(200));
}

/// [5.1.6.5.5] "The device MUST … ignore": more pairs than there are, or none, are refused; one is what there is without MQ.
#[testjig::test(
    on = Modern<VirtioNet>,
    needs(running),
    launch = |launch| launch.global("virtio-net-device", "mq", "on")
)]
fn so_many_pairs_as_there_are_can_be_used(net: Modern<VirtioNet>) {
    let nic = net.start(Layout::Split);
    assert!(nic.features().contains(NetFeature::MQ));
    let pairs = nic.config().max_virtqueue_pairs();
    assert_eq!(usize::from(pairs), nic.pairs());
    for (wanted, ack) in [
        (0, Ack::ERR),
        (pairs, Ack::OK),
        (pairs + 1, Ack::ERR),
        (0x8001, Ack::ERR),
    ] {
        let got = nic.command_u16(ControlCommand::VQ_PAIRS_SET, wanted);
        assert_eq!(got, ack, "{wanted} pairs");
    }
    works(&nic);
}

/// [5.1.6.5.6] Offloads that were not agreed on can't be switched on: this wire has none.
#[testjig::test(on = Modern<VirtioNet>, needs(running))]
fn offloads_of_a_wire_without_any_are_refused(net: Modern<VirtioNet>) {
    let nic = net.start(Layout::Split);
    let order = nic.device().order();
    let offload = NetFeature::GUEST_CSUM.bits();
    let set = ControlCommand::GUEST_OFFLOADS_SET;
    assert_eq!(nic.command(set, &order.bytes64(offload)), Ack::ERR);
    assert_eq!(nic.command(set, &[0; 7]), Ack::ERR);
    works(&nic);
}
