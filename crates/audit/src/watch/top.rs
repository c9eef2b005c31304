//! Counting by key with a fixed number of keys (the space-saving algorithm), and what is usual.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Sums by key, of at most so many keys.
///
/// When there is no room a new key takes the place of the least, and starts with the least's sum as its
/// uncertainty. So no sum is ever shown too small: a key's `most` is at least its true sum, `most` less
/// `error` is at most that, and a key that has no place has at most the least `most` of those that have one.
/// The largest are never hidden; when keys are many, small ones look larger than they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Top {
    sums: BTreeMap<String, Sum>,
}

/// What is known of the sum of one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sum {
    pub(super) most: u64,
    pub(super) error: u64,
    /// Whether it was reported.
    pub(super) told: bool,
}

impl Top {
    /// Adds `weight` to the sum of `key`, and returns it.
    pub(super) fn add(&mut self, key: &str, weight: u64, keys_max: usize) -> &mut Sum {
        let mut start = 0;
        if !self.sums.contains_key(key) && self.sums.len() >= keys_max.max(1) {
            let least =
                self.sums.iter().min_by_key(|(_, sum)| sum.most).map(|(key, sum)| (key.clone(), sum.most));
            if let Some((least, most)) = least {
                self.sums.remove(&least);
                start = most;
            }
        }
        let new = Sum { most: start, error: start, told: false };
        let sum = self.sums.entry(key.to_owned()).or_insert(new);
        sum.most = sum.most.saturating_add(weight);
        sum
    }

    /// The most that the sum of `key` can be of what is still held of it.
    pub(super) fn most(&self, key: &str) -> u64 {
        self.sums.get(key).map_or(0, |sum| sum.most)
    }

    /// Forgets the keys whose sum is less than `least`.
    pub(super) fn trim(&mut self, least: u64) {
        self.sums.retain(|_, sum| sum.most >= least);
    }
}

/// More than this is unusual: the median and `k` times the median distance from it, and never less than `floor`.
///
/// The distance counts as a tenth of the median at least, so that a sum that is the same every day is not
/// unusual for being a little more.
pub(super) fn threshold(samples: &[u64], k: u64, floor: u64) -> u64 {
    let middle = median(samples.to_vec());
    let distance = median(samples.iter().map(|sample| sample.abs_diff(middle)).collect());
    middle.saturating_add(k.saturating_mul(distance.max(middle / 10))).max(floor)
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_usual_is_robust_against_one_wild_day() {
        assert_eq!(threshold(&[], 6, 50), 50);
        assert_eq!(threshold(&[100, 110, 90, 100, 105, 95, 100], 6, 50), 160);
        assert_eq!(threshold(&[100, 110, 90, 1_000_000, 105, 95, 100], 6, 50), 160);
        assert_eq!(threshold(&[0; 7], 6, 50), 50);
        assert_eq!(threshold(&[u64::MAX; 7], 6, 50), u64::MAX);
    }

    proptest! {
        #[test]
        fn no_sum_is_hidden_however_many_keys(
            adds in prop::collection::vec((0_u8..40, 1_u64..100), 1..400), keys_max in 1_usize..12,
        ) {
            let (mut top, mut truth) = (Top::default(), BTreeMap::new());
            for (key, weight) in &adds {
                top.add(&key.to_string(), *weight, keys_max);
                *truth.entry(key.to_string()).or_insert(0) += weight;
            }
            prop_assert!(top.sums.len() <= keys_max);
            let least = top.sums.values().map(|sum| sum.most).min().unwrap();
            for (key, sum) in truth {
                match top.sums.get(&key) {
                    Some(held) => prop_assert!(held.most >= sum && held.most - held.error <= sum),
                    None => prop_assert!(sum <= least),
                }
            }
        }
    }
}
