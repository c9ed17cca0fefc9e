//! The order of finding, with QEMUs of script and an archive of closures.

use std::cell::RefCell;

use tempfile::TempDir;

use super::*;
use crate::probe::fake::{FakeQemu, program};

/// A cache with nothing in it, and directories for a search path.
struct Trial {
    directory: TempDir,
    cache: Cache,
    environment: Environment,
}

const WITHOUT: FakeQemu = FakeQemu {
    target: "x86_64",
    major: 7,
    qtest_accel: false,
};

impl Trial {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self {
            cache: Cache::at(directory.path().join("cache")).expect("writable"),
            directory,
            environment: Environment {
                path: None,
                own: None,
                qtest: None,
            },
        }
    }

    /// A QEMU in a directory of its own.
    fn qemu(&self, directory: &str, fake: FakeQemu) -> PathBuf {
        let directory = self.directory.path().join(directory);
        std::fs::create_dir(&directory).expect("writable");
        fake.write(&directory, "qemu-system-x86_64")
    }

    fn path(&mut self, directories: &[&str]) {
        let root = self.directory.path();
        let directories = directories.iter().map(|name| root.join(name));
        self.environment.path = Some(env::join_paths(directories).expect("no colons"));
    }

    fn find(&self, finder: &Finder) -> Result<Qemu, FindError> {
        finder.find_in(&self.environment, &self.cache, &|_| {
            panic!("nothing was to be fetched")
        })
    }

    /// With an archive that has some suites and is updating all others.
    fn fetch(&self, suites: &[(&str, FakeQemu)]) -> (Result<Qemu, FindError>, Vec<String>) {
        let asked = RefCell::new(Vec::new());
        let fetch = |suite: &Suite| {
            asked.borrow_mut().push(suite.to_string());
            let offer = suites.iter().find(|(name, _)| *name == suite.name());
            let updating = || {
                let kind = ProvisionErrorKind::MirrorMidUpdate("updating".to_owned());
                ProvisionError::new(kind).about(&[Arch::X86_64], Some(suite))
            };
            let (_, fake) = offer.ok_or_else(updating)?;
            Ok(Installed::fake(&self.cache, suite, *fake))
        };
        let finder = Finder::new(Arch::X86_64);
        let found = finder.find_in(&self.environment, &self.cache, &fetch);
        (found, asked.into_inner())
    }
}

/// What is there, and no more.
fn offline() -> Finder {
    Finder::new(Arch::X86_64).allow_network(false)
}

#[test]
fn the_option_comes_before_everything() {
    let mut trial = Trial::new();
    let option = trial.qemu("option", WITHOUT);
    trial.environment.own = Some(trial.qemu("own", FakeQemu::default()).into());
    trial.qemu("path", FakeQemu::default());
    trial.path(&["path"]);
    let qemu = trial
        .find(&offline().explicit(Some(option.clone())))
        .expect("named");
    assert_eq!(qemu.program, option);
    let by = "--qemu".to_owned();
    assert_eq!(qemu.origin, Origin::Named { by });
    assert_eq!(
        qemu.summary(),
        format!(
            "QEMU 7.0.0 (fake) for x86_64, {} (named by --qemu), without the qtest accelerator: no virtual clock",
            option.display()
        )
    );
}

#[test]
fn then_the_variable_of_the_architecture_then_the_one_of_qemus_tests() {
    let mut trial = Trial::new();
    let (own, qtest) = (
        trial.qemu("own", FakeQemu::default()),
        trial.qemu("qtest", WITHOUT),
    );
    trial.environment.own = Some(own.clone().into());
    trial.environment.qtest = Some(qtest.clone().into());
    assert_eq!(trial.find(&offline()).expect("named").program, own);
    trial.environment.own = None;
    let qemu = trial.find(&offline()).expect("named");
    assert_eq!(qemu.program, qtest);
    let by = "QTEST_QEMU_BINARY".to_owned();
    assert_eq!(qemu.origin, Origin::Named { by });
}

