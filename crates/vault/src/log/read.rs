//! Reading a log while it runs: what was published, with proofs. All entries and hashes are authenticated
//! against the published checkpoint, so that a damaged file is an error and never an answer.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use ledger::checkpoint;
use ledger::merkle::{self, Hash, ProveError, TreeHead};
use ledger::proof::LogProof;
use ledger::tile::{FULL_WIDTH, ReadError, TileCoordinates, TileReader};

use super::files::{self, Tree};
use super::{CHECKPOINT, Log, LogError};

const WIDTH: u64 = FULL_WIDTH as u64;

/// The newest published checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// The tree that it counts.
    pub head: TreeHead,
    /// The signed note.
    pub note: String,
}

impl Log {
    /// The published checkpoint.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn checkpoint(&self) -> Result<String, LogError> {
        Ok(String::from_utf8_lossy(&self.read(CHECKPOINT)?.ok_or(LogError::Missing)?).into_owned())
    }

    /// The published checkpoint and its tree.
    ///
    /// # Errors
    /// When it cannot be read or is not signed by this log.
    pub fn head(&self) -> Result<Published, LogError> {
        let note = self.checkpoint()?;
        let opened = checkpoint::open(&note, &self.verifier, &[]).map_err(|_| LogError::OtherLog)?;
        Ok(Published { head: opened.checkpoint().head(), note })
    }

    /// One published entry with the proof that it is in the published tree.
    ///
    /// # Errors
    /// When it is not published yet, or the files are damaged.
    pub fn prove(&self, index: u64) -> Result<(Vec<u8>, LogProof), LogError> {
        let Published { head, note } = self.head()?;
        prove(head, |at| self.tree().tile(at), index, note)
    }

    /// One published entry, authenticated.
    ///
    /// # Errors
    /// When it is not published yet, or the files are damaged.
    pub fn entry(&self, index: u64) -> Result<Vec<u8>, LogError> {
        entry(self.head()?.head, |at| self.tree().tile(at), index)
    }

    /// Published entries in order, each authenticated, as far as the log was published when this was called.
    /// Holds one bundle in memory. After an error it ends.
    ///
    /// # Errors
    /// When the checkpoint cannot be read; the items are errors when files are damaged.
    pub fn entries(
        &self,
        range: Range<u64>,
    ) -> Result<impl Iterator<Item = Result<Vec<u8>, LogError>> + Send + use<>, LogError> {
        let head = self.head()?.head;
        let (disk, pack_tiles) = (Arc::clone(&self.disk), self.shared.options.pack_tiles);
        let fetch = move |at| Tree::of(disk.as_ref(), pack_tiles).tile(at);
        let end = range.end.min(head.size);
        Ok(Entries::new(TileReader::new(head, fetch), range.start..end))
    }

    /// The proof that an entry is in the tree of the first `size` entries, which must be published.
    ///
    /// # Errors
    /// When that tree is not published or does not hold the entry, or the files are damaged.
    pub fn prove_inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, LogError> {
        let mut reader = self.reader(size)?;
        merkle::prove_inclusion(&mut reader, index, size).map_err(|e: Unproved| damaged(&e))
    }

    /// One proof that the entries of these indices, ascending, are in the tree of the first `size` entries, which
    /// must be published.
    ///
    /// # Errors
    /// As [`Self::prove_inclusion`].
    pub fn prove_several(&self, indices: &[u64], size: u64) -> Result<Vec<Hash>, LogError> {
        let mut reader = self.reader(size)?;
        merkle::prove_several(&mut reader, indices, size).map_err(|e: Unproved| damaged(&e))
    }

    /// The proof that the tree of the first `new` entries, which must be published, begins with that of the
    /// first `old`.
    ///
    /// # Errors
    /// When that tree is not published or `old` is larger, or the files are damaged.
    pub fn prove_consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, LogError> {
        let mut reader = self.reader(new)?;
        merkle::prove_consistency(&mut reader, old, new).map_err(|e: Unproved| damaged(&e))
    }

    /// The sealed detail of a published entry; empty if it has none.
    ///
    /// # Errors
    /// When the file cannot be read or does not hold it.
    pub fn detail(&self, index: u64) -> Result<Vec<u8>, LogError> {
        let missing = || LogError::Damaged(format!("the detail of entry {index} is missing"));
        let bundle = TileCoordinates::in_tree(0, index / WIDTH, self.published()).ok_or_else(missing)?;
        let path = files::detail_path(bundle);
        let all = files::all_details(&self.tree(), bundle).map_err(|source| LogError::Io { path, source })?;
        all.into_iter().nth(usize::try_from(index % WIDTH).unwrap_or(usize::MAX)).ok_or_else(missing)
    }

    /// A reader of the published tree, from which every tree of `size` entries can be proved.
    fn reader(
        &self,
        size: u64,
    ) -> Result<TileReader<impl FnMut(TileCoordinates) -> io::Result<Vec<u8>>>, LogError> {
        let head = self.head()?.head;
        if size > head.size {
            return Err(LogError::Unpublished { asked: size, published: head.size });
        }
        Ok(TileReader::new(head, |at| self.tree().tile(at)))
    }

    pub(super) fn tree(&self) -> Tree<'_> {
        Tree::of(self.disk.as_ref(), self.shared.options.pack_tiles)
    }

    pub(super) fn read(&self, path: &str) -> Result<Option<Vec<u8>>, LogError> {
        self.disk.read(Path::new(path)).map_err(|source| LogError::Io { path: path.to_owned(), source })
    }
}

