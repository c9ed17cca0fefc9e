//! QEMU's arguments as a test writes them, in the spelling of any year, and as this QEMU takes them: [`Arguments`].

use std::net::Ipv4Addr;

/// Memory of a machine for which a test asks for no size: QEMU's own default is less than a distribution's kernel wants.
const MEMORY: &str = "256";
/// The host part of the address, in each user network, that stands for every name that a guest looks up.
const SERVER: u8 = 100;

/// What a test's arguments come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// Words for QEMU.
    pub words: Vec<String>,
    /// What the test adds to the kernel's command line.
    pub append: Option<String>,
    /// Whether the test names a kernel or an initial file system of its own.
    pub own_kernel: bool,
    /// As for the kernel.
    pub own_initrd: bool,
    /// Whether the test says how the machine is to be accelerated.
    pub own_accel: bool,
    /// Whether it asked for the best accelerator there is, by `-enable-kvm`.
    pub fast: bool,
    /// Whether QEMU adds no devices of its own.
    pub nodefaults: bool,
    /// The machine type, without its options.
    pub machine: Option<String>,
    /// The address that names resolve to, if the machine has a user network.
    pub server: Option<Ipv4Addr>,
    /// The types of devices that it names, for which QEMU is asked before it is started.
    pub devices: Vec<String>,
    /// Models of network cards that it names in the old way.
    pub nic_models: Vec<String>,
}

impl Arguments {
    /// Reads what a test wrote behind `qemu`. `forward` is the command that serves one connection, for QEMU's `guestfwd`.
    pub fn of(words: impl IntoIterator<Item = String>, forward: &str) -> Self {
        let mut own = Self::default();
        let (mut memory, mut network) = (false, false);
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            // QEMU takes one dash or two.
            let name = word
                .strip_prefix("--")
                .or_else(|| word.strip_prefix('-'))
                .unwrap_or_default()
                .to_owned();
            match name.as_str() {
                "enable-kvm" => own.fast = true,
                // The console goes to the log, as with a terminal; a monitor is there in any case.
                "nographic" => own.push(["-display", "none"]),
                // It would leave the test, and its log.
                "daemonize" => {}
                "no-acpi" => own.push(["-machine", "acpi=off"]),
                "no-hpet" => own.push(["-machine", "hpet=off"]),
                "nodefaults" => {
                    own.nodefaults = true;
                    own.words.push(word);
                }
                "kernel" | "initrd" | "append" | "m" | "accel" | "M" | "machine" | "net"
                | "netdev" | "nic" | "drive" | "device" | "balloon" | "soundhw" => {
                    let Some(value) = words.next() else {
                        // QEMU says it better.
                        own.words.push(word);
                        return own;
                    };
                    match name.as_str() {
                        "append" => own.append = Some(value),
                        "m" => {
                            memory = true;
                            own.words.extend([word, value]);
                        }
                        "net" | "netdev" | "nic" => {
                            network = true;
                            let value = own.network(&name, value, forward);
                            own.words.extend([word, value]);
                        }
                        _ => own.valued(&name, word, value),
                    }
                }
                _ => own.words.push(word),
            }
        }
        if !memory {
            own.push(["-m", MEMORY]);
        }
        // What QEMU does by itself, with the server in it.
        if !network && !own.nodefaults {
            let user = own.network("net", "user".to_owned(), forward);
            own.push(["-net", "nic", "-net", &user]);
        }
        own
    }

    /// How many bytes of memory the machine begins with, if the test says nothing else of it: neither where it lies nor how it is divided.
    pub(crate) fn plain_memory(&self) -> Option<u64> {
        let is_special = |word: &String| {
            let name = word.trim_start_matches('-');
            matches!(name, "numa" | "mem-path" | "mem-prealloc") || word.contains("memory-backend")
        };
        if self.words.iter().any(is_special) {
            return None;
        }
        let is_size = |pair: &&[String]| matches!(&*pair[0], "-m" | "--m");
        let mut sizes = self.words.windows(2).filter(is_size);
        let (Some(pair), None) = (sizes.next(), sizes.next()) else {
            return None;
        };
        let (("size", Some(size)) | (size, None)) = options(&pair[1]).next()? else {
            return None;
        };
        let digits = size.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
        let shift = match &size[digits.len()..] {
            "" | "m" | "M" => 20,
            "g" | "G" => 30,
            _ => return None,
        };
        let size: u64 = digits.parse().ok()?;
        size.checked_shl(shift)
            .filter(|bytes| bytes >> shift == size)
    }

    fn push<const N: usize>(&mut self, words: [&str; N]) {
        self.words.extend(words.map(str::to_owned));
    }

    fn valued(&mut self, name: &str, word: String, value: String) {
        match name {
            "kernel" => self.own_kernel = true,
            "initrd" => self.own_initrd = true,
            "accel" => self.own_accel = true,
            "M" | "machine" => {
                if options(&value).any(|(name, _)| name == "accel") {
                    self.own_accel = true;
                }
                if let Some((name, None) | ("type", Some(name))) = options(&value).next() {
                    self.machine = Some(name.to_owned());
                }
            }
            "device" => {
                if let Some((driver, _)) = options(&value).next() {
                    if !driver.starts_with('{') && driver != "help" {
                        self.devices.push(driver.to_owned());
                    }
                }
            }
            "drive" => {
                // It said that the firmware may boot from it, which needs no saying any more.
                let kept: Vec<&str> = value
                    .split(',')
                    .filter(|option| !matches!(*option, "boot=on" | "boot=off"))
                    .collect();
                self.words.extend([word, kept.join(",")]);
                return;
            }
            "balloon" => {
                let device = value.replacen("virtio", "virtio-balloon", 1);
                if value != "none" {
                    self.push(["-device", &device]);
                }
                return;
            }
            _ => {}
        }
        self.words.extend([word, value]);
    }

    /// Adds the server to a user network.
    fn network(&mut self, option: &str, value: String, forward: &str) -> String {
        if option != "netdev" {
            let models = options(&value).filter(|(name, _)| *name == "model");
            self.nic_models
                .extend(models.filter_map(|(_, model)| model.map(str::to_owned)));
        }
        let kind = options(&value).next().map(|(kind, _)| kind.to_owned());
        if kind.as_deref() != Some("user") || self.server.is_some() {
            return value;
        }
        let address = options(&value)
            .find(|(name, _)| *name == "net")
            .and_then(|(_, net)| net?.split('/').next()?.parse::<Ipv4Addr>().ok())
            .unwrap_or(Ipv4Addr::new(10, 0, 2, 0));
        let [a, b, c, _] = address.octets();
        let address = Ipv4Addr::new(a, b, c, SERVER);
        self.server = Some(address);
        // A comma would end the option.
        let forward = forward.replace(',', ",,");
        format!("{value},guestfwd=tcp:{address}:80-cmd:{forward}")
    }
}

