//! A torn end is cut off; anything else that is damaged, older or somebody else's is refused.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger::wal;
use testkit::{Crash, MemoryDisk};
use vault::log::LogError;
use vault::{Disk, Folder, Log};

use super::{Sample, check, identity, open, options, sample, unpublished};

/// A log of single-entry frames that are not published, as a killed process leaves it.
fn killed(entries: u64) -> (Arc<MemoryDisk>, Vec<(u64, Sample)>) {
    let disk = Arc::new(MemoryDisk::default());
    Log::create(disk.as_ref(), &identity()).unwrap();
    let log = open(&disk, unpublished()).unwrap();
    let mut receipts = Vec::new();
    for number in 0..entries {
        receipts.push((log.submit_and_wait(sample(number).submission()).unwrap().index(), sample(number)));
    }
    (Arc::new(disk.crash(Crash::Lost)), receipts)
}

fn segment(first: u64) -> PathBuf {
    PathBuf::from(format!("wal/{first:020}.seg"))
}

/// Where each frame of a segment begins, and where the last ends.
pub(crate) fn places(disk: &MemoryDisk, path: &Path) -> (Vec<u8>, Vec<usize>) {
    let bytes = disk.read(path).unwrap().unwrap();
    let first = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let (mut places, mut next) = (vec![0], first);
    while let Ok((batch, length)) = wal::decode(&bytes[places[places.len() - 1]..], next) {
        places.push(places[places.len() - 1] + length);
        next += batch.entries.len() as u64;
    }
    (bytes, places)
}

fn copy(disk: &MemoryDisk) -> Arc<MemoryDisk> {
    Arc::new(disk.crash(Crash::Kept))
}

#[test]
fn a_last_frame_torn_at_any_byte_is_cut_off_and_the_log_continues() {
    let (disk, receipts) = killed(4);
    let (bytes, places) = places(&disk, &segment(0));
    assert_eq!(places.len(), 5);
    let (start, end) = (places[3], places[4]);
    for cut in start..end {
        let mut torn = bytes.clone();
        torn[cut..end].fill(0);
        if torn == bytes {
            continue;
        }
        let disk = copy(&disk);
        disk.tamper(&segment(0), Some(torn));
        let log = open(&disk, options()).unwrap();
        assert_eq!(log.size(), 3, "cut at {cut}");
        let mut receipts = receipts[..3].to_vec();
        receipts.push((log.submit_and_wait(sample(99).submission()).unwrap().index(), sample(99)));
        log.close();
        check(disk.as_ref(), &log, &receipts, &[]);
    }
}

#[test]
fn a_last_frame_without_its_beginning_is_cut_off() {
    let (disk, receipts) = killed(4);
    let (bytes, places) = places(&disk, &segment(0));
    for lost in [1, wal::HEAD_LEN, wal::HEAD_LEN + 100] {
        let mut torn = bytes.clone();
        torn[places[3]..places[3] + lost].fill(0);
        let disk = copy(&disk);
        disk.tamper(&segment(0), Some(torn));
        let log = open(&disk, options()).unwrap();
        assert_eq!(log.size(), 3);
        log.close();
        check(disk.as_ref(), &log, &receipts[..3], &[]);
    }
}

#[test]
fn a_log_that_lost_a_published_entry_does_not_start() {
    let (disk, _) = killed(4);
    open(&disk, options()).unwrap().close();
    let (mut bytes, places) = places(&disk, &segment(0));
    let damaged = copy(&disk);
    bytes[places[3] + 60] ^= 1;
    damaged.tamper(&segment(0), Some(bytes));
    assert!(matches!(open(&damaged, options()), Err(LogError::Lost { found: 3, published: 4 })));
}

#[test]
fn a_damaged_frame_before_the_last_is_refused() {
    let (disk, _) = killed(5);
    let (bytes, places) = places(&disk, &segment(0));
    for frame in 0..4 {
        for at in
            [places[frame], places[frame] + 20, places[frame] + wal::HEAD_LEN + 30, places[frame + 1] - 1]
        {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let disk = copy(&disk);
            disk.tamper(&segment(0), Some(changed));
            assert!(matches!(open(&disk, options()), Err(LogError::Damaged(_))), "frame {frame}, byte {at}");
        }
    }
}