#[test]
fn a_named_binary_that_is_none_is_an_error_whatever_else_there_is() {
    let mut trial = Trial::new();
    trial.qemu("path", FakeQemu::default());
    trial.path(&["path"]);
    trial.environment.own = Some("/nonexistent/qemu".into());
    // With the network allowed: were it asked, the error would be another.
    let error = trial.find(&Finder::new(Arch::X86_64)).expect_err("missing");
    assert!(matches!(error.kind(), FindErrorKind::Missing), "{error}");
    assert_eq!(error.named(), Some("TESTJIG_QEMU_X86_64"));
    assert_eq!(
        error.to_string(),
        "failed to use /nonexistent/qemu (named by TESTJIG_QEMU_X86_64) as a QEMU: there is no such file"
    );
}

#[test]
fn a_bare_name_is_looked_for_on_path() {
    let mut trial = Trial::new();
    let program = trial.qemu("path", WITHOUT);
    trial.path(&["path"]);
    trial.environment.qtest = Some("qemu-system-x86_64".into());
    assert_eq!(trial.find(&offline()).expect("named").program, program);
}

#[test]
fn the_first_on_path_that_has_the_accelerator() {
    let mut trial = Trial::new();
    let without = trial.qemu("without", WITHOUT);
    let with = trial.qemu("with", FakeQemu::default());
    trial.path(&["without", "with"]);
    let qemu = trial.find(&offline()).expect("the second");
    assert_eq!((&qemu.program, &qemu.origin), (&with, &Origin::Path));
    assert_eq!(
        qemu.passed_over,
        [format!(
            "{} (QEMU 7.0.0 (fake)) has no qtest accelerator",
            without.display()
        )]
    );
    assert!(
        qemu.summary().ends_with("has no qtest accelerator"),
        "{}",
        qemu.summary()
    );
}

#[test]
fn one_without_it_only_where_that_will_do() {
    let mut trial = Trial::new();
    let without = trial.qemu("without", WITHOUT);
    trial.path(&["without"]);
    let error = trial
        .find(&offline())
        .expect_err("the accelerator is wanted");
    let text = error.to_string();
    assert!(
        matches!(error.kind(), FindErrorKind::NotFound { .. }),
        "{text}"
    );
    assert!(text.contains("has no qtest accelerator"), "{text}");
    assert!(text.contains("jig setup --arch x86_64"), "{text}");
    let qemu = trial
        .find(&offline().without_accel_ok(true))
        .expect("it will do");
    assert_eq!(qemu.program, without);
}

#[test]
fn one_for_another_architecture_under_the_name_on_path_is_passed_over() {
    let mut trial = Trial::new();
    let other = FakeQemu {
        target: "aarch64",
        ..FakeQemu::default()
    };
    trial.qemu("path", other);
    trial.path(&["path"]);
    let text = trial.find(&offline()).expect_err("none").to_string();
    assert!(
        text.contains("it emulates aarch64, wanted is x86_64"),
        "{text}"
    );
}

#[test]
fn the_variable_of_qemus_tests_may_be_for_another_architecture() {
    let mut trial = Trial::new();
    let other = FakeQemu {
        target: "aarch64",
        ..FakeQemu::default()
    };
    trial.environment.qtest = Some(trial.qemu("qtest", other).into());
    let program = trial.qemu("path", FakeQemu::default());
    trial.path(&["path"]);
    assert_eq!(trial.find(&offline()).expect("on PATH").program, program);
    // Something is named, so the network is not asked.
    trial.path(&[]);
    let error = trial.find(&Finder::new(Arch::X86_64)).expect_err("none");
    assert!(
        matches!(error.kind(), FindErrorKind::NotFound { .. }),
        "{error}"
    );
}

#[test]
fn a_named_suite_leaves_path_aside() {
    let mut trial = Trial::new();
    trial.qemu("path", FakeQemu::default());
    trial.path(&["path"]);
    let finder = offline().suite(Some(Suite::sid()));
    let error = trial.find(&finder).expect_err("nothing is provisioned");
    assert!(
        matches!(error.kind(), FindErrorKind::NotFound { .. }),
        "{error}"
    );
}

