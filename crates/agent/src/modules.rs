//! The drivers of the devices that are there: [`Modules`].

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

use crate::sys;

/// The modules of the initramfs, in the files that `modprobe` reads too.
#[derive(Default)]
pub(crate) struct Modules {
    directory: PathBuf,
    /// Patterns of device identifiers, with the module's name.
    aliases: Vec<(String, String)>,
    /// A module's file, and those that it needs, the last of which is loaded first.
    files: HashMap<String, Vec<String>>,
    /// Modules that are loaded by hand only.
    manual: HashSet<String>,
    /// The files that were loaded, and whether that is over.
    done: Mutex<HashMap<String, bool>>,
    over: Condvar,
}

/// What modules are told: libata, not to wait for 200 ms at each port for a contact to stop bouncing, as those of virtual disks do not.
const PARAMETERS: [(&str, &str); 1] = [("libata", "force=nodbdelay")];

impl Modules {
    /// Reads the lists of this kernel; without them there are no modules.
    pub(crate) fn of(release: &str) -> Self {
        let directory = Path::new("/lib/modules").join(release);
        let list = |name| fs::read_to_string(directory.join(name)).unwrap_or_default();
        Self {
            aliases: aliases(&list("modules.alias")),
            files: dependencies(&list("modules.dep")),
            manual: list("modules.manual").lines().map(str::to_owned).collect(),
            directory,
            done: Mutex::default(),
            over: Condvar::new(),
        }
    }

    /// Loads the drivers of every device that the kernel has found, and of those that they bring to light. Those of network cards and the
    /// others, which both wait for their devices, are loaded at once; each in order, since names of interfaces hang on that.
    pub(crate) fn load_for_all_devices(&self) {
        let mut seen = HashSet::new();
        loop {
            let new: Vec<String> = identifiers()
                .into_iter()
                .filter(|id| seen.insert(id.clone()))
                .collect();
            if new.is_empty() {
                return;
            }
            let (cards, others): (Vec<String>, _) = new.into_iter().partition(|id| is_card(id));
            let load = |ids: Vec<String>| ids.iter().for_each(|id| self.load_for(id));
            thread::scope(|scope| {
                if !cards.is_empty() {
                    scope.spawn(|| load(cards));
                }
                load(others);
            });
        }
    }

    /// Loads the drivers of a device.
    pub(crate) fn load_for(&self, id: &str) {
        for (pattern, module) in &self.aliases {
            if matches(pattern.as_bytes(), id.as_bytes()) && !self.manual.contains(module) {
                self.load(module);
            }
        }
    }

    /// Loads a module with what it needs. What fails is in the kernel's log.
    pub(crate) fn load(&self, module: &str) {
        let files = self.files.get(module).into_iter().flatten();
        for file in files.rev() {
            let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
            if done.contains_key(file) {
                // Another thread may be about it, and what comes next needs it.
                while !done[file] {
                    done = self.over.wait(done).unwrap_or_else(PoisonError::into_inner);
                }
                continue;
            }
            done.insert(file.clone(), false);
            drop(done);
            let path = self.directory.join(file);
            let told = PARAMETERS.iter().find(|(name, _)| name_of(file) == *name);
            let told = told.map_or("", |(_, parameters)| parameters);
            if let Err(error) = File::open(&path).and_then(|file| sys::load_module(&file, told)) {
                eprintln!("testjig-agent: failed to load {}: {error}", path.display());
            }
            let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
            done.insert(file.clone(), true);
            self.over.notify_all();
        }
    }
}

/// Whether this is the identifier of a network card: of PCI by its class, or of virtio (Virtio 1.2 §5, device type 1).
fn is_card(id: &str) -> bool {
    id.starts_with("pci:") && id.contains("bc02") || id.starts_with("virtio:d00000001")
}

/// The identifiers of all devices.
fn identifiers() -> Vec<String> {
    let buses = fs::read_dir("/sys/bus").into_iter().flatten().flatten();
    let devices = buses
        .flat_map(|bus| {
            fs::read_dir(bus.path().join("devices"))
                .into_iter()
                .flatten()
        })
        .flatten();
    let mut found: Vec<String> = devices
        .filter_map(|device| fs::read_to_string(device.path().join("modalias")).ok())
        .map(|id| id.trim_end().to_owned())
        .collect();
    // A directory is read in no order; names of interfaces hang on that of the drivers.
    found.sort();
    found.dedup();
    found
}

fn aliases(text: &str) -> Vec<(String, String)> {
    let words = |line: &str| {
        let mut words = line.strip_prefix("alias ")?.rsplitn(2, ' ');
        let module = words.next()?.to_owned();
        Some((words.next()?.to_owned(), module))
    };
    text.lines().filter_map(words).collect()
}