/// The options of a value such as `user,net=10.0.2.0/24`.
fn options(value: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    value.split(',').map(|option| match option.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (option, None),
    })
}

/// The device that `-net nic,model=` means, where QEMU's name for it is another.
pub(crate) fn nic_device(model: &str) -> &str {
    match model {
        "virtio" => "virtio-net-pci",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Arguments {
        Arguments::of(line.split(' ').map(str::to_owned), "serve, one")
    }

    #[test]
    fn the_line_of_the_talk() {
        let own = read("-nographic -enable-kvm -net user -net nic,model=virtio");
        assert!(own.fast);
        assert_eq!(own.server, Some(Ipv4Addr::new(10, 0, 2, 100)));
        assert_eq!(own.nic_models, ["virtio"]);
        assert_eq!(
            own.words.join(" "),
            "-display none -net user,guestfwd=tcp:10.0.2.100:80-cmd:serve,, one -net nic,model=virtio -m 256"
        );
    }

    #[test]
    fn a_network_of_its_own_has_the_server_in_it() {
        let own = read("-netdev user,id=n,net=192.168.76.0/24 -device e1000,netdev=n -m 1G");
        assert_eq!(own.server, Some(Ipv4Addr::new(192, 168, 76, 100)));
        assert_eq!(own.devices, ["e1000"]);
        assert!(!own.words.contains(&"256".to_owned()));
        let own = read("-net none");
        assert_eq!(own.server, None);
        assert_eq!(own.words.join(" "), "-net none -m 256");
    }

    #[test]
    fn without_network_options_the_machine_has_what_qemu_gives_it() {
        let own = read("-nographic");
        assert!(own.words.join(" ").contains("-net nic -net user,guestfwd"));
        let own = read("-nographic -nodefaults");
        assert_eq!(own.words.join(" "), "-display none -nodefaults -m 256");
        assert!(own.nodefaults);
    }

    #[test]
    fn spellings_that_are_gone() {
        let own = read(
            "-net none -m 1 -no-acpi -no-hpet -drive file=a,if=virtio,boot=on -balloon virtio -daemonize",
        );
        assert_eq!(
            own.words.join(" "),
            "-net none -m 1 -machine acpi=off -machine hpet=off -drive file=a,if=virtio -device virtio-balloon"
        );
    }

    #[test]
    fn memory_of_which_nothing_else_is_said_is_plain() {
        let memory = |line| read(line).plain_memory();
        assert_eq!(memory("-M q35"), Some(256 << 20));
        assert_eq!(memory("-m 1G"), Some(1 << 30));
        assert_eq!(memory("-m 320,slots=1,maxmem=1G"), Some(320 << 20));
        assert_eq!(memory("-m size=64M"), Some(64 << 20));
        for line in [
            "-m 1.5G",
            "-m slots=1,size=64M",
            "-m 64 -m 128",
            "-numa node",
            "-mem-path /dev/shm",
            "-object memory-backend-ram,id=a,size=256M -machine memory-backend=a",
        ] {
            assert_eq!(memory(line), None, "{line}");
        }
    }

    #[test]
    fn what_the_test_says_itself_is_noticed() {
        let own = read("-M q35,accel=tcg -kernel k -append a=b");
        assert_eq!(own.machine.as_deref(), Some("q35"));
        assert!(own.own_accel && own.own_kernel && !own.own_initrd);
        assert_eq!(own.append.as_deref(), Some("a=b"));
        assert!(!own.words.contains(&"-append".to_owned()));
        assert_eq!(
            read("-machine type=pc,usb=on").machine.as_deref(),
            Some("pc")
        );
        assert_eq!(read("-m").words, ["-m"], "QEMU complains");
    }
}
