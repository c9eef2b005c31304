//! Records whose time is over, by the retention of their collection.

use model::UnixSeconds;

use super::engine::{self, At, Edit, Expect, Table, To};
use super::{Person, RecordError, Records, row};
use crate::keys::KeyService;

/// Records that are removed together: a database has only so much time for a transaction.
const TOGETHER: usize = 64;
/// How much is read of one person at once, in bytes.
const PAGE_BYTES: usize = 1 << 20;

/// For how long the records of a collection are kept after they were changed last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    /// The collection.
    pub collection: String,
    /// For how long, in seconds.
    pub seconds: u64,
}

/// What a run removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expired {
    /// Records.
    pub records: u64,
    /// People of whom one was removed.
    pub people: u64,
    /// People whose records would have been, were there no legal hold.
    pub held: u64,
    /// People who could not be looked at: their keys do not open.
    pub unreadable: u64,
}

impl Records {
    /// Removes the records that were changed last longer ago than their collection keeps them, durably, a person at a time.
    /// Who has a legal hold keeps all. What is written meanwhile stays.
    ///
    /// # Errors
    /// When the store refuses; what was removed stays so, and the next run goes on.
    pub fn expire(&self, keys: &KeyService, now: UnixSeconds, keep: &[Keep]) -> Result<Expired, RecordError> {
        let mut expired = Expired::default();
        if keep.is_empty() {
            return Ok(expired);
        }
        for person in self.people() {
            let person = person?;
            // A damaged cell, like a damaged key, is one person's.
            let old = match self.old(&person, now, keep) {
                Err(RecordError::Form) => {
                    expired.unreadable += 1;
                    continue;
                }
                other => other?,
            };
            if old.is_empty() {
                continue;
            }
            let about = self.keys_of(keys, &person).and_then(|own| self.about(&own, &person));
            match about {
                Ok(about) if about.holds.is_empty() => {}
                Ok(_) => {
                    expired.held += 1;
                    continue;
                }
                // One person whose key is gone or damaged does not stop the others' time.
                Err(RecordError::Keys(_) | RecordError::Form) => {
                    expired.unreadable += 1;
                    continue;
                }
                Err(e) => return Err(e),
            }
            let removed = self.remove_old(&person, old)?;
            expired.records = expired.records.saturating_add(removed);
            expired.people += u64::from(removed > 0);
        }
        Ok(expired)
    }

    /// The cells of a person whose time is over.
    fn old(
        &self,
        person: &Person,
        now: UnixSeconds,
        keep: &[Keep],
    ) -> Result<Vec<(Vec<u8>, u64)>, RecordError> {
        let mut old = Vec::new();
        for Keep { collection, seconds } in keep {
            let prefix = [collection.as_bytes(), &[0]].concat();
            let mut behind = prefix.clone();
            loop {
                let within = (Table::Records, person.internal.as_slice());
                let page = self.engine.page(within, &prefix, &behind, engine::PAGE_MAX, PAGE_BYTES)?;
                let Some((last, _)) = page.last() else { break };
                behind.clone_from(last);
                for (key, cell) in page {
                    let changed = row::changed(&cell.value)?;
                    if changed.is_some_and(|at| now.0.saturating_sub(at.0) > *seconds) {
                        old.push((key, cell.version));
                    }
                }
            }
        }
        Ok(old)
    }

    fn remove_old(&self, person: &Person, old: Vec<(Vec<u8>, u64)>) -> Result<u64, RecordError> {
        let part = person.internal.to_vec();
        // Each by itself: one that was written meanwhile keeps no other. The person is as they were, so that a hold counts.
        let change = |(key, version)| {
            let at = At { table: Table::Records, part: part.clone(), key };
            vec![
                person.unchanged(To::Kept),
                Edit { at, expect: Expect::Version(version), to: To::Put(Vec::new()) },
            ]
        };
        let (mut removed, mut old) = (0, old.into_iter());
        loop {
            let some: Vec<_> = old.by_ref().take(TOGETHER).map(&change).collect();
            if some.is_empty() {
                return Ok(removed);
            }
            for done in self.committer.changes(some)? {
                removed += u64::from(done?);
            }
        }
    }
}
