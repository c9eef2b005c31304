//! A gateway's log as it grows: counted by day, and told to whoever watches.
//!
//! One thread reads what is published, from the first entry on: after a start it counts what was there, and pages say
//! how far it is. Nothing here is personal, since no entry is.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ledger::{Entry, EntryKind};
use model::{DataClass, Direction, Purpose, Reason, Treatment};
use serde::Serialize;
use tokio::sync::broadcast;
use vault::Log;

/// How often it is looked for more.
const LOOK: Duration = Duration::from_millis(200);
/// Entries that are read at a time.
const STEP: u64 = 4096;
/// Batches that a slow watcher may be behind; then it is told how many it missed.
const BEHIND_MAX: usize = 32;
/// Newest lines of a batch that watchers are told; of the others they know the number.
const TOLD_MAX: usize = 200;
/// Minutes that are counted one by one.
const MINUTES: usize = 60;
/// Most days that are counted.
const DAYS_MAX: usize = 3_660;

/// Crossings of a day or a minute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Count {
    /// Entries of all kinds.
    pub(super) entries: u64,
    /// Answers and streams that were opened.
    pub(super) crossings: u64,
    /// Refusals.
    pub(super) refusals: u64,
    /// Records in what was released.
    pub(super) rows: u64,
    /// By the country where data went.
    pub(super) by_country: BTreeMap<String, u64>,
    pub(super) by_purpose: BTreeMap<&'static str, u64>,
    /// A crossing counts for each of its classes.
    pub(super) by_class: BTreeMap<&'static str, u64>,
    /// Likewise.
    pub(super) by_treatment: BTreeMap<&'static str, u64>,
    /// Refusals by their reason.
    pub(super) by_reason: BTreeMap<&'static str, u64>,
}

/// Whether an entry counts as a crossing: the same that the auditor's report counts.
pub(super) fn is_crossing(kind: EntryKind) -> bool {
    matches!(kind, EntryKind::Answer | EntryKind::Open)
}

fn add<K: Ord>(map: &mut BTreeMap<K, u64>, key: K, by: u64) {
    *map.entry(key).or_default() += by;
}

impl Count {
    fn entry(&mut self, entry: &Entry) {
        let d = &entry.draft;
        self.entries += 1;
        if d.kind == EntryKind::Refusal {
            self.refusals += 1;
            add(&mut self.by_reason, d.reason.word(), 1);
        }
        if matches!(d.kind, EntryKind::Answer | EntryKind::Close) {
            self.rows += u64::from(d.rows);
        }
        if is_crossing(d.kind) {
            self.crossings += 1;
            add(&mut self.by_country, d.destination.as_str().to_owned(), 1);
            add(&mut self.by_purpose, d.purpose.word(), 1);
            d.classes.iter().for_each(|c| add(&mut self.by_class, c.word(), 1));
            d.treatments.iter().for_each(|t| add(&mut self.by_treatment, t.word(), 1));
        }
    }

    /// Adds another count.
    pub(super) fn sum(&mut self, other: &Self) {
        self.entries += other.entries;
        self.crossings += other.crossings;
        self.refusals += other.refusals;
        self.rows += other.rows;
        other.by_country.iter().for_each(|(k, n)| add(&mut self.by_country, k.clone(), *n));
        for (mine, theirs) in [
            (&mut self.by_purpose, &other.by_purpose),
            (&mut self.by_class, &other.by_class),
            (&mut self.by_treatment, &other.by_treatment),
            (&mut self.by_reason, &other.by_reason),
        ] {
            theirs.iter().for_each(|(k, n)| add(mine, *k, *n));
        }
    }
}

/// One entry, in codes and words that are nobody's.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Line {
    pub(super) gateway: String,
    pub(super) index: u64,
    pub(super) time: String,
    pub(super) kind: &'static str,
    pub(super) refused: bool,
    pub(super) inward: bool,
    pub(super) purpose: &'static str,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) classes: Vec<&'static str>,
    pub(super) treatments: Vec<&'static str>,
    pub(super) reason: &'static str,
    pub(super) rows: u32,
    pub(super) bytes: u64,
    pub(super) people: u32,
    pub(super) findings: u16,
}

/// The word of a kind of entry, as messages name it (`kind-…`).
pub(super) fn kind_word(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Answer => "released",
        EntryKind::Refusal => "refused",
        EntryKind::Import => "imported",
        EntryKind::Activation => "activation",
        EntryKind::Border => "border",
        EntryKind::Open => "opened",
        EntryKind::Extend => "extended",
        EntryKind::Close => "closed",
        EntryKind::Suspension => "suspension",
        EntryKind::Demand => "demand",
        EntryKind::Erasure => "erasure",
        EntryKind::Home => "home",
        EntryKind::Inside => "inside",
        EntryKind::Migration => "migration",
    }
}

