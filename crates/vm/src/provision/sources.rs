//! The archives this machine's apt is configured for, and the Debian ones among them.
//!
//! Both forms are read: one line an entry (`sources.list`), and paragraphs (`*.sources`, deb822);
//! sources.list(5) describes them. What testjig writes is a paragraph.

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One configured entry for binary packages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) uris: Vec<String>,
    pub(super) suites: Vec<String>,
    pub(super) components: Vec<String>,
    /// The options that say whether and how the archive is trusted, as deb822 fields.
    pub(super) trust: Vec<(&'static str, String)>,
}

/// Options that another suite of the same archive needs too. Those left out choose architectures,
/// languages and kinds of index, which is testjig's own choice here.
const TRUST: [&str; 10] = [
    "Signed-By",
    "Trusted",
    "Allow-Insecure",
    "Allow-Weak",
    "Allow-Downgrade-To-Insecure",
    "Check-Valid-Until",
    "Valid-Until-Max",
    "Check-Date",
    "Date-Max-Future",
    "By-Hash",
];

/// Reads all that is configured: the list, and the files of the directory that apt would read.
pub(super) fn configured(list: &Path, parts: &Path) -> io::Result<Vec<Source>> {
    let mut files = vec![list.to_owned()];
    match fs::read_dir(parts) {
        Ok(entries) => {
            let mut found: Vec<PathBuf> = entries
                .filter_map(Result::ok)
                .map(|entry| entry.path())
                .collect();
            found.sort();
            files.extend(found);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut sources = Vec::new();
    for file in files {
        let paragraphs = match file.extension().and_then(|extension| extension.to_str()) {
            Some("list") => false,
            Some("sources") => true,
            _ => continue,
        };
        let text = match fs::read(&file) {
            Ok(text) => String::from_utf8_lossy(&text).into_owned(),
            // A file that only root reads, or that is not there, is not one apt would read for us.
            Err(_) => continue,
        };
        sources.extend(if paragraphs {
            deb822(&text)
        } else {
            one_line(&text)
        });
    }
    Ok(sources)
}

/// Reads entries of the form `deb [option=value …] URI SUITE [COMPONENT …]`.
fn one_line(text: &str) -> Vec<Source> {
    text.lines().filter_map(one_line_entry).collect()
}

fn one_line_entry(line: &str) -> Option<Source> {
    let rest = line.trim_start().strip_prefix("deb")?;
    let rest = rest.strip_prefix(char::is_whitespace)?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    // A comment may follow; a number sign within the options is none.
    let rest = rest.split('#').next().unwrap_or_default();
    let mut words = rest.split_whitespace().map(str::to_owned);
    let uri = words.next()?;
    let suite = words.next()?;
    let trust = options
        .split_whitespace()
        .filter_map(|option| {
            let (name, value) = option.split_once('=')?;
            // One line separates several values by commas, a paragraph by spaces.
            Some((trust_field(name)?, value.replace(',', " ")))
        })
        .collect();
    Some(Source {
        uris: vec![uri],
        suites: vec![suite],
        components: words.collect(),
        trust,
    })
}

/// Reads paragraphs of fields.
fn deb822(text: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines().chain([""]) {
        if line.starts_with('#') {
            continue;
        }
        if line.trim().is_empty() {
            sources.extend(paragraph(&fields));
            fields.clear();
        } else if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = fields.last_mut() {
                value.push('\n');
                value.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            fields.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    sources
}

fn paragraph(fields: &[(String, String)]) -> Option<Source> {
    let field = |wanted: &str| {
        let mut fields = fields.iter();
        let found = fields.find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.as_str())
    };
    let words = |wanted| -> Vec<String> {
        let value = field(wanted).unwrap_or_default();
        value.split_whitespace().map(str::to_owned).collect()
    };
    let off = ["no", "false", "without", "off", "disable", "0"];
    let enabled =
        field("Enabled").is_none_or(|value| !off.contains(&value.to_ascii_lowercase().as_str()));
    if !enabled || !words("Types").iter().any(|kind| kind == "deb") {
        return None;
    }
    let trust = fields
        .iter()
        .filter_map(|(name, value)| Some((trust_field(name)?, value.clone())))
        .collect();
    Some(Source {
        uris: words("URIs"),
        suites: words("Suites"),
        components: words("Components"),
        trust,
    })
}

fn trust_field(name: &str) -> Option<&'static str> {
    TRUST
        .into_iter()
        .find(|field| field.eq_ignore_ascii_case(name))
}

/// A Debian archive that this machine uses: where it is and how it is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Archive {
    pub(super) uris: Vec<String>,
    trust: Vec<(&'static str, String)>,
}

impl Archive {
    /// The paragraph for other suites of it.
    pub(super) fn paragraph(&self, suites: &str, dpkg_arch: &str) -> String {
        self.of_type(
            "deb",
            suites,
            &format!("Architectures: {dpkg_arch}\nTargets: Packages\n"),
        )
    }

    /// The paragraph for the source packages of other suites of it.
    pub(super) fn source_paragraph(&self, suites: &str) -> String {
        self.of_type("deb-src", suites, "Targets: Sources\n")
    }

    fn of_type(&self, types: &str, suites: &str, fields: &str) -> String {
        let uris = self.uris.join(" ");
        let mut text = format!(
            "Types: {types}\nURIs: {uris}\nSuites: {suites}\nComponents: main\n{fields}Languages: none\nPDiffs: no\n"
        );
        for (name, value) in &self.trust {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name}: {value}");
        }
        text
    }
}

/// Names that Debian gives its suites: by role, and by release for the machines whose
/// `os-release` does not give one (derivatives).
const SUITES: [&str; 12] = [
    "sid",
    "unstable",
    "testing",
    "stable",
    "oldstable",
    "oldoldstable",
    "buster",
    "bullseye",
    "bookworm",
    "trixie",
    "forky",
    "duke",
];

/// The Debian archives among the sources, the likeliest first. `codename` is the machine's own
/// release, if it is a Debian.
///
/// Others use Debian's suite names too (a vendor's `bookworm main`), and nothing in a source says
/// whose it is. So what speaks for the archive decides the order, and the suite that is asked for
/// is looked for in each.
pub(super) fn debian(sources: &[Source], codename: Option<&str>) -> Vec<Archive> {
    let mut archives: Vec<(u32, Archive)> = Vec::new();
    for source in sources {
        let suites: Vec<&str> = source
            .suites
            .iter()
            .filter_map(|suite| release(suite))
            .collect();
        let known = suites
            .iter()
            .any(|suite| SUITES.contains(suite) || codename == Some(suite));
        let main = source.components.iter().any(|part| part == "main");
        let security = source.uris.iter().any(|uri| uri.contains("security"));
        if !known || !main || security {
            continue;
        }
        let uris: Vec<String> = source
            .uris
            .iter()
            .filter(|uri| !uri.starts_with("cdrom:"))
            .cloned()
            .collect();
        if uris.is_empty() {
            continue;
        }
        let points = [
            4 * u32::from(
                source
                    .trust
                    .iter()
                    .any(|(_, value)| value.contains("debian-archive")),
            ),
            2 * u32::from(
                source
                    .suites
                    .iter()
                    .any(|suite| suite.ends_with("-updates")),
            ),
            u32::from(
                uris.iter()
                    .any(|uri| uri.trim_end_matches('/').ends_with("/debian")),
            ),
        ];
        let points = points.iter().sum();
        let archive = Archive {
            uris,
            trust: source.trust.clone(),
        };
        match archives.iter_mut().find(|(_, known)| *known == archive) {
            Some((known, _)) => *known |= points,
            None => archives.push((points, archive)),
        }
    }
    archives.sort_by_key(|(points, _)| std::cmp::Reverse(*points));
    archives.into_iter().map(|(_, archive)| archive).collect()
}

/// The release a suite belongs to; nothing for the security archive's, which is another archive,
/// and for a directory (`./`), which is no suite.
fn release(suite: &str) -> Option<&str> {
    if suite.contains(['/', '$']) || suite.ends_with("-security") {
        return None;
    }
    let parts = [
        "-updates",
        "-proposed-updates",
        "-backports",
        "-backports-sloppy",
    ];
    Some(
        parts
            .iter()
            .find_map(|part| suite.strip_suffix(part))
            .unwrap_or(suite),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(uris: &[&str], suites: &[&str], trust: &[(&'static str, &str)]) -> Source {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Source {
            uris: owned(uris),
            suites: owned(suites),
            components: vec!["main".to_owned()],
            trust: trust
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned()))
                .collect(),
        }
    }

    const MIRROR: &str = "http://deb.example.org/debian";

    #[test]
    fn a_plain_line() {
        let sources = one_line("deb http://deb.example.org/debian bookworm main\n");
        assert_eq!(sources, [source(&[MIRROR], &["bookworm"], &[])]);
    }

    #[test]
    fn tabs_blanks_components_and_a_comment_behind() {
        let text = "  deb\thttp://deb.example.org/debian   bookworm  main contrib # non-free\n";
        let mut expected = source(&[MIRROR], &["bookworm"], &[]);
        expected.components.push("contrib".to_owned());
        assert_eq!(one_line(text), [expected]);
    }

    #[test]
    fn options_that_say_how_to_trust_are_kept_and_others_are_not() {
        let text = "deb [ arch=amd64,arm64 signed-by=/k/a.gpg,/k/b.gpg lang=de \
                    check-valid-until=no trusted=yes target=Packages ] \
                    http://deb.example.org/debian bookworm main";
        let trust = [
            ("Signed-By", "/k/a.gpg /k/b.gpg"),
            ("Check-Valid-Until", "no"),
            ("Trusted", "yes"),
        ];
        assert_eq!(one_line(text), [source(&[MIRROR], &["bookworm"], &trust)]);
        let tight =
            "deb [arch=amd64 signed-by=/k/a#1.gpg] http://deb.example.org/debian bookworm main";
        let trust = [("Signed-By", "/k/a#1.gpg")];
        assert_eq!(one_line(tight), [source(&[MIRROR], &["bookworm"], &trust)]);
    }

    #[test]
    fn source_packages_comments_and_fragments_are_no_entries() {
        let text = "# deb http://deb.example.org/debian bookworm main\n\
                    deb-src http://deb.example.org/debian bookworm main\n\
                    deb\n\ndeb http://deb.example.org/debian\ndeb [signed-by=/k http://x y main\n\
                    debian http://deb.example.org/debian bookworm main\n";
        assert_eq!(one_line(text), []);
    }

    #[test]
    fn a_paragraph_with_several_suites_and_a_comment_between() {
        let text = "Types: deb\n# a snapshot\nURIs: http://deb.example.org/debian\n\
                    Suites: bookworm bookworm-updates\nComponents: main\n\
                    Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n";
        let trust = [(
            "Signed-By",
            "/usr/share/keyrings/debian-archive-keyring.gpg",
        )];
        let expected = source(&[MIRROR], &["bookworm", "bookworm-updates"], &trust);
        assert_eq!(deb822(text), [expected]);
    }

    #[test]
    fn fields_in_any_letters_with_values_on_further_lines_and_a_key_within() {
        let text = "types: deb-src deb\nuris:\n http://deb.example.org/debian\n mirror+file:/etc/m.list\n\
                    SUITES: bookworm\ncomponents: main\nArchitectures: amd64\n\
                    Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDMEY\n\
                    \u{20}-----END PGP PUBLIC KEY BLOCK-----\n";
        let key = "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDMEY\n -----END PGP PUBLIC KEY BLOCK-----";
        let uris = [MIRROR, "mirror+file:/etc/m.list"];
        let expected = source(&uris, &["bookworm"], &[("Signed-By", key)]);
        assert_eq!(deb822(text), [expected]);
    }

    #[test]
    fn paragraphs_that_are_off_or_for_source_packages_are_no_entries() {
        let rest = "URIs: http://deb.example.org/debian\nSuites: bookworm\nComponents: main\n";
        for value in ["no", "No", "false", "0", "off"] {
            assert_eq!(deb822(&format!("Types: deb\nEnabled: {value}\n{rest}")), []);
        }
        assert_eq!(deb822(&format!("Types: deb-src\n{rest}")), []);
        assert_eq!(
            deb822(&format!("Enabled: yes\nTypes: deb\n{rest}")).len(),
            1
        );
    }

    #[test]
    fn paragraphs_are_apart_by_blank_lines_only() {
        let one = "Types: deb\nURIs: a\nSuites: sid\nComponents: main\n";
        let two = format!("{one}#\n{one}");
        assert_eq!(deb822(&two).len(), 1, "a comment is not a blank line");
        assert_eq!(deb822(&format!("{one} \n\n{one}")).len(), 2);
    }

    #[test]
    fn of_the_machines_files_those_are_read_that_apt_reads() {
        let etc = tempfile::tempdir().expect("a directory");
        let parts = etc.path().join("sources.list.d");
        fs::create_dir(&parts).expect("writable");
        let line = |uri: &str| format!("deb {uri} bookworm main\n");
        let paragraph = "Types: deb\nURIs: c\nSuites: bookworm\nComponents: main\n";
        let list = etc.path().join("sources.list");
        for (file, text) in [
            (list.clone(), line("a")),
            (parts.join("b.list"), line("b")),
            (parts.join("c.sources"), paragraph.to_owned()),
            (parts.join("d.list.save"), line("d")),
            (parts.join("e.sources.disabled"), paragraph.to_owned()),
        ] {
            fs::write(file, text).expect("writable");
        }
        let sources = configured(&list, &parts).expect("readable");
        let uris: Vec<&str> = sources
            .iter()
            .map(|source| source.uris[0].as_str())
            .collect();
        assert_eq!(uris, ["a", "b", "c"]);
        fs::remove_dir_all(&parts).expect("writable");
        assert_eq!(configured(&list, &parts).expect("readable").len(), 1);
    }

    fn uris(sources: &[Source]) -> Vec<String> {
        let archives = debian(sources, Some("bookworm"));
        archives
            .into_iter()
            .flat_map(|archive| archive.uris)
            .collect()
    }

    #[test]
    fn the_security_archive_and_foreign_ones_are_not_debians() {
        let mut vendor = source(&["https://vendor.example/apt"], &["bookworm"], &[]);
        vendor.components = vec!["stable".to_owned()];
        let sources = [
            source(
                &["http://deb.example.org/debian-security"],
                &["bookworm-security"],
                &[],
            ),
            source(
                &["http://security.example.org/"],
                &["bookworm/updates"],
                &[],
            ),
            source(
                &["http://archive.example.org/ubuntu"],
                &["noble", "noble-updates"],
                &[],
            ),
            source(&["https://vendor.example/node"], &["nodistro"], &[]),
            source(&["https://vendor.example/flat"], &["./"], &[]),
            source(&["cdrom:[Debian"], &["bookworm"], &[]),
            vendor,
        ];
        assert_eq!(uris(&sources), Vec::<String>::new());
    }

    #[test]
    fn what_speaks_for_the_archive_decides_the_order() {
        let keyring = (
            "Signed-By",
            "/usr/share/keyrings/debian-archive-keyring.gpg",
        );
        let sources = [
            source(&["http://vendor.example/debian-like"], &["bookworm"], &[]),
            source(&["https://vendor.example/apt"], &["bookworm"], &[]),
            source(&["http://mirror.example/debian/"], &["trixie"], &[]),
            source(
                &["mirror+file:/etc/apt/mirrors/debian.list"],
                &["bookworm", "bookworm-updates"],
                &[],
            ),
            source(&["http://local.example/proxy"], &["bookworm"], &[keyring]),
        ];
        assert_eq!(
            uris(&sources),
            [
                "http://local.example/proxy",
                "mirror+file:/etc/apt/mirrors/debian.list",
                "http://mirror.example/debian/",
                "http://vendor.example/debian-like",
                "https://vendor.example/apt",
            ]
        );
    }

    #[test]
    fn one_archive_in_several_entries_is_one() {
        let sources = [
            source(&["https://vendor.example/debian"], &["bookworm"], &[]),
            source(&[MIRROR], &["bookworm"], &[]),
            source(&[MIRROR], &["bookworm-updates"], &[]),
            source(&[MIRROR], &["bookworm-backports"], &[]),
        ];
        assert_eq!(uris(&sources), [MIRROR, "https://vendor.example/debian"]);
    }

    #[test]
    fn a_release_without_a_name_here_is_known_by_the_machines_own() {
        let sources = [source(&[MIRROR], &["zurg"], &[])];
        assert_eq!(debian(&sources, Some("bookworm")), []);
        assert_eq!(debian(&sources, Some("zurg")).len(), 1);
    }

    #[test]
    fn the_paragraph_for_another_suite() {
        let text = "deb [signed-by=/k/a.gpg,/k/b.gpg arch=arm64] http://deb.example.org/debian bookworm main non-free";
        let archives = debian(&one_line(text), Some("bookworm"));
        insta::assert_snapshot!(archives[0].paragraph("bookworm bookworm-backports", "amd64"), @r"
        Types: deb
        URIs: http://deb.example.org/debian
        Suites: bookworm bookworm-backports
        Components: main
        Architectures: amd64
        Targets: Packages
        Languages: none
        PDiffs: no
        Signed-By: /k/a.gpg /k/b.gpg
        ");
    }

    #[test]
    fn the_paragraph_for_sources() {
        let text = "deb [signed-by=/k/a.gpg] http://deb.example.org/debian bookworm main";
        let archives = debian(&one_line(text), Some("bookworm"));
        insta::assert_snapshot!(archives[0].source_paragraph("bookworm"), @r"
        Types: deb-src
        URIs: http://deb.example.org/debian
        Suites: bookworm
        Components: main
        Targets: Sources
        Languages: none
        PDiffs: no
        Signed-By: /k/a.gpg
        ");
    }

    #[test]
    fn a_key_within_an_entry_stays_whole() {
        let text = "Types: deb\nURIs: u/debian\nSuites: sid\nComponents: main\n\
                    Signed-By:\n -----BEGIN-----\n .\n x\n -----END-----\n";
        let paragraph = debian(&deb822(text), None)[0].paragraph("testing", "arm64");
        let again = deb822(&paragraph);
        assert_eq!(again[0].trust, deb822(text)[0].trust);
        assert_eq!(again[0].suites, ["testing"]);
    }
}
