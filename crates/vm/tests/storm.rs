//! Many forks on a busy host: none hangs, none gets what was meant for a sibling, nothing is left.
//!
//! The long one is run by hand: `cargo test -p testjig-vm --release --test storm -- --ignored`.

mod common;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use common::{eventually, qemu};
use serde_json::Value;
use testjig_vm::{
    Chardev, Device, Drive, Image, Interface, Launch, LaunchOptions, Template, Vm, machine,
};

/// How many siblings are at work at once: what one of them was to be woken by, another could take.
const SIBLINGS: usize = 4;

fn template() -> Template {
    let image = (0..64_u8).fold(Image::zeroed(64 * 512), |image, sector| {
        image.with(u64::from(sector) * 512, vec![sector; 512])
    });
    let launch = Launch::new(&machine::PC)
        .drive(Drive::new("d", image).interface(Interface::Ide))
        .chardev(Chardev::socket("c"))
        .device(Device::new("isa-serial").prop("chardev", "c"));
    qemu()
        .template(&launch, &LaunchOptions::default())
        .unwrap_or_else(|error| panic!("{error}"))
}

/// [ATA, READ SECTORS and WRITE SECTORS] One sector of the first channel's drive, by its number.
fn command(vm: &Vm, sector: u8, command: u8) {
    for (port, value) in [
        (0x1f6, 0xe0),
        (0x1f2, 1),
        (0x1f3, sector),
        (0x1f4, 0),
        (0x1f5, 0),
        (0x1f7, command),
    ] {
        vm.outb(port, value);
    }
}

fn wait_for_drive(vm: &Vm) {
    const BUSY: u8 = 0x80;
    eventually("the drive's readiness", || vm.inb(0x1f7) & BUSY == 0);
}

/// Siblings whose disks, sockets and monitors are all at work at once.
fn round(template: &Template, number: usize) {
    let siblings: Vec<Vm> = (0..SIBLINGS)
        .map(|_| {
            template
                .fork(false)
                .unwrap_or_else(|error| panic!("{error}"))
        })
        .collect();
    let sector = |sibling: usize| ((number * SIBLINGS + sibling) % 64) as u8;
    for (sibling, vm) in siblings.iter().enumerate() {
        command(vm, sector(sibling), 0x20);
        vm.outb(0x3f8, sector(sibling));
        vm.session(|session| session.sync()).unwrap();
    }
    for (sibling, vm) in siblings.iter().enumerate() {
        let sector = sector(sibling);
        assert_eq!(vm.qmp_raw("query-status", Value::Null)["running"], true);
        wait_for_drive(vm);
        let words: Vec<u16> = (0..256).map(|_| vm.inw(0x1f0)).collect();
        assert_eq!(words, [u16::from_ne_bytes([sector; 2]); 256]);
        command(vm, sector, 0x30);
        wait_for_drive(vm);
        for _ in 0..256 {
            vm.outw(0x1f0, 0x5a5a);
        }
        wait_for_drive(vm);
        assert_eq!(vm.disk("d").sector(sector.into()), [0x5a; 512]);
        let received = vm.channel("c").recv(std::time::Duration::from_secs(10));
        assert_eq!(received, [sector]);
    }
    for vm in siblings {
        let report = vm.stop();
        assert!(report.is_clean(), "{report}");
    }
}

/// What this process has: descriptors, mappings of guest memory, and processes, the template's children among them.
#[derive(Debug, PartialEq)]
struct Holdings {
    descriptors: usize,
    mappings: usize,
    processes: usize,
}

fn holdings() -> Holdings {
    let own = std::process::id();
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
            Some((pid, parent))
        })
        .collect();
    let is_descendant = |mut pid: u32| {
        while let Some(&(_, parent)) = parents.iter().find(|(known, _)| *known == pid) {
            if parent == own {
                return true;
            }
            pid = parent;
        }
        false
    };
    Holdings {
        descriptors: fs::read_dir("/proc/self/fd").unwrap().count(),
        mappings: fs::read_to_string("/proc/self/maps")
            .unwrap()
            .matches("testjig-ram")
            .count(),
        processes: parents
            .iter()
            .filter(|(pid, _)| is_descendant(*pid))
            .count(),
    }
}

/// Says so when it goes: what unwinds must not leave the others at work for ever.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Makes `forks` machines while every core has something else to do as well.
fn storm(forks: usize) {
    let ends = AtomicBool::new(false);
    let cores = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while !ends.load(Ordering::Relaxed) {
                    std::hint::black_box((0..1000).fold(0_u64, |sum, n| sum ^ n));
                }
            });
        }
        let _end = End(&ends);
        let template = template();
        round(&template, 0);
        let before = holdings();
        for number in 1..forks / SIBLINGS {
            round(&template, number);
        }
        eventually("the end of all machines", || holdings() == before);
    });
}

#[test]
fn a_hundred_forks_under_load_end_well() {
    storm(100);
}

#[test]
#[ignore = "takes ten minutes or more; a hundred forks are in the test beside it"]
fn ten_thousand_forks_under_load_end_well() {
    storm(10_000);
}
