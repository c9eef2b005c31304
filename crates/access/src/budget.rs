//! How much has crossed under one grant, and whether more may.
//!
//! A budget is taken from before anything is released, and what was taken and did not cross is given back. Several
//! processes may use one grant: the store keeps what they have *reserved* of it in all ([`Reserved`]), and each takes
//! from what it has reserved itself, in chunks, in memory ([`Share`]). Reserved is what is stored before it is used, so
//! that a crash costs the grant the rest of a chunk and never the other way round. People are counted once in a grant's
//! life, by a keyed pseudonym, durably and by name before the first crossing that would show them; they stay counted when
//! it does not come about. A chunk of them would be lost in a crash, and a grant for one person with it.

use std::collections::{BTreeMap, BTreeSet};

use model::Tag;
use model::procedures::Amount;
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// Most people that a budget remembers. A grant for more counts each of its people again.
pub const PEOPLE_MAX: usize = 10_000;
/// A process reserves at least one part in this many of a grant's amount.
const CHUNKS: u64 = 8;
const NOTHING: Amount = Amount { rows: 0, bytes: 0, subjects: 0 };

/// What was taken from an amount.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Budget {
    rows: u64,
    bytes: u64,
    subjects: u64,
    /// Who was counted, and by how many crossings that were not given back.
    people: BTreeMap<[u8; 16], u32>,
    /// Who was counted for good, before this budget began.
    known: BTreeSet<[u8; 16]>,
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
    /// Whom the budget remembers for it, counted by it or before.
    people: Vec<[u8; 16]>,
    /// Who were counted and are not remembered.
    others: u64,
}

/// What one crossing needs.
struct Need {
    /// Besides what was taken.
    more: Amount,
    people: BTreeSet<[u8; 16]>,
    unnamed: u64,
}

impl Budget {
    fn need(&self, rows: u64, bytes: u64, people: &[Tag], unnamed: u64) -> Need {
        let people: BTreeSet<_> =
            people.iter().map(|t| *t.bytes()).filter(|t| !self.known.contains(t)).collect();
        let fresh = people.iter().filter(|t| !self.people.contains_key(*t)).count() as u64;
        Need { more: Amount { rows, bytes, subjects: fresh.saturating_add(unnamed) }, people, unnamed }
    }

    fn note(&mut self, need: Need) -> Taken {
        let Amount { rows, bytes, subjects } = need.more;
        self.rows = self.rows.saturating_add(rows);
        self.bytes = self.bytes.saturating_add(bytes);
        self.subjects = self.subjects.saturating_add(subjects);
        let mut taken = Taken { rows, bytes, people: Vec::new(), others: need.unnamed };
        for person in need.people {
            if !self.people.contains_key(&person) && self.people.len() >= PEOPLE_MAX {
                taken.others = taken.others.saturating_add(1);
                continue;
            }
            let crossings = self.people.entry(person).or_default();
            *crossings = crossings.saturating_add(1);
            taken.people.push(person);
        }
        taken
    }

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
        let need = self.need(rows, bytes, people, unnamed);
        if let Some(name) = first_part(&lacking(&self.taken(), &need.more, most)) {
            return Err(Spent(name));
        }
        Ok(self.note(need))
    }

    /// Gives back what did not cross. Somebody whom another crossing named stays counted.
    pub fn give_back(&mut self, taken: &Taken) {
        self.rows = self.rows.saturating_sub(taken.rows);
        self.bytes = self.bytes.saturating_sub(taken.bytes);
        let mut subjects = taken.others;
        for person in &taken.people {
            let Some(crossings) = self.people.get_mut(person) else { continue };
            *crossings -= 1;
            if *crossings == 0 {
                self.people.remove(person);
                subjects = subjects.saturating_add(1);
            }
        }
        self.subjects = self.subjects.saturating_sub(subjects);
    }

    /// What was taken so far.
    #[must_use]
    pub const fn taken(&self) -> Amount {
        Amount { rows: self.rows, bytes: self.bytes, subjects: self.subjects }
    }
}

/// By how much an amount is exceeded.
const fn lacking(taken: &Amount, more: &Amount, most: &Amount) -> Amount {
    Amount {
        rows: taken.rows.saturating_add(more.rows).saturating_sub(most.rows),
        bytes: taken.bytes.saturating_add(more.bytes).saturating_sub(most.bytes),
        subjects: taken.subjects.saturating_add(more.subjects).saturating_sub(most.subjects),
    }
}

const fn first_part(amount: &Amount) -> Option<&'static str> {
    match (amount.rows, amount.bytes, amount.subjects) {
        (0, 0, 0) => None,
        (0, 0, _) => Some("people"),
        (0, _, _) => Some("bytes"),
        _ => Some("rows"),
    }
}

