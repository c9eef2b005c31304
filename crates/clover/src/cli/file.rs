//! A file that a command reads whole; of a Parquet file its rows, a line of JSON each.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};

use crate::error::CommandError;

/// Longest file that is read.
pub(super) const FILE_MAX: usize = 1 << 30;

/// The bytes of a file; `-` is standard input.
pub(super) fn whole(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let most = FILE_MAX as u64;
    if path == Path::new("-") {
        std::io::stdin().lock().take(most).read_to_end(&mut bytes)?;
    } else {
        let file = std::fs::File::open(path).map_err(CommandError::file(path))?;
        file.take(most).read_to_end(&mut bytes).map_err(CommandError::file(path))?;
    }
    if bytes.len() == FILE_MAX {
        return Err(CommandError::Rule("a file of 1 GiB or more: split it by lines first").into());
    }
    if !table::is_parquet(&bytes) {
        return Ok(bytes);
    }
    let limits = table::Limits { bytes: FILE_MAX, rows: u64::MAX };
    table::lines(&bytes, limits).with_context(|| format!("`{}` cannot be read as Parquet", path.display()))
}
