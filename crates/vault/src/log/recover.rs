//! What a log does before it starts: find out what is durable, and refuse what is in doubt. A log that has lost
//! entries does not start.

use std::path::Path;

use ledger::Committed;
use ledger::checkpoint;
use ledger::merkle::{Frontier, Hash, TreeHead, leaf_hash};
use ledger::note::Verifier;
use ledger::tile::{FULL_WIDTH, TileBuilder, TileCoordinates, append_entry, split_bundle};
use ledger::wal::Batch;

use super::journal::{Journal, Opened};
use super::publisher::State;
use super::{CHECKPOINT, DURABLE, LogError, files};
use crate::disk::Disk;

/// A log as it was found.
pub(super) struct Recovered {
    /// The tree over everything durable.
    pub(super) tree: Frontier,
    /// Where its frames lie.
    pub(super) journal: Opened,
    /// The tree as far as its files are flushed.
    pub(super) publisher: State,
    /// Entries that the published checkpoint counts.
    pub(super) published: u64,
    /// What must be published again.
    pub(super) pending: Vec<Committed>,
}

pub(super) fn recover(
    disk: &dyn Disk,
    journal: &dyn Journal,
    verifier: &Verifier,
) -> Result<Recovered, LogError> {
    let published = head_of(disk, CHECKPOINT, verifier)?;
    let durable = head_of(disk, DURABLE, verifier)?;
    if published.size < durable.size {
        return Err(LogError::Damaged("the checkpoint is older than the flushed tree".to_owned()));
    }
    let publisher = state_at(disk, &durable)?;
    let mut tree = publisher.tiles.frontier();
    continues(&tree, &published)?;
    let mut pending = Vec::new();
    let journal = journal.open(durable.size, &mut |Batch { first, entries }| {
        let hashes: Vec<_> = entries.iter().map(|e| leaf_hash(&e.leaf)).collect();
        for h in &hashes {
            tree.push(*h);
            continues(&tree, &published)?;
        }
        pending.push(Committed { receipts: Vec::new(), first, entries, hashes, head: tree.head() });
        Ok(())
    })?;
    if journal.next != tree.size() {
        return Err(LogError::Damaged(format!("the frames do not continue entry {}", durable.size)));
    }
    if tree.size() < published.size {
        return Err(LogError::Lost { found: tree.size(), published: published.size });
    }
    Ok(Recovered { tree, journal, publisher, published: published.size, pending })
}

fn io(path: &str) -> impl Fn(std::io::Error) -> LogError + '_ {
    move |source| LogError::Io { path: path.to_owned(), source }
}

fn continues(tree: &Frontier, published: &TreeHead) -> Result<(), LogError> {
    if tree.size() == published.size && tree.root() != published.root {
        return Err(LogError::Damaged("the entries are not those that were published".to_owned()));
    }
    Ok(())
}

fn head_of(disk: &dyn Disk, path: &str, verifier: &Verifier) -> Result<TreeHead, LogError> {
    let bytes = disk.read(Path::new(path)).map_err(io(path))?.ok_or(LogError::Missing)?;
    let note = String::from_utf8(bytes).map_err(|_| LogError::OtherLog)?;
    let opened = checkpoint::open(&note, verifier, &[]).map_err(|_| LogError::OtherLog)?;
    Ok(opened.checkpoint().head())
}

/// The builder at a flushed checkpoint.
fn state_at(disk: &dyn Disk, head: &TreeHead) -> Result<State, LogError> {
    let damaged = |e: &dyn std::error::Error| LogError::Damaged(e.to_string());
    let mut edge = Vec::new();
    let fetch = |at: TileCoordinates| {
        let bytes = files::tile(disk, at)?;
        if at.level() == Some(0) {
            edge.clone_from(&bytes);
        }
        std::io::Result::Ok(bytes)
    };
    let tiles = TileBuilder::resume(head, fetch).map_err(|e| damaged(&e))?;
    let (mut bundle, mut details) = (Vec::new(), Vec::new());
    let rest = u16::try_from(head.size % u64::from(FULL_WIDTH)).unwrap_or(0);
    if let Ok(at) = TileCoordinates::entries(head.size / u64::from(FULL_WIDTH), rest) {
        let bytes = files::tile(disk, at).map_err(|e| damaged(&e))?;
        let entries = split_bundle(&bytes, at.width()).map_err(|e| damaged(&e))?;
        let hashes: Vec<u8> = entries.iter().flat_map(|e| *leaf_hash(e).as_bytes()).collect();
        if hashes != edge || hashes.len() != entries.len() * Hash::LEN {
            return Err(LogError::Damaged(format!("`{at}` is not of the tree")));
        }
        for entry in entries {
            append_entry(&mut bundle, entry).map_err(|e| damaged(&e))?;
        }
        let path = files::detail_path(at);
        let all = files::details(disk, at).map_err(io(&path))?;
        all.iter().take(usize::from(at.width())).for_each(|d| files::append_detail(&mut details, d));
    }
    Ok(State { tiles, bundle, details })
}
