//! Published entries of a log that another process may be writing: nothing is locked and nothing changed.

use std::path::Path;

use ledger::checkpoint;
use ledger::merkle::TreeHead;
use ledger::note::Verifier;
use ledger::tile::{FULL_WIDTH, TileReader};

use super::files::Tree;
use super::{CHECKPOINT, LogError, Options};
use crate::disk::{Disk, ReadOnly};

/// A published tree as it was when it was opened.
pub struct View {
    disk: ReadOnly,
    head: TreeHead,
}

impl View {
    /// Opens the newest published checkpoint of the log in a folder.
    ///
    /// # Errors
    /// When it cannot be read or is not signed by this log.
    pub fn open(folder: &Path, key: &Verifier) -> Result<Self, LogError> {
        let disk = ReadOnly(folder.to_owned());
        let note = disk.read(Path::new(CHECKPOINT));
        let note = note.map_err(|source| LogError::Io { path: CHECKPOINT.to_owned(), source })?;
        let note = note.ok_or(LogError::Missing)?;
        let opened = checkpoint::open(&String::from_utf8_lossy(&note), key, &[]);
        let head = opened.map_err(|_| LogError::OtherLog)?.checkpoint().head();
        Ok(Self { disk, head })
    }

    /// How many bundles of entries there are; all but the last hold 256.
    #[must_use]
    pub fn bundles(&self) -> u64 {
        self.head.size.div_ceil(u64::from(FULL_WIDTH))
    }

    /// The entries of one bundle, each authenticated against the checkpoint.
    ///
    /// # Errors
    /// When files are damaged or gone.
    pub fn bundle(&self, index: u64) -> Result<Vec<Vec<u8>>, LogError> {
        let tree = Tree::of(&self.disk, Options::default().pack_tiles);
        let mut reader = TileReader::new(self.head, |at| tree.tile(at));
        reader.entries(index).map_err(|e| LogError::Damaged(e.to_string()))
    }
}
