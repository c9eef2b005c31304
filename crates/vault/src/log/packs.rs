//! Packs: 256 full tiles in one file, so that a log of billions of entries is not a file for each tile.
//!
//! The publisher writes those of a busy log itself ([`super::groups`]). The others a thread of its own makes behind
//! the publisher, which neither waits for it nor is told of its errors: without packs there are more files, and
//! nothing else is different. A pack is written, flushed and read back; only after the next flush of the whole
//! disk, which also covers the marker behind which the tiles lie, are the single files removed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use ledger::tile::{FULL_WIDTH, TileCoordinates, split_bundle};

use super::files::{PUBLIC, Tree, split_details};
use crate::disk::Disk;

/// Longest pack: what is longer stays as single files. It is held in memory while it is made.
const PACK_BYTES_MAX: usize = 256 << 20;

/// Levels of hash tiles that a tree of 64-bit size can have.
const LEVELS: u8 = 8;

/// With more entries than this unpublished, packing waits for a quieter time: it would take the disk from the
/// publisher, and in the end from commits.
const BUSY: u64 = 1 << 16;

/// What is read back at once.
const PIECE: usize = 1 << 20;

/// What a single file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Hash tiles of a level.
    Hashes(u8),
    /// Entry bundles.
    Entries,
    /// The details beside them.
    Details,
}

impl Kind {
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..LEVELS).map(Self::Hashes).chain([Self::Entries, Self::Details])
    }

    /// The folder of the single files.
    fn folder(self, prefix: &str) -> String {
        match self {
            Self::Hashes(level) => format!("{prefix}tile/{level}"),
            Self::Entries => format!("{prefix}tile/entries"),
            Self::Details => "details".to_owned(),
        }
    }

    /// The single file of a full tile.
    pub(super) fn single(self, prefix: &str, index: u64) -> String {
        format!("{}/{}", self.folder(prefix), number(index))
    }

    /// The pack of a group.
    pub(super) fn pack(self, prefix: &str, group: u64) -> String {
        match self {
            Self::Hashes(level) => format!("{prefix}pack/{level}/{}", number(group)),
            Self::Entries => format!("{prefix}pack/entries/{}", number(group)),
            Self::Details => format!("details-pack/{}", number(group)),
        }
    }

    /// Full tiles of a tree of this many entries.
    pub(super) fn full(self, size: u64) -> u64 {
        let level = if let Self::Hashes(level) = self { level } else { 0 };
        size.checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0)
    }

    /// Whether bytes have the form of a full tile.
    fn takes(self, bytes: &[u8]) -> bool {
        match self {
            Self::Hashes(_) => bytes.len() == usize::from(FULL_WIDTH) * 32,
            Self::Entries => split_bundle(bytes, FULL_WIDTH).is_ok(),
            Self::Details => split_details(bytes).is_some_and(|all| all.len() == usize::from(FULL_WIDTH)),
        }
    }
}

/// A number as tile paths write it.
fn number(index: u64) -> String {
    let path = TileCoordinates::entries(index, FULL_WIDTH).map(|at| at.to_string()).unwrap_or_default();
    path.strip_prefix("tile/entries/").map(str::to_owned).unwrap_or_default()
}

/// Tiles that lie in one pack.
pub(super) type Group = (Kind, u64);

/// One tile of a pack; `None` when there is no pack.
pub(super) fn slice(disk: &dyn Disk, pack: &Path, place: u64, width: u64) -> io::Result<Option<Vec<u8>>> {
    let damaged = || io::Error::from(io::ErrorKind::InvalidData);
    let (from, length) = if place == 0 { (0, 4) } else { ((place - 1) * 4, 8) };
    let Some(ends) = disk.read_at(pack, from, length)? else { return Ok(None) };
    let mut ends = ends.as_chunks::<4>().0.iter().map(|e| u32::from_be_bytes(*e));
    let start = if place == 0 { 0 } else { ends.next().ok_or_else(damaged)? };
    let length = ends.next().and_then(|end| end.checked_sub(start)).ok_or_else(damaged)?;
    let length = usize::try_from(length).ok().filter(|l| *l <= PACK_BYTES_MAX).ok_or_else(damaged)?;
    let bytes = disk.read_at(pack, width * 4 + u64::from(start), length)?;
    bytes.filter(|b| b.len() == length).map(Some).ok_or_else(damaged)
}

