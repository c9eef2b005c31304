//! A disk that fails where it is told to.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use vault::Disk;

/// One kind of thing that changes a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// [`Disk::allocate`].
    Allocate,
    /// [`Disk::write_at`].
    WriteAt,
    /// [`Disk::sync_data`].
    SyncData,
    /// [`Disk::put`].
    Put,
    /// [`Disk::replace`].
    Replace,
    /// [`Disk::sync_all`].
    SyncAll,
    /// [`Disk::rename`].
    Rename,
    /// [`Disk::remove`].
    Remove,
}

/// How a step fails. Both answer with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing was done.
    NotDone,
    /// It was done all the same.
    Unanswered,
}

/// What the disk does after the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It works again.
    GoesOn,
    /// It refuses everything.
    Dies,
}

/// One fault: the `nth` step of a kind, counted from 1.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Which kind.
    pub step: Step,
    /// Which of them.
    pub nth: usize,
    /// How it fails.
    pub fault: Fault,
    /// And then.
    pub then: Then,
}

/// What the disk still has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Space {
    /// Everything.
    #[default]
    Left,
    /// Only for what overwrites bytes in place.
    InPlace,
    /// Nothing, not even that: a file system that copies on write.
    None,
}

#[derive(Debug, Default)]
struct State {
    plan: Option<Plan>,
    fired: bool,
    dead: bool,
    held: bool,
    space: Space,
    done: std::collections::BTreeMap<Step, usize>,
    replaced: Vec<(PathBuf, Vec<u8>)>,
    forgotten: Vec<PathBuf>,
}

/// A [`Disk`] around another one.
pub struct FaultyDisk {
    inner: Arc<dyn Disk>,
    state: Mutex<State>,
    released: Condvar,
}

impl FaultyDisk {
    /// Passes everything on, but for what the plan says.
    #[must_use]
    pub fn new(inner: Arc<dyn Disk>, plan: Option<Plan>) -> Self {
        let state = State { plan, ..State::default() };
        Self { inner, state: Mutex::new(state), released: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plans another fault; counting begins anew.
    pub fn plan(&self, plan: Plan) {
        let mut state = self.state();
        state.done.clear();
        state.fired = false;
        state.plan = Some(plan);
    }

    /// Whether the planned fault has happened.
    #[must_use]
    pub fn fired(&self) -> bool {
        self.state().fired
    }

    /// How often a step was asked for.
    #[must_use]
    pub fn count(&self, step: Step) -> usize {
        self.state().done.get(&step).copied().unwrap_or(0)
    }

    /// Fills the disk or frees it.
    pub fn space(&self, space: Space) {
        self.state().space = space;
    }

    /// Lets writes into files wait until [`FaultyDisk::release`].
    pub fn hold(&self) {
        self.state().held = true;
    }

    /// Lets them go on.
    pub fn release(&self) {
        self.state().held = false;
        self.released.notify_all();
    }

    /// From now on flushes of a file do nothing until it is written again: what a flush that failed leaves,
    /// when the system then takes the pages for clean.
    pub fn forget(&self, path: &Path) {
        self.state().forgotten.push(path.to_owned());
    }

    /// Everything that a file was ever asked to be replaced with, done or not.
    #[must_use]
    pub fn replaced(&self, path: &Path) -> Vec<Vec<u8>> {
        self.state().replaced.iter().filter(|(p, _)| p == path).map(|(_, bytes)| bytes.clone()).collect()
    }

    fn run(&self, step: Step, op: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let mut state = self.state();
        let count = state.done.entry(step).or_default();
        *count += 1;
        let nth = *count;
        while state.held && step == Step::WriteAt {
            state = self.released.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.dead {
            return Err(io::Error::other("the disk is gone"));
        }
        let needs_blocks = matches!(step, Step::Allocate | Step::Put | Step::Replace);
        if state.space == Space::None && (needs_blocks || step == Step::WriteAt)
            || state.space == Space::InPlace && needs_blocks
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let Some(plan) = state.plan.filter(|p| p.step == step && p.nth == nth) else {
            drop(state);
            return op();
        };
        state.fired = true;
        state.dead = plan.then == Then::Dies;
        // INVARIANT: the state stays locked, so that a disk that dies does nothing else before this.
        if plan.fault == Fault::Unanswered {
            op()?;
        }
        Err(io::Error::other("the planned fault"))
    }
}

impl Disk for FaultyDisk {
    fn allocate(&self, path: &Path, bytes: u64) -> io::Result<()> {
        self.run(Step::Allocate, || self.inner.allocate(path, bytes))
    }

    fn write_at(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.state().forgotten.retain(|p| p != path);
        self.run(Step::WriteAt, || self.inner.write_at(path, offset, bytes))
    }

    fn sync_data(&self, path: &Path) -> io::Result<()> {
        let forgotten = self.state().forgotten.iter().any(|p| p == path);
        self.run(Step::SyncData, || if forgotten { Ok(()) } else { self.inner.sync_data(path) })
    }

    fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.run(Step::Put, || self.inner.put(path, bytes))
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.state().replaced.push((path.to_owned(), bytes.to_vec()));
        self.run(Step::Replace, || self.inner.replace(path, bytes))
    }

    fn sync_all(&self) -> io::Result<()> {
        self.run(Step::SyncAll, || self.inner.sync_all())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.run(Step::Rename, || self.inner.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.run(Step::Remove, || self.inner.remove(path))
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        self.inner.read(path)
    }

    fn read_at(&self, path: &Path, offset: u64, length: usize) -> io::Result<Option<Vec<u8>>> {
        self.inner.read_at(path, offset, length)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.inner.list(folder)
    }
}
