//! What every journal owes, as claims that run against each: segments on a disk, and a PostgreSQL server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ledger::StorageError;
use ledger::wal::{self, FRAME_MAX, Logged};
use testkit::{Crash, Dice, Fault, FaultyDisk, MemoryDisk, MemoryIndex, Plan, Step, Then};
use vault::log::{Journal, LogError, Opened, Options, Segments};
use vault::{Disk, Folder, Log};

use super::{Sample, check, hooks, identity, options, published, sample, unpublished, wait};

/// Where journals can be made.
pub(crate) trait World {
    /// Room for one more journal, which is created there.
    fn place(&self) -> Box<dyn Place + '_>;
}

/// The place of one journal.
pub(crate) trait Place {
    /// The journal, as the process opens it that may.
    fn journal(&self) -> Box<dyn Journal>;
    /// The journal as another process finds it while `journal` is open; `None` if it is kept out.
    fn second(&self) -> Option<Box<dyn Journal>>;
    /// A journal, and what makes it lose the next answer: the append is done, and nobody is told.
    fn forgetful(&self) -> (Box<dyn Journal>, Box<dyn FnOnce()>);
    /// What keeps the frames crashes and comes back. Nothing is open meanwhile.
    fn crash(&self);
}

/// Segments on a disk in memory, so small that most frames need a new one.
struct Local;

struct LocalPlace(std::sync::Mutex<Arc<MemoryDisk>>);

const SEGMENT: u64 = 4096;

impl World for Local {
    fn place(&self) -> Box<dyn Place> {
        Box::new(LocalPlace(std::sync::Mutex::default()))
    }
}

impl LocalPlace {
    fn disk(&self) -> Arc<MemoryDisk> {
        Arc::clone(&self.0.lock().unwrap())
    }
}

impl Place for LocalPlace {
    fn journal(&self) -> Box<dyn Journal> {
        Box::new(Segments::new(self.disk(), SEGMENT))
    }

    fn second(&self) -> Option<Box<dyn Journal>> {
        let dir = tempfile::tempdir().unwrap();
        let _first = Folder::open(dir.path()).unwrap();
        Folder::open(dir.path()).ok().map(|f| Box::new(Segments::new(Arc::new(f), SEGMENT)) as _)
    }

    fn forgetful(&self) -> (Box<dyn Journal>, Box<dyn FnOnce()>) {
        let disk = Arc::new(FaultyDisk::new(self.disk(), None));
        let journal = Segments::new(disk.clone(), SEGMENT);
        let plan = Plan { step: Step::SyncData, nth: 1, fault: Fault::Unanswered, then: Then::GoesOn };
        (Box::new(journal), Box::new(move || disk.plan(plan)))
    }

    fn crash(&self) {
        let after = self.disk().crash(Crash::Lost);
        *self.0.lock().unwrap() = Arc::new(after);
    }
}

fn entry(index: u64, detail_bytes: usize) -> Logged {
    let leaf = index.to_be_bytes().repeat(40);
    Logged { leaf, detail: vec![u8::try_from(index % 251).unwrap(); detail_bytes], side: None }
}

fn entries(range: std::ops::Range<u64>) -> Vec<Logged> {
    range.map(|i| entry(i, 100 * usize::try_from(i % 4).unwrap())).collect()
}

/// The frame of some entries.
pub(crate) fn frame(range: std::ops::Range<u64>) -> Vec<u8> {
    let mut out = Vec::new();
    wal::encode(range.start, &entries(range), &mut out);
    out
}

/// Opens a journal that must give the entries from `from` on without a gap.
pub(crate) fn open_from(journal: &dyn Journal, from: u64) -> Result<(Opened, Vec<Logged>), LogError> {
    let mut read = Vec::new();
    let opened = journal.open(from, &mut |batch| {
        assert_eq!(batch.first, from + read.len() as u64, "a gap");
        assert!(!batch.entries.is_empty());
        read.extend(batch.entries);
        Ok(())
    })?;
    assert_eq!(opened.next, from + read.len() as u64);
    Ok((opened, read))
}

fn append(opened: &mut Opened, range: std::ops::Range<u64>) {
    opened.storage.append(&frame(range)).unwrap();
}

type Claim = fn(&dyn Place);

