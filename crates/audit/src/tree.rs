//! The published tree on disk: what lies there, and reading it with a limit.

mod pack;

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;

pub(crate) use self::pack::Pack;
use crate::{
    bundle,
    hash::Hash,
    runs::Sorter,
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

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::NotFound { Self::Missing } else { Self::Unreadable(error) }
    }
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
            Err(error) => Err(error.into()),
        }
    }

    /// Reads a tile from its own file, from the start of the full tile, or from its pack.
    pub(crate) fn read_tile(&self, tile: &Tile, limit: u64, buffer: &mut Vec<u8>) -> Result<(), ReadError> {
        match self.read(&tile.to_string(), limit, buffer) {
            Err(ReadError::Missing) => {}
            result => return result,
        }
        let full = Tile { width: TILE_WIDTH, ..*tile };
        match self.read_single_or_packed(&full, tile.width < TILE_WIDTH, limit, buffer) {
            Ok(()) if tile.width < TILE_WIDTH => bundle::cut(tile, buffer),
            result => result,
        }
    }

    fn read_single_or_packed(
        &self,
        full: &Tile,
        single: bool,
        limit: u64,
        buffer: &mut Vec<u8>,
    ) -> Result<(), ReadError> {
        if single {
            match self.read(&full.to_string(), limit, buffer) {
                Err(ReadError::Missing) => {}
                result => return result,
            }
        }
        self.read_packed(full, limit, buffer)
    }

    /// Reads a full tile from its pack.
    pub(crate) fn read_packed(&self, tile: &Tile, limit: u64, buffer: &mut Vec<u8>) -> Result<(), ReadError> {
        let Some(pack) = Pack::of(tile) else { return Err(ReadError::Missing) };
        pack.read(&self.path(&pack.to_string()), tile, limit, buffer)
    }

    /// Widths of the partial files of a tile that are less than `tile.width`, ascending.
    pub(crate) fn older(&self, tile: &Tile) -> Vec<u64> {
        let partial = Tile { width: 1, ..*tile }.to_string();
        let folder = partial.strip_suffix("/1").unwrap_or(&partial);
        // A folder that is not there, or cannot be listed, holds nothing older to compare.
        let Ok(items) = fs::read_dir(self.path(folder)) else { return Vec::new() };
        let widths = items.filter_map(|item| item.ok()?.file_name().to_str()?.parse().ok());
        let mut widths: Vec<u64> = widths.filter(|width| (1..tile.width).contains(width)).collect();
        widths.sort_unstable();
        widths
    }

    /// Lists the tree and sorts every file by what it is to a log of `size` entries.
    ///
    /// Holds at most `records_max` names of tag lists in memory.
    pub(crate) fn inventory(&self, size: u64, records_max: usize) -> io::Result<Inventory> {
        let mut inventory = Inventory {
            size,
            bundles: 0,
            tag_lists: Sorter::new(records_max),
            rulebooks: BTreeSet::new(),
            packs: BTreeSet::new(),
            strangers: Vec::new(),
            strangers_unlisted: 0,
        };
        walk(&self.root, "", 0, &mut |path, regular| inventory.add(path, regular))?;
        Ok(inventory)
    }
}

/// What lies in a tree, apart from the files that must be there.
pub(crate) struct Inventory {
    size: u64,
    /// One more than the greatest index of a bundle.
    pub(crate) bundles: u64,
    pub(crate) tag_lists: Sorter<32>,
    pub(crate) rulebooks: BTreeSet<Hash>,
    pub(crate) packs: BTreeSet<Pack>,
    /// Files that have no place here; at most [`STRANGERS_MAX`].
    pub(crate) strangers: Vec<String>,
    pub(crate) strangers_unlisted: u64,
}

/// Files without a place, and rulebooks, that are listed by name.
const STRANGERS_MAX: usize = 10_000;

impl Inventory {
    fn add(&mut self, path: &str, regular: bool) -> io::Result<()> {
        if regular && self.is_known(path)? {
            return Ok(());
        }
        if self.strangers.len() < STRANGERS_MAX {
            self.strangers.push(path.to_owned());
        } else {
            self.strangers_unlisted += 1;
        }
        Ok(())
    }

    fn is_known(&mut self, path: &str) -> io::Result<bool> {
        if let Some(tile) = Tile::parse(path) {
            return Ok(self.add_tile(&tile));
        }
        if let Some(pack) = Pack::parse(path) {
            return Ok(pack.last_tile().is_some_and(|last| self.add_tile(&last)) && self.packs.insert(pack));
        }
        if let Some(root) = path.strip_prefix("tags/") {
            let Some(root) = hex(root) else { return Ok(false) };
            self.tag_lists.push(root)?;
            return Ok(true);
        }
        if let Some((digest, _)) = path.strip_prefix("rulebook/").and_then(|rest| rest.split_once('/')) {
            let room = self.rulebooks.len() < STRANGERS_MAX;
            return Ok(hex(digest).is_some_and(|digest| {
                let known = self.rulebooks.contains(&digest);
                known || room && self.rulebooks.insert(digest)
            }));
        }
        Ok(path == "checkpoint")
    }

    fn add_tile(&mut self, tile: &Tile) -> bool {
        if tile.standing(self.size) == Standing::Beyond {
            return false;
        }
        if tile.level == Level::Entries {
            self.bundles = self.bundles.max(tile.index.saturating_add(1));
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

fn walk(
    folder: &Path,
    relative: &str,
    depth: usize,
    visit: &mut dyn FnMut(&str, bool) -> io::Result<()>,
) -> io::Result<()> {
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
            visit(&path, kind.is_file())?;
        }
    }
    Ok(())
}
