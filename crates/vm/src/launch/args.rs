//! From a [`Launch`] to words of QEMU's command line.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::os::fd::RawFd;

use super::parts::{ChardevKind, NetdevKind};
use super::{Chardev, Drive, FwCfg, Interface, Launch, Netdev, RtcBase};
use crate::machine::RamBackend;

/// The descriptor that the first inherited file of a machine gets if nothing else has it.
pub(crate) const FIRST_FD: RawFd = 100;

/// A file or socket of the host that a part of the machine needs.
#[derive(Clone, Copy)]
pub(crate) enum Resource<'a> {
    /// The memory backend, of so many bytes.
    Ram(u64),
    /// The image of a drive.
    Drive(&'a Drive),
    /// A socket to the test: whose, and whether it keeps messages apart.
    Channel { id: &'a str, messages: bool },
    /// Bytes to be read once.
    Blob(&'a [u8]),
}

/// Makes what a machine needs of the host, and says by which descriptor the child finds it.
pub(crate) trait Resources {
    /// Why it can't be made.
    type Error;

    /// Makes one.
    fn make(&mut self, resource: Resource<'_>) -> Result<RawFd, Self::Error>;
}

/// Numbers what would be made, without making it.
struct Numbering(RawFd);

impl Resources for Numbering {
    type Error = Infallible;

    fn make(&mut self, _resource: Resource<'_>) -> Result<RawFd, Infallible> {
        self.0 += 1;
        Ok(self.0 - 1)
    }
}

/// The words for people: as if nothing else of the process were open, qtest and QMP being the first two descriptors.
pub(crate) fn for_people(launch: &Launch) -> Vec<String> {
    let backend = launch.machine.ram_backend;
    let Ok(words) = arguments(launch, backend, &mut Numbering(FIRST_FD + 2));
    words
}

/// The words, numbered as if nothing else were open.
pub(crate) fn without_resources(launch: &Launch, ram: RamBackend) -> Vec<String> {
    let Ok(words) = arguments(launch, ram, &mut Numbering(FIRST_FD));
    words
}

/// `key=value,…` with commas of values doubled, as QEMU's option parser wants them.
struct Options(String);

impl Options {
    /// Begins with a bare word, which may hold no comma of its own.
    fn new(first: &str) -> Self {
        let mut options = Self(String::new());
        options.push_escaped(first);
        options
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(name);
        self.0.push('=');
        self.push_escaped(value);
        self
    }

    fn with_all(self, pairs: &[(String, String)]) -> Self {
        pairs
            .iter()
            .fold(self, |options, (name, value)| options.with(name, value))
    }

    fn push_escaped(&mut self, value: &str) {
        for (index, part) in value.split(',').enumerate() {
            if index > 0 {
                self.0.push_str(",,");
            }
            self.0.push_str(part);
        }
    }
}

/// The words that describe the machine, its RAM from there; `make` provides the files and sockets they name, in the order
/// they come.
pub(crate) fn arguments<R: Resources>(
    launch: &Launch,
    ram: RamBackend,
    make: &mut R,
) -> Result<Vec<String>, R::Error> {
    let mut words = Words(Vec::new());
    if launch.default_devices {
        // What they would be connected to stays away: terminal, monitor, the host's network.
        for option in ["-serial", "-parallel", "-monitor"] {
            words.push_word(option, "none".into());
        }
        words.push_word("-net", "nic".into());
    } else {
        words.0.push("-nodefaults".into());
    }
    for word in ["-no-user-config", "-display", "none"] {
        words.0.push(word.into());
    }

    let mut machine = Options::new(launch.machine.name);
    if ram == RamBackend::Memfd {
        let fd = make.make(Resource::Ram(launch.memory))?;
        machine = machine.with("memory-backend", "ram");
        let backend = Options::new("memory-backend-file")
            .with("id", "ram")
            .with("mem-path", &format!("/proc/self/fd/{fd}"))
            .with("share", "on")
            .with("size", &launch.memory.to_string());
        words.push("-object", backend);
    }
    words.push("-machine", machine.with_all(&launch.machine_options));
    if ram != RamBackend::None {
        words.push("-m", memory(launch));
    }
    if let Some(model) = &launch.cpu {
        words.push_word("-cpu", model.clone());
    }
    if launch.cpus != 1 || !launch.smp_options.is_empty() {
        let smp = Options::new("").with("cpus", &launch.cpus.to_string());
        words.push("-smp", smp.with_all(&launch.smp_options));
    }
    words.push("-rtc", rtc(launch));
    if !launch.boot.is_empty() {
        words.push("-boot", Options::new("").with_all(&launch.boot));
    }
    for global in &launch.globals {
        let global = Options::new("")
            .with("driver", &global.driver)
            .with("property", &global.property)
            .with("value", &global.value);
        words.push("-global", global);
    }
    for object in &launch.objects {
        let options = Options::new(&object.kind).with("id", &object.id);
        words.push("-object", options.with_all(&object.props));
    }
    for device in &launch.chardevs {
        words.push("-chardev", chardev(device, make)?);
    }
    for id in &launch.serials {
        words.push_word("-serial", format!("chardev:{id}"));
    }
    for backend in &launch.netdevs {
        words.push("-netdev", netdev(backend, make)?);
    }
    for (index, drive) in launch.drives.iter().enumerate() {
        words.drive(drive, index + 1, make)?;
    }
    for device in &launch.devices {
        let options = Options::new(&device.driver).with_all(&device.props);
        words.push("-device", options);
    }
    for entry in &launch.fw_cfg {
        let options = match entry {
            FwCfg::String(name, value) => Options::new("").with("name", name).with("string", value),
            FwCfg::File(name, bytes) => {
                let fd = make.make(Resource::Blob(bytes))?;
                Options::new("")
                    .with("name", name)
                    .with("file", &format!("/proc/self/fd/{fd}"))
            }
        };
        words.push("-fw_cfg", options);
    }
    for (option, blob) in [("-kernel", &launch.kernel), ("-initrd", &launch.initrd)] {
        if let Some(blob) = blob {
            let fd = make.make(Resource::Blob(&blob.0))?;
            words.push_word(option, format!("/proc/self/fd/{fd}"));
        }
    }
    if let Some(append) = &launch.append {
        words.push_word("-append", append.clone());
    }
    words.0.extend(launch.raw.iter().cloned());
    Ok(words.0)
}

fn memory(launch: &Launch) -> Options {
    let size = Options::new("").with("size", &format!("{}B", launch.memory));
    match launch.memory_slots {
        None => size,
        Some((slots, most)) => size
            .with("slots", &slots.to_string())
            .with("maxmem", &format!("{most}B")),
    }
}

fn rtc(launch: &Launch) -> Options {
    let base = match &launch.rtc.base {
        RtcBase::Utc => "utc",
        RtcBase::Localtime => "localtime",
        RtcBase::At(moment) => moment,
    };
    let clock = if launch.rtc.host_clock { "host" } else { "vm" };
    Options::new("")
        .with("base", base)
        .with("clock", clock)
        .with_all(&launch.rtc.options)
}

fn chardev<R: Resources>(device: &Chardev, make: &mut R) -> Result<Options, R::Error> {
    let options = match &device.kind {
        ChardevKind::Socket => {
            let fd = make.make(Resource::Channel {
                id: &device.id,
                messages: false,
            })?;
            Options::new("socket")
                .with("id", &device.id)
                .with("fd", &fd.to_string())
        }
        ChardevKind::Other(kind) => Options::new(kind).with("id", &device.id),
    };
    Ok(options.with_all(&device.options))
}

fn netdev<R: Resources>(backend: &Netdev, make: &mut R) -> Result<Options, R::Error> {
    let id = &backend.id;
    let options = match &backend.kind {
        NetdevKind::Packets => {
            let fd = make.make(Resource::Channel { id, messages: true })?;
            Options::new("dgram")
                .with("id", id)
                .with("local.type", "fd")
                .with("local.str", &fd.to_string())
        }
        NetdevKind::Stream => {
            let fd = make.make(Resource::Channel {
                id,
                messages: false,
            })?;
            // The newer `stream` takes its descriptor some time after the machine answers, and drops frames until then.
            Options::new("socket")
                .with("id", id)
                .with("fd", &fd.to_string())
        }
        NetdevKind::Other(kind) => Options::new(kind).with("id", id),
    };
    Ok(options.with_all(&backend.options))
}

/// The words so far.
struct Words(Vec<String>);

impl Words {
    fn push(&mut self, option: &str, value: Options) {
        self.push_word(option, value.0);
    }

    fn push_word(&mut self, option: &str, value: String) {
        self.0.push(option.into());
        self.0.push(value);
    }

    /// The image comes in a descriptor set. Its descriptor has exactly the access that the drive asks for, and nobody
    /// else has the file, so there is nothing to reopen and nothing to lock.
    fn drive<R: Resources>(
        &mut self,
        drive: &Drive,
        set: usize,
        make: &mut R,
    ) -> Result<(), R::Error> {
        let fd = make.make(Resource::Drive(drive))?;
        self.push_word("-add-fd", format!("set={set},fd={fd}"));
        let file = format!("/dev/fdset/{set}");
        let read_only = if drive.read_only { "on" } else { "off" };
        let discard = if drive.discard { "unmap" } else { "ignore" };
        if drive.interface == Interface::None {
            let mut node = String::new();
            let _ = write!(node, "{}-file", drive.id);
            let protocol = Options::new("")
                .with("driver", "file")
                .with("node-name", &node)
                .with("filename", &file)
                .with("read-only", read_only)
                .with("auto-read-only", "off")
                .with("locking", "off")
                .with("discard", discard);
            self.push("-blockdev", protocol);
            let format = Options::new("")
                .with("driver", &drive.format)
                .with("node-name", &drive.id)
                .with("file", &node)
                .with("read-only", read_only)
                .with("discard", discard);
            self.push("-blockdev", format.with_all(&drive.options));
            return Ok(());
        }
        let mut options = Options::new("")
            .with("if", drive.interface.name())
            .with("id", &drive.id)
            .with("file", &file)
            .with("format", &drive.format)
            .with("read-only", read_only)
            .with("auto-read-only", "off")
            .with("file.locking", "off")
            .with("discard", discard);
        if let Some(index) = drive.index {
            options = options.with("index", &index.to_string());
        }
        if drive.cdrom {
            options = options.with("media", "cdrom");
        }
        self.push("-drive", options.with_all(&drive.options));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launch::{Device, Image, Object, Rtc};
    use crate::machine;

    /// The value after the n-th such option.
    fn after<'a>(words: &'a [String], option: &str, n: usize) -> &'a str {
        let mut values = words.windows(2).filter(|pair| pair[0] == option);
        &values
            .nth(n)
            .unwrap_or_else(|| panic!("no {option} in {words:?}"))[1]
    }

    #[test]
    fn a_bare_machine_says_what_it_is_and_no_more() {
        let words = Launch::new(&machine::PC).to_args();
        assert_eq!(
            words.join(" "),
            "-nodefaults -no-user-config -display none \
             -object memory-backend-file,id=ram,mem-path=/proc/self/fd/102,share=on,size=134217728 \
             -machine pc,memory-backend=ram -m size=134217728B -rtc base=2026-01-15T12:00:00,clock=vm"
        );
    }

    #[test]
    fn commas_in_values_are_doubled() {
        let launch = Launch::new(&machine::PC)
            .fw_cfg_string("opt/a,b", "1,,2")
            .device(Device::new("x").prop("p", "a,b=c"))
            .object(Object::new("secret", "s").prop("data", ",x,"))
            .global("d", "p", "v,w");
        let words = launch.to_args();
        assert_eq!(after(&words, "-fw_cfg", 0), "name=opt/a,,b,string=1,,,,2");
        assert_eq!(after(&words, "-device", 0), "x,p=a,,b=c");
        assert_eq!(after(&words, "-object", 1), "secret,id=s,data=,,x,,");
        assert_eq!(
            after(&words, "-global", 0),
            "driver=d,property=p,value=v,,w"
        );
    }

    #[test]
    fn a_drive_is_a_node_on_a_descriptor_set() {
        let launch = Launch::new(&machine::PC)
            .drive(Drive::new("a", Image::zeroed(512)))
            .drive(
                Drive::new("b", Image::zeroed(512))
                    .read_only(true)
                    .discard(true),
            );
        let words = launch.to_args();
        assert_eq!(after(&words, "-add-fd", 1), "set=2,fd=104");
        assert_eq!(
            after(&words, "-blockdev", 2),
            "driver=file,node-name=b-file,filename=/dev/fdset/2,read-only=on,auto-read-only=off,\
             locking=off,discard=unmap"
        );
        assert_eq!(
            after(&words, "-blockdev", 3),
            "driver=raw,node-name=b,file=b-file,read-only=on,discard=unmap"
        );
    }

    #[test]
    fn a_drive_on_an_interface_is_a_drive() {
        let drive = Drive::new("cd", Image::zeroed(2048))
            .interface(Interface::Ide)
            .index(2)
            .cdrom();
        let words = Launch::new(&machine::PC).drive(drive).to_args();
        assert_eq!(
            after(&words, "-drive", 0),
            "if=ide,id=cd,file=/dev/fdset/1,format=raw,read-only=on,auto-read-only=off,file.locking=off,\
             discard=ignore,index=2,media=cdrom"
        );
    }

    #[test]
    fn a_machine_with_ram_of_its_own_gets_only_its_size() {
        let words = Launch::new(&machine::SPARC64_SUN4U).to_args();
        assert_eq!(after(&words, "-machine", 0), "sun4u");
        assert_eq!(after(&words, "-m", 0), "size=134217728B");
        assert!(!words.contains(&"-object".to_owned()));
    }

    #[test]
    fn every_setting_arrives() {
        let launch = Launch::new(&machine::Q35)
            .memory(1 << 20)
            .memory_slots(2, 1 << 30)
            .machine_option("smm", "off")
            .cpu("qemu64,+x2apic")
            .cpus(2)
            .smp_option("sockets", 2)
            .rtc(Rtc::utc().host_clock().option("driftfix", "slew"))
            .boot("order", "dc")
            .chardev(Chardev::socket("s0"))
            .chardev(Chardev::ring("r0", 4096))
            .serial("s0")
            .netdev(Netdev::packets("n0"))
            .netdev(Netdev::new("user", "n1").option("restrict", "on"))
            .device(
                Device::new("e1000")
                    .id("nic")
                    .bus("pcie.0")
                    .prop("netdev", "n0"),
            )
            .fw_cfg_file("opt/f", [1, 2, 3])
            .kernel(*b"kernel")
            .initrd(*b"initrd")
            .append("console=ttyS0,115200 quiet")
            .arg("-no-reboot");
        let words = launch.to_args();
        assert_eq!(
            after(&words, "-m", 0),
            "size=1048576B,slots=2,maxmem=1073741824B"
        );
        assert_eq!(
            after(&words, "-machine", 0),
            "q35,memory-backend=ram,smm=off"
        );
        assert_eq!(after(&words, "-cpu", 0), "qemu64,+x2apic");
        assert_eq!(after(&words, "-smp", 0), "cpus=2,sockets=2");
        assert_eq!(
            after(&words, "-rtc", 0),
            "base=utc,clock=host,driftfix=slew"
        );
        assert_eq!(after(&words, "-boot", 0), "order=dc");
        assert_eq!(after(&words, "-chardev", 0), "socket,id=s0,fd=103");
        assert_eq!(after(&words, "-chardev", 1), "ringbuf,id=r0,size=4096");
        assert_eq!(after(&words, "-serial", 0), "chardev:s0");
        assert_eq!(
            after(&words, "-netdev", 0),
            "dgram,id=n0,local.type=fd,local.str=104"
        );
        assert_eq!(after(&words, "-netdev", 1), "user,id=n1,restrict=on");
        assert_eq!(
            after(&words, "-device", 0),
            "e1000,id=nic,bus=pcie.0,netdev=n0"
        );
        assert_eq!(
            after(&words, "-fw_cfg", 0),
            "name=opt/f,file=/proc/self/fd/105"
        );
        assert_eq!(after(&words, "-kernel", 0), "/proc/self/fd/106");
        assert_eq!(after(&words, "-initrd", 0), "/proc/self/fd/107");
        assert_eq!(after(&words, "-append", 0), "console=ttyS0,115200 quiet");
        assert_eq!(words.last().map(String::as_str), Some("-no-reboot"));
        assert!(launch.is_qemu_only());
    }
}
