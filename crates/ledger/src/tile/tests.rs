use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::merkle::{MemoryTree, TreeHead, leaf_hash, verify_consistency, verify_inclusion};

fn leaf(index: u64) -> Hash {
    leaf_hash(&index.to_be_bytes())
}

/// All tiles of the log of `size` leaves, by its builder.
fn published(size: u64) -> (TileBuilder, BTreeMap<TileCoordinates, Vec<u8>>) {
    let mut builder = TileBuilder::new();
    let mut tiles = Vec::new();
    (0..size).for_each(|i| tiles.extend(builder.push(leaf(i))));
    tiles.extend(builder.partial());
    let tiles = tiles.into_iter().map(|tile| (tile.at(), tile.into_bytes())).collect();
    (builder, tiles)
}

fn parse(path: &str) -> Result<TileCoordinates, TileError> {
    path.parse()
}

#[test]
fn the_paths_of_the_specification_are_read_and_written() {
    for (path, level, index, width) in [
        ("tile/0/x001/x234/067", Some(0), 1_234_067, 256),
        ("tile/entries/x001/x234/067.p/1", None, 1_234_067, 1),
        ("tile/63/000.p/255", Some(63), 0, 255),
        ("tile/0/999", Some(0), 999, 256),
        ("tile/1/x001/000", Some(1), 1000, 256),
        ("tile/0/x018/x446/x744/x073/x709/x551/615", Some(0), u64::MAX, 256),
    ] {
        let tile = parse(path).unwrap();
        assert_eq!((tile.level(), tile.index(), tile.width()), (level, index, width), "{path}");
        assert_eq!(tile.to_string(), path);
    }
}

#[test]
fn any_other_path_is_refused() {
    for path in ["", "tile", "tile/", "tile/0", "0/000", "/tile/0/000", "tile/0/000/", "checkpoint"] {
        assert!(parse(path).is_err(), "{path}");
    }
    for level in ["64", "255", "256", "00", "01", "+1", "-1", "x1", "data", "Entries", "", "٣", "1e0"] {
        assert_eq!(parse(&format!("tile/{level}/000")), Err(TileError::Level), "{level}");
    }
    let indices = [
        "0",
        "00",
        "0000",
        "1234",
        "x001",
        "x001/x234",
        "001/234",
        "x001/x234/x067",
        "x000/001",
        "x000/x001/001",
        "X001/001",
        "x1/001",
        "x0001/001",
        "x001//001",
        "+01",
        "-01",
        "0 1",
        "٠٠١",
        "x018/x446/x744/x073/x709/x551/616",
        "x999/x999/x999/x999/x999/x999/x999/999",
        "",
        "x",
        "000.p",
    ];
    for index in indices {
        assert_eq!(parse(&format!("tile/0/{index}")), Err(TileError::Index), "{index}");
        assert_eq!(parse(&format!("tile/entries/{index}.p/7")), Err(TileError::Index), "{index}");
    }
    for width in ["0", "256", "257", "65536", "01", "+1", "-1", "", "1/", "1.p/1", "x", "١"] {
        assert_eq!(parse(&format!("tile/0/000.p/{width}")), Err(TileError::Width), "{width}");
    }
}

#[test]
fn coordinates_outside_the_layout_cannot_be_made() {
    assert_eq!(TileCoordinates::hashes(64, 0, 1), Err(TileError::Level));
    for width in [0, 257, u16::MAX] {
        assert_eq!(TileCoordinates::hashes(0, 0, width), Err(TileError::Width));
        assert_eq!(TileCoordinates::entries(0, width), Err(TileError::Width));
    }
}

#[test]
fn a_tree_of_70_000_has_the_tiles_of_the_specification() {
    let mut count = BTreeMap::<_, Vec<u16>>::new();
    new_tiles(0, 70_000).for_each(|tile| count.entry(tile.level().unwrap()).or_default().push(tile.width()));
    assert_eq!(count[&0], [vec![256; 273], vec![112]].concat());
    assert_eq!(count[&1], [256, 17]);
    assert_eq!(count[&2], [1]);
    assert_eq!(count.len(), 3);
    let of_256: Vec<_> = new_tiles(0, 256).map(|tile| tile.to_string()).collect();
    assert_eq!(of_256, ["tile/0/000", "tile/1/000.p/1"]);
}

#[test]
fn an_empty_tree_has_no_tiles_and_the_largest_has_eight_partial_ones() {
    assert_eq!(new_tiles(0, 0).count(), 0);
    assert_eq!(partial_tiles(0).count(), 0);
    assert_eq!(partial_tiles(u64::MAX).map(|tile| tile.width()).collect::<Vec<_>>(), [255; 8]);
    assert_eq!(TileCoordinates::in_tree(0, u64::MAX, u64::MAX), None);
    assert_eq!(TileCoordinates::in_tree(255, 0, u64::MAX), None);
}

