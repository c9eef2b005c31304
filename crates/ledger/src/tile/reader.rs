//! Reading a log's tiles so that no unauthenticated hash is ever returned.

use std::fmt;

use super::builder::split_hashes;
use super::{
    BITS_PER_LEVEL, FULL_WIDTH, LEVELS_USED, TileCoordinates, TileError, partial_tiles, split_bundle,
};
use crate::merkle::{self, Hash, HashReader, ProveError, TreeHead, leaf_hash, node_hash, subtree_roots};

/// Reads the tree of one trusted head through a `fetch` that need not be trusted.
///
/// INVARIANT: every tile is authenticated before any of its hashes is used or kept. The partial
/// tiles together must lead to the root; a full tile must hash to its place in the tile above it,
/// which was itself authenticated. There is no other way for a tile into this type. (Skipping one
/// of the tiles is the flaw of CVE-2026-56865.)
///
/// It keeps the partial tiles and the last full tile of each level, at most 128 KiB, so reading in
/// order fetches every tile once. A `fetch` that finds a partial tile replaced by the full one may
/// return the full one cut to [`TileCoordinates::byte_length`]. It should not store what it
/// downloads until the read that asked for it has succeeded.
///
/// ```
/// use ledger::merkle::{leaf_hash, verify_inclusion};
/// use ledger::tile::{TileBuilder, TileReader};
///
/// let mut log = TileBuilder::new();
/// let mut tiles = Vec::new();
/// (0..300_u16).for_each(|i| tiles.extend(log.push(leaf_hash(&i.to_be_bytes()))));
/// tiles.extend(log.partial());
///
/// let fetch = |at| tiles.iter().find(|t| t.at() == at).map(|t| t.bytes().to_vec()).ok_or(std::fmt::Error);
/// let mut reader = TileReader::new(log.head(), fetch);
/// let leaf = reader.leaf(7)?;
/// let proof = reader.prove_inclusion(7)?;
/// verify_inclusion(&proof, 7, &leaf, &log.head())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct TileReader<F> {
    head: TreeHead,
    fetch: F,
    /// The partial tiles once they are authenticated.
    edge: Option<Vec<Authentic>>,
    /// The last full tile of each level.
    recent: [Option<Authentic>; LEVELS_USED as usize],
}

/// A read found damage, a forgery, or nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError<E> {
    /// The tree does not reach that far.
    #[error("node `{index}` of row `{row}` is outside a tree of `{size}` leaves")]
    OutsideTree {
        /// Row of the tree, 0 being the leaves.
        row: u8,
        /// Position in the row.
        index: u64,
        /// Leaves in the tree.
        size: u64,
    },
    /// A tile or bundle could not be fetched.
    #[error("cannot fetch `{tile}`")]
    Fetch {
        /// What was asked for.
        tile: TileCoordinates,
        /// Why.
        source: E,
    },
    /// A tile does not have the length that its width requires.
    #[error("`{tile}` has `{found}` bytes")]
    Length {
        /// What was asked for.
        tile: TileCoordinates,
        /// Its length in bytes.
        found: usize,
    },
    /// The tiles at the edge do not lead to the trusted root: at least one of them is not of this
    /// tree.
    #[error("the partial tiles do not lead to the root of the tree of `{size}` leaves")]
    Root {
        /// Leaves in the tree.
        size: u64,
    },
    /// A full tile is not the one that the tree contains.
    #[error("`{tile}` does not hash to its place in the tree")]
    Forged {
        /// The tile at fault.
        tile: TileCoordinates,
    },
    /// A bundle is malformed.
    #[error("`{tile}` is not a bundle of its width")]
    Bundle {
        /// The bundle at fault.
        tile: TileCoordinates,
        /// How.
        source: TileError,
    },
    /// An entry is not the one that the tree contains.
    #[error("entry `{index}` does not hash to its leaf")]
    ForgedEntry {
        /// Position in the log.
        index: u64,
    },
}

