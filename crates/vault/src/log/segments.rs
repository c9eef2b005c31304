//! The journal on this machine: segments of the write-ahead log, written in advance, filled in order,
//! recycled.
//!
//! Only the last frame may be torn: every other one was flushed before the next was written. What cannot be
//! read anywhere else was damaged. That no second process appends is the folder's lock ([`crate::Folder`]).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ledger::wal::{self, Batch, FrameError};
use ledger::{Storage, StorageError};

use super::LogError;
use super::journal::{Journal, Opened, Past, behind, continues};
use crate::disk::Disk;

/// Most segments that wait for use. Those of a few seconds under load are written over and over; what goes beyond is
/// allocated, which writes everything twice.
const SPARES_MAX: usize = 32;

/// Segments that are out of use, the next to be used last.
type Spares = Arc<Mutex<Vec<PathBuf>>>;

/// Path of the segment that begins with an entry.
fn path(first: u64) -> PathBuf {
    PathBuf::from(format!("wal/{first:020}.seg"))
}

/// How the name of a segment ends that waits for use.
const SPARE: &str = ".spare";

/// The first entry of a segment, by its file name.
fn first(name: &str) -> Option<u64> {
    name.strip_suffix(".seg")?.parse().ok()
}

fn io(source: io::Error) -> LogError {
    LogError::Io { path: "wal".to_owned(), source }
}

/// Frames in files of a folder.
pub struct Segments {
    disk: Arc<dyn Disk>,
    bytes: u64,
}

impl Segments {
    /// Segments of `bytes` bytes each, on a disk that no other process has.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, bytes: u64) -> Self {
        Self { disk, bytes }
    }
}

/// Whether there is any segment.
pub(super) fn any(disk: &dyn Disk) -> Result<bool, LogError> {
    Ok(disk.list(Path::new("wal")).map_err(io)?.iter().any(|n| first(n).is_some()))
}

impl Journal for Segments {
    fn create(&self) -> Result<(), LogError> {
        if any(self.disk.as_ref())? { Err(LogError::Exists) } else { Ok(()) }
    }

    fn open(
        &self,
        from: u64,
        each: &mut dyn FnMut(Batch) -> Result<(), LogError>,
    ) -> Result<Opened, LogError> {
        let disk = self.disk.as_ref();
        let found = frames(disk, from, self.bytes, each)?;
        if let Some((path, offset, frame)) = found.last {
            // It may be in the page cache only, and after a failed flush even count as clean there. Nothing may be
            // signed over it before it is on the disk.
            disk.write_at(&path, offset, &frame).and_then(|()| disk.sync_data(&path)).map_err(io)?;
        }
        let (disk, next) = (Arc::clone(&self.disk), found.next);
        let spares = disk.list(Path::new("wal")).map_err(io)?.into_iter().filter(|n| n.ends_with(SPARE));
        let spares = Spares::new(Mutex::new(spares.map(|n| Path::new("wal").join(n)).collect()));
        let past = Box::new(Used { disk: Arc::clone(&disk), spares: Arc::clone(&spares) });
        let writer = Writer { disk, spares, bytes: self.bytes, tail: found.tail, next, dirty: 0 };
        Ok(Opened { next, storage: Box::new(writer), past })
    }
}

/// Where the next frame goes.
#[derive(Debug, Clone, Default)]
struct Tail {
    /// The segment in use, if any.
    segment: Option<PathBuf>,
    /// The first free byte in it.
    offset: u64,
}

/// What lies in the segments.
#[derive(Default)]
struct Found {
    next: u64,
    tail: Tail,
    /// The last frame: its segment, place and bytes.
    last: Option<(PathBuf, u64, Vec<u8>)>,
}

/// Gives all batches from an entry on, and says where the next goes.
fn frames(
    disk: &dyn Disk,
    from: u64,
    segment_bytes: u64,
    each: &mut dyn FnMut(Batch) -> Result<(), LogError>,
) -> Result<Found, LogError> {
    let names = disk.list(Path::new("wal")).map_err(io)?;
    for name in names.iter().filter(|n| n.ends_with(".new")) {
        // Half of a file that was never put in place.
        disk.remove(&Path::new("wal").join(name)).map_err(io)?;
    }
    let mut firsts: Vec<u64> = names.iter().filter_map(|n| first(n)).collect();
    firsts.sort_unstable();
    // What is flushed needs no frames; a segment of it may be there still, or its neighbour gone already.
    let needed = firsts.partition_point(|first| *first <= from);
    if needed == 0 && (from > 0 || !firsts.is_empty()) {
        return Err(LogError::Damaged(format!("the segment with entry {from} is missing")));
    }
    firsts.drain(..needed.saturating_sub(1));
    let mut found = Found { next: firsts.first().copied().unwrap_or(0), ..Found::default() };
    for first in firsts {
        if found.next != first {
            return Err(LogError::Damaged(format!("the frame with entry {} is missing", found.next)));
        }
        let path = path(first);
        let bytes = disk.read(&path).map_err(io)?.unwrap_or_default();
        segment(path, &bytes, from, &mut found, each)?;
        if (bytes.len() as u64) < segment_bytes {
            // Written under another limit: full as it is.
            found.tail.offset = segment_bytes;
        }
    }
    if found.next < from {
        return Err(LogError::Lost { found: found.next, published: from });
    }
    Ok(found)
}

