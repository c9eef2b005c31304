//! Building the tiles of a growing log, in order, with one tile of memory for each level.

use std::fmt;

use super::{FULL_WIDTH, LEVELS_USED, TileCoordinates, TileError, partial_tiles};
use crate::merkle::{Frontier, Hash, TreeHead};

/// A tile of hashes with its bytes, ready to be written at its path.
#[derive(Clone, PartialEq, Eq)]
pub struct Tile {
    at: TileCoordinates,
    bytes: Vec<u8>,
}

impl Tile {
    /// Where it belongs; its `Display` is the path.
    #[must_use]
    pub const fn at(&self) -> TileCoordinates {
        self.at
    }

    /// The concatenated hashes: what the file contains.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl fmt::Debug for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tile({}, {} bytes)", self.at, self.bytes.len())
    }
}

/// A builder could not be resumed from the tiles of an earlier run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResumeError<E> {
    /// A partial tile could not be read.
    #[error("cannot read `{tile}`")]
    Fetch {
        /// The tile asked for.
        tile: TileCoordinates,
        /// Why.
        source: E,
    },
    /// A partial tile has the wrong length.
    #[error("`{tile}` has `{found}` bytes")]
    Length {
        /// The tile asked for.
        tile: TileCoordinates,
        /// Its length in bytes.
        found: usize,
    },
    /// The partial tiles are not those of the tree that was signed.
    #[error("the partial tiles do not lead to the root of the tree of `{size}` leaves")]
    Root {
        /// Leaves in the signed tree.
        size: u64,
    },
}

/// Consumes the leaf hashes of a log in order and yields its tiles: each full one when it is
/// finished, and the partial ones on demand.
///
/// ```
/// use ledger::merkle::leaf_hash;
/// use ledger::tile::TileBuilder;
///
/// let mut builder = TileBuilder::new();
/// let mut full = Vec::new();
/// for i in 0..300_u16 {
///     full.extend(builder.push(leaf_hash(&i.to_be_bytes())));
/// }
/// let paths = |tiles: &[ledger::tile::Tile]| tiles.iter().map(|t| t.at().to_string()).collect::<Vec<_>>();
/// assert_eq!(paths(&full), ["tile/0/000"]);
/// assert_eq!(paths(&builder.partial()), ["tile/0/001.p/44", "tile/1/000.p/1"]);
/// ```
#[derive(Clone, Default)]
pub struct TileBuilder {
    size: u64,
    levels: Vec<Level>,
}

impl TileBuilder {
    /// A builder for a log without entries.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Resumes at a tree whose head is trusted, from its partial tiles, which are checked against
    /// the root.
    ///
    /// # Errors
    ///
    /// [`ResumeError`] when a tile cannot be read, has the wrong length, or belongs to another tree.
    pub fn resume<E>(
        head: &TreeHead,
        mut fetch: impl FnMut(TileCoordinates) -> Result<Vec<u8>, E>,
    ) -> Result<Self, ResumeError<E>> {
        let mut levels = vec![Level::default(); usize::from(LEVELS_USED)];
        for tile in partial_tiles(head.size) {
            let bytes = fetch(tile).map_err(|source| ResumeError::Fetch { tile, source })?;
            let wrong_length = ResumeError::Length { tile, found: bytes.len() };
            let hashes = split_hashes(&tile, &bytes).ok_or(wrong_length)?;
            if let Some(level) = tile.level().and_then(|level| levels.get_mut(usize::from(level))) {
                hashes.into_iter().for_each(|hash| level.push(hash));
            }
        }
        let builder = Self { size: head.size, levels };
        if builder.head() == *head { Ok(builder) } else { Err(ResumeError::Root { size: head.size }) }
    }

    /// Appends one leaf and returns the tiles that it completes: usually none, and otherwise one
    /// for each level from the lowest up.
    #[must_use = "a full tile is handed out once"]
    pub fn push(&mut self, leaf: Hash) -> Vec<Tile> {
        self.size += 1;
        let mut full = Vec::new();
        let mut carry = leaf;
        for level in 0..LEVELS_USED {
            if self.levels.len() <= usize::from(level) {
                self.levels.push(Level::default());
            }
            let Some(current) = self.levels.get_mut(usize::from(level)) else { break };
            current.push(carry);
            if !current.is_full() {
                break;
            }
            let finished = std::mem::take(current);
            carry = finished.frontier.root();
            let index = (super::hashes_at(level, self.size) / u64::from(FULL_WIDTH)).saturating_sub(1);
            full.extend(finished.into_tile(level, index));
        }
        full
    }

    /// The partial tiles of the tree as it is now, which every published checkpoint needs.
    #[must_use]
    pub fn partial(&self) -> Vec<Tile> {
        let levels = (0..LEVELS_USED).zip(&self.levels);
        let tiles = levels.filter_map(|(level, current)| {
            let index = super::hashes_at(level, self.size) / u64::from(FULL_WIDTH);
            current.clone().into_tile(level, index).ok()
        });
        tiles.collect()
    }

    /// Number of leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The same tree without its tiles.
    #[must_use]
    pub fn frontier(&self) -> Frontier {
        let roots: Vec<_> = self.levels.iter().rev().flat_map(|level| level.frontier.roots()).collect();
        Frontier::from_roots(self.size, &roots).unwrap_or_default()
    }

    /// Size and root of the tree as it is now.
    #[must_use]
    pub fn head(&self) -> TreeHead {
        let largest_first: Vec<_> =
            self.levels.iter().rev().flat_map(|level| level.frontier.roots()).collect();
        TreeHead { size: self.size, root: super::fold_roots(&largest_first) }
    }
}

impl fmt::Debug for TileBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TileBuilder").field("size", &self.size).finish_non_exhaustive()
    }
}

/// The hashes of a fetched tile, or `None` when it is not as long as its coordinates say.
pub(super) fn split_hashes(tile: &TileCoordinates, bytes: &[u8]) -> Option<Vec<Hash>> {
    if tile.byte_length() != Some(bytes.len()) {
        return None;
    }
    let (hashes, _) = bytes.as_chunks::<{ Hash::LEN }>();
    Some(hashes.iter().map(|bytes| Hash::from_bytes(*bytes)).collect())
}

/// The open tile of one level.
#[derive(Clone, Default)]
struct Level {
    bytes: Vec<u8>,
    /// The subtree over this tile's hashes alone.
    frontier: Frontier,
}

impl Level {
    fn push(&mut self, hash: Hash) {
        self.bytes.extend_from_slice(hash.as_bytes());
        self.frontier.push(hash);
    }

    fn is_full(&self) -> bool {
        self.frontier.size() == u64::from(FULL_WIDTH)
    }

    fn into_tile(self, level: u8, index: u64) -> Result<Tile, TileError> {
        let width = u16::try_from(self.frontier.size()).map_err(|_| TileError::Width)?;
        Ok(Tile { at: TileCoordinates::hashes(level, index, width)?, bytes: self.bytes })
    }
}
