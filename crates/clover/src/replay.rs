//! The decisions of the ledger's last days, made again under a candidate rulebook by the engine that the gateway has.
//!
//! Read from the published trees, beside an enclave that may be running; nothing is locked and nothing written. `now`
//! is the one of the facts. Memory is bounded by batches, by memos and by the rows of the tally.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZero;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use ledger::entry::short_name;
use ledger::{Entry, EntryKind, facts, sha256};
use model::facts::PrincipalKind;
use model::rulebook::Rulebook;
use model::{Digest, Facts, Name, Reason, UnixSeconds};
use policy::bridge::Bridge;
use policy::compare::{self, Change, Count, Tally};
use policy::{Engine, Memo};
use vault::log::Beside;

use crate::assemble;
use crate::layout::Layout;

/// Entries that a thread takes at once.
const BATCH: usize = 512;
/// Decisions that each thread remembers.
const MEMO: usize = 20_000;
/// Rulebooks that each thread keeps at a time.
const RULEBOOKS: usize = 100;
/// Threads at most: reading is one more.
const WORKERS: usize = 16;

/// A rulebook that somebody proposes.
pub struct Candidate {
    rulebook: Arc<Rulebook>,
    engine: Engine,
}

impl Candidate {
    /// Checks the files of a folder; signatures are not looked at.
    ///
    /// # Errors
    /// Every problem of the files at once.
    pub fn read(folder: &std::path::Path) -> Result<Self> {
        let (rulebook, engine) = crossing::rulebook::candidate(&assemble::read_files(folder)?)?;
        Ok(Self { rulebook: Arc::new(rulebook), engine })
    }

    /// Its digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.rulebook.digest
    }
}

/// Which entries of a log were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The log.
    pub origin: String,
    /// The first index that was looked at.
    pub from: u64,
    /// The index behind the last.
    pub to: u64,
}

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// The logs.
    pub logs: Vec<Span>,
    /// Entries of the days asked for.
    pub entries: u64,
    /// Entries whose decision was made again.
    pub again: u64,
    /// Decisions that policies could tell apart, and that were made.
    pub made: u64,
    /// What changes.
    pub tally: Tally,
    /// Decisions that could not be made again, by reason.
    pub undecided: BTreeMap<&'static str, Count>,
    /// Entries that hold no decision of policy, by what they are.
    pub unasked: BTreeMap<&'static str, u64>,
    /// Decisions by the rulebook that made them.
    pub under: BTreeMap<Digest, u64>,
    /// What differs and stands in no facts.
    pub unseen: BTreeSet<&'static str>,
}

/// The end of it, and the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing changes: 0.
    Same,
    /// Something would open: 1.
    Opens,
    /// Nothing is seen to open, and some decisions could not be made again: 2.
    Unknown,
    /// Something would close, and nothing open: 3.
    Closes,
}

impl Found {
    /// The verdict.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if self.tally.groups(Change::Wider) > 0 {
            Verdict::Opens
        } else if !self.undecided.is_empty() || !self.unseen.is_empty() {
            Verdict::Unknown
        } else if self.tally.groups(Change::Narrower) > 0 {
            Verdict::Closes
        } else {
            Verdict::Same
        }
    }

    fn merge(&mut self, other: Self) {
        self.entries += other.entries;
        self.again += other.again;
        self.made += other.made;
        self.tally.merge(other.tally);
        for (why, count) in other.undecided {
            self.undecided.entry(why).or_default().merge(count);
        }
        for (what, n) in other.unasked {
            *self.unasked.entry(what).or_default() += n;
        }
        for (digest, n) in other.under {
            *self.under.entry(digest).or_default() += n;
        }
        self.unseen.extend(other.unseen);
    }
}

/// Makes the decisions of a time on again. `progress` is told how many entries were read, and of how many.
///
/// # Errors
/// When the ledger cannot be read, or is damaged.
pub fn replay(
    layout: &Layout,
    candidate: &Candidate,
    since: UnixSeconds,
    mut progress: impl FnMut(u64, u64),
) -> Result<Found> {
    // An enclave's folder has one gateway, and its log; the key bears the log's name.
    let verifier = assemble::verifier(layout, "log")?;
    let log = Beside::open(&layout.log("log"), &verifier)?;
    let span = Span { origin: verifier.name().to_owned(), from: log.first_at(since)?, to: log.size() };
    let mut found = Found::default();
    read(layout, candidate, &log, &span, since, &mut found, &mut progress)?;
    found.logs.push(span);
    Ok(found)
}

type Batch = (u64, Vec<Vec<u8>>);

/// One thread reads, the others decide.
fn read(
    layout: &Layout,
    candidate: &Candidate,
    log: &Beside,
    span: &Span,
    since: UnixSeconds,
    found: &mut Found,
    progress: &mut impl FnMut(u64, u64),
) -> Result<()> {
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get).min(WORKERS);
    let (send, receive) = sync_channel::<Batch>(workers * 2);
    let receive = Mutex::new(receive);
    std::thread::scope(|scope| {
        let work = || {
            let mut worker = Worker::new(layout, candidate, since);
            while let Some((first, leaves)) = next(&receive) {
                (first..).zip(&leaves).for_each(|(index, leaf)| worker.look(index, leaf));
            }
            worker.end()
        };
        let running: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let mut batch: Batch = (span.from, Vec::with_capacity(BATCH));
        for (index, leaf) in (span.from..).zip(log.entries(span.from..span.to)) {
            batch.1.push(leaf?);
            if batch.1.len() == BATCH {
                progress(index + 1 - span.from, span.to - span.from);
                let full = std::mem::replace(&mut batch, (index + 1, Vec::with_capacity(BATCH)));
                send.send(full).ok().context("a thread that decides has ended")?;
            }
        }
        send.send(batch).ok().context("a thread that decides has ended")?;
        drop(send);
        for worker in running {
            found.merge(worker.join().ok().context("a thread that decides has ended")?);
        }
        Ok(())
    })
}

