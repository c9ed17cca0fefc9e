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
        let uris = self.uris.join(" ");
        let mut text = format!(
            "Types: deb\nURIs: {uris}\nSuites: {suites}\nComponents: main\n\
             Architectures: {dpkg_arch}\nTargets: Packages\nLanguages: none\nPDiffs: no\n"
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
