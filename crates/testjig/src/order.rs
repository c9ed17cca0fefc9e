//! Which part of the cases a run takes, and in which order.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::case::Case;

/// One of several equal parts of a run, for many machines: `3/8` is the third of eight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    part: usize,
    of: usize,
}

impl FromStr for Partition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(part, of)| {
            Some(Self {
                part: part.parse().ok()?,
                of: of.parse().ok()?,
            })
        });
        match parsed {
            Some(partition) if (1..=partition.of).contains(&partition.part) => Ok(partition),
            _ => Err("a partition is M/N: part M of N, from 1/N to N/N".to_owned()),
        }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.part, self.of)
    }
}

impl Partition {
    /// The cases of this part. The parts of one list are disjoint and make up the whole, on every machine alike; they take about as long
    /// as each other by `duration`. A case of unknown length counts as the mean of the known.
    pub fn of(self, cases: Vec<Case>, duration: impl Fn(&str) -> Option<Duration>) -> Vec<Case> {
        let known: Vec<Option<Duration>> = cases.iter().map(|case| duration(&case.name)).collect();
        let count = u32::try_from(known.iter().flatten().count()).unwrap_or(u32::MAX);
        let mean = known
            .iter()
            .flatten()
            .sum::<Duration>()
            .checked_div(count)
            .unwrap_or(Duration::from_millis(1));
        let mut by_length: Vec<(Duration, Case)> = known
            .into_iter()
            .map(|known| known.unwrap_or(mean))
            .zip(cases)
            .collect();
        by_length.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.name.cmp(&b.1.name)));
        // Longest first, each to the part that has least so far.
        let mut loads = vec![Duration::ZERO; self.of];
        let mut mine = Vec::new();
        for (length, case) in by_length {
            let least = (0..self.of)
                .min_by_key(|&part| loads[part])
                .expect("there is a part");
            loads[least] += length;
            if least + 1 == self.part {
                mine.push(case);
            }
        }
        mine.sort_by(|a, b| a.name.cmp(&b.name));
        mine
    }

    /// This part of what is not a device test: by its place in the list alone, the same on every machine that has the same list.
    pub fn share<T>(self, items: Vec<T>) -> Vec<T> {
        items
            .into_iter()
            .skip(self.part - 1)
            .step_by(self.of)
            .collect()
    }
}

/// The order in which a run starts what it has to do.
pub(crate) struct Order<'a> {
    /// How long cases took before, by name.
    pub(crate) expected: &'a HashMap<String, Duration>,
    /// Names of those to start before all others, in this order.
    pub(crate) first: &'a [String],
    /// Whether the run ends with the first case that does not end well.
    pub(crate) is_for_the_first_failure: bool,
}

impl Order<'_> {
    /// What a case counts that never ran.
    const USUAL: Duration = Duration::from_millis(10);

    /// Puts cases of one launch together, the launch that takes longest first, and its longest case first: what takes long and comes
    /// late, all others would wait for. Where only the first failure is wanted, the shortest of a launch comes first.
    ///
    /// `facts` are a case's name and what its launch is known by.
    pub(crate) fn arrange<T>(&self, cases: &mut [T], facts: impl Fn(&T) -> (&str, u64)) {
        let length = |name: &str| self.expected.get(name).copied().unwrap_or(Self::USUAL);
        let mut of_launch: HashMap<u64, Duration> = HashMap::new();
        for case in &*cases {
            let (name, launch) = facts(case);
            *of_launch.entry(launch).or_default() += length(name);
        }
        cases.sort_by_key(|case| {
            let (name, launch) = facts(case);
            let first = self.first.iter();
            let place = first.take_while(|first| *first != name).count();
            let length = if self.is_for_the_first_failure {
                Duration::MAX.saturating_sub(length(name))
            } else {
                length(name)
            };
            (place, Reverse((of_launch[&launch], launch, length)))
        });
    }
}

/// The cases in an order that looks random and is the same for the same seed.
pub fn shuffle(cases: &mut [Case], seed: u64) {
    fastrand::Rng::with_seed(seed).shuffle(cases);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names by launch and milliseconds, as they are arranged: `b` belongs to a launch that takes longer than `a`'s.
    fn arranged(first: &[&str], is_for_the_first_failure: bool) -> Vec<&'static str> {
        let known = [("a1", 30), ("b1", 20), ("b2", 50), ("a2", 1)];
        let expected = known.map(|(name, millis)| (name.to_owned(), Duration::from_millis(millis)));
        let first: Vec<String> = first.iter().map(|name| (*name).to_owned()).collect();
        let order = Order {
            expected: &expected.into(),
            first: &first,
            is_for_the_first_failure,
        };
        let mut cases = vec!["a1", "b1", "a2", "never ran, of a", "b2"];
        order.arrange(&mut cases, |name| (name, u64::from(name.contains('a'))));
        cases
    }

    #[test]
    fn a_launch_stays_together_and_what_takes_longest_comes_first() {
        let expected = ["b2", "b1", "a1", "never ran, of a", "a2"];
        assert_eq!(arranged(&[], false), expected);
    }

    #[test]
    fn who_wants_the_first_failure_begins_with_what_is_short() {
        let expected = ["b1", "b2", "a2", "never ran, of a", "a1"];
        assert_eq!(arranged(&[], true), expected);
    }

    #[test]
    fn what_is_wanted_first_comes_first() {
        let expected = ["a2", "b1", "b2", "a1", "never ran, of a"];
        assert_eq!(arranged(&["a2", "b1", "unknown"], false), expected);
    }

    #[test]
    fn a_partition_names_a_part_that_exists() {
        assert_eq!("2/3".parse(), Ok(Partition { part: 2, of: 3 }));
        for wrong in ["", "1", "0/3", "4/3", "1/0", "a/b", "-1/2", "1/2/3"] {
            assert!(wrong.parse::<Partition>().is_err(), "{wrong}");
        }
    }
}
