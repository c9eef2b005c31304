//! What is derived can be thrown away, and comes back the same; what is the truth is never guessed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger::tile::{TileCoordinates, new_tiles};
use testkit::{Crash, Fault, FaultyDisk, MemoryDisk, MemoryIndex, Plan, Step, Then};
use vault::log::{LogError, Options, Rebuilt, TagIndex, rebuild};
use vault::{Disk, Log};

use super::packs::copy;
use super::{bundle, check, hooks, identity, options, packing, sample};

const ENTRIES: u64 = 1100;

fn run(disk: &dyn Disk, index: &MemoryIndex, from: Option<&dyn Disk>) -> Result<Rebuilt, LogError> {
    rebuild(disk, identity().signer.verifier(), &packing(), index, from)
}

/// The public tree as a mirror has it.
fn mirror(disk: &MemoryDisk) -> MemoryDisk {
    let copy = MemoryDisk::default();
    for path in disk.paths() {
        if let Ok(below) = path.strip_prefix("ledger") {
            copy.tamper(below, disk.read(&path).unwrap());
        }
    }
    copy
}

fn damage(disk: &MemoryDisk, path: &str, at: usize) {
    let mut bytes = disk.read(Path::new(path)).unwrap().unwrap();
    bytes[at] ^= 1;
    disk.tamper(Path::new(path), Some(bytes));
}

fn remove(disk: &MemoryDisk, below: &str) {
    for path in disk.paths().into_iter().filter(|p| p.starts_with(below)) {
        disk.tamper(&path, None);
    }
}

/// Everything but the frames, which a start may write again.
fn files(disk: &MemoryDisk) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = disk.paths().into_iter().filter(|p| !p.starts_with("wal"));
    paths.map(|p| (p.clone(), disk.read(&p).unwrap().unwrap())).collect()
}

/// The files that one has and the other has not, or not with the same bytes. Older partial tiles do not count.
fn differences(one: &MemoryDisk, other: &MemoryDisk, below: &str) -> Vec<PathBuf> {
    let tiles: Vec<_> = new_tiles(0, ENTRIES).map(|at| PathBuf::from(format!("ledger/{at}"))).collect();
    let counts = |p: &Path| {
        p.starts_with(below) && (!p.to_str().unwrap().contains(".p/") || tiles.iter().any(|t| t == p))
    };
    let (one, other) = (files(one), files(other));
    let missing = one.iter().filter(|f| !other.contains(f)).chain(other.iter().filter(|f| !one.contains(f)));
    missing.map(|(p, _)| p.clone()).filter(|p| counts(p)).collect()
}

fn has_all_tags(index: &MemoryIndex) -> bool {
    (0..ENTRIES).all(|entry| sample(entry).draft.subjects.tags().iter().all(|t| index.has(*t, entry)))
}

fn open(disk: &Arc<MemoryDisk>, index: &Arc<MemoryIndex>) -> Result<Log, LogError> {
    Log::open(disk.clone(), identity(), packing(), hooks(index.clone(), &Arc::default()))
}

/// That a log starts over the disk, and has everything.
fn works(disk: MemoryDisk, index: MemoryIndex) {
    let (disk, index) = (Arc::new(disk), Arc::new(index));
    let log = open(&disk, &index).unwrap();
    let number = ENTRIES;
    assert_eq!(log.submit_and_wait(sample(number).submission()).unwrap().index(), number);
    log.close();
    let receipts: Vec<_> = (0..=ENTRIES).map(|number| (number, sample(number))).collect();
    check(disk.as_ref(), &log, &receipts, &[]);
    assert!(has_all_tags(&index));
}

#[test]
fn what_was_thrown_away_comes_back_the_same() {
    let disk = copy();
    let stray = MemoryIndex::default();
    let tag = sample(5).draft.subjects.tags()[0];
    stray.add(&[(tag, 99_999)]).unwrap();
    for level in ["tile/0", "tile/1", "pack/0"] {
        remove(&disk, &format!("ledger/{level}"));
    }
    disk.tamper(Path::new("ledger/tile/7/000"), Some(vec![1; 8192]));
    let done = run(disk.as_ref(), &stray, None).unwrap();
    assert_eq!((done.size, done.repaired), (ENTRIES, 0));
    assert_eq!(differences(&disk, &copy(), ""), Vec::<PathBuf>::new());
    assert!(!stray.has(tag, 99_999) && has_all_tags(&stray));
    works(disk.crash(Crash::Lost), stray.crash());
}

#[test]
fn a_tree_without_packs_is_packed_by_a_rebuild() {
    let disk = Arc::new(MemoryDisk::default());
    Log::create(disk.as_ref(), &identity()).unwrap();
    let index = Arc::new(MemoryIndex::default());
    let log = Log::open(disk.clone(), identity(), options(), hooks(index.clone(), &Arc::default())).unwrap();
    for number in 0..ENTRIES {
        let _receipt = log.submit_and_wait(sample(number).submission()).unwrap();
    }
    log.close();
    run(disk.as_ref(), &index, None).unwrap();
    for below in ["ledger/tile/0", "ledger/tile/1", "ledger/pack/0", "ledger/pack/1"] {
        assert_eq!(differences(&disk, &copy(), below), Vec::<PathBuf>::new());
    }
    works(disk.crash(Crash::Lost), index.crash());
}

