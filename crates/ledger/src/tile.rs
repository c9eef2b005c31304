//! The tree and its entries as static files: the layout of C2SP tlog-tiles.
//!
//! A *tile* is up to 256 neighbouring hashes of one level; level `l` holds the roots of complete
//! subtrees of `256^l` leaves, so a full tile becomes one hash of the tile above it. A *bundle* is
//! up to 256 neighbouring entries. Only the rightmost tile of a level may be partial, and a partial
//! tile is never hashed into the level above.
//!
//! Nothing here opens a file or a socket: [`TileBuilder`] hands out tiles to write, and
//! [`TileReader`] asks its caller for tiles and authenticates every one of them before use.

use std::fmt;
use std::str::FromStr;

use crate::merkle::{Hash, empty_root, node_hash};
use crate::note::decimal;

mod builder;
mod bundle;
mod reader;

pub use builder::{ResumeError, Tile, TileBuilder};
pub use bundle::{ENTRY_BYTES_MAX, append_entry, split_bundle};
pub use reader::{ReadError, TileReader};

/// Hashes in a full tile, and entries in a full bundle.
pub const FULL_WIDTH: u16 = 256;

/// Which file of the log: a tile of hashes at some level, or a bundle of entries.
///
/// `Display` writes the path below the log's prefix, `FromStr` reads it. Parsing is strict, because
/// paths come from strangers: exactly the text that `Display` writes is accepted.
///
/// ```
/// use ledger::tile::TileCoordinates;
///
/// let tile: TileCoordinates = "tile/0/x001/x234/067.p/8".parse()?;
/// assert_eq!((tile.level(), tile.index(), tile.width()), (Some(0), 1_234_067, 8));
/// assert_eq!(tile.to_string(), "tile/0/x001/x234/067.p/8");
/// assert!("tile/0/067.p/0".parse::<TileCoordinates>().is_err());
/// # Ok::<(), ledger::tile::TileError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TileCoordinates {
    /// `None` is a bundle of entries.
    level: Option<u8>,
    index: u64,
    /// INVARIANT: 1 to 256.
    width: u16,
}

/// Coordinates, a path or the bytes of a tile are not what tlog-tiles allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TileError {
    /// The path does not have the shape `tile/<L>/<N>[.p/<W>]`.
    #[error("not a tile path: wanted `tile/<level or entries>/<index>[.p/<width>]`")]
    Path,
    /// The level is above 63 or not a plain number.
    #[error("a tile level is a number from `0` to `63` without leading zeros")]
    Level,
    /// The index is not in groups of three digits, not canonical, or too large.
    #[error("a tile index is groups of three digits, all but the last with `x`, below 2^64")]
    Index,
    /// The width is zero, or more than a tile holds, or the full width given as a partial one.
    #[error("a partial tile is `1` to `255` wide, and a full one is written without width")]
    Width,
    /// An entry does not fit a bundle.
    #[error("an entry of `{bytes}` bytes is above the limit of `{}`", ENTRY_BYTES_MAX)]
    EntryTooLong {
        /// Length of the entry.
        bytes: usize,
    },
    /// A bundle does not hold the number of entries that its coordinates say.
    #[error("a bundle that should hold `{wanted}` entries is cut short or has bytes left over")]
    Bundle {
        /// Entries expected.
        wanted: u16,
    },
}

impl TileCoordinates {
    /// A tile of hashes. Width 256 is the full tile.
    ///
    /// # Errors
    ///
    /// [`TileError`] for a level above 63, or a width of zero or above 256.
    pub fn hashes(level: u8, index: u64, width: u16) -> Result<Self, TileError> {
        if level > LEVEL_MAX {
            return Err(TileError::Level);
        }
        check_width(width)?;
        Ok(Self { level: Some(level), index, width })
    }

    /// A bundle of entries. Width 256 is the full bundle.
    ///
    /// # Errors
    ///
    /// [`TileError::Width`] for a width of zero or above 256.
    pub fn entries(index: u64, width: u16) -> Result<Self, TileError> {
        check_width(width)?;
        Ok(Self { level: None, index, width })
    }

    /// The tile `index` of `level` as it is in a tree of `size` leaves, or `None` where that tree
    /// has none.
    ///
    /// ```
    /// # use ledger::tile::TileCoordinates;
    /// let tile = |level, index| TileCoordinates::in_tree(level, index, 70_000).map(|t| t.width());
    /// assert_eq!((tile(0, 272), tile(0, 273), tile(0, 274)), (Some(256), Some(112), None));
    /// ```
    #[must_use]
    pub fn in_tree(level: u8, index: u64, size: u64) -> Option<Self> {
        let hashes = hashes_at(level, size);
        let start = index.checked_mul(u64::from(FULL_WIDTH))?;
        let width = hashes.checked_sub(start)?.min(u64::from(FULL_WIDTH));
        Self::hashes(level, index, u16::try_from(width).ok()?).ok()
    }

    /// The bundle that goes with a level-0 tile; the same index and width.
    #[must_use]
    pub const fn as_entries(self) -> Self {
        Self { level: None, ..self }
    }

    /// The level of a tile of hashes, or `None` for a bundle of entries.
    #[must_use]
    pub const fn level(&self) -> Option<u8> {
        self.level
    }

    /// Position among the tiles of its level.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// Hashes or entries in it, 1 to 256.
    #[must_use]
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// Whether it is narrower than 256, so that a larger tree replaces it.
    #[must_use]
    pub const fn is_partial(&self) -> bool {
        self.width < FULL_WIDTH
    }

    /// Exact length in bytes of a tile of hashes; `None` for a bundle, whose length varies.
    #[must_use]
    pub fn byte_length(&self) -> Option<usize> {
        self.level.map(|_| usize::from(self.width) * Hash::LEN)
    }
}