/// All claims, one after the other.
pub(crate) fn conformance(world: &dyn World) {
    let claims: &[(&str, Claim)] = &[
        ("what was appended comes back in order and whole, whenever it is opened", comes_back),
        ("a reading begins at any entry, in the middle of a frame too", begins_anywhere),
        ("frames before a mark may go, and none behind it", lets_go),
        ("nothing goes when the mark is not durable", keeps_without_a_mark),
        ("a frame that does not continue the log is refused", refuses_gaps),
        ("of two processes only the one that came last appends", one_appends),
        ("a batch whose answer was lost is there after a restart", unanswered),
        ("the largest frame comes back", large),
        ("a crash takes nothing that was confirmed", survives),
        ("a journal is not created over another, and not opened beyond its end", guards),
        ("whatever is done in whatever order, what is behind the mark is there", any_order),
        ("what refuses a batch while it is read refuses the journal", reader_refuses),
    ];
    for (claim, check) in claims {
        println!("claim: {claim}");
        check(world.place().as_ref());
    }
}

fn comes_back(place: &dyn Place) {
    let mut next = 0;
    for count in [1, 3, 1, 20, 2] {
        let (mut opened, read) = open_from(place.journal().as_ref(), 0).unwrap();
        assert_eq!(read, entries(0..next));
        append(&mut opened, next..next + count);
        next += count;
        append(&mut opened, next..next + 1);
        next += 1;
    }
    assert_eq!(open_from(place.journal().as_ref(), 0).unwrap().1, entries(0..next));
}

fn begins_anywhere(place: &dyn Place) {
    let (mut opened, _) = open_from(place.journal().as_ref(), 0).unwrap();
    for first in (0..30).step_by(3) {
        append(&mut opened, first..first + 3);
    }
    drop(opened);
    for from in 0..=30 {
        assert_eq!(open_from(place.journal().as_ref(), from).unwrap().1, entries(from..30), "from {from}");
    }
}

fn lets_go(place: &dyn Place) {
    let (mut opened, _) = open_from(place.journal().as_ref(), 0).unwrap();
    for first in (0..60).step_by(2) {
        append(&mut opened, first..first + 2);
    }
    for below in [0, 1, 31, 31, 60, 1000] {
        let mut marked = 0;
        opened
            .past
            .let_go(below, &mut || {
                marked += 1;
                Ok(())
            })
            .unwrap();
        assert!(marked <= 1 && (marked == 0 || below > 1), "below {below}: marked {marked} times");
        if below == 31 {
            // Another handle would take the log over, so this one is given up.
            drop(opened);
            let (again, read) = open_from(place.journal().as_ref(), 31).unwrap();
            assert_eq!(read, entries(31..60));
            opened = again;
            let gone = open_from(place.journal().as_ref(), 0);
            assert!(matches!(gone, Err(LogError::Damaged(_))), "the first frames went");
            opened = {
                drop(opened);
                open_from(place.journal().as_ref(), 31).unwrap().0
            };
        }
    }
    append(&mut opened, 60..62);
    drop(opened);
    assert_eq!(open_from(place.journal().as_ref(), 60).unwrap().1, entries(60..62));
}

fn keeps_without_a_mark(place: &dyn Place) {
    let (mut opened, _) = open_from(place.journal().as_ref(), 0).unwrap();
    for first in (0..60).step_by(2) {
        append(&mut opened, first..first + 2);
    }
    let mut asked = false;
    let refused = opened.past.let_go(60, &mut || {
        asked = true;
        Err(std::io::Error::other("no mark"))
    });
    assert!(refused.is_err() && asked);
    append(&mut opened, 60..61);
    drop(opened);
    assert_eq!(open_from(place.journal().as_ref(), 0).unwrap().1, entries(0..61));
}

fn refuses_gaps(place: &dyn Place) {
    let (mut opened, _) = open_from(place.journal().as_ref(), 0).unwrap();
    append(&mut opened, 0..3);
    let empty = {
        let mut out = Vec::new();
        wal::encode(3, &[], &mut out);
        out
    };
    for other in [frame(4..5), frame(2..4), frame(0..3), Vec::new(), empty] {
        assert!(matches!(opened.storage.append(&other), Err(StorageError::Unknown(_))));
    }
    drop(opened);
    let (mut opened, read) = open_from(place.journal().as_ref(), 0).unwrap();
    assert_eq!(read, entries(0..3));
    append(&mut opened, 3..4);
}

fn one_appends(place: &dyn Place) {
    let (mut first, _) = open_from(place.journal().as_ref(), 0).unwrap();
    append(&mut first, 0..2);
    let Some(second) = place.second() else { return };
    let (mut second, read) = open_from(second.as_ref(), 0).unwrap();
    assert_eq!(read, entries(0..2));
    // Before the other has written anything, and after; nor does it take frames away.
    assert!(matches!(first.storage.append(&frame(2..3)), Err(StorageError::Unknown(_))));
    append(&mut second, 2..4);
    assert!(matches!(first.storage.append(&frame(2..3)), Err(StorageError::Unknown(_))));
    let _ = first.past.let_go(2, &mut || Ok(()));
    append(&mut second, 4..5);
    drop((first, second));
    assert_eq!(open_from(place.journal().as_ref(), 0).unwrap().1, entries(0..5));
}

