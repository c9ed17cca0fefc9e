//! Virtio over channel I/O on s390x, as far as it can be reached without a processor: see [`testjig::qos::virtio`].
//!
//! Commands to a channel device are instructions, which the wire can't execute; the monitor says what is there.

use serde_json::{Value, json};
use testjig::machines::S390Ccw;
use testjig::prelude::*;
use testjig::vm::{Drive, Fault, Image};

/// A disk at device number 1 of channel subsystem 0xfe.
fn with_disk(launch: Launch) -> Launch {
    let device = Device::new("virtio-blk-ccw")
        .id("blk")
        .prop("drive", "disk")
        .prop("devno", "fe.0.0001");
    launch
        .drive(Drive::new("disk", Image::zeroed(1 << 20)))
        .device(device)
}

/// [4.3.1] A channel device is addressed by its number, of the channel subsystem set aside for virtio.
#[testjig::test(on = S390Ccw, launch = with_disk)]
fn a_disk_has_its_device_number(vm: &Vm) {
    let number = vm.qmp_raw("qom-get", json!({ "path": "blk", "property": "dev_id" }));
    assert_eq!(number, "fe.0.0001");
}

/// [4.3] Nothing of a channel device is in memory: there are no registers to read.
#[testjig::test(on = S390Ccw, launch = with_disk)]
fn a_channel_device_has_no_registers_in_memory(vm: &Vm) {
    let tree = vm.hmp("info mtree -f");
    assert!(tree.contains("ram): "), "{tree}");
    assert!(!tree.contains("i/o): virtio"), "{tree}");
    assert!(!tree.contains("i/o): css"), "{tree}");
}

/// [2.1] A device that no driver has touched has no status, and is of the specification.
#[testjig::test(
    on = S390Ccw,
    launch = with_disk,
    xfail = "x-query-virtio-status ends QEMU 11.1.3 with an assertion (visit_start_struct: obj) for every virtio device on every \
             machine; 10.0.2 answers. Found by this test, not reported yet"
)]
fn an_untouched_device_has_no_status(vm: &Vm) {
    if vm.qemu().version.major < 11 {
        Fault::skip("this QEMU is older than the defect that the test waits for").raise();
    }
    let devices = vm.qmp_raw("x-query-virtio", Value::Null);
    let path = devices[0]["path"].as_str().expect("one device");
    let status = vm.qmp_raw("x-query-virtio-status", json!({ "path": path }));
    assert_eq!(status["device-id"], 2);
    assert_eq!(status["num-vqs"], 1);
    assert_eq!(status["status"]["statuses"], json!([]));
}
