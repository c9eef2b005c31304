//! Each of a site's logs × each storage step × {not done, done but unanswered} × {the disk goes on, the disk dies} × {what a crash
//! keeps} × restart: nothing receipted is lost, and no two checkpoints contradict each other.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use testkit::{Crash, Fault, FaultyDisk, MemoryDisk, MemoryIndex, Plan, Step, Then};
use vault::log::{BorderClosed, Hooks, LogError, Options};
use vault::{Border, Disk, Log};

use super::{
    Sample, check, hooks, identity, open, packing as options, plain_hooks, sample, unpublished, wait,
};

/// Most entries of one run: with packs of two tiles, one pack of each kind is made.
const ENTRIES: u64 = 600;

type Receipts = Vec<(u64, Sample)>;

/// Which of a site's logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// A gateway's: an entry of its own opens the border again, and tags are noted.
    Gateway,
    /// The site's own or the key service's: neither.
    Site,
}

impl Whose {
    fn hooks(self, index: &Arc<MemoryIndex>, fatal: &Arc<AtomicBool>) -> Hooks {
        match self {
            Self::Gateway => hooks(Arc::clone(index) as _, fatal),
            Self::Site => plain_hooks(fatal),
        }
    }
}

struct Base {
    disk: MemoryDisk,
    index: MemoryIndex,
    receipts: Receipts,
    checkpoints: Vec<Vec<u8>>,
}

/// A log of 200 published entries and 40 that a crash left unpublished.
fn base() -> &'static Base {
    static BASE: OnceLock<Base> = OnceLock::new();
    BASE.get_or_init(|| {
        let memory = Arc::new(MemoryDisk::default());
        let disk = Arc::new(FaultyDisk::new(memory.clone(), None));
        Log::create(disk.as_ref(), &identity()).unwrap();
        let index = Arc::new(MemoryIndex::default());
        let mut receipts = Vec::new();
        for (numbers, options) in [(0..200, options()), (200..240, unpublished())] {
            let log =
                Log::open(disk.clone(), identity(), options, hooks(index.clone(), &Arc::default())).unwrap();
            submit(&log, numbers, &mut receipts);
            if receipts.len() == 240 {
                let (disk, index, checkpoints) =
                    (memory.crash(Crash::Kept), index.crash(), disk.replaced(checkpoint()));
                return Base { disk, index, receipts, checkpoints };
            }
        }
        unreachable!("the second log ends it")
    })
}

fn checkpoint() -> &'static Path {
    Path::new("ledger/checkpoint")
}

fn submit(log: &Log, numbers: std::ops::Range<u64>, receipts: &mut Receipts) {
    for number in numbers {
        let sample = sample(number);
        let receipt = log.submit_and_wait(sample.submission()).unwrap();
        assert!(receipt.covers(&sample.submission().entry()));
        receipts.push((receipt.index(), sample));
    }
}

/// What one run leaves when its crash comes.
struct After {
    disk: MemoryDisk,
    index: MemoryIndex,
    receipts: Receipts,
    checkpoints: Vec<Vec<u8>>,
    fired: bool,
    whose: Whose,
}

/// Several threads submit until the fault has happened and, if the disk goes on, for a while after it.
fn run(whose: Whose, plan: Plan, crash: Crash) -> After {
    let base = base();
    let memory = Arc::new(base.disk.crash(Crash::Kept));
    let disk = Arc::new(FaultyDisk::new(memory.clone(), Some(plan)));
    let index = Arc::new(base.index.crash());
    let fatal = Arc::new(AtomicBool::new(false));
    let receipts = Mutex::new(base.receipts.clone());
    // A publisher that keeps up hands on old segments, and then nothing is allocated: in some runs it does not come to it.
    let idle = plan.step == Step::Allocate && matches!(crash, Crash::Lost);
    let options = if idle { unpublished() } else { options() };
    match Log::open(disk.clone(), identity(), options, whose.hooks(&index, &fatal)) {
        Ok(log) => {
            let next = AtomicU64::new(1000);
            let last = AtomicU64::new(1000 + ENTRIES);
            std::thread::scope(|s| {
                for _ in 0..3 {
                    s.spawn(|| submit_many(&log, &disk, &next, &last, &receipts));
                }
            });
            if plan.step == Step::SyncData && disk.fired() {
                wait("the fatal hook", || fatal.load(Ordering::SeqCst));
                assert_eq!(log.border(), Border::Closed(BorderClosed::Stopped));
                assert_eq!(log.submit(sample(1).submission()).err(), Some(BorderClosed::Stopped));
            }
            let flush = matches!(plan.step, Step::SyncData | Step::SyncAll) || plan.then == Then::Dies;
            assert!(flush || !fatal.load(Ordering::SeqCst), "only a failed flush ends the log");
            // The log still runs: the crash comes in the middle of whatever it does.
            After { whose, ..after(&memory, &disk, &index, receipts, crash) }
        }
        Err(LogError::Io { .. }) => {
            assert!(disk.fired(), "only the fault keeps the log from opening");
            After { whose, ..after(&memory, &disk, &index, receipts, crash) }
        }
        Err(e) => panic!("{e}"),
    }
}

