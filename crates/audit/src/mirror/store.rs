//! The tree of one log on the mirror's disk, in the published layout.
//!
//! Hash tiles are computed from the entries and never fetched: every entry must be hashed anyway to know that
//! it leads to the signed root, and its hashes are the tiles. To fetch them too would cost two requests for
//! each bundle instead of one, and comparing would show nothing that the root does not.
//!
//! Order of writing: bundles and tiles, then one flush, then the checkpoint. What lies beyond the checkpoint
//! means nothing, and is removed at the start.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    bundle::split_leaves,
    checkpoint::Checkpoint,
    durable,
    hash::{Frontier, Hash, leaf_hash, root_of, sha256},
    note::{NOTE_BYTES_MAX, open},
    tile::{Level, TILE_WIDTH, Tile},
    tree::{ReadError, Tree},
};

/// Levels of tiles of the largest tree.
const LEVELS: u8 = 8;
/// Up to so many files are flushed one by one; more, and the whole file system is cheaper.
const SINGLE_FLUSHES_MAX: usize = 24;
/// Folders that are known to be there.
const FOLDERS_MAX: usize = 4096;
/// The longest file of a tile or a bundle: 256 leaves of a 2-byte length.
const FILE_BYTES_MAX: u64 = 256 * (2 + 65_535);

/// How far a tree has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) size: u64,
    pub(crate) root: Hash,
}

impl Head {
    pub(crate) fn empty() -> Self {
        Self { size: 0, root: sha256(&[]) }
    }
}

/// Why the mirror cannot keep a tree.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("cannot write or read the mirror's own tree: {0}")]
    Io(#[from] io::Error),
    #[error("the mirror's own tree is damaged: {0}")]
    Damaged(String),
    #[error("bundle {index} is refused: {why}")]
    Bundle { index: u64, why: String },
    #[error("bundle {0} has other entries than those that were held")]
    Changed(u64),
    #[error("the entries up to {0} do not lead to the signed root")]
    Root(u64),
}

/// A tree on disk, up to its checkpoint.
pub(crate) struct Store {
    folder: PathBuf,
    /// For drafts of files; on the same file system.
    temporary: PathBuf,
    head: Head,
    /// The signed note of the head; empty for an empty tree.
    checkpoint: Vec<u8>,
    /// The hashes of the last tile of each level that is not full.
    levels: Vec<Vec<Hash>>,
    /// The partial tiles of the head.
    partials: Vec<PathBuf>,
}

impl Store {
    /// Opens the tree in `folder`, or begins one, and removes what a crash left beyond its checkpoint.
    pub(crate) fn open(folder: &Path, temporary: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(folder)?;
        let tree = Tree::new(folder);
        let mut checkpoint = Vec::new();
        let head = match tree.read("checkpoint", NOTE_BYTES_MAX, &mut checkpoint) {
            Ok(()) => {
                let text = open(&checkpoint, &[]).map_err(|error| StoreError::Damaged(error.to_string()))?;
                let read = Checkpoint::read(text).map_err(|error| StoreError::Damaged(error.to_string()))?;
                Head { size: read.size, root: read.root }
            }
            Err(ReadError::Missing) => Head::empty(),
            Err(ReadError::TooLong) => return Err(StoreError::Damaged("the checkpoint is too long".into())),
            Err(ReadError::Unreadable(error)) => return Err(error.into()),
        };
        let levels = load_levels(&tree, head.size)?;
        if root(&levels) != head.root {
            return Err(StoreError::Damaged("its tiles do not lead to the root of its checkpoint".into()));
        }
        remove_beyond(folder, head.size)?;
        let (folder, temporary) = (folder.to_owned(), temporary.to_owned());
        let partials = partial_tiles(head.size).map(|tile| folder.join(tile.to_string())).collect();
        Ok(Self { folder, temporary, head, checkpoint, levels, partials })
    }

    pub(crate) fn head(&self) -> Head {
        self.head
    }

    pub(crate) fn checkpoint(&self) -> &[u8] {
        &self.checkpoint
    }

