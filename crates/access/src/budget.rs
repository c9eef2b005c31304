//! How much has crossed under one grant, and whether more may.
//!
//! A budget is taken from before anything is released, and what was taken and did not cross is given back. It is
//! stored before the crossing is recorded, so that a crash costs the grant what was on its way and never the other way
//! round. People are counted once in a grant's life: the budget remembers them by a keyed pseudonym of the grant's own.

use std::collections::BTreeSet;

use model::Tag;
use model::procedures::Amount;
use serde::{Deserialize, Serialize};

/// Most people that a budget remembers. A grant for more counts each of its people again.
pub const PEOPLE_MAX: usize = 10_000;

/// What was taken from a grant's amount.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Budget {
    rows: u64,
    bytes: u64,
    subjects: u64,
    people: BTreeSet<[u8; 16]>,
}

/// A grant's amount is spent; nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the grant's amount of {0} is spent")]
pub struct Spent(pub &'static str);

/// What was taken for one crossing, to be given back if it does not come about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "what does not cross is given back"]
pub struct Taken {
    rows: u64,
    bytes: u64,
    people: Vec<[u8; 16]>,
    unnamed: u64,
}

impl Budget {
    /// Takes what one crossing needs: all of it or nothing. `people` are those whom the payload names; `unnamed` is how
    /// many it may hold besides, whom nobody can name.
    ///
    /// # Errors
    /// [`Spent`] names the first part that does not suffice.
    pub fn take(
        &mut self,
        most: &Amount,
        rows: u64,
        bytes: u64,
        people: &[Tag],
        unnamed: u64,
    ) -> Result<Taken, Spent> {
        let fresh: BTreeSet<[u8; 16]> =
            people.iter().map(|t| *t.bytes()).filter(|t| !self.people.contains(t)).collect();
        let subjects = (fresh.len() as u64).saturating_add(unnamed);
        for (name, taken, more, most) in [
            ("rows", self.rows, rows, most.rows),
            ("bytes", self.bytes, bytes, most.bytes),
            ("people", self.subjects, subjects, most.subjects),
        ] {
            if taken.saturating_add(more) > most {
                return Err(Spent(name));
            }
        }
        self.rows += rows;
        self.bytes += bytes;
        self.subjects += subjects;
        let room = PEOPLE_MAX.saturating_sub(self.people.len());
        let people: Vec<_> = fresh.into_iter().collect();
        self.people.extend(people.iter().take(room));
        Ok(Taken { rows, bytes, people, unnamed })
    }

    /// Gives back what did not cross.
    pub fn give_back(&mut self, taken: &Taken) {
        self.rows = self.rows.saturating_sub(taken.rows);
        self.bytes = self.bytes.saturating_sub(taken.bytes);
        let subjects = (taken.people.len() as u64).saturating_add(taken.unnamed);
        self.subjects = self.subjects.saturating_sub(subjects);
        for person in &taken.people {
            self.people.remove(person);
        }
    }

    /// What was taken so far.
    #[must_use]
    pub const fn taken(&self) -> Amount {
        Amount { rows: self.rows, bytes: self.bytes, subjects: self.subjects }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOST: Amount = Amount { rows: 10, bytes: 1000, subjects: 2 };

    fn people(of: &[u8]) -> Vec<Tag> {
        of.iter().map(|b| Tag::new([*b; 16])).collect()
    }

    #[test]
    fn a_person_counts_once_in_a_grants_life_and_the_one_too_many_takes_nothing() {
        let mut b = Budget::default();
        let _ = b.take(&MOST, 1, 100, &people(&[1]), 0).unwrap();
        let _ = b.take(&MOST, 1, 100, &people(&[1, 2]), 0).unwrap();
        let before = b.clone();
        assert_eq!(b.take(&MOST, 1, 100, &people(&[3]), 0), Err(Spent("people")));
        assert_eq!(b.take(&MOST, 1, 100, &[], 1), Err(Spent("people")));
        assert_eq!(b.take(&MOST, 9, 100, &people(&[1]), 0), Err(Spent("rows")));
        assert_eq!(b.take(&MOST, 1, 801, &people(&[1]), 0), Err(Spent("bytes")));
        assert_eq!(b, before);
        assert_eq!(b.taken(), Amount { rows: 2, bytes: 200, subjects: 2 });
    }

    #[test]
    fn what_did_not_cross_is_there_again() {
        let mut b = Budget::default();
        let kept = b.take(&MOST, 1, 1, &people(&[1]), 0).unwrap();
        let before = b.clone();
        let taken = b.take(&MOST, 2, 3, &people(&[1, 2]), 0).unwrap();
        b.give_back(&taken);
        assert_eq!(b, before);
        b.give_back(&kept);
        assert_eq!(b, Budget::default());
    }

    proptest! {
        /// Whatever is taken and given back in whatever order, no more than the amount is out at any time.
        #[test]
        fn no_order_of_taking_and_giving_back_takes_more_than_the_amount(
            steps in prop::collection::vec((any::<bool>(), 0u64..6, 0u64..500, prop::collection::vec(0u8..5, 0..4)), 0..60)
        ) {
            let (mut b, mut out) = (Budget::default(), Vec::new());
            for (give, rows, bytes, who) in steps {
                if give && !out.is_empty() {
                    b.give_back(&out.swap_remove(0));
                } else if let Ok(taken) = b.take(&MOST, rows, bytes, &people(&who), 0) {
                    out.push(taken);
                }
                prop_assert!(b.taken().within(&MOST));
                prop_assert_eq!(b.taken().rows, out.iter().map(|t| t.rows).sum::<u64>());
            }
        }

        /// Of a stored budget nothing is lost.
        #[test]
        fn a_stored_budget_reads_back(rows in 0u64..10, who in prop::collection::vec(0u8..2, 0..3)) {
            let mut b = Budget::default();
            let _ = b.take(&MOST, rows, 0, &people(&who), 0);
            let text = serde_json::to_string(&b).unwrap();
            prop_assert_eq!(serde_json::from_str::<Budget>(&text).unwrap(), b);
        }
    }
}
