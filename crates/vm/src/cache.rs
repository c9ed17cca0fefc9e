//! Where testjig keeps what it need not find out twice: [`Cache`].

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A writable directory of testjig's own, in the user's cache.
///
/// It holds what probing found out about QEMU binaries and the QEMUs that were provisioned. All of
/// it can be deleted at any time.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
    notice: Option<String>,
    remembered_only: bool,
}

impl Cache {
    /// Opens, and creates where it is missing, the first of these that can be written to:
    /// `$XDG_CACHE_HOME/testjig`, `$HOME/.cache/testjig`, and `testjig/cache` in the build
    /// directory (`$CARGO_TARGET_DIR`, else the `target` of the workspace around the current
    /// directory, else `./target`).
    ///
    /// Landing in the last, or passing over one that cannot be written to, is said in
    /// [`notice`](Self::notice).
    ///
    /// # Errors
    /// If none of them can be written to; the error names each with its reason.
    pub fn open() -> Result<Self, CacheError> {
        Self::open_in(&Surroundings {
            xdg: env::var_os("XDG_CACHE_HOME"),
            home: env::var_os("HOME"),
            target: build_directory(),
        })
    }

    /// Opens, and creates where it is missing, a cache at a place of the caller's choice.
    ///
    /// # Errors
    /// If it cannot be created or written to.
    pub fn at(root: impl Into<PathBuf>) -> Result<Self, CacheError> {
        let root = root.into();
        match writable(&root) {
            Ok(root) => Ok(Self {
                root,
                notice: None,
                remembered_only: false,
            }),
            Err(error) => Err(CacheError {
                tried: vec![(root, error)],
            }),
        }
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// One line to show to the user if the cache is not where they would look for it.
    pub fn notice(&self) -> Option<&str> {
        self.notice.as_deref()
    }

    /// The same cache for whoever must start no QEMU: a binary that was not probed before then can't be had
    /// ([`NotProbed`](crate::FindErrorKind::NotProbed)).
    #[must_use]
    pub fn remembered_only(mut self) -> Self {
        self.remembered_only = true;
        self
    }

    pub(crate) fn is_remembered_only(&self) -> bool {
        self.remembered_only
    }

    /// What probing found out, one file a binary.
    pub(crate) fn probes(&self) -> PathBuf {
        self.root.join("probe")
    }

    /// The provisioned QEMUs.
    pub(crate) fn provisioned(&self) -> PathBuf {
        self.root.join("qemu")
    }

    /// What guests boot, and machines that have booted it.
    pub fn guests(&self) -> PathBuf {
        self.root.join("guest")
    }

    fn open_in(surroundings: &Surroundings) -> Result<Self, CacheError> {
        let mut passed_over = Vec::new();
        let mut tried = Vec::new();
        for (name, place) in surroundings.places() {
            let place = match place {
                Ok(place) => place,
                Err(why) => {
                    passed_over.push(why);
                    continue;
                }
            };
            match writable(&place) {
                Ok(root) => {
                    let last = name == TARGET;
                    let notice = (last || !tried.is_empty()).then(|| {
                        format!(
                            "the cache is {}: {}",
                            root.display(),
                            passed_over.join("; ")
                        )
                    });
                    return Ok(Self {
                        root,
                        notice,
                        remembered_only: false,
                    });
                }
                Err(error) => {
                    passed_over.push(format!(
                        "{} ({name}) cannot be written to: {error}",
                        place.display()
                    ));
                    tried.push((place, error));
                }
            }
        }
        Err(CacheError { tried })
    }
}

const TARGET: &str = "build directory";

/// What of the environment decides where the cache is.
struct Surroundings {
    xdg: Option<OsString>,
    home: Option<OsString>,
    target: PathBuf,
}

impl Surroundings {
    /// The places in order, or why there is none.
    fn places(&self) -> [(&'static str, Result<PathBuf, String>); 3] {
        // "All paths set in these environment variables must be absolute. If an implementation
        // encounters a relative path in any of these variables it should consider the path invalid
        // and ignore it." (XDG Base Directory Specification)
        let variable = |name: &str, value: &Option<OsString>| match value {
            Some(value) if Path::new(value).is_absolute() => Ok(PathBuf::from(value)),
            Some(value) if value.is_empty() => Err(format!("{name} is empty")),
            Some(_) => Err(format!("{name} is not an absolute path")),
            None => Err(format!("{name} is not set")),
        };
        [
            (
                "XDG_CACHE_HOME",
                variable("XDG_CACHE_HOME", &self.xdg).map(|dir| dir.join("testjig")),
            ),
            (
                "HOME",
                variable("HOME", &self.home).map(|dir| dir.join(".cache/testjig")),
            ),
            (TARGET, Ok(self.target.join("testjig/cache"))),
        ]
    }
}

/// Cargo's build directory as seen from the current one.
fn build_directory() -> PathBuf {
    if let Some(dir) = env::var_os("CARGO_TARGET_DIR").filter(|dir| !dir.is_empty()) {
        return dir.into();
    }
    let here = env::current_dir().unwrap_or_default();
    // A test binary runs in its package's directory, `cargo run` where it was typed.
    let workspace = here.ancestors().find(|dir| dir.join("Cargo.lock").exists());
    workspace.unwrap_or(&here).join("target")
}

/// Creates `root`, and in it a file without a name.
fn writable(root: &Path) -> io::Result<PathBuf> {
    fs::create_dir_all(root)?;
    let root = root.canonicalize()?;
    tempfile::tempfile_in(&root)?;
    Ok(root)
}

/// No place for the cache: each that was tried, with its reason.
#[derive(Debug)]
pub struct CacheError {
    tried: Vec<(PathBuf, io::Error)>,
}

impl CacheError {
    /// The directories that were tried, with what came back.
    pub fn tried(&self) -> &[(PathBuf, io::Error)] {
        &self.tried
    }
}

impl fmt::Display for CacheError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "failed to find a place for the cache: ")?;
        for (path, error) in &self.tried {
            write!(f, "{} cannot be written to ({error}); ", path.display())?;
        }
        write!(f, "set XDG_CACHE_HOME to a directory that can")
    }
}