    /// The newest entry.
    pub(crate) fn last_leaf(&self) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(last) = self.head.size.checked_sub(1) else { return Ok(None) };
        let width = last % TILE_WIDTH + 1;
        let tile = Tile { level: Level::Entries, index: last / TILE_WIDTH, width };
        let bytes = read(&Tree::new(&self.folder), &tile)?;
        let leaves = split_leaves(&bytes, width, usize::MAX).map_err(StoreError::Damaged)?;
        Ok(leaves.last().map(|leaf| leaf.to_vec()))
    }

    /// Begins to add entries. Nothing counts before [`Store::commit`].
    pub(crate) fn begin(&self) -> Growth {
        Growth {
            folder: self.folder.clone(),
            size: self.head.size,
            levels: self.levels.clone(),
            held: self.partials.clone(),
            last_bundle: None,
            folders: HashSet::new(),
            written: Vec::new(),
            many: false,
            scratch: Vec::new(),
        }
    }

    /// Takes what has grown if it leads to the checkpoint, and makes it durable before the checkpoint is.
    pub(crate) fn commit(
        &mut self,
        mut growth: Growth,
        target: &Checkpoint,
        note: &[u8],
    ) -> Result<(), StoreError> {
        growth.leads_to(target)?;
        let partials = growth.write_partials()?;
        growth.flush()?;
        durable::replace(&self.temporary, &self.folder.join("checkpoint"), note)?;
        self.head = Head { size: target.size, root: target.root };
        self.checkpoint = note.to_vec();
        self.levels = growth.levels;
        for old in std::mem::replace(&mut self.partials, partials) {
            if !self.partials.contains(&old) {
                remove_partial(&old)?;
            }
        }
        Ok(())
    }

    /// Keeps another note of the same head, which may bear more signatures.
    pub(crate) fn renote(&mut self, note: &[u8]) -> Result<(), StoreError> {
        if note != self.checkpoint {
            durable::replace(&self.temporary, &self.folder.join("checkpoint"), note)?;
            self.checkpoint = note.to_vec();
        }
        Ok(())
    }
}

/// Entries that are being added.
pub(crate) struct Growth {
    folder: PathBuf,
    size: u64,
    levels: Vec<Vec<Hash>>,
    /// Partial tiles that the checkpoint counts.
    held: Vec<PathBuf>,
    /// The bundle that is not full, as it was fetched.
    last_bundle: Option<Vec<u8>>,
    folders: HashSet<PathBuf>,
    written: Vec<PathBuf>,
    many: bool,
    scratch: Vec<u8>,
}

impl Growth {
    /// Adds the entries of a bundle that are new. The first of them that are held must be those held.
    pub(crate) fn bundle(&mut self, index: u64, bytes: &[u8], leaves: &[&[u8]]) -> Result<(), StoreError> {
        let held = self.levels.first().map_or(0, Vec::len);
        let in_order = index == self.size / TILE_WIDTH && leaves.len() > held;
        if !in_order {
            return Err(StoreError::Bundle { index, why: "it is not the next one".into() });
        }
        let hashes: Vec<Hash> = leaves.iter().map(|leaf| leaf_hash(leaf, &mut self.scratch)).collect();
        if let Some(known) = self.levels.first()
            && !hashes.starts_with(known)
        {
            return Err(StoreError::Changed(index));
        }
        self.size += (leaves.len() - held) as u64;
        if (leaves.len() as u64) < TILE_WIDTH {
            self.last_bundle = Some(bytes.to_vec());
            self.set_level(0, hashes);
            return Ok(());
        }
        self.last_bundle = None;
        self.write(&Tile { level: Level::Entries, index, width: TILE_WIDTH }, bytes)?;
        self.write(&Tile { level: Level::Hashes(0), index, width: TILE_WIDTH }, hashes.as_flattened())?;
        self.set_level(0, Vec::new());
        self.carry(index, root_of(&hashes))
    }

    /// Checks that the entries are just those that the checkpoint counts.
    pub(crate) fn leads_to(&self, target: &Checkpoint) -> Result<(), StoreError> {
        if self.size == target.size && root(&self.levels) == target.root {
            return Ok(());
        }
        Err(StoreError::Root(target.size))
    }

    /// Hands the root of a full tile up, through as many levels as it fills.
    fn carry(&mut self, mut place: u64, mut root: Hash) -> Result<(), StoreError> {
        for level in 1..LEVELS {
            let mut hashes = self.levels.get_mut(usize::from(level)).map(std::mem::take).unwrap_or_default();
            hashes.push(root);
            let index = place / TILE_WIDTH;
            if (hashes.len() as u64) < TILE_WIDTH {
                self.set_level(level, hashes);
                return Ok(());
            }
            let tile = Tile { level: Level::Hashes(level), index, width: TILE_WIDTH };
            self.write(&tile, hashes.as_flattened())?;
            self.set_level(level, Vec::new());
            (place, root) = (index, root_of(&hashes));
        }
        Ok(())
    }

    fn set_level(&mut self, level: u8, hashes: Vec<Hash>) {
        let place = usize::from(level);
        if self.levels.len() <= place {
            self.levels.resize(place + 1, Vec::new());
        }
        if let Some(slot) = self.levels.get_mut(place) {
            *slot = hashes;
        }
    }

    fn write_partials(&mut self) -> Result<Vec<PathBuf>, StoreError> {
        let mut paths = Vec::new();
        for tile in partial_tiles(self.size) {
            let path = self.folder.join(tile.to_string());
            // A tile of an upper level is often the same as before; a file that counts is never written again.
            let held = self.held.contains(&path);
            paths.push(path);
            if held {
                continue;
            }
            let Level::Hashes(level) = tile.level else {
                // Absent only if the last bundle is the one that was held, which cannot be when it has grown.
                if let Some(bundle) = self.last_bundle.take() {
                    self.write(&tile, &bundle)?;
                }
                continue;
            };
            let hashes = self.levels.get(usize::from(level)).cloned().unwrap_or_default();
            self.write(&tile, hashes.as_flattened())?;
        }
        Ok(paths)
    }

