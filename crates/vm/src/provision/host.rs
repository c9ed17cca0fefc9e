//! What this machine is: its distribution, its tools, its apt's own places.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

/// What `os-release` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Distribution {
    id: String,
    like: Vec<String>,
    pretty: String,
    codename: Option<String>,
}

impl Distribution {
    pub(crate) fn of_this_machine() -> Self {
        // "The file /etc/os-release takes precedence over /usr/lib/os-release." (os-release(5))
        let text = fs::read_to_string("/etc/os-release")
            .or_else(|_| fs::read_to_string("/usr/lib/os-release"));
        Self::parse(&text.unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let field = |wanted: &str| {
            text.lines().find_map(|line| {
                let (name, value) = line.split_once('=')?;
                let value = value.trim().trim_matches(['"', '\'']);
                (name.trim() == wanted && !value.is_empty()).then(|| value.to_owned())
            })
        };
        Self {
            id: field("ID").unwrap_or_default(),
            like: field("ID_LIKE")
                .unwrap_or_default()
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            pretty: field("PRETTY_NAME").unwrap_or_else(|| "an unnamed system".to_owned()),
            codename: field("VERSION_CODENAME"),
        }
    }

    /// What it calls itself.
    pub(crate) fn name(&self) -> &str {
        &self.pretty
    }

    /// Its release's name, where that is one of Debian's.
    pub(super) fn debian_codename(&self) -> Option<&str> {
        (self.id == "debian").then_some(self.codename.as_deref()?)
    }

    /// How to get a QEMU with the qtest accelerator here without Debian's archive.
    pub(crate) fn own_way(&self) -> &'static str {
        let is = |name: &str| self.id == name || self.like.iter().any(|like| like == name);
        if is("fedora") || is("rhel") {
            "install qemu-system-x86-core (or another target's) and qemu-tests, which holds the qtest accelerator"
        } else if is("opensuse") || is("suse") || self.id.starts_with("opensuse") {
            "install qemu and qemu-accel-qtest, which holds the qtest accelerator"
        } else if is("arch") {
            "install qemu-system-x86 (or another target's) and qemu-tests, which holds the qtest accelerator"
        } else if is("ubuntu") {
            "Ubuntu's archive is not Debian's and its qemu-system-x86 may lack the qtest accelerator \
             (`jig doctor` says): build QEMU and name it"
        } else {
            "install a QEMU that has the qtest accelerator or build one (own builds have it), and name it"
        }
    }
}

/// The file of that name in the directories of `PATH` that can be executed, first come first.
pub(crate) fn on_path(program: &str) -> Option<PathBuf> {
    in_directories(env::var_os("PATH").as_deref(), program).next()
}

/// All files of that name in the directories of such a list that can be executed.
pub(crate) fn in_directories(
    path: Option<&std::ffi::OsStr>,
    program: &str,
) -> impl Iterator<Item = PathBuf> {
    let directories: Vec<PathBuf> = path.map(env::split_paths).into_iter().flatten().collect();
    directories
        .into_iter()
        // An empty one means the current directory, which is never meant here.
        .filter(|directory| directory.is_absolute())
        .map(move |directory| directory.join(program))
        .filter(|file| executable(file))
}

fn executable(file: &Path) -> bool {
    file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str =
        "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n";
    const UBUNTU: &str =
        "PRETTY_NAME=\"Ubuntu 24.04.1 LTS\"\nVERSION_CODENAME=noble\nID=ubuntu\nID_LIKE=debian\n";

    #[test]
    fn debian_has_a_codename_of_debian() {
        let debian = Distribution::parse(DEBIAN);
        assert_eq!(debian.name(), "Debian GNU/Linux 12 (bookworm)");
        assert_eq!(debian.debian_codename(), Some("bookworm"));
    }

    #[test]
    fn the_codename_of_a_relative_is_none_of_debian() {
        assert_eq!(Distribution::parse(UBUNTU).debian_codename(), None);
    }

    #[test]
    fn each_family_is_told_its_own_package() {
        let way = |text: &str| Distribution::parse(text).own_way();
        assert!(way("ID=fedora\n").contains("qemu-tests"));
        assert!(way("ID=rocky\nID_LIKE=\"rhel centos fedora\"\n").contains("qemu-tests"));
        assert!(
            way("ID=\"opensuse-tumbleweed\"\nID_LIKE=\"opensuse suse\"\n")
                .contains("qemu-accel-qtest")
        );
        assert!(way(UBUNTU).contains("Ubuntu"));
        assert!(way("").contains("own builds"));
    }

    #[test]
    fn path_is_searched_in_order_and_what_cannot_run_is_passed_over() {
        let trial = tempfile::tempdir().expect("a directory");
        let mut directories = Vec::new();
        for (name, mode) in [("a", 0o644), ("b", 0o755), ("c", 0o755)] {
            use std::os::unix::fs::PermissionsExt;
            let directory = trial.path().join(name);
            fs::create_dir(&directory).expect("a directory");
            let file = directory.join("tool");
            fs::write(&file, "").expect("a file");
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("its owner");
            directories.push(directory);
        }
        let path = env::join_paths(&directories).expect("no colons");
        let found: Vec<PathBuf> = in_directories(Some(&path), "tool").collect();
        assert_eq!(
            found,
            [directories[1].join("tool"), directories[2].join("tool")]
        );
    }
}
