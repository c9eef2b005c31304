//! The publisher: derives the public tree and the details from committed batches. All of it can be
//! rebuilt from the frames, which are kept until it is flushed.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use ledger::Committed;
use ledger::checkpoint::{Checkpoint, CheckpointError};
use ledger::entry::inline_tags;
use ledger::merkle::{Hash, TreeHead};
use ledger::tile::{FULL_WIDTH, TileBuilder, TileCoordinates, append_entry};
use ledger::wal::Logged;
use model::Tag;

use super::files::{PUBLIC, append_detail, detail_path, tile_path};
use super::groups::Groups;
use super::journal::Past;
use super::packs::Kind;
use super::{CHECKPOINT, DURABLE, Identity, Shared, TagIndex};
use crate::disk::Disk;

/// Something to do on the disk; the order matters, and each may be done twice.
pub(super) enum Step {
    Put(PathBuf, Vec<u8>),
    /// The same with memory that is used again.
    Pack(PathBuf, Vec<u8>),
    Checkpoint(String, u64),
}

/// Most tags that are held for an index that refuses them.
const UNTAGGED_MAX: usize = 1 << 20;

/// A flush failed: nobody knows what of the tree is on the disk.
pub(super) struct Unflushed;

/// What is known about the published tree, before the threads run.
pub(super) struct State {
    pub(super) tiles: TileBuilder,
    pub(super) bundle: Vec<u8>,
    pub(super) details: Vec<u8>,
}

impl State {
    pub(super) fn size(&self) -> u64 {
        self.tiles.size()
    }

    pub(super) fn attach(
        self,
        identity: Identity,
        disk: Arc<dyn Disk>,
        shared: Arc<Shared>,
        index: Arc<dyn TagIndex>,
        past: Box<dyn Past>,
    ) -> Publisher {
        let (steps, replaced, untagged) = (VecDeque::new(), Vec::new(), Some(Vec::new()));
        let groups = Groups::new(shared.options.pack_tiles);
        Publisher {
            state: self,
            identity,
            disk,
            shared,
            index,
            past,
            steps,
            groups,
            untagged,
            replaced,
            flushed: Instant::now(),
            checkpoint: None,
        }
    }
}

pub(super) struct Publisher {
    state: State,
    identity: Identity,
    disk: Arc<dyn Disk>,
    shared: Arc<Shared>,
    index: Arc<dyn TagIndex>,
    past: Box<dyn Past>,
    steps: VecDeque<Step>,
    groups: Groups,
    /// Tags that the index has not taken yet; `None` when there were too many to hold. The tree is published all
    /// the same, but the frames are kept, from which a restart notes them.
    untagged: Option<Vec<(Tag, u64)>>,
    /// Folders of partial files whose full file is written. They are all that a restart has until the full
    /// file is flushed.
    replaced: Vec<PathBuf>,
    flushed: Instant,
    /// The newest published checkpoint that is not yet marked durable.
    checkpoint: Option<String>,
}

/// However the publisher ends, the packer has nothing to wait for any more.
impl Drop for Publisher {
    fn drop(&mut self) {
        self.shared.packs.stop();
    }
}

impl Publisher {
    pub(super) fn run(mut self) {
        loop {
            let (batches, ended) = self.wait();
            if self.absorb(batches).is_err() {
                self.shared.give_up("no checkpoint can be signed");
                break;
            }
            let done = self.work();
            let due = ended || self.flushed.elapsed() >= self.shared.options.flush_every;
            if done && due && self.flush().is_err() {
                self.shared.give_up("the public tree may or may not have been flushed");
                break;
            }
            if ended {
                break;
            }
        }
    }

    /// A tree that was committed, as a signed checkpoint. Only what is published is signed: a signature for each commit would
    /// cost as much as its flush.
    ///
    /// # Errors
    /// When the signer is not that of this origin.
    pub(super) fn sign(&self, head: TreeHead) -> Result<String, CheckpointError> {
        Checkpoint::new(&self.identity.origin, head)?.sign(&self.identity.signer)
    }

    /// Publishes what a restart found behind the flushed tree. What the disk refuses is tried again later.
    pub(super) fn catch_up(&mut self, batches: Vec<Committed>) -> Result<(), Unflushed> {
        self.absorb(batches).map_err(|_| Unflushed)?;
        if self.work() { self.flush() } else { Ok(()) }
    }

