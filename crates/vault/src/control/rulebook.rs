//! Which rulebook is in force, for every process that shares the store.

use model::{Digest, UnixSeconds};
use serde::{Deserialize, Serialize};

use super::memory::parse;
use super::store::{ChangeError, StoreError, Table};
use super::{Control, ControlError};

/// There is one row.
const KEY: &str = "active";
/// Most rulebooks that were replaced and are remembered.
const FORMER_MAX: usize = 10_000;

/// The row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Active {
    digest: String,
    since: UnixSeconds,
    /// What was replaced, oldest first.
    former: Vec<String>,
}

impl Active {
    /// The digest, if it is one.
    pub(super) fn digest(&self) -> Option<Digest> {
        Digest::parse(&self.digest).ok()
    }
}

impl Control {
    /// Puts a rulebook in force for every process that shares the store, once that is recorded. Returns whether it was
    /// not before. What was replaced does not come back: an old bundle with its old signatures would undo what both
    /// signed since.
    ///
    /// # Errors
    /// [`ChangeError::Over`] when it was in force before and was replaced; as [`StoreError`] says.
    pub fn activate(
        &self,
        digest: &Digest,
        now: UnixSeconds,
        record: &mut dyn FnMut() -> Result<(), ChangeError>,
    ) -> Result<bool, StoreError> {
        let digest = digest.to_string();
        let mut changed = false;
        let row = self.store.change(Table::Rulebook, KEY, &mut |row| {
            changed = false;
            let before: Option<Active> = row.map(|row| parse("rulebook", &row.bytes)).transpose()?;
            if before.as_ref().is_some_and(|b| b.digest == digest) {
                return Ok(None);
            }
            let mut former = before.as_ref().map_or_else(Vec::new, |b| b.former.clone());
            if former.contains(&digest) {
                return Err(ChangeError::Over("rulebook"));
            }
            former.extend(before.map(|b| b.digest));
            former.drain(..former.len().saturating_sub(FORMER_MAX));
            let active = Active { digest: digest.clone(), since: now, former };
            let bytes = serde_json::to_vec(&active).map_err(|_| ChangeError::Form("rulebook"))?;
            record()?;
            changed = true;
            Ok(Some(bytes))
        })?;
        self.learn(Table::Rulebook, KEY, row.as_ref())?;
        Ok(changed)
    }

    /// The rulebook in force, if one was ever put in force here.
    ///
    /// # Errors
    /// [`ControlError::Stale`] when the store was not read for too long: it may have been replaced.
    pub fn rulebook(&self) -> Result<Option<Digest>, ControlError> {
        Ok(self.fresh()?.rulebook())
    }
}