#[test]
fn a_bundle_that_does_not_fit_is_named_and_nothing_is_replaced() {
    // Byte 1024 of the pack is in the first of its two bundles; the second begins at its end.
    let second = bundle(copy().as_ref(), TileCoordinates::entries(0, 256).unwrap()).len() + 8 + 300;
    for (path, at, named) in [
        ("ledger/pack/entries/000", 1024, "`tile/entries/000`"),
        ("ledger/pack/entries/000", second, "`tile/entries/001`"),
        ("ledger/tile/entries/004.p/76", 300, "`tile/entries/004.p/76`"),
    ] {
        for tiles_too in [false, true] {
            let disk = copy();
            damage(&disk, path, at);
            if tiles_too {
                remove(&disk, "ledger/tile/1");
            }
            let before = files(&disk);
            let error = run(disk.as_ref(), &MemoryIndex::default(), None).unwrap_err().to_string();
            remove(&disk, "rebuild");
            assert!(files(&disk) == before, "{path}");
            // Without hash tiles nobody can say which of the bundles it is.
            assert!(tiles_too || error.contains(named), "{error}");
            assert!(error.contains("tile/entries/"), "{error}");
        }
    }
}

#[test]
fn a_missing_bundle_or_tag_list_is_named() {
    let disk = copy();
    remove(&disk, "ledger/pack/entries/001");
    let error = run(disk.as_ref(), &MemoryIndex::default(), None).unwrap_err();
    assert!(error.to_string().contains("`tile/entries/002`"), "{error}");
    let disk = copy();
    let (root, _) = sample(14).draft.subjects.side_record().unwrap();
    let list = format!("ledger/tags/{}", data_encoding::HEXLOWER.encode(root.as_bytes()));
    for damaged in [None, Some(vec![0; 96])] {
        disk.tamper(Path::new(&list), damaged);
        let error = run(disk.as_ref(), &MemoryIndex::default(), None).unwrap_err();
        assert!(error.to_string().contains("the tag list of entry 14"), "{error}");
    }
}

#[test]
fn what_is_damaged_or_missing_comes_from_a_copy() {
    let whole = mirror(&copy());
    let (root, _) = sample(14).draft.subjects.side_record().unwrap();
    let list = format!("tags/{}", data_encoding::HEXLOWER.encode(root.as_bytes()));
    let disk = copy();
    damage(&disk, "ledger/pack/entries/000", 2000);
    remove(&disk, "ledger/pack/entries/001");
    damage(&disk, "ledger/tile/entries/004.p/76", 300);
    disk.tamper(Path::new(&format!("ledger/{list}")), None);
    remove(&disk, "ledger/tile/1");
    let index = MemoryIndex::default();
    let done = run(disk.as_ref(), &index, Some(&whole)).unwrap();
    assert_eq!((done.size, done.repaired), (ENTRIES, 1 + 2 + 1 + 1));
    for at in (0..4).map(|i| TileCoordinates::entries(i, 256).unwrap()) {
        assert!(bundle(disk.as_ref(), at) == bundle(copy().as_ref(), at), "{at}");
    }
    works(disk.crash(Crash::Lost), index.crash());
}

#[test]
fn a_copy_that_lies_is_not_believed() {
    let disk = copy();
    remove(&disk, "ledger/pack/entries/001");
    for (path, at) in [("pack/entries/001", 2000), ("pack/entries/001", 3)] {
        let liar = mirror(&copy());
        damage(&liar, path, at);
        let before = files(&disk);
        assert!(run(disk.as_ref(), &MemoryIndex::default(), Some(&liar)).is_err());
        remove(&disk, "rebuild");
        assert!(files(&disk) == before);
    }
}

#[test]
fn a_checkpoint_of_another_history_or_key_is_refused() {
    let other = MemoryDisk::default();
    Log::create(&other, &identity()).unwrap();
    let disk = copy();
    let checkpoint = Path::new("ledger/checkpoint");
    let note = disk.read(checkpoint).unwrap();
    let mut forged = note.clone().unwrap();
    let last = forged.len() - 3;
    forged[last] ^= 1;
    disk.tamper(checkpoint, Some(forged));
    assert!(matches!(run(disk.as_ref(), &MemoryIndex::default(), None), Err(LogError::OtherLog)));
    disk.tamper(checkpoint, None);
    assert!(matches!(run(disk.as_ref(), &MemoryIndex::default(), None), Err(LogError::Missing)));
    let empty = run(&other, &MemoryIndex::default(), None).unwrap();
    assert_eq!(empty, Rebuilt { size: 0, repaired: 0, tags: 0 });
}

