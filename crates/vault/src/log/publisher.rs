//! The publisher: derives the public tree and the details from committed batches. All of it can be
//! rebuilt from the frames, which are kept until it is flushed.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use ledger::merkle::Hash;
use ledger::tile::{FULL_WIDTH, TileBuilder, TileCoordinates, append_entry};
use ledger::wal::Logged;
use ledger::{Committed, Entry, Subjects};
use model::Tag;

use super::{CHECKPOINT, DURABLE, Shared, TagIndex, segments};
use crate::disk::Disk;

/// Where the details of a bundle lie; not in the public tree.
pub(super) fn detail_path(bundle: u64) -> String {
    TileCoordinates::entries(bundle, FULL_WIDTH)
        .map_or_else(|_| "details/none".to_owned(), |at| at.to_string().replacen("tile/entries", "details", 1))
}

/// The details of a bundle: each a 4-byte length and its bytes.
pub(super) fn split_details(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    while let Some((len, rest)) = bytes.split_first_chunk::<4>() {
        let (detail, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
        all.push(detail.to_vec());
        bytes = rest;
    }
    bytes.is_empty().then_some(all)
}

pub(super) fn append_detail(out: &mut Vec<u8>, detail: &[u8]) {
    out.extend_from_slice(&u32::try_from(detail.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(detail);
}

/// Something to do on the disk; the order matters, and each may be done twice.
enum Step {
    Put(PathBuf, Vec<u8>),
    Remove(PathBuf),
    Published(u64),
}

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

    pub(super) fn attach(self, disk: Arc<dyn Disk>, shared: Arc<Shared>, index: Arc<dyn TagIndex>) -> Publisher {
        Publisher { state: self, disk, shared, index, steps: VecDeque::new(), flushed: Instant::now(), checkpoint: None }
    }
}

pub(super) struct Publisher {
    state: State,
    disk: Arc<dyn Disk>,
    shared: Arc<Shared>,
    index: Arc<dyn TagIndex>,
    steps: VecDeque<Step>,
    flushed: Instant,
    /// The newest published checkpoint that is not yet marked durable.
    checkpoint: Option<String>,
}

impl Publisher {
    pub(super) fn run(mut self) {
        loop {
            let (batches, stop) = self.wait();
            let last = batches.is_empty() && self.steps.is_empty() && stop;
            self.absorb(batches);
            let done = self.work();
            if done && (stop || self.flushed.elapsed() >= self.shared.options.flush_every) {
                self.flush();
            }
            if last || (stop && !done) {
                break;
            }
        }
    }

    fn wait(&self) -> (Vec<Committed>, bool) {
        let stop = self.shared.queue.lock().map_or(true, |q| q.stop);
        let Ok(publish) = self.shared.publish.lock() else { return (Vec::new(), true) };
        if stop {
            let mut publish = publish;
            return (std::mem::take(&mut *publish), true);
        }
        let waited = self.shared.publish_wake.wait_timeout(publish, self.shared.options.publish_every);
        waited.map_or((Vec::new(), true), |(mut publish, _)| (std::mem::take(&mut *publish), false))
    }

    /// Turns batches into steps. Memory runs ahead of the disk; the steps are retried until done.
    fn absorb(&mut self, batches: Vec<Committed>) {
        let Some(checkpoint) = batches.last().map(|b| b.checkpoint.clone()) else { return };
        let mut pairs = Vec::new();
        for batch in &batches {
            for ((index, logged), hash) in (batch.first..).zip(&batch.entries).zip(&batch.hashes) {
                note_tags(index, logged, &mut pairs);
                self.entry(logged, *hash);
            }
        }
        if let Err(e) = self.index.add(&pairs) {
            tracing::error!(error = %e, "the tag index was not written");
        }
        for tile in self.state.tiles.partial() {
            self.put(format!("ledger/{}", tile.at()), tile.into_bytes());
        }
        let (size, width) = (self.state.size(), u64::from(FULL_WIDTH));
        if let Ok(width_now) = u16::try_from(size % width)
            && width_now > 0
            && let Ok(at) = TileCoordinates::entries(size / width, width_now)
        {
            self.put(format!("ledger/{at}"), self.state.bundle.clone());
            self.put(detail_path(size / width), self.state.details.clone());
        }
        self.put(CHECKPOINT.to_owned(), checkpoint.clone().into_bytes());
        self.steps.push_back(Step::Published(size));
        self.checkpoint = Some(checkpoint);
    }

    fn entry(&mut self, logged: &Logged, hash: Hash) {
        if let Some((root, bytes)) = &logged.side {
            self.put(format!("ledger/tags/{}", data_encoding::HEXLOWER.encode(root.as_bytes())), bytes.clone());
        }
        if let Err(e) = append_entry(&mut self.state.bundle, &logged.leaf) {
            tracing::error!(error = %e, "an entry does not fit into a bundle");
        }
        append_detail(&mut self.state.details, &logged.detail);
        for tile in self.state.tiles.push(hash) {
            self.put(format!("ledger/{}", tile.at()), tile.bytes().to_vec());
            self.steps.push_back(Step::Remove(format!("ledger/{}.p", tile.at()).into()));
        }
        let width = u64::from(FULL_WIDTH);
        if self.state.size().is_multiple_of(width) {
            let bundle = self.state.size() / width - 1;
            let (entries, details) = (std::mem::take(&mut self.state.bundle), std::mem::take(&mut self.state.details));
            if let Ok(at) = TileCoordinates::entries(bundle, FULL_WIDTH) {
                self.put(format!("ledger/{at}"), entries);
                self.steps.push_back(Step::Remove(format!("ledger/{at}.p").into()));
            }
            self.put(detail_path(bundle), details);
        }
    }

    fn put(&mut self, path: String, bytes: Vec<u8>) {
        self.steps.push_back(Step::Put(path.into(), bytes));
    }

    /// Does the steps in order; what fails stays for the next round. Whether all were done.
    fn work(&mut self) -> bool {
        while let Some(step) = self.steps.front() {
            let result = match step {
                Step::Put(path, bytes) => self.disk.put(path, bytes),
                Step::Remove(path) => self.disk.remove(path),
                Step::Published(size) => {
                    let before = self.shared.published.swap(*size, Ordering::AcqRel);
                    self.shared.unpublished.fetch_sub(size.saturating_sub(before), Ordering::AcqRel);
                    Ok(())
                }
            };
            if let Err(e) = result {
                tracing::error!(error = %e, "the public tree was not written; it will be tried again");
                return false;
            }
            self.steps.pop_front();
        }
        true
    }

    /// Flushes what was published, then lets go of the frames behind it.
    fn flush(&mut self) {
        self.flushed = Instant::now();
        let Some(checkpoint) = self.checkpoint.take() else { return };
        let size = self.state.size();
        let flushed = self.index.flush().map_err(std::io::Error::other).and_then(|()| self.disk.sync_all());
        let marked = flushed.and_then(|()| self.disk.put(Path::new(DURABLE), checkpoint.as_bytes()));
        if let Err(e) = marked.and_then(|()| self.recycle(size)) {
            tracing::error!(error = %e, "the public tree was not flushed; it will be tried again");
            self.checkpoint = Some(checkpoint);
        }
    }

    /// Segments whose successor begins at or before the flushed size are free.
    fn recycle(&self, size: u64) -> std::io::Result<()> {
        let names = self.disk.list(Path::new("wal"))?;
        let firsts: Vec<u64> = names.iter().filter_map(|n| segments::first(n)).collect();
        let mut spare = names.iter().any(|n| n == "spare");
        for pair in firsts.windows(2) {
            if let [first, next] = pair
                && *next <= size
            {
                // The marker must be on the disk before the frames are gone.
                self.disk.sync_all()?;
                if spare {
                    self.disk.remove(&segments::path(*first))?;
                } else {
                    self.disk.rename(&segments::path(*first), Path::new(segments::SPARE))?;
                    spare = true;
                }
            }
        }
        Ok(())
    }
}

fn note_tags(index: u64, logged: &Logged, pairs: &mut Vec<(Tag, u64)>) {
    if let Some((_, tags)) = &logged.side {
        pairs.extend(tags.as_chunks::<16>().0.iter().map(|t| (Tag::new(*t), index)));
    } else if let Ok(Entry { draft, .. }) = Entry::decode(&logged.leaf)
        && let Subjects::Tags(tags) = draft.subjects
    {
        pairs.extend(tags.into_iter().map(|t| (t, index)));
    }
}