impl std::error::Error for CacheError {}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn trial() -> TempDir {
        tempfile::tempdir().expect("a directory")
    }

    /// A place that nobody can write to, whoever runs the test: below a file.
    fn blocked(trial: &TempDir) -> OsString {
        let file = trial.path().join("file");
        fs::write(&file, "").expect("a writable directory");
        file.join("below").into()
    }

    fn open(
        trial: &TempDir,
        xdg: Option<OsString>,
        home: Option<OsString>,
    ) -> Result<Cache, CacheError> {
        Cache::open_in(&Surroundings {
            xdg,
            home,
            target: trial.path().join("target"),
        })
    }

    fn below(trial: &TempDir, path: &str) -> PathBuf {
        trial.path().canonicalize().expect("it is there").join(path)
    }

    #[test]
    fn xdg_cache_home_comes_first() {
        let trial = trial();
        let (xdg, home) = (trial.path().join("xdg"), trial.path().join("home"));
        let cache = open(&trial, Some(xdg.into()), Some(home.into())).expect("writable");
        assert_eq!(cache.root(), below(&trial, "xdg/testjig"));
        assert_eq!(cache.notice(), None);
        assert!(!below(&trial, "home").exists());
    }

    #[test]
    fn then_the_cache_of_home() {
        let trial = trial();
        let home = trial.path().join("home");
        for xdg in [None, Some(OsString::new()), Some("relative/path".into())] {
            let cache = open(&trial, xdg, Some(home.clone().into())).expect("writable");
            assert_eq!(cache.root(), below(&trial, "home/.cache/testjig"));
            assert_eq!(cache.notice(), None);
        }
        assert!(!Path::new("relative").exists());
    }

    #[test]
    fn without_either_the_build_directory_with_a_notice() {
        let trial = trial();
        let cache = open(&trial, None, None).expect("writable");
        assert_eq!(cache.root(), below(&trial, "target/testjig/cache"));
        let notice = cache.notice().expect("it is not where one would look");
        assert!(
            notice.contains("XDG_CACHE_HOME is not set; HOME is not set"),
            "{notice}"
        );
        assert!(notice.contains("target/testjig/cache"), "{notice}");
    }

    #[test]
    fn a_home_that_cannot_be_written_to_is_named() {
        let trial = trial();
        let home = blocked(&trial);
        let cache = open(&trial, None, Some(home.clone())).expect("the build directory");
        assert_eq!(cache.root(), below(&trial, "target/testjig/cache"));
        let notice = cache.notice().expect("a place was passed over");
        assert!(notice.contains(&*home.to_string_lossy()), "{notice}");
        assert!(notice.contains("Not a directory"), "{notice}");
    }

    #[test]
    fn passing_over_the_first_place_is_said_too() {
        let trial = trial();
        let (xdg, home) = (blocked(&trial), trial.path().join("home"));
        let cache = open(&trial, Some(xdg), Some(home.into())).expect("writable");
        assert_eq!(cache.root(), below(&trial, "home/.cache/testjig"));
        let notice = cache.notice().expect("a place was passed over");
        assert!(
            notice.contains("(XDG_CACHE_HOME) cannot be written to"),
            "{notice}"
        );
    }

    #[test]
    fn no_place_at_all_is_an_error_that_names_each() {
        let trial = trial();
        let target = PathBuf::from(blocked(&trial));
        let error = Cache::open_in(&Surroundings {
            xdg: Some(blocked(&trial)),
            home: Some(blocked(&trial)),
            target: target.clone(),
        })
        .expect_err("no place");
        assert_eq!(error.tried().len(), 3);
        let text = error.to_string();
        assert!(text.contains(&*target.to_string_lossy()), "{text}");
        assert!(text.contains("set XDG_CACHE_HOME"), "{text}");
    }

    #[test]
    fn opening_leaves_nothing_behind() {
        let trial = trial();
        let cache = Cache::at(trial.path().join("cache")).expect("writable");
        let left = fs::read_dir(cache.root()).expect("it is there").count();
        assert_eq!(left, 0);
    }
}
