//! What one process has seen of all rows: nothing may be older than that, and nothing may be missing.

use std::collections::HashMap;

use super::super::StoreError;
use super::super::engine::{Raw, RowName};
use super::keys::{ControlKeys, Head, add};
use super::removed::Removed;

/// The newest that this process saw of anything.
#[derive(Default)]
pub(super) struct Seen {
    /// The newest place.
    pub(super) sequence: u64,
    /// Up to this place every row is known.
    whole: u64,
    /// The place of each row.
    rows: HashMap<RowName, u64>,
}

/// What must hold of a row from now on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Floor {
    /// It was seen.
    pub(super) there: bool,
    /// It is not older than this; or, if it was never seen, is newer.
    sequence: u64,
}

impl Floor {
    /// That a row is not one from before.
    pub(super) const fn holds(&self, raw: &Raw) -> bool {
        if self.there { raw.sequence >= self.sequence } else { raw.sequence > self.sequence }
    }
}

impl Seen {
    pub(super) fn floor(&self, name: &RowName) -> Floor {
        match self.rows.get(name) {
            Some(sequence) => Floor { there: true, sequence: *sequence },
            None => Floor { there: false, sequence: self.whole },
        }
    }

    pub(super) fn knows(&self, name: &RowName) -> bool {
        self.rows.contains_key(name)
    }

    pub(super) fn note(&mut self, name: RowName, sequence: u64) {
        self.sequence = self.sequence.max(sequence);
        let seen = self.rows.entry(name).or_default();
        *seen = sequence.max(*seen);
    }

    /// A row whose last change was here is gone.
    pub(super) fn forget(&mut self, name: &RowName, sequence: u64) {
        if self.rows.get(name).is_some_and(|seen| *seen <= sequence) {
            self.rows.remove(name);
        }
    }

    /// These are all rows.
    pub(super) fn all(&mut self, followed: &Followed) {
        self.rows.retain(|name, sequence| followed.rows.contains_key(name) || *sequence > followed.upto);
        followed.rows.iter().for_each(|(name, (sequence, _))| self.note(*name, *sequence));
        self.whole = self.whole.max(followed.upto);
    }

    /// All rows are known up to this place.
    pub(super) fn whole(&mut self, upto: u64) {
        self.sequence = self.sequence.max(upto);
        self.whole = self.whole.max(upto);
    }
}

/// All rows as of one place, by following.
#[derive(Default)]
pub(super) struct Followed {
    pub(super) upto: u64,
    rows: HashMap<RowName, (u64, [u8; 32])>,
    sum: [u8; 32],
}

impl Followed {
    /// Takes note of a row, in the order of their places.
    pub(super) fn row(&mut self, keys: &ControlKeys, raw: &Raw) {
        let part = keys.part(raw);
        add(&mut self.sum, &part);
        if let Some((_, old)) = self.rows.insert(raw.name, (raw.sequence, part)) {
            add(&mut self.sum, &old);
        }
        self.upto = raw.sequence;
    }

    /// Whether a row that is gone was known.
    pub(super) fn loses(&self, name: &RowName, removed: &Removed) -> bool {
        self.rows.get(name).is_some_and(|(sequence, _)| *sequence <= removed.sequence)
    }

    /// Takes note of a row that is gone.
    pub(super) fn gone(&mut self, name: &RowName, removed: &Removed) {
        if self.loses(name, removed)
            && let Some((_, old)) = self.rows.remove(name)
        {
            add(&mut self.sum, &old);
        }
    }

    /// Whether these are the rows of a head, up to its place.
    ///
    /// # Errors
    /// [`StoreError::WentBack`] when they are not.
    pub(super) fn check(&mut self, head: &Head) -> Result<(), StoreError> {
        if self.sum != head.sum || self.rows.len() as u64 != head.rows {
            return Err(StoreError::WentBack);
        }
        self.upto = self.upto.max(head.sequence);
        Ok(())
    }
}
