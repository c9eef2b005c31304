//! Reading a log beside the process that writes it: from its published tree, with no lock and not a byte written.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use ledger::merkle::TreeHead;
use ledger::note::Verifier;
use ledger::proof::LogProof;
use ledger::tile::TileReader;
use ledger::{Entry, checkpoint};
use model::UnixSeconds;

use super::files::Tree;
use super::read::{self, Entries};
use super::{CHECKPOINT, LogError, Options};
use crate::disk::{Disk, ReadOnly};

/// How far times in a log may go back, in seconds.
const BACK: u64 = 300;

/// The published tree of a log that may be running, as far as it was published when it was opened.
#[derive(Debug)]
pub struct Beside {
    disk: Arc<ReadOnly>,
    head: TreeHead,
    note: String,
    pack_tiles: u16,
}

impl Beside {
    /// Opens the folder of a log whose key this is.
    ///
    /// # Errors
    /// When there is no checkpoint, or it is another log's.
    pub fn open(root: &Path, verifier: &Verifier) -> Result<Self, LogError> {
        let disk = Arc::new(ReadOnly(root.to_owned()));
        let bytes = disk.read(Path::new(CHECKPOINT));
        let bytes = bytes.map_err(|source| LogError::Io { path: CHECKPOINT.to_owned(), source })?;
        let note = String::from_utf8(bytes.ok_or(LogError::Missing)?).map_err(|_| LogError::OtherLog)?;
        let opened = checkpoint::open(&note, verifier, &[]).map_err(|_| LogError::OtherLog)?;
        let head = opened.checkpoint().head();
        Ok(Self { disk, head, note, pack_tiles: Options::default().pack_tiles })
    }

    /// Entries that it reads.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.head.size
    }

    /// One entry, authenticated.
    ///
    /// # Errors
    /// When it is beyond the size, or the files are damaged.
    pub fn entry(&self, index: u64) -> Result<Vec<u8>, LogError> {
        read::entry(self.head, |at| Tree::of(self.disk.as_ref(), self.pack_tiles).tile(at), index)
    }

    /// One entry with the proof that it is in the tree, as it was published when this was opened.
    ///
    /// # Errors
    /// When it is beyond the size, or the files are damaged.
    pub fn prove(&self, index: u64) -> Result<(Vec<u8>, LogProof), LogError> {
        let tree = Tree::of(self.disk.as_ref(), self.pack_tiles);
        read::prove(self.head, |at| tree.tile(at), index, self.note.clone())
    }

    /// An index before which no entry is of this time or later. Times go back a little, so it looks that much earlier.
    ///
    /// # Errors
    /// When an entry on the way cannot be read.
    pub fn first_at(&self, since: UnixSeconds) -> Result<u64, LogError> {
        let wanted = since.0.saturating_sub(BACK);
        let (mut low, mut high) = (0, self.size());
        while low < high {
            let middle = low + (high - low) / 2;
            let entry = Entry::decode(&self.entry(middle)?).map_err(|e| LogError::Damaged(e.to_string()))?;
            if entry.draft.time.0 < wanted {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }

    /// Entries in order, each authenticated. Holds one bundle in memory. After an error it ends.
    pub fn entries(
        &self,
        range: Range<u64>,
    ) -> impl Iterator<Item = Result<Vec<u8>, LogError>> + Send + use<> {
        let (disk, pack_tiles) = (Arc::clone(&self.disk), self.pack_tiles);
        let fetch = move |at| Tree::of(disk.as_ref(), pack_tiles).tile(at);
        Entries::new(TileReader::new(self.head, fetch), range.start..range.end.min(self.head.size))
    }
}
