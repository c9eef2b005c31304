//! What a record store needs of its engine: versioned cells under a part and a key, changed together or not at all.
//!
//! An engine sees sealed bytes under handles, internal ids and keyed tags. What an implementation owes is held by one
//! suite of claims, `tests/vault/engines.rs`, which runs against each.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::embedded::Embedded;
use super::postgres;
use crate::log::{Database, PostgresError};

/// Why the store did not do something. It names no cell.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The embedded store refuses; nothing was changed.
    #[error("the record store refuses")]
    Embedded(#[source] fjall::Error),
    /// The database refuses or does not answer; nothing was changed.
    #[error("the database of the record store did not do it")]
    Database(#[from] PostgresError),
    /// All connections were busy for too long; nothing was changed.
    #[error("no connection to the record store was free within {} ms", .0.as_millis())]
    Busy(Duration),
    /// The answer to the commit is missing: what was to be changed is there as a whole or not at all.
    #[error("whether the record store did it is not known")]
    Unknown(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A cell is not of the form that this program writes.
    #[error("a cell of the record store is of another form")]
    Form,
    /// Nobody has made it.
    #[error("there is no record store; nothing was made")]
    Missing,
    /// The tables are of another version.
    #[error("the tables of the record store are of version {found}, and this program needs {needed}")]
    Schema {
        /// What is there.
        found: u32,
        /// What is needed.
        needed: u32,
    },
    /// The store is being closed.
    #[error("the record store is being closed")]
    Ended,
    /// There is no thread for it.
    #[error("no thread can be made for the record store")]
    Thread(#[source] std::io::Error),
}

/// Most cells that are changed together.
pub const TOGETHER_MAX: usize = 4096;
/// Most cells of one page.
pub const PAGE_MAX: usize = 4096;

/// What cells are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Table {
    /// Who is here: part is the handle, the key is empty.
    Subjects,
    /// Their wrapped keys: part is the handle, the key is empty. Not in the same backup as the rest.
    Keys,
    /// Their records: part is the internal id, the key is collection and record.
    Records,
    /// Who has a value: part is a keyed tag of it, the key is the handle.
    Lookups,
    /// Internal ids whose records count for nothing, and go: part is the internal id, the key is empty.
    Pending,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 5] = [Self::Subjects, Self::Keys, Self::Records, Self::Lookups, Self::Pending];

    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Subjects => "subjects",
            Self::Keys => "keys",
            Self::Records => "records",
            Self::Lookups => "lookups",
            Self::Pending => "pending",
        }
    }
}

/// Where a cell is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct At {
    /// In which table.
    pub table: Table,
    /// By what cells are spread over machines.
    pub part: Vec<u8>,
    /// Orders the cells of a part.
    pub key: Vec<u8>,
}

impl At {
    /// The cell of a part that has one only.
    #[must_use]
    pub fn one(table: Table, part: &[u8]) -> Self {
        Self { table, part: part.to_vec(), key: Vec::new() }
    }
}

/// What stands somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Counts its changes, from 1.
    pub version: u64,
    /// Sealed bytes.
    pub value: Vec<u8>,
}

/// What must be there for a change to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Nothing. What is put has version 1.
    Absent,
    /// A cell of this version. What is put has the next.
    Version(u64),
    /// Whatever. What is put has version 1 or the one after what was there.
    Any,
}

/// One cell that changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Where.
    pub at: At,
    /// Under which condition.
    pub expect: Expect,
    /// What becomes of it.
    pub to: To,
}

/// What becomes of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// It stands there.
    Put(Vec<u8>),
    /// Nothing stands there.
    Removed,
    /// What stood there: only the condition counts.
    Kept,
}

/// Edits of different cells that are made together or not at all, at most [`TOGETHER_MAX`].
pub type Change = Vec<Edit>;

/// A page of cells, by their keys or parts.
pub type Page = Vec<(Vec<u8>, Cell)>;

/// Opens the engine of one machine, which makes its folder.
///
/// # Errors
/// What the store says.
pub fn embedded(folder: &Path) -> Result<Arc<dyn Engine>, EngineError> {
    Ok(Arc::new(Embedded::open(folder)?))
}

/// Opens the engine over tables of a database that were made.
///
/// # Errors
/// What the server says.
pub fn in_database(server: &Database) -> Result<Arc<dyn Engine>, EngineError> {
    Ok(Arc::new(postgres::Database::open(server)?))
}

/// What is read of cells. All calls block.
pub trait Cells: Send + Sync {
    /// The cells of these places, in their order. They need not be of one moment.
    ///
    /// # Errors
    /// What the store says.
    fn get(&self, places: &[At]) -> Result<Vec<Option<Cell>>, EngineError>;

    /// The cells of a part whose key begins with `prefix` and lies behind `after`, in the order of their keys: at most
    /// `most`, and no more once they are `bytes` long together.
    ///
    /// # Errors
    /// What the store says.
    fn page(
        &self,
        within: (Table, &[u8]),
        prefix: &[u8],
        after: &[u8],
        most: usize,
        bytes: usize,
    ) -> Result<Page, EngineError>;
}

/// A store of cells. All calls block.
pub trait Engine: Cells {
    /// How many threads may make changes at a time.
    fn writers(&self) -> usize {
        1
    }

    /// The cells of parts behind `after`, of a table whose parts have one cell each: at most `most`.
    ///
    /// # Errors
    /// What the store says.
    fn parts(&self, table: Table, after: &[u8], most: usize) -> Result<Page, EngineError>;

    /// Makes changes, durably, each whole or not at all. Says of each whether its conditions held; where they did not,
    /// nothing of it was done. A later change sees the earlier ones. Of each that failed nothing was done, unless the error
    /// is [`EngineError::Unknown`].
    fn apply(&self, changes: &[&Change]) -> Vec<Result<bool, Arc<EngineError>>>;

    /// Puts cells that nobody sees yet, in any order and not yet durably: the next change that is made is behind them.
    ///
    /// # Errors
    /// What the store says; some may be there.
    fn load(&self, cells: Vec<(At, Vec<u8>)>) -> Result<(), EngineError>;

    /// Removes all cells of a part, in any order and not yet durably.
    ///
    /// # Errors
    /// What the store says; some may be gone.
    fn clear(&self, table: Table, part: &[u8]) -> Result<(), EngineError>;

    /// How many cells a table has.
    ///
    /// # Errors
    /// What the store says.
    fn count(&self, table: Table) -> Result<u64, EngineError>;
}
