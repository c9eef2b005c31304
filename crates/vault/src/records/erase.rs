//! Erasing a person: their key first and durably, then what it sealed.

use std::sync::atomic::Ordering;

use ledger::Receipt;
use model::Digest;

use super::engine::{At, Edit, Expect, Table, To};
use super::{Person, RecordError, Records};
use crate::keys::PersonKeys;

impl Records {
    /// Destroys a person's key, durably, once the erasure's entry is on the ledger; then removes what it sealed, which is
    /// noise from that moment on, and which the next opening removes if this does not come to it. Who keeps a copy of the
    /// wrapped key can still open it until the region's key that wraps it is retired (`docs/erasure.md`).
    ///
    /// # Errors
    /// [`RecordError::OtherReceipt`]; [`RecordError::Held`] while there is a legal hold; [`RecordError::Conflict`] when the
    /// person is not as they were read: read them again.
    pub fn erase(
        &self,
        person: &Person,
        keys: &PersonKeys,
        entry: &Digest,
        receipt: &Receipt,
    ) -> Result<(), RecordError> {
        if !receipt.covers(entry) {
            return Err(RecordError::OtherReceipt);
        }
        let about = self.about(keys, person)?;
        if !about.holds.is_empty() {
            return Err(RecordError::Held);
        }
        let handle = person.subject.as_str().as_bytes();
        let gone = |at| Edit { at, expect: Expect::Any, to: To::Removed };
        let mut change = vec![person.unchanged(To::Removed), gone(At::one(Table::Keys, handle))];
        change.extend(
            about.lookups.iter().map(|tag| {
                gone(At { table: Table::Lookups, part: tag.bytes().to_vec(), key: handle.to_vec() })
            }),
        );
        // So that whoever comes next clears it, when this process does not come to it.
        let at = At::one(Table::Pending, &person.internal);
        change.push(Edit { at, expect: Expect::Any, to: To::Put(vec![0; 16]) });
        let parts = [handle.to_vec(), person.internal.to_vec()];
        let parts: Vec<_> =
            parts.into_iter().chain(about.lookups.iter().map(|tag| tag.bytes().to_vec())).collect();
        let leave = || {
            if let Some(near) = &self.near {
                near.leave(&parts);
            }
        };
        leave();
        self.made(change)?;
        // However long that took.
        leave();
        self.people.fetch_sub(1, Ordering::AcqRel);
        self.clear(&person.internal)
    }
}
