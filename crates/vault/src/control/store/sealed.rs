//! Rows as their engine may see them: sealed, under keyed names, and counted.
//!
//! Specified in `docs/formats/control.md`. The head holds the place of the last change, how many rows there are, and
//! the sum of a keyed digest of each. So a process that follows all changes finds out when one is kept back, and a
//! process that starts finds out when a row is missing or older than the rest. What is left to whoever administers the
//! engine is to keep it all back: to serve a copy of everything as it once was, to a process that has seen nothing newer.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::hmac;
use ledger::SecretKey;

use super::engine::{Change, Engine, Placed, Raw, RowName};
use super::{
    Becomes, ChangeError, Changed, EditAll, KEY_MAX, PAGE_MAX, ROW_MAX, ROWS_MAX, Row, Store, StoreError,
    TOGETHER_MAX, Table,
};
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

    fn name(&self, table: Table, key: &str) -> RowName {
        self.keyed(&[NAME, b"\0", table.word().as_bytes(), b"\0", key.as_bytes()])
    }

    /// What a row adds to the sum over all rows.
    fn part(&self, raw: &Raw) -> [u8; 32] {
        let (version, sequence) = (raw.version.to_be_bytes(), raw.sequence.to_be_bytes());
        self.keyed(&[SUM, b"\0", &raw.name, &version, &sequence, &raw.sealed])
    }

    fn seal_row(&self, at: &Place<'_>, version: u64, sequence: u64, bytes: &[u8]) -> Result<Raw, StoreError> {
        let length = u16::try_from(at.key.len()).map_err(|_| StoreError::Large(at.key.len()))?;
        let text = [&[at.table.code()][..], &length.to_be_bytes(), at.key.as_bytes(), bytes].concat();
        let bound = bound(&at.name, version, sequence);
        let sealed = keys::seal(&self.rows, &bound, &text).map_err(StoreError::Keys)?;
        Ok(Raw { name: at.name, version, sequence, sealed })
    }

    fn open_row(&self, raw: &Raw) -> Result<Changed, StoreError> {
        let text = unseal(&self.rows, &bound(&raw.name, raw.version, raw.sequence), &raw.sealed)?;
        let parts = || {
            let (code, rest) = text.split_first()?;
            let table = Table::ALL.into_iter().find(|t| t.code() == *code)?;
            let (length, rest) = rest.split_first_chunk::<2>()?;
            let (key, bytes) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            let key = std::str::from_utf8(key).ok().filter(|key| self.name(table, key) == raw.name)?;
            let row = Row { version: raw.version, bytes: bytes.to_vec() };
            Some(Changed { sequence: raw.sequence, table, key: key.to_owned(), row })
        };
        parts().ok_or(StoreError::Forged)
    }

    pub(super) fn seal_head(&self, head: &Head) -> Result<Vec<u8>, StoreError> {
        let text = [&head.sequence.to_be_bytes()[..], &head.rows.to_be_bytes(), &head.sum].concat();
        keys::seal(&self.rows, HEAD, &text).map_err(StoreError::Keys)
    }

    fn open_head(&self, sealed: &[u8]) -> Result<Head, StoreError> {
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
pub(super) struct Head {
    /// The place of the last change.
    sequence: u64,
    rows: u64,
    /// Exclusive-or of every row's part.
    sum: [u8; 32],
}

fn add(sum: &mut [u8; 32], part: &[u8; 32]) {
    sum.iter_mut().zip(part).for_each(|(s, p)| *s ^= p);
}

/// A row's place.
struct Place<'a> {
    table: Table,
    key: &'a str,
    name: RowName,
}

/// The newest that this process saw of anything.
#[derive(Default)]
struct Seen {
    sequence: u64,
    versions: HashMap<RowName, u64>,
}

impl Seen {
    fn note(&mut self, name: RowName, version: u64, sequence: u64) {
        self.sequence = self.sequence.max(sequence);
        let seen = self.versions.entry(name).or_default();
        *seen = version.max(*seen);
    }
}

/// All rows as of one place, by following.
#[derive(Default)]
struct Followed {
    upto: u64,
    parts: HashMap<RowName, [u8; 32]>,
    sum: [u8; 32],
}