impl<F, E> TileReader<F>
where
    F: FnMut(TileCoordinates) -> Result<Vec<u8>, E>,
{
    /// A reader of the tree `head`, which the caller trusts (from a verified checkpoint).
    pub fn new(head: TreeHead, fetch: F) -> Self {
        Self { head, fetch, edge: None, recent: [const { None }; LEVELS_USED as usize] }
    }

    /// The hash of leaf `index`.
    ///
    /// # Errors
    ///
    /// [`ReadError`]; nothing is returned unless every tile that it rests on is authentic.
    pub fn leaf(&mut self, index: u64) -> Result<Hash, ReadError<E>> {
        self.node(0, index)
    }

    /// Proof that leaf `index` is in the tree.
    ///
    /// # Errors
    ///
    /// As [`merkle::prove_inclusion`].
    pub fn prove_inclusion(&mut self, index: u64) -> Result<Vec<Hash>, ProveError<ReadError<E>>> {
        let size = self.head.size;
        merkle::prove_inclusion(self, index, size)
    }

    /// Proof that the tree begins with the tree of its first `old` leaves.
    ///
    /// # Errors
    ///
    /// As [`merkle::prove_consistency`].
    pub fn prove_consistency(&mut self, old: u64) -> Result<Vec<Hash>, ProveError<ReadError<E>>> {
        let size = self.head.size;
        merkle::prove_consistency(self, old, size)
    }

    /// The entries of bundle `index`, each checked against its leaf.
    ///
    /// # Errors
    ///
    /// [`ReadError`]; either all entries of the bundle are authentic, or none is returned.
    pub fn entries(&mut self, index: u64) -> Result<Vec<Vec<u8>>, ReadError<E>> {
        let outside = ReadError::OutsideTree { row: 0, index, size: self.head.size };
        let tile = TileCoordinates::in_tree(0, index, self.head.size).ok_or(outside)?;
        let leaves = self.tile(tile)?.hashes.clone();
        let bundle = tile.as_entries();
        let bytes = self.fetch(bundle)?;
        let entries = split_bundle(&bytes, bundle.width())
            .map_err(|source| ReadError::Bundle { tile: bundle, source })?;
        let first = index * u64::from(FULL_WIDTH);
        for (index, (entry, leaf)) in (first..).zip(entries.iter().zip(&leaves)) {
            if leaf_hash(entry) != *leaf {
                return Err(ReadError::ForgedEntry { index });
            }
        }
        Ok(entries.into_iter().map(<[u8]>::to_vec).collect())
    }

    /// The tree being read.
    pub const fn head(&self) -> TreeHead {
        self.head
    }

    /// An authentic tile of this tree: from memory, or fetched and checked.
    fn tile(&mut self, at: TileCoordinates) -> Result<&Authentic, ReadError<E>> {
        let level = at.level().unwrap_or(0);
        if at.is_partial() {
            let size = self.head.size;
            let found = self.edge()?.iter().find(|tile| tile.at == at);
            return found.ok_or(ReadError::OutsideTree { row: level, index: at.index(), size });
        }
        if !self.is_recent(level, at) {
            let expected = self.place_above(level, at)?;
            let tile = self.fetch_tile(at)?;
            if tile.root() != Some(expected) {
                return Err(ReadError::Forged { tile: at });
            }
            if let Some(slot) = self.recent.get_mut(usize::from(level)) {
                *slot = Some(tile);
            }
        }
        let kept = self.recent.get(usize::from(level)).and_then(Option::as_ref);
        kept.ok_or(ReadError::OutsideTree { row: level, index: at.index(), size: self.head.size })
    }

    fn is_recent(&self, level: u8, at: TileCoordinates) -> bool {
        let kept = self.recent.get(usize::from(level)).and_then(Option::as_ref);
        kept.is_some_and(|tile| tile.at == at)
    }

    /// The hash that the tile above holds for a full tile: it is there, since only full tiles are
    /// hashed up. At most eight levels deep, because the top of every tree is partial.
    fn place_above(&mut self, level: u8, at: TileCoordinates) -> Result<Hash, ReadError<E>> {
        let width = u64::from(FULL_WIDTH);
        let outside = |size| ReadError::OutsideTree { row: level, index: at.index(), size };
        let size = self.head.size;
        let parent = TileCoordinates::in_tree(level + 1, at.index() / width, size);
        let parent = self.tile(parent.ok_or_else(|| outside(size))?)?;
        let place = usize::try_from(at.index() % width).ok();
        place.and_then(|place| parent.hashes.get(place).copied()).ok_or_else(|| outside(size))
    }

    /// The partial tiles, fetched and checked against the root on first use.
    fn edge(&mut self) -> Result<&[Authentic], ReadError<E>> {
        if self.edge.is_none() {
            let mut tiles = Vec::new();
            for at in partial_tiles(self.head.size) {
                tiles.push(self.fetch_tile(at)?);
            }
            // The highest level covers the leftmost leaves.
            let roots: Vec<_> = tiles.iter().rev().flat_map(Authentic::subtree_roots).collect();
            if super::fold_roots(&roots) != self.head.root {
                return Err(ReadError::Root { size: self.head.size });
            }
            self.edge = Some(tiles);
        }
        Ok(self.edge.as_deref().unwrap_or_default())
    }

    fn fetch_tile(&mut self, at: TileCoordinates) -> Result<Authentic, ReadError<E>> {
        let bytes = self.fetch(at)?;
        let hashes = split_hashes(&at, &bytes).ok_or(ReadError::Length { tile: at, found: bytes.len() })?;
        Ok(Authentic { at, hashes })
    }

    fn fetch(&mut self, tile: TileCoordinates) -> Result<Vec<u8>, ReadError<E>> {
        (self.fetch)(tile).map_err(|source| ReadError::Fetch { tile, source })
    }
}

