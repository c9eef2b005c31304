//! Counts of people per group, with small groups withheld.
//!
//! A group under the threshold is not shown, and neither is the smallest shown group if the
//! withheld ones together would still point at few people: whoever knows the total from
//! elsewhere subtracts what is shown. One release is protected by this; several overlapping ones
//! are not: [`Guard`] remembers what a recipient has, and refuses what would single out a few in
//! the difference. [`Table`] is for counts and sums in rows and columns with their margins. Where
//! that is not enough there is noise: [`crate::dp`].
//!
//! Practice of statistical offices (Eurostat, OECD: minimum frequency rule with complementary
//! suppression); ten people is the usual threshold, twenty for sensitive data.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

pub mod guard;
pub mod table;

pub use guard::{Guard, Member, Passed};
pub use table::{Measure, Rules, Table};

/// Fewest distinct people of a cell.
pub const PEOPLE_MIN: NonZeroU64 = NonZeroU64::MIN.saturating_add(9);
/// The same for sensitive classes.
pub const SENSITIVE_PEOPLE_MIN: NonZeroU64 = NonZeroU64::MIN.saturating_add(19);

/// Counts that may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release<G> {
    /// Groups with their number of distinct people, sorted by group.
    pub shown: Vec<(G, u64)>,
    /// How many groups are withheld, for either reason.
    pub withheld: usize,
    /// The sum over all groups, only if none is withheld. A person in two groups counts twice.
    pub total: Option<u64>,
}

/// Counts distinct subjects per group and withholds what [`release`] withholds. A subject is
/// named by any value that is the same for the same person; rows may repeat.
///
/// ```
/// use std::num::NonZeroU64;
/// use transform::aggregate::by_group;
///
/// let rows = [("NO", 1), ("NO", 2), ("NO", 3), ("NO", 3), ("FI", 4), ("SE", 5), ("SE", 6), ("SE", 7)];
/// let release = by_group(rows, NonZeroU64::new(3).ok_or("zero")?);
/// // One Finn would follow from a known total, so a second group is withheld with them.
/// assert_eq!(release.shown, [("SE", 3)]);
/// assert_eq!((release.withheld, release.total), (2, None));
/// # Ok::<(), &str>(())
/// ```
pub fn by_group<G: Ord, S: Ord>(rows: impl IntoIterator<Item = (G, S)>, threshold: NonZeroU64) -> Release<G> {
    let mut groups: BTreeMap<G, BTreeSet<S>> = BTreeMap::new();
    for (group, subject) in rows {
        groups.entry(group).or_default().insert(subject);
    }
    release(groups.into_iter().map(|(group, subjects)| (group, subjects.len() as u64)), threshold)
}

/// Withholds groups with fewer than `threshold` people, and then the next smallest ones until at
/// least two groups, and together at least `threshold` people, are withheld. Counts of the same
/// group are added. A group without people is withheld too: that nobody is there is a fact about
/// everybody who could have been.
pub fn release<G: Ord>(counts: impl IntoIterator<Item = (G, u64)>, threshold: NonZeroU64) -> Release<G> {
    let mut groups: BTreeMap<G, u64> = BTreeMap::new();
    for (group, count) in counts {
        let sum = groups.entry(group).or_default();
        *sum = sum.saturating_add(count);
    }
    let mut by_size: Vec<(G, u64)> = groups.into_iter().collect();
    by_size.sort_by_key(|(_, count)| *count); // stable, so ties are settled by group

    let withheld = withheld(by_size.iter().map(|(_, count)| *count), threshold.get());
    let total = by_size.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count));
    let mut shown = by_size.split_off(withheld);
    shown.sort_by(|(a, _), (b, _)| a.cmp(b));
    Release { shown, withheld, total: (withheld == 0).then_some(total) }
}

/// How many of the counts, from the smallest up, must be withheld.
fn withheld(ascending: impl Iterator<Item = u64>, threshold: u64) -> usize {
    let (mut groups, mut people) = (0, 0_u64);
    for count in ascending {
        let covered = groups == 0 || (groups >= 2 && people >= threshold);
        if count >= threshold && covered {
            break;
        }
        groups += 1;
        people = people.saturating_add(count);
    }
    groups
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(counts: &[(&'static str, u64)], shown: &[(&'static str, u64)], total: Option<u64>) {
        let release = release(counts.iter().copied(), NonZeroU64::new(10).unwrap());
        assert_eq!((release.shown.as_slice(), release.total), (shown, total), "{counts:?}");
        assert_eq!(release.withheld, counts.len() - shown.len());
    }

    #[test]
    fn small_groups_are_withheld_and_never_alone() {
        check(&[], &[], Some(0));
        check(&[("b", 10), ("a", 99)], &[("a", 99), ("b", 10)], Some(109));
        check(&[("a", 9)], &[], None);
        check(&[("a", 9), ("b", 10)], &[], None);
        check(&[("a", 9), ("b", 12), ("c", 11)], &[("b", 12)], None);
        check(&[("a", 5), ("b", 5), ("c", 11)], &[("c", 11)], None);
        check(&[("a", 1), ("b", 1), ("c", 11), ("d", 40)], &[("d", 40)], None);
        check(&[("a", 0), ("b", 30), ("c", 20)], &[("b", 30)], None);
    }

    #[test]
    fn a_person_counts_once_in_a_group() {
        let rows = (0..100).map(|n| ("a", n % 9));
        let release = by_group(rows, NonZeroU64::new(10).unwrap());
        assert_eq!(release, Release { shown: vec![], withheld: 1, total: None });
    }

    #[test]
    fn the_order_of_rows_does_not_matter() {
        let threshold = NonZeroU64::new(2).unwrap();
        let rows = [("b", 1), ("a", 2), ("b", 3), ("a", 1), ("c", 9), ("d", 1), ("d", 2)];
        let reversed = rows.iter().rev().copied();
        assert_eq!(by_group(rows, threshold), by_group(reversed, threshold));
    }

    proptest! {
        #[test]
        fn what_is_hidden_is_at_least_two_groups_and_enough_people(
            counts in prop::collection::btree_map(0..40_u8, 0..30_u64, 0..20), threshold in 1..20_u64,
        ) {
            let all: u64 = counts.values().sum();
            let release = release(counts.clone(), NonZeroU64::new(threshold).unwrap());
            prop_assert!(release.shown.iter().all(|(group, count)| *count >= threshold && counts[group] == *count));
            prop_assert!(release.shown.is_sorted());
            let hidden = all - release.shown.iter().map(|(_, count)| count).sum::<u64>();
            if release.withheld > 0 && !release.shown.is_empty() {
                prop_assert!(release.withheld >= 2 && hidden >= threshold);
            }
            prop_assert_eq!(release.total.is_some(), release.withheld == 0);
        }
    }
}