/// A log whose last bundles were published and not flushed when the power failed.
#[test]
fn unflushed_bundles_are_left_to_the_frames() {
    let disk = copy();
    let index = Arc::new(MemoryIndex::default());
    let later = Options { flush_every: std::time::Duration::from_secs(3600), ..packing() };
    let faulty = Arc::new(FaultyDisk::new(disk.clone(), None));
    let log = Log::open(faulty.clone(), identity(), later, hooks(index.clone(), &Arc::default())).unwrap();
    let marker = disk.read(Path::new("wal/durable")).unwrap();
    for number in ENTRIES..ENTRIES + 400 {
        let _receipt = log.submit_and_wait(sample(number).submission()).unwrap();
    }
    super::wait("the publication", || log.published() == ENTRIES + 400);
    let after = disk.crash(Crash::Lost);
    assert_eq!(after.read(Path::new("wal/durable")).unwrap(), marker);
    // The checkpoint is flushed before its name changes, and a file system may well keep the new name.
    after.tamper(Path::new("ledger/checkpoint"), disk.read(Path::new("ledger/checkpoint")).unwrap());
    drop(log);
    remove(&after, "ledger/tile/0");
    remove(&after, "ledger/pack/0");
    let index = Arc::new(MemoryIndex::default());
    let done = run(&after, &index, None).unwrap();
    assert_eq!(done.size, ENTRIES);
    let after = Arc::new(after.crash(Crash::Lost));
    let log = open(&after, &index).unwrap();
    assert_eq!(log.size(), ENTRIES + 400);
    log.close();
    let receipts: Vec<_> = (0..ENTRIES + 400).map(|number| (number, sample(number))).collect();
    check(after.as_ref(), &log, &receipts, &[]);
    assert!(has_all_tags(&index));
}

#[test]
fn both_sizes_that_a_start_needs_are_derived() {
    let disk = copy();
    let index = Arc::new(MemoryIndex::default());
    // Published by a log that never flushed it, and whose process then died.
    let later = Options { flush_every: std::time::Duration::from_secs(3600), ..packing() };
    let log = Log::open(disk.clone(), identity(), later, hooks(index.clone(), &Arc::default())).unwrap();
    for number in ENTRIES..ENTRIES + 100 {
        let _receipt = log.submit_and_wait(sample(number).submission()).unwrap();
    }
    super::wait("the publication", || log.published() == ENTRIES + 100);
    let killed = disk.crash(Crash::Kept);
    drop(log);
    remove(&killed, "ledger/tile/0");
    let done = run(&killed, &index, None).unwrap();
    assert_eq!(done.size, ENTRIES + 100);
    for size in [ENTRIES, ENTRIES + 100] {
        for at in new_tiles(0, size).filter(TileCoordinates::is_partial) {
            assert!(killed.read(Path::new(&format!("ledger/{at}"))).unwrap().is_some(), "{at}");
        }
    }
    let killed = Arc::new(killed.crash(Crash::Lost));
    let log = open(&killed, &index).unwrap();
    assert_eq!(log.size(), ENTRIES + 100);
}

#[test]
fn a_rebuild_that_is_killed_anywhere_can_be_run_again() {
    let mut fired = 0;
    for step in [Step::Put, Step::Replace, Step::SyncAll, Step::Rename, Step::Remove] {
        for nth in [1, 2, 3, 4, 6, 9] {
            for (fault, crash) in [
                (Fault::NotDone, Crash::Lost),
                (Fault::Unanswered, Crash::Kept),
                (Fault::Unanswered, Crash::Torn(nth as u64)),
            ] {
                fired += usize::from(killed_rebuild(Plan { step, nth, fault, then: Then::Dies }, crash));
            }
        }
    }
    assert!(fired >= 60, "{fired} faults happened");
}

/// Whether the fault happened.
fn killed_rebuild(plan: Plan, crash: Crash) -> bool {
    let memory = copy();
    remove(&memory, "ledger/tile/1");
    damage(&memory, "ledger/pack/0/001", 4000);
    damage(&memory, "ledger/pack/entries/001", 3000);
    let whole = mirror(&copy());
    let index = MemoryIndex::default();
    let disk = FaultyDisk::new(memory.clone(), Some(plan));
    let done = run(&disk, &index, Some(&whole));
    assert_eq!(done.is_err(), disk.fired(), "{plan:?}");
    let after = memory.crash(crash);
    let index = index.crash();
    if disk.fired() {
        // A start in between is refused, or finds a tree that is whole again or as damaged as before.
        let between = Arc::new(after.crash(Crash::Kept));
        let opened = open(&between, &Arc::new(index.crash()));
        let begun = after.read(Path::new("rebuilding")).unwrap().is_some();
        assert!(!begun || matches!(opened, Err(LogError::Damaged(_))), "{plan:?}, {crash:?}");
        drop(opened);
        run(&after, &index, Some(&whole)).unwrap();
    }
    works(after.crash(Crash::Lost), index.crash());
    disk.fired()
}
