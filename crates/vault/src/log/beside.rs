//! Reading a log beside the process that writes it: from its published tree, with no lock and not a byte written.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger::checkpoint;
use ledger::merkle::TreeHead;
use ledger::note::Verifier;
use ledger::tile::TileReader;

use super::files::Tree;
use super::read::{self, Entries};
use super::{CHECKPOINT, LogError, Options};
use crate::disk::Disk;

/// The published tree of a log that may be running, as far as it was published when it was opened.
#[derive(Debug)]
pub struct Beside {
    disk: Arc<Looked>,
    head: TreeHead,
    pack_tiles: u16,
}

impl Beside {
    /// Opens the folder of a log whose key this is.
    ///
    /// # Errors
    /// When there is no checkpoint, or it is another log's.
    pub fn open(root: &Path, verifier: &Verifier) -> Result<Self, LogError> {
        let disk = Arc::new(Looked(root.to_owned()));
        let bytes = disk.read(Path::new(CHECKPOINT));
        let bytes = bytes.map_err(|source| LogError::Io { path: CHECKPOINT.to_owned(), source })?;
        let note = String::from_utf8(bytes.ok_or(LogError::Missing)?).map_err(|_| LogError::OtherLog)?;
        let opened = checkpoint::open(&note, verifier, &[]).map_err(|_| LogError::OtherLog)?;
        Ok(Self { disk, head: opened.checkpoint().head(), pack_tiles: Options::default().pack_tiles })
    }

    /// Entries that it reads.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.head.size
    }

    /// One entry, authenticated.
    ///
    /// # Errors
    /// When it is beyond the size, or the files are damaged.
    pub fn entry(&self, index: u64) -> Result<Vec<u8>, LogError> {
        read::entry(self.head, |at| Tree::of(self.disk.as_ref(), self.pack_tiles).tile(at), index)
    }

    /// Entries in order, each authenticated. Holds one bundle in memory. After an error it ends.
    pub fn entries(
        &self,
        range: Range<u64>,
    ) -> impl Iterator<Item = Result<Vec<u8>, LogError>> + Send + use<> {
        let (disk, pack_tiles) = (Arc::clone(&self.disk), self.pack_tiles);
        let fetch = move |at| Tree::of(disk.as_ref(), pack_tiles).tile(at);
        Entries::new(TileReader::new(self.head, fetch), range.start..range.end.min(self.head.size))
    }
}

/// A folder that is only looked at.
#[derive(Debug)]
struct Looked(PathBuf);

impl Looked {
    fn open(&self, path: &Path) -> io::Result<Option<File>> {
        match File::open(self.0.join(path)) {
            Ok(file) => Ok(Some(file)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }
}

fn refused() -> io::Error {
    io::Error::from(io::ErrorKind::ReadOnlyFilesystem)
}

impl Disk for Looked {
    fn allocate(&self, _: &Path, _: u64) -> io::Result<()> {
        Err(refused())
    }
    fn write_at(&self, _: &Path, _: u64, _: &[u8]) -> io::Result<()> {
        Err(refused())
    }
    fn sync_data(&self, _: &Path) -> io::Result<()> {
        Err(refused())
    }
    fn put(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        Err(refused())
    }
    fn replace(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        Err(refused())
    }
    fn sync_all(&self) -> io::Result<()> {
        Err(refused())
    }
    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        Err(refused())
    }
    fn remove(&self, _: &Path) -> io::Result<()> {
        Err(refused())
    }
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let Some(mut file) = self.open(path)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }
    fn read_at(&self, path: &Path, offset: u64, length: usize) -> io::Result<Option<Vec<u8>>> {
        let Some(file) = self.open(path)? else { return Ok(None) };
        let left = file.metadata()?.len().saturating_sub(offset);
        let mut bytes = vec![0; length.min(usize::try_from(left).unwrap_or(usize::MAX))];
        file.read_exact_at(&mut bytes, offset)?;
        Ok(Some(bytes))
    }
    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let entries = match std::fs::read_dir(self.0.join(folder)) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e),
        };
        let name = |e: io::Result<std::fs::DirEntry>| Ok(e?.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = entries.map(name).collect::<io::Result<_>>()?;
        names.sort();
        Ok(names)
    }
}