/// A store whose rows are sealed before the engine gets them.
pub struct Sealed<E> {
    engine: E,
    keys: ControlKeys,
    seen: Mutex<Seen>,
    followed: Mutex<Followed>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<E: Engine> Sealed<E> {
    /// Over an engine that has a head. Reads every row once and checks them all together.
    pub(super) fn over(engine: E, keys: ControlKeys) -> Result<Self, StoreError> {
        let head = engine.head()?.ok_or(StoreError::Missing)?;
        keys.open_head(&head)?;
        let store = Self { engine, keys, seen: Mutex::default(), followed: Mutex::default() };
        let mut after = 0;
        loop {
            let page = store.changes(after, PAGE_MAX)?;
            match page.last() {
                Some(last) if page.len() == PAGE_MAX => after = last.sequence,
                _ => return Ok(store),
            }
        }
    }

    fn place<'a>(&self, table: Table, key: &'a str) -> Result<Place<'a>, StoreError> {
        if key.len() > KEY_MAX {
            return Err(StoreError::Large(key.len()));
        }
        Ok(Place { table, key, name: self.keys.name(table, key) })
    }

    fn at<'a>(&self, table: Table, key: &'a str) -> Result<At<'a>, StoreError> {
        let place = self.place(table, key)?;
        let floor = self.floor(&place.name);
        Ok(At { place, floor, row: None, old: None, changed: false })
    }

    /// Opens what stands under a name, which must not be older than `floor`.
    fn opened(
        &self,
        raw: Option<&Raw>,
        name: &RowName,
        floor: Option<u64>,
    ) -> Result<Option<Row>, StoreError> {
        match (raw, floor) {
            (None, None) => Ok(None),
            (None, Some(_)) => Err(StoreError::WentBack),
            (Some(raw), floor) => {
                let row = self.keys.open_row(raw)?.row;
                if raw.name != *name {
                    return Err(StoreError::Forged);
                }
                if row.version < floor.unwrap_or(0) {
                    return Err(StoreError::WentBack);
                }
                lock(&self.seen).note(raw.name, row.version, raw.sequence);
                Ok(Some(row))
            }
        }
    }

    /// What must hold of the name from now on. Asked before the engine is: what is noted meanwhile is newer.
    fn floor(&self, name: &RowName) -> Option<u64> {
        lock(&self.seen).versions.get(name).copied()
    }
}

impl<E: Engine> Store for Sealed<E> {
    fn get(&self, table: Table, key: &str) -> Result<Option<Row>, StoreError> {
        let at = self.place(table, key)?;
        let floor = self.floor(&at.name);
        let raw = self.engine.get(&at.name)?;
        self.opened(raw.as_ref(), &at.name, floor)
    }

    fn change_all(
        &self,
        rows: &[(Table, &str)],
        change: EditAll<'_>,
    ) -> Result<Vec<Option<Row>>, StoreError> {
        if rows.len() > TOGETHER_MAX {
            return Err(StoreError::Large(rows.len()));
        }
        // INVARIANT: read before the engine is asked, as the floors are.
        let floor = lock(&self.seen).sequence;
        let at = rows.iter().map(|(table, key)| self.at(*table, key)).collect::<Result<Vec<_>, _>>()?;
        let names: Vec<RowName> = at.iter().map(|at| at.place.name).collect();
        let mut work = Work { store: self, at, floor, change, placed: Vec::new() };
        if self.engine.change(&names, &mut work)? {
            let mut seen = lock(&self.seen);
            work.placed.iter().for_each(|(name, version, sequence)| seen.note(*name, *version, *sequence));
        }
        Ok(work.at.into_iter().map(|at| at.row).collect())
    }