    /// Writes in place: until the checkpoint counts it, nobody reads it.
    fn write(&mut self, tile: &Tile, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.folder.join(tile.to_string());
        if let Some(folder) = path.parent()
            && !self.folders.contains(folder)
        {
            fs::create_dir_all(folder)?;
            if self.folders.len() >= FOLDERS_MAX {
                self.folders.clear();
            }
            self.folders.insert(folder.to_owned());
        }
        fs::write(&path, bytes)?;
        self.wrote(path);
        Ok(())
    }

    /// Notes a file that must be durable before the checkpoint is.
    pub(crate) fn wrote(&mut self, path: PathBuf) {
        if self.written.len() < SINGLE_FLUSHES_MAX {
            self.written.push(path);
        } else {
            self.many = true;
        }
    }

    fn flush(&self) -> io::Result<()> {
        if self.many {
            return durable::sync_all(&self.folder);
        }
        let mut folders = HashSet::new();
        for path in &self.written {
            fs::File::open(path)?.sync_all()?;
            // A new folder is a name in the folder above it.
            folders.extend(path.ancestors().skip(1).take_while(|above| above.starts_with(&self.folder)));
        }
        folders.into_iter().try_for_each(durable::sync_folder)
    }
}

/// The tiles of a tree of this size that are not full, the bundle first.
fn partial_tiles(size: u64) -> impl Iterator<Item = Tile> {
    let levels = (0..LEVELS).map(Level::Hashes);
    std::iter::once(Level::Entries).chain(levels).filter_map(move |level| {
        let count = level.count(size);
        let width = count % TILE_WIDTH;
        (width > 0).then_some(Tile { level, index: count / TILE_WIDTH, width })
    })
}

fn root(levels: &[Vec<Hash>]) -> Hash {
    let mut frontier = Frontier::default();
    for (level, hashes) in (0..LEVELS).zip(levels).rev() {
        hashes.iter().for_each(|hash| frontier.push(8 * level, *hash));
    }
    frontier.root()
}

fn load_levels(tree: &Tree, size: u64) -> Result<Vec<Vec<Hash>>, StoreError> {
    let mut levels = Vec::new();
    for level in (0..LEVELS).map(Level::Hashes) {
        let count = level.count(size);
        if count == 0 {
            break;
        }
        let width = count % TILE_WIDTH;
        if width == 0 {
            levels.push(Vec::new());
            continue;
        }
        let tile = Tile { level, index: count / TILE_WIDTH, width };
        let bytes = read(tree, &tile)?;
        let (hashes, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() || hashes.len() as u64 != width {
            return Err(StoreError::Damaged(format!("`{tile}` has a wrong length")));
        }
        levels.push(hashes.to_vec());
    }
    Ok(levels)
}

fn read(tree: &Tree, tile: &Tile) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    match tree.read_tile(tile, FILE_BYTES_MAX, &mut bytes) {
        Ok(()) => Ok(bytes),
        Err(ReadError::Unreadable(error)) => Err(error.into()),
        Err(_) => Err(StoreError::Damaged(format!("`{tile}` is missing or too long"))),
    }
}

/// Removes tiles that a tree of this size does not have. They were written in order: the first that is not
/// there is the end.
fn remove_beyond(folder: &Path, size: u64) -> io::Result<()> {
    for level in std::iter::once(Level::Entries).chain((0..LEVELS).map(Level::Hashes)) {
        let count = level.count(size);
        for index in count / TILE_WIDTH.. {
            let full = folder.join(Tile { level, index, width: TILE_WIDTH }.to_string());
            let found_full = gone(fs::remove_file(&full))?;
            let keep = if index == count / TILE_WIDTH { count % TILE_WIDTH } else { 0 };
            let found_partial = remove_partials(&full.with_added_extension("p"), keep)?;
            if !found_full && !found_partial && index > count / TILE_WIDTH {
                break;
            }
        }
    }
    Ok(())
}

fn remove_partials(folder: &Path, keep: u64) -> io::Result<bool> {
    let items = match fs::read_dir(folder) {
        Ok(items) => items,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    for item in items {
        let item = item?;
        if item.file_name().to_str() != Some(&keep.to_string()) {
            fs::remove_file(item.path())?;
        }
    }
    if keep == 0 {
        fs::remove_dir(folder)?;
    }
    Ok(true)
}

fn remove_partial(path: &Path) -> io::Result<()> {
    gone(fs::remove_file(path))?;
    if let Some(folder) = path.parent() {
        // It may hold the next one.
        let _ = fs::remove_dir(folder);
    }
    Ok(())
}

fn gone(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
