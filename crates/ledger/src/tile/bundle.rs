//! Entries in bundles: a sequence of big-endian 16-bit lengths, each followed by the entry.

use super::TileError;

/// Longest entry that a bundle can hold, in bytes.
pub const ENTRY_BYTES_MAX: usize = 0xffff;

/// Appends one entry to a bundle.
///
/// # Errors
///
/// [`TileError::EntryTooLong`] above [`ENTRY_BYTES_MAX`]; the bundle is then unchanged.
///
/// ```
/// use ledger::tile::{append_entry, split_bundle};
///
/// let mut bundle = Vec::new();
/// append_entry(&mut bundle, b"one")?;
/// append_entry(&mut bundle, b"")?;
/// assert_eq!(bundle, b"\0\x03one\0\0");
/// assert_eq!(split_bundle(&bundle, 2)?, [b"one".as_slice(), b""]);
/// # Ok::<(), ledger::tile::TileError>(())
/// ```
pub fn append_entry(bundle: &mut Vec<u8>, entry: &[u8]) -> Result<(), TileError> {
    let length = u16::try_from(entry.len()).map_err(|_| TileError::EntryTooLong { bytes: entry.len() })?;
    bundle.extend_from_slice(&length.to_be_bytes());
    bundle.extend_from_slice(entry);
    Ok(())
}

/// Splits a bundle into its entries. They are not yet authenticated: see
/// [`super::TileReader::entries`].
///
/// # Errors
///
/// [`TileError::Bundle`] unless the bytes are exactly `width` entries.
pub fn split_bundle(bundle: &[u8], width: u16) -> Result<Vec<&[u8]>, TileError> {
    let malformed = TileError::Bundle { wanted: width };
    let mut rest = bundle;
    let mut entries = Vec::with_capacity(usize::from(width));
    for _ in 0..width {
        let (length, after) = rest.split_first_chunk().ok_or(malformed)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, after) = after.split_at_checked(length).ok_or(malformed)?;
        entries.push(entry);
        rest = after;
    }
    if rest.is_empty() { Ok(entries) } else { Err(malformed) }
}
