//! A directory tree of unpacked packages, and how a QEMU in it is started: [`Root`].

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::complaint::says_full;
use super::error::{ProvisionError, ProvisionErrorKind};
use super::plan::Package;
use super::progress::Progress;
use super::tools;
use crate::Arch;
use crate::binary::Invocation;

/// Unpacking one package takes a second or so.
const PATIENCE: Duration = Duration::from_secs(120);

/// A private root directory: nothing in it is installed, configured or linked to the system's.
pub(super) struct Root<'a>(pub(super) &'a Path);

impl Root<'_> {
    /// Which of the architectures it has a QEMU for.
    pub(super) fn archs(&self) -> Vec<Arch> {
        let has = |arch: &Arch| self.binary(*arch).is_some();
        Arch::ALL.into_iter().filter(has).collect()
    }

    /// The binary itself. In 7.2 the one for i386 lies in `libexec`, and a script in `bin` starts
    /// the system's.
    fn binary(&self, arch: Arch) -> Option<PathBuf> {
        ["usr/bin", "usr/libexec"]
            .map(|directory| self.0.join(directory).join(arch.binary_name()))
            .into_iter()
            .find(|file| is_elf(file))
    }

    /// How to start its QEMU: through its own loader with its own libraries, modules and firmware.
    pub(super) fn invocation(&self, arch: Arch) -> io::Result<Invocation> {
        let binary = self.binary(arch).ok_or_else(|| {
            let what = format!("no {} among the packages", arch.binary_name());
            io::Error::new(io::ErrorKind::NotFound, what)
        })?;
        let libraries = self.libraries()?;
        let loader = loader(&libraries)?;
        // Packages from before the merge of `/lib` into `/usr/lib` have both.
        let name = libraries.file_name().unwrap_or_default();
        let mut path = OsString::new();
        for directory in [
            self.0.join("usr/lib").join(name),
            self.0.join("lib").join(name),
            self.0.join("usr/lib").join(name).join("pulseaudio"),
        ] {
            if directory.is_dir() {
                if !path.is_empty() {
                    path.push(":");
                }
                path.push(directory);
            }
        }
        let mut leading_args: Vec<OsString> = vec![
            "--library-path".into(),
            path,
            "--argv0".into(),
            arch.binary_name().into(),
            binary.clone().into(),
        ];
        for data in ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"] {
            let data = self.0.join(data);
            if data.is_dir() {
                leading_args.extend(["-L".into(), data.into()]);
            }
        }
        let modules = self.0.join("usr/lib").join(name).join("qemu");
        Ok(Invocation {
            subject: binary,
            program: loader,
            leading_args,
            env: vec![("QEMU_MODULE_DIR".to_owned(), modules.into())],
        })
    }

    /// The directory that has the C library; its name is this kind of machine's triplet.
    fn libraries(&self) -> io::Result<PathBuf> {
        for directory in ["usr/lib", "lib"] {
            let Ok(entries) = fs::read_dir(self.0.join(directory)) else {
                continue;
            };
            for entry in entries {
                let directory = entry?.path();
                if directory.join("libc.so.6").exists() {
                    return Ok(directory);
                }
            }
        }
        Err(io::Error::new(
            io::ErrorKind::NotFound,
            "no C library among the packages",
        ))
    }

    /// Checks the files and unpacks them here, several at a time.
    pub(super) fn unpack(
        &self,
        packages: &[&Package],
        debs: &Path,
        dpkg_deb: &Path,
        progress: &dyn Progress,
    ) -> Result<(), ProvisionError> {
        let total: u64 = packages.iter().map(|package| package.size).sum();
        let mut largest_first = packages.to_vec();
        largest_first.sort_by_key(|package| std::cmp::Reverse(package.size));
        let next = AtomicUsize::new(0);
        let failed = AtomicBool::new(false);
        let workers = thread::available_parallelism()
            .map_or(1, NonZero::get)
            .min(8);
        let (sender, results) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..workers {
                let sender = sender.clone();
                let (next, failed, packages) = (&next, &failed, &largest_first);
                scope.spawn(move || {
                    while !failed.load(Ordering::Relaxed) {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(package) = packages.get(index) else {
                            break;
                        };
                        let result = self.unpack_one(&debs.join(&package.file), package, dpkg_deb);
                        failed.fetch_or(result.is_err(), Ordering::Relaxed);
                        let _ = sender.send(result.map(|()| package.size));
                    }
                });
            }
            drop(sender);
            let mut done = 0;
            progress.bytes(0, total);
            let mut first_error = None;
            for result in results {
                match result {
                    Ok(size) => {
                        done += size;
                        progress.bytes(done, total);
                    }
                    Err(error) => first_error = first_error.or(Some(error)),
                }
            }
            first_error.map_or(Ok(()), Err)
        })
    }

    fn unpack_one(
        &self,
        deb: &Path,
        package: &Package,
        dpkg_deb: &Path,
    ) -> Result<(), ProvisionError> {
        // apt has checked what it fetched; this is about what became of it since.
        let right =
            has_checksum(deb, package).map_err(|error| ProvisionError::io("read", deb, error))?;
        if !right {
            let _ = fs::remove_file(deb);
            let kind = ProvisionErrorKind::MirrorMidUpdate(format!(
                "{} does not have the checksum that the index says",
                package.file
            ));
            return Err(ProvisionError::new(kind));
        }
        let mut command = Command::new(dpkg_deb);
        command.arg("-x").arg(deb).arg(self.0).env("LC_ALL", "C");
        tools::run(command, PATIENCE)
            .map(drop)
            .map_err(|error| match error.kind() {
                ProvisionErrorKind::Tool(_, said) if says_full(said) => {
                    ProvisionError::no_space(self.0, None)
                }
                _ => error,
            })
    }
}

