//! The record of the rows that were removed last, by which other processes follow. It is a row like any other.

use super::super::engine::RowName;
use super::super::{ChangeError, StoreError, Table};

/// The key of the record.
pub(super) const KEY: &str = "last";
/// Most removals that the record holds. Who has missed more reads every row again.
const REMOVED_MAX: usize = 1024;

/// A row that was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Removed {
    /// Where it was.
    pub(crate) table: Table,
    /// Its key.
    pub(crate) key: String,
    /// The place of its last change.
    pub(crate) sequence: u64,
}

/// Reads a record.
///
/// # Errors
/// When it is none.
pub(crate) fn removed(bytes: &[u8]) -> Result<Vec<Removed>, StoreError> {
    let mut all = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let (one, after) = first(rest).ok_or(ChangeError::Form("record of removed rows"))?;
        all.push(one);
        rest = after;
    }
    Ok(all)
}

fn first(bytes: &[u8]) -> Option<(Removed, &[u8])> {
    let (code, rest) = bytes.split_first()?;
    let (sequence, rest) = rest.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first()?;
    let (key, rest) = rest.split_at_checked(usize::from(*length))?;
    let (table, key) = (Table::of_code(*code)?, String::from_utf8(key.to_vec()).ok()?);
    Some((Removed { table, key, sequence: u64::from_be_bytes(*sequence) }, rest))
}

/// A record with more in it; what is too much goes, oldest first.
pub(super) fn with(mut all: Vec<Removed>, more: Vec<(RowName, Removed)>) -> Vec<u8> {
    all.extend(more.into_iter().map(|(_, removed)| removed));
    let mut bytes = Vec::new();
    for one in all.iter().skip(all.len().saturating_sub(REMOVED_MAX)) {
        bytes.push(one.table.code());
        bytes.extend(one.sequence.to_be_bytes());
        // A key has 128 bytes at most.
        bytes.push(u8::try_from(one.key.len()).unwrap_or(u8::MAX));
        bytes.extend(one.key.as_bytes());
    }
    bytes
}
