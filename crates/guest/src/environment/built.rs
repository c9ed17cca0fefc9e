//! The reference lane: kernel and busybox built on this machine from a distribution's source packages.
//!
//! What is done is in `build.sh`, which belongs to the sources that are handed on. Here is what it needs: the packages' files, tools
//! that are missing, a place of its own for each set of inputs, and somebody who watches.

use std::env;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};
use testjig_vm::provision::{SourcePackages, Wanted, WantedSources};
use testjig_vm::{Cache, Progress, Suite};

use crate::modules;

use super::{
    AGENT, BUSYBOX, Environment, EnvironmentError, Lane, MODULES, Manifest, applets, attempt,
    checksums, now,
};

/// How a kernel and busybox are built.
pub(super) const RECIPE: &str = include_str!("build.sh");
/// What the kernel has.
pub(super) const CONFIG: &str = include_str!("x86_64.config");
/// The source packages.
const PACKAGES: [&str; 2] = ["linux", "busybox"];
/// How many lines make prints for each, about: for those who watch.
const LINES: [(&str, usize); 2] = [("linux", 2500), ("busybox", 560)];
/// What of a build's log an error shows.
const TAIL: usize = 15;

/// Programs that a build needs and that can be had without root: each with its package.
const PORTABLE: [(&str, &str); 8] = [
    ("make", "make"),
    ("flex", "flex"),
    ("bison", "bison"),
    ("m4", "m4"),
    ("bc", "bc"),
    ("patch", "patch"),
    ("xz", "xz-utils"),
    ("bzip2", "bzip2"),
];
/// Libraries of the kernel's own tools.
const LIBRARIES: [&str; 3] = ["libelf-dev", "libelf1", "zlib1g-dev"];

/// How an environment is to be built.
#[derive(Clone, Debug)]
pub struct How {
    /// The C compiler, one that takes GCC's options.
    pub cc: String,
    /// How many compilers run at once.
    pub jobs: usize,
    /// Build what the suite has now, not what its sources were when they were fetched.
    pub refresh: bool,
}

/// What of this machine takes part in a build.
struct Toolchain {
    cc: String,
    /// As the compiler calls itself.
    version: String,
}

impl Environment {
    /// Sees to it that there is an environment that was built from what the suite has, and builds it if there is none. What an
    /// interrupted build has done is used by the next.
    ///
    /// # Errors
    /// If the sources can't be had, a tool is missing, or a step fails; the error says which and what to do.
    pub fn build(
        suite: &Suite,
        cache: &Cache,
        how: &How,
        progress: &dyn Progress,
    ) -> Result<Self, EnvironmentError> {
        let inputs = Inputs::of(suite, cache, how, progress)?;
        if let Some(there) = inputs.find(cache) {
            return Ok(there);
        }
        inputs.build(suite, cache, how, progress)
    }

    /// Builds once more, beside the one that is there, and compares: the names of the files that differ.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn build_again(
        &self,
        cache: &Cache,
        how: &How,
        progress: &dyn Progress,
    ) -> Result<Vec<String>, EnvironmentError> {
        let inputs = Inputs::of(&self.manifest.suite, cache, how, progress)?;
        if inputs.name()
            != self
                .directory
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
        {
            return Err(EnvironmentError::Missing(
                "the sources or the compiler are others than those it was built with".to_owned(),
            ));
        }
        let place = inputs.place(cache, "-again");
        let (made, _) = inputs.make(&place, cache, how, progress)?;
        let files = attempt("read what was built", checksums(made.path()))?;
        remove(&place);
        let was = &self.manifest.files;
        let differing = files.iter().filter(|file| !was.contains(file));
        Ok(differing.map(|(name, _)| name.clone()).collect())
    }
}

/// What an environment is built of. The same make the same.
struct Inputs {
    packages: SourcePackages,
    sources: PathBuf,
    toolchain: Toolchain,
    suite: Suite,
}

