//! Which of the possible changes are made: drawn from a seed, spread over kinds, lines and functions.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::mutant::{Change, Mutant, candidates};
use crate::tree::Tree;

/// A change that compiles, with its object file.
pub(crate) struct Picked {
    pub(crate) mutant: Mutant,
    pub(crate) object: PathBuf,
}

/// Draws up to `count` changes of one file. The same tree and seed give the same changes.
///
/// Each compiles, and to an object other than the unchanged file's: what the build leaves out, or the compiler sees through, is not
/// drawn.
pub(crate) fn pick(
    tree: &Tree,
    file: &str,
    count: usize,
    seed: u64,
    directory: &Path,
) -> Result<Vec<Picked>, Error> {
    let source = tree.text(file)?;
    let clean = tree
        .compile(file, &source, &directory.join("clean"))?
        .ok_or_else(|| {
            Error::Tool(
                format!("compiling {file}"),
                "it does not compile".to_owned(),
            )
        })?;
    let clean = fs::read(&clean).map_err(|error| Error::read(&clean, error))?;
    let mut rng = fastrand::Rng::with_seed(seed ^ digest(file));
    let mut by_change: BTreeMap<Change, Vec<Mutant>> = BTreeMap::new();
    for mutant in candidates(&source, file) {
        by_change.entry(mutant.change).or_default().push(mutant);
    }
    for mutants in by_change.values_mut() {
        rng.shuffle(mutants);
    }

    let mut picked: Vec<Picked> = Vec::new();
    let mut lines = HashSet::new();
    let mut functions: HashMap<String, usize> = HashMap::new();
    // At first one change a line and few a function; more only when there is nothing else left.
    for round in 0.. {
        let most = (count / 10).max(1) + round * 2;
        let mut drew = true;
        while drew && picked.len() < count {
            drew = false;
            let mut changes: Vec<Change> = by_change.keys().copied().collect();
            rng.shuffle(&mut changes);
            for change in changes {
                if picked.len() == count {
                    break;
                }
                let mutants = by_change.get_mut(&change).expect("it is one of the keys");
                let fits = |mutant: &Mutant| {
                    (round > 1 || !lines.contains(&mutant.line))
                        && functions.get(&mutant.function).is_none_or(|&n| n < most)
                };
                let Some(nr) = mutants.iter().position(fits) else {
                    continue;
                };
                drew = true;
                let mutant = mutants.remove(nr);
                let text = mutant.apply(&source).expect("it was found in this source");
                let place = directory.join(picked.len().to_string());
                let Some(object) = tree.compile(file, &text, &place)? else {
                    continue;
                };
                if fs::read(&object).map_err(|error| Error::read(&object, error))? == clean {
                    continue;
                }
                lines.insert(mutant.line);
                *functions.entry(mutant.function.clone()).or_default() += 1;
                picked.push(Picked { mutant, object });
            }
        }
        if picked.len() == count || by_change.values().all(Vec::is_empty) {
            break;
        }
    }
    picked.sort_by_key(|picked| picked.mutant.start);
    Ok(picked)
}

/// FNV-1a of a file's name, so that each file has a sequence of its own.
fn digest(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
