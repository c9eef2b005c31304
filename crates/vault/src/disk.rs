//! The few things the log asks of a file system, so that a test can make each of them fail.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Room that is made for a read before anything was read.
const READ_AT_ONCE: usize = 1 << 20;

/// Bytes of a long file that are written back at once.
const WRITE_BACK: usize = 1 << 20;

/// A file system as the log uses it. Paths are below one folder.
pub trait Disk: Send + Sync {
    /// Creates a file of that many zero bytes, written and flushed, so that later writes change no size.
    ///
    /// # Errors
    /// What the file system says.
    fn allocate(&self, path: &Path, bytes: u64) -> io::Result<()>;
    /// Writes bytes into an existing file.
    ///
    /// # Errors
    /// What the file system says.
    fn write_at(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Flushes the data of one file.
    ///
    /// # Errors
    /// What the file system says. After an error nobody knows what is on the disk.
    fn sync_data(&self, path: &Path) -> io::Result<()>;
    /// Writes a whole file under another name, and renames it into place. Not flushed: until
    /// [`Disk::sync_all`] a crash may leave the old file, the new one, or a part of it. Never for a file
    /// that must be readable after a crash.
    ///
    /// # Errors
    /// What the file system says.
    fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Like [`Disk::put`], but the bytes are flushed before the rename: a crash leaves the old file or the
    /// new one, whole.
    ///
    /// # Errors
    /// What the file system says.
    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Flushes everything that was put and renamed so far.
    ///
    /// # Errors
    /// What the file system says.
    fn sync_all(&self) -> io::Result<()>;
    /// Renames a file, durably. The folder it goes to is made if it is not there.
    ///
    /// # Errors
    /// What the file system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file, or a folder with all its files, that may not be there.
    ///
    /// # Errors
    /// What the file system says.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Reads a whole file; `None` if it is not there.
    ///
    /// # Errors
    /// What the file system says.
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>>;
    /// Reads at most that many bytes from a place in a file: fewer where it ends; `None` if it is not there.
    ///
    /// # Errors
    /// What the file system says.
    fn read_at(&self, path: &Path, offset: u64, length: usize) -> io::Result<Option<Vec<u8>>>;
    /// Names of the files in a folder, sorted; none if it is not there.
    ///
    /// # Errors
    /// What the file system says.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;
}

/// Replaces a file of its own, durably: afterwards it is the old one or the new one, whatever happens, and the new one
/// once this has returned. Two of these on one file must not run at a time.
///
/// # Errors
/// What the file system says; the old file may be there still.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let part = path.with_extension("part");
    let mut file = File::create(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&part, path)?;
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// A folder of the real file system, locked against a second process.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    open: std::sync::Mutex<Option<(PathBuf, File)>>,
    _lock: File,
}

impl Folder {
    /// Opens a folder, creating it and locking it.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when another process has it; else what the file system says.
    pub fn open(root: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(root)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(root.join(".lock"))?;
        lock.try_lock().map_err(|e| match e {
            std::fs::TryLockError::Error(e) => e,
            std::fs::TryLockError::WouldBlock => io::ErrorKind::WouldBlock.into(),
        })?;
        Ok(Self { root: root.to_owned(), open: std::sync::Mutex::default(), _lock: lock })
    }

    /// Runs with a handle on a file, kept open for the next call: the log writes one file many times.
    fn with<T>(&self, path: &Path, run: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        let mut open = self.open.lock().map_err(|_| io::Error::other("the file lock is poisoned"))?;
        if open.as_ref().is_none_or(|(p, _)| p != path) {
            let file = OpenOptions::new().write(true).open(self.root.join(path))?;
            *open = Some((path.to_owned(), file));
        }
        match open.as_ref() {
            Some((_, file)) => run(file),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn forget(&self, path: &Path) {
        if let Ok(mut open) = self.open.lock()
            && open.as_ref().is_some_and(|(p, _)| p == path)
        {
            *open = None;
        }
    }

    fn write_whole(&self, path: &Path, bytes: &[u8], flush: bool) -> io::Result<()> {
        self.forget(path);
        let full = self.root.join(path);
        let part = full.with_extension("new");
        let mut file = match File::create(&part) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                self.make_parent(path)?;
                File::create(&part)?
            }
            other => other?,
        };
        if flush {
            file.write_all(bytes)?;
            file.sync_data()?;
        } else {
            write_back(&mut file, bytes)?;
        }
        std::fs::rename(&part, &full)
    }

