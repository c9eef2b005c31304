//! The tag index finds what was noted, through faults, crashes and merges.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use model::Tag;
use testkit::{Crash, Dice, Fault, FaultyDisk, MemoryDisk, Plan, Step, Then};
use vault::log::TagIndex;
use vault::{Disk, Folder, Tags};

use super::wait;

type Pairs = BTreeSet<(Tag, u64)>;

/// One of 60 tags: most are spread evenly, as keyed digests are, and some differ in their last byte only.
fn tag(dice: &mut Dice) -> Tag {
    let number = u64::try_from(dice.below(60)).unwrap();
    let mut bytes = [7; 16];
    if number < 40 {
        bytes[..8].copy_from_slice(&Dice::new(number).roll().to_be_bytes());
    } else {
        bytes[15] = u8::try_from(number).unwrap();
    }
    Tag::new(bytes)
}

fn some(dice: &mut Dice, next: &mut u64) -> Vec<(Tag, u64)> {
    let pairs = (0..dice.below(400)).map(|_| {
        *next += u64::try_from(dice.below(3)).unwrap();
        (tag(dice), *next)
    });
    pairs.collect()
}

/// Entries of a tag, newest first.
fn of(pairs: &Pairs, tag: Tag) -> Vec<u64> {
    pairs.range((tag, 0)..=(tag, u64::MAX)).rev().map(|(_, entry)| *entry).collect()
}

fn all_tags() -> BTreeSet<Tag> {
    let mut dice = Dice::new(0);
    (0..4000).map(|_| tag(&mut dice)).collect()
}

fn agree(index: &Tags, pairs: &Pairs) {
    for tag in all_tags() {
        let wanted = of(pairs, tag);
        assert_eq!(index.entries_of([tag], usize::MAX).unwrap(), wanted);
        assert_eq!(index.entries_of([tag], 5).unwrap(), wanted[..wanted.len().min(5)]);
    }
}

fn runs(disk: &dyn Disk) -> usize {
    disk.list(Path::new("runs")).unwrap().len()
}

fn open(disk: &Arc<impl Disk + 'static>) -> Tags {
    Tags::open(Arc::clone(disk) as _).unwrap()
}

#[test]
fn every_tag_is_found_in_memory_in_runs_and_behind_merges() {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Folder::open(dir.path()).unwrap());
    let (mut dice, mut next, mut pairs) = (Dice::new(20_261_126), 0, Pairs::new());
    let mut index = open(&disk);
    for round in 0..120 {
        let added = some(&mut dice, &mut next);
        index.add(&added).unwrap();
        // The same again, as after a restart.
        index.add(&added[..added.len() / 9]).unwrap();
        pairs.extend(added);
        if dice.below(4) > 0 {
            index.flush().unwrap();
        }
        if round % 20 == 19 {
            agree(&index, &pairs);
        }
        if round % 40 == 39 {
            index.flush().unwrap();
            drop(index);
            index = open(&disk);
        }
    }
    wait("the merges", || runs(disk.as_ref()) < 30);
    agree(&index, &pairs);
    let (first, second) = (*all_tags().first().unwrap(), *all_tags().last().unwrap());
    let both = [of(&pairs, second), of(&pairs, first)].concat();
    assert_eq!(index.entries_of([second, first], usize::MAX).unwrap(), both, "in the order of the tags");
    index.clear().unwrap();
    agree(&index, &Pairs::new());
    assert_eq!(runs(disk.as_ref()), 0);
}

/// What a flush confirmed is there after every fault and crash, and nothing is there that was never added.
#[test]
fn a_fault_or_a_crash_takes_no_tag_that_was_flushed() {
    let mut fired = 0;
    for step in [Step::Put, Step::WriteAt, Step::SyncData, Step::Rename, Step::Remove] {
        for (nth, seed) in [1, 2, 7, 9, 13].into_iter().zip(1..) {
            for fault in [Fault::NotDone, Fault::Unanswered] {
                for then in [Then::GoesOn, Then::Dies] {
                    for crash in [Crash::Lost, Crash::Kept, Crash::Torn(seed)] {
                        fired += usize::from(faulty(Plan { step, nth, fault, then }, crash, seed));
                    }
                }
            }
        }
    }
    assert!(fired > 150, "{fired} faults happened");
}

fn faulty(plan: Plan, crash: Crash, seed: u64) -> bool {
    let memory = Arc::new(MemoryDisk::default());
    let disk = Arc::new(FaultyDisk::new(Arc::clone(&memory) as _, Some(plan)));
    let (mut dice, mut next) = (Dice::new(seed), 0);
    let (mut added, mut flushed) = (Pairs::new(), Pairs::new());
    let index = open(&disk);
    for _ in 0..24 {
        let pairs = some(&mut dice, &mut next);
        index.add(&pairs).unwrap();
        added.extend(pairs);
        if index.flush().is_ok() {
            flushed.clone_from(&added);
        }
    }
    // The thread that merges may still be at it.
    let after = Arc::new(memory.crash(crash));
    for _ in 0..2 {
        let index = open(&after);
        for tag in all_tags() {
            let found = index.entries_of([tag], usize::MAX).unwrap();
            let known: BTreeSet<_> = found.iter().copied().collect();
            assert!(found.iter().all(|entry| added.contains(&(tag, *entry))), "{plan:?}, {crash:?}");
            assert!(of(&flushed, tag).iter().all(|entry| known.contains(entry)), "{plan:?}, {crash:?}");
        }
    }
    disk.fired()
}

#[test]
fn a_damaged_run_is_an_error_and_never_a_shorter_list() {
    let memory = Arc::new(MemoryDisk::default());
    let (mut dice, mut next, mut pairs) = (Dice::new(3), 0, Pairs::new());
    let index = open(&memory);
    while pairs.len() < 3000 {
        pairs.extend(some(&mut dice, &mut next));
    }
    index.add(&pairs.iter().copied().collect::<Vec<_>>()).unwrap();
    index.flush().unwrap();
    drop(index);
    let run = Path::new("runs").join(memory.list(Path::new("runs")).unwrap().pop().unwrap());
    let whole = memory.read(&run).unwrap().unwrap();
    for at in (0..whole.len()).step_by(61) {
        let damaged = Arc::new(memory.crash(Crash::Kept));
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        // Every other time the end is missing as well.
        bytes.truncate(if at % 2 == 0 { bytes.len() } else { at });
        damaged.tamper(&run, Some(bytes));
        let index = open(&damaged);
        let mut refused = 0;
        for tag in all_tags() {
            match index.entries_of([tag], usize::MAX) {
                Ok(found) => assert_eq!(found, of(&pairs, tag), "byte {at}"),
                Err(_) => refused += 1,
            }
        }
        assert!(refused > 0, "byte {at}");
    }
}

#[test]
fn runs_of_a_quiet_time_between_long_ones_do_not_stay_for_ever() {
    let memory = Arc::new(MemoryDisk::default());
    let index = open(&memory);
    let mut next = 0;
    let mut flush = |count: u64| {
        let pairs: Vec<_> = (0..count)
            .map(|_| {
                next += 1;
                (Tag::new(*u128::from(Dice::new(next).roll()).to_be_bytes().first_chunk().unwrap()), next)
            })
            .collect();
        index.add(&pairs).unwrap();
        index.flush().unwrap();
    };
    for _ in 0..10 {
        (0..5).for_each(|_| flush(3));
        flush(2000);
    }
    wait("the merges", || runs(memory.as_ref()) < 12);
}
