//! The control store of one process, in a folder.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};

use super::StoreError;
use super::engine::{Change, Engine, Page, Raw, RowName};
use super::sealed::{ControlKeys, Head, Sealed};

const THE_HEAD: &str = "head";

/// Sealed rows in a folder that one process has open.
pub type Embedded = Sealed<Files>;

/// The engine: rows by their names, and names by the places of their last changes.
pub struct Files {
    db: Database,
    rows: Keyspace,
    order: Keyspace,
    meta: Keyspace,
    /// Held while a row is changed.
    changing: Mutex<()>,
}

impl Embedded {
    /// Makes an empty store. Explicit, never a side effect.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when there is one; what the engine says.
    pub fn create(folder: &Path, keys: &ControlKeys) -> Result<(), StoreError> {
        let files = Files::open(folder)?;
        if files.head()?.is_some() {
            return Err(StoreError::Exists);
        }
        let mut batch = files.db.batch().durability(Some(PersistMode::SyncAll));
        batch.insert(&files.meta, THE_HEAD, keys.seal_head(&Head::default())?);
        batch.commit().map_err(StoreError::Embedded)
    }

    /// Opens a store that was made.
    ///
    /// # Errors
    /// [`StoreError::Missing`] when there is none; [`StoreError::Forged`] or [`StoreError::WentBack`] when its rows are
    /// not as they were left; what the engine says.
    pub fn open(folder: &Path, keys: ControlKeys) -> Result<Self, StoreError> {
        if !folder.is_dir() {
            return Err(StoreError::Missing);
        }
        Self::over(Files::open(folder)?, keys)
    }
}

impl Files {
    fn open(folder: &Path) -> Result<Self, StoreError> {
        let open = || {
            let db = Database::builder(folder).open()?;
            let keyspace = |name| db.keyspace(name, KeyspaceCreateOptions::default);
            let (rows, order, meta) = (keyspace("rows")?, keyspace("order")?, keyspace("meta")?);
            Ok(Self { db, rows, order, meta, changing: Mutex::default() })
        };
        open().map_err(StoreError::Embedded)
    }

    fn read(&self, name: &RowName, from: &impl Readable) -> Result<Option<Raw>, StoreError> {
        let value = from.get(&self.rows, name).map_err(StoreError::Embedded)?;
        value.map(|bytes| decode(*name, &bytes).ok_or(StoreError::Forged)).transpose()
    }
}

fn encode(raw: &Raw) -> Vec<u8> {
    [&raw.version.to_be_bytes()[..], &raw.sequence.to_be_bytes(), &raw.sealed].concat()
}

fn decode(name: RowName, bytes: &[u8]) -> Option<Raw> {
    let (version, rest) = bytes.split_first_chunk::<8>()?;
    let (sequence, sealed) = rest.split_first_chunk::<8>()?;
    let (version, sequence) = (u64::from_be_bytes(*version), u64::from_be_bytes(*sequence));
    Some(Raw { name, version, sequence, sealed: sealed.to_vec() })
}

impl Engine for Files {
    fn head(&self) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.meta.get(THE_HEAD).map_err(StoreError::Embedded)?.map(|bytes| bytes.to_vec()))
    }

    fn get(&self, name: &RowName) -> Result<Option<Raw>, StoreError> {
        self.read(name, &self.db.snapshot())
    }

    fn change(&self, names: &[RowName], change: &mut dyn Change) -> Result<bool, StoreError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.db.snapshot();
        let old: Vec<_> = names.iter().map(|name| self.read(name, &now)).collect::<Result<_, _>>()?;
        if !change.edit(&old)? {
            return Ok(false);
        }
        let head = self.head()?.ok_or(StoreError::Missing)?;
        let late = change.late().map(|name| self.read(&name, &now)).transpose()?.flatten();
        let placed = change.place(&head, late.as_ref())?;
        let old = old.into_iter().chain([late]).flatten();
        let places: HashMap<RowName, u64> = old.map(|raw| (raw.name, raw.sequence)).collect();
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncAll));
        for name in placed.put.iter().map(|raw| &raw.name).chain(&placed.gone) {
            if let Some(sequence) = places.get(name) {
                batch.remove(&self.order, sequence.to_be_bytes());
            }
        }
        placed.gone.iter().for_each(|name| batch.remove(&self.rows, name));
        for raw in &placed.put {
            batch.insert(&self.order, raw.sequence.to_be_bytes(), raw.name);
            batch.insert(&self.rows, raw.name, encode(raw));
        }
        batch.insert(&self.meta, THE_HEAD, placed.head);
        batch.commit().map_err(|e| StoreError::Unknown(Box::new(e)))?;
        Ok(true)
    }

    fn changes(&self, after: u64, limit: usize) -> Result<Page, StoreError> {
        let now = self.db.snapshot();
        let head = now.get(&self.meta, THE_HEAD).map_err(StoreError::Embedded)?.ok_or(StoreError::Missing)?;
        let mut rows = Vec::new();
        for entry in now.range(&self.order, after.saturating_add(1).to_be_bytes()..).take(limit) {
            let name = entry.value().map_err(StoreError::Embedded)?;
            let name: RowName = name.as_ref().try_into().map_err(|_| StoreError::Forged)?;
            rows.push(self.read(&name, &now)?.ok_or(StoreError::Forged)?);
        }
        Ok(Page { head: head.to_vec(), rows })
    }
}