    fn changes(&self, after: u64, limit: usize) -> Result<Vec<Changed>, StoreError> {
        let limit = limit.min(PAGE_MAX);
        let mut followed = lock(&self.followed);
        let floor = lock(&self.seen).sequence.max(followed.upto);
        let page = self.engine.changes(after, limit)?;
        let head = self.keys.open_head(&page.head)?;
        if head.sequence < floor {
            return Err(StoreError::WentBack);
        }
        let (mut changed, mut last) = (Vec::with_capacity(page.rows.len()), after);
        let follows = after <= followed.upto;
        for raw in &page.rows {
            let opened = self.keys.open_row(raw)?;
            if raw.sequence <= last || raw.sequence > head.sequence {
                return Err(StoreError::Forged);
            }
            last = raw.sequence;
            if follows && raw.sequence > followed.upto {
                let part = self.keys.part(raw);
                add(&mut followed.sum, &part);
                if let Some(old) = followed.parts.insert(raw.name, part) {
                    add(&mut followed.sum, &old);
                }
            }
            changed.push(opened);
        }
        let whole = page.rows.len() < limit;
        if follows {
            followed.upto = followed.upto.max(if whole { head.sequence } else { last });
            if whole && (followed.sum != head.sum || followed.parts.len() as u64 != head.rows) {
                return Err(StoreError::WentBack);
            }
        }
        let mut seen = lock(&self.seen);
        seen.sequence = seen.sequence.max(head.sequence);
        page.rows.iter().for_each(|raw| seen.note(raw.name, raw.version, raw.sequence));
        Ok(changed)
    }
}

/// One row of a change under way.
struct At<'a> {
    place: Place<'a>,
    floor: Option<u64>,
    /// As it is, and then as it will be.
    row: Option<Row>,
    /// What the row that goes added to the sum.
    old: Option<[u8; 32]>,
    changed: bool,
}

/// A change under way.
struct Work<'a, E> {
    store: &'a Sealed<E>,
    at: Vec<At<'a>>,
    /// The newest place that was seen before.
    floor: u64,
    change: EditAll<'a>,
    /// Name, version and place of each row as it will be.
    placed: Vec<(RowName, u64, u64)>,
}

impl At<'_> {
    fn becomes(&mut self, becomes: Becomes) -> Result<bool, StoreError> {
        let bytes = match becomes {
            Becomes::Same => return Ok(false),
            Becomes::Put(bytes) => bytes,
        };
        if bytes.len() > ROW_MAX {
            return Err(StoreError::Large(bytes.len()));
        }
        let version = self.row.as_ref().map_or(1, |row| row.version.saturating_add(1));
        self.row = Some(Row { version, bytes });
        self.changed = true;
        Ok(true)
    }
}

impl<E: Engine> Change for Work<'_, E> {
    fn edit(&mut self, raws: &[Option<Raw>]) -> Result<bool, StoreError> {
        let mut rows = Vec::with_capacity(raws.len());
        for (at, raw) in self.at.iter_mut().zip(raws) {
            rows.push(self.store.opened(raw.as_ref(), &at.place.name, at.floor)?);
            at.old = raw.as_ref().map(|raw| self.store.keys.part(raw));
        }
        let becomes = (self.change)(&rows)?;
        if rows.len() != self.at.len() || becomes.len() != rows.len() {
            return Err(ChangeError::Form("change").into());
        }
        let mut changed = false;
        for ((at, row), becomes) in self.at.iter_mut().zip(rows).zip(becomes) {
            at.row = row;
            changed |= at.becomes(becomes)?;
        }
        Ok(changed)
    }

    fn place(&mut self, head: &[u8]) -> Result<Placed, StoreError> {
        let keys = &self.store.keys;
        let mut head = keys.open_head(head)?;
        if head.sequence < self.floor {
            return Err(StoreError::WentBack);
        }
        let mut put = Vec::new();
        for at in self.at.iter().filter(|at| at.changed) {
            head.sequence = head.sequence.saturating_add(1);
            let Some(row) = &at.row else { return Err(StoreError::Forged) };
            let raw = keys.seal_row(&at.place, row.version, head.sequence, &row.bytes)?;
            match at.old {
                Some(old) => add(&mut head.sum, &old),
                None if head.rows >= ROWS_MAX => return Err(StoreError::Full),
                None => head.rows += 1,
            }
            add(&mut head.sum, &keys.part(&raw));
            self.placed.push((raw.name, raw.version, raw.sequence));
            put.push(raw);
        }
        Ok(Placed { head: keys.seal_head(&head)?, put })
    }
}