impl Inputs {
    fn of(
        suite: &Suite,
        cache: &Cache,
        how: &How,
        progress: &dyn Progress,
    ) -> Result<Self, EnvironmentError> {
        if AGENT.is_empty() || env::consts::ARCH != "x86_64" {
            return Err(EnvironmentError::NoAgent);
        }
        // What can't be mended is told before anything is fetched.
        let toolchain = Toolchain::find(&how.cc)?;
        let sources = cache.guests().join("sources").join(suite.name());
        let wanted = WantedSources {
            what: "the sources of a kernel and of busybox for guests",
            names: &PACKAGES,
            suite,
            directory: &sources,
        };
        Ok(Self {
            packages: wanted.fetch(how.refresh, progress)?,
            sources,
            toolchain,
            suite: suite.clone(),
        })
    }

    fn version(&self, package: &str) -> &str {
        let file = self.packages.file(package, ".dsc");
        file.map_or("", |file| &*file.version)
    }

    /// The name of what they make: the kernel's version, and what else it hangs on.
    fn name(&self) -> String {
        let mut key = Sha256::new();
        for text in [RECIPE, CONFIG, &self.toolchain.version] {
            key.update(text);
            key.update([0xff]);
        }
        for file in &self.packages.files {
            key.update(&file.sha256);
        }
        let key = const_hex::encode(key.finalize());
        format!("{}-built-{}", self.version("linux"), &key[..12])
    }

    fn find(&self, cache: &Cache) -> Option<Environment> {
        let guests = cache.guests();
        let home = guests.join(format!("{}-amd64", self.suite));
        Environment::read(&home.join(self.name()), &guests)
    }

    /// Where they are built.
    fn place(&self, cache: &Cache, suffix: &str) -> PathBuf {
        let name = format!("{}{suffix}", self.name());
        cache.guests().join("build").join(name)
    }