fn dependencies(text: &str) -> HashMap<String, Vec<String>> {
    let entry = |line: &str| {
        let (file, needs) = line.split_once(':')?;
        let mut files = vec![file.to_owned()];
        files.extend(needs.split_whitespace().map(str::to_owned));
        Some((name_of(file), files))
    };
    text.lines().filter_map(entry).collect()
}

/// A module is called as its file, with underscores.
fn name_of(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.split('.').next().unwrap_or(name).replace('-', "_")
}

/// Whether a pattern of `*`, `?` and `[…]` fits the whole text.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.first(), text.first()) {
        (None, None) => true,
        (Some(b'*'), _) => (0..=text.len()).any(|from| matches(&pattern[1..], &text[from..])),
        (Some(b'?'), Some(_)) => matches(&pattern[1..], &text[1..]),
        (Some(b'['), Some(byte)) => match pattern.iter().position(|&end| end == b']') {
            Some(end) => {
                in_set(&pattern[1..end], *byte) && matches(&pattern[end + 1..], &text[1..])
            }
            None => false,
        },
        (Some(wanted), Some(byte)) => wanted == byte && matches(&pattern[1..], &text[1..]),
        _ => false,
    }
}

fn in_set(mut set: &[u8], byte: u8) -> bool {
    loop {
        match set {
            [] => return false,
            [from, b'-', to, rest @ ..] => {
                if (*from..=*to).contains(&byte) {
                    return true;
                }
                set = rest;
            }
            [one, rest @ ..] => {
                if *one == byte {
                    return true;
                }
                set = rest;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_identifiers_are_matched_as_modprobe_does() {
        let fits = |pattern: &str, id: &str| matches(pattern.as_bytes(), id.as_bytes());
        let e1000 = "pci:v00008086d0000100Esv00001AF4sd00001100bc02sc00i00";
        assert!(fits("pci:v00008086d0000100Esv*sd*bc*sc*i*", e1000));
        assert!(!fits("pci:v00008086d0000100Fsv*sd*bc*sc*i*", e1000));
        assert!(fits("pci:v*d*sv*sd*bc02sc00i*", e1000));
        assert!(fits("virtio:d00000003v*", "virtio:d00000003v00001AF4"));
        assert!(fits("usb:v*p*d[0-3a]x", "usb:v1p2dax"));
        assert!(!fits("usb:v*p*d[0-3a]x", "usb:v1p2d4x"));
        assert!(!fits("virtio:d[", "virtio:d0"));
        assert!(!fits("a", "ab"));
        assert!(!fits("ab", "a"));
    }

    #[test]
    fn network_cards_are_told_from_the_rest() {
        assert!(is_card(
            "pci:v00008086d0000100Esv00001AF4sd00001100bc02sc00i00"
        ));
        assert!(is_card("virtio:d00000001v00001AF4"));
        assert!(!is_card("virtio:d00000010v00001AF4"));
        assert!(!is_card("virtio:d00000002v00001AF4"));
        assert!(!is_card(
            "pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01"
        ));
        assert!(!is_card("acpi:PNP0bc02:"));
    }

    #[test]
    fn a_module_that_two_want_is_loaded_once_and_waited_for() {
        let modules = Modules {
            files: dependencies("a.ko: c.ko\nb.ko: c.ko\nc.ko:\n"),
            ..Modules::default()
        };
        modules
            .done
            .lock()
            .expect("sound")
            .insert("c.ko".to_owned(), false);
        let has = |file: &str| modules.done.lock().expect("sound").get(file).copied();
        thread::scope(|scope| {
            scope.spawn(|| modules.load("a"));
            thread::sleep(std::time::Duration::from_millis(20));
            assert_eq!(has("a.ko"), None, "what it needs is not there yet");
            modules
                .done
                .lock()
                .expect("sound")
                .insert("c.ko".to_owned(), true);
            modules.over.notify_all();
        });
        assert_eq!(has("a.ko"), Some(true));
    }

    #[test]
    fn lists_are_read_as_modprobe_reads_them() {
        let aliases = aliases("# a comment\nalias pci:v1d2* a_b\nalias broken\n");
        assert_eq!(aliases, [("pci:v1d2*".to_owned(), "a_b".to_owned())]);
        let files = dependencies("kernel/a-b.ko: kernel/c.ko kernel/d.ko\nkernel/d.ko:\n");
        assert_eq!(
            files["a_b"],
            ["kernel/a-b.ko", "kernel/c.ko", "kernel/d.ko"]
        );
        assert_eq!(files["d"], ["kernel/d.ko"]);
    }
}
