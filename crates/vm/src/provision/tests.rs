//! Fetching from beginning to end, with programs of script in the place of apt and dpkg.

mod removal;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::fetch::{Request, WORK};
use super::lock::Lock;
use super::sources::{self, Source};
use super::tools::Tools;
use super::*;
use crate::probe::fake::{FakeQemu, program};

/// Plays apt-get: `plan` lists what `install` would fetch, `pool` holds the files, `trouble` is
/// run first, and `log` tells which commands came.
const APT_GET: &str = r#"#!/usr/bin/env bash
archive=@ARCHIVE@
for word in "$@"; do
    case $word in
        APT::Status-Fd=*) fd=${word#*=} ;;
        update) command=update ;;
        install) command=plan ;;
        download) command=download ;;
    esac
done
echo "$command" >> "$archive/log"
[ -f "$archive/trouble" ] && . "$archive/trouble"
case $command in
    plan) cat "$archive/plan" ;;
    download)
        echo "dlstatus:1:50.0000:Retrieving file 1" >&"$fd"
        for word in "$@"; do
            case $word in
                *=*) [ -d "$archive/pool/${word%%=*}" ] && cp "$archive/pool/${word%%=*}/"*.deb . ;;
            esac
        done ;;
esac
exit 0
"#;

/// Plays dpkg-deb -x: a "package" is a script that is run in the root.
const DPKG_DEB: &str = r#"#!/usr/bin/env bash
cd "$3" && . "$2"
"#;

struct Trial {
    directory: TempDir,
    cache: Cache,
    tools: Tools,
    suite: Suite,
}

/// Records what it is told.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Progress for Told {
    fn stage(&self, what: &str) {
        self.0.lock().expect("no panic").push(what.to_owned());
    }
    fn bytes(&self, done: u64, total: u64) {
        assert!(done <= total, "{done} of {total}");
    }
    fn done(&self) {}
}