impl<F, E> HashReader for TileReader<F>
where
    F: FnMut(TileCoordinates) -> Result<Vec<u8>, E>,
{
    type Error = ReadError<E>;

    fn node(&mut self, row: u8, index: u64) -> Result<Hash, ReadError<E>> {
        let outside = |size| ReadError::OutsideTree { row, index, size };
        let size = self.head.size;
        let level = row / 8;
        let rows_up = u32::from(row) % BITS_PER_LEVEL;
        let tile_index = index >> (BITS_PER_LEVEL - rows_up);
        let at = TileCoordinates::in_tree(level, tile_index, size).ok_or_else(|| outside(size))?;
        let first = (index << rows_up) % u64::from(FULL_WIDTH);
        let tile = self.tile(at)?;
        tile.subtree(first, rows_up).ok_or_else(|| outside(size))
    }
}

impl<F> fmt::Debug for TileReader<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TileReader").field("head", &self.head).finish_non_exhaustive()
    }
}

/// A tile of the tree. It earns its name when it is stored in [`TileReader::edge`] or
/// [`TileReader::recent`], which happens only after its check.
struct Authentic {
    at: TileCoordinates,
    hashes: Vec<Hash>,
}

impl Authentic {
    /// Root over the whole tile, if it is full.
    fn root(&self) -> Option<Hash> {
        self.subtree(0, BITS_PER_LEVEL)
    }

    /// Root over the `2^rows` hashes that begin at `first`, if the tile has them.
    fn subtree(&self, first: u64, rows: u32) -> Option<Hash> {
        let start = usize::try_from(first).ok()?;
        let mut row = self.hashes.get(start..start + (1 << rows))?.to_vec();
        while row.len() > 1 {
            row = row.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
        }
        row.first().copied()
    }

    fn subtree_roots(&self) -> impl Iterator<Item = Hash> + '_ {
        let width = self.hashes.len() as u64;
        subtree_roots(0, width).filter_map(|(rows, index)| self.subtree(index << rows, u32::from(rows)))
    }
}
