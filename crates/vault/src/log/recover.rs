//! What a log does before it starts: find out what is durable, and refuse what is in doubt.
//!
//! Only the last frame may be torn: every other one was flushed before the next was written. What cannot be
//! read anywhere else was damaged, and a log that has lost entries does not start.

use std::path::{Path, PathBuf};

use ledger::Committed;
use ledger::checkpoint;
use ledger::merkle::{Frontier, Hash, TreeHead, leaf_hash};
use ledger::note::Verifier;
use ledger::tile::{FULL_WIDTH, TileBuilder, TileCoordinates, append_entry, split_bundle};
use ledger::wal::{self, Batch, FrameError};

use super::publisher::State;
use super::segments::{self, Tail};
use super::{CHECKPOINT, DURABLE, LogError, files};
use crate::disk::Disk;

/// A log as it was found.
pub(super) struct Recovered {
    /// The tree over everything durable.
    pub(super) tree: Frontier,
    /// Where the next frame goes.
    pub(super) tail: Tail,
    /// The tree as far as its files are flushed.
    pub(super) publisher: State,
    /// Entries that the published checkpoint counts.
    pub(super) published: u64,
    /// What must be published again.
    pub(super) pending: Vec<Committed>,
}

pub(super) fn recover(
    disk: &dyn Disk,
    verifier: &Verifier,
    segment_bytes: u64,
) -> Result<Recovered, LogError> {
    let published = head_of(disk, CHECKPOINT, verifier)?;
    let durable = head_of(disk, DURABLE, verifier)?;
    if published.size < durable.size {
        return Err(LogError::Damaged("the checkpoint is older than the flushed tree".to_owned()));
    }
    let publisher = state_at(disk, &durable)?;
    let mut tree = publisher.tiles.frontier();
    continues(&tree, &published)?;
    let found = frames(disk, durable.size, segment_bytes)?;
    let mut pending = Vec::new();
    for Batch { first, entries } in found.batches {
        let hashes: Vec<_> = entries.iter().map(|e| leaf_hash(&e.leaf)).collect();
        for h in &hashes {
            tree.push(*h);
            continues(&tree, &published)?;
        }
        pending.push(Committed { receipts: Vec::new(), first, entries, hashes, checkpoint: String::new() });
    }
    if tree.size() < published.size {
        return Err(LogError::Lost { found: tree.size(), published: published.size });
    }
    if let Some((path, offset, frame)) = found.last {
        // It may be in the page cache only, and after a failed flush even count as clean there. Nothing may be
        // signed over it before it is on the disk.
        disk.write_at(&path, offset, &frame).and_then(|()| disk.sync_data(&path)).map_err(io("wal"))?;
    }
    Ok(Recovered { tree, tail: found.tail, publisher, published: published.size, pending })
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

/// What lies in the segments.
struct Found {
    batches: Vec<Batch>,
    tail: Tail,
    /// The last frame: its segment, place and bytes.
    last: Option<(PathBuf, u64, Vec<u8>)>,
}

/// All batches from an entry on, and where the next goes.
fn frames(disk: &dyn Disk, from: u64, segment_bytes: u64) -> Result<Found, LogError> {
    let names = disk.list(Path::new("wal")).map_err(io("wal"))?;
    for name in names.iter().filter(|n| n.ends_with(".new")) {
        // Half of a file that was never put in place.
        disk.remove(&Path::new("wal").join(name)).map_err(io("wal"))?;
    }
    let mut firsts: Vec<u64> = names.iter().filter_map(|n| segments::first(n)).collect();
    firsts.sort_unstable();
    // What is flushed needs no frames; a segment of it may be there still, or its neighbour gone already.
    let needed = firsts.partition_point(|first| *first <= from);
    if needed == 0 && (from > 0 || !firsts.is_empty()) {
        return Err(LogError::Damaged(format!("the segment with entry {from} is missing")));
    }
    firsts.drain(..needed.saturating_sub(1));
    let mut found = Found { batches: Vec::new(), tail: Tail::default(), last: None };
    let mut next = None;
    for first in firsts {
        if next.is_some_and(|n| n != first) {
            return Err(LogError::Damaged(format!("the frame with entry {} is missing", next.unwrap_or(0))));
        }
        let path = segments::path(first);
        let bytes = disk.read(&path).map_err(io("wal"))?.unwrap_or_default();
        next = Some(segment(path, &bytes, first, from, &mut found)?);
        if (bytes.len() as u64) < segment_bytes {
            // Written under another limit: full as it is.
            found.tail.offset = segment_bytes;
        }
    }
    match next {
        Some(found) if found < from => Err(LogError::Lost { found, published: from }),
        _ => Ok(found),
    }
}

/// Reads one segment to its end. Returns the entry that comes next.
fn segment(path: PathBuf, bytes: &[u8], first: u64, from: u64, found: &mut Found) -> Result<u64, LogError> {
    let (mut offset, mut next) = (0, first);
    loop {
        let rest = bytes.get(offset..).unwrap_or_default();
        match wal::decode(rest, next) {
            Ok((batch, length)) => {
                let frame = rest.get(..length).unwrap_or_default().to_vec();
                found.last = Some((path.clone(), offset as u64, frame));
                offset += length;
                next += batch.entries.len() as u64;
                if next > from {
                    found.batches.push(behind(batch, from));
                }
            }
            Err(_) if wal::later_frame(rest, next) => {
                return Err(LogError::Damaged(format!("the frame with entry {next} cannot be read")));
            }
            Err(why) => {
                if why == FrameError::Torn {
                    tracing::warn!(
                        entry = next,
                        "the log's last frame was not written whole; nobody was told of it"
                    );
                }
                found.tail = Tail { segment: Some(path), offset: offset as u64 };
                return Ok(next);
            }
        }
    }
}

/// A batch without the entries that are flushed already.
fn behind(mut batch: Batch, from: u64) -> Batch {
    let skip = usize::try_from(from.saturating_sub(batch.first)).unwrap_or(0);
    batch.entries.drain(..skip.min(batch.entries.len()));
    batch.first = batch.first.max(from);
    batch
}
