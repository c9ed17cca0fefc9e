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
        let options = [
            "-o",
            "APT::Update::Error-Mode=any",
            "-o",
            "Acquire::Retries=1",
        ];
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
            .current_dir(self.debs())
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
                Step::Plan => "choosing packages",
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

/// Words of apt's and its methods' messages in the C locale, and what they mean in a step.
/// The first that fits counts: an archive that cannot be reached is also "not signed".
fn classify(step: Step, printed: &str, directory: &Path) -> ProvisionError {
    use ProvisionErrorKind as Kind;
    type Make = fn(String) -> Kind;
    let of_the_suite: Make = match step {
        Step::Update => Kind::NoSuite,
        Step::Plan | Step::Download => Kind::MirrorMidUpdate,
    };
    let table: [(&[&str], Make); 7] = [
        (
            &[
                "Temporary failure resolving",
                "Could not resolve",
                "Could not connect",
                "Cannot initiate the connection",
                "Unable to connect",
                "Connection refused",
                "Connection timed out",
                "Connection failed",
                "Network is unreachable",
                "No route to host",
                // What a captive portal sends in place of an index.
                "NOSPLIT",
            ],
            Kind::NoNetwork,
        ),
        (&["401 ", "403 ", "407 "], Kind::Refused),
        (
            &[
                "Hash Sum mismatch",
                "File has unexpected size",
                "Mirror sync in progress",
                "Undetermined Error",
                "500 ",
                "502 ",
                "503 ",
                "504 ",
            ],
            Kind::MirrorMidUpdate,
        ),
        (
            &[
                "does not have a Release file",
                "no longer has a Release file",
                "404 ",
                "400 ",
            ],
            of_the_suite,
        ),
        (
            &[
                "NO_PUBKEY",
                "is not signed",
                "signatures were invalid",
                "signature verification failed",
                "couldn't be verified",
                "EXPKEYSIG",
                "REVKEYSIG",
                "is expired",
                "is not valid yet",
            ],
            Kind::Signature,
        ),
        (
            &[
                "Unable to locate package",
                "has no installation candidate",
                "Can't find a source to download",
            ],
            Kind::NoPackage,
        ),
        // A closure that cannot be had whole: one half of a transition has arrived.
        (
            &["unmet dependencies", "held broken packages"],
            Kind::MirrorMidUpdate,
        ),
    ];
    if says_full(printed) {
        return ProvisionError::no_space(directory, None);
    }
    for (messages, kind) in table {
        let said = |line: &&str| messages.iter().any(|words| line.contains(words));
        if let Some(line) = printed.lines().find(said) {
            return ProvisionError::new(kind(abridged(line)));
        }
    }
    let line = printed.lines().find(|line| line.starts_with("E:"));
    let line = line.or(printed.lines().next()).unwrap_or("nothing");
    ProvisionError::new(Kind::Tool("apt-get".to_owned(), abridged(line)))
}

/// Whether a tool's words are the system's for a full disk.
pub(super) fn says_full(printed: &str) -> bool {
    [
        "No space left on device",
        "Disk quota exceeded",
        "File too large",
    ]
    .iter()
    .any(|words| printed.contains(words))
}