fn is_elf(file: &Path) -> bool {
    let mut magic = [0; 4];
    let read = File::open(file).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok() && &magic == b"\x7fELF"
}

/// Whether a file is the one that the index says.
pub(super) fn has_checksum(file: &Path, package: &Package) -> io::Result<bool> {
    has_hash(file, package.size, &package.sha256)
}

/// Whether a file has that length and SHA-256.
pub(super) fn has_hash(file: &Path, size: u64, sha256: &str) -> io::Result<bool> {
    let mut file = match File::open(file) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if file.metadata()?.len() != size {
        return Ok(false);
    }
    let mut digest = Sha256::new();
    io::copy(&mut file, &mut digest)?;
    Ok(const_hex::encode(digest.finalize()) == sha256)
}

/// The dynamic loader beside the C library: `ld-linux-x86-64.so.2`, `ld64.so.1`, …
fn loader(libraries: &Path) -> io::Result<PathBuf> {
    for entry in fs::read_dir(libraries)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("ld") && name.contains(".so.") {
            return Ok(entry.path());
        }
    }
    Err(io::Error::new(
        io::ErrorKind::NotFound,
        "no dynamic loader among the packages",
    ))
}

/// A second tree of the same files, for adding to without disturbing those who use the first.
pub(super) fn linked_copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            linked_copy(&entry.path(), &target)?;
        } else if fs::hard_link(entry.path(), &target).is_err() {
            // Not every file system has links of this kind.
            if kind.is_symlink() {
                std::os::unix::fs::symlink(fs::read_link(entry.path())?, &target)?;
            } else {
                fs::copy(entry.path(), &target)?;
            }
        }
    }
    Ok(())
}

/// Removes a tree, read-only directories included; of a symbolic link, only the link.
pub(super) fn remove_tree(tree: &Path) -> io::Result<()> {
    match fs::symlink_metadata(tree) {
        Ok(data) if !data.is_dir() => return fs::remove_file(tree),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    match fs::remove_dir_all(tree) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            make_writable(tree)?;
            fs::remove_dir_all(tree)
        }
        other => other,
    }
}

fn make_writable(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            make_writable(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_the_indexs_if_it_is_there_and_has_its_length_and_its_checksum() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("p.deb");
        let package = Package {
            name: "p".into(),
            version: "1".into(),
            architecture: "amd64".into(),
            file: "p_1_amd64.deb".into(),
            size: 3,
            // Of "abc", FIPS 180-2 appendix B.1.
            sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".into(),
        };
        let is_it = || has_checksum(&file, &package).expect("readable");
        assert!(!is_it(), "a file that is not there");
        for (contents, is) in [
            ("abc", true),
            ("abd", false),
            ("ab", false),
            ("abcd", false),
        ] {
            fs::write(&file, contents).expect("writable");
            assert_eq!(is_it(), is, "{contents:?}");
        }
    }

    #[test]
    fn the_libraries_of_both_kinds_of_layout_are_given_to_the_loader() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path();
        let put = |file: &str, contents: &[u8]| {
            let file = root.join(file);
            fs::create_dir_all(file.parent().expect("a directory")).expect("writable");
            fs::write(file, contents).expect("writable");
        };
        let path = || {
            let invocation = Root(root).invocation(Arch::X86_64).expect("a QEMU");
            invocation.leading_args[1].clone()
        };
        put("usr/bin/qemu-system-x86_64", b"\x7fELF");
        put("lib/machine-linux/libc.so.6", b"");
        put("lib/machine-linux/ld64.so.1", b"");
        let lib = root.join("lib/machine-linux");
        assert_eq!(path(), lib.as_os_str());
        put("usr/lib/machine-linux/libpixman-1.so.0", b"");
        let usr_lib = root.join("usr/lib/machine-linux");
        let both = format!("{}:{}", usr_lib.display(), lib.display());
        assert_eq!(path(), both.as_str());
    }

    #[test]
    fn the_loader_is_the_library_whose_name_begins_with_ld() {
        let directory = tempfile::tempdir().expect("a directory");
        let libraries = directory.path();
        for other in ["libldap.so.2", "ld.conf", "libc.so.6"] {
            fs::write(libraries.join(other), "").expect("writable");
        }
        assert!(loader(libraries).is_err());
        for name in ["ld-linux-aarch64.so.1", "ld64.so.1"] {
            let path = libraries.join(name);
            fs::write(&path, "").expect("writable");
            assert_eq!(loader(libraries).expect("a loader"), path);
            fs::remove_file(path).expect("ours");
        }
    }

    #[test]
    fn a_file_of_the_right_checksum_needs_the_right_length_too() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("p.deb");
        fs::write(&file, "abc").expect("writable");
        let package = Package {
            name: "p".into(),
            version: "1".into(),
            architecture: "amd64".into(),
            file: "p_1_amd64.deb".into(),
            size: 4,
            sha256: const_hex::encode(Sha256::digest("abc")),
        };
        assert!(!has_checksum(&file, &package).expect("readable"));
    }
}
