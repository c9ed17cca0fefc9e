//! apt as an unprivileged user's tool: [`Apt`].

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use super::Suite;
use super::complaint::classify;
use super::error::{ProvisionError, ProvisionErrorKind};
use super::status::{Lines, Status};
use super::tools::Tools;
use crate::process::{Process, Spawn};

/// apt gives a server 30 s and asks again; what stands still this long will not move any more.
const PATIENCE: Duration = Duration::from_secs(180);

/// apt with a state of its own in a private directory.
///
/// The machine's configuration stays in force where it says how to reach and whom to trust
/// (proxies, validity, keys, credentials). What would name another state, hook into it or choose
/// other packages is set here, in a file that apt reads last.
pub(super) struct Apt {
    program: PathBuf,
    directory: PathBuf,
}

/// Which of apt's steps: the same words mean different things in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Update,
    Plan,
    PlanSources,
    Download,
}

impl Apt {
    /// Prepares the directory for a suite, given the paragraph that describes its archive.
    /// What an earlier, interrupted use left there is used again.
    pub(super) fn prepare(
        tools: &Tools,
        directory: &Path,
        paragraph: &str,
        suite: &Suite,
    ) -> Result<Self, ProvisionError> {
        let made = |what: &Path, result: io::Result<()>| {
            result.map_err(|error| ProvisionError::io("create", what, error))
        };
        let apt = Self {
            program: tools.apt_get.clone(),
            directory: directory.to_owned(),
        };
        for sub in ["lists/partial", "archives/partial", "debs", "tmp"] {
            let sub = directory.join(sub);
            made(&sub, fs::create_dir_all(&sub))?;
        }
        let configuration = configuration(directory, suite, &tools.dpkg_arch);
        for (name, text) in [
            ("status", ""),
            ("apt.conf", &configuration),
            ("testjig.sources", paragraph),
        ] {
            let file = directory.join(name);
            made(&file, fs::write(&file, text))?;
        }
        Ok(apt)
    }

    /// Where downloads land.
    pub(super) fn debs(&self) -> PathBuf {
        self.directory.join("debs")
    }

    /// Fetches the indexes and checks their signatures.
    pub(super) fn update(&self) -> Result<(), ProvisionError> {
        // An index that could not be fetched is an error, not a reason to use an old one. A second
        // attempt comes after a second, a third after two more: without a network that adds up.
        let retries = if has_routes() {
            "Acquire::Retries=1"
        } else {
            "Acquire::Retries=0"
        };
        let options = ["-o", "APT::Update::Error-Mode=any", "-o", retries];
        let mut args: Vec<&OsStr> = options.map(OsStr::new).to_vec();
        args.push(OsStr::new("update"));
        self.run(Step::Update, &args, |_| {}).map(drop)
    }

    /// Forgets the indexes, so that they are fetched whole the next time.
    pub(super) fn forget(&self) {
        let lists = self.directory.join("lists");
        let _ = fs::remove_dir_all(&lists);
        let _ = fs::create_dir_all(lists.join("partial"));
    }

    /// What installing the packages on an empty system would fetch, as apt prints it.
    pub(super) fn plan(&self, packages: &[&str]) -> Result<String, ProvisionError> {
        let mut args: Vec<&OsStr> = ["--print-uris", "install"].map(OsStr::new).to_vec();
        args.extend(packages.iter().map(OsStr::new));
        self.run(Step::Plan, &args, |_| {})
    }

    /// Downloads packages, each given as `name=version`, into [`debs`](Self::debs).
    pub(super) fn download(
        &self,
        packages: &[String],
        watch: impl FnMut(Status),
    ) -> Result<(), ProvisionError> {
        let mut args = vec![OsStr::new("download")];
        args.extend(packages.iter().map(OsStr::new));
        self.run(Step::Download, &args, watch).map(drop)
    }

    /// The files of source packages, as apt prints them.
    pub(super) fn plan_sources(&self, packages: &[&str]) -> Result<String, ProvisionError> {
        let mut args: Vec<&OsStr> = ["--print-uris", "source"].map(OsStr::new).to_vec();
        args.extend(packages.iter().map(OsStr::new));
        self.run(Step::PlanSources, &args, |_| {})
    }