fn unanswered(place: &dyn Place) {
    let (journal, lose) = place.forgetful();
    let (mut opened, _) = open_from(journal.as_ref(), 0).unwrap();
    append(&mut opened, 0..2);
    lose();
    let doubt = opened.storage.append(&frame(2..5));
    assert!(matches!(doubt, Err(StorageError::Unknown(_) | StorageError::Unsettled(_))), "{doubt:?}");
    drop(opened);
    let (mut opened, read) = open_from(place.journal().as_ref(), 0).unwrap();
    assert_eq!(read, entries(0..5));
    append(&mut opened, 5..6);
}

fn large(place: &dyn Place) {
    let mut whole = vec![entry(0, 0)];
    let rest = FRAME_MAX - 12 - whole[0].leaf.len();
    whole[0].detail = (0..rest).map(|i| u8::try_from(i % 253).unwrap()).collect();
    let mut out = Vec::new();
    wal::encode(0, &whole, &mut out);
    assert_eq!(out.len(), wal::HEAD_LEN + FRAME_MAX);
    let (mut opened, _) = open_from(place.journal().as_ref(), 0).unwrap();
    opened.storage.append(&out).unwrap();
    append(&mut opened, 1..2);
    drop(opened);
    whole.extend(entries(1..2));
    assert!(open_from(place.journal().as_ref(), 0).unwrap().1 == whole);
}

fn survives(place: &dyn Place) {
    for first in (0..12).step_by(4) {
        let (mut opened, read) = open_from(place.journal().as_ref(), 0).unwrap();
        assert_eq!(read, entries(0..first));
        append(&mut opened, first..first + 3);
        append(&mut opened, first + 3..first + 4);
        drop(opened);
        place.crash();
    }
    assert_eq!(open_from(place.journal().as_ref(), 0).unwrap().1, entries(0..12));
}

