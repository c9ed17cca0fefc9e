//! What a test draws: [`Chooser`].

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// One thing that was drawn.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Choice {
    /// What the test calls it; for one without a name, `#` and its number.
    pub name: String,
    /// What there was to choose from.
    pub options: Vec<String>,
    /// What was chosen.
    pub value: String,
}

/// How a test's choices are made.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Policy {
    /// What the draws hang on, together with the test's name and the choice's.
    pub seed: u64,
    /// Values that are not drawn, by name.
    pub pinned: BTreeMap<String, String>,
    /// Choices that are made first to last, whatever their names: those of an earlier run up to a point.
    pub script: Vec<String>,
    /// If set, choices behind the script take the first option instead of a draw: for going through all of them.
    pub in_order: bool,
    /// Pairs that were tried together before; a value that makes new ones is preferred, if there are any here.
    pub tried: Option<BTreeSet<Pair>>,
}

/// Two values that were chosen in one run, in the order of their names.
pub type Pair = ((String, String), (String, String));

/// Makes the choices of one run.
#[derive(Debug)]
pub struct Chooser {
    policy: Policy,
    test: String,
    made: Vec<Choice>,
}

impl Chooser {
    /// A chooser for a test of that name.
    pub fn new(test: &str, policy: Policy) -> Self {
        Self {
            policy,
            test: test.to_owned(),
            made: Vec::new(),
        }
    }

    /// What was chosen so far.
    pub fn made(&self) -> &[Choice] {
        &self.made
    }

    /// Chooses; a choice of the same name and options is made once.
    ///
    /// # Errors
    /// If there is nothing to choose from, or a pinned value is none of the options.
    pub fn choose(&mut self, name: Option<&str>, options: &[String]) -> Result<String, String> {
        let unnamed = self
            .made
            .iter()
            .filter(|choice| choice.name.starts_with('#'))
            .count();
        let name = name.map_or_else(|| format!("#{}", unnamed + 1), str::to_owned);
        let Some(first) = options.first() else {
            return Err(format!("the choice {name} has no options"));
        };
        let earlier = self
            .made
            .iter()
            .find(|choice| choice.name == name && choice.options == options);
        if let Some(earlier) = earlier {
            return Ok(earlier.value.clone());
        }
        let value = if let Some(pinned) = self.policy.pinned.get(&name) {
            if !options.contains(pinned) {
                return Err(format!(
                    "{name}={pinned} was asked for, and the test chooses among {}",
                    options.join(", ")
                ));
            }
            pinned.clone()
        } else if let Some(scripted) = self.policy.script.get(self.made.len()) {
            scripted.clone()
        } else if self.policy.in_order {
            first.clone()
        } else {
            self.drawn(&name, options)
        };
        self.made.push(Choice {
            name,
            options: options.to_vec(),
            value: value.clone(),
        });
        Ok(value)
    }

    fn drawn(&self, name: &str, options: &[String]) -> String {
        let seed = hash(&[
            &self.policy.seed.to_le_bytes(),
            self.test.as_bytes(),
            name.as_bytes(),
        ]);
        let mut random = fastrand::Rng::with_seed(seed);
        let mut candidates: Vec<&String> = options.iter().collect();
        if let Some(tried) = &self.policy.tried {
            let new_pairs = |value: &String| {
                let own = self.made.iter();
                own.filter(|other| !tried.contains(&pair(other, name, value)))
                    .count()
            };
            let most = options.iter().map(new_pairs).max().unwrap_or(0);
            candidates.retain(|value| new_pairs(value) == most);
        }
        candidates[random.usize(..candidates.len())].clone()
    }
}

/// The pair of a choice and a value of another.
fn pair(choice: &Choice, name: &str, value: &str) -> Pair {
    let one = (choice.name.clone(), choice.value.clone());
    let other = (name.to_owned(), value.to_owned());
    if one <= other {
        (one, other)
    } else {
        (other, one)
    }
}

/// All pairs of a run's choices; a run of a single choice has one pair, of it with itself.
pub fn pairs(choices: &[Choice]) -> BTreeSet<Pair> {
    let mut pairs = BTreeSet::new();
    for (index, one) in choices.iter().enumerate() {
        for other in &choices[index..] {
            pairs.insert(pair(one, &other.name, &other.value));
        }
    }
    pairs
}

