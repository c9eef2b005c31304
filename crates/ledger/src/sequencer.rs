//! The sequencer: the only place where a [`Receipt`] is made.
//!
//! It gives entries their place, asks the storage to make the batch durable, extends the tree, and only
//! then hands out receipts. It owns no key, no thread and no file: `vault` drives it, and signs the trees that it publishes.

use aws_lc_rs::digest;
use model::Digest;

use crate::entry::{Draft, short_name};
use crate::merkle::{self, Frontier, Hash, TreeHead};
use crate::wal::{self, Logged};

/// Where batches become durable.
///
/// Only `vault` and `testkit` implement it; a test holds them to that, because whoever implements it can
/// have receipts minted.
pub trait Storage {
    /// Writes one frame behind the last and returns only when it is durable.
    ///
    /// # Errors
    /// [`StorageError::NotWritten`] when nothing more can be written now, and the next attempt overwrites
    /// this one; [`StorageError::Unsettled`] when the next attempt finds out first, and confirms nothing behind a
    /// frame that the caller does not know of; [`StorageError::Unknown`] when nobody can say what is on the disk:
    /// the process must end.
    fn append(&mut self, frame: &[u8]) -> Result<(), StorageError>;
}

/// Why a batch is not durable.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The write was refused, as by a full disk.
    #[error("the log was not written")]
    NotWritten(#[source] std::io::Error),
    /// No answer came, as from a database that went away.
    #[error("whether the log was written is not known yet")]
    Unsettled(#[source] std::io::Error),
    /// The flush failed, after which the page cache cannot be believed.
    #[error("the log may or may not have been written")]
    Unknown(#[source] std::io::Error),
}

/// Proof that the ledger durably holds one entry. Only [`Sequencer::commit`] makes one, after its
/// storage confirmed the batch: fields are private, and it is neither `Clone` nor `Default`.
///
/// ```compile_fail,E0451
/// let receipt = ledger::Receipt { entry: model::Digest::new([0; 32]), index: 0 };
/// ```
///
/// The passing twin: what a receipt can be asked.
///
/// ```
/// fn index(receipt: &ledger::Receipt) -> u64 { receipt.index() }
/// ```
#[derive(Debug)]
#[must_use = "a receipt that nobody spends means a payload that never left"]
pub struct Receipt {
    entry: Digest,
    index: u64,
}

impl Receipt {
    /// Whether this is the receipt of that entry.
    #[must_use]
    pub fn covers(&self, entry: &Digest) -> bool {
        self.entry == *entry
    }

    /// The entry's place in the log.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.index
    }
}

/// An entry on its way to the sequencer, with the detail and the tag list that become durable with it.
#[derive(Clone)]
pub struct Submission {
    entry: Digest,
    logged: Logged,
}

impl std::fmt::Debug for Submission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Submission({:?})", self.logged)
    }
}

impl Submission {
    /// Prepares a draft. `detail` must be the record whose digest stands in the draft.
    #[must_use]
    pub fn new(draft: &Draft, detail: Vec<u8>) -> Self {
        let leaf = draft.encode([0; 8], 0);
        let entry = sha256(&leaf);
        Self { entry, logged: Logged { leaf, detail, side: draft.subjects.side_record() } }
    }

    /// Prepares a leaf of another kind of log, with zeros in the bytes 8 to 24 where its place will stand.
    #[must_use]
    pub fn leaf(leaf: Vec<u8>) -> Self {
        let entry = sha256(&leaf);
        Self { entry, logged: Logged { leaf, detail: Vec::new(), side: None } }
    }

    /// What identifies the entry before it has a place.
    #[must_use]
    pub fn entry(&self) -> Digest {
        self.entry
    }

    /// Bytes that it adds to a batch.
    #[must_use]
    pub fn len(&self) -> usize {
        self.logged.frame_len()
    }

    /// Never: an entry has a header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }
}

/// SHA-256 as a [`Digest`].
#[must_use]
pub fn sha256(bytes: &[u8]) -> Digest {
    let d = digest::digest(&digest::SHA256, bytes);
    Digest::new(d.as_ref().try_into().unwrap_or([0; 32]))
}

/// What one commit produced.
#[derive(Debug)]
pub struct Committed {
    /// One receipt for each submission, in order.
    pub receipts: Vec<Receipt>,
    /// The batch, for whoever publishes tiles.
    pub first: u64,
    /// Its entries, in their places.
    pub entries: Vec<Logged>,
    /// Their leaf hashes.
    pub hashes: Vec<Hash>,
    /// The tree after this batch.
    pub head: TreeHead,
}

/// Gives entries their place.
pub struct Sequencer<S> {
    storage: S,
    tree: Frontier,
    gateway: [u8; 8],
    frame: Vec<u8>,
}

impl<S: Storage> Sequencer<S> {
    /// Continues a log whose tree is known. `origin` is the first line of its checkpoints.
    pub fn new(origin: &str, tree: Frontier, storage: S) -> Self {
        let gateway = short_name(origin);
        Self { storage, tree, gateway, frame: Vec::new() }
    }

    /// Entries in the log.
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// The tree after the last commit.
    pub fn tree(&self) -> &Frontier {
        &self.tree
    }

    /// Makes a batch durable and mints its receipts. On an error the tree is as before.
    ///
    /// # Errors
    /// What the storage says.
    pub fn commit(&mut self, submissions: Vec<Submission>) -> Result<Committed, StorageError> {
        let first = self.tree.size();
        let mut entries = Vec::with_capacity(submissions.len());
        let mut hashes = Vec::with_capacity(submissions.len());
        let mut receipts = Vec::with_capacity(submissions.len());
        for (index, mut s) in (first..).zip(submissions) {
            place(&mut s.logged.leaf, self.gateway, index);
            hashes.push(merkle::leaf_hash(&s.logged.leaf));
            receipts.push(Receipt { entry: s.entry, index });
            entries.push(s.logged);
        }
        self.frame.clear();
        wal::encode(first, &entries, &mut self.frame);
        // INVARIANT: nothing below this line runs unless the frame is durable.
        self.storage.append(&self.frame)?;
        for h in &hashes {
            self.tree.push(*h);
        }
        Ok(Committed { receipts, first, entries, hashes, head: self.tree.head() })
    }
}

/// Writes gateway and sequence into a leaf encoded without them.
fn place(leaf: &mut [u8], gateway: [u8; 8], index: u64) {
    if let Some(slot) = leaf.get_mut(8..16) {
        slot.copy_from_slice(&gateway);
    }
    if let Some(slot) = leaf.get_mut(16..24) {
        slot.copy_from_slice(&index.to_be_bytes());
    }
}