#[test]
fn what_was_found_travels_as_json() {
    let mut trial = Trial::new();
    trial.qemu("path", FakeQemu::default());
    trial.path(&["path"]);
    let qemu = trial.find(&offline()).expect("on PATH");
    let json = serde_json::to_string(&qemu).expect("plain data");
    assert_eq!(
        serde_json::from_str::<Qemu>(&json).expect("our own text"),
        qemu
    );
}

#[test]
fn a_binary_that_is_no_qemu_is_told_with_what_it_printed() {
    let mut trial = Trial::new();
    let mut refused_for = |script: &str| {
        let file = trial.directory.path().join("program");
        program(&file, script);
        trial.environment.own = Some(file.into());
        trial.find(&offline()).expect_err("no QEMU").to_string()
    };
    let silent = refused_for("#!/bin/sh\nexit 0\n");
    assert!(silent.ends_with("it printed nothing"), "{silent}");
    let talking = refused_for("#!/bin/sh\necho hello\n");
    assert!(talking.contains("it printed \"hello"), "{talking}");
}

#[test]
fn where_there_is_none_it_is_fetched_from_sid() {
    let trial = Trial::new();
    let (found, asked) = trial.fetch(&[("sid", FakeQemu::default())]);
    let qemu = found.expect("fetched");
    assert_eq!(asked, ["sid"]);
    let suite = "sid".to_owned();
    assert_eq!(qemu.origin, Origin::Provisioned { suite });
    assert_eq!(qemu.passed_over, ["there is no qemu-system-x86_64 on PATH"]);
    // The next run asks nobody.
    let again = trial.find(&Finder::new(Arch::X86_64)).expect("it is there");
    assert_eq!(again, qemu);
    // Nor does one that names the suite.
    let named = Finder::new(Arch::X86_64).suite(Some(Suite::sid()));
    assert_eq!(
        trial.find(&named).expect("it is there").program,
        qemu.program
    );
}

#[test]
fn while_sid_is_being_updated_the_next_suite_with_the_accelerator_will_do() {
    let trial = Trial::new();
    let suites = [
        ("testing", WITHOUT),
        ("stable-backports", FakeQemu::default()),
    ];
    let (found, asked) = trial.fetch(&suites);
    let qemu = found.expect("the third suite");
    assert_eq!(asked, ["sid", "testing", "stable-backports"]);
    let summary = qemu.summary();
    assert!(
        summary.contains("provisioned from Debian stable-backports"),
        "{summary}"
    );
    assert!(
        summary.contains("from Debian's sid: the archive is being updated"),
        "{summary}"
    );
    let lacking =
        "the provisioned one of Debian testing (QEMU 7.0.0 (fake)) has no qtest accelerator";
    assert!(summary.contains(lacking), "{summary}");
}

#[test]
fn where_no_suite_has_the_accelerator_the_error_is_that_of_the_first() {
    let trial = Trial::new();
    let (found, asked) = trial.fetch(&[("testing", WITHOUT)]);
    let error = found.expect_err("none will do");
    assert_eq!(asked, ["sid", "testing", "stable-backports"]);
    let text = error.to_string();
    let FindErrorKind::Provision { error, .. } = error.kind() else {
        panic!("{text}");
    };
    let kind = error.kind();
    assert!(
        matches!(kind, ProvisionErrorKind::MirrorMidUpdate(_)),
        "{text}"
    );
    assert!(text.contains("may lack the qtest accelerator"), "{text}");
    // It is there now, for those whom it will do.
    let finder = offline().without_accel_ok(true);
    let qemu = trial.find(&finder).expect("it will do");
    assert!(!qemu.caps.qtest_accel);
}

#[test]
fn without_a_network_no_further_suite_is_asked() {
    let trial = Trial::new();
    let asked = RefCell::new(0);
    let fetch = |_: &Suite| {
        *asked.borrow_mut() += 1;
        let kind = ProvisionErrorKind::NoNetwork("no route".to_owned());
        Err(ProvisionError::new(kind))
    };
    let finder = Finder::new(Arch::X86_64);
    let found = finder.find_in(&trial.environment, &trial.cache, &fetch);
    let text = found.expect_err("no network").to_string();
    assert!(text.contains("cannot be reached (no route)"), "{text}");
    assert_eq!(asked.into_inner(), 1);
}