/// A pack that is being put together.
#[derive(Default)]
pub(super) struct Builder {
    ends: Vec<u8>,
    tiles: Vec<u8>,
}

impl Builder {
    /// Adds the next tile. Whether the pack can hold it.
    pub(super) fn push(&mut self, tile: &[u8]) -> bool {
        let end = self.tiles.len() + tile.len();
        let Some(end) = u32::try_from(end).ok().filter(|_| end <= PACK_BYTES_MAX) else { return false };
        self.tiles.extend_from_slice(tile);
        self.ends.extend_from_slice(&end.to_be_bytes());
        true
    }

    /// Tiles in it.
    pub(super) fn len(&self) -> usize {
        self.ends.len() / 4
    }

    /// The tiles without their table.
    pub(super) fn tiles(&self) -> &[u8] {
        &self.tiles
    }

    /// The file.
    pub(super) fn finish(self) -> Vec<u8> {
        let mut file = self.ends;
        file.extend_from_slice(&self.tiles);
        file
    }
}

/// What publisher and packer tell each other.
pub(super) struct Packs {
    state: Mutex<State>,
    wake: Condvar,
    tiles: u16,
}

#[derive(Default)]
struct State {
    /// Entries behind a marker: their full tiles are flushed and never change.
    marked: u64,
    /// Packs that are on the disk as soon as it is flushed once more.
    made: Vec<Group>,
    /// Packs that are on the disk: their single files may go.
    safe: Vec<Group>,
    /// Of the groups behind the marker, those that the publisher has packed.
    published: BTreeSet<Group>,
    stop: bool,
}