    fn make_parent(&self, path: &Path) -> io::Result<PathBuf> {
        let full = self.root.join(path);
        if let Some(parent) = full.parent() {
            std::fs::create_dir_all(parent)?;
        }
        Ok(full)
    }
}

/// Writes bytes and has the system begin to write back what is long, without waiting. What is left for the next flush
/// of everything holds up every other flush meanwhile, and so the frames of the log.
fn write_back(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    let mut offset = 0;
    for piece in bytes.chunks(WRITE_BACK) {
        file.write_all(piece)?;
        if piece.len() == WRITE_BACK {
            // On Linux this begins to write dirty pages, and drops only clean ones. Refused, nothing is lost but time.
            let length = std::num::NonZeroU64::new(WRITE_BACK as u64);
            let _ = rustix::fs::fadvise(&*file, offset, length, rustix::fs::Advice::DontNeed);
        }
        offset += piece.len() as u64;
    }
    Ok(())
}

impl Disk for Folder {
    fn allocate(&self, path: &Path, bytes: u64) -> io::Result<()> {
        // A handle on a file of this name would go on writing into the one that is replaced.
        self.forget(path);
        let full = self.make_parent(path)?;
        let part = full.with_extension("new");
        let mut file = File::create(&part)?;
        io::copy(&mut io::repeat(0).take(bytes), &mut file)?;
        file.sync_all()?;
        std::fs::rename(&part, &full)?;
        File::open(full.parent().unwrap_or(&self.root))?.sync_all()
    }

    fn write_at(&self, path: &Path, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.with(path, |f| f.write_all_at(bytes, offset))
    }

    fn sync_data(&self, path: &Path) -> io::Result<()> {
        self.with(path, File::sync_data)
    }

    fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.write_whole(path, bytes, false)
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.write_whole(path, bytes, true)
    }

    fn sync_all(&self) -> io::Result<()> {
        rustix::fs::syncfs(File::open(&self.root)?).map_err(io::Error::from)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.forget(from);
        self.forget(to);
        let moved = std::fs::rename(self.root.join(from), self.root.join(to));
        if moved.as_ref().is_err_and(|e| e.kind() == io::ErrorKind::NotFound) {
            self.make_parent(to)?;
            std::fs::rename(self.root.join(from), self.root.join(to))?;
        } else {
            moved?;
        }
        File::open(self.root.join(to).parent().unwrap_or(&self.root))?.sync_all()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.forget(path);
        let full = self.root.join(path);
        let removed = match std::fs::symlink_metadata(&full) {
            Ok(found) if found.is_dir() => std::fs::remove_dir_all(&full),
            Ok(_) => std::fs::remove_file(&full),
            Err(e) => Err(e),
        };
        match removed {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        read(&self.root.join(path))
    }

    fn read_at(&self, path: &Path, offset: u64, length: usize) -> io::Result<Option<Vec<u8>>> {
        read_at(&self.root.join(path), offset, length)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        list(&self.root.join(folder))
    }
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn read_at(path: &Path, offset: u64, length: usize) -> io::Result<Option<Vec<u8>>> {
    let mut file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    file.seek(io::SeekFrom::Start(offset))?;
    // With room for all of it there is one call; a length that a damaged file asks for takes no memory.
    let mut bytes = Vec::with_capacity(length.min(READ_AT_ONCE));
    file.take(length as u64).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

fn list(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = Vec::new();
    for entry in entries {
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// A folder that is only read, whoever has it open: nothing is locked, made or changed.
#[derive(Debug)]
pub(crate) struct ReadOnly(pub(crate) PathBuf);

impl ReadOnly {
    fn path(&self, path: &Path) -> PathBuf {
        self.0.join(path)
    }
}

/// What a folder that is only read says to everything else.
fn refused<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl Disk for ReadOnly {
    fn allocate(&self, _: &Path, _: u64) -> io::Result<()> {
        refused()
    }

    fn write_at(&self, _: &Path, _: u64, _: &[u8]) -> io::Result<()> {
        refused()
    }

    fn sync_data(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn put(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        refused()
    }

    fn replace(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        refused()
    }

    fn sync_all(&self) -> io::Result<()> {
        refused()
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        refused()
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        read(&self.path(path))
    }

    fn read_at(&self, path: &Path, offset: u64, length: usize) -> io::Result<Option<Vec<u8>>> {
        read_at(&self.path(path), offset, length)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        list(&self.path(folder))
    }
}
