//! The published tree on disk: what lies there, and reading it with a limit.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;

use crate::{
    hash::Hash,
    tile::{Level, Standing, TILE_WIDTH, Tile},
};

/// Deeper than any path of the layout; a loop of folders ends here.
const DEPTH_MAX: usize = 12;

/// The root folder of a published tree.
pub(crate) struct Tree {
    root: PathBuf,
}

/// Why a file has no content for us.
#[derive(Debug)]
pub(crate) enum ReadError {
    Missing,
    TooLong,
    Unreadable(io::Error),
}

impl Tree {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The place on disk of a path of the layout.
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Reads a whole file into `buffer`.
    pub(crate) fn read(&self, relative: &str, limit: u64, buffer: &mut Vec<u8>) -> Result<(), ReadError> {
        buffer.clear();
        let result = File::open(self.path(relative))
            .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(buffer));
        match result {
            Ok(length) if length as u64 > limit => Err(ReadError::TooLong),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ReadError::Missing),
            Err(error) => Err(ReadError::Unreadable(error)),
        }
    }

    /// Lists the tree and sorts every file by what it is to a log of `size` entries.
    pub(crate) fn inventory(&self, size: u64) -> io::Result<Inventory> {
        let mut inventory = Inventory { size, ..Inventory::default() };
        walk(&self.root, "", 0, &mut |path, regular| inventory.add(path, regular))?;
        Ok(inventory)
    }
}

/// What lies in a tree, apart from the files that must be there.
#[derive(Default)]
pub(crate) struct Inventory {
    size: u64,
    /// Widths of partial tiles of earlier sizes.
    older: BTreeMap<(Level, u64), Vec<u64>>,
    /// One more than the greatest index of a bundle.
    pub(crate) bundles: u64,
    pub(crate) tag_lists: HashSet<Hash>,
    pub(crate) rulebooks: BTreeSet<Hash>,
    /// Files that have no place here.
    pub(crate) strangers: Vec<String>,
}

impl Inventory {
    /// Widths of the older partial files of a tile that are still there.
    pub(crate) fn older(&self, level: Level, index: u64) -> &[u64] {
        self.older.get(&(level, index)).map_or(&[], Vec::as_slice)
    }

    fn add(&mut self, path: &str, regular: bool) {
        if !regular || !self.is_known(path) {
            self.strangers.push(path.to_owned());
        }
    }

    fn is_known(&mut self, path: &str) -> bool {
        if let Some(tile) = Tile::parse(path) {
            return self.add_tile(&tile);
        }
        if let Some(root) = path.strip_prefix("tags/") {
            return hex(root).map(|root| self.tag_lists.insert(root)).is_some();
        }
        if let Some((digest, _)) = path.strip_prefix("rulebook/").and_then(|rest| rest.split_once('/')) {
            return hex(digest).map(|digest| self.rulebooks.insert(digest)).is_some();
        }
        path == "checkpoint"
    }

    fn add_tile(&mut self, tile: &Tile) -> bool {
        let standing = tile.standing(self.size);
        if standing == Standing::Beyond {
            return false;
        }
        if tile.level == Level::Entries {
            self.bundles = self.bundles.max(tile.index.saturating_add(1));
        }
        if standing == Standing::Older && tile.width < TILE_WIDTH {
            self.older.entry((tile.level, tile.index)).or_default().push(tile.width);
        }
        true
    }
}

/// A hash in the one spelling that paths use.
pub(crate) fn hex(text: &str) -> Option<Hash> {
    HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok()
}

/// The path of a hash in a folder of the layout.
pub(crate) fn hex_of(hash: &Hash) -> String {
    HEXLOWER.encode(hash)
}

fn walk(folder: &Path, relative: &str, depth: usize, visit: &mut dyn FnMut(&str, bool)) -> io::Result<()> {
    for item in fs::read_dir(folder)? {
        let item = item?;
        let name = item.file_name();
        // A name that is not UTF-8 is no path of the layout, however it is shown.
        let name = name.to_string_lossy();
        let path = if relative.is_empty() { name.into_owned() } else { format!("{relative}/{name}") };
        let kind = item.file_type()?;
        if kind.is_dir() && depth < DEPTH_MAX {
            walk(&item.path(), &path, depth + 1, visit)?;
        } else {
            visit(&path, kind.is_file());
        }
    }
    Ok(())
}
