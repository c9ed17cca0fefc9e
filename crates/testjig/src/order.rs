//! Which part of the cases a run takes, and in which order.

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
}

/// The cases in an order that looks random and is the same for the same seed.
pub fn shuffle(cases: &mut [Case], seed: u64) {
    fastrand::Rng::with_seed(seed).shuffle(cases);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_names_a_part_that_exists() {
        assert_eq!("2/3".parse(), Ok(Partition { part: 2, of: 3 }));
        for wrong in ["", "1", "0/3", "4/3", "1/0", "a/b", "-1/2", "1/2/3"] {
            assert!(wrong.parse::<Partition>().is_err(), "{wrong}");
        }
    }
}