impl Packs {
    /// Nothing to do yet, in a log that was flushed so far.
    pub(super) fn new(marked: u64, tiles: u16) -> Self {
        let state = Mutex::new(State { marked, ..State::default() });
        Self { state, wake: Condvar::new(), tiles: tiles.max(1) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Packs that the flush which begins now makes safe.
    pub(super) fn made(&self) -> Vec<Group> {
        std::mem::take(&mut self.state().made)
    }

    /// Whether any wait for a flush.
    pub(super) fn waits(&self) -> bool {
        !self.state().made.is_empty()
    }

    /// That flush has succeeded.
    pub(super) fn safe(&self, made: Vec<Group>) {
        self.state().safe.extend(made);
        self.wake.notify_one();
    }

    /// A marker for this many entries was put in place after a flush, which covered these packs too.
    pub(super) fn marked(&self, size: u64, packed: Vec<Group>) {
        let mut state = self.state();
        state.marked = size;
        // The next flush covers the marker, without which their single files are needed.
        state.made.extend(&packed);
        state.published.extend(packed);
        drop(state);
        self.wake.notify_one();
    }

    /// Ends the packer after what it does at this moment.
    pub(super) fn stop(&self) {
        self.state().stop = true;
        self.wake.notify_one();
    }
}

/// Why a group was not packed.
enum Unpacked {
    /// The disk refused; it will be tried again.
    Io(io::Error),
    /// It stays as single files.
    Never(&'static str),
}

impl From<io::Error> for Unpacked {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

/// The packer's thread.
pub(super) struct Packer<'a> {
    packs: &'a Packs,
    disk: &'a dyn Disk,
    /// Entries that wait for publication.
    waiting: &'a AtomicU64,
    /// Groups before these were seen to.
    next: BTreeMap<Kind, u64>,
    /// Entries behind the marker when that was done.
    noted: u64,
    todo: BTreeSet<Group>,
    safe: Vec<Group>,
}

impl<'a> Packer<'a> {
    pub(super) fn new(packs: &'a Packs, disk: &'a dyn Disk, waiting: &'a AtomicU64) -> Self {
        let (next, todo) = (BTreeMap::new(), BTreeSet::new());
        Self { packs, disk, waiting, next, noted: 0, todo, safe: Vec::new() }
    }

    /// Packs what is flushed until it is told to stop.
    pub(super) fn run(mut self) {
        self.left_over();
        loop {
            self.note_complete();
            let refused = !self.remove_singles() || !self.pack_next();
            let idle = self.todo.is_empty() && self.safe.is_empty();
            let mut woken = false;
            let mut state = self.packs.state();
            while !state.stop
                && state.safe.is_empty()
                && state.marked == self.noted
                && (idle || refused && !woken)
            {
                state = self.packs.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
                woken = true;
            }
            if state.stop {
                return;
            }
            self.safe.append(&mut state.safe);
        }
    }

    /// Groups whose single files an earlier run left: not packed yet, or not all removed.
    fn left_over(&mut self) {
        let (marked, width) = (self.packs.state().marked, u64::from(self.packs.tiles));
        for kind in Kind::all() {
            let complete = kind.full(marked) / width;
            self.next.insert(kind, complete);
            let mut groups = BTreeSet::new();
            let walked = self.singles(Path::new(&kind.folder(PUBLIC)), 0, &mut |index| {
                groups.insert((kind, index / width));
            });
            if let Err(e) = walked {
                tracing::warn!(error = %e, "the tree's folders could not be listed; its older files are not packed");
            }
            self.todo.extend(groups.into_iter().filter(|(_, group)| *group < complete));
        }
    }

    /// The indices of all single files below a folder, full or partial.
    fn singles(&self, folder: &Path, above: u64, found: &mut dyn FnMut(u64)) -> io::Result<()> {
        if self.packs.state().stop {
            return Ok(());
        }
        for name in self.disk.list(folder)? {
            let digits = name.strip_prefix('x').or(name.strip_suffix(".p")).unwrap_or(&name);
            let Some(part) = digits.parse::<u64>().ok().filter(|_| digits.len() == 3) else { continue };
            let Some(index) = above.checked_mul(1000).and_then(|a| a.checked_add(part)) else { continue };
            if name.starts_with('x') {
                self.singles(&folder.join(&name), index, found)?;
            } else {
                found(index);
            }
        }
        Ok(())
    }

    /// Adds the groups that were completed since the last time.
    fn note_complete(&mut self) {
        let width = u64::from(self.packs.tiles);
        let (marked, published) = {
            let mut state = self.packs.state();
            (state.marked, std::mem::take(&mut state.published))
        };
        self.noted = marked;
        for (kind, next) in &mut self.next {
            let complete = kind.full(marked) / width;
            let groups = (*next..complete).map(|group| (*kind, group));
            self.todo.extend(groups.filter(|group| !published.contains(group)));
            *next = complete.max(*next);
        }
    }

    /// Removes the single files of packs that are safe. Whether the disk let it.
    fn remove_singles(&mut self) -> bool {
        while let Some((kind, group)) = self.safe.last() {
            match self.remove_group(*kind, *group) {
                Ok(true) => {}
                Ok(false) => {
                    let pack = kind.pack(PUBLIC, *group);
                    tracing::warn!(pack, "a file differs from its pack; both stay");
                }
                Err(e) => {
                    tracing::warn!(error = %e, "files that are packed were not removed; it will be tried again");
                    return false;
                }
            }
            self.safe.pop();
        }
        true
    }

    /// Removes the single files of a group. Whether the pack held the same bytes.
    fn remove_group(&self, kind: Kind, group: u64) -> io::Result<bool> {
        for index in self.indices(group) {
            let path = kind.single(PUBLIC, index);
            // INVARIANT: a single file goes only where the pack was seen to hold the same bytes.
            if let Some(single) = self.disk.read(Path::new(&path))? {
                if Tree::of(self.disk, self.packs.tiles).slice(kind, index).ok().flatten() != Some(single) {
                    return Ok(false);
                }
                self.disk.remove(Path::new(&path))?;
            }
            self.disk.remove(Path::new(&format!("{path}.p")))?;
        }
        Ok(true)
    }

    fn indices(&self, group: u64) -> std::ops::Range<u64> {
        let width = u64::from(self.packs.tiles);
        let first = group.saturating_mul(width);
        first..first.saturating_add(width)
    }

    /// Packs one group. Whether it could: not while there is more urgent work, nor when the disk refuses.
    fn pack_next(&mut self) -> bool {
        if self.waiting.load(Ordering::Relaxed) > BUSY {
            return false;
        }
        let Some((kind, group)) = self.todo.pop_first() else { return true };
        match self.pack(kind, group) {
            Ok(()) => self.packs.state().made.push((kind, group)),
            Err(Unpacked::Io(e)) => {
                tracing::warn!(error = %e, "tiles were not packed; it will be tried again");
                self.todo.insert((kind, group));
                return false;
            }
            Err(Unpacked::Never(why)) => {
                tracing::warn!(pack = kind.pack(PUBLIC, group), why, "tiles stay as single files");
            }
        }
        true
    }

    fn pack(&self, kind: Kind, group: u64) -> Result<(), Unpacked> {
        let path = kind.pack(PUBLIC, group);
        let path = Path::new(&path);
        let there = self.disk.read_at(path, 0, 0)?.is_some();
        let mut pack = Builder::default();
        for index in self.indices(group) {
            let tile = self.tile(kind, index)?.ok_or(Unpacked::Never("a file is missing"))?;
            if !kind.takes(&tile) {
                return Err(Unpacked::Never("a file has not the form of a full tile"));
            }
            if !pack.push(&tile) {
                return Err(Unpacked::Never("a pack would be too long"));
            }
        }
        let file = pack.finish();
        if !there {
            self.disk.replace(path, &file)?;
        }
        if self.holds(path, &file)? { Ok(()) } else { Err(Unpacked::Never("the pack holds other bytes")) }
    }

    /// A full tile. Where single file and pack differ, one of them is damaged, and both stay.
    fn tile(&self, kind: Kind, index: u64) -> Result<Option<Vec<u8>>, Unpacked> {
        let single = self.disk.read(Path::new(&kind.single(PUBLIC, index)))?;
        let packed = match Tree::of(self.disk, self.packs.tiles).slice(kind, index) {
            Err(e) if e.kind() == io::ErrorKind::InvalidData => {
                return Err(Unpacked::Never("the pack is damaged"));
            }
            other => other?,
        };
        match (single, packed) {
            (Some(single), Some(packed)) if single != packed => {
                Err(Unpacked::Never("a file differs from its pack"))
            }
            (single, packed) => Ok(single.or(packed)),
        }
    }

    fn holds(&self, path: &Path, file: &[u8]) -> io::Result<bool> {
        let mut offset = 0;
        for piece in file.chunks(PIECE) {
            if self.disk.read_at(path, offset, piece.len())?.as_deref() != Some(piece) {
                return Ok(false);
            }
            offset += piece.len() as u64;
        }
        Ok(self.disk.read_at(path, offset, 1)?.is_some_and(|rest| rest.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_named_like_a_tile() {
        let paths = [Kind::Hashes(0), Kind::Entries, Kind::Details].map(|kind| kind.pack(PUBLIC, 1_234_067));
        assert_eq!(
            paths,
            [
                "ledger/pack/0/x001/x234/067",
                "ledger/pack/entries/x001/x234/067",
                "details-pack/x001/x234/067"
            ]
        );
        assert_eq!(Kind::Hashes(3).single(PUBLIC, 5), "ledger/tile/3/005");
    }

    #[test]
    fn full_tiles_are_counted_for_each_level() {
        let counts = [Kind::Hashes(0), Kind::Hashes(1), Kind::Hashes(7), Kind::Entries, Kind::Details]
            .map(|kind| kind.full(70_000));
        assert_eq!(counts, [273, 1, 0, 273, 273]);
    }

    #[test]
    fn a_pack_is_a_table_of_ends_and_its_tiles() {
        let mut pack = Builder::default();
        assert!(["ab", "", "cde"].iter().all(|tile| pack.push(tile.as_bytes())));
        assert_eq!(pack.finish(), b"\0\0\0\x02\0\0\0\x02\0\0\0\x05abcde");
    }
}