fn after(
    memory: &MemoryDisk,
    disk: &FaultyDisk,
    index: &MemoryIndex,
    receipts: Mutex<Receipts>,
    crash: Crash,
) -> After {
    // In this order, because the log may still run: what was promised by now, then what a crash leaves of the
    // disk, and then of the index, on whose flushed part the disk relies.
    let (receipts, checkpoints) = (receipts.into_inner().unwrap(), disk.replaced(checkpoint()));
    let (disk_after, index) = (memory.crash(crash), index.crash());
    After { disk: disk_after, index, receipts, checkpoints, fired: disk.fired(), whose: Whose::Gateway }
}

fn submit_many(log: &Log, disk: &FaultyDisk, next: &AtomicU64, last: &AtomicU64, receipts: &Mutex<Receipts>) {
    loop {
        let number = next.fetch_add(1, Ordering::SeqCst);
        if disk.fired() {
            last.fetch_min(number + 30, Ordering::SeqCst);
        }
        if number >= last.load(Ordering::SeqCst) {
            return;
        }
        let sample = sample(number);
        match log.submit_and_wait(sample.submission()) {
            Ok(receipt) => receipts.lock().unwrap().push((receipt.index(), sample)),
            Err(BorderClosed::Stopped) => return,
            Err(_) => std::thread::yield_now(),
        }
    }
}

fn restart(mut after: After) {
    let memory = Arc::new(after.disk);
    let disk = Arc::new(FaultyDisk::new(memory.clone(), None));
    let index = Arc::new(after.index);
    let hooks = after.whose.hooks(&index, &Arc::default());
    let log = Log::open(disk.clone(), identity(), options(), hooks).unwrap();
    submit(&log, 5000..5003, &mut after.receipts);
    log.close();
    after.receipts.sort_by_key(|(index, _)| *index);
    assert!(after.receipts.windows(2).all(|p| p[0].0 < p[1].0), "a place was given twice");
    after.checkpoints.extend(base().checkpoints.iter().cloned());
    after.checkpoints.extend(disk.replaced(checkpoint()));
    check(memory.as_ref(), &log, &after.receipts, &after.checkpoints);
    for (entry, sample) in after.receipts.iter().filter(|_| after.whose == Whose::Gateway) {
        assert!(sample.draft.subjects.tags().iter().all(|t| index.has(*t, *entry)), "tags of entry {entry}");
    }
}

fn matrix(step: Step) {
    for whose in [Whose::Gateway, Whose::Site] {
        matrix_of(whose, step);
    }
}