    /// Downloads source packages into [`debs`](Self::debs).
    pub(super) fn download_sources(
        &self,
        packages: &[&str],
        watch: impl FnMut(Status),
    ) -> Result<(), ProvisionError> {
        let mut args: Vec<&OsStr> = ["--download-only", "source"].map(OsStr::new).to_vec();
        args.extend(packages.iter().map(OsStr::new));
        self.run(Step::Download, &args, watch).map(drop)
    }

    fn run(
        &self,
        step: Step,
        args: &[&OsStr],
        mut watch: impl FnMut(Status),
    ) -> Result<String, ProvisionError> {
        let failed = |error| ProvisionError::io("run apt-get in", &self.directory, error);
        let (status, theirs) =
            pipe_with(PipeFlags::CLOEXEC).map_err(|error| failed(error.into()))?;
        let inherit = [theirs];
        let mut command = Command::new(&self.program);
        command
            .arg("-qq")
            .arg("-c")
            .arg(self.directory.join("apt.conf"))
            .arg("-o")
            .arg(format!("APT::Status-Fd={}", inherit[0].as_raw_fd()))
            .args(args)
            .current_dir(match step {
                // Of sources that lie where it is run apt says nothing.
                Step::PlanSources => self.directory.clone(),
                Step::Update | Step::Plan | Step::Download => self.debs(),
            })
            .env("LC_ALL", "C")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("TMPDIR", self.directory.join("tmp"));
        let how = Spawn {
            inherit: &inherit,
            core: false,
        };
        let mut process = Process::spawn(command, &how).map_err(failed)?;
        drop(inherit);
        if !follow(&mut process, &status, &mut watch).map_err(failed)? {
            process.kill();
            let what = match step {
                Step::Update => "fetching the package lists",
                Step::Plan | Step::PlanSources => "choosing packages",
                Step::Download => "downloading packages",
            };
            let kind = ProvisionErrorKind::Stalled(PATIENCE.as_secs(), what.to_owned());
            return Err(ProvisionError::new(kind));
        }
        let ended = process.wait(Instant::now());
        let printed = process.stderr();
        // Under `-qq` nothing but trouble is printed, apart from what was asked for.
        let success = ended.is_some_and(|status| status.success());
        if success {
            Ok(printed)
        } else {
            Err(classify(step, &printed, &self.directory))
        }
    }
}

