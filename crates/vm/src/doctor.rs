//! What `jig doctor` shows about QEMUs: [`findings`].

use std::env;
use std::fmt;
use std::num::NonZero;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crate::provision::host::{Distribution, in_directories};
use crate::provision::{self, Installed, Silent, Suite, space};
use crate::{
    Arch, Cache, CacheError, FindError, Finder, Launch, LaunchOptions, MachineType, Origin, Qemu,
    find, machine,
};

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What was looked at, in a word or two.
    pub what: String,
    /// How it is.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do, where there is something to do.
    pub advice: Option<String>,
}

/// How a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum State {
    /// As it should be.
    Good,
    /// Nothing is wrong; worth knowing.
    Note,
    /// Something does not work.
    Bad,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Bad => "bad",
        })
    }
}

impl Finding {
    fn new(what: &str, state: State, found: impl Into<String>) -> Self {
        Self {
            what: what.to_owned(),
            state,
            found: found.into(),
            advice: None,
        }
    }

    fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

/// Looks at this machine, the cache, the QEMUs that are named, on `PATH` and provisioned, at what
/// could be fetched, and at what a run would use. Asks binaries that are not known yet; does not
/// use the network.
pub fn findings(cache: &Result<Cache, CacheError>) -> Vec<Finding> {
    let mut findings = vec![host()];
    let cache = match cache {
        Ok(cache) => cache,
        Err(error) => {
            findings.push(Finding::new("cache", State::Bad, error.to_string()));
            return findings;
        }
    };
    findings.push(place(cache));
    findings.extend(named(cache));
    findings.extend(on_path(cache));
    findings.extend(
        provision::list(cache)
            .iter()
            .map(|root| provisioned(root, cache)),
    );
    findings.extend(provision::unfinished(cache).iter().map(|work| {
        let size = megabytes(space::used(work));
        let found = format!("an interrupted download ({size}) in {}", work.display());
        Finding::new("provisioned", State::Note, found)
            .advise("`jig setup` goes on with it, `jig clean` removes it")
    }));
    let fetching = fetching();
    let possible = fetching.state == State::Good;
    findings.push(fetching);
    let used = Finder::new(Arch::X86_64)
        .allow_network(false)
        .find(cache, &Silent);
    findings.push(run(&used, possible));
    findings.extend(used.ok().map(|qemu| forks(&qemu, &machine::PC)));
    findings
}

fn host() -> Finding {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let distribution = Distribution::of_this_machine();
    let found = format!(
        "{}, {}, {processors} processors",
        distribution.name(),
        env::consts::ARCH
    );
    if matches!(env::consts::ARCH, "x86_64" | "aarch64") {
        Finding::new("host", State::Good, found)
    } else {
        Finding::new("host", State::Note, found)
            .advise("testjig is tried on x86_64 and aarch64 hosts only")
    }
}

fn place(cache: &Cache) -> Finding {
    let root = cache.root().display();
    let used = megabytes(space::used(cache.root()));
    let free = space::free(cache.root()).map_or_else(|error| error.to_string(), megabytes);
    let found = format!("{root}, {used} in use, {free} free");
    match cache.notice() {
        None => Finding::new("cache", State::Good, found),
        Some(notice) => Finding::new("cache", State::Note, found).advise(notice),
    }
}

/// What the environment names.
fn named(cache: &Cache) -> Vec<Finding> {
    let own = Arch::ALL.map(|arch| (arch.variable(), Some(arch)));
    let foreign = ("QTEST_QEMU_BINARY".to_owned(), None);
    own.into_iter()
        .chain([foreign])
        .filter_map(|(variable, arch)| {
            let value = env::var_os(&variable).filter(|value| !value.is_empty())?;
            let path = env::var_os("PATH");
            let program = Path::new(&value);
            let found = find::named(arch, program, &variable, path.as_deref(), cache);
            Some(match found {
                Ok(qemu) => Finding::new(&variable, accelerated(&qemu), qemu.summary()),
                Err(error) => Finding::new(&variable, State::Bad, error.to_string())
                    .advise(format!("correct {variable} or unset it")),
            })
        })
        .collect()
}

fn on_path(cache: &Cache) -> Vec<Finding> {
    let path = env::var_os("PATH");
    let mut findings = Vec::new();
    for arch in Arch::ALL {
        for program in in_directories(path.as_deref(), &arch.binary_name()) {
            findings.push(
                match Qemu::from_binary_of(Some(arch), &program, Origin::Path, cache) {
                    Ok(qemu) => Finding::new("PATH", accelerated(&qemu), qemu.summary()),
                    Err(error) => Finding::new("PATH", State::Bad, error.to_string()),
                },
            );
        }
    }
    if findings.is_empty() {
        findings.push(Finding::new("PATH", State::Note, "no qemu-system-… there"));
    }
    findings
}

fn accelerated(qemu: &Qemu) -> State {
    if qemu.caps.qtest_accel {
        State::Good
    } else {
        State::Note
    }
}

fn provisioned(root: &Installed, cache: &Cache) -> Finding {
    let manifest = root.manifest();
    let archs = root.archs();
    let names: Vec<&str> = archs.iter().map(|arch| arch.name()).collect();
    let days = SystemTime::now()
        .duration_since(root.time())
        .map_or(0, |age| age.as_secs() / 86400);
    let mut found = format!(
        "Debian {} {} for {}, {}, {} packages, fetched {}",
        manifest.suite,
        manifest.version,
        names.join(", "),
        megabytes(root.size()),
        manifest.packages.len(),
        match days {
            0 => "today".to_owned(),
            1 => "yesterday".to_owned(),
            days => format!("{days} days ago"),
        },
    );
    let mut state = State::Good;
    for arch in archs {
        match root.qemu(arch, cache) {
            Ok(qemu) => {
                if !qemu.caps.qtest_accel && state == State::Good {
                    found.push_str(", without the qtest accelerator");
                    state = State::Note;
                }
            }
            Err(error) => {
                let advice = format!("remove it: `jig clean --suite {}`", manifest.suite);
                return Finding::new("provisioned", State::Bad, error.to_string()).advise(advice);
            }
        }
    }
    Finding::new("provisioned", state, found)
}

fn fetching() -> Finding {
    match provision::possible() {
        Ok((machine, uris)) => {
            let found = format!(
                "apt can be asked for {machine} packages of {}",
                uris.join(", ")
            );
            Finding::new("fetching", State::Good, found)
        }
        Err(error) => {
            let found = error.cause().to_string();
            Finding::new("fetching", State::Note, found).advise(error.advice())
        }
    }
}

/// What a bare `jig run` would use.
fn run(used: &Result<Qemu, FindError>, possible: bool) -> Finding {
    match used {
        Ok(qemu) => Finding::new("a run", State::Good, format!("uses {}", qemu.summary())),
        Err(_) if possible => {
            let found = format!("fetches a QEMU from Debian {} first", Suite::sid());
            Finding::new("a run", State::Note, found).advise("`jig setup` does it ahead")
        }
        Err(error) => Finding::new("a run", State::Bad, error.to_string()),
    }
}

/// Whether machines of this type can be forked with this QEMU, which is tried.
///
/// It is a note where they can't: cases then run in machines started for each.
pub fn forks(qemu: &Qemu, machine: &'static MachineType) -> Finding {
    let tried = || {
        if let Some(reason) = qemu.unforkable() {
            return Err(reason.to_owned());
        }
        let begin = Instant::now();
        let template = qemu
            .template(&Launch::new(machine), &LaunchOptions::default())
            .map_err(|error| format!("its template did not start: {error}"))?;
        let start = begin.elapsed();
        let fork = || {
            template
                .fork(false)
                .map_err(|error| error.reason().to_owned())
        };
        // The first takes stock of the template as well.
        fork()?;
        let begin = Instant::now();
        fork()?;
        Ok((begin.elapsed(), start))
    };
    match tried() {
        Ok((fork, start)) => {
            let millis = |span: Duration| span.as_secs_f64() * 1e3;
            let found = format!(
                "a machine is forked in {:.1} ms instead of started in {:.1} ms, tried with `{}`",
                millis(fork),
                millis(start),
                machine.name
            );
            Finding::new("forks", State::Good, found)
        }
        Err(reason) => Finding::new("forks", State::Note, format!("none: {reason}")).advise(
            "nothing is lost but time: a machine is started for each case; docs/isolation.md says what a fork needs",
        ),
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes / 1_000_000)
}
