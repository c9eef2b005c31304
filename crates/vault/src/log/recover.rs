//! What a log does before it starts: find out what is durable, and refuse what is in doubt.

use std::path::Path;

use ledger::checkpoint::{self, Checkpoint};
use ledger::merkle::{Frontier, leaf_hash};
use ledger::note::Verifier;
use ledger::tile::{FULL_WIDTH, TileBuilder, TileCoordinates, append_entry, split_bundle};
use ledger::wal::{self, Batch, FrameError};
use ledger::Committed;

use super::publisher::{self, State};
use super::segments::{self, Tail};
use super::{CHECKPOINT, DURABLE, LogError};
use crate::disk::Disk;

/// A log as it was found.
pub(super) struct Recovered {
    /// The tree over everything durable.
    pub(super) tree: Frontier,
    /// Where the next frame goes.
    pub(super) tail: Tail,
    /// The tree as far as its files are flushed.
    pub(super) publisher: State,
    /// What must be published again.
    pub(super) pending: Vec<Committed>,
}

pub(super) fn recover(disk: &dyn Disk, verifier: &Verifier, segment_bytes: u64) -> Result<Recovered, LogError> {
    let published = checkpoint_of(disk, CHECKPOINT, verifier)?;
    let durable = checkpoint_of(disk, DURABLE, verifier)?;
    let publisher = state_at(disk, &durable)?;
    let mut tree = publisher.tiles.frontier();
    let (batches, tail) = frames(disk, durable.head().size, segment_bytes)?;
    let mut pending = Vec::new();
    for batch in batches {
        let hashes: Vec<_> = batch.entries.iter().map(|e| leaf_hash(&e.leaf)).collect();
        for h in &hashes {
            tree.push(*h);
        }
        if tree.size() == published.head().size && tree.root() != published.head().root {
            return Err(LogError::Damaged("the frames are not those that were published".to_owned()));
        }
        let (first, entries) = (batch.first, batch.entries);
        pending.push(Committed { receipts: Vec::new(), first, entries, hashes, checkpoint: String::new() });
    }
    if tree.size() < published.head().size {
        return Err(LogError::Lost { found: tree.size(), published: published.head().size });
    }
    Ok(Recovered { tree, tail, publisher, pending })
}

fn io(path: &str) -> impl Fn(std::io::Error) -> LogError + '_ {
    move |source| LogError::Io { path: path.to_owned(), source }
}

fn checkpoint_of(disk: &dyn Disk, path: &str, verifier: &Verifier) -> Result<Checkpoint, LogError> {
    let bytes = disk.read(Path::new(path)).map_err(io(path))?.ok_or(LogError::Missing)?;
    let note = String::from_utf8(bytes).map_err(|_| LogError::OtherLog)?;
    let opened = checkpoint::open(&note, verifier, &[]).map_err(|_| LogError::OtherLog)?;
    Ok(opened.checkpoint().clone())
}

/// The builder at a flushed checkpoint. A partial tile that was already replaced by the full one is cut
/// from it.
fn state_at(disk: &dyn Disk, durable: &Checkpoint) -> Result<State, LogError> {
    let head = durable.head();
    let damaged = |e: &dyn std::error::Error| LogError::Damaged(e.to_string());
    let tiles = TileBuilder::resume(&head, |at| {
        let length = at.byte_length().unwrap_or(0);
        partial(disk, at).map(|mut bytes| {
            bytes.truncate(length);
            bytes
        })
    })
    .map_err(|e| damaged(&e))?;
    let width = u64::from(FULL_WIDTH);
    let (index, rest) = (head.size / width, head.size % width);
    let (mut bundle, mut details) = (Vec::new(), Vec::new());
    if let Ok(at) = TileCoordinates::entries(index, u16::try_from(rest).unwrap_or(0)) {
        let bytes = partial(disk, at).map_err(|e| damaged(&e))?;
        let count = if split_bundle(&bytes, FULL_WIDTH).is_ok() { FULL_WIDTH } else { at.width() };
        for entry in split_bundle(&bytes, count).map_err(|e| damaged(&e))?.iter().take(usize::from(at.width())) {
            append_entry(&mut bundle, entry).map_err(|e| damaged(&e))?;
        }
        let path = publisher::detail_path(index);
        let bytes = disk.read(Path::new(&path)).map_err(io(&path))?.unwrap_or_default();
        let all = publisher::split_details(&bytes).ok_or_else(|| LogError::Damaged(path.clone()))?;
        if all.len() < usize::from(at.width()) {
            return Err(LogError::Damaged(path));
        }
        all.iter().take(usize::from(at.width())).for_each(|d| publisher::append_detail(&mut details, d));
    }
    Ok(State { tiles, bundle, details })
}

fn partial(disk: &dyn Disk, at: TileCoordinates) -> std::io::Result<Vec<u8>> {
    let path = format!("ledger/{at}");
    if let Some(bytes) = disk.read(Path::new(&path))? {
        return Ok(bytes);
    }
    let full = path.rsplit_once(".p/").map_or("", |(full, _)| full);
    disk.read(Path::new(full))?.ok_or_else(|| std::io::ErrorKind::NotFound.into())
}

/// All batches from an entry on, and where the next goes.
fn frames(disk: &dyn Disk, from: u64, segment_bytes: u64) -> Result<(Vec<Batch>, Tail), LogError> {
    let names = disk.list(Path::new("wal")).map_err(io("wal"))?;
    let mut firsts: Vec<u64> = names.iter().filter_map(|n| segments::first(n)).collect();
    firsts.sort_unstable();
    let (mut batches, mut tail, mut next) = (Vec::new(), Tail::default(), None);
    for first in firsts {
        if next.is_some_and(|n| n != first) {
            return Err(LogError::Damaged(format!("the segment after entry {} is missing", next.unwrap_or(0))));
        }
        let path = segments::path(first);
        let bytes = disk.read(&path).map_err(io("wal"))?.unwrap_or_default();
        let (mut offset, mut expected) = (0, first);
        loop {
            match wal::decode(bytes.get(offset..).unwrap_or_default(), expected) {
                Ok((batch, length)) => {
                    offset += length;
                    expected += batch.entries.len() as u64;
                    if expected > from {
                        batches.push(behind(batch, from));
                    }
                }
                Err(FrameError::End) => break,
                Err(FrameError::Torn) => {
                    tracing::warn!(entry = expected, "the log's last frame was not written whole; nobody was told of it");
                    break;
                }
            }
        }
        next = Some(expected);
        tail = Tail { segment: Some(path), offset: offset as u64 };
        if bytes.len() as u64 != segment_bytes {
            // Written under another limit: full as it is.
            tail.offset = segment_bytes;
        }
    }
    if next.is_some_and(|n| n < from) {
        return Err(LogError::Lost { found: next.unwrap_or(0), published: from });
    }
    Ok((batches, tail))
}

/// A batch without the entries that are flushed already.
fn behind(mut batch: Batch, from: u64) -> Batch {
    let skip = usize::try_from(from.saturating_sub(batch.first)).unwrap_or(0);
    batch.entries.drain(..skip.min(batch.entries.len()));
    batch.first = batch.first.max(from);
    batch
}
