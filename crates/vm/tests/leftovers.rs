//! Nothing of a machine is left, whichever way it ends. One test, since it counts what the whole process has.

mod common;

use std::collections::BTreeMap;
use std::fs;

use common::{fault_of, qemu, start};
use rustix::process::{Signal, kill_process};
use testjig_vm::{Chardev, Device, Drive, Image, Launch, LaunchOptions, Netdev, machine};

/// Open descriptors by number, children, threads and mappings of guest memory.
#[derive(Debug, PartialEq)]
struct Holdings {
    descriptors: BTreeMap<i32, String>,
    children: String,
    threads: usize,
    mappings: usize,
}

fn holdings() -> Holdings {
    let descriptors = fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let number = entry.file_name().to_str()?.parse().ok()?;
            // Not the one that reads this directory.
            let target = fs::read_link(entry.path()).ok()?;
            (!target.ends_with("fd")).then(|| (number, target.display().to_string()))
        })
        .collect();
    let mut children = String::new();
    for task in fs::read_dir("/proc/self/task").unwrap().flatten() {
        children += &fs::read_to_string(task.path().join("children")).unwrap_or_default();
    }
    Holdings {
        descriptors,
        children,
        threads: fs::read_dir("/proc/self/task").unwrap().count(),
        mappings: fs::read_to_string("/proc/self/maps")
            .unwrap()
            .matches("testjig-ram")
            .count(),
    }
}

fn everything() -> Launch {
    Launch::new(&machine::PC)
        .drive(Drive::new("d", Image::zeroed(1 << 20)))
        .device(Device::new("virtio-blk-pci").prop("drive", "d"))
        .chardev(Chardev::socket("c"))
        .device(Device::new("isa-serial").prop("chardev", "c"))
        .netdev(Netdev::packets("n"))
        .device(Device::new("e1000").prop("netdev", "n"))
        .fw_cfg_file("opt/f", [1, 2, 3])
}

#[test]
fn nothing_is_left_whichever_way_a_machine_ends() {
    qemu();
    let nothing = holdings();
    std::thread::spawn(|| {
        for _ in 0..3 {
            start(&everything());
        }
    })
    .join()
    .unwrap();
    common::eventually("the end of a thread's zygote", || holdings() == nothing);

    // From its second start on a thread has a zygote.
    for _ in 0..2 {
        start(&everything());
    }
    let before = holdings();
    let check = |what: &str| {
        // A thread that was joined may take a moment to leave the kernel's list.
        common::eventually(what, || holdings() == before);
    };

    let vm = start(&everything());
    assert_ne!(holdings(), before);
    let clone = vm.clone();
    vm.disk("d").sector(0);
    vm.hmp("info version");
    vm.stop();
    drop(clone);
    check("stopped");

    let vm = start(&everything());
    let handles = (vm.ram(), vm.disk("d"), vm.channel("c"));
    vm.outb(0x80, 0);
    drop(vm);
    assert_ne!(holdings(), before, "handles keep the machine");
    drop(handles);
    check("dropped with something queued");

    let vm = start(&everything());
    kill_process(common::process(&vm), Signal::KILL).unwrap();
    fault_of(|| vm.inb(0x80));
    drop(vm);
    check("killed by another");

    let vm = start(&everything());
    kill_process(common::process(&vm), Signal::STOP).unwrap();
    drop(vm);
    check("stopped by a signal and dropped");

    let vm = start(&everything());
    fault_of(move || {
        let _keep = vm.clone();
        vm.ram().read_le::<u8>(u64::MAX)
    });
    check("unwound");

    let refused = everything().arg("-no-such-option");
    qemu()
        .launch(&refused, &LaunchOptions::default())
        .unwrap_err();
    check("refused");

    let mut missing = qemu().clone();
    missing.program = "/no/such/qemu".into();
    missing
        .launch(&everything(), &LaunchOptions::default())
        .unwrap_err();
    check("missing");

    // A machine ends with the thread that launched it.
    let pid = std::thread::spawn(|| {
        let vm = start(&everything());
        let pid = vm.pid();
        std::mem::forget(vm);
        pid
    })
    .join()
    .unwrap();
    common::eventually("the end of a forgotten machine", || {
        fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
    });
}
