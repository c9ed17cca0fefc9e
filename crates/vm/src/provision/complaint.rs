//! What apt's complaints mean: [`classify`].

use std::path::Path;

use super::apt::Step;
use super::error::{ProvisionError, ProvisionErrorKind};

/// Words of apt's and its methods' messages in the C locale, and what they mean in a step.
/// The first that fits counts: an archive that cannot be reached is also "not signed".
pub(super) fn classify(step: Step, printed: &str, directory: &Path) -> ProvisionError {
    use ProvisionErrorKind as Kind;
    type Make = fn(String) -> Kind;
    let of_the_suite: Make = match step {
        Step::Update => Kind::NoSuite,
        Step::Plan | Step::PlanSources | Step::Download => Kind::MirrorMidUpdate,
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
        (&["  401 ", "  403 ", "  407 "], Kind::Refused),
        (
            &[
                "Hash Sum mismatch",
                "File has unexpected size",
                "Mirror sync in progress",
                "Undetermined Error",
                "  500 ",
                "  502 ",
                "  503 ",
                "  504 ",
            ],
            Kind::MirrorMidUpdate,
        ),
        (
            &[
                "does not have a Release file",
                "no longer has a Release file",
                "  404 ",
                "  400 ",
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
                "Unable to find a source package",
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
}
