//! The files of the published tree and the details beside them: where they lie, and how they are read.
//!
//! Every file but the two checkpoints is written under a name that no older file of a flushed tree has,
//! so that a crash while it is written cannot take anything flushed with it.

use std::io;
use std::path::Path;

use ledger::tile::{FULL_WIDTH, TileCoordinates, TileError, append_entry, split_bundle};

use super::packs::{self, Kind};
use crate::disk::Disk;

/// Path of a tile or bundle.
pub(super) fn tile_path(at: TileCoordinates) -> String {
    format!("{PUBLIC}{at}")
}

/// Where the details of a bundle lie; not in the public tree.
pub(super) fn detail_path(bundle: TileCoordinates) -> String {
    bundle.as_entries().to_string().replacen("tile/entries", "details", 1)
}

pub(super) fn full(at: TileCoordinates) -> Result<TileCoordinates, TileError> {
    match at.level() {
        Some(level) => TileCoordinates::hashes(level, at.index(), FULL_WIDTH),
        None => TileCoordinates::entries(at.index(), FULL_WIDTH),
    }
}

/// A tile or bundle from its single file; packs hold nothing that a restart begins with. A partial one that
/// was already replaced by the full one is cut from it.
pub(super) fn tile(disk: &dyn Disk, at: TileCoordinates) -> io::Result<Vec<u8>> {
    single(disk, PUBLIC, at)?.ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Where the public tree lies in the log's folder.
pub(super) const PUBLIC: &str = "ledger/";

fn single(disk: &dyn Disk, prefix: &str, at: TileCoordinates) -> io::Result<Option<Vec<u8>>> {
    if let Some(bytes) = disk.read(Path::new(&format!("{prefix}{at}")))? {
        return Ok(Some(bytes));
    }
    if !at.is_partial() {
        return Ok(None);
    }
    let full = full(at).map_err(io::Error::other)?;
    let whole = disk.read(Path::new(&format!("{prefix}{full}")))?;
    whole.map(|bytes| cut(bytes, FULL_WIDTH, at)).transpose()
}

/// The beginning of a wider tile or bundle of the same place.
pub(super) fn cut(mut bytes: Vec<u8>, width: u16, at: TileCoordinates) -> io::Result<Vec<u8>> {
    if width == at.width() {
        return Ok(bytes);
    }
    if let Some(length) = at.byte_length() {
        bytes.truncate(length);
        return Ok(bytes);
    }
    let entries = split_bundle(&bytes, width).map_err(io::Error::other)?;
    let mut cut = Vec::new();
    for entry in entries.iter().take(usize::from(at.width())) {
        append_entry(&mut cut, entry).map_err(io::Error::other)?;
    }
    Ok(cut)
}

/// A public tree with its packs, or a copy of one.
#[derive(Clone, Copy)]
pub(super) struct Tree<'a> {
    pub(super) disk: &'a dyn Disk,
    /// What its paths begin with.
    pub(super) prefix: &'static str,
    /// Tiles in a pack.
    pub(super) pack_tiles: u16,
}

impl<'a> Tree<'a> {
    /// The tree of a log's folder.
    pub(super) fn of(disk: &'a dyn Disk, pack_tiles: u16) -> Self {
        Self { disk, prefix: PUBLIC, pack_tiles }
    }

    /// A tile or bundle: from its single file, from the full one, from a pack, or from a wider partial one.
    pub(super) fn tile(&self, at: TileCoordinates) -> io::Result<Vec<u8>> {
        if let Some(bytes) = self.single(at)? {
            return Ok(bytes);
        }
        if let Some(bytes) = self.packed(at)? {
            return Ok(bytes);
        }
        // The full one may have gone into a pack between the two, or a partial one may have been replaced.
        if let Some(bytes) = self.single(at)? {
            return Ok(bytes);
        }
        self.wider(at)?.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// From the file of just this width.
    pub(super) fn exact(&self, at: TileCoordinates) -> io::Result<Option<Vec<u8>>> {
        self.disk.read(Path::new(&format!("{}{at}", self.prefix)))
    }

    /// From its single file, or the full one's.
    pub(super) fn single(&self, at: TileCoordinates) -> io::Result<Option<Vec<u8>>> {
        single(self.disk, self.prefix, at)
    }

    /// From a pack.
    pub(super) fn packed(&self, at: TileCoordinates) -> io::Result<Option<Vec<u8>>> {
        let kind = at.level().map_or(Kind::Entries, Kind::Hashes);
        let bytes = self.slice(kind, at.index())?;
        bytes.map(|bytes| cut(bytes, FULL_WIDTH, at)).transpose()
    }

    fn wider(&self, at: TileCoordinates) -> io::Result<Option<Vec<u8>>> {
        let full = full(at).map_err(io::Error::other)?;
        let folder = format!("{}{full}.p", self.prefix);
        let names = self.disk.list(Path::new(&folder))?;
        let widths = names.iter().filter_map(|n| n.parse::<u16>().ok());
        let Some(width) = widths.filter(|w| *w > at.width() && *w < FULL_WIDTH).min() else {
            return Ok(None);
        };
        let bytes = self.disk.read(Path::new(&format!("{folder}/{width}")))?;
        bytes.map(|bytes| cut(bytes, width, at)).transpose()
    }

    /// What a pack holds of one place.
    pub(super) fn slice(&self, kind: Kind, index: u64) -> io::Result<Option<Vec<u8>>> {
        let width = u64::from(self.pack_tiles.max(1));
        let path = kind.pack(self.prefix, index / width);
        packs::slice(self.disk, Path::new(&path), index % width, width)
    }
}

/// The details of a bundle's entries, at least as many as its width. From single files only.
pub(super) fn details(disk: &dyn Disk, at: TileCoordinates) -> io::Result<Vec<Vec<u8>>> {
    let bytes = single_details(disk, at)?.ok_or(io::ErrorKind::NotFound)?;
    checked_details(&bytes, at)
}

/// The same, also from packs.
pub(super) fn all_details(tree: &Tree<'_>, at: TileCoordinates) -> io::Result<Vec<Vec<u8>>> {
    let bytes = match single_details(tree.disk, at)? {
        Some(bytes) => Some(bytes),
        None => tree.slice(Kind::Details, at.index())?,
    };
    checked_details(&bytes.ok_or(io::ErrorKind::NotFound)?, at)
}

fn single_details(disk: &dyn Disk, at: TileCoordinates) -> io::Result<Option<Vec<u8>>> {
    match disk.read(Path::new(&detail_path(at)))? {
        Some(bytes) => Ok(Some(bytes)),
        None => disk.read(Path::new(&detail_path(full(at).map_err(io::Error::other)?))),
    }
}

fn checked_details(bytes: &[u8], at: TileCoordinates) -> io::Result<Vec<Vec<u8>>> {
    let all = split_details(bytes).filter(|all| all.len() >= usize::from(at.width()));
    all.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// Each detail is a 4-byte length and its bytes.
pub(super) fn split_details(mut bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
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
