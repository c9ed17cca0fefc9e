//! What a file from elsewhere may ask for: nothing of the host.
//!
//! What is allowed is listed; what is not on the list is refused, with its reason, before anything is started.

use std::fmt;

use testjig_qtest::Command;

use crate::error::excerpt;
use crate::header::Header;
use crate::session::{Action, Trace};

/// Something that a file asks for and does not get without trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The word or line that asks for it.
    pub what: String,
    /// Why not.
    pub why: &'static str,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", excerpt(&self.what), self.why)
    }
}

/// How the value of an option is looked at.
#[derive(Clone, Copy)]
enum Takes {
    /// A plain word or list of properties without host files.
    Properties,
    /// One of these words, or one of them with properties.
    OneOf(&'static [&'static str]),
    Nothing,
}

/// The options that a machine may be made of.
const OPTIONS: &[(&str, Takes)] = &[
    ("-device", Takes::Properties),
    ("-global", Takes::Properties),
    ("-m", Takes::Properties),
    ("-cpu", Takes::Properties),
    ("-smp", Takes::Properties),
    ("-numa", Takes::Properties),
    ("-rtc", Takes::Properties),
    ("-seed", Takes::Properties),
    ("-boot", Takes::Properties),
    ("-fw_cfg", Takes::Properties),
    ("-icount", Takes::Properties),
    ("-watchdog-action", Takes::Properties),
    ("-action", Takes::Properties),
    ("-vga", Takes::Properties),
    (
        "-usbdevice",
        Takes::OneOf(&["tablet", "mouse", "keyboard", "wacom-tablet"]),
    ),
    ("-drive", Takes::Properties),
    (
        "-blockdev",
        Takes::OneOf(&["null-co", "driver=null-co", "throttle", "driver=throttle"]),
    ),
    ("-netdev", Takes::OneOf(&["hubport", "user"])),
    ("-nic", Takes::OneOf(&["none", "hubport", "user"])),
    ("-net", Takes::OneOf(&["none", "nic"])),
    ("-chardev", Takes::OneOf(&["null", "ringbuf"])),
    ("-audiodev", Takes::OneOf(&["none", "driver=none"])),
    (
        "-object",
        Takes::OneOf(&[
            "rng-builtin",
            "cryptodev-backend-builtin",
            "memory-backend-ram",
            "iothread",
            "throttle-group",
        ]),
    ),
    ("-serial", Takes::OneOf(&["none", "null"])),
    ("-parallel", Takes::OneOf(&["none", "null"])),
    ("-monitor", Takes::OneOf(&["none", "null"])),
    ("-usb", Takes::Nothing),
    ("-no-reboot", Takes::Nothing),
    ("-no-shutdown", Takes::Nothing),
    ("-no-hpet", Takes::Nothing),
    ("-no-acpi", Takes::Nothing),
];

/// Devices that reach out of the machine: to the host's devices, to other processes, to files.
const REACHING: &[(&str, &str)] = &[
    ("vfio", "a device of the host's"),
    ("vhost", "a device outside this process"),
    ("usb-host", "a device of the host's"),
    ("usb-mtp", "files of the host's"),
    ("usb-redir", "a device outside this process"),
    ("ivshmem", "memory of the host's"),
    (
        "pvpanic-",
        "pvpanic devices end the machine by design; that says nothing",
    ),
    (
        "loader",
        "a file of the host's, and memory of the machine written before it starts",
    ),
    ("guest-loader", "a file of the host's"),
    ("xen", "the host's Xen"),
    ("tpm", "a device outside this process"),
    ("scsi-block", "a device of the host's"),
    ("scsi-generic", "a device of the host's"),
    ("virtio-9p", "files of the host's"),
    ("ccid-card-passthru", "a device outside this process"),
    ("ccid-card-emulated", "certificates of the host's"),
    ("u2f-passthru", "a device of the host's"),
    ("canokey", "a file of the host's"),
];

/// Names of properties whose values are files, sockets, commands or devices of the host.
const HOST_PROPERTIES: &[&str] = &[
    "append",
    "bootfile",
    "cmd",
    "command",
    "dir",
    "downscript",
    "dtb",
    "dumpdtb",
    "exec",
    "fd",
    "fds",
    "filename",
    "firmware",
    "guestfwd",
    "helper",
    "host",
    "hostaddr",
    "hostbus",
    "hostdevice",
    "hostfwd",
    "hostname",
    "hostport",
    "initrd",
    "kernel",
    "logappend",
    "logfile",
    "mem-path",
    "mountpath",
    "path",
    "pflash0",
    "pflash1",
    "script",
    "shm",
    "smb",
    "smbserver",
    "socket",
    "sock",
    "sysfsdev",
    "tftp",
    "unix",
    "vhostfd",
    "vhostfds",
    "vhost",
    "wwn-path",
];

