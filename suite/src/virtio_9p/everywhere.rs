//! What holds on every machine, transport and interface.

use super::*;

/// [virtio_9p.h] The device has a virtqueue, and a tag in its configuration.
#[testjig::test(on = Virtio9p)]
fn the_tag_is_in_the_configuration(device: Virtio9p) {
    let transport = device.device().transport();
    assert_eq!(transport.device_id(), DEVICE_ID);
    assert!(transport.queue_max(0) > 0);
    assert_eq!(transport.queue_max(1), 0);
    assert!(device.device().offered().contains(MOUNT_TAG));
    device.device().negotiate(Features::VERSION_1 | MOUNT_TAG);
    assert_eq!(device.tag(), VIRTIO_9P_TAG.as_bytes());
}

/// [version, attach, getattr] Client and server agree, and the root is a directory. Messages have one byte order everywhere.
#[testjig::test(on = Virtio9p)]
fn the_root_is_a_directory(device: Virtio9p) {
    let client = up(&device, Layout::Split);
    let root = client.getattr(ROOT, 0x7ff).expect("the root is there");
    assert_eq!(root.mode & 0o170_000, 0o040_000, "{root:?}");
    assert!(root.qid.is_directory());
    assert_eq!(root.valid & 0x7ff, 0x7ff);
    works(&client);
}

/// [walk, getattr] Files are found by name.
#[testjig::test(on = Virtio9p, needs(running))]
fn files_are_found_by_name(device: Virtio9p) {
    let client = up(&device, Layout::Split);
    let met = client.walk(ROOT, 1, &["ReadDirDir", "ReadDirFile7"]);
    let met = met.expect("it is there");
    assert_eq!(met.len(), 2);
    assert!(met[0].is_directory() && !met[1].is_directory());
    let file = client.getattr(1, 0x7ff).expect("it was found");
    assert_eq!(file.qid, met[1]);
    assert_eq!(file.mode & 0o170_000, 0o100_000, "{file:?}");
}

/// [lopen, write] A file takes what is written.
#[testjig::test(on = Virtio9p, needs(running))]
fn a_file_is_written(device: Virtio9p) {
    let client = up(&device, Layout::Split);
    client.walk(ROOT, 1, &["WRITE"]).expect("it is there");
    client.lopen(1, lopen::WRONLY).expect("it can be written");
    assert_eq!(client.write(1, 0, &[0x5a; 4000]), Ok(4000));
    assert_eq!(client.write(1, 1 << 40, &[1]), Ok(1));
}