/// Reads one segment to its end.
fn segment(
    path: PathBuf,
    bytes: &[u8],
    from: u64,
    found: &mut Found,
    each: &mut dyn FnMut(Batch) -> Result<(), LogError>,
) -> Result<(), LogError> {
    let (mut offset, mut last) = (0, None);
    let why = loop {
        let rest = bytes.get(offset..).unwrap_or_default();
        match wal::decode(rest, found.next) {
            Ok((batch, length)) => {
                last = Some((offset, offset + length));
                offset += length;
                found.next += batch.entries.len() as u64;
                if found.next > from {
                    each(behind(batch, from))?;
                }
            }
            Err(_) if wal::later_frame(rest, found.next) => {
                return Err(LogError::Damaged(format!("the frame with entry {} cannot be read", found.next)));
            }
            Err(why) => break why,
        }
    };
    if why == FrameError::Torn {
        tracing::warn!(
            entry = found.next,
            "the log's last frame was not written whole; nobody was told of it"
        );
    }
    if let Some((start, end)) = last {
        found.last = Some((path.clone(), start as u64, bytes.get(start..end).unwrap_or_default().to_vec()));
    }
    found.tail = Tail { segment: Some(path), offset: offset as u64 };
    Ok(())
}

/// Appends frames to segments.
struct Writer {
    disk: Arc<dyn Disk>,
    spares: Spares,
    bytes: u64,
    tail: Tail,
    /// The entry that the next frame begins with.
    next: u64,
    /// End of a frame whose write failed. It may lie there whole, so it is overwritten to its end before
    /// another frame of the same entries is written anywhere.
    dirty: u64,
}

impl Writer {
    fn room(&mut self, frame: &[u8]) -> Result<PathBuf, StorageError> {
        let end = self.tail.offset + frame.len() as u64;
        match &self.tail.segment {
            Some(path) if end <= self.bytes => Ok(path.clone()),
            _ => {
                self.leave()?;
                self.roll(frame).map_err(StorageError::NotWritten)
            }
        }
    }

    /// Ends the use of a segment. From here on only a new one will do: one may be there already when the
    /// rest of the roll fails, and no frame may follow in the old one then.
    fn leave(&mut self) -> Result<(), StorageError> {
        if let Some(path) = &self.tail.segment
            && let Ok(stale @ 1..) = usize::try_from(self.dirty.saturating_sub(self.tail.offset))
        {
            self.disk.write_at(path, self.tail.offset, &vec![0; stale]).map_err(StorageError::NotWritten)?;
            self.disk.sync_data(path).map_err(StorageError::Unknown)?;
        }
        self.dirty = 0;
        self.tail.segment = None;
        Ok(())
    }

    fn roll(&mut self, frame: &[u8]) -> io::Result<PathBuf> {
        let next = path(self.next);
        let bytes = frame.len() as u64;
        let spare = if bytes > self.bytes { None } else { lock(&self.spares).pop() };
        if spare.is_none_or(|spare| self.disk.rename(&spare, &next).is_err()) {
            self.disk.allocate(&next, self.bytes.max(bytes))?;
        }
        self.tail = Tail { segment: Some(next.clone()), offset: 0 };
        Ok(next)
    }
}

impl Storage for Writer {
    fn append(&mut self, frame: &[u8]) -> Result<(), StorageError> {
        let (_, next) = continues(frame, self.next)?;
        let path = self.room(frame)?;
        let end = self.tail.offset + frame.len() as u64;
        let written = if self.dirty > end {
            let mut padded = frame.to_vec();
            padded.resize(usize::try_from(self.dirty - self.tail.offset).unwrap_or(frame.len()), 0);
            self.disk.write_at(&path, self.tail.offset, &padded)
        } else {
            self.disk.write_at(&path, self.tail.offset, frame)
        };
        if let Err(e) = written {
            self.dirty = self.dirty.max(end);
            return Err(StorageError::NotWritten(e));
        }
        self.disk.sync_data(&path).map_err(StorageError::Unknown)?;
        self.dirty = 0;
        self.tail.offset = end;
        self.next = next;
        Ok(())
    }
}

/// Segments that are used up.
struct Used {
    disk: Arc<dyn Disk>,
    spares: Spares,
}

fn lock(spares: &Spares) -> std::sync::MutexGuard<'_, Vec<PathBuf>> {
    spares.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Past for Used {
    /// Segments whose successor begins at or before `below` are free.
    fn let_go(&mut self, below: u64, marked: &mut dyn FnMut() -> io::Result<()>) -> io::Result<()> {
        let names = self.disk.list(Path::new("wal"))?;
        let firsts: Vec<u64> = names.iter().filter_map(|n| first(n)).collect();
        let free: Vec<u64> = firsts
            .windows(2)
            .filter_map(|p| p.first().filter(|_| p.last() <= Some(&below)))
            .copied()
            .collect();
        if free.is_empty() {
            return Ok(());
        }
        marked()?;
        for first in free {
            let path = path(first);
            if lock(&self.spares).len() < SPARES_MAX {
                let spare = path.with_extension("spare");
                self.disk.rename(&path, &spare)?;
                lock(&self.spares).push(spare);
            } else {
                self.disk.remove(&path)?;
            }
        }
        Ok(())
    }
}