impl Trace {
    /// What the file asks for that needs trust; nothing if it is empty.
    pub fn refusals(&self) -> Vec<Refusal> {
        let mut refusals = self.header.refusals();
        for step in &self.steps {
            if let Action::Image { disk, offset, data } = &step.action {
                let end = offset.checked_add(data.bytes().len() as u64);
                let fits = |size: u64| end.is_some_and(|end| end <= size.next_multiple_of(512));
                let known = self.header.disks.iter().find(|known| known.id == *disk);
                if !known.is_some_and(|known| fits(known.size)) {
                    refusals.push(Refusal {
                        what: format!("image {disk} {offset:#x}"),
                        why: "it is written where no scratch disk of the header is",
                    });
                }
            }
            if let Action::Plug(device) = &step.action {
                if let Some(why) = value_of("-device", device, Takes::Properties) {
                    refusals.push(Refusal {
                        what: format!("plug {device}"),
                        why,
                    });
                }
            }
            if let Action::Unplug(id) = &step.action {
                if !is_name(id) {
                    refusals.push(Refusal {
                        what: format!("unplug {id}"),
                        why: "a device's id has letters, digits, `.`, `_` and `-`",
                    });
                }
            }
            if let Action::Do(Command::ModuleLoad { prefix, name }, _) = &step.action {
                // QEMU puts both behind the directories of its modules.
                if [prefix, name].iter().any(|word| word.contains(['/', '.'])) {
                    refusals.push(Refusal {
                        what: format!("module_load {prefix} {name}"),
                        why: "it would load a library by a path",
                    });
                }
            }
        }
        refusals
    }
}

impl Header {
    fn refusals(&self) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        let mut refuse = |what: &str, why| {
            refusals.push(Refusal {
                what: what.to_owned(),
                why,
            });
        };
        if !is_name(&self.machine) {
            refuse(
                &self.machine,
                "a machine's name has letters, digits, `.`, `_` and `-`",
            );
        }
        for (name, value) in &self.machine_options {
            let shown = format!("{name}={value}");
            if let Some(why) = property(name, value) {
                refuse(&shown, why);
            } else if name == "accel" {
                refuse(&shown, "the accelerator is chosen by whoever replays");
            } else if name.starts_with("memory-") {
                refuse(&shown, "memory is what `memory: …` says");
            }
        }
        for disk in &self.disks {
            if !is_name(&disk.id) {
                refuse(
                    &disk.id,
                    "a disk's name has letters, digits, `.`, `_` and `-`",
                );
            }
        }
        let mut words = self.args.iter();
        while let Some(word) = words.next() {
            // QEMU takes both spellings.
            let option = word
                .strip_prefix('-')
                .filter(|rest| rest.starts_with('-'))
                .unwrap_or(word);
            let Some((_, takes)) = OPTIONS.iter().find(|(known, _)| *known == option) else {
                refuse(word, unlisted(option));
                // What follows belongs to it, if it is no option.
                if words
                    .as_slice()
                    .first()
                    .is_some_and(|next| !next.starts_with('-'))
                {
                    words.next();
                }
                continue;
            };
            if matches!(takes, Takes::Nothing) {
                continue;
            }
            let Some(value) = words.next() else {
                refuse(word, "it lacks its value");
                continue;
            };
            if let Some(why) = value_of(option, value, *takes) {
                refuse(value, why);
            }
        }
        refusals
    }
}

/// Why an option is not on the list.
fn unlisted(option: &str) -> &'static str {
    match option {
        "-M" | "-machine" => "the machine is what `machine: …` says",
        "-accel" | "-enable-kvm" | "-qtest" | "-qtest-log" | "-nodefaults" | "-display"
        | "-nographic" | "-S" | "-no-user-config" => "whoever replays sees to that",
        "-kernel" | "-initrd" | "-dtb" | "-bios" | "-pflash" | "-hda" | "-hdb" | "-hdc"
        | "-hdd" | "-cdrom" | "-fda" | "-fdb" | "-sd" | "-mtdblock" | "-option-rom" | "-L"
        | "-readconfig" | "-plugin" => {
            "it names a file of the host's; a scratch disk is `disk: NAME SIZE`"
        }
        "-incoming" => "an incoming migration can run a command, and reads what it is given",
        _ => "this option is not among those that a file may use",
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte))
}