#[test]
fn new_tiles_are_those_that_the_old_tree_lacks() {
    let sizes = [0, 1, 255, 256, 257, 511, 512, 600, 65_535, 65_536, 65_537, 66_000, 131_072, 131_400];
    for old in sizes {
        for new in sizes {
            let before: BTreeSet<_> = new_tiles(0, old).collect();
            let after: BTreeSet<_> = new_tiles(0, new).collect();
            let wanted: Vec<_> = after.difference(&before).copied().collect();
            let found: Vec<_> = new_tiles(old, new).collect();
            assert_eq!(found, if old < new { wanted } else { Vec::new() }, "{old} to {new}");
        }
    }
}

#[test]
fn the_builder_publishes_exactly_the_tiles_of_its_size_with_the_right_hashes() {
    let tree: MemoryTree = (0..66_000).map(leaf).collect();
    for size in [0, 1, 2, 255, 256, 257, 300, 511, 512, 1000, 65_535, 65_536, 65_537, 65_792, 66_000] {
        let (builder, tiles) = published(size);
        assert_eq!(builder.head(), TreeHead { size, root: tree.root_at(size).unwrap() });
        let wanted: BTreeSet<_> = new_tiles(0, size).collect();
        assert_eq!(tiles.keys().copied().collect::<BTreeSet<_>>(), wanted, "{size}");
        let level_0: Vec<_> =
            tiles.iter().filter(|(at, _)| at.level() == Some(0)).flat_map(|(_, b)| b).collect();
        let leaves: Vec<_> = tree.leaves()[..size as usize].iter().flat_map(Hash::as_bytes).collect();
        assert_eq!(level_0, leaves);
    }
}

#[test]
fn a_resumed_builder_goes_on_as_if_it_had_never_stopped() {
    for size in [0, 1, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537] {
        let (mut builder, tiles) = published(size);
        let mut resumed =
            TileBuilder::resume(&builder.head(), |at| tiles.get(&at).cloned().ok_or(())).unwrap();
        for i in size..size + 600 {
            assert_eq!(resumed.push(leaf(i)), builder.push(leaf(i)));
        }
        assert_eq!(resumed.partial(), builder.partial());
        assert_eq!(resumed.head(), builder.head());
    }
}

#[test]
fn a_builder_does_not_resume_from_tiles_of_another_tree() {
    let (builder, tiles) = published(65_537);
    for forged in partial_tiles(65_537) {
        let fetch = |at| {
            let mut bytes = tiles[&at].clone();
            if at == forged {
                bytes[0] ^= 1;
            }
            Ok::<_, ()>(bytes)
        };
        let found = TileBuilder::resume(&builder.head(), fetch);
        assert!(matches!(found, Err(ResumeError::Root { size: 65_537 })), "{forged}");
    }
    let short = TileBuilder::resume(&builder.head(), |_| Ok::<_, ()>(vec![0; 31]));
    assert!(matches!(short, Err(ResumeError::Length { found: 31, .. })));
    let missing = TileBuilder::resume(&builder.head(), |_| Err("gone"));
    assert!(matches!(missing, Err(ResumeError::Fetch { source: "gone", .. })));
}

#[test]
fn a_bundle_that_is_cut_or_has_bytes_left_over_is_refused() {
    let mut bundle = Vec::new();
    for entry in [b"one".as_slice(), b"", &[7; 300]] {
        append_entry(&mut bundle, entry).unwrap();
    }
    assert_eq!(split_bundle(&bundle, 3).unwrap(), [b"one".as_slice(), b"", &[7; 300]]);
    for length in 0..bundle.len() {
        assert_eq!(split_bundle(&bundle[..length], 3), Err(TileError::Bundle { wanted: 3 }));
    }
    for width in [0, 2, 4, 256] {
        assert_eq!(split_bundle(&bundle, width), Err(TileError::Bundle { wanted: width }));
    }
}

#[test]
fn an_entry_that_no_bundle_can_hold_is_refused() {
    let mut bundle = Vec::new();
    let bytes = ENTRY_BYTES_MAX + 1;
    assert_eq!(append_entry(&mut bundle, &vec![0; bytes]), Err(TileError::EntryTooLong { bytes }));
    assert!(bundle.is_empty());
    append_entry(&mut bundle, &vec![0; ENTRY_BYTES_MAX]).unwrap();
    assert_eq!(split_bundle(&bundle, 1).unwrap()[0].len(), ENTRY_BYTES_MAX);
}