/// Hands on what apt reports until it ends; `false` if it stood still too long.
fn follow(
    process: &mut Process,
    status: &OwnedFd,
    watch: &mut impl FnMut(Status),
) -> io::Result<bool> {
    let mut lines = Lines::default();
    let mut last = None;
    let mut moved = Instant::now();
    let mut open = true;
    loop {
        let left = PATIENCE.saturating_sub(moved.elapsed());
        if left.is_zero() {
            return Ok(false);
        }
        let timeout = Timespec {
            tv_sec: left.as_secs() as i64,
            tv_nsec: left.subsec_nanos().into(),
        };
        let ended = {
            let pidfd = process.pidfd();
            let mut fds = vec![PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
            if open {
                fds.push(PollFd::new(status, PollFlags::IN));
            }
            match poll(&mut fds, Some(&timeout)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            if fds.get(1).is_some_and(|fd| !fd.revents().is_empty()) {
                let mut buffer = [0; 4096];
                let count = rustix::io::read(status, &mut buffer)?;
                open = count > 0;
                for report in lines.push(&buffer[..count]) {
                    if last.as_ref() != Some(&report) {
                        moved = Instant::now();
                        last = Some(report.clone());
                        watch(report);
                    }
                }
            }
            !fds[0].revents().is_empty()
        };
        if ended {
            return Ok(true);
        }
    }
}

fn configuration(directory: &Path, suite: &Suite, dpkg_arch: &str) -> String {
    let here = directory.display();
    // Without this, of a backports suite only what its base lacks would be taken.
    let target_release = suite.base().map_or("", |_| suite.name());
    format!(
        r#"Dir "/";
Dir::Etc::sourcelist "{here}/testjig.sources";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "{here}";
Dir::State::lists "{here}/lists";
Dir::State::status "{here}/status";
Dir::State::extended_states "{here}/extended_states";
Dir::Cache "{here}";
Dir::Cache::archives "{here}/archives";
Dir::Cache::pkgcache "{here}/pkgcache.bin";
Dir::Cache::srcpkgcache "";
Dir::Log "{here}";
#clear APT::Architectures;
APT::Architecture "{dpkg_arch}";
APT::Architectures {{ "{dpkg_arch}"; }};
APT::Default-Release "{target_release}";
APT::Install-Recommends "false";
APT::Install-Suggests "false";
APT::Sandbox::User "";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Acquire::AllowReleaseInfoChange "true";
Acquire::ForceHash "SHA256";
Acquire::Languages "none";
Acquire::Retries "3";
"#
    )
}

/// Whether this host can reach any other, as far as the kernel's tables of routes tell.
fn has_routes() -> bool {
    let table = |name| fs::read_to_string(Path::new("/proc/net").join(name));
    match (table("route"), table("ipv6_route")) {
        (Ok(v4), Ok(v6)) => leads_elsewhere(&v4, &v6),
        _ => true,
    }
}

/// Whether a route of these tables has a device other than the loopback (proc(5)): the
/// first word of a line of IPv4's behind its head, the last of one of IPv6's.
fn leads_elsewhere(v4: &str, v6: &str) -> bool {
    let devices = v4
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next());
    let mut devices = devices.chain(v6.lines().filter_map(|line| line.split_whitespace().last()));
    devices.any(|device| device != "lo")
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};

    use super::*;

    /// What is handed on of what a script reports on its descriptor 9.
    fn handed_on(script: &str) -> Vec<Status> {
        // A pipe with a name, since a shell can close none of its descriptors above 9.
        let directory = tempfile::tempdir().expect("a directory");
        let pipe = directory.path().join("pipe");
        let mode = Mode::RUSR | Mode::WUSR;
        mknodat(CWD, &pipe, FileType::Fifo, mode, 0).expect("a pipe");
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let status = open(&pipe, flags, Mode::empty()).expect("a pipe");
        let mut command = Command::new("/bin/sh");
        command
            .arg("-c")
            .arg(format!("exec 9>{}; {script}", pipe.display()));
        let how = Spawn {
            inherit: &[],
            core: false,
        };
        let mut process = Process::spawn(command, &how).expect("a shell");
        let mut reports = Vec::new();
        let ended = follow(&mut process, &status, &mut |report| reports.push(report));
        assert!(ended.expect("followed"));
        reports
    }

    fn half_of(file: u64) -> Status {
        Status {
            file,
            millionths: 500_000,
        }
    }

    #[test]
    fn every_report_is_handed_on_until_apt_ends() {
        // The second comes when the first has been taken from the pipe: 64 KiB is what a pipe holds.
        let script = "echo dlstatus:1:50.0:x >&9; head -c 66000 /dev/zero | tr '\\0' '\\n' >&9; echo dlstatus:2:50.0:x >&9; exec 9>&-; exec sleep 0.2";
        assert_eq!(handed_on(script), [half_of(1), half_of(2)]);
    }

    #[test]
    fn the_same_report_again_is_nothing_new() {
        let script =
            "echo dlstatus:1:50.0:x >&9; echo dlstatus:1:50.0:x >&9; exec 9>&-; exec sleep 0.2";
        assert_eq!(handed_on(script), [half_of(1)]);
    }

    #[test]
    fn a_host_whose_routes_lead_to_itself_reaches_no_other() {
        let head = "Iface\tDestination\tGateway\n";
        let own = "00000000000000000000000000000001 80 ffffffff 00000001 00200200       lo\n";
        assert!(!leads_elsewhere(head, own));
        assert!(!leads_elsewhere("", ""));
        assert!(leads_elsewhere(&format!("{head}eth0\t00000000\n"), own));
        assert!(leads_elsewhere(head, &own.replace("lo", "wlan0")));
    }

    #[test]
    fn of_a_backports_suite_its_own_versions_are_preferred() {
        let text =
            |suite| configuration(Path::new("/w"), &Suite::new(suite).expect("valid"), "arm64");
        let backports = text("bookworm-backports");
        assert!(
            backports.contains("APT::Default-Release \"bookworm-backports\";"),
            "{backports}"
        );
        let plain = text("sid");
        assert!(plain.contains("APT::Default-Release \"\";"), "{plain}");
        assert!(
            plain.contains("APT::Architectures { \"arm64\"; };"),
            "{plain}"
        );
    }
}
