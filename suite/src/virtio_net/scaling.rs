//! Receive-side scaling: what of it can be seen with one pair of virtqueues (§5.1.6.5.7).

use super::*;

/// A device that chooses virtqueues by hash.
fn rss(launch: Launch) -> Launch {
    launch.global("virtio-net-device", "rss", "on")
}

/// A configuration that the device takes.
fn good() -> RssConfig {
    RssConfig {
        hash_types: hash::IPV4 | hash::TCPV4 | hash::UDPV4 | hash::IPV6 | hash::TCPV6 | hash::UDPV6,
        table_mask: 3,
        unclassified_queue: 0,
        table: vec![0; 4],
        max_tx_vq: 1,
        key: (0..40).collect(),
    }
}

/// [5.1.4] The device says how long table and key may be, and which hashes it knows.
#[testjig::test(on = Modern<VirtioNet>, launch = rss)]
fn the_limits_are_told(net: Modern<VirtioNet>) {
    assert!(net.device().offered().contains(NetFeature::RSS));
    net.device()
        .negotiate(Features::VERSION_1 | NetFeature::RSS);
    let limits = net.config().rss();
    // "The device MUST set rss_max_key_size to at least 40", "rss_max_indirection_table_length to at least 128".
    assert!(limits.key_size >= 40);
    assert!(limits.table_length >= 128);
    assert_ne!(limits.hash_types & hash::TCPV4, 0);
}

/// [5.1.6.5.7.1] A good configuration is taken, and frames with and without a hash are received.
#[testjig::test(on = Modern<VirtioNet>, needs(running), launch = rss)]
fn frames_of_every_kind_are_received(net: Modern<VirtioNet>, vm: &Vm) {
    let nic = net.start(Layout::Split);
    let order = nic.device().order();
    let ack = nic.command(ControlCommand::RSS_CONFIG, &good().to_bytes(order));
    assert_eq!(ack, Ack::OK);
    for protocol in [6, 17, 1] {
        for bytes in [ipv4(protocol), ipv6(protocol)] {
            nic.give(200);
            wire(vm).send(&bytes);
            assert_eq!(nic.receive().bytes, bytes, "protocol {protocol}");
        }
    }
    works(&nic);
}

/// An IPv4 frame of this protocol, with ports.
fn ipv4(protocol: u8) -> Vec<u8> {
    let mut bytes = [VIRTIO_NET_MAC, PEER].concat();
    bytes.extend([0x08, 0x00, 0x45, 0, 0, 40, 0, 1, 0, 0, 64, protocol, 0, 0]);
    bytes.extend([10, 0, 0, 1, 10, 0, 0, 2, 0x12, 0x34, 0, 80]);
    bytes.resize(74, 0);
    bytes
}

/// An IPv6 frame of this protocol, with ports.
fn ipv6(protocol: u8) -> Vec<u8> {
    let mut bytes = [VIRTIO_NET_MAC, PEER].concat();
    bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 20, protocol, 64]);
    bytes.extend([0xfd; 16]);
    bytes.extend([0xfe; 16]);
    bytes.extend([0x12, 0x34, 0, 80]);
    bytes.resize(94, 0);
    bytes
}

/// [5.1.6.5.7.1] What the device can't do is refused: too long a table or key, a table of no power of two, queues that are not there.
#[testjig::test(on = Modern<VirtioNet>, needs(running), launch = rss)]
fn bad_configurations_are_refused(net: Modern<VirtioNet>) {
    let nic = net.start(Layout::Split);
    let order = nic.device().order();
    let limits = nic.config().rss();
    let refused = |what: &str, config: &RssConfig| {
        let ack = nic.command(ControlCommand::RSS_CONFIG, &config.to_bytes(order));
        assert_eq!(ack, Ack::ERR, "{what}");
    };
    let table = |mask: u16| RssConfig {
        table_mask: mask,
        table: vec![0; usize::from(mask) + 1],
        ..good()
    };
    refused("no power of two", &table(2));
    refused("too long a table", &table(limits.table_length * 2 - 1));
    refused(
        "no such default queue",
        &RssConfig {
            unclassified_queue: 1,
            ..good()
        },
    );
    refused(
        "no pairs",
        &RssConfig {
            max_tx_vq: 0,
            ..good()
        },
    );
    refused(
        "too many pairs",
        &RssConfig {
            max_tx_vq: 2,
            ..good()
        },
    );
    let long = vec![1; usize::from(limits.key_size) + 1];
    refused(
        "too long a key",
        &RssConfig {
            key: long,
            ..good()
        },
    );
    refused(
        "no key",
        &RssConfig {
            key: Vec::new(),
            ..good()
        },
    );
    let whole = good().to_bytes(order);
    for len in [0, 7, 8, 15, 17, 18, whole.len() - 1] {
        let ack = nic.command(ControlCommand::RSS_CONFIG, &whole[..len]);
        assert_eq!(ack, Ack::ERR, "{len} bytes");
    }
    // Reports of hashes were not agreed on.
    assert_eq!(nic.command(ControlCommand::HASH_CONFIG, &whole), Ack::ERR);
    assert_eq!(nic.command(ControlCommand::RSS_CONFIG, &whole), Ack::OK);
    works(&nic);
}

/// [5.1.6.5.7.1] Without hashes there need be no key.
#[testjig::test(on = Modern<VirtioNet>, needs(running), launch = rss)]
fn no_hashes_need_no_key(net: Modern<VirtioNet>) {
    let nic = net.start(Layout::Split);
    let none = RssConfig {
        hash_types: 0,
        key: Vec::new(),
        ..good()
    };
    let bytes = none.to_bytes(nic.device().order());
    assert_eq!(nic.command(ControlCommand::RSS_CONFIG, &bytes), Ack::OK);
    works(&nic);
}

/// [5.1.6.5.7] A driver that did not take the feature can't use it.
#[testjig::test(on = Modern<VirtioNet>, needs(running))]
fn scaling_without_the_feature_is_refused(net: Modern<VirtioNet>) {
    let nic = net.start(Layout::Split);
    let bytes = good().to_bytes(nic.device().order());
    assert_eq!(nic.command(ControlCommand::RSS_CONFIG, &bytes), Ack::ERR);
    assert_eq!(nic.command(ControlCommand::HASH_CONFIG, &bytes), Ack::ERR);
}
