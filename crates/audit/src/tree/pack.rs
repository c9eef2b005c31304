//! Packs: 256 full tiles of one level in one file (`docs/formats/ledger-tree.md`).

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    path::Path,
};

use super::ReadError;
use crate::tile::{Level, TILE_WIDTH, Tile, index_of_path, write_index};

/// Where each of the 256 tiles ends, 4 bytes each.
const ENDS_BYTES: usize = 1024;
/// A longer group stays as single files.
const TILES_BYTES_MAX: u32 = 268_435_456;
const HASH_TILE_BYTES: u32 = 8192;

/// The file of one group of tiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pack {
    pub(crate) level: Level,
    pub(crate) group: u64,
}

impl Pack {
    /// The pack in which a full tile may lie; a partial tile lies in none.
    pub(crate) fn of(tile: &Tile) -> Option<Self> {
        (tile.width == TILE_WIDTH).then_some(Self { level: tile.level, group: tile.index / TILE_WIDTH })
    }

    /// Reads a path relative to the tree; only the one spelling is taken.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let (level, group) = path.strip_prefix("pack/")?.split_once('/')?;
        let pack = Self { level: Level::parse(level)?, group: index_of_path(group)? };
        (pack.to_string() == path).then_some(pack)
    }

    /// The last of its tiles.
    pub(crate) fn last_tile(&self) -> Option<Tile> {
        let index = self.group.checked_mul(TILE_WIDTH)?.checked_add(TILE_WIDTH - 1)?;
        Some(Tile { level: self.level, index, width: TILE_WIDTH })
    }

    /// Reads one tile out of the file at `path`.
    pub(super) fn read(
        &self,
        path: &Path,
        tile: &Tile,
        limit: u64,
        buffer: &mut Vec<u8>,
    ) -> Result<(), ReadError> {
        buffer.clear();
        let mut file = File::open(path)?;
        let mut ends = [0; ENDS_BYTES];
        file.read_exact(&mut ends)?;
        let (start, end) = self.span(&ends, file.metadata()?.len(), tile.index % TILE_WIDTH)?;
        if u64::from(end - start) > limit {
            return Err(ReadError::TooLong);
        }
        buffer.resize(usize::try_from(end - start).unwrap_or(usize::MAX), 0);
        file.read_exact_at(buffer, ENDS_BYTES as u64 + u64::from(start))?;
        Ok(())
    }

    /// From where to where a tile lies, after the whole table was found good.
    fn span(&self, ends: &[u8; ENDS_BYTES], length: u64, place: u64) -> io::Result<(u32, u32)> {
        let bad = |what| io::Error::new(io::ErrorKind::InvalidData, what);
        let (ends, _) = ends.as_chunks::<4>();
        let (mut before, mut found) = (0, None);
        for (number, end) in (0..).zip(ends) {
            let end = u32::from_be_bytes(*end);
            let is_hash = self.level != Level::Entries;
            if end < before || end > TILES_BYTES_MAX || (is_hash && end - before != HASH_TILE_BYTES) {
                return Err(bad("the table of the pack is wrong"));
            }
            if number == place {
                found = Some((before, end));
            }
            before = end;
        }
        if length != ENDS_BYTES as u64 + u64::from(before) {
            return Err(bad("the pack has another length than its table says"));
        }
        found.ok_or_else(|| bad("the pack has no such tile"))
    }
}

impl fmt::Display for Pack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Level::Entries => f.write_str("pack/entries/")?,
            Level::Hashes(level) => write!(f, "pack/{level}/")?,
        }
        write_index(self.group, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack_of(tiles: &[Vec<u8>]) -> Vec<u8> {
        let mut end = 0_u32;
        let mut bytes = Vec::new();
        for tile in tiles {
            end += tile.len() as u32;
            bytes.extend(end.to_be_bytes());
        }
        bytes.extend(tiles.concat());
        bytes
    }

    fn read(bytes: &[u8], level: Level, index: u64) -> Result<Vec<u8>, ReadError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let tile = Tile { level, index, width: TILE_WIDTH };
        let mut buffer = Vec::new();
        Pack::of(&tile).unwrap().read(file.path(), &tile, 10_000, &mut buffer).map(|()| buffer)
    }

    #[test]
    fn each_tile_is_cut_from_its_place() {
        let hashes: Vec<_> = (0..256).map(|n| vec![n as u8; 8192]).collect();
        let bundles: Vec<_> = (0..256).map(|n| vec![n as u8; n * 3 % 50]).collect();
        let (level, entries) = (Level::Hashes(1), Level::Entries);
        for place in [0, 1, 128, 255] {
            assert_eq!(read(&pack_of(&hashes), level, 512 + place).unwrap(), hashes[place as usize]);
            assert_eq!(read(&pack_of(&bundles), entries, 256 + place).unwrap(), bundles[place as usize]);
        }
    }

    #[test]
    fn a_table_that_is_wrong_anywhere_is_refused() {
        let bundles: Vec<_> = (0..256).map(|n| vec![n as u8; n * 3 % 50]).collect();
        let good = pack_of(&bundles);
        let mut long = good.clone();
        long.push(0);
        let mut falling = good.clone();
        falling[1020..1024].fill(0);
        for bad in [&good[..good.len() - 1], &long, &falling, &good[..1000], &[]] {
            assert!(read(bad, Level::Entries, 0).is_err());
        }
        assert!(read(&good, Level::Hashes(0), 0).is_err(), "hash tiles have 8,192 bytes");
        let wide = pack_of(&vec![vec![0; 20_000]; 256]);
        assert!(matches!(read(&wide, Level::Entries, 3), Err(ReadError::TooLong)));
    }

    #[test]
    fn a_path_has_one_spelling() {
        for path in ["pack/0/000", "pack/0/x001/234", "pack/entries/007", "pack/63/x001/x000/000"] {
            assert_eq!(Pack::parse(path).map(|pack| pack.to_string()).as_deref(), Some(path));
        }
        for path in
            ["pack/0/0", "pack/0/000.p/3", "pack/00/000", "pack/0/x000/001", "pack/data/000", "pack/0/"]
        {
            assert_eq!(Pack::parse(path), None, "{path}");
        }
    }
}
