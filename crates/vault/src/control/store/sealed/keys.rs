//! The keys of rows, and what is sealed with them.

use aws_lc_rs::hmac;
use ledger::SecretKey;

use super::super::engine::{Raw, RowName};
use super::super::{Changed, Row, StoreError, Table};
use crate::keys::{self, KeyError};

const HEAD: &[u8] = b"clover-control/v1 head";
const ROW: &[u8] = b"clover-control/v1 row";
const NAME: &[u8] = b"clover-control/v1 name";
const SUM: &[u8] = b"clover-control/v1 sum";

/// The keys of the control store's rows.
pub struct ControlKeys {
    rows: SecretKey,
    names: hmac::Key,
}

impl std::fmt::Debug for ControlKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ControlKeys(..)")
    }
}

impl ControlKeys {
    pub(crate) fn new(rows: SecretKey, names: &SecretKey) -> Self {
        Self { rows, names: hmac::Key::new(hmac::HMAC_SHA256, names.bytes()) }
    }

    fn keyed(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.names);
        parts.iter().for_each(|part| context.update(part));
        context.sign().as_ref().try_into().unwrap_or([0; 32])
    }

    pub(super) fn name(&self, table: Table, key: &str) -> RowName {
        self.keyed(&[NAME, b"\0", table.word().as_bytes(), b"\0", key.as_bytes()])
    }

    /// What a row adds to the sum over all rows.
    pub(super) fn part(&self, raw: &Raw) -> [u8; 32] {
        let (version, sequence) = (raw.version.to_be_bytes(), raw.sequence.to_be_bytes());
        self.keyed(&[SUM, b"\0", &raw.name, &version, &sequence, &raw.sealed])
    }

    pub(super) fn seal_row(
        &self,
        at: &Place<'_>,
        version: u64,
        sequence: u64,
        bytes: &[u8],
    ) -> Result<Raw, StoreError> {
        let length = u16::try_from(at.key.len()).map_err(|_| StoreError::Large(at.key.len()))?;
        let text = [&[at.table.code()][..], &length.to_be_bytes(), at.key.as_bytes(), bytes].concat();
        let bound = bound(&at.name, version, sequence);
        let sealed = keys::seal(&self.rows, &bound, &text).map_err(StoreError::Keys)?;
        Ok(Raw { name: at.name, version, sequence, sealed })
    }

    pub(super) fn open_row(&self, raw: &Raw) -> Result<Changed, StoreError> {
        let text = unseal(&self.rows, &bound(&raw.name, raw.version, raw.sequence), &raw.sealed)?;
        let parts = || {
            let (code, rest) = text.split_first()?;
            let table = Table::of_code(*code)?;
            let (length, rest) = rest.split_first_chunk::<2>()?;
            let (key, bytes) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            let key = std::str::from_utf8(key).ok().filter(|key| self.name(table, key) == raw.name)?;
            let row = Row { version: raw.version, bytes: bytes.to_vec() };
            Some(Changed { sequence: raw.sequence, table, key: key.to_owned(), row })
        };
        parts().ok_or(StoreError::Forged)
    }

    pub(in crate::control::store) fn seal_head(&self, head: &Head) -> Result<Vec<u8>, StoreError> {
        let text = [&head.sequence.to_be_bytes()[..], &head.rows.to_be_bytes(), &head.sum].concat();
        keys::seal(&self.rows, HEAD, &text).map_err(StoreError::Keys)
    }

    pub(super) fn open_head(&self, sealed: &[u8]) -> Result<Head, StoreError> {
        let text = unseal(&self.rows, HEAD, sealed)?;
        let parts = || {
            let (sequence, rest) = text.split_first_chunk::<8>()?;
            let (rows, sum) = rest.split_first_chunk::<8>()?;
            let (sequence, rows) = (u64::from_be_bytes(*sequence), u64::from_be_bytes(*rows));
            Some(Head { sequence, rows, sum: sum.try_into().ok()? })
        };
        parts().ok_or(StoreError::Forged)
    }
}

fn bound(name: &RowName, version: u64, sequence: u64) -> Vec<u8> {
    [ROW, b"\0", name, &version.to_be_bytes(), &sequence.to_be_bytes()].concat()
}

fn unseal(key: &SecretKey, bound: &[u8], sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
    keys::unseal(key, bound, sealed).map_err(|e| match e {
        KeyError::Wrapped => StoreError::Forged,
        other => StoreError::Keys(other),
    })
}

/// What holds of all rows together.
#[derive(Clone, Default, PartialEq, Eq)]
pub(in crate::control::store) struct Head {
    /// The place of the last change.
    pub(super) sequence: u64,
    pub(super) rows: u64,
    /// Exclusive-or of every row's part.
    pub(super) sum: [u8; 32],
}

pub(super) fn add(sum: &mut [u8; 32], part: &[u8; 32]) {
    sum.iter_mut().zip(part).for_each(|(s, p)| *s ^= p);
}

/// A row's place.
pub(super) struct Place<'a> {
    pub(super) table: Table,
    pub(super) key: &'a str,
    pub(super) name: RowName,
}
