//! Segments of the write-ahead log: written in advance, filled in order, recycled.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger::{Storage, StorageError};

use crate::disk::Disk;

/// Where the next frame goes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tail {
    /// The segment in use, if any.
    pub(crate) segment: Option<PathBuf>,
    /// The first free byte in it.
    pub(crate) offset: u64,
}

/// Path of the segment that begins with an entry.
pub(crate) fn path(first: u64) -> PathBuf {
    PathBuf::from(format!("wal/{first:020}.seg"))
}

/// The first entry of a segment, by its file name.
pub(crate) fn first(name: &str) -> Option<u64> {
    name.strip_suffix(".seg")?.parse().ok()
}

/// Name of the segment that waits for use.
pub(crate) const SPARE: &str = "wal/spare";

pub(crate) struct Segments {
    disk: Arc<dyn Disk>,
    bytes: u64,
    tail: Tail,
    /// End of a frame whose write failed. It may lie there whole, so it is overwritten to its end before
    /// another frame of the same entries is written anywhere.
    dirty: u64,
}

impl Segments {
    pub(crate) fn new(disk: Arc<dyn Disk>, bytes: u64, tail: Tail) -> Self {
        Self { disk, bytes, tail, dirty: 0 }
    }

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
        let first = frame.get(4..12).and_then(|b| b.try_into().ok()).map(u64::from_be_bytes);
        let next = path(first.ok_or_else(|| io::Error::other("a frame without a first entry"))?);
        let bytes = frame.len() as u64;
        if bytes > self.bytes || self.disk.rename(Path::new(SPARE), &next).is_err() {
            self.disk.allocate(&next, self.bytes.max(bytes))?;
        }
        self.tail = Tail { segment: Some(next.clone()), offset: 0 };
        Ok(next)
    }
}

impl Storage for Segments {
    fn append(&mut self, frame: &[u8]) -> Result<(), StorageError> {
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
        Ok(())
    }
}