/// One message without apt's mark, and not too much of it.
fn abridged(line: &str) -> String {
    let line = line.trim();
    let text = line
        .strip_prefix("E: ")
        .or_else(|| line.strip_prefix("W: "))
        .unwrap_or(line);
    // apt puts two spaces between parts of a message.
    let words: Vec<&str> = text.split_whitespace().collect();
    let plain = |letter: &char| !letter.is_control();
    words.join(" ").chars().filter(plain).take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classified(step: Step, printed: &str) -> ProvisionErrorKind {
        let error = classify(step, printed, Path::new("/"));
        error.into_kind()
    }

    // What apt 2.6 printed when these things happened to it; names of hosts changed.

    #[test]
    fn no_network() {
        let printed = "E: Failed to fetch http://deb.example.org/debian/dists/sid/InRelease  Temporary failure resolving 'deb.example.org'\n\
                       E: Some index files failed to download. They have been ignored, or old ones used instead.\n";
        match classified(Step::Update, printed) {
            ProvisionErrorKind::NoNetwork(said) => assert_eq!(
                said,
                "Failed to fetch http://deb.example.org/debian/dists/sid/InRelease Temporary failure resolving 'deb.example.org'"
            ),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn no_such_suite() {
        let printed = "E: The repository 'http://deb.example.org/debian trixxie Release' does not have a Release file.\n";
        let kind = classified(Step::Update, printed);
        assert!(matches!(kind, ProvisionErrorKind::NoSuite(_)), "{kind:?}");
    }

    #[test]
    fn an_archive_that_is_not_there_is_not_a_matter_of_signatures() {
        let printed = "E: Failed to fetch http://deb.example.org/nodebian/dists/sid/InRelease  400  Bad Request [IP: 192.0.2.1 80]\n\
                       E: The repository 'http://deb.example.org/nodebian sid InRelease' is not signed.\n";
        let kind = classified(Step::Update, printed);
        assert!(matches!(kind, ProvisionErrorKind::NoSuite(_)), "{kind:?}");
    }

    #[test]
    fn an_unknown_key() {
        let printed = "W: GPG error: http://deb.example.org/debian sid InRelease: The following signatures couldn't be verified because the public key is not available: NO_PUBKEY 6ED0E7B82643E131\n\
                       E: The repository 'http://deb.example.org/debian sid InRelease' is not signed.\n";
        match classified(Step::Update, printed) {
            ProvisionErrorKind::Signature(said) => assert!(said.contains("NO_PUBKEY"), "{said}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_mirror_that_is_being_updated() {
        let update = [
            "E: Failed to fetch http://deb.example.org/debian/dists/sid/main/binary-amd64/Packages.xz  File has unexpected size (10011 != 10012). Mirror sync in progress? [IP: 192.0.2.1 80]\n",
            "E: Failed to fetch store:/x/Packages.xz  Hash Sum mismatch\n",
            "E: Failed to fetch http://deb.example.org/debian/dists/sid/InRelease  503  Service Unavailable\n",
        ];
        for printed in update {
            let kind = classified(Step::Update, printed);
            assert!(
                matches!(kind, ProvisionErrorKind::MirrorMidUpdate(_)),
                "{kind:?}"
            );
        }
        let gone = "E: Failed to fetch http://deb.example.org/debian/pool/main/q/qemu/x.deb  404  Not Found [IP: 192.0.2.1 80]\n";
        let kind = classified(Step::Download, gone);
        assert!(
            matches!(kind, ProvisionErrorKind::MirrorMidUpdate(_)),
            "{kind:?}"
        );
        let half = "The following packages have unmet dependencies:\n qemu-system-x86 : Depends: libx\nE: Unable to correct problems, you have held broken packages.\n";
        let kind = classified(Step::Plan, half);
        assert!(
            matches!(kind, ProvisionErrorKind::MirrorMidUpdate(_)),
            "{kind:?}"
        );
    }

    #[test]
    fn a_package_that_the_suite_does_not_have() {
        for printed in [
            "E: Unable to locate package qemu-system-riscv\n",
            "E: Package 'qemu-system-x86' has no installation candidate\n",
        ] {
            let kind = classified(Step::Plan, printed);
            assert!(matches!(kind, ProvisionErrorKind::NoPackage(_)), "{kind:?}");
        }
    }

    #[test]
    fn credentials() {
        let printed = "E: Failed to fetch https://deb.example.org/debian/dists/sid/InRelease  401  Unauthorized [IP: 192.0.2.1 443]\n";
        let kind = classified(Step::Update, printed);
        assert!(matches!(kind, ProvisionErrorKind::Refused(_)), "{kind:?}");
    }

    #[test]
    fn a_full_disk_comes_before_everything_it_breaks() {
        let printed = "E: Failed to fetch http://deb.example.org/x.deb  404  Not Found\n\
                       E: Write error - write (28: No space left on device)\n";
        let kind = classified(Step::Download, printed);
        assert!(
            matches!(kind, ProvisionErrorKind::NoSpace { .. }),
            "{kind:?}"
        );
    }

    #[test]
    fn of_anything_else_apts_first_error_is_quoted() {
        let printed = "W: a warning\nE: Something\u{1b}[31m  new\nE: more\n";
        match classified(Step::Plan, printed) {
            ProvisionErrorKind::Tool(tool, said) => {
                assert_eq!(
                    (tool.as_str(), said.as_str()),
                    ("apt-get", "Something[31m new")
                );
            }
            other => panic!("{other:?}"),
        }
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
