//! A disk in memory that knows what a crash would leave of it.
//!
//! Every file has what was flushed, and the changes since. A crash keeps any number of them in order, each
//! file on its own, and may keep a part of the next: a file system promises no more than that.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use vault::Disk;

use crate::Dice;

/// What a crash does with changes that were not flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// They are lost: the power failed, and nothing had been written back.
    Lost,
    /// They are all there: only the process died.
    Kept,
    /// Some are there, and of some a part, by this seed: the power failed in the middle of writing back.
    Torn(u64),
}

#[derive(Debug, Clone)]
enum Change {
    /// Bytes written into the file.
    Write(usize, Vec<u8>),
    /// Another file of this name, its data not flushed.
    Whole(Vec<u8>),
    /// Another file of this name, its data flushed.
    Replaced(Vec<u8>),
    /// The file is gone.
    Removed,
}

#[derive(Debug, Clone, Default)]
struct File {
    now: Option<Vec<u8>>,
    durable: Option<Vec<u8>>,
    changes: Vec<Change>,
}

impl File {
    fn flushed(bytes: Option<Vec<u8>>) -> Self {
        Self { now: bytes.clone(), durable: bytes, changes: Vec::new() }
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.now, &change);
        self.changes.push(change);
    }

    fn flush(&mut self) {
        for change in std::mem::take(&mut self.changes) {
            apply(&mut self.durable, &change);
        }
    }

    fn after(&self, how: Crash, name: &Path) -> Option<Vec<u8>> {
        let Crash::Torn(seed) = how else {
            return if how == Crash::Lost { self.durable.clone() } else { self.now.clone() };
        };
        let salt =
            name.as_os_str().as_encoded_bytes().iter().fold(seed, |h, b| h.wrapping_mul(31) ^ u64::from(*b));
        let mut dice = Dice::new(salt);
        let kept = dice.below(self.changes.len() + 1);
        let mut bytes = self.durable.clone();
        let mut changes = self.changes.iter();
        changes.by_ref().take(kept).for_each(|c| apply(&mut bytes, c));
        match changes.next() {
            Some(Change::Write(at, written)) => {
                // Pages are written back in any order: the head of the frame or its end may be missing.
                let cut = dice.below(written.len() + 1);
                let (head, tail) = written.split_at_checked(cut).unwrap_or((written, &[]));
                let part = if dice.below(2) == 0 { (*at, head) } else { (*at + cut, tail) };
                apply(&mut bytes, &Change::Write(part.0, part.1.to_vec()));
            }
            Some(Change::Whole(whole)) => {
                let mut part = whole.clone();
                part.truncate(dice.below(whole.len() + 1));
                if dice.below(2) == 0 {
                    part.resize(whole.len(), 0);
                }
                bytes = Some(part);
            }
            _ => {}
        }
        bytes
    }
}

fn apply(bytes: &mut Option<Vec<u8>>, change: &Change) {
    match change {
        Change::Write(at, written) => {
            let file = bytes.get_or_insert_default();
            let end = at + written.len();
            if file.len() < end {
                file.resize(end, 0);
            }
            if let Some(place) = file.get_mut(*at..end) {
                place.copy_from_slice(written);
            }
        }
        Change::Whole(whole) | Change::Replaced(whole) => *bytes = Some(whole.clone()),
        Change::Removed => *bytes = None,
    }
}

/// A [`Disk`] in memory.
///
/// ```
/// use std::path::Path;
/// use testkit::{Crash, MemoryDisk};
/// use vault::Disk;
///
/// let disk = MemoryDisk::default();
/// disk.put(Path::new("a"), b"not flushed")?;
/// assert_eq!(disk.crash(Crash::Lost).read(Path::new("a"))?, None);
/// disk.sync_all()?;
/// assert!(disk.crash(Crash::Lost).read(Path::new("a"))?.is_some());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct MemoryDisk(Mutex<BTreeMap<PathBuf, File>>);

impl MemoryDisk {
    fn files(&self) -> MutexGuard<'_, BTreeMap<PathBuf, File>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, path: &Path, change: Change) {
        self.files().entry(path.to_owned()).or_default().change(change);
    }

    /// The disk that a restart after a crash at this moment would find. This one goes on as it was.
    #[must_use]
    pub fn crash(&self, how: Crash) -> Self {
        let after = |(path, file): (&PathBuf, &File)| (path.clone(), File::flushed(file.after(how, path)));
        Self(Mutex::new(self.files().iter().map(after).collect()))
    }

    /// Changes a file behind the log's back, durably: damage, or an older copy. `None` removes it.
    pub fn tamper(&self, path: &Path, bytes: Option<Vec<u8>>) {
        self.files().insert(path.to_owned(), File::flushed(bytes));
    }

    /// All files, by their paths.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        self.files().iter().filter(|(_, f)| f.now.is_some()).map(|(p, _)| p.clone()).collect()
    }
}

impl Disk for MemoryDisk {
    fn allocate(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let bytes = usize::try_from(bytes).map_err(io::Error::other)?;
        self.files().insert(path.to_owned(), File::flushed(Some(vec![0; bytes])));
        Ok(())
    }

    fn write_at(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        let mut files = self.files();
        let file = files.get_mut(path).filter(|f| f.now.is_some()).ok_or(io::ErrorKind::NotFound)?;
        file.change(Change::Write(at, bytes.to_vec()));
        Ok(())
    }

    fn sync_data(&self, path: &Path) -> io::Result<()> {
        let mut files = self.files();
        files.get_mut(path).filter(|f| f.now.is_some()).ok_or(io::ErrorKind::NotFound)?.flush();
        Ok(())
    }

    fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.change(path, Change::Whole(bytes.to_vec()));
        Ok(())
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.change(path, Change::Replaced(bytes.to_vec()));
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.files().values_mut().for_each(File::flush);
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.files();
        if files.get(from).is_none_or(|f| f.now.is_none()) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if let Some(file) = files.remove(from) {
            files.insert(to.to_owned(), file);
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        for (_, file) in self.files().iter_mut().filter(|(p, f)| p.starts_with(path) && f.now.is_some()) {
            file.change(Change::Removed);
        }
        Ok(())
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        Ok(self.files().get(path).and_then(|f| f.now.clone()))
    }

    fn read_at(&self, path: &Path, offset: u64, length: usize) -> io::Result<Option<Vec<u8>>> {
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let files = self.files();
        let bytes = files.get(path).and_then(|f| f.now.as_ref());
        Ok(bytes.map(|b| b.iter().skip(start).take(length).copied().collect()))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let files = self.files();
        let below =
            files.iter().filter(|(_, f)| f.now.is_some()).filter_map(|(p, _)| p.strip_prefix(folder).ok());
        let names =
            below.filter_map(|p| Some(p.components().next()?.as_os_str().to_string_lossy().into_owned()));
        Ok(names.collect::<BTreeSet<_>>().into_iter().collect())
    }
}