impl Trial {
    /// An archive with a QEMU for x86_64 in it.
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let archive = directory.path().join("archive");
        fs::create_dir_all(archive.join("pool")).expect("writable");
        let (apt_get, dpkg_deb) = (archive.join("apt-get"), archive.join("dpkg-deb"));
        program(
            &apt_get,
            &APT_GET.replace("@ARCHIVE@", &archive.to_string_lossy()),
        );
        program(&dpkg_deb, DPKG_DEB);
        let source = Source {
            uris: vec!["http://deb.example.org/debian".to_owned()],
            suites: vec!["stable".to_owned()],
            components: vec!["main".to_owned()],
            trust: Vec::new(),
        };
        let trial = Self {
            cache: Cache::at(directory.path().join("cache")).expect("writable"),
            directory,
            tools: Tools {
                apt_get,
                dpkg_deb,
                dpkg_arch: "amd64".to_owned(),
                archives: sources::debian(&[source], None),
            },
            suite: Suite::sid(),
        };
        trial.publish_all("11", &[Arch::X86_64]);
        trial
    }

    fn archive(&self, name: &str) -> PathBuf {
        self.directory.path().join("archive").join(name)
    }

    /// Puts a package into the archive and into the plan.
    fn publish(&self, name: &str, version: &str, script: &str) {
        let pool = self.archive("pool").join(name);
        let _ = fs::remove_dir_all(&pool);
        fs::create_dir(&pool).expect("writable");
        let file = format!("{name}_1%3a{version}_amd64.deb");
        fs::write(pool.join(&file), script).expect("writable");
        let hash = const_hex::encode(Sha256::digest(script));
        let line = format!("'http://x/{file}' {file} {} SHA256:{hash}", script.len());
        let plan = self.archive("plan");
        let old = fs::read_to_string(&plan).unwrap_or_default();
        let others = old
            .lines()
            .filter(|line| !line.contains(&format!(" {name}_")));
        let lines: Vec<&str> = others.chain([line.as_str()]).collect();
        fs::write(&plan, lines.join("\n")).expect("writable");
    }

    /// What a release has: a C library whose loader is the fake QEMU, the common files, and a
    /// package for each architecture.
    fn publish_all(&self, version: &str, archs: &[Arch]) {
        let fake = FakeQemu::default().script();
        let library = format!(
            "mkdir -p usr/lib/x && echo > usr/lib/x/libc.so.6 && cat > usr/lib/x/ld-x.so.2 <<'END'\n{fake}END\n\
             chmod 755 usr/lib/x/ld-x.so.2\n"
        );
        self.publish("libc6", version, &library);
        self.publish("systemd", version, "exit 1\n");
        self.publish(
            "qemu-system-common",
            version,
            &format!("mkdir -p usr/share/qemu && echo {version} > usr/share/qemu/version\n"),
        );
        for arch in archs {
            self.publish_qemu(suite::packages(*arch)[0], *arch, version);
        }
    }

    fn publish_qemu(&self, package: &str, arch: Arch, version: &str) {
        let script = format!(
            "mkdir -p usr/bin && printf '\\177ELF' > usr/bin/{}\n",
            arch.binary_name()
        );
        self.publish(package, version, &script);
    }

    fn trouble(&self, script: &str) {
        fs::write(self.archive("trouble"), script).expect("writable");
    }

    fn log(&self) -> Vec<String> {
        let log = fs::read_to_string(self.archive("log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    fn count(&self, command: &str) -> usize {
        self.log().iter().filter(|line| *line == command).count()
    }

    fn fetch(&self, archs: &[Arch], fresh: bool) -> Result<Installed, ProvisionErrorKind> {
        self.fetch_watched(archs, fresh, &Silent)
    }

    fn fetch_watched(
        &self,
        archs: &[Arch],
        fresh: bool,
        progress: &dyn Progress,
    ) -> Result<Installed, ProvisionErrorKind> {
        let request = Request {
            archs,
            suite: &self.suite,
            tools: &self.tools,
            cache: &self.cache,
            progress,
            fresh,
        };
        request.fulfil().map_err(ProvisionError::into_kind)
    }

    /// What lies beside complete roots.
    fn remains(&self) -> Vec<PathBuf> {
        let homes = fs::read_dir(self.cache.provisioned()).expect("it is there");
        homes
            .map(|home| home.expect("readable").path())
            .filter(|home| home.is_dir())
            .flat_map(|home| fs::read_dir(home).expect("readable"))
            .map(|entry| entry.expect("readable").path())
            .filter(|path| path.join("manifest.json").metadata().is_err())
            .collect()
    }
}

fn names(installed: &Installed) -> Vec<&str> {
    let packages = installed.manifest().packages.iter();
    packages.map(|package| package.name.as_str()).collect()
}

#[test]
fn from_nothing_to_a_qemu_that_answers() {
    let trial = Trial::new();
    let told = Told::default();
    let installed = trial
        .fetch_watched(&[Arch::X86_64], false, &told)
        .expect("fetched");
    assert_eq!(trial.log(), ["update", "plan", "download"]);
    assert_eq!(installed.archs(), [Arch::X86_64]);
    assert_eq!(
        names(&installed),
        ["libc6", "qemu-system-common", "qemu-system-x86"]
    );
    let manifest = installed.manifest();
    assert_eq!(
        (manifest.suite.name(), manifest.version.as_str()),
        ("sid", "1:11")
    );
    assert!(
        manifest
            .source
            .contains("URIs: http://deb.example.org/debian\nSuites: sid\n")
    );
    assert!(manifest.time > 1_700_000_000);
    assert!(installed.directory().ends_with("qemu/sid-amd64/11"));
    assert_eq!(trial.remains(), Vec::<PathBuf>::new());
    assert_eq!(
        *told.0.lock().expect("no panic"),
        [
            "reading the package lists of Debian sid",
            "downloading 3 packages",
            "unpacking 3 packages"
        ]
    );

    let qemu = installed
        .qemu(Arch::X86_64, &trial.cache)
        .expect("it answers");
    assert!(qemu.caps.qtest_accel);
    assert_eq!(qemu.program, installed.root().join("usr/lib/x/ld-x.so.2"));
    assert_eq!(
        qemu.summary(),
        "QEMU 11.0.0 (fake) for x86_64, provisioned from Debian sid"
    );
    assert_eq!(list(&trial.cache), [installed]);
}

#[test]
fn what_is_there_is_not_fetched_again() {
    let trial = Trial::new();
    let first = trial.fetch(&[Arch::X86_64], false).expect("fetched");
    let again = trial.fetch(&[Arch::X86_64], false).expect("there");
    assert_eq!(first, again);
    assert_eq!(trial.count("update"), 1);
}

#[test]
fn a_further_architecture_adds_what_is_missing_to_the_same_root() {
    let trial = Trial::new();
    let first = trial.fetch(&[Arch::X86_64], false).expect("fetched");
    trial.publish_all("11", &[Arch::X86_64, Arch::Aarch64]);
    // Fails if a package that is there is fetched: it is not in the pool any more.
    fs::remove_dir_all(trial.archive("pool/libc6")).expect("writable");
    let second = trial.fetch(&[Arch::Aarch64], false).expect("added");
    assert_eq!(second.directory(), first.directory());
    assert_eq!(second.archs(), [Arch::X86_64, Arch::Aarch64]);
    assert_eq!(second.manifest().packages.len(), 4);
    assert_eq!(trial.remains(), Vec::<PathBuf>::new());
    second
        .qemu(Arch::X86_64, &trial.cache)
        .expect("it still answers");
}

#[test]
fn packages_of_another_version_are_not_mixed_into_a_root() {
    let trial = Trial::new();
    let old = trial.fetch(&[Arch::X86_64], false).expect("fetched");
    trial.publish_all("12", &[Arch::X86_64, Arch::Aarch64]);
    let new = trial.fetch(&[Arch::Aarch64], false).expect("fetched");
    assert_ne!(new.directory(), old.directory());
    assert_eq!(new.archs(), [Arch::X86_64, Arch::Aarch64]);
    let version = |root: &Installed| fs::read_to_string(root.root().join("usr/share/qemu/version"));
    assert_eq!(version(&old).expect("untouched"), "11\n");
    assert_eq!(version(&new).expect("complete"), "12\n");
    assert_eq!(list(&trial.cache).len(), 2);
}

#[test]
fn the_same_qemu_with_other_libraries_gets_a_root_of_its_own() {
    let trial = Trial::new();
    let old = trial.fetch(&[Arch::X86_64], false).expect("fetched");
    let library = fs::read_dir(trial.archive("pool/libc6"))
        .expect("readable")
        .next();
    let library = library.expect("one file").expect("readable").path();
    let script = fs::read_to_string(library).expect("readable");
    trial.publish("libc6", "11.1", &script);
    let new = trial.fetch(&[Arch::X86_64], true).expect("fetched");
    assert!(old.directory().ends_with("11"));
    assert!(new.directory().ends_with("11.2"));
    old.qemu(Arch::X86_64, &trial.cache).expect("untouched");
}

#[test]
fn a_refresh_takes_what_the_suite_has_now() {
    let trial = Trial::new();
    trial.fetch(&[Arch::X86_64], false).expect("fetched");
    trial.publish_all("12", &[Arch::X86_64]);
    let new = trial.fetch(&[Arch::X86_64], true).expect("fetched");
    assert_eq!(new.manifest().version, "1:12");
    // Unchanged, it fetches nothing.
    let downloads = trial.count("download");
    let same = trial.fetch(&[Arch::X86_64], true).expect("there");
    assert_eq!(same.directory(), new.directory());
    assert_eq!(trial.count("download"), downloads);
}

#[test]
fn a_mirror_that_is_being_updated_is_asked_again() {
    let trial = Trial::new();
    trial.trouble(
        "if [ $command = download ] && [ $(grep -c download $archive/log) = 1 ]; then \
         echo 'E: Failed to fetch http://x/y.deb  404  Not Found' >&2; exit 100; fi\n",
    );
    trial
        .fetch(&[Arch::X86_64], false)
        .expect("the second attempt");
    assert_eq!(
        trial.log(),
        ["update", "plan", "download", "update", "plan", "download"]
    );
}

#[test]
fn a_mirror_that_stays_so_is_given_up() {
    let trial = Trial::new();
    trial.trouble("echo 'E: Failed to fetch store:/x  Hash Sum mismatch' >&2; exit 100\n");
    let kind = trial
        .fetch(&[Arch::X86_64], false)
        .expect_err("never in order");
    assert!(
        matches!(kind, ProvisionErrorKind::MirrorMidUpdate(_)),
        "{kind:?}"
    );
    assert_eq!(trial.log(), ["update"; 3]);
    assert_eq!(list(&trial.cache), []);
}

/// A file of the length that the index says, with another content.
fn evil(trial: &Trial) -> String {
    let file = "qemu-system-common_1%3a11_amd64.deb";
    let size = fs::metadata(trial.archive("pool/qemu-system-common").join(file)).expect("there");
    let other = "touch EVIL #".to_owned() + &" ".repeat(size.len() as usize - 12);
    fs::write(trial.archive("evil"), other).expect("writable");
    file.to_owned()
}

#[test]
fn a_file_with_another_checksum_is_never_unpacked() {
    let trial = Trial::new();
    let file = evil(&trial);
    trial.trouble(&format!(
        "if [ $command = download ]; then cp $archive/pool/*/*.deb .; cp $archive/evil '{file}'; exit 0; fi\n"
    ));
    match trial
        .fetch(&[Arch::X86_64], false)
        .expect_err("a wrong checksum")
    {
        ProvisionErrorKind::MirrorMidUpdate(said) => assert!(said.starts_with(&file), "{said}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(list(&trial.cache), []);
}

#[test]
fn a_leftover_with_another_checksum_is_fetched_again() {
    let trial = Trial::new();
    let file = evil(&trial);
    trial.trouble(&format!(
        "if [ $command = download ] && [ $(grep -c download $archive/log) = 1 ]; then \
         cp $archive/evil '{file}'; echo 'E: x  Could not connect to x' >&2; exit 100; fi\n\
         [ -f '{file}' ] && echo EVIL >> $archive/log\n"
    ));
    trial
        .fetch(&[Arch::X86_64], false)
        .expect_err("interrupted");
    let installed = trial.fetch(&[Arch::X86_64], false).expect("all is fetched");
    assert!(!installed.root().join("EVIL").exists());
    // apt would take it for the file: it is not shown to the second download.
    let log = trial.log();
    assert_eq!(log[log.len() - 2..], ["EVIL", "download"], "{log:?}");
}

#[test]
fn an_interrupted_download_goes_on() {
    let trial = Trial::new();
    trial.trouble(
        "if [ $command = download ]; then cp $archive/pool/libc6/*.deb .; \
         echo 'E: Failed to fetch http://x/y  Could not connect to x' >&2; exit 100; fi\n",
    );
    let kind = trial
        .fetch(&[Arch::X86_64], false)
        .expect_err("interrupted");
    assert!(matches!(kind, ProvisionErrorKind::NoNetwork(_)), "{kind:?}");
    assert_eq!(unfinished(&trial.cache).len(), 1);
    fs::remove_file(trial.archive("trouble")).expect("writable");
    // Fails if it is fetched again.
    fs::remove_dir_all(trial.archive("pool/libc6")).expect("writable");
    trial.fetch(&[Arch::X86_64], false).expect("the rest");
    assert_eq!(trial.remains(), Vec::<PathBuf>::new());
}

#[test]
fn a_disk_that_fills_up_is_named_and_left_as_it_was() {
    for command in ["update", "plan", "download"] {
        let trial = Trial::new();
        trial.trouble(&format!(
            "if [ $command = {command} ]; then echo half > a.deb; \
             echo 'E: Write error - write (28: No space left on device)' >&2; exit 100; fi\n"
        ));
        let kind = trial.fetch(&[Arch::X86_64], false).expect_err("full");
        match kind {
            ProvisionErrorKind::NoSpace { path, .. } => assert_eq!(path, trial.cache.provisioned()),
            other => panic!("{other:?}"),
        }
        assert_eq!(trial.remains(), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_disk_that_fills_up_while_unpacking_leaves_no_root() {
    let trial = Trial::new();
    trial.publish(
        "qemu-system-common",
        "11",
        "mkdir -p usr; echo 'tar: usr/x: Cannot write: No space left on device' >&2; exit 2\n",
    );
    let kind = trial.fetch(&[Arch::X86_64], false).expect_err("full");
    assert!(
        matches!(kind, ProvisionErrorKind::NoSpace { .. }),
        "{kind:?}"
    );
    assert_eq!(trial.remains(), Vec::<PathBuf>::new());
    assert_eq!(list(&trial.cache), []);
}

#[test]
fn a_package_that_does_not_unpack_leaves_no_root() {
    let trial = Trial::new();
    trial.publish("qemu-system-common", "11", "echo damaged >&2; exit 2\n");
    match trial.fetch(&[Arch::X86_64], false).expect_err("damaged") {
        ProvisionErrorKind::Tool(tool, said) => {
            assert_eq!((tool.as_str(), said.as_str()), ("dpkg-deb", "damaged"));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(list(&trial.cache), []);
}

#[test]
fn a_suite_whose_package_lacks_the_binary_is_told() {
    let trial = Trial::new();
    let kind = trial
        .fetch(&[Arch::Sparc], false)
        .expect_err("only x86_64 is there");
    match kind {
        ProvisionErrorKind::NoPackage(said) => {
            assert_eq!(said, "its packages hold no qemu-system-sparc");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn where_a_suite_has_no_package_of_that_name_the_older_one_is_tried() {
    let trial = Trial::new();
    trial.publish_qemu("qemu-system-misc", Arch::Riscv64, "11");
    trial.trouble(
        "case \"$*\" in *qemu-system-riscv*) echo 'E: Unable to locate package qemu-system-riscv' >&2; exit 100;; esac\n",
    );
    trial
        .fetch(&[Arch::Riscv64], false)
        .expect("from the older package");
    assert_eq!(trial.log(), ["update", "plan", "plan", "download"]);
}

#[test]
fn the_next_archive_is_asked_if_one_does_not_have_the_suite() {
    let mut trial = Trial::new();
    let source = |uri: &str| Source {
        uris: vec![uri.to_owned()],
        suites: vec!["stable".to_owned()],
        components: vec!["main".to_owned()],
        trust: Vec::new(),
    };
    let sources = [
        source("http://vendor/debian"),
        source("http://mirror/debian"),
    ];
    trial.tools.archives = sources::debian(&sources, None);
    trial.trouble(
        "if grep -q vendor \"${3%/*}/testjig.sources\"; then \
         echo \"E: The repository 'x' does not have a Release file.\" >&2; exit 100; fi\n",
    );
    let installed = trial
        .fetch(&[Arch::X86_64], false)
        .expect("the second archive");
    assert!(installed.manifest().source.contains("http://mirror/debian"));
    assert_eq!(trial.log(), ["update", "update", "plan", "download"]);
}

#[test]
fn of_two_at_a_time_one_fetches_and_both_have_it() {
    let trial = Trial::new();
    let both = std::thread::scope(|scope| {
        let fetch = || trial.fetch(&[Arch::X86_64], false).expect("fetched");
        let one = scope.spawn(fetch);
        let other = scope.spawn(fetch);
        [
            one.join().expect("no panic"),
            other.join().expect("no panic"),
        ]
    });
    assert_eq!(both[0], both[1]);
    assert_eq!(trial.log(), ["update", "plan", "download"]);
}

#[test]
fn what_a_killed_process_left_is_never_used_and_goes_with_the_next_fetch() {
    let trial = Trial::new();
    let home = trial.cache.provisioned().join("sid-amd64");
    let half = home.join(".staging-killed");
    fs::create_dir_all(half.join("root/usr/bin")).expect("writable");
    fs::write(half.join("root/usr/bin/qemu-system-x86_64"), b"\x7fELF").expect("writable");
    fs::write(half.join("manifest.json"), "{").expect("writable");
    // Not a beginning of ours, but no root either.
    fs::create_dir_all(home.join("11.0/root")).expect("writable");
    assert_eq!(list(&trial.cache), []);
    let installed = trial.fetch(&[Arch::X86_64], false).expect("fetched");
    assert!(!half.exists());
    assert_eq!(list(&trial.cache), [installed]);
}

#[test]
fn a_cache_whose_path_the_loader_would_cut_is_refused() {
    let mut trial = Trial::new();
    trial.cache = Cache::at(trial.directory.path().join("a:b")).expect("writable");
    let kind = trial.fetch(&[Arch::X86_64], false).expect_err("a colon");
    assert!(matches!(kind, ProvisionErrorKind::CachePath(_)), "{kind:?}");
    assert_eq!(trial.log(), Vec::<String>::new());
}

#[test]
fn the_root_of_another_kind_of_machine_is_not_used_here() {
    let trial = Trial::new();
    let installed = trial.fetch(&[Arch::X86_64], false).expect("fetched");
    let file = installed.directory().join("manifest.json");
    let text = fs::read_to_string(&file).expect("readable");
    let other = text.replace(std::env::consts::ARCH, "sparc");
    // The architecture of the machine, not that of the package's name.
    let other = other.replace(
        "qemu-system-sparc",
        &format!("qemu-system-{}", std::env::consts::ARCH),
    );
    fs::write(&file, other).expect("writable");
    assert_eq!(newest(&trial.cache, &trial.suite, &[Arch::X86_64]), None);
    assert_eq!(list(&trial.cache).len(), 1);
}

#[test]
fn the_system_s_words_for_a_full_disk_and_a_locked_one() {
    use std::io::{Error, ErrorKind};
    let of = |kind: ErrorKind| {
        ProvisionError::io("write", Path::new("/"), Error::from(kind)).into_kind()
    };
    assert!(matches!(
        of(ErrorKind::StorageFull),
        ProvisionErrorKind::NoSpace { .. }
    ));
    assert!(matches!(
        of(ErrorKind::QuotaExceeded),
        ProvisionErrorKind::NoSpace { .. }
    ));
    let locked = of(ErrorKind::ReadOnlyFilesystem);
    assert!(
        matches!(locked, ProvisionErrorKind::CacheNotWritable { .. }),
        "{locked:?}"
    );
    assert!(matches!(
        of(ErrorKind::NotFound),
        ProvisionErrorKind::Io(..)
    ));
}

#[test]
fn every_error_says_what_where_and_what_to_do() {
    let said = || "said".to_owned();
    let kinds = [
        ProvisionErrorKind::NoApt("apt-get".to_owned()),
        ProvisionErrorKind::NotDebian,
        ProvisionErrorKind::NoNetwork(said()),
        ProvisionErrorKind::Refused(said()),
        ProvisionErrorKind::NoSuite(said()),
        ProvisionErrorKind::NoPackage(said()),
        ProvisionErrorKind::MirrorMidUpdate(said()),
        ProvisionErrorKind::Signature(said()),
        ProvisionErrorKind::NoAccelerator(said()),
        ProvisionErrorKind::Stalled(180, said()),
        ProvisionErrorKind::Tool("tool".to_owned(), said()),
    ];
    for kind in kinds {
        let error = ProvisionError::new(kind).about(&[Arch::S390x], Some(&Suite::sid()));
        let text = error.to_string();
        assert!(
            text.starts_with("failed to fetch a QEMU for s390x from Debian's sid: "),
            "{text}"
        );
        assert!(text.contains("--qemu or TESTJIG_QEMU_S390X"), "{text}");
        assert!(text.ends_with(&error.advice()), "{text}");
        assert!(!text.contains('\n'), "{text}");
    }
    let full = ProvisionError::no_space(Path::new("/"), Some(1_500_000)).to_string();
    assert!(
        full.contains("no space is left in / (2 MB are needed"),
        "{full}"
    );
}

#[test]
fn the_state_of_apt_is_in_the_work_directory_alone() {
    let trial = Trial::new();
    trial.trouble("[ $command = update ] && cp \"$3\" $archive/conf\n");
    trial.fetch(&[Arch::X86_64], false).expect("fetched");
    let text = fs::read_to_string(trial.archive("conf")).expect("apt was given it");
    let work = trial.cache.provisioned().join("sid-amd64").join(WORK);
    for option in [
        "Dir::State ",
        "Dir::State::status ",
        "Dir::Cache ",
        "Dir::Etc::sourcelist ",
        "Dir::Log ",
    ] {
        let line = text
            .lines()
            .find(|line| line.starts_with(option))
            .expect(option);
        assert!(line.contains(&*work.to_string_lossy()), "{line}");
    }
    // The machine's own: how to reach archives, and whom to trust.
    for option in [
        "Dir::Etc::parts",
        "Dir::Etc::trusted",
        "Dir::Etc::netrc",
        "Acquire::http",
    ] {
        assert!(!text.contains(option), "{option}");
    }
}
