//! How much one person can contribute, bounded before anything is measured.

use std::collections::BTreeMap;

use super::DpError;

/// Most rows of one person.
pub const ROWS_PER_PERSON_MAX: u32 = 10_000;
/// Most groups of one person.
pub const GROUPS_PER_PERSON_MAX: u32 = 1_000;
/// Most values of one question.
pub const VALUES_MAX: usize = 8_000_000;
/// Most groups of one question.
pub const GROUPS_MAX: usize = 100_000;
/// Largest value, in either direction: all sums then fit.
pub const VALUE_MAX: i64 = 1 << 48;

/// What one person may contribute to numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub(super) rows: u32,
    pub(super) low: i64,
    pub(super) high: i64,
}

impl Bounds {
    /// At most `rows` rows, with values from `low` to `high`. They must not be taken from the data: whoever sees them
    /// would see something of it.
    ///
    /// # Errors
    /// [`DpError::Parameter`] when there is no row, too many, or the values are not in order or too large.
    pub fn new(rows: u32, low: i64, high: i64) -> Result<Self, DpError> {
        if rows == 0 || rows > ROWS_PER_PERSON_MAX {
            return Err(DpError::Parameter("rows of a person"));
        }
        if low >= high || low < -VALUE_MAX || high > VALUE_MAX {
            return Err(DpError::Parameter("bounds of a value"));
        }
        Ok(Self { rows, low, high })
    }
}

/// Values, of which no person has more than the bounds say.
pub struct Bounded {
    pub(super) values: Vec<i64>,
    pub(super) bounds: Bounds,
}

impl Bounded {
    /// Takes of each person the first rows, and brings their values within the bounds. Which rows are first is to depend
    /// on nobody else: their order in time, for example.
    ///
    /// # Errors
    /// [`DpError::TooMany`] when there are more values than one question may hold.
    pub fn new<P: Ord>(rows: impl IntoIterator<Item = (P, i64)>, bounds: Bounds) -> Result<Self, DpError> {
        let mut people: BTreeMap<P, u32> = BTreeMap::new();
        let mut values = Vec::new();
        for (person, value) in rows {
            let taken = people.entry(person).or_default();
            if *taken < bounds.rows {
                *taken += 1;
                values.push(value.clamp(bounds.low, bounds.high));
            }
            if values.len() > VALUES_MAX {
                return Err(DpError::TooMany { what: "values", most: VALUES_MAX });
            }
        }
        // Whose values these are is not known from here on, nor who came first.
        values.sort_unstable();
        Ok(Self { values, bounds })
    }
}

impl std::fmt::Debug for Bounded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bounded").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}

/// Numbers of people by group, where no person is in more groups than was said.
pub struct Grouped {
    pub(super) counts: BTreeMap<String, u64>,
    pub(super) per_person: u32,
}

impl Grouped {
    /// Counts each person once in each of their first `per_person` groups.
    ///
    /// # Errors
    /// [`DpError::Parameter`] when `per_person` is none or too many; [`DpError::TooMany`] when there are more people or groups
    /// than one question may hold.
    pub fn new<P: Ord, G: Into<String>>(
        rows: impl IntoIterator<Item = (P, G)>,
        per_person: u32,
    ) -> Result<Self, DpError> {
        if per_person == 0 || per_person > GROUPS_PER_PERSON_MAX {
            return Err(DpError::Parameter("groups of a person"));
        }
        let (mut groups, mut memberships) = (Groups::default(), 0_usize);
        let mut people: BTreeMap<P, Vec<usize>> = BTreeMap::new();
        for (person, group) in rows {
            let theirs = people.entry(person).or_default();
            if theirs.len() >= per_person as usize {
                continue;
            }
            let number = groups.number(group.into())?;
            if !theirs.contains(&number) {
                theirs.push(number);
                memberships += 1;
                groups.count(number);
            }
            if memberships > VALUES_MAX {
                return Err(DpError::TooMany { what: "people in groups", most: VALUES_MAX });
            }
        }
        Ok(Self { counts: groups.counted(), per_person })
    }
}

impl std::fmt::Debug for Grouped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Grouped").field("per_person", &self.per_person).finish_non_exhaustive()
    }
}

/// Names of groups as numbers, so that a person's groups take little memory.
#[derive(Default)]
struct Groups {
    numbers: BTreeMap<String, usize>,
    counts: Vec<u64>,
}

impl Groups {
    fn number(&mut self, group: String) -> Result<usize, DpError> {
        if let Some(number) = self.numbers.get(&group) {
            return Ok(*number);
        }
        let number = self.counts.len();
        if number >= GROUPS_MAX {
            return Err(DpError::TooMany { what: "groups", most: GROUPS_MAX });
        }
        self.counts.push(0);
        self.numbers.insert(group, number);
        Ok(number)
    }

    fn count(&mut self, number: usize) {
        if let Some(count) = self.counts.get_mut(number) {
            *count += 1;
        }
    }

    fn counted(self) -> BTreeMap<String, u64> {
        let Self { numbers, counts } = self;
        let count = |number: usize| counts.get(number).copied().unwrap_or(0);
        numbers.into_iter().map(|(group, number)| (group, count(number))).collect()
    }
}
