use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::{hash::root_of, tile::Standing};

const ORIGIN: &str = "log.test/x";

fn leaf(index: u64) -> Vec<u8> {
    index.to_be_bytes().repeat(2)
}

fn hashes(size: u64) -> Vec<Hash> {
    (0..size).map(|index| leaf_hash(&leaf(index), &mut Vec::new())).collect()
}

fn note(size: u64) -> (Checkpoint, Vec<u8>) {
    let checkpoint = Checkpoint { origin: ORIGIN.into(), size, root: root_of(&hashes(size)) };
    let root = data_encoding::BASE64.encode(&checkpoint.root);
    (checkpoint, format!("{ORIGIN}\n{size}\n{root}\n\n— {ORIGIN} AAAAAAAA\n").into_bytes())
}

/// Adds the entries up to `size`, without a commit.
fn grow(store: &Store, size: u64) -> Growth {
    let mut growth = store.begin();
    for index in store.head().size / 256..size.div_ceil(256) {
        let leaves: Vec<_> = (index * 256..size.min((index + 1) * 256)).map(leaf).collect();
        let framed = leaves.iter().map(|leaf| [&(leaf.len() as u16).to_be_bytes()[..], leaf].concat());
        let leaves: Vec<&[u8]> = leaves.iter().map(Vec::as_slice).collect();
        growth.bundle(index, &framed.collect::<Vec<_>>().concat(), &leaves).unwrap();
    }
    growth
}

fn commit(store: &mut Store, size: u64) {
    let (target, note) = note(size);
    store.commit(grow(store, size), &target, &note).unwrap();
}

fn open_in(folder: &TempDir) -> Store {
    fs::create_dir_all(folder.path().join("tmp")).unwrap();
    Store::open(&folder.path().join("tree"), &folder.path().join("tmp")).unwrap()
}

fn files(folder: &Path, below: &str, found: &mut Vec<String>) {
    for item in fs::read_dir(folder).unwrap() {
        let item = item.unwrap();
        let path = format!("{below}{}", item.file_name().to_str().unwrap());
        if item.path().is_dir() {
            files(&item.path(), &format!("{path}/"), found);
        } else {
            found.push(path);
        }
    }
}

/// The files are just those that a tree of this size needs.
#[track_caller]
fn assert_exact(folder: &TempDir, size: u64) {
    let mut found = Vec::new();
    files(&folder.path().join("tree"), "", &mut found);
    found.retain(|path| path != "checkpoint");
    for path in &found {
        let standing = Tile::parse(path).map(|tile| tile.standing(size));
        assert_eq!(standing, Some(Standing::Needed), "{path} of {size}");
    }
    let levels = std::iter::once(Level::Entries).chain((0..LEVELS).map(Level::Hashes));
    let needed: u64 = levels.map(|level| level.count(size).div_ceil(256)).sum();
    assert_eq!(found.len() as u64, needed, "{size}");
}

#[test]
fn a_tree_grows_over_all_borders_and_opens_again() {
    let folder = TempDir::new().unwrap();
    for size in [1, 2, 255, 256, 257, 511, 512, 700, 66_000] {
        let mut store = open_in(&folder);
        commit(&mut store, size);
        assert_exact(&folder, size);
        let store = open_in(&folder);
        assert_eq!(store.head(), Head { size, root: root_of(&hashes(size)) });
        assert_eq!(store.last_leaf().unwrap().unwrap(), leaf(size - 1));
    }
}

#[test]
fn entries_that_do_not_lead_to_the_root_do_not_count() {
    let folder = TempDir::new().unwrap();
    let mut store = open_in(&folder);
    commit(&mut store, 300);
    let (mut target, bytes) = note(700);
    target.root[0] ^= 1;
    assert!(matches!(store.commit(grow(&store, 700), &target, &bytes), Err(StoreError::Root(700))));
    let (target, bytes) = note(700);
    assert!(store.commit(grow(&store, 600), &target, &bytes).is_err());
    assert_eq!(store.head().size, 300);
    // What was written for it is gone after the next start, and the right entries take its place.
    let mut store = open_in(&folder);
    assert_exact(&folder, 300);
    commit(&mut store, 700);
    assert_exact(&folder, 700);
}

#[test]
fn a_held_entry_is_never_replaced() {
    let folder = TempDir::new().unwrap();
    let mut store = open_in(&folder);
    commit(&mut store, 300);
    let mut growth = store.begin();
    let leaves: Vec<Vec<u8>> = (256..310).map(|index| leaf(index + u64::from(index == 260))).collect();
    let leaves: Vec<&[u8]> = leaves.iter().map(Vec::as_slice).collect();
    assert!(matches!(growth.bundle(1, b"", &leaves), Err(StoreError::Changed(1))));
    assert!(matches!(store.begin().bundle(2, b"", &leaves), Err(StoreError::Bundle { .. })));
    assert!(matches!(store.begin().bundle(1, b"", &leaves[..44]), Err(StoreError::Bundle { .. })));
}

#[test]
fn a_damaged_tile_of_its_own_is_found_at_the_start() {
    let folder = TempDir::new().unwrap();
    commit(&mut open_in(&folder), 300);
    let tile = folder.path().join("tree/tile/0/001.p/44");
    let mut bytes = fs::read(&tile).unwrap();
    bytes[5] ^= 1;
    fs::write(&tile, bytes).unwrap();
    let opened = Store::open(&folder.path().join("tree"), &folder.path().join("tmp"));
    assert!(matches!(opened, Err(StoreError::Damaged(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn a_crash_at_any_growth_leaves_the_tree_of_its_checkpoint(sizes in prop::collection::vec(1_u64..900, 1..6)) {
        let folder = TempDir::new().unwrap();
        let mut size = 0;
        for step in sizes {
            let mut store = open_in(&folder);
            // Written, and not committed: the crash.
            let mut lost = grow(&store, size + step);
            lost.write_partials().unwrap();
            drop(store);
            store = open_in(&folder);
            prop_assert_eq!(store.head().size, size);
            assert_exact(&folder, size);
            size += step / 2 + 1;
            commit(&mut store, size);
            assert_exact(&folder, size);
        }
    }
}
