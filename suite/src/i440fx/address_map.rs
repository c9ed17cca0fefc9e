//! QEMU's own map of an address space: what its CPUs see, write protection included.

use std::ops::RangeInclusive;

use testjig::prelude::*;

/// One flat address space, as the monitor's `info mtree -f` lists it.
pub(super) struct AddressMap {
    stretches: Vec<Stretch>,
}

struct Stretch {
    range: RangeInclusive<u64>,
    /// Kind and name: `rom: pc.bios`.
    what: String,
    /// The first byte's place within what is mapped.
    offset: u64,
}

impl AddressMap {
    /// The address space that QEMU calls `name`; `memory` is the system's.
    ///
    /// # Panics
    /// If there is none, or the listing has another form.
    #[track_caller]
    pub(super) fn of(vm: &Vm, name: &str) -> Self {
        let listing = vm.hmp("info mtree -f");
        let spaces = format!(" AS \"{name}\",");
        let view = listing
            .split("FlatView #")
            .find(|view| view.contains(&spaces))
            .unwrap_or_else(|| panic!("no address space {name} in:\n{listing}"));
        let stretches: Vec<_> = view.lines().filter_map(stretch).collect();
        assert!(
            !stretches.is_empty(),
            "address space {name} is empty in:\n{listing}"
        );
        Self { stretches }
    }

    /// What is mapped at `range`, where each byte is at its own address in what is mapped: `rom: pc.bios`. Elsewhere the place of the
    /// first byte follows: `ram: ram @0xc0000000`.
    pub(super) fn at(&self, range: RangeInclusive<u64>) -> Vec<String> {
        let overlapping = self.stretches.iter().filter(|stretch| {
            stretch.range.start() <= range.end() && range.start() <= stretch.range.end()
        });
        overlapping.map(Stretch::text).collect()
    }
}

impl Stretch {
    fn text(&self) -> String {
        if self.offset == *self.range.start() {
            self.what.clone()
        } else {
            format!("{} @{:#x}", self.what, self.offset)
        }
    }
}

/// Reads a line such as `  00000000000c0000-00000000000c3fff (prio 1, rom): ram @00000000000c0000`.
fn stretch(line: &str) -> Option<Stretch> {
    let (range, rest) = line.strip_prefix("  ")?.split_once(" (prio ")?;
    let (first, last) = range.split_once('-')?;
    let (_, rest) = rest.split_once(", ")?;
    let (kind, rest) = rest.split_once("): ")?;
    let (name, offset) = rest
        .trim_end()
        .split_once(" @")
        .unwrap_or((rest.trim_end(), "0"));
    Some(Stretch {
        range: hex(first)?..=hex(last)?,
        what: format!("{kind}: {name}"),
        offset: hex(offset.split(' ').next()?)?,
    })
}

fn hex(digits: &str) -> Option<u64> {
    u64::from_str_radix(digits, 16).ok()
}
