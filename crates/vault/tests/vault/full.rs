//! A full disk closes the border, and opens it again when there is space.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ledger::{Entry, EntryKind};
use testkit::{Crash, Fault, FaultyDisk, MemoryDisk, MemoryIndex, Plan, Space, Step, Then};
use vault::log::{BorderClosed, Hooks};
use vault::{Border, Disk, Log};

use super::damage::places;
use super::{check, hooks, identity, open, options, published, sample, sized, unpublished, wait};

fn start() -> (Arc<MemoryDisk>, Arc<FaultyDisk>, Log) {
    let memory = Arc::new(MemoryDisk::default());
    let disk = Arc::new(FaultyDisk::new(memory.clone(), None));
    Log::create(disk.as_ref(), &identity()).unwrap();
    let log = open(&disk, options()).unwrap();
    (memory, disk, log)
}

fn kind_at(disk: &MemoryDisk, size: u64, index: u64) -> EntryKind {
    Entry::decode(&published(disk, size).0[usize::try_from(index).unwrap()]).unwrap().draft.kind
}

#[test]
fn a_full_disk_closes_the_border_at_once_and_space_opens_it_with_a_border_entry() {
    let (memory, disk, log) = start();
    let mut receipts = Vec::new();
    for number in 0..20 {
        receipts.push((log.submit_and_wait(sample(number).submission()).unwrap().index(), sample(number)));
    }
    disk.space(Space::None);
    assert_eq!(log.submit_and_wait(sample(20).submission()).unwrap_err(), BorderClosed::NotWritten);
    assert_eq!(log.border(), Border::Closed(BorderClosed::NotWritten));
    let tried = disk.count(Step::WriteAt);
    wait("three more attempts", || disk.count(Step::WriteAt) >= tried + 3);
    assert_eq!(log.submit(sample(21).submission()).err(), Some(BorderClosed::NotWritten), "it stays closed");
    disk.space(Space::Left);
    wait("the border", || log.border() == Border::Open);
    let index = log.submit_and_wait(sample(22).submission()).unwrap().index();
    assert_eq!(index, 21, "behind the entry of the border");
    receipts.push((index, sample(22)));
    log.close();
    assert_eq!(kind_at(&memory, log.size(), 20), EntryKind::Border);
    check(memory.as_ref(), &log, &receipts, &disk.replaced("ledger/checkpoint".as_ref()));
}

#[test]
fn without_new_blocks_the_segment_in_use_is_filled_and_then_the_border_closes() {
    let (memory, disk, log) = start();
    let mut receipts = vec![(log.submit_and_wait(sample(0).submission()).unwrap().index(), sample(0))];
    disk.space(Space::InPlace);
    let refused = (1..200).find(|number| match log.submit_and_wait(sample(*number).submission()) {
        Ok(receipt) => {
            receipts.push((receipt.index(), sample(*number)));
            false
        }
        Err(why) => why == BorderClosed::NotWritten,
    });
    assert!(refused.is_some_and(|n| n > 10), "a segment of 16 KiB holds more than ten entries");
    disk.space(Space::Left);
    wait("the border", || log.border() == Border::Open);
    log.close();
    assert_eq!(kind_at(&memory, log.size(), refused.unwrap()), EntryKind::Border);
    check(memory.as_ref(), &log, &receipts, &disk.replaced("ledger/checkpoint".as_ref()));
}

#[test]
fn what_waits_behind_a_refused_batch_is_refused_with_it() {
    let (memory, disk, log) = start();
    disk.plan(Plan { step: Step::WriteAt, nth: 2, fault: Fault::NotDone, then: Then::GoesOn });
    disk.hold();
    let first = log.submit(sample(0).submission()).unwrap();
    wait("the first write", || disk.count(Step::WriteAt) == 1);
    let large: Vec<_> = (2..5).map(|n| log.submit(sized(n, 3 << 20).submission()).unwrap()).collect();
    disk.release();
    assert_eq!(first.blocking_recv().unwrap().unwrap().index(), 0);
    for reply in large {
        assert_eq!(reply.blocking_recv().unwrap().unwrap_err(), BorderClosed::NotWritten);
    }
    wait("the border", || log.border() == Border::Open);
    log.close();
    assert_eq!(kind_at(&memory, log.size(), log.size() - 1), EntryKind::Border);
    assert_eq!(log.size(), 2, "none of the large entries is there");
}

#[test]
fn an_entry_longer_than_a_frame_is_refused_and_others_cross() {
    let (_, _, log) = start();
    assert_eq!(log.submit(sized(1, 4 << 20).submission()).err(), Some(BorderClosed::TooLong));
    assert_eq!(log.border(), Border::Open);
    assert_eq!(log.submit_and_wait(sample(2).submission()).unwrap().index(), 0);
}

/// Bytes that are free in the segment in use.
fn room(disk: &MemoryDisk) -> usize {
    let names = disk.list(Path::new("wal")).unwrap();
    let last = names.iter().rfind(|n| n.ends_with(".seg")).unwrap();
    let (bytes, places) = places(disk, &Path::new("wal").join(last));
    bytes.len() - places.last().unwrap()
}

#[test]
fn a_refused_frame_is_not_read_when_a_longer_one_takes_its_place_in_another_segment() {
    let (memory, disk, log) = start();
    drop(log);
    let hooks = hooks(Arc::new(MemoryIndex::default()), &Arc::default());
    let hooks = Hooks { reopening: Some(Box::new(|| sized(9999, 3000).submission())), ..hooks };
    let log = Log::open(disk.clone(), identity(), unpublished(), hooks).unwrap();
    let mut receipts = Vec::new();
    for number in 0.. {
        receipts.push((log.submit_and_wait(sample(number).submission()).unwrap().index(), sample(number)));
        if (1000..3000).contains(&room(&memory)) {
            break;
        }
    }
    disk.plan(Plan { step: Step::WriteAt, nth: 1, fault: Fault::Unanswered, then: Then::GoesOn });
    assert_eq!(log.submit_and_wait(sample(1000).submission()).unwrap_err(), BorderClosed::NotWritten);
    wait("the border", || log.border() == Border::Open);
    receipts.push((log.submit_and_wait(sample(1001).submission()).unwrap().index(), sample(1001)));
    for crash in [Crash::Kept, Crash::Lost] {
        let after = Arc::new(memory.crash(crash));
        let log = open(&after, options()).unwrap();
        log.close();
        check(after.as_ref(), &log, &receipts, &[]);
    }
}

#[test]
fn a_log_that_is_closed_publishes_what_was_still_being_written() {
    let (memory, disk, log) = start();
    disk.hold();
    let reply = log.submit(sample(0).submission()).unwrap();
    wait("the write", || disk.count(Step::WriteAt) == 1);
    std::thread::scope(|s| {
        let closing = s.spawn(|| log.close());
        wait("the order to stop", || log.border() == Border::Closed(BorderClosed::Stopped));
        // Long enough for a publisher that does not wait for the committer to be gone.
        let soon = Instant::now() + Duration::from_millis(30);
        wait("a publisher in a hurry", || Instant::now() > soon);
        disk.release();
        closing.join().unwrap();
    });
    let receipt = reply.blocking_recv().unwrap().unwrap();
    check(memory.as_ref(), &log, &[(receipt.index(), sample(0))], &[]);
    assert_eq!(log.published(), 1);
}
