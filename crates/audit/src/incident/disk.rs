//! Files that are whole after any crash.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use crate::durable;

/// Reads a file of at most `limit` bytes.
pub(crate) fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

/// Replaces `path` by a file of these bytes, or leaves it as it was; durable on return.
///
/// The caller holds the lock of the folder `drafts`, which is on the same file system.
pub(crate) fn replace(drafts: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    durable::replace(drafts, path, bytes)?;
    // A new folder is durable with the one above it.
    path.parent().and_then(Path::parent).map_or(Ok(()), durable::sync_folder)
}
