//! Noisy numbers of several kinds by group, where a database bounded beforehand what one person contributes.

use std::collections::BTreeMap;

use super::bound::{GROUPS_MAX, GROUPS_PER_PERSON_MAX, VALUE_MAX};
use super::groups::threshold;
use super::noise::Noise;
use super::{Answer, Cost, Delta, DpError, Epsilon, Noised, Privacy, Rho};

/// Most numbers of a group.
pub const NUMBERS_MAX: usize = 16;

/// What a group is called: a value for each key, none where the data have none.
pub type Key = Vec<Option<String>>;

/// Numbers by group. The first is people; no person is in more than so many groups, nor has more in a number than was said.
pub struct Cells {
    per_person: u32,
    most: Vec<u64>,
    groups: BTreeMap<Key, Vec<i128>>,
}

impl Cells {
    /// Without any group. A person is in at most `per_person` groups, and contributes to each number of a group at most so
    /// much as `most` says, in either direction; whoever makes the numbers sees to it.
    ///
    /// # Errors
    /// [`DpError::Parameter`] when the first number cannot be people, or a bound is outside of its limits.
    pub fn new(per_person: u32, most: Vec<u64>) -> Result<Self, DpError> {
        if per_person == 0 || per_person > GROUPS_PER_PERSON_MAX {
            return Err(DpError::Parameter("groups of a person"));
        }
        let fits = |most: &u64| (1..=VALUE_MAX.unsigned_abs()).contains(most);
        if most.first() != Some(&1) || most.len() > NUMBERS_MAX || !most.iter().all(fits) {
            return Err(DpError::Parameter("numbers of a group"));
        }
        Ok(Self { per_person, most, groups: BTreeMap::new() })
    }

    /// Names a group, whether or not anybody is in it: it gets noise as well.
    ///
    /// # Errors
    /// [`DpError::TooMany`]
    pub fn name(&mut self, key: Key) -> Result<(), DpError> {
        let nothing = vec![0; self.most.len()];
        self.groups.entry(key).or_insert(nothing);
        self.few()
    }

    /// Says what is in a group.
    ///
    /// # Errors
    /// [`DpError::Parameter`] when there is more in it than its people can have, or it was said before;
    /// [`DpError::TooMany`].
    pub fn put(&mut self, key: Key, numbers: Vec<i128>) -> Result<(), DpError> {
        let people = numbers.first().copied().and_then(|people| u64::try_from(people).ok()).unwrap_or(0);
        // The bounds were kept elsewhere: what shows that they were not is no answer.
        let kept = |(number, most): (&i128, &u64)| {
            number.unsigned_abs() <= u128::from(*most).saturating_mul(u128::from(people))
        };
        if people == 0 || numbers.len() != self.most.len() || !numbers.iter().zip(&self.most).all(kept) {
            return Err(DpError::Parameter("numbers of a group"));
        }
        let empty = |before: &Vec<i128>| before.iter().all(|number| *number == 0);
        if self.groups.insert(key, numbers).is_some_and(|before| !empty(&before)) {
            return Err(DpError::Parameter("groups"));
        }
        self.few()
    }

    fn few(&self) -> Result<(), DpError> {
        let few = self.groups.len() <= GROUPS_MAX;
        few.then_some(()).ok_or(DpError::TooMany { what: "groups", most: GROUPS_MAX })
    }
}

impl std::fmt::Debug for Cells {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cells").field("per_person", &self.per_person).finish_non_exhaustive()
    }
}

/// Where the names of the groups are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// From a declaration: all of them are told.
    Declared,
    /// From the data: a group is told when its noisy number of people reaches a threshold, as in
    /// [`super::groups::private_groups`].
    Data {
        /// The least that is told.
        k: u32,
        /// The chance that one with one person is told.
        delta: Delta,
    },
}

/// What a table of so many numbers costs, before it is made.
///
/// # Errors
/// [`DpError::Parameter`] when the cost is too small to be parted among them.
pub fn price(numbers: usize, names: Names, privacy: Privacy) -> Result<Cost, DpError> {
    privacy.part(numbers)?;
    Ok(match names {
        Names::Declared => privacy.cost(),
        Names::Data { delta, .. } => privacy.cost_of_groups(delta),
    })
}

