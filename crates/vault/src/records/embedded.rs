//! The record store of one machine: five keyspaces of fjall with one journal.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use fjall::config::CompressionPolicy;
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::engine::{At, Cell, Cells, Change, Edit, Engine, EngineError, Expect, Page, Table, To};

/// The engine. One thread at a time may call [`Engine::apply`].
pub(super) struct Embedded {
    db: Database,
    tables: [Keyspace; Table::ALL.len()],
}

impl Embedded {
    pub(super) fn open(folder: &Path) -> Result<Self, EngineError> {
        let open = || {
            // Sealed bytes do not get shorter.
            let db = Database::builder(folder).journal_compression(CompressionType::None).open()?;
            let keyspace = |table: Table| {
                db.keyspace(table.word(), || {
                    let plain = CompressionPolicy::all(CompressionType::None);
                    KeyspaceCreateOptions::default().data_block_compression_policy(plain)
                })
            };
            let [a, b, c, d, e] = Table::ALL;
            let tables = [keyspace(a)?, keyspace(b)?, keyspace(c)?, keyspace(d)?, keyspace(e)?];
            Ok(Self { db, tables })
        };
        open().map_err(EngineError::Embedded)
    }

    fn table(&self, table: Table) -> &Keyspace {
        let [subjects, keys, records, lookups, pending] = &self.tables;
        match table {
            Table::Subjects => subjects,
            Table::Keys => keys,
            Table::Records => records,
            Table::Lookups => lookups,
            Table::Pending => pending,
        }
    }

    fn cell(&self, at: &At) -> Result<Option<Cell>, EngineError> {
        let stored = self.table(at.table).get(name(&at.part, &at.key)).map_err(EngineError::Embedded)?;
        stored.map(|bytes| read(&bytes)).transpose()
    }

    fn all(&self, changes: &[&Change]) -> Result<Vec<bool>, EngineError> {
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncAll));
        // What the changes before have left.
        let mut versions: HashMap<&At, u64> = HashMap::new();
        let mut done = Vec::with_capacity(changes.len());
        for change in changes {
            let mut found = Vec::with_capacity(change.len());
            for edit in *change {
                let version = versions.get(&edit.at).copied();
                found.push(version.map_or_else(|| self.version(&edit.at), Ok)?);
            }
            let good = change.iter().zip(&found).all(|(edit, version)| holds(edit, *version));
            done.push(good);
            if !good {
                continue;
            }
            for (edit, found) in change.iter().zip(found) {
                let (table, name) = (self.table(edit.at.table), name(&edit.at.part, &edit.at.key));
                let version = match &edit.to {
                    To::Put(value) => {
                        let version = found.saturating_add(1);
                        batch.insert(table, name, written(version, value));
                        version
                    }
                    To::Removed => {
                        batch.remove(table, name);
                        0
                    }
                    To::Kept => found,
                };
                versions.insert(&edit.at, version);
            }
        }
        // Whether a flush that failed has written it, nobody can say.
        batch.commit().map_err(|e| EngineError::Unknown(Box::new(e)))?;
        Ok(done)
    }

    fn version(&self, at: &At) -> Result<u64, EngineError> {
        Ok(self.cell(at)?.map_or(0, |cell| cell.version))
    }
}

/// The parts of a table are all of one length, or have an empty key: so no two names are one.
fn name(part: &[u8], key: &[u8]) -> Vec<u8> {
    [part, key].concat()
}

fn read(bytes: &[u8]) -> Result<Cell, EngineError> {
    let (version, value) = bytes.split_first_chunk::<8>().ok_or(EngineError::Form)?;
    Ok(Cell { version: u64::from_be_bytes(*version), value: value.to_vec() })
}

fn written(version: u64, value: &[u8]) -> Vec<u8> {
    [&version.to_be_bytes(), value].concat()
}

fn holds(edit: &Edit, found: u64) -> bool {
    match edit.expect {
        Expect::Absent => found == 0,
        Expect::Version(version) => found == version && found != 0,
        Expect::Any => true,
    }
}

impl Cells for Embedded {
    fn get(&self, places: &[At]) -> Result<Vec<Option<Cell>>, EngineError> {
        places.iter().map(|at| self.cell(at)).collect()
    }

    fn page(
        &self,
        (table, part): (Table, &[u8]),
        prefix: &[u8],
        after: &[u8],
        most: usize,
        bytes: usize,
    ) -> Result<Page, EngineError> {
        let (begin, mut length, mut page) = (name(part, prefix), 0, Page::new());
        let from = begin.clone().max([&name(part, after)[..], &[0]].concat());
        for row in self.table(table).range(from..) {
            let (key, value) = row.into_inner().map_err(EngineError::Embedded)?;
            let Some(key) = key.strip_prefix(part).filter(|_| key.starts_with(&begin)) else { break };
            if page.len() >= most || length > bytes {
                break;
            }
            length += value.len();
            page.push((key.to_vec(), read(&value)?));
        }
        Ok(page)
    }
}

impl Engine for Embedded {
    fn parts(&self, table: Table, after: &[u8], most: usize) -> Result<Page, EngineError> {
        let from = [after, &[0]].concat();
        let from = if after.is_empty() { Vec::new() } else { from };
        let rows = self.table(table).range(from..).take(most);
        rows.map(|row| {
            let (key, value) = row.into_inner().map_err(EngineError::Embedded)?;
            Ok((key.to_vec(), read(&value)?))
        })
        .collect()
    }

    fn apply(&self, changes: &[&Change]) -> Vec<Result<bool, Arc<EngineError>>> {
        match self.all(changes) {
            Ok(held) => held.into_iter().map(Ok).collect(),
            Err(e) => vec![Err(Arc::new(e)); changes.len()],
        }
    }

    fn load(&self, cells: Vec<(At, Vec<u8>)>) -> Result<(), EngineError> {
        let mut batch = self.db.batch();
        for (at, value) in cells {
            batch.insert(self.table(at.table), name(&at.part, &at.key), written(1, &value));
        }
        batch.commit().map_err(EngineError::Embedded)
    }

    fn clear(&self, table: Table, part: &[u8]) -> Result<(), EngineError> {
        let table = self.table(table);
        for row in table.prefix(part) {
            let key = row.key().map_err(EngineError::Embedded)?;
            table.remove(key).map_err(EngineError::Embedded)?;
        }
        Ok(())
    }

    fn count(&self, table: Table) -> Result<u64, EngineError> {
        Ok(self.table(table).len().map_err(EngineError::Embedded)? as u64)
    }
}