    fn build(
        &self,
        suite: &Suite,
        cache: &Cache,
        how: &How,
        progress: &dyn Progress,
    ) -> Result<Environment, EnvironmentError> {
        let place = self.place(cache, "");
        attempt("make a directory for the build", fs::create_dir_all(&place))?;
        let lock = attempt("lock the build", File::create(place.join("lock")))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            progress.stage("waiting for another process, which is building it");
            attempt(
                "wait for the other build",
                flock(&lock, FlockOperation::LockExclusive).map_err(io::Error::from),
            )?;
        }
        if let Some(there) = self.find(cache) {
            return Ok(there);
        }
        let (made, release) = self.make(&place, cache, how, progress)?;
        let manifest = Manifest {
            lane: Lane::Built,
            suite: suite.clone(),
            dpkg_arch: "amd64".to_owned(),
            release,
            version: self.version("linux").to_owned(),
            time: now(),
            source: self.packages.source.clone(),
            packages: Vec::new(),
            sources: self.packages.files.clone(),
            compiler: Some(self.toolchain.version.clone()),
            applets: applets(&made.path().join(BUSYBOX))?,
            files: attempt("read what was built", checksums(made.path()))?,
        };
        let environment = Environment::install(made, &self.name(), &manifest, &cache.guests())?;
        progress.done();
        remove(&place);
        Ok(environment)
    }

    /// Builds in a directory; what came of it lies in the one that is returned. With it comes the kernel's release.
    fn make(
        &self,
        place: &Path,
        cache: &Cache,
        how: &How,
        progress: &dyn Progress,
    ) -> Result<(tempfile::TempDir, String), EnvironmentError> {
        attempt("make a directory for the build", fs::create_dir_all(place))?;
        for (name, text) in [("build.sh", RECIPE), ("config", CONFIG)] {
            attempt(
                format_args!("write {name}"),
                fs::write(place.join(name), text),
            )?;
        }
        let tools = self.missing_tools(place, cache, progress)?;
        let made = attempt(
            "make a directory for what is built",
            tempfile::Builder::new().prefix("made-").tempdir_in(place),
        )?;
        for (package, lines) in LINES {
            let mut command = self.command(place, made.path(), how, tools.as_deref());
            command.arg(package);
            run(command, package, lines, place, progress)?;
        }
        // It belongs to the manifest.
        let file = made.path().join("release");
        let release = attempt("read the kernel's release", fs::read_to_string(&file))?;
        attempt("tidy up", fs::remove_file(&file))?;
        let release = release.trim();
        let tree = place.join("modules/lib/modules").join(release);
        let copied = modules::copy(&tree, modules::all, &made.path().join(MODULES));
        attempt("copy the kernel's modules", copied)?;
        Ok((made, release.to_owned()))
    }

    fn command(&self, place: &Path, out: &Path, how: &How, tools: Option<&Path>) -> Command {
        let mut command = Command::new("/bin/sh");
        command
            .arg("build.sh")
            .current_dir(place)
            .env("SOURCES", &self.sources)
            .env("CONFIG", place.join("config"))
            .env("CC", &self.toolchain.cc)
            .env("JOBS", how.jobs.to_string())
            .env("OUT", out)
            .env("LINUX", self.version("linux"))
            .env("BUSYBOX", self.version("busybox"))
            .env_remove("TOOLS")
            .env_remove("LIBRARIES");
        let Some(tools) = tools else {
            return command;
        };
        let library = tools.join("usr/lib/x86_64-linux-gnu");
        let mut path = env::var_os("PATH").unwrap_or_default();
        path.push(":");
        path.push(tools.join("usr/bin"));
        command
            .env("PATH", path)
            .env("TOOLS", tools)
            .env("LIBRARIES", &library);
        // Programs of one's own that lie elsewhere than where they were made for.
        if !is_there("bison") {
            command.env("BISON_PKGDATADIR", tools.join("usr/share/bison"));
        }
        if !is_there("m4") {
            command.env("M4", tools.join("usr/bin/m4"));
        }
        let libraries = [tools.join("lib/x86_64-linux-gnu"), library];
        command.env(
            "LD_LIBRARY_PATH",
            env::join_paths(libraries).unwrap_or_default(),
        );
        command
    }

    /// Unpacks what this machine lacks and what needs no root; where it lies, if anything was missing.
    fn missing_tools(
        &self,
        place: &Path,
        cache: &Cache,
        progress: &dyn Progress,
    ) -> Result<Option<PathBuf>, EnvironmentError> {
        let has_elf = ["/usr/include/gelf.h", "/usr/include/libelf/gelf.h"]
            .iter()
            .any(|header| Path::new(header).exists());
        let mut names: Vec<&str> = PORTABLE
            .iter()
            .filter(|(program, _)| !is_there(program))
            .map(|(_, package)| *package)
            .collect();
        if !has_elf {
            names.extend(LIBRARIES);
        }
        if names.is_empty() {
            return Ok(None);
        }
        let tools = place.join("tools");
        if tools.is_dir() {
            return Ok(Some(tools));
        }
        let guests = cache.guests();
        let wanted = Wanted {
            what: "tools to build a kernel with",
            names: &names,
            takes: |name| {
                LIBRARIES.contains(&name) || PORTABLE.iter().any(|(_, package)| *package == name)
            },
            suite: &self.suite,
            directory: &guests,
        };
        let unpacked = wanted
            .unpack(|| false, progress)?
            .ok_or_else(|| EnvironmentError::Unusable("no tools were fetched".to_owned()))?;
        attempt("keep the tools", fs::rename(unpacked.root(), &tools))?;
        Ok(Some(tools))
    }
}

