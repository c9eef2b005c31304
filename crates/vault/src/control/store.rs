//! Rows that change: requests, budgets, incidents, ended sessions; in an embedded store or in PostgreSQL.
//!
//! An engine sees sealed bytes under keyed names, and nothing else: whoever administers it can neither read nor forge
//! nor swap a row, nor keep a newer one back ([`Sealed`] says what is left to them). A row is changed while nobody else
//! can, under a version; all changes have one order, by which other processes follow. What an implementation owes is
//! held by one suite of claims, `tests/vault/control.rs`, which runs against each.

use std::time::Duration;

use access::{NotAllowed, Spent};
use model::Explain;

use crate::keys::KeyError;
use crate::log::PostgresError;

mod embedded;
mod engine;
mod postgres;
mod sealed;

pub use embedded::Embedded;
pub use postgres::PostgresStore;
pub(crate) use postgres::{Pool, Schema, unknown};
pub use sealed::{ControlKeys, Sealed};

pub(super) use sealed::removed;

/// Longest key of a row, in bytes.
pub const KEY_MAX: usize = 128;
/// Largest row, in bytes.
pub const ROW_MAX: usize = 1 << 20;
/// Most rows of a store.
pub const ROWS_MAX: u64 = 1_000_000;
/// Most rows that are changed together.
pub const TOGETHER_MAX: usize = access::budget::PEOPLE_MAX + 1;
/// Most rows that are read at once.
pub const PAGE_MAX: usize = 256;

/// What rows are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Table {
    /// Requests for access, and the grants and cases that come of them.
    Requests,
    /// What is reserved of the amounts of grants and cases.
    Budgets,
    /// Incidents.
    Incidents,
    /// Sessions that were ended.
    Sessions,
    /// People who are counted under a grant or case, each beside its budget.
    People,
    /// Names of what was removed. They stay taken.
    Names,
    /// The record of the rows that were removed last. It is the store's own.
    Removed,
    /// Which rulebook is in force.
    Rulebook,
    /// What was spent of privacy budgets, by dataset, and by dataset and recipient.
    Spent,
    /// Answers with noise, each as it was told first.
    Answers,
    /// Who was in groups that a recipient was told of.
    Guards,
}

impl Table {
    /// Every table but the store's own.
    pub const ALL: [Self; 10] = [
        Self::Requests,
        Self::Budgets,
        Self::Incidents,
        Self::Sessions,
        Self::People,
        Self::Names,
        Self::Rulebook,
        Self::Spent,
        Self::Answers,
        Self::Guards,
    ];

    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Budgets => "budgets",
            Self::Incidents => "incidents",
            Self::Sessions => "sessions",
            Self::People => "people",
            Self::Names => "names",
            Self::Removed => "removed",
            Self::Rulebook => "rulebook",
            Self::Spent => "spent",
            Self::Answers => "answers",
            Self::Guards => "guards",
        }
    }

    /// The stable number, inside a sealed row.
    const fn code(self) -> u8 {
        match self {
            Self::Requests => 1,
            Self::Budgets => 2,
            Self::Incidents => 3,
            Self::Sessions => 4,
            Self::People => 5,
            Self::Names => 6,
            Self::Removed => 7,
            Self::Rulebook => 8,
            Self::Spent => 9,
            Self::Answers => 10,
            Self::Guards => 11,
        }
    }

    fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().chain([Self::Removed]).find(|table| table.code() == code)
    }
}

/// A row, opened.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// Counts its changes, from 1.
    pub version: u64,
    /// What stands in it.
    pub bytes: Vec<u8>,
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Row(version {}, {} bytes)", self.version, self.bytes.len())
    }
}

/// A row that was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The place of its last change among all changes.
    pub sequence: u64,
    /// Where.
    pub table: Table,
    /// Its key.
    pub key: String,
    /// As it is since then.
    pub row: Row,
}

