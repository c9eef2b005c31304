//! What keeps sealed rows, as a contract: it compares names and orders numbers, and understands nothing else.

use super::StoreError;

/// The keyed name of a row.
pub(super) type RowName = [u8; 32];

/// A row as it lies in the engine.
#[derive(Clone, PartialEq, Eq)]
pub struct Raw {
    pub(super) name: RowName,
    pub(super) version: u64,
    pub(super) sequence: u64,
    pub(super) sealed: Vec<u8>,
}

/// Rows with what the head said when they were read.
pub struct Page {
    pub(super) head: Vec<u8>,
    pub(super) rows: Vec<Raw>,
}

/// Rows as they will be, with the head that belongs to them.
pub struct Placed {
    pub(super) head: Vec<u8>,
    pub(super) put: Vec<Raw>,
    /// Rows that are removed.
    pub(super) gone: Vec<RowName>,
}

/// One change in two steps, so that the head, which everybody needs, is locked for the shortest time only.
pub trait Change {
    /// Sees the rows, the first of which is locked; says whether any changes.
    ///
    /// # Errors
    /// What is against it; nothing is changed then.
    fn edit(&mut self, rows: &[Option<Raw>]) -> Result<bool, StoreError>;

    /// One more row that it changes, if it does. Such a row is only changed while the head is locked.
    fn late(&self) -> Option<RowName>;

    /// Sees the head and the late row, which are locked, too; gives rows and head as they will be.
    ///
    /// # Errors
    /// What is against it; nothing is changed then.
    fn place(&mut self, head: &[u8], late: Option<&Raw>) -> Result<Placed, StoreError>;
}

/// Keeps sealed rows and one head.
pub trait Engine: Send + Sync {
    /// The head, if the store was made.
    ///
    /// # Errors
    /// [`StoreError`].
    fn head(&self) -> Result<Option<Vec<u8>>, StoreError>;

    /// A row.
    ///
    /// # Errors
    /// [`StoreError`].
    fn get(&self, name: &[u8; 32]) -> Result<Option<Raw>, StoreError>;

    /// Changes rows and the head together, durably, while the first row is locked. Returns whether it did.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] when nobody can say; with any other nothing was changed.
    fn change(&self, names: &[[u8; 32]], change: &mut dyn Change) -> Result<bool, StoreError>;

    /// The head and the rows after a place, in their order, as of one moment.
    ///
    /// # Errors
    /// [`StoreError`].
    fn changes(&self, after: u64, limit: usize) -> Result<Page, StoreError>;
}