impl Line {
    pub(super) fn of(gateway: &str, entry: &Entry) -> Self {
        let d = &entry.draft;
        Self {
            gateway: gateway.to_owned(),
            index: entry.sequence,
            time: d.time.rfc3339(),
            kind: kind_word(d.kind),
            refused: d.kind == EntryKind::Refusal,
            inward: d.direction == Direction::Inward,
            purpose: Purpose::word(d.purpose),
            from: d.place.to_string(),
            to: d.destination.to_string(),
            classes: d.classes.iter().map(|c| DataClass::word(*c)).collect(),
            treatments: d.treatments.iter().map(|t| Treatment::word(*t)).collect(),
            reason: Reason::word(d.reason),
            rows: d.rows,
            bytes: d.bytes,
            people: entry.subject_count,
            findings: d.findings,
        }
    }
}

#[derive(Default)]
struct Counted {
    next: u64,
    days: BTreeMap<u64, Count>,
    /// Crossings and refusals of the last minutes, newest last.
    minutes: VecDeque<(u64, u64, u64)>,
}

/// A gateway's log, followed.
pub(super) struct Feed {
    /// As its address on the site names it.
    pub(super) name: String,
    pub(super) origin: String,
    pub(super) vkey: String,
    pub(super) log: Arc<Log>,
    counted: RwLock<Counted>,
    told: broadcast::Sender<Arc<Vec<Line>>>,
    stop: AtomicBool,
}

impl Feed {
    pub(super) fn new(name: String, origin: String, vkey: String, log: Arc<Log>) -> Self {
        Self {
            name,
            origin,
            vkey,
            log,
            counted: RwLock::default(),
            told: broadcast::Sender::new(BEHIND_MAX),
            stop: AtomicBool::new(false),
        }
    }

    /// Whoever watches.
    pub(super) fn watch(&self) -> broadcast::Receiver<Arc<Vec<Line>>> {
        self.told.subscribe()
    }

    /// Entries that are counted so far.
    pub(super) fn counted(&self) -> u64 {
        self.read().next
    }

    /// The days of a period, each with what crossed.
    pub(super) fn days(&self, from: u64, to: u64) -> Vec<(u64, Count)> {
        self.read().days.range(from..=to).map(|(day, count)| (*day, count.clone())).collect()
    }

    /// The first day of which there is anything.
    pub(super) fn first_day(&self) -> Option<u64> {
        self.read().days.first_key_value().map(|(day, _)| *day)
    }

    /// Crossings and refusals of each of the last minutes before a time, oldest first.
    pub(super) fn minutes(&self, now: u64) -> Vec<(u64, u64)> {
        let counted = self.read();
        let last = now / 60;
        let of = |minute: u64| {
            let found = counted.minutes.iter().find(|(m, ..)| *m == minute);
            found.map_or((0, 0), |(_, crossings, refusals)| (*crossings, *refusals))
        };
        (0..MINUTES as u64).rev().map(|back| of(last.saturating_sub(back))).collect()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Counted> {
        self.counted.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn end(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Follows the log until it is ended. Blocks.
    pub(super) fn follow(&self) {
        let start = self.log.published();
        let mut failed = false;
        while !self.stop.load(Ordering::Acquire) {
            match self.step(start) {
                Ok(true) => failed = false,
                Ok(false) => std::thread::sleep(LOOK),
                Err(e) => {
                    // Told once: what cannot be read is the log's to tell, and pages say how far they counted.
                    if !std::mem::replace(&mut failed, true) {
                        tracing::warn!(error = %e, "the console cannot read the ledger further; it will be tried again");
                    }
                    std::thread::sleep(LOOK * 10);
                }
            }
        }
    }

    /// Counts what came since, and tells of what is newer than the start. Whether there may be more.
    fn step(&self, start: u64) -> Result<bool, vault::log::LogError> {
        let next = self.read().next;
        let end = self.log.published().min(next.saturating_add(STEP));
        if next >= end {
            return Ok(false);
        }
        let (mut entries, mut lines) = (Vec::new(), Vec::new());
        for leaf in self.log.entries(next..end)? {
            // What is no entry of ours is the auditor's to find; it counts nowhere.
            if let Ok(entry) = Entry::decode(&leaf?) {
                if entry.sequence >= start {
                    lines.push(Line::of(&self.name, &entry));
                }
                entries.push(entry);
            }
        }
        let mut counted = self.counted.write().unwrap_or_else(PoisonError::into_inner);
        entries.iter().for_each(|entry| counted.entry(entry));
        counted.next = end;
        drop(counted);
        lines.drain(..lines.len().saturating_sub(TOLD_MAX));
        if !lines.is_empty() {
            // Nobody may be watching.
            let _ = self.told.send(Arc::new(lines));
        }
        Ok(true)
    }
}

impl Counted {
    fn entry(&mut self, entry: &Entry) {
        let time = entry.draft.time.0;
        self.days.entry(time / 86_400).or_default().entry(entry);
        if self.days.len() > DAYS_MAX {
            self.days.pop_first();
        }
        let minute = time / 60;
        if self.minutes.back().is_none_or(|(last, ..)| *last < minute) {
            self.minutes.push_back((minute, 0, 0));
        }
        if self.minutes.len() > MINUTES + 5 {
            self.minutes.pop_front();
        }
        // Times go back a little.
        if let Some((_, crossings, refusals)) = self.minutes.iter_mut().rev().find(|(m, ..)| *m == minute) {
            *crossings += u64::from(is_crossing(entry.draft.kind));
            *refusals += u64::from(entry.draft.kind == EntryKind::Refusal);
        }
    }
}
