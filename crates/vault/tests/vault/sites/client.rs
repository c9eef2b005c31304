//! Those who write while sites are lost: clients of the control store, and a log.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use testkit::{Dice, MemoryDisk, MemoryIndex};
use vault::Log;
use vault::control::StoreError;
use vault::control::store::{PostgresStore, Store, Table};
use vault::log::{Database, Journal, Postgres};

use super::cluster::{Cluster, until};
use super::contradictions;
use super::history::{Broken, Did, NEW, Operation};
use crate::control::keys;
use crate::{Sample, check, hooks, identity, options, sample};

const REGISTERS: usize = 6;
/// Between two tries when nobody answers.
const PAUSE: Duration = Duration::from_millis(50);

/// Clients that change registers by comparing them, each like a process of its own.
pub(crate) struct Clients {
    seed: u64,
    start: Instant,
    /// The client, and what it did.
    done: Mutex<Vec<(u64, Operation)>>,
    /// A client found the store older than it had seen it: the store tells by itself that something was lost.
    went_back: AtomicBool,
}

impl Clients {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, start: Instant::now(), done: Mutex::default(), went_back: AtomicBool::new(false) }
    }

    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn key(&self, register: usize) -> String {
        format!("{} {register}", self.seed)
    }

    /// Changes registers until it is told to stop.
    pub(crate) fn work(&self, client: u64, database: &Database, stop: &AtomicBool) {
        let mut dice = Dice::new(self.seed.wrapping_mul(31).wrapping_add(client));
        let (mut store, mut seen, mut written) = (None, [NEW; REGISTERS], 0);
        while !stop.load(Ordering::SeqCst) {
            let Some(open) = &store else {
                store = PostgresStore::open(database, keys()).ok();
                std::thread::sleep(PAUSE);
                continue;
            };
            written += 1;
            let (register, value) = (dice.below(REGISTERS), client << 32 | written);
            match self.swap(open, client, register, (seen[register], value)) {
                Some(found) => seen[register] = found,
                None => std::thread::sleep(PAUSE),
            }
        }
    }

    /// Changes a register if it has the old value; confirms what it has, if not. Either is a commit, so either is
    /// confirmed by other sites. Returns what is there then, if that is known.
    fn swap(
        &self,
        store: &PostgresStore,
        client: u64,
        register: usize,
        (old, new): (u64, u64),
    ) -> Option<u64> {
        let mut did = Did::Saw(NEW);
        let asked = self.now();
        let answer = store.change(Table::Requests, &self.key(register), &mut |row| {
            let found = row.map_or(NEW, |row| u64::from_be_bytes(row.bytes.as_slice().try_into().unwrap()));
            did = if found == old { Did::Swapped { old, new } } else { Did::Saw(found) };
            let becomes = if found == old { new } else { found };
            Ok(Some(becomes.to_be_bytes().to_vec()))
        });
        let answered = match answer {
            Ok(_) => Some(self.now()),
            Err(StoreError::Unknown(_)) => None,
            Err(StoreError::WentBack | StoreError::Forged) => {
                self.went_back.store(true, Ordering::SeqCst);
                return None;
            }
            // Nothing was changed: if it was, the history has a value that nobody wrote.
            Err(_) => return None,
        };
        if answered.is_some() || matches!(did, Did::Swapped { .. }) {
            let operation = Operation { register, did, asked, answered };
            self.done.lock().unwrap().push((client, operation));
        }
        answered.map(|_| match did {
            Did::Swapped { new, .. } => new,
            Did::Saw(found) => found,
        })
    }

    fn answers(&self, which: impl Fn(u64) -> bool) -> Vec<Duration> {
        let done = self.done.lock().unwrap();
        let mut all: Vec<_> =
            done.iter().filter(|(c, _)| which(*c)).filter_map(|(_, o)| o.answered).collect();
        all.sort_unstable();
        all
    }

    /// When a client was answered.
    pub(crate) fn answers_of(&self, client: u64) -> Vec<Duration> {
        self.answers(|c| c == client)
    }

    /// Waits until there are so many more answers than now.
    pub(crate) fn more(&self, count: usize) {
        let enough = self.answers(|_| true).len() + count;
        until("answers", || {
            self.kept();
            (self.answers(|_| true).len() >= enough).then_some(())
        });
    }

    fn kept(&self) {
        assert!(!self.went_back.load(Ordering::SeqCst), "the store went back behind what a client had seen");
    }

    /// The longest time without an answer to anybody since a moment.
    pub(crate) fn gap_behind(&self, moment: Duration) -> Duration {
        let behind = self.answers(|_| true).into_iter().filter(|at| *at > moment);
        let all: Vec<_> = [moment].into_iter().chain(behind).collect();
        all.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(Duration::MAX)
    }

    /// Holds everything that was answered against what is there in the end.
    pub(crate) fn judge(&self, cluster: &Cluster, seed: u64) {
        self.kept();
        let store = until("the store", || PostgresStore::open(&cluster.database(None), keys()).ok());
        let done = self.done.lock().unwrap().clone();
        let (mut broken, mut acknowledged, mut unknown) = (Vec::new(), 0, 0);
        for register in 0..REGISTERS {
            let row = store.get(Table::Requests, &self.key(register)).unwrap();
            let last = row.map_or(NEW, |r| u64::from_be_bytes(r.bytes.as_slice().try_into().unwrap()));
            let of: Vec<_> = done.iter().map(|(_, o)| *o).filter(|o| o.register == register).collect();
            let changes = || of.iter().filter(|o| matches!(o.did, Did::Swapped { .. }));
            acknowledged += changes().filter(|o| o.answered.is_some()).count();
            unknown += changes().filter(|o| o.answered.is_none()).count();
            broken.extend(contradictions(&of, last));
        }
        let lost = broken.iter().filter(|b| matches!(b, Broken::Lost(_))).count();
        println!(
            "seed {seed}: {lost} lost of {acknowledged} acknowledged changes, {unknown} not answered, {} answers",
            self.answers(|_| true).len()
        );
        assert!(broken.is_empty(), "seed {seed}: {broken:?}");
    }
}

