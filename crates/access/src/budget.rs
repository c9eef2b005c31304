//! How much has crossed under one grant, and whether more may.
//!
//! A budget is taken from before anything is released, and what was taken and did not cross is given back. Several
//! processes may use one grant: the store keeps what they have *reserved* of it in all ([`Reserved`]), and each takes
//! from what it has reserved itself, in chunks, in memory ([`Share`]). Reserved is what is stored before it is used, so
//! that a crash costs the grant the rest of a chunk and never the other way round. People are counted once in a grant's
//! life, by a keyed pseudonym, durably and by name before the first crossing that would show them; they stay counted when
//! it does not come about. A chunk of them would be lost in a crash, and a grant for one person with it. Each is a row of
//! its own beside the reserve ([`Counted`]): what one more costs does not depend on how many there are.

use std::collections::BTreeSet;

use model::Tag;
use model::procedures::Amount;
use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// Most people that are counted by name under one grant. A grant for more counts each of the others again.
pub const PEOPLE_MAX: usize = 10_000;
/// A process reserves at least one part in this many of a grant's amount.
const CHUNKS: u64 = 8;
const NOTHING: Amount = Amount { rows: 0, bytes: 0, subjects: 0 };

/// A grant's amount is spent; nothing was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the grant's amount of {0} is spent")]
pub struct Spent(pub &'static str);

/// What was taken for one crossing, to be given back if it does not come about. Of people only those whom nobody counted
/// by name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "what does not cross is given back"]
pub struct Taken(Amount);

/// By how much an amount is exceeded.
const fn lacking(taken: &Amount, more: &Amount, most: &Amount) -> Amount {
    Amount {
        rows: taken.rows.saturating_add(more.rows).saturating_sub(most.rows),
        bytes: taken.bytes.saturating_add(more.bytes).saturating_sub(most.bytes),
        subjects: taken.subjects.saturating_add(more.subjects).saturating_sub(most.subjects),
    }
}

const fn sum(a: &Amount, b: &Amount) -> Amount {
    Amount {
        rows: a.rows.saturating_add(b.rows),
        bytes: a.bytes.saturating_add(b.bytes),
        subjects: a.subjects.saturating_add(b.subjects),
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
    /// How many are counted by name, each in a row of its own.
    named: u64,
    /// Who was counted last: their row names the one before.
    last: Option<[u8; 16]>,
}

/// Somebody who is counted for good. To be stored together with the reserve that counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Who.
    pub person: Tag,
    /// Who was counted before them, under the same grant.
    pub before: Option<Tag>,
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

    /// Counts people who have no row yet for good, by name: after a crash they are still counted, and once. Returns
    /// their rows. Where too many have one already nobody gets one, and they count as what a process lacks.
    ///
    /// # Errors
    /// [`Spent`] when there are not as many; nobody is counted then.
    pub fn count(&mut self, most: &Amount, fresh: &BTreeSet<Tag>) -> Result<Vec<Counted>, Spent> {
        let named = self.named.saturating_add(fresh.len() as u64);
        if named > PEOPLE_MAX as u64 {
            return Ok(Vec::new());
        }
        let subjects = self.subjects.saturating_add(fresh.len() as u64);
        if subjects > most.subjects {
            return Err(Spent("people"));
        }
        (self.subjects, self.named) = (subjects, named);
        let rows = fresh.iter().map(|person| {
            let before = self.last.replace(*person.bytes()).map(Tag::new);
            Counted { person: *person, before }
        });
        Ok(rows.collect())
    }

    /// What nobody has reserved.
    #[must_use]
    pub fn left(&self, most: &Amount) -> Amount {
        lacking(most, &NOTHING, &self.reserved())
    }

    /// Who was counted last by name.
    #[must_use]
    pub fn last(&self) -> Option<Tag> {
        self.last.map(Tag::new)
    }

    /// Whoever was counted after this one has no row any more: the grant is over, and the rows are removed.
    pub fn back_to(&mut self, person: Option<Tag>) {
        self.last = person.map(|person| *person.bytes());
    }

    /// Takes back what a process did not use.
    pub const fn settle(&mut self, unused: &Amount) {
        self.rows = self.rows.saturating_sub(unused.rows);
        self.bytes = self.bytes.saturating_sub(unused.bytes);
        self.subjects = self.subjects.saturating_sub(unused.subjects);
    }

    /// How much is reserved.
    #[must_use]
    pub const fn reserved(&self) -> Amount {
        Amount { rows: self.rows, bytes: self.bytes, subjects: self.subjects }
    }
}

/// What one process has reserved of one grant, and what it took of that.
#[derive(Debug, Clone)]
pub struct Share {
    reserved: Amount,
    taken: Amount,
    /// Who is counted by name, as far as this process has asked.
    known: BTreeSet<Tag>,
}

impl Default for Share {
    fn default() -> Self {
        Self { reserved: NOTHING, taken: NOTHING, known: BTreeSet::new() }
    }
}

impl Share {
    /// Who of these may not be counted yet: the store is to say.
    #[must_use]
    pub fn strangers(&self, people: &[Tag]) -> BTreeSet<Tag> {
        people.iter().filter(|p| !self.known.contains(p)).copied().collect()
    }

    /// Learns who is counted by name.
    pub fn learn(&mut self, people: impl IntoIterator<Item = Tag>) {
        self.known.extend(people);
    }

    /// What must be reserved besides, before so much can be taken. Its people are those whom nobody counts by name.
    #[must_use]
    pub const fn lacks(&self, need: &Amount) -> Amount {
        lacking(&self.taken, need, &self.reserved)
    }

    /// Takes what one crossing needs from what is reserved: all of it or nothing.
    ///
    /// # Errors
    /// What must be reserved besides.
    pub fn take(&mut self, need: &Amount) -> Result<Taken, Amount> {
        let lacks = self.lacks(need);
        if lacks != NOTHING {
            return Err(lacks);
        }
        self.taken = sum(&self.taken, need);
        Ok(Taken(*need))
    }

    /// Adds a chunk that is reserved, durably.
    pub const fn add(&mut self, chunk: &Amount) {
        self.reserved = sum(&self.reserved, chunk);
    }

    /// Gives back what did not cross.
    pub const fn give_back(&mut self, Taken(taken): &Taken) {
        self.taken = lacking(&self.taken, &NOTHING, taken);
    }

    /// What is left of it. Once that is stored the share is over: nothing is given back to it any more.
    #[must_use]
    pub const fn rest(&self) -> Amount {
        lacking(&self.reserved, &NOTHING, &self.taken)
    }
}
