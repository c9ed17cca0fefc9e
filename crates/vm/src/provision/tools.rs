//! The programs that fetching needs, and what they say of this machine: [`Tools`].

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::error::{ProvisionError, ProvisionErrorKind};
use super::host::{Distribution, on_path};
use super::sources::{self, Archive};
use crate::process::{Process, Spawn};

/// None of the small questions takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// apt's and dpkg's programs, and what they are configured for.
#[derive(Clone, Debug)]
pub(super) struct Tools {
    pub(super) apt_get: PathBuf,
    pub(super) dpkg_deb: PathBuf,
    /// Debian's name of this kind of machine.
    pub(super) dpkg_arch: String,
    /// The Debian archives that are configured, the likeliest first; at least one.
    pub(super) archives: Vec<Archive>,
}

impl Tools {
    /// Looks for them on `PATH`, and asks apt where its sources are.
    pub(super) fn of_this_machine() -> Result<Self, ProvisionError> {
        let program = |name: &str| {
            on_path(name)
                .ok_or_else(|| ProvisionError::new(ProvisionErrorKind::NoApt(name.to_owned())))
        };
        let (apt_get, dpkg_deb) = (program("apt-get")?, program("dpkg-deb")?);
        let dpkg_arch = ask(&program("dpkg")?, &["--print-architecture"])?;
        let places = ask(
            &program("apt-config")?,
            &[
                "shell",
                "LIST",
                "Dir::Etc::sourcelist/f",
                "PARTS",
                "Dir::Etc::sourceparts/d",
            ],
        )?;
        let place =
            |name: &str, usual: &str| PathBuf::from(shell_value(&places, name).unwrap_or(usual));
        let list = place("LIST", "/etc/apt/sources.list");
        let parts = place("PARTS", "/etc/apt/sources.list.d");
        let sources = sources::configured(&list, &parts)
            .map_err(|error| ProvisionError::io("read", &parts, error))?;
        let distribution = Distribution::of_this_machine();
        let archives = sources::debian(&sources, distribution.debian_codename());
        if archives.is_empty() {
            return Err(ProvisionError::new(ProvisionErrorKind::NotDebian));
        }
        Ok(Self {
            apt_get,
            dpkg_deb,
            dpkg_arch: dpkg_arch.trim().to_owned(),
            archives,
        })
    }
}

/// Runs a program that answers at once, and gives what it printed.
pub(super) fn ask(program: &Path, args: &[&str]) -> Result<String, ProvisionError> {
    let mut command = Command::new(program);
    command.args(args).env("LC_ALL", "C");
    run(command, PATIENCE)
}

/// Runs a program to its end, and gives what it printed.
pub(super) fn run(command: Command, patience: Duration) -> Result<String, ProvisionError> {
    let program = PathBuf::from(command.get_program());
    let name = program
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let how = Spawn {
        inherit: &[],
        core: false,
    };
    let mut process = Process::spawn(command, &how)
        .map_err(|error| ProvisionError::io("run", &program, error))?;
    let Some(status) = process.wait(Instant::now() + patience) else {
        process.kill();
        let kind = ProvisionErrorKind::Stalled(patience.as_secs(), format!("running {name}"));
        return Err(ProvisionError::new(kind));
    };
    let printed = process.stderr();
    if status.success() {
        return Ok(printed);
    }
    let said = match printed.trim() {
        "" => status.to_string(),
        said => said.lines().take(2).collect::<Vec<_>>().join(" / "),
    };
    Err(ProvisionError::new(ProvisionErrorKind::Tool(name, said)))
}

/// The value of `NAME='…'` in what `apt-config shell` prints.
fn shell_value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        line.strip_prefix(name)?
            .strip_prefix("='")?
            .strip_suffix('\'')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apts_places_are_read() {
        let text = "LIST='/etc/apt/sources.list'\nPARTS='/etc/apt/sources.list.d/'\n";
        assert_eq!(shell_value(text, "LIST"), Some("/etc/apt/sources.list"));
        assert_eq!(shell_value(text, "PARTS"), Some("/etc/apt/sources.list.d/"));
        assert_eq!(shell_value(text, "PART"), None);
    }
}
