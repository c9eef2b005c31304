//! Names of what was removed stay taken: on the ledger they stand for what bore them.
//!
//! Of each name 16 bytes of a digest are kept, in one of 256 rows.

use data_encoding::HEXLOWER;
use ledger::sha256;

use super::Control;
use super::store::{Becomes, ChangeError, Row, StoreError, Table};

/// Bytes of one name.
const LENGTH: usize = 16;

/// Where a name is kept, and as what.
pub(super) struct Kept {
    pub(super) row: String,
    digest: [u8; LENGTH],
}

impl Kept {
    pub(super) fn new(table: Table, key: &str) -> Self {
        let digest = sha256(&[table.word().as_bytes(), b"\0", key.as_bytes()].concat());
        let digest: [u8; LENGTH] = digest.bytes().first_chunk().copied().unwrap_or_default();
        Self { row: HEXLOWER.encode(digest.first_chunk::<1>().unwrap_or(&[0])), digest }
    }

    /// Whether the name is taken.
    pub(super) fn is_in(&self, row: Option<&Row>) -> bool {
        row.is_some_and(|row| row.bytes.chunks_exact(LENGTH).any(|taken| taken == self.digest))
    }
}

impl Control {
    /// Puts a new row under a name that is not taken, and learns it.
    pub(super) fn put_new(
        &self,
        table: Table,
        key: &str,
        what: &'static str,
        bytes: &mut dyn FnMut() -> Result<Vec<u8>, ChangeError>,
    ) -> Result<(), StoreError> {
        let kept = Kept::new(table, key);
        // The list is only read here. A name is on it before its row goes, so that one of the two is always there.
        let rows =
            self.store.change_all(&[(table, key), (Table::Names, &kept.row)], &mut |rows| match rows {
                [None, names] if !kept.is_in(names.as_ref()) => {
                    Ok(vec![Becomes::Put(bytes()?), Becomes::Same])
                }
                _ => Err(ChangeError::Exists(what)),
            })?;
        self.learn(table, key, rows.first().and_then(Option::as_ref))
    }

    /// Has a name stay taken when its row goes.
    pub(super) fn keep_name(&self, table: Table, key: &str) -> Result<(), StoreError> {
        let kept = Kept::new(table, key);
        let done = self.store.change(Table::Names, &kept.row, &mut |row| {
            let before = row.map_or(&[][..], |row| &row.bytes);
            if before.len() % LENGTH != 0 {
                return Err(ChangeError::Form("list of names"));
            }
            Ok((!kept.is_in(row)).then(|| [before, &kept.digest].concat()))
        });
        done.map(drop)
    }
}
