//! The tamper-evident log: tree, tiles, notes, entries, and the sequencer that mints receipts.
//!
//! C2SP formats unchanged, so that anyone's tools can check us. No IO, no clock and no randomness here:
//! bytes, time and random bytes are arguments, and `vault` owns the files and the committer's thread.
//! Start reading at [`entry`] for what is recorded, at [`sequencer`] for how it becomes durable.

pub mod checkpoint;
pub mod daymap;
pub mod detail;
pub mod entry;
pub mod facts;
pub mod gate;
pub mod history;
pub mod inside;
pub mod keylog;
pub mod merkle;
pub mod migration;
pub mod note;
pub mod policy;
pub mod proof;
pub mod sequencer;
pub mod site;
pub mod stream;
pub mod tile;
pub mod wal;
pub mod witness;

pub use detail::SecretKey;
pub use entry::{Draft, Entry, EntryKind, Outcome, StreamPlace, Subjects};
pub use sequencer::{Committed, Receipt, Sequencer, Storage, StorageError, Submission, sha256};
