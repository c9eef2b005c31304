//! Where C2SP tlog-tiles puts things, and which of them a tree of a given size has.

use std::fmt;

/// Hashes in a full tile, and entries in a full bundle.
pub(crate) const TILE_WIDTH: u64 = 256;
/// A tree of 2^64 leaves has 8 levels of tiles; the specification counts to 63.
const LEVEL_MAX: u8 = 63;

/// A tile of hashes of a level, or a bundle of entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Level {
    Entries,
    Hashes(u8),
}

/// One tile file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tile {
    pub(crate) level: Level,
    pub(crate) index: u64,
    /// 1 to 256; less than 256 is a partial tile.
    pub(crate) width: u64,
}

/// How a tile relates to a tree of a given size.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It must be there.
    Needed,
    /// A partial tile of an earlier size; it may be there.
    Older,
    /// It holds more than the tree.
    Beyond,
}

impl Tile {
    /// Reads a path relative to the tree; only the one spelling of the specification is taken.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let (level, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let level = Level::parse(level)?;
        let (groups, width) = match rest.split_once(".p/") {
            Some((groups, width)) => {
                (groups, width.parse().ok().filter(|width| (1..TILE_WIDTH).contains(width))?)
            }
            None => (rest, TILE_WIDTH),
        };
        let index = index_of_path(groups)?;
        let tile = Self { level, index, width };
        // Leading zeros, missing or extra `x`, signs: whatever is not the one spelling is another string.
        (tile.to_string() == path).then_some(tile)
    }

    /// How this tile stands to a tree of `size` leaves.
    pub(crate) fn standing(&self, size: u64) -> Standing {
        let count = self.level.count(size);
        let end = self.index.checked_mul(TILE_WIDTH).and_then(|start| start.checked_add(self.width));
        match end {
            Some(end) if end <= count && self.width == TILE_WIDTH => Standing::Needed,
            Some(end) if end == count => Standing::Needed,
            Some(end) if end < count => Standing::Older,
            _ => Standing::Beyond,
        }
    }
}

/// The number that groups of three digits spell; the caller compares the spelling.
pub(crate) fn index_of_path(groups: &str) -> Option<u64> {
    let mut index = 0_u64;
    for group in groups.split('/') {
        let digits: u64 = group.strip_prefix('x').unwrap_or(group).parse().ok()?;
        index = index.checked_mul(1000)?.checked_add(digits)?;
    }
    Some(index)
}

/// Spells a number in groups of three digits, all but the last with an `x`.
pub(crate) fn write_index(index: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut divisor = 1_u64;
    while let Some(next) = divisor.checked_mul(1000).filter(|next| index >= *next) {
        divisor = next;
    }
    while divisor > 1 {
        write!(f, "x{:03}/", index / divisor % 1000)?;
        divisor /= 1000;
    }
    write!(f, "{:03}", index % 1000)
}

impl Level {
    /// Reads the word of a level; the caller compares the spelling.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        match word {
            "entries" => Some(Self::Entries),
            number => number.parse().ok().filter(|level| *level <= LEVEL_MAX).map(Self::Hashes),
        }
    }

    /// How many hashes of this level, or entries, a tree of `size` leaves has.
    pub(crate) fn count(self, size: u64) -> u64 {
        match self {
            Self::Entries => size,
            Self::Hashes(level) => size.checked_shr(8 * u32::from(level)).unwrap_or(0),
        }
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Level::Entries => f.write_str("tile/entries/")?,
            Level::Hashes(level) => write!(f, "tile/{level}/")?,
        }
        write_index(self.index, f)?;
        if self.width < TILE_WIDTH { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_the_specification_is_spelt_so() {
        let tile = Tile { level: Level::Hashes(0), index: 1_234_067, width: 256 };
        assert_eq!(tile.to_string(), "tile/0/x001/x234/067");
        let bundle = Tile { level: Level::Entries, index: 5, width: 7 };
        assert_eq!(bundle.to_string(), "tile/entries/005.p/7");
    }

    #[test]
    fn other_spellings_are_refused() {
        for path in [
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/64/000",
            "tile/00/000",
            "tile/0/00",
            "tile/0/0000",
            "tile/0/x000/001",
            "tile/0/001/001",
            "tile/0/x001",
            "tile/0/xx01/000",
            "tile/0/+01",
            "tile/0/",
            "tile/0/000/",
            "tile/entries/000.p/1.p/1",
            "tile/data/000",
            "tile/0/x018/x446/x744/x073/x709/x551/616",
            "tile/0/٠٠٠",
        ] {
            assert_eq!(Tile::parse(path), None, "{path}");
        }
    }

    #[test]
    fn a_tree_of_70000_leaves_has_the_tiles_of_the_specification() {
        let standing =
            |level, index, width| Tile { level: Level::Hashes(level), index, width }.standing(70_000);
        assert_eq!(standing(0, 272, 256), Standing::Needed);
        assert_eq!(standing(0, 273, 112), Standing::Needed);
        assert_eq!(standing(0, 273, 111), Standing::Older);
        assert_eq!(standing(0, 273, 113), Standing::Beyond);
        assert_eq!(standing(0, 272, 255), Standing::Older);
        assert_eq!(standing(1, 0, 256), Standing::Needed);
        assert_eq!(standing(1, 1, 17), Standing::Needed);
        assert_eq!(standing(2, 0, 1), Standing::Needed);
        assert_eq!(standing(3, 0, 1), Standing::Beyond);
        assert_eq!(standing(63, 0, 1), Standing::Beyond);
    }

    proptest! {
        #[test]
        fn a_path_reads_back(level in 0_u8..=63, index: u64, width in 1_u64..=256) {
            for level in [Level::Entries, Level::Hashes(level)] {
                let tile = Tile { level, index, width };
                prop_assert_eq!(Tile::parse(&tile.to_string()), Some(tile));
                tile.standing(index);
            }
        }

        #[test]
        fn no_path_panics(path in "tile/(entries|[0-9]{1,3})/[x0-9/.p]{0,40}") {
            if let Some(tile) = Tile::parse(&path) {
                prop_assert_eq!(tile.to_string(), path);
            }
        }
    }
}