    /// What was committed since the last time, and whether that was all there will be. On a busy log what is behind
    /// the end of the last complete group waits for the next time, when its own group may be complete.
    fn wait(&self) -> (Vec<Committed>, bool) {
        let Ok(mut ready) = self.shared.ready.lock() else { return (Vec::new(), true) };
        if !ready.ended {
            let Ok((woken, _)) =
                self.shared.publish_wake.wait_timeout(ready, self.shared.options.publish_every)
            else {
                return (Vec::new(), true);
            };
            ready = woken;
        }
        let group = u64::from(FULL_WIDTH) * u64::from(self.shared.options.pack_tiles.max(1));
        let ends_one = |b: &Committed| b.first / group < (b.first + b.entries.len() as u64) / group;
        let taken = ready.batches.iter().rposition(ends_one).filter(|_| !ready.ended);
        let rest = taken.map_or_else(Vec::new, |last| ready.batches.split_off(last + 1));
        (std::mem::replace(&mut ready.batches, rest), ready.ended)
    }

    /// Turns batches into steps. Memory runs ahead of the disk; the steps are retried until done.
    fn absorb(&mut self, batches: Vec<Committed>) -> Result<(), CheckpointError> {
        let Some(head) = batches.last().map(|b| b.head) else {
            self.groups.end_round(&mut self.steps);
            return Ok(());
        };
        let before = self.state.size();
        let mut pairs = Vec::new();
        for batch in &batches {
            for ((index, logged), hash) in (batch.first..).zip(&batch.entries).zip(&batch.hashes) {
                note_tags(index, logged, &mut pairs);
                self.entry(logged, *hash);
            }
        }
        self.untagged = self.untagged.take().filter(|u| u.len() <= UNTAGGED_MAX).map(|mut u| {
            u.extend(pairs);
            u
        });
        self.groups.end_round(&mut self.steps);
        for tile in self.state.tiles.partial() {
            let (at, size) = (tile.at(), before);
            // A tile that did not grow may be flushed already, and a crash must not take it away again.
            if at.level().and_then(|l| TileCoordinates::in_tree(l, at.index(), size)) != Some(at) {
                self.put(tile_path(at), tile.into_bytes());
            }
        }
        let (size, width) = (self.state.size(), u64::from(FULL_WIDTH));
        let rest = u16::try_from(size % width).unwrap_or(0);
        if let Ok(at) = TileCoordinates::entries(size / width, rest) {
            self.put(tile_path(at), self.state.bundle.clone());
            self.put(detail_path(at), self.state.details.clone());
        }
        let checkpoint = self.sign(head)?;
        self.steps.push_back(Step::Checkpoint(checkpoint, size));
        Ok(())
    }

    fn entry(&mut self, logged: &Logged, hash: Hash) {
        if let Some((root, bytes)) = &logged.side {
            self.put(
                format!("ledger/tags/{}", data_encoding::HEXLOWER.encode(root.as_bytes())),
                bytes.clone(),
            );
        }
        if let Err(e) = append_entry(&mut self.state.bundle, &logged.leaf) {
            tracing::error!(error = %e, "an entry does not fit into a bundle");
        }
        append_detail(&mut self.state.details, &logged.detail);
        for tile in self.state.tiles.push(hash) {
            let at = tile.at();
            if let Some(level) = at.level() {
                self.full(Kind::Hashes(level), at.index(), tile.bytes());
            }
        }
        let width = u64::from(FULL_WIDTH);
        if self.state.size().is_multiple_of(width) {
            let index = self.state.size() / width - 1;
            let mut entries = std::mem::take(&mut self.state.bundle);
            let mut details = std::mem::take(&mut self.state.details);
            self.full(Kind::Entries, index, &entries);
            self.full(Kind::Details, index, &details);
            entries.clear();
            details.clear();
            (self.state.bundle, self.state.details) = (entries, details);
        }
    }

    fn full(&mut self, kind: Kind, index: u64, bytes: &[u8]) {
        self.replaced.push(format!("{}.p", kind.single(PUBLIC, index)).into());
        self.groups.full(kind, index, bytes, &mut self.steps);
    }

    fn put(&mut self, path: String, bytes: Vec<u8>) {
        self.steps.push_back(Step::Put(path.into(), bytes));
    }