/// What a log gave receipts for.
#[derive(Default)]
struct Receipts {
    given: Vec<(u64, Sample)>,
    starts: u64,
}

/// A process that writes a log and is started again whenever it ends.
pub(crate) struct Journalist {
    origin: String,
    disk: Arc<MemoryDisk>,
    receipts: Mutex<Receipts>,
}

impl Journalist {
    pub(crate) fn new(seed: u64) -> Self {
        Self { origin: format!("log {seed}"), disk: Arc::default(), receipts: Mutex::default() }
    }

    fn journal(&self, cluster: &Cluster) -> Postgres {
        Postgres::new(&cluster.database(None), &self.origin, "key of the log").unwrap()
    }

    pub(crate) fn create(&self, cluster: &Cluster) {
        Log::create_on(self.disk.as_ref(), &self.journal(cluster), &identity()).unwrap();
    }

    fn open(&self, journal: &dyn Journal, fatal: &Arc<AtomicBool>) -> Option<Log> {
        let hooks = hooks(Arc::new(MemoryIndex::default()), fatal);
        Log::open_on(self.disk.clone(), journal, identity(), options(), hooks).ok()
    }

    /// Records entries until it is told to stop.
    pub(crate) fn work(&self, cluster: &Cluster, stop: &AtomicBool) {
        let (journal, mut number) = (self.journal(cluster), 0);
        while !stop.load(Ordering::SeqCst) {
            let fatal = Arc::default();
            let Some(log) = self.open(&journal, &fatal) else {
                std::thread::sleep(PAUSE);
                continue;
            };
            self.receipts.lock().unwrap().starts += 1;
            while !stop.load(Ordering::SeqCst) && !fatal.load(Ordering::SeqCst) {
                number += 1;
                match log.submit_and_wait(sample(number).submission()) {
                    Ok(receipt) => {
                        self.receipts.lock().unwrap().given.push((receipt.index(), sample(number)));
                    }
                    Err(_) => std::thread::sleep(PAUSE),
                }
            }
            log.close();
        }
    }

    /// Waits for more receipts.
    pub(crate) fn more(&self) {
        let count = || self.receipts.lock().unwrap().given.len();
        let enough = count() + 20;
        until("receipts", || (count() >= enough).then_some(()));
    }

    /// Every receipt's entry is in the log, at its place, with its detail.
    pub(crate) fn judge(&self, cluster: &Cluster, seed: u64) {
        let journal = self.journal(cluster);
        let log = until("the log", || self.open(&journal, &Arc::default()));
        log.close();
        let receipts = self.receipts.lock().unwrap();
        let distinct = receipts.given.windows(2).all(|pair| pair[0].0 < pair[1].0);
        assert!(distinct, "seed {seed}: a place was given twice");
        check(self.disk.as_ref(), &log, &receipts.given, &[]);
        println!(
            "seed {seed}: {} receipts, all in a log of {} entries that was started {} times",
            receipts.given.len(),
            log.size(),
            receipts.starts
        );
    }
}
