//! Kernel modules: which go into the initramfs, and the lists by which they are found there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use object::{Object, ObjectSection};

/// The modules that a guest may want: buses, controllers, network cards, disks, file systems, consoles. One that a kernel has built in or
/// lacks is left out.
const WANTED: &[&str] = &[
    "virtio_pci",
    "virtio_mmio",
    "virtio_blk",
    "virtio_net",
    "virtio_console",
    "virtio_balloon",
    "virtio_rng",
    "virtio_scsi",
    "virtio_input",
    "virtio_mem",
    "virtio_pmem",
    "virtio_crypto",
    "vmw_vsock_virtio_transport",
    "9p",
    "9pnet_virtio",
    "virtiofs",
    "pvpanic_mmio",
    "pvpanic_pci",
    "qemu_fw_cfg",
    "vmgenid",
    "e1000",
    "e1000e",
    "igb",
    "igbvf",
    "e100",
    "8139too",
    "8139cp",
    "ne2k_pci",
    "pcnet32",
    "tulip",
    "vmxnet3",
    "sungem",
    "rocker",
    "sd_mod",
    "sr_mod",
    "sg",
    "ata_piix",
    "ata_generic",
    "ahci",
    "nvme",
    "sym53c8xx",
    "mptspi",
    "mptsas",
    "megaraid_sas",
    "vmw_pvscsi",
    "am53c974",
    "sdhci_pci",
    "mmc_block",
    "floppy",
    "loop",
    "ext4",
    "vfat",
    "nls_ascii",
    "nls_cp437",
    "isofs",
    "squashfs",
    "overlay",
    "xhci_pci",
    "ehci_pci",
    "uhci_hcd",
    "ohci_pci",
    "usb_storage",
    "uas",
    "usbhid",
    "hid_generic",
    "evdev",
    "usbnet",
    "cdc_ether",
    "i6300esb",
    "i2c_piix4",
    "i2c_i801",
    "i2c_dev",
    "shpchp",
    "acpiphp",
];

/// Those that are loaded by hand only: what they do at boot takes long and few tests want it.
const MANUAL: [&str; 5] = ["floppy", "i2c_piix4", "i2c_i801", "evdev", "sg"];

/// The modules of a kernel that were chosen, and the text of its lists.
#[derive(Debug, Default)]
struct Chosen {
    /// Their files, below the directory of the kernel's modules.
    files: BTreeSet<String>,
    /// `modules.dep`.
    dependencies: String,
    /// `modules.alias`.
    aliases: String,
    /// `modules.softdep`.
    soft_dependencies: String,
}

/// What a module says of itself.
#[derive(Debug, Default)]
struct Info {
    file: String,
    needs: Vec<String>,
    aliases: Vec<String>,
    /// The names of modules that it wants before itself, if they are there.
    wants: Vec<String>,
}

/// Whether a guest may want a module of a distribution's kernel for its own sake.
pub(crate) fn wanted(name: &str) -> bool {
    WANTED.contains(&name)
}

/// A kernel that was built for guests has only what they want.
pub(crate) fn all(_: &str) -> bool {
    true
}

/// Copies the modules of a kernel of these names, and those that they need, and writes the lists of them.
pub(crate) fn copy(tree: &Path, which: fn(&str) -> bool, to: &Path) -> io::Result<()> {
    let chosen = choose(tree, which)?;
    for file in &chosen.files {
        let copy = to.join(file);
        fs::create_dir_all(copy.parent().unwrap_or(to))?;
        fs::copy(tree.join(file), &copy)?;
    }
    let lists = [
        ("modules.dep", &chosen.dependencies),
        ("modules.alias", &chosen.aliases),
        ("modules.softdep", &chosen.soft_dependencies),
        ("modules.manual", &(MANUAL.join("\n") + "\n")),
    ];
    for (name, text) in lists {
        fs::write(to.join(name), text)?;
    }
    for name in ["modules.builtin", "modules.order"] {
        let from = tree.join(name);
        if from.is_file() {
            fs::copy(&from, to.join(name))?;
        }
    }
    Ok(())
}