/// Why an option may not have this value.
fn value_of(option: &str, value: &str, takes: Takes) -> Option<&'static str> {
    if value.trim_start().starts_with('{') {
        return Some(
            "properties are written `name=value`, not as JSON, so that they can be looked at",
        );
    }
    if value.contains([';', '|', '&', '`', '<', '>', '\n', '\r', '\0'])
        || value.contains("$(")
        || value.contains("${")
    {
        return Some("it has characters that shells act on; no machine needs them");
    }
    let mut parts = value.split(',');
    let first = parts.clone().next().unwrap_or_default();
    if let Takes::OneOf(words) = takes {
        let kind = first.split_once('=').map_or(first, |(name, kind)| {
            if matches!(name, "type" | "qom-type" | "driver" | "model") {
                kind
            } else {
                first
            }
        });
        if !words.contains(&first) && !words.contains(&kind) {
            return Some(match option {
                "-netdev" | "-nic" | "-net" => {
                    "a network that leaves the machine; there are `hubport` and `user,restrict=on`"
                }
                "-chardev" | "-serial" | "-monitor" | "-parallel" => {
                    "a file, socket or process of the host's; there are `null` and `ringbuf`"
                }
                "-object" => {
                    "objects may be rng-builtin, cryptodev-backend-builtin, memory-backend-ram, iothread, throttle-group"
                }
                "-blockdev" => {
                    "a file of the host's; there are `null-co`, and scratch disks: `disk: NAME SIZE`"
                }
                "-audiodev" => "sound of the host's; there is `none`",
                _ => "this value is not among those that a file may use",
            });
        }
        let is_user = first == "user" || kind == "user";
        if is_user
            && !parts
                .clone()
                .any(|part| part == "restrict=on" || part == "restrict=yes")
        {
            return Some("a network that reaches the host's; write `user,restrict=on`");
        }
    }
    if option == "-drive" {
        return drive(value);
    }
    if option == "-fw_cfg" {
        return fw_cfg(value);
    }
    if option == "-blockdev" {
        // A filter names the node that it is in front of.
        return parts.find_map(|part| match part.split_once('=') {
            Some(("file", node)) if is_name(node) => None,
            Some((name, value)) => property(name, value),
            None if part.contains('/') => Some("a path of the host's"),
            None => None,
        });
    }
    if option == "-device" {
        let driver = first.strip_prefix("driver=").unwrap_or(first);
        if let Some((_, why)) = REACHING.iter().find(|(name, _)| driver.starts_with(name)) {
            return Some(why);
        }
    }
    parts.find_map(|part| match part.split_once('=') {
        Some((name, value)) => property(name, value),
        None if part.contains('/') => Some("a path of the host's"),
        None => None,
    })
}

/// Why a property may not be set to this value.
fn property(name: &str, value: &str) -> Option<&'static str> {
    let last = name.rsplit('.').next().unwrap_or(name);
    if (last == "romfile" || last == "file") && value.is_empty() {
        return None;
    }
    if HOST_PROPERTIES.contains(&last) || matches!(last, "romfile" | "file") {
        return Some("it names something of the host's");
    }
    if value.contains('/') {
        return Some("a path of the host's");
    }
    if value.contains([';', '|', '&', '`', '<', '>', '$']) {
        return Some("it has characters that shells act on; no machine needs them");
    }
    None
}

/// An entry of the firmware configuration: a name, which has slashes, and a text.
fn fw_cfg(value: &str) -> Option<&'static str> {
    value
        .split(',')
        .find_map(|part| match part.split_once('=') {
            Some(("string", _)) => None,
            Some(("name", name)) if !name.contains("..") => None,
            None if !part.contains("..") => None,
            _ => Some("a file of the host's; an entry is `name=…,string=…`"),
        })
}