/// What comes after a run in the order of all of them: the values up to the last choice that has another option left, with that one.
/// `None` after the last.
pub fn successor(choices: &[Choice], pinned: &BTreeMap<String, String>) -> Option<Vec<String>> {
    for (index, choice) in choices.iter().enumerate().rev() {
        if pinned.contains_key(&choice.name) {
            continue;
        }
        let position = choice
            .options
            .iter()
            .position(|option| *option == choice.value)?;
        if let Some(next) = choice.options.get(position + 1) {
            let mut script: Vec<String> = choices[..index]
                .iter()
                .map(|choice| choice.value.clone())
                .collect();
            script.push(next.clone());
            return Some(script);
        }
    }
    None
}

/// FNV-1a: the same in every build, which the standard library's hash does not promise.
fn hash(parts: &[&[u8]]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in parts.iter().flat_map(|part| part.iter().chain(&[0])) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(words: &str) -> Vec<String> {
        words.split(' ').map(str::to_owned).collect()
    }

    /// The choices of the talk's script.
    fn run(policy: Policy) -> Vec<Choice> {
        let mut chooser = Chooser::new("net", policy);
        let nic = chooser
            .choose(Some("nic"), &options("tier2 rtl8139 e1000 virtio"))
            .expect("a choice");
        if nic == "tier2" {
            let tier2 = options("ne2k_pci i82551 i82557b i82559er");
            chooser.choose(Some("nic.tier2"), &tier2).expect("a choice");
        }
        chooser.made().to_vec()
    }

    fn seeded(seed: u64) -> Policy {
        Policy {
            seed,
            ..Policy::default()
        }
    }

    #[test]
    fn a_seed_makes_the_same_choices_again_and_seeds_make_all() {
        let mut seen = BTreeSet::new();
        for seed in 0..100 {
            let made = run(seeded(seed));
            assert_eq!(made, run(seeded(seed)));
            seen.insert(made.last().expect("a choice").value.clone());
        }
        assert_eq!(seen.len(), 7, "{seen:?}");
    }

    #[test]
    fn going_through_all_meets_each_once() {
        let mut policy = Policy {
            in_order: true,
            ..Policy::default()
        };
        let mut seen = Vec::new();
        loop {
            let made = run(policy.clone());
            seen.push(made.last().expect("a choice").value.clone());
            match successor(&made, &policy.pinned) {
                Some(script) => policy.script = script,
                None => break,
            }
        }
        assert_eq!(
            seen,
            options("ne2k_pci i82551 i82557b i82559er rtl8139 e1000 virtio")
        );
    }

    #[test]
    fn a_pinned_value_is_taken_or_refused() {
        let pinned = |value: &str| Policy {
            pinned: BTreeMap::from([("nic".to_owned(), value.to_owned())]),
            ..seeded(1)
        };
        assert_eq!(run(pinned("e1000"))[0].value, "e1000");
        let mut chooser = Chooser::new("net", pinned("foo"));
        let error = chooser
            .choose(Some("nic"), &options("a b"))
            .expect_err("no option");
        assert_eq!(
            error,
            "nic=foo was asked for, and the test chooses among a, b"
        );
        chooser.choose(Some("x"), &[]).expect_err("no options");
    }

    #[test]
    fn pairs_are_all_tried_in_few_runs() {
        let mut tried = BTreeSet::new();
        let mut runs = 0;
        loop {
            let policy = Policy {
                tried: Some(tried.clone()),
                ..seeded(runs)
            };
            let mut chooser = Chooser::new("t", policy);
            for name in ["a", "b", "c"] {
                chooser
                    .choose(Some(name), &options("1 2 3"))
                    .expect("a choice");
            }
            tried.extend(pairs(chooser.made()));
            runs += 1;
            // 27 pairs of different names and 9 of one with itself.
            if tried.len() == 36 {
                break;
            }
            assert!(runs < 27, "{} pairs after {runs} runs", tried.len());
        }
    }

    #[test]
    fn choices_without_names_are_told_apart_by_their_order() {
        let mut chooser = Chooser::new("t", seeded(3));
        for _ in 0..2 {
            chooser.choose(None, &options("a b c")).expect("a choice");
        }
        let names: Vec<&str> = chooser.made().iter().map(|made| &*made.name).collect();
        assert_eq!(names, ["#1", "#2"]);
    }
}
