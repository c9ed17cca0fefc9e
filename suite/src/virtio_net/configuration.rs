//! Features and the fields of the configuration (§5.1.3, §5.1.4).

use super::*;

/// [5.1.3] What a wire that carries no header can't do is not offered: checksums and segmentation, either way.
#[testjig::test(on = Modern<VirtioNet>)]
fn offloads_are_not_offered_on_a_plain_wire(net: Modern<VirtioNet>) {
    let offered = net.device().offered();
    for feature in [
        NetFeature::CSUM,
        NetFeature::GUEST_CSUM,
        NetFeature::GUEST_TSO4,
        NetFeature::GUEST_TSO6,
        NetFeature::GUEST_ECN,
        NetFeature::GUEST_UFO,
        NetFeature::HOST_TSO4,
        NetFeature::HOST_TSO6,
        NetFeature::HOST_ECN,
        NetFeature::HOST_UFO,
        NetFeature::HASH_REPORT,
    ] {
        assert!(!offered.contains(feature), "{feature:?}");
    }
    for feature in [
        NetFeature::MAC,
        NetFeature::MRG_RXBUF,
        NetFeature::STATUS,
        NetFeature::CTRL_VQ,
        NetFeature::CTRL_RX,
        NetFeature::CTRL_VLAN,
        NetFeature::CTRL_RX_EXTRA,
        NetFeature::GUEST_ANNOUNCE,
        NetFeature::CTRL_MAC_ADDR,
        Features::VERSION_1,
    ] {
        assert!(offered.contains(feature), "{feature:?}");
    }
}

/// [5.1.4.1] The MTU is there with its feature, which is there if the device knows one.
#[testjig::test(
    on = Modern<VirtioNet>,
    launch = |launch| launch.global("virtio-net-device", "host_mtu", 9000)
)]
fn the_mtu_is_what_the_device_says(net: Modern<VirtioNet>) {
    let wanted = Features::VERSION_1 | NetFeature::MTU;
    assert_eq!(net.device().negotiate(wanted), wanted);
    assert_eq!(net.config().mtu(), 9000);
}

/// [5.1.3] Without an MTU of its own the device offers none.
#[testjig::test(on = Modern<VirtioNet>)]
fn no_mtu_is_offered_unless_the_device_has_one(net: Modern<VirtioNet>) {
    assert!(!net.device().offered().contains(NetFeature::MTU));
    assert!(!net.device().offered().contains(NetFeature::MQ));
    assert!(!net.device().offered().contains(NetFeature::RSS));
    assert!(!net.device().offered().contains(NetFeature::STANDBY));
}

/// [5.1.4] Speed and duplex, as the device was made with.
#[testjig::test(
    on = Modern<VirtioNet>,
    launch = |launch| launch
        .global("virtio-net-device", "speed", 2500)
        .global("virtio-net-device", "duplex", "full")
)]
fn speed_and_duplex_are_told(net: Modern<VirtioNet>) {
    let wanted = Features::VERSION_1 | NetFeature::SPEED_DUPLEX;
    assert_eq!(net.device().negotiate(wanted), wanted);
    assert_eq!(net.config().speed(), 2500);
    assert_eq!(net.config().duplex(), duplex::FULL);
}

/// [5.1.4] What is not known is all ones.
#[testjig::test(
    on = Modern<VirtioNet>,
    launch = |launch| launch.global("virtio-net-device", "duplex", "half")
)]
fn an_unknown_speed_is_all_ones(net: Modern<VirtioNet>) {
    net.device()
        .negotiate(Features::VERSION_1 | NetFeature::SPEED_DUPLEX);
    assert_eq!(net.config().speed(), u32::MAX);
    assert_eq!(net.config().duplex(), duplex::HALF);
}

/// [5.1.5] The configuration's address is written only from before the specification: with it, by command.
#[testjig::test(on = VirtioNet, needs(running))]
fn the_address_is_written_by_legacy_drivers_only(net: VirtioNet) {
    let other = [0x52, 0x54, 0, 1, 2, 3];
    net.device()
        .negotiate(Features::VERSION_1 | NetFeature::MAC);
    let taken = if net.device().is_legacy() {
        other
    } else {
        VIRTIO_NET_MAC
    };
    net.config().set_mac(other);
    assert_eq!(net.config().mac(), taken);
}

/// [5.1.2] A pair of virtqueues, and one of commands; no more.
#[testjig::test(on = Modern<VirtioNet>)]
fn there_are_three_virtqueues(net: Modern<VirtioNet>) {
    let transport = net.device().transport();
    let max: Vec<u16> = (0..5).map(|index| transport.queue_max(index)).collect();
    assert!(max[..2].iter().all(|&max| max >= 256), "{max:?}");
    assert!(max[2] > 0);
    assert_eq!(max[3..], [0, 0]);
}

/// [2.7] A receive virtqueue is as large as the device was made with.
#[testjig::test(
    on = Modern<VirtioNet>,
    needs(running),
    launch = |launch| launch.global("virtio-net-device", "rx_queue_size", 1024)
)]
fn the_receive_virtqueue_has_its_size(net: Modern<VirtioNet>, vm: &Vm) {
    assert_eq!(net.device().transport().queue_max(0), 1024);
    net.device().negotiate_layout(Layout::Split);
    let queue = net.device().queue_sized(0, 1024);
    net.device().start();
    let room = GuestAlloc::of(vm).buf(100);
    let rooms: Vec<_> = (0..1024).map(|_| queue.add(&[room.writable()])).collect();
    queue.kick();
    for (seed, room) in rooms.into_iter().enumerate().take(3) {
        wire(vm).send(&frame(VIRTIO_NET_MAC, 60, seed as u8));
        assert_eq!(queue.wait().id, room);
    }
}

/// [5.1.3, STANDBY] A driver that takes a stand-in is known to do so.
#[testjig::test(
    on = Modern<VirtioNet>,
    needs(running),
    launch = |launch| launch.global("virtio-net-device", "failover", "on")
)]
fn a_stand_in_is_agreed_on(net: Modern<VirtioNet>, vm: &Vm) {
    let wanted = Features::VERSION_1 | NetFeature::MAC | NetFeature::STANDBY;
    let nic = net.start_with(wanted);
    assert_eq!(nic.features(), wanted);
    vm.wait_event("FAILOVER_NEGOTIATED", SECOND);
    works(&nic);
}
