//! Files of the enclave's `residency/` folder, which only their owner reads.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::error::ResidencyError;

/// Makes a folder that only its owner enters, if it is not there.
pub(crate) fn folder(path: &Path) -> Result<(), ResidencyError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(ResidencyError::file(path))
}

/// Replaces a file durably: afterwards it is the old one or the new one.
pub(crate) fn replace_secret(path: &Path, bytes: &[u8]) -> Result<(), ResidencyError> {
    let part = path.with_extension("part");
    let write = || {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&part, path)?;
        sync_folder(path)
    };
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
        folder(parent)?;
    }
    write().map_err(ResidencyError::file(path))
}

/// Flushes the folder that a file stands in.
pub(crate) fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = path.parent().filter(|f| !f.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
