//! The files of the published tree and the details beside them: where they lie, and how they are read.
//!
//! Every file but the two checkpoints is written under a name that no older file of a flushed tree has,
//! so that a crash while it is written cannot take anything flushed with it.

use std::io;
use std::path::Path;

use ledger::tile::{FULL_WIDTH, TileCoordinates, TileError, append_entry, split_bundle};

use crate::disk::Disk;

/// Path of a tile or bundle.
pub(super) fn tile_path(at: TileCoordinates) -> String {
    format!("ledger/{at}")
}

/// Where the details of a bundle lie; not in the public tree.
pub(super) fn detail_path(bundle: TileCoordinates) -> String {
    bundle.as_entries().to_string().replacen("tile/entries", "details", 1)
}

fn full(at: TileCoordinates) -> Result<TileCoordinates, TileError> {
    match at.level() {
        Some(level) => TileCoordinates::hashes(level, at.index(), FULL_WIDTH),
        None => TileCoordinates::entries(at.index(), FULL_WIDTH),
    }
}

/// A tile or bundle. A partial one that was already replaced by the full one is cut from it.
pub(super) fn tile(disk: &dyn Disk, at: TileCoordinates) -> io::Result<Vec<u8>> {
    if let Some(bytes) = disk.read(Path::new(&tile_path(at)))? {
        return Ok(bytes);
    }
    let full = full(at).map_err(io::Error::other)?;
    let mut bytes = disk.read(Path::new(&tile_path(full)))?.ok_or(io::ErrorKind::NotFound)?;
    if let Some(length) = at.byte_length() {
        bytes.truncate(length);
        return Ok(bytes);
    }
    let mut cut = Vec::new();
    for entry in
        split_bundle(&bytes, FULL_WIDTH).map_err(io::Error::other)?.iter().take(usize::from(at.width()))
    {
        append_entry(&mut cut, entry).map_err(io::Error::other)?;
    }
    Ok(cut)
}

/// The details of a bundle's entries, at least as many as its width.
pub(super) fn details(disk: &dyn Disk, at: TileCoordinates) -> io::Result<Vec<Vec<u8>>> {
    let bytes = match disk.read(Path::new(&detail_path(at)))? {
        Some(bytes) => bytes,
        None => {
            let full = full(at).map_err(io::Error::other)?;
            disk.read(Path::new(&detail_path(full)))?.ok_or(io::ErrorKind::NotFound)?
        }
    };
    let all = split_details(&bytes).filter(|all| all.len() >= usize::from(at.width()));
    all.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// Each detail is a 4-byte length and its bytes.
fn split_details(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    while let Some((len, rest)) = bytes.split_first_chunk::<4>() {
        let (detail, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)?;
        all.push(detail.to_vec());
        bytes = rest;
    }
    bytes.is_empty().then_some(all)
}

pub(super) fn append_detail(out: &mut Vec<u8>, detail: &[u8]) {
    out.extend_from_slice(&u32::try_from(detail.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(detail);
}
