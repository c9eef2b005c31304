//! Files that are still there after the power was cut.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

/// Drafts of two threads have two names.
static DRAFTS: AtomicU64 = AtomicU64::new(0);

/// Replaces `path` by a file of these bytes, or leaves it as it was; durable on return.
///
/// `temporary` is a folder on the same file system.
pub(crate) fn replace(temporary: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let Some(folder) = path.parent() else { return Err(io::ErrorKind::InvalidInput.into()) };
    let draft = temporary.join(format!("draft-{}", DRAFTS.fetch_add(1, Ordering::Relaxed)));
    let mut file = File::create(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    sync_folder(folder)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })?.sync_all()
}

/// Makes everything durable that was written to the file system of `folder`.
pub(crate) fn sync_all(folder: &Path) -> io::Result<()> {
    Ok(rustix::fs::syncfs(File::open(folder)?)?)
}
