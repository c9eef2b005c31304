//! Segments are used again, and a restart changes nothing that anyone can see.

use std::path::Path;
use std::sync::Arc;

use ledger::tile::{TileCoordinates, new_tiles};
use testkit::MemoryDisk;
use vault::{Disk, Folder, Log};

use super::{check, identity, open, options, sample, wait};

fn files(disk: &dyn Disk, size: u64) -> Vec<(String, Vec<u8>)> {
    let bundles = (0..size.div_ceil(256)).map(|i| TileCoordinates::in_tree(0, i, size).unwrap().as_entries());
    let tiles = new_tiles(0, size).chain(bundles.clone()).map(|at| format!("ledger/{at}"));
    let details = bundles.map(|at| at.to_string().replacen("tile/entries", "details", 1));
    let paths = tiles.chain(details).chain(["ledger/checkpoint".to_owned(), "wal/durable".to_owned()]);
    paths.map(|path| (path.clone(), disk.read(Path::new(&path)).unwrap().expect(&path))).collect()
}

#[test]
fn a_log_with_restarts_publishes_the_same_bytes_as_one_without() {
    let (straight, restarted) = (Arc::new(MemoryDisk::default()), Arc::new(MemoryDisk::default()));
    for (disk, run) in [(&straight, 700), (&restarted, 97)] {
        Log::create(disk.as_ref(), &identity()).unwrap();
        for start in (0..700).step_by(run) {
            let log = open(disk, options()).unwrap();
            for number in start..(start + run as u64).min(700) {
                assert_eq!(log.submit_and_wait(sample(number).submission()).unwrap().index(), number);
            }
        }
    }
    assert_eq!(files(straight.as_ref(), 700), files(restarted.as_ref(), 700));
}

#[test]
fn segments_of_a_folder_are_recycled_and_partial_files_removed() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Folder::open(dir.path()).unwrap());
    Log::create(disk.as_ref(), &identity()).unwrap();
    let log = open(&disk, options()).unwrap();
    let receipts: Vec<_> = (0..600)
        .map(|number| (log.submit_and_wait(sample(number).submission()).unwrap().index(), sample(number)))
        .collect();
    let first = disk.read(Path::new("wal/00000000000000000000.seg")).unwrap();
    assert!(first.is_none(), "600 entries fill more than ten segments");
    wait("the recycling", || {
        let names = disk.list(Path::new("wal")).unwrap();
        names.iter().filter(|n| n.ends_with(".seg")).count() == 1
            && names.iter().any(|n| n.ends_with(".spare"))
    });
    log.close();
    check(disk.as_ref(), &log, &receipts, &[]);
    for folder in ["ledger/tile/0", "ledger/tile/entries", "details"] {
        assert_eq!(disk.list(Path::new(folder)).unwrap(), ["000", "001", "002.p"], "{folder}");
    }
}
