//! Nodes of a tree from its tiles: roots of earlier sizes, and proofs of inclusion.
//!
//! Nothing read here is believed: who asks compares the root, or checks the proof against a signed one.

use std::{collections::HashMap, fs, vec};

use crate::{
    hash::{Frontier, Hash, node_hash, root_of},
    tile::{Level, TILE_WIDTH, Tile},
    tree::{ReadError, Tree},
};

/// A full tile of hashes.
const TILE_BYTES_MAX: u64 = 32 * TILE_WIDTH;
/// Levels of tiles of the largest tree.
const LEVELS: u8 = 8;
/// Tiles kept in memory, 8 KiB each.
const KEPT_MAX: usize = 256;

/// Why a node cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NodeError {
    #[error("the file `{0}` is missing")]
    Missing(String),
    #[error("the file `{0}` cannot be read or has a wrong length")]
    Unreadable(String),
    #[error("the tree has no entry `{index}` at size `{size}`")]
    Outside { index: u64, size: u64 },
}

/// Reads at least the first `tile.width` items of a tile into `buffer`, from whatever file of the tree holds
/// them, and returns how many it holds.
pub(crate) fn read_tile(
    tree: &Tree,
    tile: &Tile,
    limit: u64,
    buffer: &mut Vec<u8>,
) -> Result<u64, NodeError> {
    for width in std::iter::once(tile.width).chain(Longer::new(tree, tile)) {
        let candidate = Tile { width, ..*tile };
        match tree.read_tile(&candidate, limit, buffer) {
            Ok(()) => return Ok(width),
            // A partial tile may be replaced by a longer one while we look.
            Err(ReadError::Missing) => {}
            Err(_) => return Err(NodeError::Unreadable(candidate.to_string())),
        }
    }
    Err(NodeError::Missing(tile.to_string()))
}

/// Widths of the longer partial tiles that lie there, found out when the first is asked for.
struct Longer<'t> {
    tree: &'t Tree,
    tile: &'t Tile,
    found: Option<vec::IntoIter<u64>>,
}

impl<'t> Longer<'t> {
    fn new(tree: &'t Tree, tile: &'t Tile) -> Self {
        Self { tree, tile, found: None }
    }

    fn look(&self) -> vec::IntoIter<u64> {
        let full = Tile { width: TILE_WIDTH, ..*self.tile };
        let names = fs::read_dir(self.tree.path(&format!("{full}.p"))).into_iter().flatten().flatten();
        let widths = names.filter_map(|item| item.file_name().to_str()?.parse().ok());
        let mut widths: Vec<u64> =
            widths.filter(|width| (self.tile.width + 1..TILE_WIDTH).contains(width)).collect();
        widths.sort_unstable();
        widths.into_iter()
    }
}

impl Iterator for Longer<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.found.is_none() {
            self.found = Some(self.look());
        }
        self.found.as_mut()?.next()
    }
}

/// The hash tiles of one tree.
pub(crate) struct Nodes<'t> {
    tree: &'t Tree,
    kept: HashMap<(u8, u64), Vec<Hash>>,
}

impl<'t> Nodes<'t> {
    pub(crate) fn new(tree: &'t Tree) -> Self {
        Self { tree, kept: HashMap::new() }
    }

    /// The root of the tree when it had `size` leaves.
    pub(crate) fn root_at(&mut self, size: u64) -> Result<Hash, NodeError> {
        let mut frontier = Frontier::default();
        for level in (0..LEVELS).rev() {
            let count = Level::Hashes(level).count(size);
            let first = Level::Hashes(level.saturating_add(1)).count(size).saturating_mul(TILE_WIDTH);
            if count > first {
                let hashes = self.hashes(level, first / TILE_WIDTH, 0, count - first)?;
                hashes.iter().for_each(|hash| frontier.push(8 * level, *hash));
            }
        }
        Ok(frontier.root())
    }

    /// The proof that leaf `index` is in the tree of `size` leaves.
    pub(crate) fn inclusion(&mut self, index: u64, size: u64) -> Result<Vec<Hash>, NodeError> {
        if index >= size {
            return Err(NodeError::Outside { index, size });
        }
        let (mut low, mut high, mut proof) = (0, size, Vec::new());
        // From the root down; each step names the sibling.
        while high - low > 1 {
            let middle = low + split(high - low);
            if index < middle {
                proof.push(self.range(middle, high)?);
                high = middle;
            } else {
                proof.push(self.range(low, middle)?);
                low = middle;
            }
        }
        proof.reverse();
        Ok(proof)
    }

    /// RFC 6962's hash of the leaves `low..high`, where `low` is a multiple of the largest power of two in it.
    fn range(&mut self, low: u64, high: u64) -> Result<Hash, NodeError> {
        let length = high - low;
        if length.is_power_of_two() {
            return self.subtree(length.trailing_zeros(), low);
        }
        let middle = low + split(length);
        let (left, right) = (self.range(low, middle)?, self.range(middle, high)?);
        Ok(node_hash(&left, &right))
    }

