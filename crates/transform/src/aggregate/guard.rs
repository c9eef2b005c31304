//! What a recipient has been told of a dataset, and whether one more group would single out a few in the difference.
//!
//! A pure state machine: one for each recipient and dataset, to be stored before what it permits is released. It keeps, for
//! each person, in which of the released groups they are; people are keyed digests. A new group is refused when it differs
//! from a released one by fewer than k people, and when any sum or difference that can be made of the released groups and
//! the new one, with whatever factors, stands for fewer than k people: exactly where those people are in the same groups
//! (Chin and Özsoyoğlu 1982), and for what two such combinations give together. Three and more are not tried.
//!
//! A dataset that changes is under the same rule: yesterday's count and today's differ by whoever came. What it cannot see
//! is what a recipient knows from elsewhere, and that it refused is itself an answer. Where either matters there is noise.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

mod span;
#[cfg(test)]
mod tests;

/// Most groups of one recipient and dataset. What was told cannot be forgotten: after these there is only noise.
pub const GROUPS_MAX: usize = 128;
/// Most people in them.
pub const PEOPLE_MAX: usize = 250_000;
/// Most different sets of groups that people are in.
pub const ATOMS_MAX: usize = 2_048;

/// Somebody, by the first half of a keyed digest that is the same for as long as the guard lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member(u64);

impl Member {
    /// From a person's tag or pseudonym.
    #[must_use]
    pub const fn of(tag: &[u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = *tag;
        Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }
}

/// Why groups are not released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unsafe {
    /// A group has too few people.
    #[error("a group has too few people")]
    Few,
    /// A group and a released one differ by too few.
    #[error("a group and one that was released differ by too few people")]
    Difference,
    /// Too few would follow from several groups.
    #[error("several groups together would tell of too few people")]
    Combination,
    /// There are more groups, people or overlaps than are kept.
    #[error("more has been released than can be compared")]
    Full,
}

impl Unsafe {
    /// A stable word for records.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Few => "guard-few",
            Self::Difference => "guard-difference",
            Self::Combination => "guard-combination",
            Self::Full => "guard-full",
        }
    }
}

/// That groups may be released together: what [`Guard::pass`] says.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "it is what lets counts leave"]
pub struct Passed {
    groups: usize,
}

impl Passed {
    /// How many groups.
    #[must_use]
    pub const fn groups(&self) -> usize {
        self.groups
    }
}

/// In which groups somebody is: a bit for each.
type Groups = u128;

/// What one recipient has been told of one dataset.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Guard {
    groups: usize,
    people: BTreeMap<Member, Groups>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("groups", &self.groups).field("people", &self.people.len()).finish()
    }
}

impl Guard {
    /// Permits groups to be released together, or none of them. One that was released before costs nothing.
    ///
    /// ```
    /// use std::num::NonZeroU64;
    /// use transform::aggregate::guard::{Guard, Member, Unsafe};
    ///
    /// let people = |to: u8| (0..to).map(|p| Member::of(&[p; 16])).collect();
    /// let (mut guard, k) = (Guard::default(), NonZeroU64::new(10).ok_or("zero")?);
    /// assert_eq!(guard.release(&[people(100)], k), Ok(()));
    /// assert_eq!(guard.release(&[people(99)], k), Err(Unsafe::Difference));
    /// assert_eq!(guard.release(&[people(90)], k), Ok(()));
    /// # Ok::<(), &str>(())
    /// ```
    ///
    /// # Errors
    /// [`Unsafe`]: the guard is unchanged.
    pub fn release(&mut self, groups: &[BTreeSet<Member>], k: NonZeroU64) -> Result<(), Unsafe> {
        let mut after = self.clone();
        for group in groups {
            after.add(group, k.get())?;
        }
        if after.groups > self.groups {
            after.combinations(k.get())?;
        }
        *self = after;
        Ok(())
    }

    /// As [`Guard::release`], and says so by a value that nothing else makes. The guard is to be stored, durably, before
    /// that value is given to anybody.
    ///
    /// # Errors
    /// As there.
    pub fn pass(&mut self, groups: &[BTreeSet<Member>], k: NonZeroU64) -> Result<Passed, Unsafe> {
        self.release(groups, k)?;
        Ok(Passed { groups: groups.len() })
    }