#[test]
fn the_reader_hands_out_true_leaves_and_proofs_that_hold() {
    let tree: MemoryTree = (0..66_000).map(leaf).collect();
    for size in [1, 2, 255, 256, 257, 1000, 65_535, 65_536, 65_537, 65_792, 66_000] {
        let (builder, tiles) = published(size);
        let mut reader = TileReader::new(builder.head(), |at| tiles.get(&at).cloned().ok_or(()));
        for index in [0, size / 3, size / 2, size - 1] {
            assert_eq!(reader.leaf(index).unwrap(), leaf(index));
            let proof = reader.prove_inclusion(index).unwrap();
            assert_eq!(proof, tree.prove_inclusion(index, size).unwrap());
            verify_inclusion(&proof, index, &leaf(index), &reader.head()).unwrap();
            let proof = reader.prove_consistency(index + 1).unwrap();
            let old = TreeHead { size: index + 1, root: tree.root_at(index + 1).unwrap() };
            verify_consistency(&proof, &old, &reader.head()).unwrap();
        }
        assert!(matches!(reader.leaf(size), Err(ReadError::OutsideTree { .. })));
        assert!(matches!(reader.leaf(u64::MAX), Err(ReadError::OutsideTree { .. })));
    }
}

#[test]
fn reading_in_order_fetches_every_tile_once() {
    let (builder, tiles) = published(66_000);
    let mut fetched = 0;
    let mut reader = TileReader::new(builder.head(), |at| {
        fetched += 1;
        tiles.get(&at).cloned().ok_or(())
    });
    for index in 0..66_000 {
        assert_eq!(reader.leaf(index).unwrap(), leaf(index));
    }
    assert_eq!(fetched, tiles.len());
}

#[test]
fn reading_a_leaf_and_proving_it_asks_for_the_tiles_foretold() {
    for size in [1, 255, 256, 257, 1000, 65_536, 66_000] {
        let (builder, tiles) = published(size);
        for index in [0, size / 3, size - 1] {
            let mut asked = Vec::new();
            let mut reader = TileReader::new(builder.head(), |at| {
                asked.push(at);
                tiles.get(&at).cloned().ok_or(())
            });
            reader.leaf(index).unwrap();
            reader.prove_inclusion(index).unwrap();
            assert_eq!(asked, tiles_of_leaf(index, size).collect::<Vec<_>>(), "leaf {index} of {size}");
        }
        assert_eq!(tiles_of_leaf(size, size).count(), 0);
    }
}

#[test]
fn entries_are_handed_out_only_if_each_is_the_one_in_the_tree() {
    let (builder, tiles) = published(300);
    let bundle = |index: u64, forged: Option<u64>| {
        let mut bundle = Vec::new();
        for i in (index * 256..).take(256).take_while(|i| *i < 300) {
            append_entry(&mut bundle, &(if forged == Some(i) { i + 1 } else { i }).to_be_bytes()).unwrap();
        }
        bundle
    };
    let read = |index, forged| {
        let fetch = |at: TileCoordinates| match at.level() {
            Some(_) => tiles.get(&at).cloned().ok_or(()),
            None => Ok(bundle(at.index(), forged)),
        };
        TileReader::new(builder.head(), fetch).entries(index)
    };
    assert_eq!(read(0, None).unwrap().len(), 256);
    assert_eq!(read(1, None).unwrap()[43], 299_u64.to_be_bytes());
    for forged in [256, 270, 299] {
        assert!(matches!(read(1, Some(forged)), Err(ReadError::ForgedEntry { index }) if index == forged));
    }
    assert!(matches!(read(2, None), Err(ReadError::OutsideTree { .. })));
    let head = builder.head();
    let short = TileReader::new(head, |at| tiles.get(&at).cloned().or(Some(vec![0])).ok_or(())).entries(0);
    assert!(matches!(short, Err(ReadError::Bundle { .. })));
}

proptest! {
    #[test]
    fn a_path_says_the_same_after_a_round_trip(
        level in proptest::option::of(0_u8..64), index: u64, shift in 0_u32..64, width in 1_u16..=256,
    ) {
        let index = index >> shift;
        let tile = match level {
            Some(level) => TileCoordinates::hashes(level, index, width),
            None => TileCoordinates::entries(index, width),
        };
        let tile = tile.unwrap();
        prop_assert_eq!(tile.to_string().parse(), Ok(tile));
    }

    #[test]
    fn a_path_that_is_read_is_the_one_that_would_be_written(
        path in "tile/(entries|[0-9]{1,3})(/x?[0-9]{2,4}){1,3}(\\.p/[0-9]{1,3})?",
    ) {
        if let Ok(tile) = path.parse::<TileCoordinates>() {
            prop_assert_eq!(tile.to_string(), path);
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(path in ".{0,40}", tail in ".{0,20}") {
        let _ = path.parse::<TileCoordinates>();
        let _ = format!("tile/{tail}").parse::<TileCoordinates>();
        let _ = format!("tile/0/{tail}").parse::<TileCoordinates>();
        let _ = format!("tile/0/000.p/{tail}").parse::<TileCoordinates>();
    }

    #[test]
    fn no_bytes_make_the_bundle_parser_panic(bytes: Vec<u8>, width: u16) {
        if let Ok(entries) = split_bundle(&bytes, width) {
            let mut again = Vec::new();
            entries.iter().for_each(|entry| append_entry(&mut again, entry).unwrap());
            prop_assert_eq!(again, bytes);
        }
    }
}
