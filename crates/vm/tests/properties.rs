//! The properties of device types: learned from the binary once, then remembered.

mod common;

use testjig_vm::{Arch, Cache, FindErrorKind, Finder, Silent};

#[test]
fn properties_are_learned_once_and_then_known_without_starting_the_binary() {
    let cache = Cache::open().expect("a cache");
    let mut qemu = common::qemu().clone();
    qemu.learn_properties(["edu", "pci-testdev", "no such device"], &cache);
    let learned = qemu.caps.properties.clone();
    assert!(learned["edu"].contains("dma_mask"), "{learned:?}");
    assert!(learned["pci-testdev"].contains("membar"), "{learned:?}");
    assert!(!learned.contains_key("no such device"));

    let mut again = Finder::new(Arch::X86_64)
        .allow_network(false)
        .find(&cache.clone().remembered_only(), &Silent)
        .expect("it was probed");
    again.learn_properties(["edu", "pci-testdev", "nvme"], &cache.remembered_only());
    for device in ["edu", "pci-testdev"] {
        assert_eq!(again.caps.properties[device], learned[device]);
    }
}

#[test]
fn what_was_never_probed_is_not_probed_by_whoever_must_not() {
    let known = common::qemu();
    let directory = tempfile::tempdir().expect("a directory");
    let cache = Cache::at(directory.path()).expect("an empty cache");
    let program = std::env::current_exe().expect("this test");
    let error = Finder::new(known.arch)
        .explicit(Some(program))
        .find(&cache.remembered_only(), &Silent)
        .expect_err("nothing is remembered");
    assert!(matches!(error.kind(), FindErrorKind::NotProbed), "{error}");
    assert!(error.to_string().contains("not probed yet"), "{error}");
}