#[test]
fn a_missing_segment_is_refused() {
    let (disk, _) = killed(100);
    let names = disk.list(Path::new("wal")).unwrap();
    let segments: Vec<_> = names.iter().filter(|n| n.ends_with(".seg")).collect();
    assert!(segments.len() > 2, "{names:?}");
    for name in &segments[..segments.len() - 1] {
        let disk = copy(&disk);
        disk.tamper(&Path::new("wal").join(name), None);
        assert!(matches!(open(&disk, options()), Err(LogError::Damaged(_))), "{name}");
    }
    open(&disk, options()).unwrap().close();
    for name in disk.list(Path::new("wal")).unwrap().iter().filter(|n| n.ends_with(".seg")) {
        disk.tamper(&Path::new("wal").join(name), None);
    }
    assert!(
        matches!(open(&disk, options()), Err(LogError::Damaged(_))),
        "a log that had entries has a segment"
    );
}

#[test]
fn an_older_copy_of_the_frames_or_of_the_whole_tree_is_refused() {
    let (disk, _) = killed(10);
    let older = copy(&disk);
    open(&older, options()).unwrap().close();
    let newer = copy(&older);
    let log = open(&newer, options()).unwrap();
    for number in 10..20 {
        let _receipt = log.submit_and_wait(sample(number).submission()).unwrap();
    }
    log.close();
    let frames = copy(&newer);
    frames.tamper(&segment(0), older.read(&segment(0)).unwrap());
    assert!(matches!(open(&frames, options()), Err(LogError::Lost { .. })));
    let all_but_the_checkpoint = copy(&older);
    let checkpoint = Path::new("ledger/checkpoint");
    all_but_the_checkpoint.tamper(checkpoint, newer.read(checkpoint).unwrap());
    let refused = open(&all_but_the_checkpoint, options());
    assert!(matches!(refused, Err(LogError::Lost { found: 10, published: 20 })));
    let only_the_checkpoint = copy(&newer);
    only_the_checkpoint.tamper(checkpoint, older.read(checkpoint).unwrap());
    assert!(matches!(open(&only_the_checkpoint, options()), Err(LogError::Damaged(_))));
}

#[test]
fn another_history_of_the_same_length_is_refused() {
    let (disk, _) = killed(3);
    open(&disk, options()).unwrap().close();
    let other = Arc::new(MemoryDisk::default());
    Log::create(other.as_ref(), &identity()).unwrap();
    let log = open(&other, options()).unwrap();
    for number in 50..53 {
        let _receipt = log.submit_and_wait(sample(number).submission()).unwrap();
    }
    log.close();
    let checkpoint = Path::new("ledger/checkpoint");
    disk.tamper(checkpoint, other.read(checkpoint).unwrap());
    assert!(matches!(open(&disk, options()), Err(LogError::Damaged(_))));
}

#[test]
fn a_changed_tile_bundle_or_detail_file_at_the_edge_is_refused() {
    let (disk, _) = killed(3);
    open(&disk, options()).unwrap().close();
    for path in ["ledger/tile/0/000.p/3", "ledger/tile/entries/000.p/3", "details/000.p/3"] {
        let mut bytes = disk.read(Path::new(path)).unwrap().unwrap();
        bytes[0] ^= 1;
        let changed = copy(&disk);
        changed.tamper(Path::new(path), Some(bytes));
        assert!(open(&changed, options()).is_err(), "{path}");
        changed.tamper(Path::new(path), None);
        assert!(open(&changed, options()).is_err(), "{path} is missing");
    }
}

#[test]
fn a_log_is_never_made_or_opened_as_a_side_effect() {
    let disk = Arc::new(MemoryDisk::default());
    assert!(matches!(open(&disk, options()), Err(LogError::Missing)));
    Log::create(disk.as_ref(), &identity()).unwrap();
    assert!(matches!(Log::create(disk.as_ref(), &identity()), Err(LogError::Exists)));
    let (disk, _) = killed(2);
    disk.tamper(Path::new("ledger/checkpoint"), None);
    assert!(matches!(Log::create(disk.as_ref(), &identity()), Err(LogError::Exists)), "its frames are here");
}

#[test]
fn a_second_handle_on_the_same_folder_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let first = Folder::open(dir.path()).unwrap();
    let second = Folder::open(dir.path()).map(|_| ()).unwrap_err();
    assert_eq!(second.kind(), std::io::ErrorKind::WouldBlock);
    drop(first);
    assert!(Folder::open(dir.path()).is_ok());
}
