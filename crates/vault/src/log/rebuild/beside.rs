//! The folder in which a tree is derived, until it takes the place of the old one.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use ledger::tile::Tile;

use super::FOLDER;
use crate::disk::Disk;
use crate::log::packs::{Builder, Kind};

/// Bytes of a full hash tile.
const TILE_BYTES: usize = 8192;

/// Takes tiles in order: full groups become packs, the rest single files. Holds less than a group of each
/// level.
pub(super) struct Beside<'a> {
    disk: &'a dyn Disk,
    pack_tiles: u64,
    /// The open group of each level, and its first tile.
    open: BTreeMap<u8, (u64, Builder)>,
}

impl<'a> Beside<'a> {
    pub(super) fn new(disk: &'a dyn Disk, pack_tiles: u16) -> Self {
        Self { disk, pack_tiles: u64::from(pack_tiles.max(1)), open: BTreeMap::new() }
    }

    /// Writes a file at a path of the tree.
    pub(super) fn put(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        self.disk.put(Path::new(&format!("{FOLDER}{path}")), bytes)
    }

    /// Whether a file was written.
    pub(super) fn has(&self, path: &str) -> io::Result<bool> {
        Ok(self.disk.read_at(Path::new(&format!("{FOLDER}{path}")), 0, 0)?.is_some())
    }

    /// Takes the next full tile of its level.
    pub(super) fn full(&mut self, tile: &Tile) -> io::Result<()> {
        let (Some(level), index) = (tile.at().level(), tile.at().index()) else { return Ok(()) };
        let (_, pack) = self.open.entry(level).or_insert_with(|| (index, Builder::default()));
        if !pack.push(tile.bytes()) {
            return Err(io::Error::other("a pack of hash tiles is too long"));
        }
        if pack.len() as u64 == self.pack_tiles
            && let Some((first, pack)) = self.open.remove(&level)
        {
            let path = Kind::Hashes(level).pack(FOLDER, first / self.pack_tiles);
            self.disk.put(Path::new(&path), &pack.finish())?;
        }
        Ok(())
    }

    /// Writes partial tiles.
    pub(super) fn partial(&self, tiles: Vec<Tile>) -> io::Result<()> {
        tiles.into_iter().try_for_each(|tile| self.put(&tile.at().to_string(), tile.bytes()))
    }

    /// Writes the full tiles of open groups.
    pub(super) fn finish(&self) -> io::Result<()> {
        for (level, (first, pack)) in &self.open {
            for (index, tile) in (*first..).zip(pack.tiles().chunks(TILE_BYTES)) {
                self.disk.put(Path::new(&Kind::Hashes(*level).single(FOLDER, index)), tile)?;
            }
        }
        Ok(())
    }
}

/// Moves every file to the place that it has in a tree.
pub(super) fn move_all(disk: &dyn Disk, prefix: &str) -> io::Result<()> {
    for folder in ["tile", "pack"] {
        for level in disk.list(Path::new(&format!("{FOLDER}{folder}")))? {
            move_folder(disk, prefix, &format!("{folder}/{level}"))?;
        }
    }
    move_folder(disk, prefix, "tags")
}

fn move_folder(disk: &dyn Disk, prefix: &str, folder: &str) -> io::Result<()> {
    for name in disk.list(Path::new(&format!("{FOLDER}{folder}")))? {
        let path = format!("{folder}/{name}");
        if name.starts_with('x') || name.ends_with(".p") {
            move_folder(disk, prefix, &path)?;
        } else if !name.ends_with(".new") {
            disk.rename(Path::new(&format!("{FOLDER}{path}")), Path::new(&format!("{prefix}{path}")))?;
        }
    }
    Ok(())
}