fn next(batches: &Mutex<Receiver<Batch>>) -> Option<Batch> {
    batches.lock().ok()?.recv().ok()
}

struct Worker<'c> {
    layout: &'c Layout,
    candidate: &'c Candidate,
    since: UnixSeconds,
    memo: Memo<'c>,
    /// From the rulebooks that decided, where the folder has them.
    known: HashMap<Digest, Option<Known>>,
    found: Found,
}

/// A rulebook that decided.
struct Known {
    bridge: Bridge,
    lanes: HashMap<[u8; 8], Name>,
}

const UNASKED: &str = "refusals from before policy was asked, which hold no facts";
const UNREADABLE: &str = "its facts cannot be read";
const MISSING: &str = "the rulebook that decided it is not among the published ones, or cannot be read";

impl<'c> Worker<'c> {
    fn new(layout: &'c Layout, candidate: &'c Candidate, since: UnixSeconds) -> Self {
        let memo = Memo::new(&candidate.engine, MEMO);
        Self { layout, candidate, since, memo, known: HashMap::new(), found: Found::default() }
    }

    fn end(mut self) -> Found {
        self.found.made = self.memo.made();
        self.found
    }

    fn look(&mut self, index: u64, leaf: &[u8]) {
        let entry = match Entry::decode(leaf) {
            Ok(entry) if entry.draft.time < self.since => return,
            Ok(entry) => entry.draft,
            Err(_) => {
                self.found.entries += 1;
                return self.undecided(UNREADABLE, index);
            }
        };
        self.found.entries += 1;
        let unasked = match entry.kind {
            EntryKind::Import => Some("import batches, of which policy is not asked"),
            EntryKind::Activation => Some("activations of a rulebook"),
            EntryKind::Border => Some("states of the border"),
            EntryKind::Suspension => Some("suspensions of a country and their liftings"),
            EntryKind::Demand => Some("demands of authorities, which grant nothing"),
            EntryKind::Erasure => Some("erasures of people"),
            EntryKind::Home => Some("people who moved"),
            EntryKind::Migration => Some("stages of migrations into the region"),
            EntryKind::Inside => Some("minutes of services inside, which cross nothing"),
            EntryKind::Extend | EntryKind::Close => Some("parts of streams, decided where they open"),
            EntryKind::Answer | EntryKind::Open => None,
            EntryKind::Refusal => entry.facts.is_empty().then_some(UNASKED),
        };
        if let Some(what) = unasked {
            *self.found.unasked.entry(what).or_default() += 1;
            return;
        }
        let Ok(facts) = facts::decode(&entry.facts) else { return self.undecided(UNREADABLE, index) };
        *self.found.under.entry(entry.rulebook).or_default() += 1;
        // A reading that was refused otherwise was allowed by policy before.
        let allowed = !matches!(entry.reason, Reason::Policy | Reason::Assessment | Reason::Evaluation);
        self.again(index, &facts, entry.rulebook, entry.lane, allowed);
    }

    fn again(&mut self, index: u64, facts: &Facts, rulebook: Digest, lane: [u8; 8], allowed: bool) {
        if facts.principal.kind == PrincipalKind::Operator {
            *self.found.unasked.entry("acts of operators, of which policy is not asked").or_default() += 1;
            return;
        }
        if !self.known.contains_key(&rulebook) {
            if self.known.len() >= RULEBOOKS {
                self.known.clear();
            }
            let known = Known::read(self.layout, rulebook, self.candidate);
            self.found.unseen.extend(known.iter().flat_map(|k| k.bridge.unseen()));
            self.known.insert(rulebook, known);
        }
        let Some(Some(known)) = self.known.get(&rulebook) else { return self.undecided(MISSING, index) };
        let lane = known.lanes.get(&lane);
        match compare::again(&known.bridge, &mut self.memo, facts, lane, allowed) {
            Ok(rows) => {
                self.found.again += 1;
                self.found.tally.add(index, rows);
            }
            Err(why) => self.undecided(why.words(), index),
        }
    }

    fn undecided(&mut self, why: &'static str, index: u64) {
        self.found.undecided.entry(why).or_default().add(1, [index]);
    }
}

impl Known {
    /// A rulebook from its published copy, which must be the one of its digest.
    fn read(layout: &Layout, digest: Digest, candidate: &Candidate) -> Option<Self> {
        let files = assemble::read_files(&layout.published_rulebook(&digest.to_string())).ok()?;
        let rulebook = Rulebook::parse(&files, sha256).ok().filter(|book| book.digest == digest)?;
        let lanes = rulebook.lanes.lanes.keys();
        let lanes = lanes.map(|name| (short_name(name.as_str()), name.clone())).collect();
        Some(Self { bridge: Bridge::new(Arc::new(rulebook), Arc::clone(&candidate.rulebook)), lanes })
    }
}