/// Why whoever changes a row leaves it as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// A rule of requests is against it.
    #[error("it is not allowed")]
    NotAllowed(#[from] NotAllowed),
    /// The amount is spent.
    #[error("nothing is left")]
    Spent(#[from] Spent),
    /// A privacy budget does not give as much.
    #[error("nothing more may be learned")]
    Privacy(#[from] transform::budget::Refused),
    /// Groups do not go together with what the recipient was told before.
    #[error("it does not go together with what was told before")]
    Guard(#[from] transform::aggregate::guard::Unsafe),
    /// No noise was drawn.
    #[error("no noise was drawn")]
    Noise(#[from] transform::dp::DpError),
    /// There is no such row.
    #[error("there is no such {0}")]
    Missing(&'static str),
    /// There is such a row.
    #[error("there is such a {0} already")]
    Exists(&'static str),
    /// What stands in the row, or would, cannot be read.
    #[error("a {0} of the control store is of another form")]
    Form(&'static str),
    /// It is over already.
    #[error("the {0} is over")]
    Over(&'static str),
    /// What comes before the change was not recorded.
    #[error("it could not be recorded, so it was not done")]
    Record(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Why the store did not do something. It names no row.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Nobody has made it.
    #[error("there is no control store; nothing was made")]
    Missing,
    /// Somebody has.
    #[error("there is a control store already")]
    Exists,
    /// The tables are of another version.
    #[error("the tables of the control store are of version {found}, and this program needs {needed}")]
    Schema {
        /// What is there.
        found: u32,
        /// What is needed.
        needed: u32,
    },
    /// The embedded store refuses; nothing was changed.
    #[error("the control store refuses")]
    Embedded(#[source] fjall::Error),
    /// The database refuses or does not answer; nothing was changed.
    #[error("the database of the control store did not do it")]
    Database(#[from] PostgresError),
    /// All connections were busy for too long; nothing was changed.
    #[error("no connection to the control store was free within {} ms", .0.as_millis())]
    Busy(Duration),
    /// The answer to the commit is missing: the change is there as a whole or not at all.
    #[error("whether the control store did it is not known")]
    Unknown(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The keys refuse.
    #[error("the keys of the control store refuse")]
    Keys(#[source] KeyError),
    /// A row does not open with this region's key, or stands in another's place.
    #[error("a row of the control store was not written by this enclave, or not there")]
    Forged,
    /// A row, or the store, is older than what this process saw, or a row is kept back.
    #[error("the control store went back behind what was there")]
    WentBack,
    /// A key or row is too long.
    #[error("a row of {0} bytes is more than the control store takes")]
    Large(usize),
    /// There are too many rows.
    #[error("the control store has as many rows as it takes")]
    Full,
    /// Whoever changed the row left it as it was.
    #[error("the control store was not changed")]
    Change(#[source] ChangeError),
}

impl From<ChangeError> for StoreError {
    fn from(error: ChangeError) -> Self {
        Self::Change(error)
    }
}

impl Explain for StoreError {
    fn code(&self) -> &'static str {
        match self {
            Self::Forged | Self::WentBack => "CLV-0403",
            Self::Change(ChangeError::NotAllowed(_) | ChangeError::Over(_) | ChangeError::Exists(_)) => {
                "CLV-0405"
            }
            Self::Change(ChangeError::Missing(_)) => "CLV-0401",
            Self::Change(ChangeError::Spent(_)) => "CLV-0406",
            Self::Change(ChangeError::Privacy(_) | ChangeError::Guard(_)) => "CLV-0408",
            _ => "CLV-0402",
        }
    }
    fn fix(&self) -> &'static str {
        match self {
            Self::Missing => "make it first: a start makes none",
            Self::Exists => "use the one that is there, or name another place",
            Self::Schema { .. } => "migrate the tables with the newest program, and run that",
            Self::Forged | Self::WentBack => {
                "find out who changed the store by hand; restore its newest copy"
            }
            Self::Change(ChangeError::NotAllowed(_)) => {
                "ask for what the procedure gives, or have others decide"
            }
            Self::Change(ChangeError::Spent(_)) => "ask for a new grant",
            Self::Change(ChangeError::Privacy(_) | ChangeError::Guard(_)) => {
                "see what is left with `clover budget`; nothing that was learned comes back"
            }
            Self::Change(ChangeError::Record(_)) => "mend the ledger first: nothing is decided without it",
            Self::Change(_) => "look at the list of requests: it is not there, or over",
            Self::Full | Self::Large(_) => "the store has its limits: see the page of this error",
            _ => "check that the store is there, that its disk has space and that no other process has it",
        }
    }
    fn public(&self) -> &'static str {
        match self {
            Self::Change(ChangeError::NotAllowed(_)) => "the rules do not allow this",
            Self::Change(ChangeError::Spent(_)) => "nothing is left of what was granted",
            Self::Change(ChangeError::Privacy(_) | ChangeError::Guard(_)) => {
                "no more may be learned of this dataset now"
            }
            Self::Change(ChangeError::Missing(_)) => "what the request refers to is not on record",
            Self::Change(ChangeError::Exists(_) | ChangeError::Over(_)) => "it is decided already, or over",
            Self::Unknown(_) => "whether it was done is not known: look again before you repeat it",
            Self::Embedded(_) | Self::Database(_) | Self::Busy(_) | Self::Full => {
                "requests cannot be kept now: nothing was done"
            }
            _ => "the request cannot be answered now",
        }
    }
}

/// What [`Store::change`] does to a row: the new bytes, or `None` to leave it.
pub type Edit<'a> = &'a mut dyn FnMut(Option<&Row>) -> Result<Option<Vec<u8>>, ChangeError>;

/// What becomes of one of several rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Becomes {
    /// It stays as it is, there or not.
    Same,
    /// These are its bytes.
    Put(Vec<u8>),
    /// It is removed.
    Gone,
}

/// What [`Store::change_all`] does to rows: what becomes of each, in their order.
pub type EditAll<'a> = &'a mut dyn FnMut(&[Option<Row>]) -> Result<Vec<Becomes>, ChangeError>;

/// Rows under keys.
pub trait Store: Send + Sync {
    /// The row as it is now.
    ///
    /// # Errors
    /// [`StoreError`].
    fn get(&self, table: Table, key: &str) -> Result<Option<Row>, StoreError>;

    /// Changes rows together, all of them or none, while nobody else can. Returns them as they are then.
    ///
    /// The lock is the first row's: whoever changes one of the others elsewhere does so beside the same first one. No
    /// row is named twice, and there are [`TOGETHER_MAX`] at most. `change` is called once at most, and sees the rows.
    /// What it did besides has happened when this returns, and the rows are durable when this returns `Ok`. It does not
    /// use the store itself, and takes seconds at most.
    ///
    /// # Errors
    /// [`StoreError::Change`] with what `change` says. Nothing was changed then, nor with any other error but
    /// [`StoreError::Unknown`].
    fn change_all(&self, rows: &[(Table, &str)], change: EditAll<'_>)
    -> Result<Vec<Option<Row>>, StoreError>;

    /// Changes one row while nobody else can, as [`Store::change_all`] does. Returns it as it is then.
    ///
    /// # Errors
    /// As there.
    fn change(&self, table: Table, key: &str, change: Edit<'_>) -> Result<Option<Row>, StoreError> {
        let rows = self.change_all(&[(table, key)], &mut |rows| {
            let changed = change(rows.first().and_then(Option::as_ref))?;
            Ok(vec![changed.map_or(Becomes::Same, Becomes::Put)])
        })?;
        Ok(rows.into_iter().next().flatten())
    }

    /// Rows whose last change comes after a place, oldest first: at most `limit`, and fewer only at the end. A limit
    /// above [`PAGE_MAX`] counts as that. Nothing is skipped when writers overlap. A row that was removed is in none.
    ///
    /// # Errors
    /// [`StoreError`].
    fn changes(&self, after: u64, limit: usize) -> Result<Vec<Changed>, StoreError>;
}
