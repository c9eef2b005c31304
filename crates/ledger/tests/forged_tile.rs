//! A log server that lies about one hash is found out, whichever tile it lies about: the flaw of
//! CVE-2026-56865 must not be ours. The same harness still finds it in `tlog_tiles` 0.2.0; if it did
//! not, it would be blind.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests may panic")]

use std::cell::Cell;

use ledger::merkle::{Hash, HashReader, MemoryTree, TreeHead, leaf_hash};
use ledger::tile::{ReadError, TileCoordinates, TileReader};
use tlog_tiles::{HashReader as _, Tile, TileHashReader, stored_hash_index};

const LEAVES: u64 = 300_000;

const SIZES: [u64; 19] = [
    255, 256, 257, 300, 511, 512, 1000, 1023, 65_535, 65_536, 65_537, 65_792, 66_000, 70_000, 100_000,
    131_071, 200_000, 262_144, 299_999,
];

fn leaf(index: u64) -> Hash {
    leaf_hash(&index.to_be_bytes())
}

fn leaves_to_try(size: u64) -> [u64; 6] {
    [0, 5, size / 3, size / 2, (size / 256 * 256).saturating_sub(1), size - 1]
}

/// A log server, honest but for one byte.
struct Server {
    tree: MemoryTree,
}

impl Server {
    fn new(leaves: u64) -> Self {
        Self { tree: (0..leaves).map(leaf).collect() }
    }

    fn head(&self, size: u64) -> TreeHead {
        TreeHead { size, root: self.tree.root_at(size).unwrap() }
    }

    fn tile(&self, level: u8, index: u64, width: u16) -> Vec<u8> {
        let first = index * 256;
        let hashes = (first..first + u64::from(width)).map(|i| (&self.tree).node(level * 8, i).unwrap());
        hashes.flat_map(|hash| *hash.as_bytes()).collect()
    }

    fn fetch(
        &self,
        at: TileCoordinates,
        forgery: Option<(TileCoordinates, usize)>,
    ) -> Result<Vec<u8>, String> {
        let mut bytes = self.tile(at.level().unwrap(), at.index(), at.width());
        match forgery {
            Some((forged, byte)) if forged == at => bytes[byte] ^= 0x80,
            _ => {}
        }
        Ok(bytes)
    }
}

fn is_forgery_found<E>(read: &Result<Hash, ReadError<E>>) -> bool {
    matches!(read, Err(ReadError::Forged { .. } | ReadError::Root { .. }))
}

#[test]
fn no_forged_leaf_is_accepted_at_any_of_114_places() {
    let server = Server::new(LEAVES);
    let mut refused = 0;
    for size in SIZES {
        for index in leaves_to_try(size) {
            let at = TileCoordinates::in_tree(0, index / 256, size).unwrap();
            let byte = usize::try_from(index % 256).unwrap() * 32;
            let read = TileReader::new(server.head(size), |t| server.fetch(t, Some((at, byte)))).leaf(index);
            assert!(is_forgery_found(&read), "leaf {index} of {size}: {read:?}");
            refused += 1;
            let read = TileReader::new(server.head(size), |t| server.fetch(t, None)).leaf(index);
            assert_eq!(read.unwrap(), leaf(index), "leaf {index} of {size}");
        }
    }
    assert_eq!(refused, 114);
}

#[test]
fn a_flipped_hash_in_any_tile_touched_is_refused() {
    let server = Server::new(66_000);
    for (size, index) in [(300, 0), (1000, 999), (65_536, 77), (66_000, 300)] {
        let mut touched = Vec::new();
        TileReader::new(server.head(size), |t| {
            touched.push(t);
            server.fetch(t, None)
        })
        .leaf(index)
        .unwrap();
        for at in touched {
            for place in 0..usize::from(at.width()) {
                let byte = place * 32 + place % 32;
                let read =
                    TileReader::new(server.head(size), |t| server.fetch(t, Some((at, byte)))).leaf(index);
                assert!(is_forgery_found(&read), "byte {byte} of {at}: {read:?}");
            }
        }
    }
}

#[test]
fn a_tile_of_the_wrong_length_or_from_another_place_is_refused() {
    let server = Server::new(66_000);
    let head = server.head(66_000);
    let wanted = TileCoordinates::in_tree(0, 1, head.size).unwrap();
    for length in [0, 1, 32, 8191, 8193, 8224] {
        let read = TileReader::new(head, |at| {
            let mut bytes = server.fetch(at, None)?;
            if at == wanted {
                bytes.resize(length, 0);
            }
            Ok::<_, String>(bytes)
        })
        .leaf(300);
        assert!(matches!(read, Err(ReadError::Length { found, .. }) if found == length));
    }
    let read = TileReader::new(head, |at| {
        let index = if at == wanted { 2 } else { at.index() };
        Ok::<_, String>(server.tile(at.level().unwrap(), index, at.width()))
    })
    .leaf(300);
    assert!(matches!(read, Err(ReadError::Forged { tile }) if tile == wanted));
}

#[test]
fn a_tile_that_was_refused_is_not_kept() {
    let server = Server::new(66_000);
    let head = server.head(66_000);
    let mut fetches = 0;
    TileReader::new(head, |at| {
        fetches += 1;
        server.fetch(at, None)
    })
    .prove_inclusion(300)
    .unwrap();
    assert_eq!(fetches, 5, "three at the edge, and a full one of level 1 and of level 0");
    for lie in 0..fetches {
        let count = Cell::new(0);
        let mut reader = TileReader::new(head, |at| {
            let now = count.replace(count.get() + 1);
            server.fetch(at, (now == lie).then_some((at, 0)))
        });
        assert!(reader.prove_inclusion(300).is_err(), "fetch {lie}");
        assert_eq!(reader.leaf(300).unwrap(), leaf(300), "fetch {lie}");
        assert_eq!(reader.prove_inclusion(300).unwrap(), server.tree.prove_inclusion(300, 66_000).unwrap());
    }
}

/// The server, as `tlog_tiles` wants to read it.
struct OracleServer<'s> {
    server: &'s Server,
    forged: Tile,
    byte: usize,
}

impl tlog_tiles::TileReader for OracleServer<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let read = |tile: &Tile| {
            let width = u16::try_from(tile.width()).unwrap();
            let mut bytes = self.server.tile(tile.level(), tile.level_index(), width);
            if (tile.level(), tile.level_index()) == (self.forged.level(), self.forged.level_index()) {
                bytes[self.byte] ^= 0x80;
            }
            bytes
        };
        Ok(tiles.iter().map(read).collect())
    }

    fn save_tiles(&self, _tiles: &[Tile], _data: &[Vec<u8>]) {}
}

#[test]
fn the_same_harness_finds_the_known_flaw_in_another_reader() {
    let server = Server::new(LEAVES);
    let mut accepted = 0;
    for size in SIZES {
        let root = tlog_tiles::Hash(*server.head(size).root.as_bytes());
        for index in leaves_to_try(size) {
            let forged = Tile::new(8, 0, index / 256, 256, false);
            let byte = usize::try_from(index % 256).unwrap() * 32;
            let oracle = OracleServer { server: &server, forged, byte };
            let read = TileHashReader::new(size, root, &oracle).read_hashes(&[stored_hash_index(0, index)]);
            accepted += usize::from(read.is_ok());
        }
    }
    assert_eq!(accepted, 55);
}
