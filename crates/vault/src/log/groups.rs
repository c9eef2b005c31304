//! Full tiles on their way to the disk. A group that becomes complete within a few rounds of the publisher is
//! written as a pack at once; of any other the tiles are single files, which the packer puts together later.
//!
//! On a busy log nearly all tiles never are files of their own. That matters more than that their bytes are then
//! written once: making and removing files takes a file system several times as long as filling them.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::path::Path;

use super::LogError;
use super::files::PUBLIC;
use super::packs::{Group, Kind};
use super::publisher::Step;
use crate::disk::Disk;

/// Rounds for which the tiles of an open group are held: two seconds by the usual options.
const ROUNDS: u32 = 8;
/// Longest group that is held.
const HELD_MAX: usize = 96 << 20;

/// The open groups of each kind.
pub(super) struct Groups {
    /// Tiles in a group.
    width: u64,
    open: BTreeMap<Kind, Open>,
    /// Groups that were written as packs and are not behind a marker yet.
    complete: Vec<Group>,
    /// Memory of packs that were written: fresh memory costs as much as filling it.
    spare: Vec<Vec<u8>>,
}

/// The tiles of a group so far, as they will lie in its pack.
struct Open {
    group: u64,
    pack: Vec<u8>,
    /// Where the tiles begin in it, and where each of them ends.
    bounds: Vec<usize>,
    /// Tiles that are single files as well.
    single: usize,
    rounds: u32,
}

impl Open {
    fn begin(group: u64, width: u64, mut pack: Vec<u8>) -> Self {
        let table = usize::try_from(width * 4).unwrap_or(0);
        pack.clear();
        pack.resize(table, 0);
        Self { group, pack, bounds: vec![table], single: 0, rounds: 0 }
    }

    fn len(&self) -> usize {
        self.bounds.len() - 1
    }

    fn push(&mut self, tile: &[u8]) {
        let (place, table) = (self.len() * 4, self.bounds.first().copied().unwrap_or(0));
        self.pack.extend_from_slice(tile);
        self.bounds.push(self.pack.len());
        let end = u32::try_from(self.pack.len() - table).unwrap_or(u32::MAX);
        if let Some(slot) = self.pack.get_mut(place..place + 4) {
            slot.copy_from_slice(&end.to_be_bytes());
        }
    }

    /// Writes what is held only here as single files.
    fn release(&mut self, kind: Kind, width: u64, steps: &mut VecDeque<Step>) {
        let bounds = self.bounds.windows(2).map(|b| tile_in(&self.pack, b));
        for (index, tile) in (self.group * width..).zip(bounds).skip(self.single) {
            steps.push_back(Step::Put(kind.single(PUBLIC, index).into(), tile.to_vec()));
        }
        self.single = self.len();
    }
}

fn tile_in<'a>(pack: &'a [u8], bounds: &[usize]) -> &'a [u8] {
    match bounds {
        [start, end] => pack.get(*start..*end).unwrap_or_default(),
        _ => &[],
    }
}

impl Groups {
    pub(super) fn new(pack_tiles: u16) -> Self {
        let (open, complete, spare) = (BTreeMap::new(), Vec::new(), Vec::new());
        Self { width: u64::from(pack_tiles.max(1)), open, complete, spare }
    }

    /// Takes the next full tile of its kind.
    pub(super) fn full(&mut self, kind: Kind, index: u64, tile: &[u8], steps: &mut VecDeque<Step>) {
        if index.is_multiple_of(self.width) {
            let memory = self.spare.pop().unwrap_or_default();
            self.open.insert(kind, Open::begin(index / self.width, self.width, memory));
        }
        // A group whose beginning was not seen, or that was given up, goes on as single files.
        let Some(open) = self.open.get_mut(&kind) else {
            return steps.push_back(Step::Put(kind.single(PUBLIC, index).into(), tile.to_vec()));
        };
        open.push(tile);
        if open.pack.len() > HELD_MAX {
            open.release(kind, self.width, steps);
            self.open.remove(&kind);
        } else if open.len() as u64 == self.width
            && let Some(open) = self.open.remove(&kind)
        {
            steps.push_back(Step::Pack(kind.pack(PUBLIC, open.group).into(), open.pack));
            self.complete.push((kind, open.group));
        }
    }

    /// Ends a round: what was taken must be readable without the rest of its group.
    pub(super) fn end_round(&mut self, steps: &mut VecDeque<Step>) {
        for (kind, open) in &mut self.open {
            open.release(*kind, self.width, steps);
            open.rounds += 1;
        }
        self.open.retain(|_, open| open.rounds < ROUNDS);
        if self.open.is_empty() {
            self.spare.clear();
        }
    }

    /// Takes back the memory of a pack that is on the disk.
    pub(super) fn written(&mut self, pack: Vec<u8>) {
        if self.spare.len() < self.open.len() {
            self.spare.push(pack);
        }
    }

    /// The packs since the last time, for whoever has put a marker behind them.
    pub(super) fn complete(&mut self) -> Vec<Group> {
        std::mem::take(&mut self.complete)
    }
}

/// Removes full tiles and packs that are not behind the mark of the tree, before a restart derives them again: a crash
/// may have left a part of one, and what is derived now may go into a file of the other sort. A pack stays if it has a
/// tile from before the mark that is no single file: a rebuild made it, and flushed it.
pub(super) fn remove_unmarked(
    disk: &dyn Disk,
    pack_tiles: u16,
    marked: u64,
    size: u64,
) -> Result<(), LogError> {
    let width = u64::from(pack_tiles.max(1));
    for kind in Kind::all() {
        let (full, end) = (kind.full(marked), kind.full(size));
        for path in (full..end).map(|index| kind.single(PUBLIC, index)) {
            disk.remove(Path::new(&path)).map_err(|source| LogError::Io { path, source })?;
        }
        for group in full / width..=end / width {
            remove_pack(disk, kind, group, group * width..full)?;
        }
    }
    Ok(())
}

/// Removes a pack, if these tiles of it are single files as well.
fn remove_pack(disk: &dyn Disk, kind: Kind, group: u64, kept: Range<u64>) -> Result<(), LogError> {
    let path = kind.pack(PUBLIC, group);
    let there = |path: &str| disk.read_at(Path::new(path), 0, 0).map(|found| found.is_some());
    let remove = || {
        if !there(&path)? {
            return Ok(());
        }
        for index in kept {
            if !there(&kind.single(PUBLIC, index))? {
                return Ok(());
            }
        }
        disk.remove(Path::new(&path))
    };
    remove().map_err(|source| LogError::Io { path: path.clone(), source })
}