fn any_order(place: &dyn Place) {
    let seed = std::env::var("CLOVER_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_122);
    println!("CLOVER_SEED={seed}");
    let mut dice = Dice::new(seed);
    let (mut opened, _) = open_from(place.journal().as_ref(), 0).unwrap();
    let (mut next, mut mark) = (0, 0);
    for step in 0..150 {
        match dice.below(40) {
            0 => {
                drop(opened);
                place.crash();
                opened = open_from(place.journal().as_ref(), mark).unwrap().0;
            }
            1..6 => {
                drop(opened);
                let from = mark + dice.below(usize::try_from(next - mark).unwrap() + 1) as u64;
                let (again, read) = open_from(place.journal().as_ref(), from).unwrap();
                assert_eq!(read, entries(from..next), "step {step}");
                opened = again;
            }
            6..10 => {
                mark += dice.below(usize::try_from(next - mark).unwrap() + 1) as u64;
                opened.past.let_go(mark, &mut || Ok(())).unwrap();
            }
            _ => {
                let count = 1 + dice.below(7) as u64;
                append(&mut opened, next..next + count);
                next += count;
            }
        }
    }
}

fn guards(place: &dyn Place) {
    place.journal().create().unwrap();
    let (mut opened, _) = open_from(place.journal().as_ref(), 0).unwrap();
    append(&mut opened, 0..3);
    drop(opened);
    assert!(matches!(place.journal().create(), Err(LogError::Exists)));
    let beyond = open_from(place.journal().as_ref(), 4);
    assert!(matches!(beyond, Err(LogError::Lost { found: 3, published: 4 })));
    assert_eq!(open_from(place.journal().as_ref(), 3).unwrap().1, []);
}

fn reader_refuses(place: &dyn Place) {
    let (mut opened, _) = open_from(place.journal().as_ref(), 0).unwrap();
    append(&mut opened, 0..1);
    drop(opened);
    let refused = place.journal().open(0, &mut |_| Err(LogError::OtherLog));
    assert!(matches!(refused, Err(LogError::OtherLog)));
}

/// A whole log on a journal: restarts, a second life from the journal alone, and what is refused.
pub(crate) fn whole_log(world: &dyn World, segments: impl Fn(&Arc<MemoryDisk>) -> Option<Segments>) {
    let place = world.place();
    let disk = Arc::new(MemoryDisk::default());
    let journal = |disk: &Arc<MemoryDisk>| -> Box<dyn Journal> {
        segments(disk).map_or_else(|| place.journal(), |s| Box::new(s))
    };
    let open = |disk: &Arc<MemoryDisk>, options: Options| {
        let hooks = hooks(Arc::new(MemoryIndex::default()), &Arc::default());
        Log::open_on(disk.clone(), journal(disk).as_ref(), identity(), options, hooks)
    };
    assert!(matches!(open(&disk, options()), Err(LogError::Missing)));
    Log::create_on(disk.as_ref(), journal(&disk).as_ref(), &identity()).unwrap();
    let twice = Log::create_on(disk.as_ref(), journal(&disk).as_ref(), &identity());
    assert!(matches!(twice, Err(LogError::Exists)));
    let mut receipts = Vec::new();
    for (start, options) in [(0, options()), (150, unpublished()), (300, options()), (310, options())] {
        let log = open(&disk, options).unwrap();
        assert_eq!(log.size(), start);
        submit(&log, start..if start < 300 { start + 150 } else { start + 10 }, &mut receipts);
        log.close();
        check(disk.as_ref(), &log, &receipts, &[]);
    }
    assert_eq!(published(disk.as_ref(), 320).0.len(), 320);
    // Frames were let go by now, so an empty folder is not enough.
    let empty = Arc::new(MemoryDisk::default());
    assert!(Log::restore_on(empty.as_ref(), journal(&empty).as_ref(), &identity()).is_err());
    assert_eq!(empty.paths(), Vec::<std::path::PathBuf>::new());
}

pub(crate) fn submit(log: &Log, numbers: std::ops::Range<u64>, receipts: &mut Vec<(u64, Sample)>) {
    for number in numbers {
        let sample = sample(number);
        receipts.push((log.submit_and_wait(sample.submission()).unwrap().index(), sample));
    }
}

/// A log that ended before it could let go of a frame: the receipts that it gave.
pub(crate) fn ended_early(journal: &dyn Journal, entries: u64) -> (Arc<MemoryDisk>, Vec<(u64, Sample)>) {
    let memory = Arc::new(MemoryDisk::default());
    Log::create_on(memory.as_ref(), journal, &identity()).unwrap();
    let plan = Plan { step: Step::SyncAll, nth: 1, fault: Fault::NotDone, then: Then::Dies };
    let disk = Arc::new(FaultyDisk::new(memory.clone(), Some(plan)));
    let hooks = hooks(Arc::new(MemoryIndex::default()), &Arc::default());
    let log = Log::open_on(disk, journal, identity(), unpublished(), hooks).unwrap();
    let mut receipts = Vec::new();
    submit(&log, 0..entries, &mut receipts);
    log.close();
    (memory, receipts)
}

#[test]
fn segments_keep_what_a_journal_promises() {
    conformance(&Local);
}

#[test]
fn a_whole_log_lives_on_segments() {
    whole_log(&Local, |disk| Some(Segments::new(disk.clone(), options().segment_bytes)));
}

#[test]
fn an_empty_journal_restores_nothing() {
    let disk = MemoryDisk::default();
    let journal = Segments::new(Arc::new(MemoryDisk::default()), SEGMENT);
    assert!(matches!(Log::restore_on(&disk, &journal, &identity()), Err(LogError::Missing)));
    assert!(disk.read("ledger/checkpoint".as_ref()).unwrap().is_none());
}

#[test]
fn a_lost_folder_is_derived_again_from_a_journal_that_let_nothing_go() {
    let frames: Arc<MemoryDisk> = Arc::default();
    let journal = Segments::new(frames.clone(), 1 << 20);
    let (_, receipts) = ended_early(&journal, 300);
    restored(&journal, &receipts);
}

/// That an empty folder becomes the log again.
pub(crate) fn restored(journal: &dyn Journal, receipts: &[(u64, Sample)]) {
    let disk = Arc::new(MemoryDisk::default());
    Log::restore_on(disk.as_ref(), journal, &identity()).unwrap();
    let twice = Log::restore_on(disk.as_ref(), journal, &identity());
    assert!(matches!(twice, Err(LogError::Exists)));
    let fatal = Arc::new(AtomicBool::new(false));
    let hooks = hooks(Arc::new(MemoryIndex::default()), &fatal);
    let log = Log::open_on(disk.clone(), journal, identity(), options(), hooks).unwrap();
    assert_eq!(log.size(), receipts.len() as u64);
    wait("the tree", || log.published() == log.size());
    let mut receipts = receipts.to_vec();
    submit(&log, 900..903, &mut receipts);
    log.close();
    check(disk.as_ref(), &log, &receipts, &[]);
    assert!(!fatal.load(Ordering::SeqCst));
}
