//! [`Device`]: the functions of a device, found from QEMU's own description of its type.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::Program;

/// The functions of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Indices in [`Program::functions`], ascending.
    pub functions: Vec<usize>,
}

/// Offsets of the pointers in QEMU's `TypeInfo` (include/qom/object.h; the same from 5.0 to 11.1).
mod type_info {
    pub(super) const PARENT: u64 = 8;
    /// Instance and class functions.
    pub(super) const FUNCTIONS: [u64; 5] = [32, 40, 48, 72, 80];
    /// Sizes, which are no pointers.
    pub(super) const SIZES: [u64; 3] = [16, 24, 64];
}

/// No table of functions that a device points to (`MemoryRegionOps`, `VMStateDescription`) is longer, in bytes.
const TABLE: u64 = 144;
/// Words in the names of types that tell of no device: of buses, and of QEMU's parts behind devices.
const COMMON: [&str; 16] = [
    "accel", "base", "blk", "bus", "char", "common", "device", "isa", "net", "pci", "pcie", "scsi",
    "system", "sysbus", "usb", "virtio",
];

/// No source file of a device has more code, in bytes.
const LARGEST: u64 = 100_000;

impl Program {
    /// The functions of the source files that describe the device types of these names (QOM names: `virtio-blk-device`, `isa-fdc`).
    /// `None` if no description of such a type is found, as in a program that builds it at run time.
    ///
    /// A linker keeps the functions of a source file together, and what is not exported is referred to within its file only: where
    /// one function refers to another that has no exported name, all between them is of that file. So a file is found from the
    /// functions that the type's description names. At its ends it may lack functions that nothing of the file refers to.
    ///
    /// A device of several files is told by names: where one of its functions calls an exported one whose name begins with a word of
    /// the types' names (`ich9-ahci`: `ahci_realize`), the file of that is the device's, too. Words of buses are none.
    pub fn device(&self, names: &[&str]) -> Option<Device> {
        let seeds: Vec<usize> = names
            .iter()
            .flat_map(|name| self.type_functions(name))
            .collect();
        let files = self.files();
        let mut functions = BTreeSet::new();
        let mut more = seeds;
        while let Some(seed) = more.pop() {
            if functions.contains(&seed) {
                continue;
            }
            let file = file_of(&files, seed);
            let called = file
                .clone()
                .flat_map(|function| &self.functions[function].references)
                .filter_map(|address| self.beginning_at(*address))
                .filter(|function| self.is_named_so(*function, names));
            more.extend(called);
            functions.extend(file);
        }
        let mut functions: Vec<usize> = functions.into_iter().collect();
        if functions.is_empty() {
            return None;
        }
        // The unlikely parts of functions, which are kept elsewhere.
        let cold: Vec<usize> = functions
            .iter()
            .flat_map(|index| &self.functions[*index].references)
            .filter_map(|address| self.beginning_at(*address))
            .filter(|index| !self.is_ordinary(*index) && self.functions[*index].name.is_none())
            .collect();
        functions.extend(cold);
        functions.sort_unstable();
        functions.dedup();
        Some(Device { functions })
    }

    /// Whether a function is exported under a name that begins with a word of the names.
    fn is_named_so(&self, function: usize, names: &[&str]) -> bool {
        let Some(name) = &self.functions[function].name else {
            return false;
        };
        names
            .iter()
            .flat_map(|names| names.split(['-', '_']))
            .map(str::to_ascii_lowercase)
            .filter(|word| word.len() > 2 && !COMMON.contains(&&**word))
            .any(|word| name.starts_with(&word))
    }

    fn is_ordinary(&self, function: usize) -> bool {
        self.functions[function].range.start > self.ordinary
    }

    /// Whether a function that refers to another is of the same file. A reference over a long way is of a library with hidden names
    /// or to a table that was misread.
    fn is_of_one_file(&self, from: usize, to: usize) -> bool {
        let start = |index: usize| self.functions[index].range.start;
        self.functions[to].name.is_none()
            && self.is_ordinary(to)
            && start(from).abs_diff(start(to)) <= LARGEST
    }

    /// Runs of functions that are of one source file each, ascending.
    fn files(&self) -> Vec<Range<usize>> {
        let mut runs = Vec::new();
        for (from, function) in self.functions.iter().enumerate() {
            if !self.is_ordinary(from) {
                continue;
            }
            for &address in &function.references {
                for to in self.functions_behind(address) {
                    if self.is_of_one_file(from, to) {
                        runs.push(from.min(to)..from.max(to) + 1);
                    }
                }
            }
        }
        runs.sort_unstable_by_key(|run| run.start);
        let mut files: Vec<Range<usize>> = Vec::new();
        for run in runs {
            match files.last_mut() {
                Some(last) if run.start < last.end => last.end = last.end.max(run.end),
                _ => files.push(run),
            }
        }
        files
    }

    /// The function that begins at an address, or those that the table there points to.
    fn functions_behind(&self, address: u64) -> Vec<usize> {
        if let Some(function) = self.beginning_at(address) {
            return vec![function];
        }
        if self.exported_data.contains(&address) {
            return Vec::new();
        }
        let next = self
            .landmarks
            .partition_point(|landmark| *landmark <= address);
        let end = self
            .landmarks
            .get(next)
            .map_or(address, |landmark| (address + TABLE).min(*landmark));
        let first = self.pointers.partition_point(|(place, _)| *place < address);
        self.pointers[first..]
            .iter()
            .take_while(|(place, _)| *place < end)
            .filter_map(|(_, target)| self.beginning_at(*target))
            .collect()
    }

    /// What the descriptions of a type of this name point to.
    fn type_functions(&self, name: &str) -> Vec<usize> {
        let mut found = Vec::new();
        for &(place, target) in &self.pointers {
            if !self.is_string(target, name) {
                continue;
            }
            let pointer = |offset| self.pointer_at(place + offset);
            let is_type = pointer(type_info::PARENT)
                .is_some_and(|parent| self.constant(parent).is_some())
                && type_info::SIZES.iter().all(|size| pointer(*size).is_none());
            if is_type {
                found.extend(
                    type_info::FUNCTIONS
                        .iter()
                        .filter_map(|offset| self.beginning_at(pointer(*offset)?)),
                );
            }
        }
        found
    }

    fn pointer_at(&self, place: u64) -> Option<u64> {
        let index = self
            .pointers
            .binary_search_by_key(&place, |(place, _)| *place)
            .ok()?;
        Some(self.pointers[index].1)
    }

    /// What follows an address in read-only data.
    fn constant(&self, address: u64) -> Option<&[u8]> {
        self.constants.iter().find_map(|(start, bytes)| {
            bytes.get(usize::try_from(address.checked_sub(*start)?).ok()?..)
        })
    }

    fn is_string(&self, address: u64, text: &str) -> bool {
        self.constant(address).is_some_and(|bytes| {
            bytes.starts_with(text.as_bytes()) && bytes.get(text.len()) == Some(&0)
        })
    }
}

/// The run that a function is of.
fn file_of(files: &[Range<usize>], function: usize) -> Range<usize> {
    let after = files.partition_point(|file| file.start <= function);
    let file = after.checked_sub(1).and_then(|index| files.get(index));
    file.filter(|file| file.contains(&function))
        .cloned()
        .unwrap_or(function..function + 1)
}
