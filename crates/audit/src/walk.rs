//! The walk over all bundles of a log: reading, hashing and looking at entries on all processors, following
//! them in their order on one. While one batch is followed the next is looked at.

use std::{collections::BTreeSet, fmt::Display, io, num::NonZeroUsize, ops::Range, thread};

use data_encoding::BASE64;

use crate::{
    bundle::{prefix_length, split_leaves},
    checkpoint::Checkpoint,
    hash::{Hash, leaf_hash, root_of},
    levels::{Levels, Wrong, report_unread, twin_differs},
    report::{Report, Rule},
    tile::{Level, TILE_WIDTH, Tile},
    tree::{Inventory, Pack, Tree},
};

/// What can be said of a leaf alone.
pub(crate) trait Look: Sync {
    /// What is handed on.
    type Seen: Send;
    /// The longest leaf of such a log.
    const LEAF_BYTES_MAX: usize;
    /// Bundles that one thread looks at between two meetings; it bounds the memory.
    const BUNDLES_AT_ONCE: u64;

    fn look(&self, index: u64, leaf: &[u8]) -> Self::Seen;
}

/// What follows from the leaves before.
pub(crate) trait Follow<S> {
    fn follow(&mut self, index: u64, seen: S, report: &mut Report) -> io::Result<()>;
}

/// What was seen of a leaf; one that cannot be read is reported and not followed.
pub(crate) fn readable<T>(index: u64, seen: Result<T, impl Display>, report: &mut Report) -> Option<T> {
    seen.map_err(|error| report.entry(Rule::Header, index, error.to_string())).ok()
}

/// Reports a leaf that says another log or another number than those of its place.
pub(crate) fn check_place(index: u64, own: [u8; 8], log: [u8; 8], sequence: u64, report: &mut Report) {
    if log != own {
        report.entry(Rule::Sequence, index, "it belongs to another log");
    }
    if sequence != index {
        report.entry(Rule::Sequence, index, format!("it says that it is number {sequence}"));
    }
}

/// A tree to walk over.
pub(crate) struct Walk<'t, L: Look> {
    pub(crate) tree: &'t Tree,
    pub(crate) inventory: &'t Inventory,
    pub(crate) levels: Levels<'t>,
    pub(crate) look: &'t L,
    /// Entries to look at, if not at all: of bundles without any only the hashes are taken, which the signed
    /// root confirms.
    pub(crate) only: Option<Range<u64>>,
}

/// One bundle, looked at.
struct Bundle<S> {
    tile: Tile,
    /// Leaf hashes, and what was seen of each leaf; absent if the bundle is no good.
    good: Option<(Vec<Hash>, Vec<S>)>,
    /// The root of a full bundle.
    root: Option<Hash>,
    notes: Report,
}

impl<L: Look> Walk<'_, L> {
    /// Walks to the size of the checkpoint, and returns the claims about this log that do not hold.
    pub(crate) fn run(
        mut self,
        checkpoint: &Checkpoint,
        follow: &mut impl Follow<L::Seen>,
        report: &mut Report,
    ) -> io::Result<Vec<Wrong>> {
        let needed = checkpoint.size.div_ceil(TILE_WIDTH);
        let present = needed.min(self.inventory.bundles);
        let (size, only) = (checkpoint.size, self.only.clone().unwrap_or(0..u64::MAX));
        let reader =
            Reader { tree: self.tree, packs: &self.inventory.packs, size, look: self.look, only: &only };
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get) as u64;
        let (mut next, mut batch): (u64, Vec<Bundle<L::Seen>>) = (0, Vec::new());
        while next < present || !batch.is_empty() {
            let end = present.min(next + threads * L::BUNDLES_AT_ONCE);
            batch = thread::scope(|scope| {
                let share = (end - next).div_ceil(threads).max(1);
                let starts = (next..end).step_by(usize::try_from(share).unwrap_or(usize::MAX));
                let workers: Vec<_> = starts
                    .map(|from| (from, scope.spawn(move || reader.read(from..end.min(from + share)))))
                    .collect();
                for bundle in batch {
                    self.step(bundle, follow, report)?;
                }
                // A thread that dies leaves its share to this one: no bundle is skipped.
                let shares = workers.into_iter().map(|(from, worker)| {
                    worker.join().unwrap_or_else(|_| reader.read(from..end.min(from + share)))
                });
                Ok::<_, io::Error>(shares.flatten().collect())
            })?;
            next = end;
        }
        // A signed size can be any number: what nobody published is one finding, not 2^56.
        if present < needed {
            let first = Tile { level: Level::Entries, index: present, width: TILE_WIDTH };
            let text = format!("it and all after it are missing, {} in all", needed - present);
            report.file(Rule::Missing, first.to_string(), text);
            self.levels.lost();
        }
        let (root, wrong) = self.levels.finish(report)?;
        match root {
            Some(root) if root == checkpoint.root => {}
            Some(root) => {
                let text = format!("the root of the entries is {}", BASE64.encode(&root));
                report.file(Rule::Root, "checkpoint", text);
            }
            None => report.file(Rule::Root, "checkpoint", "the root cannot be computed: entries are missing"),
        }
        Ok(wrong)
    }

    fn step(
        &mut self,
        bundle: Bundle<L::Seen>,
        follow: &mut impl Follow<L::Seen>,
        report: &mut Report,
    ) -> io::Result<()> {
        for finding in bundle.notes.findings {
            report.add(finding.rule, finding.place, finding.text);
        }
        let Some((hashes, seen)) = bundle.good else { return self.levels.claimed(&bundle.tile, report) };
        self.levels.leaves(bundle.tile.index, &hashes, bundle.root, report)?;
        for (index, seen) in (bundle.tile.index * TILE_WIDTH..).zip(seen) {
            report.entries += 1;
            follow.follow(index, seen, report)?;
        }
        Ok(())
    }
}