/// What all processes together have reserved of one grant's amount, as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reserved {
    rows: u64,
    bytes: u64,
    subjects: u64,
    /// Who was counted for good by those who have settled.
    people: BTreeSet<[u8; 16]>,
}

impl Reserved {
    /// Reserves what a process lacks, or an eighth of the amount if that is more and there: of each part that it lacks.
    ///
    /// # Errors
    /// [`Spent`] when there is not as much as it lacks; nothing is reserved then.
    pub fn reserve(&mut self, most: &Amount, lacks: &Amount) -> Result<Amount, Spent> {
        let left = lacking(most, &NOTHING, &self.reserved());
        if let Some(name) = first_part(&lacking(&NOTHING, lacks, &left)) {
            return Err(Spent(name));
        }
        let chunk = |lacks: u64, most: u64, left: u64| {
            if lacks == 0 { 0 } else { lacks.max(most / CHUNKS).min(left) }
        };
        let chunk = Amount {
            rows: chunk(lacks.rows, most.rows, left.rows),
            bytes: chunk(lacks.bytes, most.bytes, left.bytes),
            subjects: chunk(lacks.subjects, most.subjects, left.subjects),
        };
        self.rows += chunk.rows;
        self.bytes += chunk.bytes;
        self.subjects += chunk.subjects;
        Ok(chunk)
    }

    /// Counts people for good, by name: after a crash they are still counted, and once. Where too many are remembered
    /// already nobody is, and they count as what a process lacks.
    ///
    /// # Errors
    /// [`Spent`] when there are not as many; nobody is counted then.
    pub fn count(&mut self, most: &Amount, people: &[Tag]) -> Result<(), Spent> {
        let fresh: BTreeSet<[u8; 16]> =
            people.iter().map(|t| *t.bytes()).filter(|t| !self.people.contains(t)).collect();
        if self.people.len() + fresh.len() > PEOPLE_MAX {
            return Ok(());
        }
        let subjects = self.subjects.saturating_add(fresh.len() as u64);
        if subjects > most.subjects {
            return Err(Spent("people"));
        }
        self.subjects = subjects;
        self.people.extend(fresh);
        Ok(())
    }

    /// Takes back what a process did not use, and learns whom it counted.
    pub fn settle(&mut self, rest: &Rest) {
        self.rows = self.rows.saturating_sub(rest.unused.rows);
        self.bytes = self.bytes.saturating_sub(rest.unused.bytes);
        self.subjects = self.subjects.saturating_sub(rest.unused.subjects);
        let room = PEOPLE_MAX.saturating_sub(self.people.len());
        self.people.extend(rest.people.iter().take(room));
    }

    /// How much is reserved.
    #[must_use]
    pub const fn reserved(&self) -> Amount {
        Amount { rows: self.rows, bytes: self.bytes, subjects: self.subjects }
    }
}

/// What one process has reserved of one grant, and what it took of that.
#[derive(Debug, Clone, Default)]
pub struct Share {
    rows: u64,
    bytes: u64,
    subjects: u64,
    budget: Budget,
}

/// What a share leaves when it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    unused: Amount,
    people: BTreeSet<[u8; 16]>,
}

impl Rest {
    /// Whether there is nothing to settle.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.unused == NOTHING && self.people.is_empty()
    }
}

impl Share {
    /// Takes what one crossing needs from what is reserved: all of it or nothing.
    ///
    /// # Errors
    /// What must be reserved besides.
    pub fn take(&mut self, rows: u64, bytes: u64, people: &[Tag], unnamed: u64) -> Result<Taken, Amount> {
        let need = self.budget.need(rows, bytes, people, unnamed);
        let lacks = lacking(&self.budget.taken(), &need.more, &self.reserved());
        if lacks == NOTHING { Ok(self.budget.note(need)) } else { Err(lacks) }
    }

    /// Learns whom others counted for good, which may lessen what a crossing needs.
    pub fn learn(&mut self, of: &Reserved) {
        self.budget.known.extend(&of.people);
    }

    /// Adds a chunk that is reserved, durably.
    pub const fn add(&mut self, chunk: &Amount) {
        self.rows = self.rows.saturating_add(chunk.rows);
        self.bytes = self.bytes.saturating_add(chunk.bytes);
        self.subjects = self.subjects.saturating_add(chunk.subjects);
    }

    /// Gives back what did not cross.
    pub fn give_back(&mut self, taken: &Taken) {
        self.budget.give_back(taken);
    }

    /// What is left of it. Once that is stored the share is over: nothing is given back to it any more.
    #[must_use]
    pub fn rest(&self) -> Rest {
        let unused = lacking(&self.reserved(), &NOTHING, &self.budget.taken());
        Rest { unused, people: self.budget.people.keys().copied().collect() }
    }

    const fn reserved(&self) -> Amount {
        Amount { rows: self.rows, bytes: self.bytes, subjects: self.subjects }
    }
}
