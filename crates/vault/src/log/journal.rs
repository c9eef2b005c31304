//! Where a log's frames become durable, as a contract: files on this machine, or rows of a database.
//!
//! A [`Journal`] is opened before anything can be appended, and opening reads and checks what is there. So
//! nobody can append behind frames that were not read. What an implementation owes is held by one suite of
//! claims, `tests/vault/journal.rs`, which runs against each.

use std::io;

use ledger::wal::Batch;
use ledger::{Storage, StorageError};

use super::LogError;

/// A journal that was opened: what appends behind its last frame, and what lets go of its first.
pub struct Opened {
    /// The entry that the next frame must begin with.
    pub next: u64,
    /// Appends. A frame that does not begin with the expected entry is refused.
    pub storage: Box<dyn Storage + Send>,
    /// Lets go of frames that nobody needs any more.
    pub past: Box<dyn Past>,
}

/// The durable frames of one log, each a batch of entries (`docs/formats/wal.md`).
pub trait Journal: Send + Sync {
    /// Makes the place for the frames of a new log.
    ///
    /// # Errors
    /// [`LogError::Exists`] when a log has frames there already; else what the storage says.
    fn create(&self) -> Result<(), LogError>;

    /// Takes the journal for this process and gives `each` everything from the entry `from` on, in order and
    /// without a gap. Once it returns, what was given is durable, and whoever opened it before can append
    /// nothing any more.
    ///
    /// # Errors
    /// [`LogError::Missing`] when there is none, [`LogError::Lost`] when it ends before `from`,
    /// [`LogError::Damaged`] when a frame is missing or cannot be read; what `each` says; what the storage
    /// says.
    fn open(
        &self,
        from: u64,
        each: &mut dyn FnMut(Batch) -> Result<(), LogError>,
    ) -> Result<Opened, LogError>;
}

/// The frames that a log may let go of.
pub trait Past: Send {
    /// Lets go of frames whose entries are all before `below`; it may keep some. Calls `marked` before the
    /// first frame goes, and only if one will: the mark that `below` stands for must be durable by then.
    ///
    /// # Errors
    /// What `marked` or the storage says. The frames may or may not be there then, and it may be called again.
    fn let_go(&mut self, below: u64, marked: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()>;
}

/// The storage of an opened journal as a type, for the sequencer.
pub(super) struct Appending(pub(super) Box<dyn Storage + Send>);

impl Storage for Appending {
    fn append(&mut self, frame: &[u8]) -> Result<(), StorageError> {
        self.0.append(frame)
    }
}

/// A batch without the entries before `from`.
pub(super) fn behind(mut batch: Batch, from: u64) -> Batch {
    let skip = usize::try_from(from.saturating_sub(batch.first)).unwrap_or(usize::MAX);
    batch.entries.drain(..skip.min(batch.entries.len()));
    batch.first = batch.first.max(from);
    batch
}

/// The first entry of a frame and the entry behind its last, by its head; only if the frame continues a
/// journal that expects the entry `next`.
pub(super) fn continues(frame: &[u8], next: u64) -> Result<(u64, u64), StorageError> {
    let first = frame.get(4..12).and_then(|b| b.try_into().ok()).map(u64::from_be_bytes);
    let count = frame.get(12..16).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
    match (first, count) {
        (Some(first), Some(count @ 1..)) if first == next => Ok((first, first + u64::from(count))),
        // Somebody counts otherwise than this journal: nothing that follows can be believed.
        _ => Err(StorageError::Unknown(io::Error::other("the frame does not continue the log"))),
    }
}