fn matrix_of(whose: Whose, step: Step) {
    let seed = std::env::var("CLOVER_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_122);
    println!("CLOVER_SEED={seed}");
    let mut fired = 0;
    for (round, nth) in [1, 2, 4, 8, 20].into_iter().enumerate() {
        for fault in [Fault::NotDone, Fault::Unanswered] {
            for then in [Then::GoesOn, Then::Dies] {
                for crash in [Crash::Lost, Crash::Kept, Crash::Torn(seed + round as u64), Crash::Torn(!seed)]
                {
                    let plan = Plan { step, nth, fault, then };
                    println!("{whose:?}, {plan:?}, {crash:?}");
                    let after = run(whose, plan, crash);
                    fired += usize::from(after.fired);
                    restart(after);
                }
            }
        }
    }
    // A recycled segment takes the place of a new one whenever the publisher is ahead.
    let least = if step == Step::Allocate { 4 } else { 16 };
    assert!(fired >= least, "{step:?} failed in {fired} runs of {whose:?} only");
}

#[test]
fn a_fault_of_allocate_loses_nothing() {
    matrix(Step::Allocate);
}

#[test]
fn a_fault_of_write_at_loses_nothing() {
    matrix(Step::WriteAt);
}

#[test]
fn a_fault_of_sync_data_ends_the_log_and_loses_nothing() {
    matrix(Step::SyncData);
}

#[test]
fn a_fault_of_put_loses_nothing() {
    matrix(Step::Put);
}

#[test]
fn a_fault_of_replace_loses_nothing() {
    matrix(Step::Replace);
}

#[test]
fn a_fault_of_sync_all_ends_the_log_and_loses_nothing() {
    matrix(Step::SyncAll);
}

#[test]
fn a_fault_of_rename_loses_nothing() {
    matrix(Step::Rename);
}

#[test]
fn a_fault_of_remove_loses_nothing() {
    matrix(Step::Remove);
}

#[test]
fn a_crash_during_a_restart_loses_nothing() {
    let Base { disk, .. } = base();
    for nth in [1, 2, 3, 4, 5, 8, 16] {
        for step in [Step::WriteAt, Step::SyncData, Step::Put, Step::Replace, Step::SyncAll, Step::Remove] {
            let memory = Arc::new(disk.crash(Crash::Lost));
            let plan = Plan { step, nth, fault: Fault::Unanswered, then: Then::Dies };
            let faulty = Arc::new(FaultyDisk::new(memory.clone(), Some(plan)));
            drop(open(&faulty, options()));
            let again = Arc::new(memory.crash(Crash::Torn(nth as u64)));
            let log = open(&again, options()).unwrap();
            log.close();
            check(again.as_ref(), &log, &base().receipts, &base().checkpoints);
        }
    }
}

#[test]
fn what_a_failed_flush_left_in_the_cache_is_on_the_disk_before_it_is_signed() {
    for nth in 2..8 {
        let base = base();
        let memory = Arc::new(base.disk.crash(Crash::Kept));
        let plan = Plan { step: Step::SyncData, nth, fault: Fault::NotDone, then: Then::Dies };
        let faulty = Arc::new(FaultyDisk::new(memory.clone(), Some(plan)));
        let index = Arc::new(base.index.crash());
        let start = |disk: &Arc<FaultyDisk>| {
            Log::open(disk.clone(), identity(), options(), hooks(index.clone(), &Arc::default()))
        };
        let log = start(&faulty).unwrap();
        let mut receipts = base.receipts.clone();
        let mut numbers = 1000..;
        while let Some(sample) = numbers.next().map(sample)
            && let Ok(receipt) = log.submit_and_wait(sample.submission())
        {
            receipts.push((receipt.index(), sample));
        }
        drop(log);
        // The process starts again over the same cache, signs what it finds, and then the power fails.
        let plan = Plan { step: Step::Replace, nth: 1, fault: Fault::Unanswered, then: Then::Dies };
        let cached = Arc::new(FaultyDisk::new(memory.clone(), Some(plan)));
        for name in cached.list(Path::new("wal")).unwrap() {
            cached.forget(&Path::new("wal").join(name));
        }
        drop(start(&cached));
        assert!(cached.fired(), "it has signed a checkpoint");
        let (disk, index) = (memory.crash(Crash::Lost), index.crash());
        let mut checkpoints = faulty.replaced(checkpoint());
        checkpoints.extend(cached.replaced(checkpoint()));
        restart(After { disk, index, receipts, checkpoints, fired: true, whose: Whose::Gateway });
    }
}

/// A restart begins at an older mark when the newest one was not on the disk, and then writes full tiles once more.
/// What it begins with must outlast that too.
#[test]
fn a_second_power_cut_during_the_restart_after_the_first_loses_nothing() {
    // One segment, so that no frame is let go and the disk is flushed for tiles alone.
    let options = Options { segment_bytes: 1 << 20, ..options() };
    let disk = Arc::new(MemoryDisk::default());
    Log::create(disk.as_ref(), &identity()).unwrap();
    let (index, mut receipts) = (Arc::new(MemoryIndex::default()), Vec::new());
    let start = |disk: &Arc<FaultyDisk>| {
        Log::open(disk.clone(), identity(), options, hooks(index.clone(), &Arc::default()))
    };
    let log = start(&Arc::new(FaultyDisk::new(disk.clone(), None))).unwrap();
    submit(&log, 0..250, &mut receipts);
    log.close();
    let log = start(&Arc::new(FaultyDisk::new(disk.clone(), None))).unwrap();
    submit(&log, 250..260, &mut receipts);
    let partial = |folder: &str| disk.list(Path::new(folder)).unwrap().iter().any(|n| n == "000.p");
    wait("the partial files to go", || {
        !["ledger/tile/0", "ledger/tile/entries", "details"].into_iter().any(partial)
    });
    for seed in 0..30 {
        let first = Arc::new(disk.crash(Crash::Torn(seed)));
        let plan = Plan { step: Step::SyncAll, nth: 1, fault: Fault::NotDone, then: Then::Dies };
        // It dies before it has flushed anything, if there is anything to flush.
        drop(start(&Arc::new(FaultyDisk::new(first.clone(), Some(plan)))));
        let second = Arc::new(first.crash(Crash::Torn(!seed)));
        let log = start(&Arc::new(FaultyDisk::new(second.clone(), None))).unwrap();
        log.close();
        check(second.as_ref(), &log, &receipts, &[]);
    }
}
