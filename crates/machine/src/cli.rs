//! QEMU's command line, as far as this machine has what it asks for; the rest is declined in QEMU's manner, at once.

mod channel;
mod config;
mod device;
mod drives;
mod options;

use std::fmt::Write;

pub(crate) use channel::Channel;
pub(crate) use config::Config;
pub(crate) use device::DeviceOptions;
pub(crate) use drives::Drives;
pub(crate) use options::Options;

/// What is added where something exists in QEMU and not here, so that a runner can tell a skip from a mistake.
pub(crate) const NOT_HERE: &str = "the embedded machine does not have it";

/// What the words ask for.
pub(crate) enum Request {
    /// A machine.
    Run(Box<Config>),
    /// Something to print.
    Print(String),
}

/// Options without a value that mean nothing here.
const IGNORED_FLAGS: &[&str] = &[
    "nodefaults",
    "no-user-config",
    "nographic",
    "S",
    "no-reboot",
    "no-shutdown",
    "no-fd-bootchk",
    "no-hpet",
    "only-migratable",
];
/// Options with a value that mean nothing here.
const IGNORED_OPTIONS: &[&str] = &[
    "display",
    "name",
    "cpu",
    "L",
    "D",
    "d",
    "msg",
    "pidfile",
    "k",
    "trace",
    "action",
    "sandbox",
    "bios",
    "run-with",
    "overcommit",
    "compat",
];

/// Reads a command line, without the program's name.
pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Request, String> {
    let mut config = Config::default();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let Some(option) = word.strip_prefix('-') else {
            return Err(format!("{word}: a disk as a bare word: {NOT_HERE}"));
        };
        let option = option.strip_prefix('-').unwrap_or(option);
        match option {
            "version" => return Ok(Request::Print(version())),
            "help" | "h" => return Ok(Request::Print(HELP.into())),
            _ if IGNORED_FLAGS.contains(&option) => continue,
            _ => {}
        }
        let value = words
            .next()
            .ok_or_else(|| format!("-{option}: requires an argument"));
        if IGNORED_OPTIONS.contains(&option) {
            value?;
            continue;
        }
        if let Some(text) = list(option, value.as_deref().unwrap_or_default()) {
            return Ok(Request::Print(text));
        }
        let value = value?;
        config
            .set(option, &value)
            .map_err(|error| format!("-{option} {value}: {error}"))?;
    }
    config.check()?;
    Ok(Request::Run(Box::new(config)))
}

fn version() -> String {
    let (major, minor, micro) = crate::VERSION;
    format!(
        "QEMU emulator version {major}.{minor}.{micro} (testjig-machine {})\nThe embedded machine of testjig, no QEMU.\n",
        env!("CARGO_PKG_VERSION")
    )
}

const HELP: &str = "usage: testjig-machine [QEMU's options]\n\nA small PC for device tests: -machine pc, -m, -rtc, -device, -fw_cfg, \
                    -drive, -blockdev, -qtest, -qmp, -mon,\n-chardev, -object memory-backend-file, -plant NAME\n";

/// `-machine help`, `-device help`.
fn list(option: &str, value: &str) -> Option<String> {
    if value != "help" && value != "?" {
        return None;
    }
    match option {
        "machine" | "M" => Some(
            "Supported machines are:\npc                   i440FX + PIIX3 PC (default)\nnone                 empty machine\n"
                .into(),
        ),
        "device" => {
            let mut text = String::new();
            for name in crate::DEVICES {
                let _ = writeln!(text, "name \"{name}\"");
            }
            Some(text)
        }
        "accel" => Some("Accelerators supported in QEMU binary:\nqtest\n".into()),
        _ => None,
    }
}