/// A drive without a file: QEMU's null device, or an empty slot.
fn drive(value: &str) -> Option<&'static str> {
    const FILE: &str =
        "a file of the host's; there are `file=null-co://`, and scratch disks: `disk: NAME SIZE`";
    for part in value.split(',') {
        let Some((name, value)) = part.split_once('=') else {
            continue;
        };
        match name {
            "file" if value == "null-co://" || value == "null-aio://" => {}
            "driver" | "file.driver" if matches!(value, "null-co" | "null-aio" | "raw") => {}
            "file" | "file.filename" | "backing" | "driver" | "file.driver" => return Some(FILE),
            "format" if value != "raw" => return Some("only raw images come without a file"),
            "snapshot" => return Some("it would make a file of the host's"),
            _ => {
                if let Some(why) = property(name, value) {
                    return Some(why);
                }
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use testjig_vm::Arch;

    fn refused(args: &str) -> Vec<String> {
        let mut header = Header::new(Arch::X86_64, "pc");
        header.args = shlex::split(args).unwrap();
        header.refusals().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_reproducers_need_is_allowed() {
        for args in [
            "-device sdhci-pci,sd-spec-version=3 -device sd-card,drive=mydrive",
            "-drive if=none,index=0,file=null-co://,format=raw,id=mydrive",
            "-drive id=d0,file=null-co://,file.read-zeroes=on,if=none,format=raw",
            "-device e1000e,netdev=n -netdev hubport,hubid=0,id=n",
            "-netdev user,id=n,restrict=on -m 512M -vga none -usb",
            "-device virtio-net-pci,romfile=,addr=04.0",
            "-object cryptodev-backend-builtin,id=c -device virtio-crypto-pci,cryptodev=c",
            "-audiodev none,id=a -device intel-hda -device hda-output,audiodev=a",
            "-fw_cfg name=opt/org.example/x,string=text",
            "-blockdev null-co,node-name=n0 -chardev null,id=c0 -global PIIX4_PM.disable_s3=1",
        ] {
            assert_eq!(refused(args), Vec::<String>::new(), "{args}");
        }
    }

    #[test]
    fn what_is_plugged_in_is_looked_at_like_an_argument() {
        let refused = |step: &str| {
            let text = format!("qtr 2\narch: x86_64\nmachine: pc\n\n{step}\n");
            let session: Trace = text.parse().unwrap();
            session.refusals().len()
        };
        assert_eq!(refused("plug virtio-blk-pci,id=blk,drive=d0"), 0);
        assert_eq!(refused("unplug blk"), 0);
        assert_eq!(refused("plug vfio-pci,host=01:00.0"), 1);
        assert_eq!(refused("plug e1000,romfile=/etc/passwd"), 1);
        assert_eq!(refused("plug e1000;quit"), 1);
        assert_eq!(refused("unplug /machine/peripheral/blk"), 1);
    }

    #[test]
    fn what_reaches_the_host_is_refused() {
        for (args, why) in [
            ("-netdev tap,id=n,script=/tmp/evil.sh", "leaves the machine"),
            (
                "-netdev user,id=n,restrict=on,hostfwd=tcp::1-:2",
                "the host's",
            ),
            ("-netdev user,id=n", "restrict=on"),
            ("-incoming 'exec:touch x'", "command"),
            ("-drive file=/etc/passwd,if=none", "a file of the host's"),
            ("-drive file=disk.qcow2,if=none", "a file of the host's"),
            ("-drive file=null-co://,format=qcow2", "raw"),
            (
                "-drive file.driver=file,file.filename=x",
                "a file of the host's",
            ),
            ("-hda x.img", "scratch disk"),
            ("-device vfio-pci,host=01:00.0", "host"),
            ("-device loader,addr=0", "host"),
            ("-device e1000,romfile=rom.bin", "host"),
            ("-device e1000,id=/a/b", "path"),
            ("-device '{\"driver\":\"e1000\"}'", "JSON"),
            ("-device 'e1000;touch x'", "shells"),
            ("-device 'e1000,id=$(touch x)'", "shells"),
            ("-device 'e1000,id=`x`'", "shells"),
            ("-chardev socket,id=c,path=x", "socket"),
            ("-serial stdio", "socket"),
            ("-monitor tcp::4444,server", "socket"),
            (
                "-object memory-backend-file,mem-path=/dev/shm/x,id=m",
                "objects",
            ),
            ("-object qom-type=filter-dump,id=m,file=x", "objects"),
            ("-fw_cfg name=opt/x,file=secret", "host's"),
            ("-fsdev local,path=/,id=f", "not among"),
            ("--trace file=x", "not among"),
            ("-M pc", "machine: "),
            ("--accel kvm", "replays"),
            ("-kernel x", "scratch"),
            ("-plugin x.so", "host"),
            ("-readconfig x", "host"),
            ("-device", "lacks"),
        ] {
            let refused = refused(args);
            assert!(
                refused.iter().any(|refusal| refusal.contains(why)),
                "{args}: {refused:?}"
            );
        }
    }

    #[test]
    fn machines_disks_and_modules_are_looked_at_too() {
        let text = "qtr 1\narch: x86_64\nmachine: pc,kernel=vmlinuz,accel=kvm\ndisk: a/b 1M\n\nmodule_load ../../x y\nmodule_load hw- display-qxl\n";
        let trace: Trace = text.parse().unwrap();
        let whys: Vec<String> = trace.refusals().iter().map(ToString::to_string).collect();
        assert_eq!(whys.len(), 4, "{whys:?}");
        let trace: Trace = "qtr 1\narch: x86_64\nmachine: pc;x\n\n".parse().unwrap();
        assert_eq!(trace.refusals().len(), 1);
    }
}