impl Toolchain {
    /// The compiler, its linker and its library, which have to be on this machine.
    fn find(cc: &str) -> Result<Self, EnvironmentError> {
        let mut missing = Vec::new();
        let mut packages = Vec::new();
        let version = Command::new(cc).arg("--version").output();
        let version = version
            .ok()
            .filter(|output| output.status.success())
            .and_then(|output| {
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                text.lines().next().map(str::to_owned)
            });
        if version.is_none() {
            missing.push(format!("C compiler ({cc})"));
            packages.extend(["gcc".to_owned(), "libc6-dev".to_owned()]);
        }
        if !["ld", "objcopy", "strip", "ar", "nm"]
            .into_iter()
            .all(is_there)
        {
            missing.push("linker and its tools (ld, objcopy)".to_owned());
            packages.push("binutils".to_owned());
        }
        if version.is_some() && missing.is_empty() && !links_statically(cc) {
            missing.push("C library to link with (libc.a)".to_owned());
            packages.push("libc6-dev".to_owned());
        }
        match version {
            Some(version) if missing.is_empty() => Ok(Self {
                cc: cc.to_owned(),
                version,
            }),
            _ => Err(EnvironmentError::NoTools(missing, packages)),
        }
    }
}

fn links_statically(cc: &str) -> bool {
    let Ok(directory) = tempfile::tempdir() else {
        return true;
    };
    let source = directory.path().join("a.c");
    let compiled = fs::write(&source, "int main(void) { return 0; }\n").and_then(|()| {
        Command::new(cc)
            .arg("-static")
            .arg("-o")
            .arg(directory.path().join("a"))
            .arg(&source)
            .stderr(Stdio::null())
            .status()
    });
    compiled.is_ok_and(|status| status.success())
}

fn is_there(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

/// Runs one step of a build, whose output goes to a log.
fn run(
    mut command: Command,
    step: &str,
    lines: usize,
    place: &Path,
    progress: &dyn Progress,
) -> Result<(), EnvironmentError> {
    let path = place.join(format!("{step}.log"));
    let mut log = attempt("write a log", File::create(&path))?;
    let errors = attempt("write a log", log.try_clone())?;
    progress.stage(&format!("building {step}"));
    let mut child = attempt(
        format_args!("build {step}"),
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn(),
    )?;
    let mut seen = 0;
    let mut told = 0;
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            // A disk that is full fails the build itself.
            let _ = log.write_all(&line).and_then(|()| log.write_all(b"\n"));
            seen += 1;
            let percent = (seen * 100 / lines).min(99);
            if percent >= told + 5 {
                told = percent;
                progress.stage(&format!("building {step}: about {percent} %"));
            }
        }
    }
    let status = attempt(format_args!("build {step}"), child.wait())?;
    if status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
    Err(EnvironmentError::Build(step.to_owned(), path, tail))
}

/// Removes a place that has served; what can't be removed only takes room.
fn remove(place: &Path) {
    let _ = fs::remove_dir_all(place);
}

#[cfg(test)]
mod tests {
    use testjig_vm::Silent;

    use super::*;

    #[test]
    fn a_compiler_that_is_not_there_is_named() {
        let error = Toolchain::find("no-such-cc").err().expect("there is none");
        let text = error.to_string();
        for part in [
            "no C compiler (no-such-cc)",
            "apt-get install gcc",
            "jig guest fetch",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn a_step_that_fails_shows_the_end_of_its_log() {
        let place = tempfile::tempdir().expect("a directory");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo compiling; echo 'a.c: no good' >&2; exit 1"]);
        let error = run(command, "linux", 10, place.path(), &Silent).expect_err("it fails");
        let text = error.to_string();
        assert!(
            text.contains("linux failed") && text.contains("a.c: no good"),
            "{text}"
        );
        assert!(text.contains("linux.log"), "{text}");
    }

    #[test]
    fn no_option_of_the_kernel_is_said_twice() {
        let mut names: Vec<&str> = CONFIG
            .lines()
            .filter_map(|line| {
                let line = line.trim_start_matches("# ");
                let rest = line.strip_prefix("CONFIG_")?;
                rest.split(['=', ' ']).next()
            })
            .collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(count > 200);
    }
}