/// Chooses from the modules of a kernel, which lie below `directory` (`…/lib/modules/RELEASE`): those of these names, and what they need.
fn choose(directory: &Path, which: fn(&str) -> bool) -> io::Result<Chosen> {
    let mut paths = BTreeMap::new();
    find(directory, Path::new(""), &mut paths)?;
    let mut known: BTreeMap<String, Info> = BTreeMap::new();
    let mut left: Vec<String> = paths.keys().filter(|name| which(name)).cloned().collect();
    while let Some(name) = left.pop() {
        let Some(file) = paths.get(&name).filter(|_| !known.contains_key(&name)) else {
            continue;
        };
        let info = info(&directory.join(file), file)?;
        left.extend(info.needs.iter().chain(&info.wants).cloned());
        known.insert(name, info);
    }
    let mut chosen = Chosen::default();
    for (name, info) in &known {
        chosen.files.insert(info.file.clone());
        // What a module needs comes behind it, and is loaded from the end.
        let files: Vec<&str> = closure(name, &known)
            .iter()
            .map(|name| known[name].file.as_str())
            .collect();
        // Writing to a string does not fail.
        let _ = writeln!(
            chosen.dependencies,
            "{}: {}",
            files[0],
            files[1..].join(" ")
        );
        for alias in &info.aliases {
            let _ = writeln!(chosen.aliases, "alias {alias} {name}");
        }
        if !info.wants.is_empty() {
            let wants = info.wants.join(" ");
            let _ = writeln!(chosen.soft_dependencies, "softdep {name} pre: {wants}");
        }
    }
    Ok(chosen)
}

/// A module and all that it needs, each before what it needs itself.
fn closure(name: &str, known: &BTreeMap<String, Info>) -> Vec<String> {
    fn visit(name: &str, known: &BTreeMap<String, Info>, done: &mut Vec<String>) {
        let Some(info) = known.get(name) else {
            return;
        };
        if done.iter().any(|other| other == name) {
            return;
        }
        for need in info.needs.iter().chain(&info.wants) {
            // A module that waits for itself, by way of others, would have no order; no kernel has one.
            if need != name {
                visit(need, known, done);
            }
        }
        if !done.iter().any(|other| other == name) {
            done.push(name.to_owned());
        }
    }
    let mut order = Vec::new();
    visit(name, known, &mut order);
    order.reverse();
    order
}

/// All modules below a directory, by name.
fn find(root: &Path, below: &Path, to: &mut BTreeMap<String, String>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path: PathBuf = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            find(root, &path, to)?;
        } else if path.extension().is_some_and(|extension| extension == "ko") {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            to.insert(stem.replace('-', "_"), path.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

fn info(path: &Path, file: &str) -> io::Result<Info> {
    let bytes = fs::read(path)?;
    let problem = |what: &dyn std::fmt::Display| {
        let what = format!("{} is no kernel module: {what}", path.display());
        io::Error::new(io::ErrorKind::InvalidData, what)
    };
    let object = object::File::parse(&*bytes).map_err(|error| problem(&error))?;
    let section = object
        .section_by_name(".modinfo")
        .ok_or_else(|| problem(&"it says nothing of itself"))?;
    let data = section.data().map_err(|error| problem(&error))?;
    let mut info = Info {
        file: file.to_owned(),
        ..Info::default()
    };
    for line in data.split(|&byte| byte == 0) {
        let line = String::from_utf8_lossy(line);
        if let Some(needs) = line.strip_prefix("depends=") {
            let names = needs.split(',').filter(|name| !name.is_empty());
            info.needs = names.map(|name| name.replace('-', "_")).collect();
        } else if let Some(alias) = line.strip_prefix("alias=") {
            info.aliases.push(alias.to_owned());
        } else if let Some(wants) = line.strip_prefix("softdep=pre: ") {
            let names = wants.split_whitespace().take_while(|word| *word != "post:");
            info.wants.extend(names.map(|name| name.replace('-', "_")));
        }
    }
    Ok(info)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(file: &str, needs: &[&str]) -> Info {
        Info {
            file: file.to_owned(),
            needs: needs.iter().map(|name| (*name).to_owned()).collect(),
            ..Info::default()
        }
    }

    #[test]
    fn what_is_needed_comes_behind_what_needs_it() {
        let known = BTreeMap::from([
            ("a".to_owned(), module("a.ko", &["b", "c"])),
            ("b".to_owned(), module("b.ko", &["c"])),
            ("c".to_owned(), module("c.ko", &[])),
        ]);
        assert_eq!(closure("a", &known), ["a", "b", "c"]);
        assert_eq!(closure("c", &known), ["c"]);
    }

    #[test]
    fn what_is_built_in_is_left_out() {
        let known = BTreeMap::from([("a".to_owned(), module("a.ko", &["built_in"]))]);
        assert_eq!(closure("a", &known), ["a"]);
    }
}
