//! Entry bundles: each entry as a 2-byte length and its bytes.

use std::io;

use crate::{
    tile::{Level, Tile},
    tree::ReadError,
};

/// A header of 256 bytes and at most 4,096 bytes of facts.
pub(crate) const ENTRY_BYTES_MAX: usize = 256 + 4096;
/// The longest bundle of 256 entries.
pub(crate) const BUNDLE_BYTES_MAX: u64 = 256 * (2 + ENTRY_BYTES_MAX as u64);

/// Cuts a bundle into exactly `width` entries, or says what is wrong with it.
pub(crate) fn split(bytes: &[u8], width: u64) -> Result<Vec<&[u8]>, String> {
    split_leaves(bytes, width, ENTRY_BYTES_MAX)
}

/// Likewise for a log whose leaves have at most `longest` bytes.
pub(crate) fn split_leaves(mut bytes: &[u8], width: u64, longest: usize) -> Result<Vec<&[u8]>, String> {
    let mut entries = Vec::with_capacity(256);
    for number in 0..width {
        let entry = bytes
            .split_first_chunk::<2>()
            .and_then(|(length, rest)| rest.split_at_checked(usize::from(u16::from_be_bytes(*length))));
        let Some((entry, rest)) = entry else {
            return Err(format!("it ends within entry {number} of {width}"));
        };
        if entry.len() > longest {
            return Err(format!("entry {number} of it is longer than an entry may be"));
        }
        entries.push(entry);
        bytes = rest;
    }
    if !bytes.is_empty() {
        return Err(format!("it has {} bytes after its {width} entries", bytes.len()));
    }
    Ok(entries)
}

/// How many bytes the first `width` entries take in the bundle.
pub(crate) fn prefix_length(entries: &[&[u8]], width: u64) -> usize {
    let width = usize::try_from(width).unwrap_or(usize::MAX);
    entries.iter().take(width).map(|entry| entry.len() + 2).sum()
}

/// Cuts a full tile or bundle down to the first `tile.width` of what it holds.
pub(crate) fn cut(tile: &Tile, bytes: &mut Vec<u8>) -> Result<(), ReadError> {
    let mut end = 0_usize;
    for _ in 0..tile.width {
        let length = match tile.level {
            Level::Hashes(_) => 32,
            Level::Entries => bytes
                .get(end..)
                .and_then(|rest| rest.first_chunk::<2>())
                .map(|length| 2 + usize::from(u16::from_be_bytes(*length)))
                .ok_or_else(short)?,
        };
        end += length;
    }
    if end > bytes.len() {
        return Err(short());
    }
    bytes.truncate(end);
    Ok(())
}

fn short() -> ReadError {
    ReadError::Unreadable(io::Error::new(io::ErrorKind::UnexpectedEof, "the full tile is too short"))
}