/// Reads bundles; every thread has a copy.
struct Reader<'t, L> {
    tree: &'t Tree,
    packs: &'t BTreeSet<Pack>,
    size: u64,
    look: &'t L,
    only: &'t Range<u64>,
}

impl<L> Clone for Reader<'_, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<L> Copy for Reader<'_, L> {}

impl<L: Look> Reader<'_, L> {
    fn read(&self, range: Range<u64>) -> Vec<Bundle<L::Seen>> {
        let (mut bytes, mut other, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
        let bundles = range.map(|index| {
            let width = (self.size - index * TILE_WIDTH).min(TILE_WIDTH);
            self.read_one(&Tile { level: Level::Entries, index, width }, &mut bytes, &mut other, &mut scratch)
        });
        bundles.collect()
    }

    fn read_one(
        &self,
        tile: &Tile,
        bytes: &mut Vec<u8>,
        other: &mut Vec<u8>,
        scratch: &mut Vec<u8>,
    ) -> Bundle<L::Seen> {
        let mut bundle = Bundle { tile: *tile, good: None, root: None, notes: Report::default() };
        let first = tile.index * TILE_WIDTH;
        if first + tile.width <= self.only.start || first >= self.only.end {
            return bundle;
        }
        let limit = TILE_WIDTH * (2 + L::LEAF_BYTES_MAX as u64);
        let path = tile.to_string();
        if let Err(error) = self.tree.read_tile(tile, limit, bytes) {
            report_unread(&path, &error, &mut bundle.notes);
            return bundle;
        }
        let leaves = match split_leaves(bytes, tile.width, L::LEAF_BYTES_MAX) {
            Ok(leaves) => leaves,
            Err(text) => {
                bundle.notes.file(Rule::Shape, path, text);
                return bundle;
            }
        };
        if twin_differs(self.tree, self.packs, tile, bytes, other) {
            bundle.notes.file(Rule::Shape, path, "its file and its pack differ");
        }
        self.compare_older(tile, bytes, &leaves, other, &mut bundle.notes);
        let hashes: Vec<_> = leaves.iter().map(|leaf| leaf_hash(leaf, scratch)).collect();
        bundle.root = (tile.width == TILE_WIDTH).then(|| root_of(&hashes));
        let seen = (first..).zip(leaves).map(|(index, leaf)| self.look.look(index, leaf)).collect();
        bundle.good = Some((hashes, seen));
        bundle
    }

    /// Partial bundles of earlier sizes must be beginnings of this one.
    fn compare_older(
        &self,
        tile: &Tile,
        bytes: &[u8],
        leaves: &[&[u8]],
        older: &mut Vec<u8>,
        notes: &mut Report,
    ) {
        for width in self.tree.older(tile) {
            let path = Tile { width, ..*tile }.to_string();
            if let Err(error) = self.tree.read(&path, bytes.len() as u64, older) {
                report_unread(&path, &error, notes);
                continue;
            }
            if bytes.get(..prefix_length(leaves, width)) != Some(older.as_slice()) {
                notes.file(Rule::Shape, path, "it is not the beginning of the newer bundle");
            }
        }
    }
}