    /// Does the steps in order; what fails stays for the next round. Whether all were done.
    fn work(&mut self) -> bool {
        self.tag();
        while let Some(step) = self.steps.front() {
            let result = match step {
                Step::Put(path, bytes) | Step::Pack(path, bytes) => self.disk.put(path, bytes),
                Step::Checkpoint(note, size) => {
                    let put = self.disk.replace(Path::new(CHECKPOINT), note.as_bytes());
                    put.map(|()| self.published(*size))
                }
            };
            if let Err(e) = result {
                tracing::error!(error = %e, "the public tree was not written; it will be tried again");
                return false;
            }
            match self.steps.pop_front() {
                Some(Step::Checkpoint(note, _)) => self.checkpoint = Some(note),
                Some(Step::Pack(_, bytes)) => self.groups.written(bytes),
                _ => {}
            }
        }
        true
    }

    /// Notes the tags of what was absorbed. What the index refuses is tried again, and does not hold up the tree.
    fn tag(&mut self) {
        let Some(untagged) = &mut self.untagged else { return };
        if !untagged.is_empty() {
            if let Err(e) = self.index.add(untagged) {
                tracing::error!(error = %e, "people's own lists are behind; they will be complete after a restart");
                return;
            }
            untagged.clear();
        }
        self.shared.listed.store(self.state.size(), Ordering::Release);
    }

    fn published(&self, size: u64) {
        let before = self.shared.published.swap(size, Ordering::AcqRel);
        self.shared.unpublished.fetch_sub(size.saturating_sub(before), Ordering::AcqRel);
    }

    /// Flushes what was published, then lets go of the frames behind it. Called when no step is left.
    fn flush(&mut self) -> Result<(), Unflushed> {
        self.flushed = Instant::now();
        let Some(checkpoint) = self.checkpoint.take() else { return self.flush_packs() };
        let size = self.state.size();
        // INVARIANT: nothing is marked flushed whose tags are not noted, for a restart begins at the mark.
        if self.untagged.as_ref().is_none_or(|u| !u.is_empty()) {
            self.checkpoint = Some(checkpoint);
            return Ok(());
        }
        if let Err(e) = self.index.flush() {
            tracing::error!(error = %e, "the tag index was not flushed; it will be tried again");
            self.checkpoint = Some(checkpoint);
            return Ok(());
        }
        self.sync()?;
        let marked = self.disk.replace(Path::new(DURABLE), checkpoint.as_bytes());
        if marked.is_ok() {
            self.shared.packs.marked(size, self.groups.complete());
        }
        if marked.is_ok() && !self.replaced.is_empty() {
            // The marker must be on the disk before the files go from which an older one would begin.
            self.sync()?;
        }
        if let Err(e) = marked.and_then(|()| self.tidy()) {
            tracing::error!(error = %e, "the flushed tree was not marked; it will be tried again");
            self.checkpoint = Some(checkpoint);
            return Ok(());
        }
        self.recycle(size)
    }

    /// Flushes everything. What was packed before is on the disk then, and the marker before it.
    fn sync(&self) -> Result<(), Unflushed> {
        let made = self.shared.packs.made();
        // After an error the next flush may succeed and have forgotten what this one lost.
        self.disk.sync_all().map_err(|_| Unflushed)?;
        self.shared.packs.safe(made);
        Ok(())
    }

    /// With nothing new to mark, flushes what was packed since the last time.
    fn flush_packs(&self) -> Result<(), Unflushed> {
        if self.shared.packs.waits() { self.sync() } else { Ok(()) }
    }

    /// Removes the partial files whose full file is flushed now.
    fn tidy(&mut self) -> std::io::Result<()> {
        while let Some(folder) = self.replaced.last() {
            self.disk.remove(folder)?;
            self.replaced.pop();
        }
        Ok(())
    }

    /// Lets go of the frames behind the mark. A refusal costs space only until the next time.
    fn recycle(&mut self, size: u64) -> Result<(), Unflushed> {
        let (disk, mut unflushed) = (&self.disk, false);
        // The marker must be on the disk before the frames are gone.
        let mut marked = || disk.sync_all().inspect_err(|_| unflushed = true);
        let gone = self.past.let_go(size, &mut marked);
        if unflushed {
            return Err(Unflushed);
        }
        if let Err(e) = gone {
            tracing::warn!(error = %e, "frames of the ledger were not let go; it will be tried again");
        }
        Ok(())
    }
}

fn note_tags(index: u64, logged: &Logged, pairs: &mut Vec<(Tag, u64)>) {
    let tags = match &logged.side {
        Some((_, tags)) => tags.as_chunks().0,
        None => inline_tags(&logged.leaf),
    };
    pairs.extend(tags.iter().map(|tag| (Tag::new(*tag), index)));
}