/// All numbers of all groups, each with noise of its own. The cost is parted evenly among the numbers.
///
/// # Errors
/// [`DpError::Parameter`] when the cost is too small to be parted, or the noise would be too wide; [`DpError::Noise`] when
/// none was drawn.
pub fn table(cells: &Cells, names: Names, privacy: Privacy) -> Result<Noised, DpError> {
    let cost = price(cells.most.len(), names, privacy)?;
    let part = privacy.part(cells.most.len())?;
    let noises: Vec<Noise> =
        cells.most.iter().map(|most| Noise::wide(part, cells.per_person, *most)).collect();
    let people = noises.first().copied().ok_or(DpError::Parameter("numbers of a group"))?;
    let least = match names {
        Names::Declared => i64::MIN,
        Names::Data { k, delta } => threshold(people, cells.per_person, delta)?.max(i64::from(k)),
    };
    let mut groups = Vec::new();
    for (key, numbers) in &cells.groups {
        let noisy = numbers.iter().zip(&noises).map(|(number, noise)| noise.add(*number));
        let noisy = noisy.collect::<Result<Vec<i64>, _>>()?;
        if noisy.first().is_some_and(|people| *people >= least) {
            groups.push((key.clone(), noisy));
        }
    }
    Ok(Noised::new(Answer::Table(groups), cost))
}

impl Privacy {
    /// One of so many equal parts, rounded down.
    fn part(self, parts: usize) -> Result<Self, DpError> {
        let parts = u32::try_from(parts).unwrap_or(u32::MAX).max(1);
        match self {
            Self::Pure(epsilon) => Epsilon::micro(epsilon.as_micro() / parts).map(Self::Pure),
            Self::Concentrated(rho) => Rho::nano(rho.as_nano() / u64::from(parts)).map(Self::Concentrated),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MICRO: u32 = 1_000_000;

    fn pure() -> Privacy {
        Privacy::Pure(Epsilon::micro(MICRO).unwrap())
    }

    fn key(of: &str) -> Key {
        vec![Some(of.to_owned())]
    }

    fn told(cells: &Cells, names: Names) -> Vec<(Key, Vec<i64>)> {
        let Answer::Table(groups) = table(cells, names, pure()).unwrap().into_answer() else {
            panic!("no table")
        };
        groups
    }

    /// Noise of scale 2 on the people and 2,000 on the sum: thirty times that is gone over with a chance of e^-30.
    #[test]
    fn declared_groups_are_all_told_and_others_only_when_they_are_large() {
        let mut cells = Cells::new(1, vec![1, 1_000]).unwrap();
        cells.name(key("nobody")).unwrap();
        for (group, people) in [("one", 1), ("many", 5_000)] {
            cells.put(key(group), vec![people, 1_000 * people]).unwrap();
        }
        let all = told(&cells, Names::Declared);
        assert_eq!(
            all.iter().map(|(k, _)| k.clone()).collect::<Vec<_>>(),
            ["many", "nobody", "one"].map(key)
        );
        for ((_, noisy), people) in all.iter().zip([5_000_i64, 0, 1]) {
            assert!(
                (noisy[0] - people).abs() < 60 && (noisy[1] - 1_000 * people).abs() < 60_000,
                "{noisy:?}"
            );
        }
        let delta = Delta::atto(100_000_000).unwrap();
        let large = told(&cells, Names::Data { k: 10, delta });
        assert_eq!(large.iter().map(|(k, _)| k.clone()).collect::<Vec<_>>(), [key("many")]);
        assert_eq!(told(&cells, Names::Data { k: 9_000, delta }), []);
        let cost = price(2, Names::Data { k: 10, delta }, pure()).unwrap();
        assert_eq!((cost.total_epsilon_micro(), cost.total_delta_atto()), (1_000_000, 100_000_000));
    }

    #[test]
    fn numbers_that_their_people_cannot_have_are_no_answer() {
        for (per_person, most) in
            [(0, vec![1]), (1_001, vec![1]), (1, vec![]), (1, vec![2]), (1, vec![1, 0]), (1, vec![1; 17])]
        {
            assert!(Cells::new(per_person, most).is_err());
        }
        let mut cells = Cells::new(2, vec![1, 10]).unwrap();
        for numbers in [vec![0, 0], vec![-1, 0], vec![2, 21], vec![2, -21], vec![2], vec![2, 1, 1]] {
            assert!(cells.put(key("a"), numbers).is_err());
        }
        cells.put(key("a"), vec![2, -20]).unwrap();
        assert!(cells.put(key("a"), vec![1, 1]).is_err(), "a group is said once");
        let least = Privacy::Pure(Epsilon::micro(1).unwrap());
        assert!(table(&cells, Names::Declared, least).is_err(), "nothing to part");
    }

    proptest! {
        /// All parts together are no more than what is charged.
        #[test]
        fn parts_cost_no_more_than_the_whole(micro in 20..=MICRO, parts in 1..=NUMBERS_MAX) {
            let epsilon = Epsilon::micro(micro).unwrap();
            let Privacy::Pure(part) = Privacy::Pure(epsilon).part(parts).unwrap() else { panic!() };
            prop_assert!(part.as_micro() as usize * parts <= micro as usize);
            if let Ok(rho) = Rho::within(epsilon) && let Ok(Privacy::Concentrated(part)) = Privacy::Concentrated(rho).part(parts) {
                prop_assert!(part.as_nano() * parts as u64 <= rho.as_nano());
            }
        }
    }
}
