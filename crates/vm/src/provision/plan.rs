//! What apt would fetch: [`Package`].

use serde::{Deserialize, Serialize};

use super::source_packages::SourceFile;

/// One package file of the archive, and of a provisioned root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version, with the epoch.
    pub version: String,
    /// Debian's name of the architecture it is for, or `all`.
    pub architecture: String,
    /// What apt calls the file.
    pub file: String,
    /// The file's length in bytes.
    pub size: u64,
    /// The file's SHA-256, in hexadecimal, as the signed index says.
    pub sha256: String,
}

/// Reads what `apt-get --print-uris install` prints: for each file
/// `'URI' FILE SIZE SHA256:HASH`. Other lines are apt's remarks.
///
/// Not `-s install`, which lists the same packages: it takes apt twice the time and says neither
/// size nor checksum.
pub(super) fn packages(printed: &str) -> Result<Vec<Package>, String> {
    printed
        .lines()
        .filter(|line| line.starts_with('\''))
        .map(|line| package(line).ok_or_else(|| line.to_owned()))
        .collect()
}

/// Reads what `apt-get --print-uris source` prints, in the same form: for each package its `.dsc` and what that names.
pub(super) fn sources(printed: &str) -> Result<Vec<SourceFile>, String> {
    let mut sources = Vec::new();
    let mut current = None;
    for line in printed.lines().filter(|line| line.starts_with('\'')) {
        let file = file(line).ok_or_else(|| line.to_owned())?;
        if let Some((package, version)) = file
            .name
            .strip_suffix(".dsc")
            .and_then(|name| name.split_once('_'))
        {
            current = Some((package.to_owned(), version.to_owned()));
        }
        let (package, version) = current.clone().ok_or_else(|| line.to_owned())?;
        sources.push(SourceFile {
            package,
            version,
            file: file.name.to_owned(),
            size: file.size,
            sha256: file.sha256,
        });
    }
    Ok(sources)
}

/// One line of what apt prints.
struct File<'a> {
    name: &'a str,
    size: u64,
    sha256: String,
}

fn file(line: &str) -> Option<File<'_>> {
    let (_, rest) = line.strip_prefix('\'')?.split_once("' ")?;
    let mut words = rest.split(' ');
    let (name, size, hash) = (words.next()?, words.next()?, words.next()?);
    // The name of a file becomes a path here.
    if name.contains('/') || name.starts_with('.') {
        return None;
    }
    let sha256 = hash.strip_prefix("SHA256:")?;
    let hexadecimal = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
    hexadecimal.then_some(())?;
    Some(File {
        name,
        size: size.parse().ok()?,
        sha256: sha256.to_ascii_lowercase(),
    })
}

fn package(line: &str) -> Option<Package> {
    let file = file(line)?;
    let mut parts = file.name.strip_suffix(".deb")?.splitn(3, '_');
    let (name, version, architecture) = (parts.next()?, parts.next()?, parts.next()?);
    Some(Package {
        name: name.to_owned(),
        version: unescaped(version)?,
        architecture: architecture.to_owned(),
        file: file.name.to_owned(),
        size: file.size,
        sha256: file.sha256,
    })
}

/// apt writes the colon of an epoch, and what else a file name might not bear, as `%3a`.
fn unescaped(text: &str) -> Option<String> {
    let mut pieces = text.split('%');
    let mut plain = pieces.next()?.to_owned();
    for piece in pieces {
        let byte = u8::from_str_radix(piece.get(..2)?, 16).ok()?;
        plain.push(char::from(byte));
        plain.push_str(&piece[2..]);
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "576518c3b59477bc4f94982b34e771a6948ab6143a66f98cb7e032839e9db578";

    #[test]
    fn a_file_is_read_with_its_epoch() {
        let printed = format!(
            "N: a remark\n'http://example.org/debian/pool/main/q/qemu/qemu-system-x86_11.1.3+ds-1_amd64.deb' \
             qemu-system-x86_1%3a11.1.3+ds-1_amd64.deb 10782144 SHA256:{HASH}\n\
             'mirror+file:/etc/apt/m.list/pool/main/i/ipxe/x.deb' ipxe-qemu_2.0.0+dfsg-5_all.deb 7 SHA256:{HASH}\n"
        );
        let packages = packages(&printed).expect("two files");
        assert_eq!(packages.len(), 2);
        assert_eq!(
            packages[0],
            Package {
                name: "qemu-system-x86".to_owned(),
                version: "1:11.1.3+ds-1".to_owned(),
                architecture: "amd64".to_owned(),
                file: "qemu-system-x86_1%3a11.1.3+ds-1_amd64.deb".to_owned(),
                size: 10782144,
                sha256: HASH.to_owned(),
            }
        );
        assert_eq!(packages[1].name, "ipxe-qemu");
        assert_eq!(packages[1].architecture, "all");
    }

    #[test]
    fn a_line_that_cannot_be_trusted_is_an_error() {
        let lines = [
            // Another checksum than the one that was asked for.
            format!("'u' a_1_all.deb 7 MD5Sum:{}", &HASH[..32]),
            format!("'u' a_1_all.deb seven SHA256:{HASH}"),
            format!("'u' ../a_1_all.deb 7 SHA256:{HASH}"),
            format!("'u' a_1.deb 7 SHA256:{HASH}"),
            format!("'u' a_1%3_all.deb 7 SHA256:{HASH}"),
            format!("'u' a_1_all.deb 7 SHA256:{}", &HASH[1..]),
            "'u' a_1_all.deb".to_owned(),
        ];
        for line in lines {
            assert_eq!(packages(&line), Err(line.clone()));
        }
    }

    #[test]
    fn files_of_sources_belong_to_the_last_description() {
        let printed = format!(
            "'u/busybox_1.35.0-4%2bdeb12u1.dsc' busybox_1.35.0-4+deb12u1.dsc 7 SHA256:{HASH}\n\
             'u/busybox_1.35.0.orig.tar.bz2' busybox_1.35.0.orig.tar.bz2 8 SHA256:{HASH}\n"
        );
        let sources = sources(&printed).expect("two files");
        assert_eq!(sources.len(), 2);
        assert_eq!(sources[1].package, "busybox");
        assert_eq!(sources[1].version, "1.35.0-4+deb12u1");
        assert_eq!(sources[1].file, "busybox_1.35.0.orig.tar.bz2");
        let orphan = format!("'u/a.orig.tar.xz' a.orig.tar.xz 7 SHA256:{HASH}");
        assert_eq!(super::sources(&orphan), Err(orphan.clone()));
    }

    #[test]
    fn no_files_are_no_packages() {
        assert_eq!(packages("Reading package lists...\n"), Ok(Vec::new()));
    }
}