    /// The root of a complete subtree of 2^`height` leaves that begins at leaf `low`.
    fn subtree(&mut self, height: u32, low: u64) -> Result<Hash, NodeError> {
        // Bounded by 7, so both casts are exact.
        let (level, width) = ((height / 8) as u8, 1_u64 << (height % 8));
        let first = low >> (8 * (height / 8));
        Ok(root_of(self.hashes(level, first / TILE_WIDTH, first % TILE_WIDTH, width)?))
    }

    fn hashes(&mut self, level: u8, tile: u64, from: u64, count: u64) -> Result<&[Hash], NodeError> {
        let end = from + count;
        let enough = |tile: &Vec<Hash>| tile.len() as u64 >= end;
        if !self.kept.get(&(level, tile)).is_some_and(enough) {
            let read = self.load(level, tile, end)?;
            if self.kept.len() >= KEPT_MAX {
                self.kept.clear();
            }
            self.kept.insert((level, tile), read);
        }
        let short = || {
            NodeError::Unreadable(Tile { level: Level::Hashes(level), index: tile, width: end }.to_string())
        };
        let range = usize::try_from(from).ok().zip(usize::try_from(end).ok());
        let (from, end) = range.ok_or_else(short)?;
        self.kept.get(&(level, tile)).and_then(|tile| tile.get(from..end)).ok_or_else(short)
    }

    fn load(&self, level: u8, tile: u64, width: u64) -> Result<Vec<Hash>, NodeError> {
        let mut bytes = Vec::new();
        let tile = Tile { level: Level::Hashes(level), index: tile, width };
        let read = read_tile(self.tree, &tile, TILE_BYTES_MAX, &mut bytes)?;
        let (hashes, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() || hashes.len() as u64 != read {
            return Err(NodeError::Unreadable(Tile { width: read, ..tile }.to_string()));
        }
        Ok(hashes.to_vec())
    }
}

/// The largest power of two below `length`, which is at least 2.
fn split(length: u64) -> u64 {
    1 << (63 - (length - 1).leading_zeros())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use crate::hash::{leaf_hash, root_from_proof};

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|n| leaf_hash(&n.to_be_bytes(), &mut Vec::new())).collect()
    }

    fn publish(folder: &Path, hashes: &[Hash]) {
        let (mut hashes, mut level) = (hashes.to_vec(), 0);
        while !hashes.is_empty() {
            for (index, chunk) in hashes.chunks(256).enumerate() {
                let tile =
                    Tile { level: Level::Hashes(level), index: index as u64, width: chunk.len() as u64 };
                let path = folder.join(tile.to_string());
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, chunk.concat()).unwrap();
            }
            hashes = hashes.chunks_exact(256).map(root_of).collect();
            level += 1;
        }
    }

    #[test]
    fn roots_of_all_earlier_sizes_and_proofs_in_them_come_from_the_newest_tiles() {
        let all = leaves(67_000);
        let folder = TempDir::new().unwrap();
        publish(folder.path(), &all);
        let tree = Tree::new(folder.path());
        let mut nodes = Nodes::new(&tree);
        for size in [0, 1, 2, 3, 255, 256, 257, 511, 512, 1000, 65_535, 65_536, 65_537, 66_999, 67_000] {
            let root = root_of(&all[..size]);
            let size = size as u64;
            assert_eq!(nodes.root_at(size).unwrap(), root, "{size}");
            for index in [0, 1, 5, size / 3, size / 2, size.saturating_sub(1)] {
                let Ok(proof) = nodes.inclusion(index, size) else {
                    assert!(index >= size);
                    continue;
                };
                let leaf = all[index as usize];
                assert_eq!(root_from_proof(leaf, index, size, &proof), Some(root), "{index} of {size}");
            }
        }
        assert!(nodes.root_at(67_001).is_err());
        assert!(nodes.inclusion(67_000, 67_000).is_err());
    }

    #[test]
    fn a_tile_of_another_length_is_refused() {
        let folder = TempDir::new().unwrap();
        publish(folder.path(), &leaves(300));
        let tile = folder.path().join("tile/0/000");
        fs::write(&tile, vec![0; 8191]).unwrap();
        let tree = Tree::new(folder.path());
        assert!(matches!(Nodes::new(&tree).inclusion(0, 300), Err(NodeError::Unreadable(_))));
        fs::remove_file(tile).unwrap();
        assert!(matches!(Nodes::new(&tree).inclusion(0, 300), Err(NodeError::Missing(_))));
    }

    proptest! {
        #[test]
        fn sizes_near_the_end_are_errors_and_no_panics(index: u64, size in (u64::MAX - 300)..=u64::MAX) {
            let tree = Tree::new(Path::new("/nonexistent"));
            prop_assert!(Nodes::new(&tree).root_at(size).is_err());
            prop_assert!(Nodes::new(&tree).inclusion(index, size).is_err());
        }
    }
}
