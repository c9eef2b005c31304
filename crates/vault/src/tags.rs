//! The tag index: which tags stand in which entries, for the person's own list. Derived from the ledger: what is
//! not flushed when the process ends comes again from the frames, and `clover ledger rebuild` makes all of it anew.
//!
//! Pairs are collected in memory and written as a *run*, a sorted file, when the index is flushed. A thread merges
//! runs of about one length into a longer one, so that a pair is written a few times in its life and a look-up
//! asks a few dozen runs at most. Tags are keyed digests and come in no order, which is what an embedded store with
//! its ordered tree takes worst: `docs/decisions/2026-11-22-tag-index.md`. Byte form: `docs/formats/tag-index.md`.

mod merge;
mod run;

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use model::Tag;

use self::run::{FOLDER, Row, Run, Writer};
use crate::disk::Disk;
use crate::log::TagIndex;

/// Where a flush writes its run.
const FLUSHED: &str = "flush.new";
/// Most pairs that are held in memory: above it they are written before the next flush asks for it.
const FRESH_MAX: usize = 1 << 20;
/// How often a look-up begins anew when a run it was reading was merged away.
const ATTEMPTS: usize = 8;

/// An index in a folder of its own.
pub struct Tags {
    shared: Arc<Shared>,
    merger: Option<JoinHandle<()>>,
}

struct Shared {
    disk: Arc<dyn Disk>,
    state: Mutex<State>,
    /// Held by whoever changes which files there are. Taken before `state`.
    files: Mutex<()>,
    wake: Condvar,
}

#[derive(Default)]
struct State {
    /// From the oldest to the newest.
    runs: Vec<Run>,
    /// Not in a file yet; each part is sorted.
    fresh: Vec<Arc<Vec<Row>>>,
    /// The number of the next run.
    next: u64,
    stop: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn files(&self) -> MutexGuard<'_, ()> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tags {
    /// Opens the index of a folder, empty if nothing is there, and removes what a crash left of files.
    ///
    /// # Errors
    /// What the disk says.
    pub fn open(disk: Arc<dyn Disk>) -> io::Result<Self> {
        let mut found: Vec<_> = disk.list(Path::new(FOLDER))?.iter().filter_map(|n| Run::parse(n)).collect();
        // Of runs that cover the same numbers the longest comes first: it has what the others have.
        found.sort_unstable_by_key(Run::order);
        let mut runs: Vec<Run> = Vec::new();
        for run in found {
            if runs.last().is_some_and(|r| r.covers(&run)) {
                disk.remove(&run.path())?;
            } else {
                runs.push(run);
            }
        }
        let next = runs.last().map_or(0, |r| r.last + 1);
        let state = Mutex::new(State { runs, next, ..State::default() });
        let shared = Arc::new(Shared { disk, state, files: Mutex::default(), wake: Condvar::new() });
        let merging = Arc::clone(&shared);
        let merger = std::thread::Builder::new().name("tags-merge".to_owned());
        let merger = Some(merger.spawn(move || merge::run(&merging))?);
        Ok(Self { shared, merger })
    }

    /// The entries that name one of these tags, which come newest day first: newest first, at most `max`.
    ///
    /// # Errors
    /// What the disk says; [`io::ErrorKind::InvalidData`] when a run is damaged.
    pub fn entries_of(&self, tags: impl IntoIterator<Item = Tag>, max: usize) -> io::Result<Vec<u64>> {
        let mut all = Vec::new();
        for tag in tags {
            if all.len() >= max {
                break;
            }
            all.extend(self.newest(tag, max - all.len())?);
        }
        Ok(all)
    }

    fn newest(&self, tag: Tag, max: usize) -> io::Result<Vec<u64>> {
        let mut attempt = 0;
        loop {
            match self.look_up(tag, max) {
                Err(e) if e.kind() == io::ErrorKind::NotFound && attempt < ATTEMPTS => attempt += 1,
                other => return other,
            }
        }
    }

    fn look_up(&self, tag: Tag, max: usize) -> io::Result<Vec<u64>> {
        let (runs, fresh) = {
            let state = self.shared.state();
            (state.runs.clone(), state.fresh.clone())
        };
        let mut found = Vec::new();
        let last = Row::new(tag, u64::MAX);
        for part in fresh {
            let end = part.partition_point(|row| *row <= last);
            let rows = part.iter().take(end).rev().take_while(|row| row.is_of(tag));
            found.extend(rows.take(max).map(Row::entry));
        }
        for run in runs {
            run.newest(self.shared.disk.as_ref(), tag, max, &mut found)?;
        }
        // A pair can be there twice, when a restart derived it again.
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.dedup();
        found.truncate(max);
        Ok(found)
    }

    fn write_fresh(&self) -> io::Result<()> {
        let _files = self.shared.files();
        let (fresh, number) = {
            let state = self.shared.state();
            (state.fresh.clone(), state.next)
        };
        if fresh.is_empty() {
            return Ok(());
        }
        let mut rows: Vec<Row> = fresh.iter().flat_map(|part| part.iter().copied()).collect();
        // The stable sort, because it merges what is sorted in parts.
        rows.sort();
        let mut writer = Writer::begin(self.shared.disk.as_ref(), FLUSHED)?;
        for row in rows {
            writer.push(row)?;
        }
        let run = writer.flush()?.place(number, number)?;
        let mut state = self.shared.state();
        state.fresh.drain(..fresh.len());
        state.runs.push(run);
        state.next = number + 1;
        self.shared.wake.notify_one();
        Ok(())
    }
}

impl TagIndex for Tags {
    fn clear(&self) -> Result<(), String> {
        let _files = self.shared.files();
        let mut state = self.shared.state();
        state.fresh.clear();
        // Numbers go on: a removed run that a crash brings back must not hide a new one.
        state.runs.clear();
        let removed = self.shared.disk.remove(Path::new(FOLDER));
        removed.and_then(|()| self.shared.disk.sync_all()).map_err(|e| e.to_string())
    }

    fn add(&self, pairs: &[(Tag, u64)]) -> Result<(), String> {
        let mut rows: Vec<_> = pairs.iter().map(|(tag, index)| Row::new(*tag, *index)).collect();
        rows.sort_unstable();
        let held = {
            let state = self.shared.state();
            state.fresh.iter().map(|part| part.len()).sum::<usize>()
        };
        if held > FRESH_MAX {
            self.write_fresh().map_err(|e| e.to_string())?;
        }
        if !rows.is_empty() {
            self.shared.state().fresh.push(Arc::new(rows));
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), String> {
        self.write_fresh().map_err(|e| e.to_string())
    }
}

impl Drop for Tags {
    fn drop(&mut self) {
        self.shared.state().stop = true;
        self.shared.wake.notify_one();
        if self.merger.take().is_some_and(|t| t.join().is_err()) {
            tracing::error!("the thread that merges the tag index panicked");
        }
    }
}