/// Every tile of hashes in a tree of `new` leaves that a tree of `old` leaves does not have, level
/// by level and left to right: what a publisher writes next. With `old` zero, all tiles.
///
/// ```
/// use ledger::tile::new_tiles;
///
/// let paths: Vec<_> = new_tiles(255, 257).map(|tile| tile.to_string()).collect();
/// assert_eq!(paths, ["tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1"]);
/// ```
pub fn new_tiles(old: u64, new: u64) -> impl Iterator<Item = TileCoordinates> {
    (0..LEVELS_USED).flat_map(move |level| {
        let (before, after) = (hashes_at(level, old), hashes_at(level, new));
        let first = before / u64::from(FULL_WIDTH);
        let end = if after > before { after.div_ceil(u64::from(FULL_WIDTH)) } else { first };
        (first..end).filter_map(move |index| TileCoordinates::in_tree(level, index, new))
    })
}

/// The partial tiles of a tree of `size` leaves, one for each level that has one. The whole tree
/// follows from them, and they from a root.
pub fn partial_tiles(size: u64) -> impl Iterator<Item = TileCoordinates> {
    (0..LEVELS_USED).filter_map(move |level| {
        let index = hashes_at(level, size) / u64::from(FULL_WIDTH);
        TileCoordinates::in_tree(level, index, size)
    })
}

/// The tiles that [`TileReader`] asks for to read leaf `index` of a tree of `size` leaves or to prove
/// that it is there: for callers that download everything first. Empty if there is no such leaf.
///
/// ```
/// use ledger::tile::tiles_of_leaf;
///
/// let paths: Vec<_> = tiles_of_leaf(5, 70_000).map(|tile| tile.to_string()).collect();
/// assert_eq!(paths, ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1", "tile/1/000", "tile/0/000"]);
/// ```
pub fn tiles_of_leaf(index: u64, size: u64) -> impl Iterator<Item = TileCoordinates> {
    let inside = if index < size { size } else { 0 };
    let above = (0..LEVELS_USED).rev().filter_map(move |level| {
        let place = hashes_at(level, index) / u64::from(FULL_WIDTH);
        TileCoordinates::in_tree(level, place, inside).filter(|tile| !tile.is_partial())
    });
    partial_tiles(inside).chain(above)
}

impl fmt::Display for TileCoordinates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Some(level) => write!(f, "tile/{level}/")?,
            None => f.write_str("tile/entries/")?,
        }
        let groups = std::iter::successors(Some(self.index), |rest| Some(rest / 1000).filter(|r| *r > 0));
        let groups: Vec<_> = groups.map(|rest| rest % 1000).collect();
        let (last, leading) = groups.split_first().unwrap_or((&0, &[]));
        for group in leading.iter().rev() {
            write!(f, "x{group:03}/")?;
        }
        write!(f, "{last:03}")?;
        if self.is_partial() { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

impl FromStr for TileCoordinates {
    type Err = TileError;

    fn from_str(path: &str) -> Result<Self, TileError> {
        let (level, rest) =
            path.strip_prefix("tile/").and_then(|rest| rest.split_once('/')).ok_or(TileError::Path)?;
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => (index, parse_partial_width(width)?),
            None => (rest, FULL_WIDTH),
        };
        let index = parse_index(index)?;
        match level {
            "entries" => Self::entries(index, width),
            number => {
                let level = decimal(number).and_then(|level| u8::try_from(level).ok());
                Self::hashes(level.ok_or(TileError::Level)?, index, width)
            }
        }
    }
}

/// Number of hashes that `level` has in a tree of `size` leaves, over all its tiles.
fn hashes_at(level: u8, size: u64) -> u64 {
    size.checked_shr(u32::from(level) * BITS_PER_LEVEL).unwrap_or(0)
}

fn check_width(width: u16) -> Result<(), TileError> {
    if (1..=FULL_WIDTH).contains(&width) { Ok(()) } else { Err(TileError::Width) }
}

fn parse_partial_width(text: &str) -> Result<u16, TileError> {
    let width = decimal(text).and_then(|width| u16::try_from(width).ok()).ok_or(TileError::Width)?;
    if (1..FULL_WIDTH).contains(&width) { Ok(width) } else { Err(TileError::Width) }
}

fn parse_index(text: &str) -> Result<u64, TileError> {
    let (leading, last) = match text.rsplit_once('/') {
        Some((leading, last)) => (Some(leading), last),
        None => (None, text),
    };
    let mut index = 0_u64;
    for group in leading.into_iter().flat_map(|leading| leading.split('/')) {
        let digits = group.strip_prefix('x').ok_or(TileError::Index)?;
        index = append_group(index, digits)?;
        // A first group of zeros would be a second name for the same tile.
        if index == 0 {
            return Err(TileError::Index);
        }
    }
    append_group(index, last)
}

fn append_group(index: u64, digits: &str) -> Result<u64, TileError> {
    if digits.len() != 3 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(TileError::Index);
    }
    let group: u64 = digits.parse().map_err(|_| TileError::Index)?;
    index.checked_mul(1000).and_then(|index| index.checked_add(group)).ok_or(TileError::Index)
}

/// Root over the roots of complete subtrees, largest first.
fn fold_roots(roots: &[Hash]) -> Hash {
    let smallest_first = roots.iter().rev().copied();
    smallest_first.reduce(|right, left| node_hash(&left, &right)).unwrap_or_else(empty_root)
}

const LEVEL_MAX: u8 = 63;
/// A level is eight rows of the tree, since `2^8` is the width of a full tile.
const BITS_PER_LEVEL: u32 = 8;
/// Levels that a tree of at most `2^64 - 1` leaves can reach.
const LEVELS_USED: u8 = 8;

#[cfg(test)]
mod tests;