type Unproved = ProveError<ReadError<io::Error>>;

fn damaged(e: &dyn std::error::Error) -> LogError {
    LogError::Damaged(e.to_string())
}

fn nth(bundle: Vec<Vec<u8>>, index: u64) -> Result<Vec<u8>, LogError> {
    let leaf = usize::try_from(index % WIDTH).ok().and_then(|i| bundle.into_iter().nth(i));
    leaf.ok_or_else(|| LogError::Damaged(format!("entry {index} is missing")))
}

/// One entry of a tree with the proof that it is in it.
pub(super) fn prove(
    head: TreeHead,
    fetch: impl FnMut(TileCoordinates) -> io::Result<Vec<u8>>,
    index: u64,
    note: String,
) -> Result<(Vec<u8>, LogProof), LogError> {
    let mut reader = TileReader::new(head, fetch);
    let bundle = reader.entries(index / WIDTH).map_err(|e| damaged(&e))?;
    let hashes = reader.prove_inclusion(index).map_err(|e| damaged(&e))?;
    Ok((nth(bundle, index)?, LogProof::new(index, hashes, note)))
}

/// One entry of a tree, authenticated.
pub(super) fn entry(
    head: TreeHead,
    fetch: impl FnMut(TileCoordinates) -> io::Result<Vec<u8>>,
    index: u64,
) -> Result<Vec<u8>, LogError> {
    let mut reader = TileReader::new(head, fetch);
    nth(reader.entries(index / WIDTH).map_err(|e| damaged(&e))?, index)
}

/// Entries in order, a bundle at a time.
pub(super) struct Entries<F> {
    reader: TileReader<F>,
    next: u64,
    end: u64,
    bundle: std::vec::IntoIter<Vec<u8>>,
}

impl<F> Entries<F> {
    /// The entries of a range that lies within the tree.
    pub(super) fn new(reader: TileReader<F>, range: Range<u64>) -> Self {
        Self { reader, next: range.start, end: range.end, bundle: Vec::new().into_iter() }
    }
}

impl<F: FnMut(TileCoordinates) -> io::Result<Vec<u8>>> Iterator for Entries<F> {
    type Item = Result<Vec<u8>, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.end {
            return None;
        }
        if self.bundle.len() == 0 {
            match self.reader.entries(self.next / WIDTH) {
                Ok(bundle) => self.bundle = bundle.into_iter(),
                Err(e) => {
                    self.end = 0;
                    return Some(Err(damaged(&e)));
                }
            }
            let skip = usize::try_from(self.next % WIDTH).unwrap_or(0);
            self.bundle.by_ref().take(skip).for_each(drop);
        }
        self.next += 1;
        self.bundle.next().map(Ok)
    }
}