    /// How many groups were released.
    #[must_use]
    pub const fn groups(&self) -> usize {
        self.groups
    }

    fn add(&mut self, group: &BTreeSet<Member>, k: u64) -> Result<(), Unsafe> {
        if (group.len() as u64) < k {
            return Err(Unsafe::Few);
        }
        let apart = self.apart(group);
        if apart.contains(&0) {
            return Ok(());
        }
        if apart.iter().any(|people| *people < k) {
            return Err(Unsafe::Difference);
        }
        if self.groups >= GROUPS_MAX {
            return Err(Unsafe::Full);
        }
        for member in group {
            *self.people.entry(*member).or_default() |= 1 << self.groups;
        }
        self.groups += 1;
        if self.people.len() > PEOPLE_MAX { Err(Unsafe::Full) } else { Ok(()) }
    }

    /// By how many people a group differs from each that was released.
    fn apart(&self, group: &BTreeSet<Member>) -> Vec<u64> {
        let mut apart = vec![0; self.groups];
        let new = group.iter().filter(|m| !self.people.contains_key(m)).count() as u64;
        // People who are in the same groups differ from all of them together.
        let mut alike: BTreeMap<(Groups, bool), u64> = BTreeMap::new();
        for (member, groups) in &self.people {
            *alike.entry((*groups, group.contains(member))).or_default() += 1;
        }
        for ((groups, inside), count) in alike {
            let differs = apart.iter_mut().enumerate().filter(|(n, _)| (groups >> n & 1 == 1) != inside);
            differs.for_each(|(_, people)| *people += count);
        }
        apart.iter().map(|people| people + new).collect()
    }

    /// Whether the released groups together tell of too few.
    fn combinations(&self, k: u64) -> Result<(), Unsafe> {
        let mut atoms: BTreeMap<Groups, u64> = BTreeMap::new();
        for groups in self.people.values() {
            *atoms.entry(*groups).or_default() += 1;
            if atoms.len() > ATOMS_MAX {
                return Err(Unsafe::Full);
            }
        }
        let (signatures, people): (Vec<Groups>, Vec<u64>) = atoms.into_iter().unzip();
        let row = |n: usize| signatures.iter().map(|s| (s >> n & 1) as u64).collect();
        let rows: Vec<Vec<u64>> = (0..self.groups).map(row).collect();
        if span::tells_of_few(rows, &people, k) { Err(Unsafe::Combination) } else { Ok(()) }
    }
}

/// A guard as it is stored: for each set of groups, in hexadecimal, the people who are in just these, in eight bytes each.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    groups: usize,
    people: BTreeMap<String, String>,
}

impl From<Guard> for Stored {
    fn from(guard: Guard) -> Self {
        let mut members: BTreeMap<Groups, Vec<u8>> = BTreeMap::new();
        for (member, groups) in guard.people {
            members.entry(groups).or_default().extend(member.0.to_be_bytes());
        }
        let people =
            members.into_iter().map(|(groups, of)| (format!("{groups:x}"), BASE64URL_NOPAD.encode(&of)));
        Self { groups: guard.groups, people: people.collect() }
    }
}

/// A stored guard that is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored guard is not in its form")]
pub struct Form;

impl TryFrom<Stored> for Guard {
    type Error = Form;

    fn try_from(stored: Stored) -> Result<Self, Form> {
        let mut people = BTreeMap::new();
        for (groups, members) in stored.people {
            let groups = Groups::from_str_radix(&groups, 16).map_err(|_| Form)?;
            let bytes = BASE64URL_NOPAD.decode(members.as_bytes()).map_err(|_| Form)?;
            let (members, rest) = bytes.as_chunks::<8>();
            let known = groups != 0
                && groups.checked_shr(u32::try_from(stored.groups).unwrap_or(128)).unwrap_or(0) == 0;
            if !rest.is_empty() || !known {
                return Err(Form);
            }
            for member in members {
                if people.insert(Member(u64::from_be_bytes(*member)), groups).is_some() {
                    return Err(Form);
                }
            }
        }
        if stored.groups > GROUPS_MAX || people.len() > PEOPLE_MAX {
            return Err(Form);
        }
        Ok(Self { groups: stored.groups, people })
    }
}
