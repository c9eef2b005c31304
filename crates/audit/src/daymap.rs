//! The map of a day and the calendar, built again from the entries (`docs/formats/day-map.md`).
//!
//! [`DayMaps::check`] is what a mirror asks before it signs a site log that counts a day-map entry. Memory is
//! bounded: pairs beyond a number that the caller gives are sorted in files.

mod ahead;
mod read;
#[cfg(test)]
mod tests;

use std::{io, ops::ControlFlow, path::Path};

use aws_lc_rs::digest::{Context, SHA256};

#[cfg(test)]
pub(crate) use self::ahead::Work;
pub(crate) use self::ahead::{Ahead, PAIRS_HELD_AHEAD};
use self::read::Log;
use crate::{
    hash::{Frontier, Hash, leaf_hash, root_of, sha256},
    nodes::{NodeError, Nodes},
    report::Rule,
    runs::Sorter,
    siteleaf::DayMapEntry,
    tile::TILE_WIDTH,
    tree::Tree,
};

/// Length of a day.
pub(crate) const DAY_SECONDS: u64 = 86_400;
/// How far times go back in a log.
const BACK_SECONDS_MAX: u64 = 300;
/// Length of a leaf of the map, and of a record of the calendar.
pub(crate) const LEAF_BYTES: usize = 52;

/// Pairs that are sorted in 64 MiB of memory.
pub(crate) const PAIRS_HELD: usize = 2 << 20;

/// A gateway's log as the auditor holds it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held<'a> {
    pub(crate) origin: &'a str,
    /// The tree, in the published layout.
    pub(crate) folder: &'a Path,
    /// How many entries of it are held; they are verified.
    pub(crate) size: u64,
}

/// A range of entries of a log that goes into a map.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) origin: &'a str,
    pub(crate) folder: &'a Path,
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// A map that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Built {
    pub(crate) root: Hash,
    /// Sentinels not counted.
    pub(crate) tags: u64,
    pub(crate) pairs: u64,
    /// Pairs that were left out because their tag is that of a sentinel. Any is a finding.
    pub(crate) sentinels: u64,
}

/// What does not hold.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("cannot sort the pairs of the day")]
    Sort(#[source] io::Error),
    #[error(transparent)]
    Node(#[from] NodeError),
    #[error("entry `{index}` of `{}` cannot be read: {what}", .origin.escape_debug())]
    Entry { origin: String, index: u64, what: String },
    #[error("its inputs are not just the gateways that are or were enrolled")]
    Inputs,
    #[error("it reads `{}` up to `{to}`, and only `{size}` entries are held", .origin.escape_debug())]
    NotHeld { origin: String, to: u64, size: u64 },
    #[error("the root of `{}` at size `{to}` is another", .origin.escape_debug())]
    InputRoot { origin: String, to: u64 },
    #[error("the map of day `{day}` has another {what} than the entries give")]
    Map { day: u64, what: &'static str },
    #[error("entry `{index}` of `{}` is of day `{day}` and outside of its map", .origin.escape_debug())]
    Outside { origin: String, index: u64, day: u64 },
    #[error("the map of day `{day}` is final before the day is over")]
    Early { day: u64 },
    #[error("the map of day `{day}` is not the next of the calendar")]
    Order { day: u64 },
    #[error("the calendar at day `{day}` has another {what}")]
    Calendar { day: u64, what: &'static str },
}

impl Problem {
    /// The rule that is broken; none if the auditor itself could not go on.
    pub(crate) fn rule(&self) -> Option<Rule> {
        match self {
            Self::Sort(_) | Self::Node(_) | Self::NotHeld { .. } => None,
            Self::Entry { .. } | Self::Inputs | Self::InputRoot { .. } | Self::Map { .. } => {
                Some(Rule::DayMap)
            }
            Self::Outside { .. } => Some(Rule::DayMapLate),
            Self::Early { .. } | Self::Order { .. } | Self::Calendar { .. } => Some(Rule::Calendar),
        }
    }
}

/// The record of a final map in the calendar.
pub(crate) fn record(day: u32, root: &Hash, tags: u64, pairs: u64) -> [u8; LEAF_BYTES] {
    let mut record = [0; LEAF_BYTES];
    let fields = [&day.to_be_bytes()[..], root, &tags.to_be_bytes(), &pairs.to_be_bytes()];
    record.iter_mut().zip(fields.iter().copied().flatten()).for_each(|(to, from)| *to = *from);
    record
}

/// A leaf of the map of a day.
pub(crate) fn map_leaf(tag: u128, pairs: u32, list: &Hash) -> [u8; LEAF_BYTES] {
    let mut leaf = [0; LEAF_BYTES];
    let fields = [&tag.to_be_bytes()[..], &pairs.to_be_bytes(), list];
    leaf.iter_mut().zip(fields.iter().copied().flatten()).for_each(|(to, from)| *to = *from);
    leaf
}

/// The day maps of one site log, checked one after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct DayMaps {
    /// Leaf hashes of the records so far.
    records: Vec<Hash>,
    /// The day of the next record; unknown before the first.
    next: Option<u64>,
}

impl DayMaps {
    /// Takes an entry that was checked before, so that the next can be checked.
    pub(crate) fn accept(&mut self, entry: &DayMapEntry) {
        if let Some(day) = u32::try_from(entry.day).ok().filter(|_| entry.is_final) {
            let record = record(day, &entry.root, entry.tags, entry.pairs);
            self.records.push(leaf_hash(&record, &mut Vec::new()));
            self.next = Some(u64::from(day) + 1);
        }
    }

    /// Builds the map of `entry`, which the site log wrote at `time`, from the logs of all gateways that
    /// were enrolled then or before, and accepts it if everything holds.
    pub(crate) fn check(
        &mut self,
        entry: &DayMapEntry,
        time: u64,
        logs: &[Held<'_>],
        pairs_held: usize,
    ) -> Result<Built, Problem> {
        self.check_built(entry, time, logs, |sources| build(entry.day, sources, pairs_held))
    }

    /// Likewise, with what was read ahead.
    pub(crate) fn check_ahead(
        &mut self,
        entry: &DayMapEntry,
        time: u64,
        logs: &[Held<'_>],
        ahead: &mut Ahead,
    ) -> Result<Built, Problem> {
        self.check_built(entry, time, logs, |sources| ahead.build(entry.day, sources, PAIRS_HELD))
    }

    /// The day whose final map comes next.
    pub(crate) fn next_day(&self, logs: &[Held<'_>]) -> Result<Option<u64>, Problem> {
        self.next.map_or_else(|| first_day(logs), |day| Ok(Some(day)))
    }

    fn check_built(
        &mut self,
        entry: &DayMapEntry,
        time: u64,
        logs: &[Held<'_>],
        build: impl FnOnce(&[Source<'_>]) -> Result<Built, Problem>,
    ) -> Result<Built, Problem> {
        self.order(entry, time, logs)?;
        inputs(entry, logs)?;
        let sources: Vec<_> = entry
            .inputs
            .iter()
            .zip(logs)
            .map(|(input, log)| Source {
                origin: log.origin,
                folder: log.folder,
                from: input.from,
                to: input.to,
            })
            .collect();
        let built = build(&sources)?;
        same(entry, &built)?;
        for (source, log) in sources.iter().zip(logs) {
            let end = if entry.is_final { log.size } else { source.to };
            nothing_outside(entry.day, source, end)?;
        }
        let mut after = self.clone();
        after.accept(entry);
        after.calendar(entry)?;
        *self = after;
        Ok(built)
    }

    fn order(&self, entry: &DayMapEntry, time: u64, logs: &[Held<'_>]) -> Result<(), Problem> {
        let day = entry.day;
        let over = day.checked_add(1).and_then(|next| next.checked_mul(DAY_SECONDS));
        if u32::try_from(day).is_err() || (entry.is_final && over.is_none_or(|over| time < over)) {
            return Err(Problem::Early { day });
        }
        let good = match self.next {
            Some(next) if entry.is_final => day == next,
            Some(next) => day >= next,
            None if entry.is_final => first_day(logs)?.is_none_or(|first| first == day),
            None => true,
        };
        if good { Ok(()) } else { Err(Problem::Order { day }) }
    }

    fn calendar(&self, entry: &DayMapEntry) -> Result<(), Problem> {
        let wrong = |what| Err(Problem::Calendar { day: entry.day, what });
        if entry.calendar_records != self.records.len() as u64 {
            return wrong("number of records");
        }
        if entry.calendar_root != root_of(&self.records) {
            return wrong("root");
        }
        Ok(())
    }
}

/// The earliest day of a first entry.
fn first_day(logs: &[Held<'_>]) -> Result<Option<u64>, Problem> {
    let mut first: Option<u64> = None;
    for held in logs.iter().filter(|held| held.size > 0) {
        Log::new(Tree::new(held.folder), held.origin).each(0, 1, |header, _| {
            let day = header.time / DAY_SECONDS;
            first = Some(first.map_or(day, |first| first.min(day)));
            Ok(ControlFlow::Break(()))
        })?;
    }
    Ok(first)
}

/// One input for each log, up to no more than is held, and of its root.
fn inputs(entry: &DayMapEntry, logs: &[Held<'_>]) -> Result<(), Problem> {
    if !entry.inputs.iter().map(|input| input.origin.as_str()).eq(logs.iter().map(|log| log.origin)) {
        return Err(Problem::Inputs);
    }
    for (input, log) in entry.inputs.iter().zip(logs) {
        let (origin, to) = (input.origin.clone(), input.to);
        if to > log.size {
            return Err(Problem::NotHeld { origin, to, size: log.size });
        }
        if Nodes::new(&Tree::new(log.folder)).root_at(to)? != input.root {
            return Err(Problem::InputRoot { origin, to });
        }
    }
    Ok(())
}

fn same(entry: &DayMapEntry, built: &Built) -> Result<(), Problem> {
    let differs = |what| Err(Problem::Map { day: entry.day, what });
    if entry.tags != built.tags {
        return differs("number of tags");
    }
    if entry.pairs != built.pairs {
        return differs("number of pairs");
    }
    if entry.root != built.root { differs("root") } else { Ok(()) }
}

/// Builds the map of `day` from the entries in the ranges of `sources`, with so many pairs in memory.
pub(crate) fn build(day: u64, sources: &[Source<'_>], pairs_held: usize) -> Result<Built, Problem> {
    let mut sorter = Sorter::new(pairs_held);
    for source in sources {
        let log = Log::new(Tree::new(source.folder), source.origin);
        let gateway = log.gateway();
        log.each(source.from, source.to, |header, _| {
            if header.time / DAY_SECONDS == day {
                log.tags(&header, |tag| {
                    let pair = Pair { tag: u128::from_be_bytes(tag), gateway, index: header.sequence };
                    sorter.push(pair.to_bytes()).map_err(Problem::Sort)
                })?;
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    let sorted = sorter.finish().map_err(Problem::Sort)?;
    fold(sorted.map(|pair| pair.map(|pair| Pair::from_bytes(&pair)))).map_err(Problem::Sort)
}

/// The map of sorted pairs, one of which may stand there twice.
fn fold(sorted: impl Iterator<Item = io::Result<Pair>>) -> io::Result<Built> {
    let mut map = Map::default();
    map.sentinel(0);
    let mut list: Option<List> = None;
    for pair in sorted {
        let pair = pair?;
        match &mut list {
            Some(list) if list.tag == pair.tag => list.add(&pair),
            other => {
                if let Some(done) = other.replace(List::new(&pair)) {
                    map.list(done)?;
                }
            }
        }
    }
    if let Some(done) = list {
        map.list(done)?;
    }
    map.sentinel(u128::MAX);
    Ok(Built { root: map.frontier.root(), tags: map.tags, pairs: map.pairs, sentinels: map.sentinels })
}

const PAIR_BYTES: usize = 32;

/// One person in one entry; its bytes are in the order of the map.
struct Pair {
    tag: u128,
    gateway: u64,
    index: u64,
}

impl Pair {
    fn to_bytes(&self) -> [u8; PAIR_BYTES] {
        let mut bytes = [0; PAIR_BYTES];
        if let ([tag, place], _) = bytes.as_chunks_mut::<16>() {
            *tag = self.tag.to_be_bytes();
            *place = (u128::from(self.gateway) << 64 | u128::from(self.index)).to_be_bytes();
        }
        bytes
    }

    fn from_bytes(bytes: &[u8; PAIR_BYTES]) -> Self {
        let mut halves = bytes.as_chunks::<16>().0.iter().map(|half| u128::from_be_bytes(*half));
        let (tag, place) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
        // The two halves of the place, exactly.
        Self { tag, gateway: (place >> 64) as u64, index: place as u64 }
    }
}

/// The tree over the leaves so far.
#[derive(Default)]
struct Map {
    frontier: Frontier,
    tags: u64,
    pairs: u64,
    sentinels: u64,
    scratch: Vec<u8>,
}

impl Map {
    fn sentinel(&mut self, tag: u128) {
        let leaf = map_leaf(tag, 0, &sha256(&[]));
        self.frontier.push(0, leaf_hash(&leaf, &mut self.scratch));
    }

    fn list(&mut self, list: List) -> io::Result<()> {
        if list.tag == 0 || list.tag == u128::MAX {
            self.sentinels += list.pairs;
            return Ok(());
        }
        let count = u32::try_from(list.pairs)
            .map_err(|_| io::Error::other("a tag stands in more entries than a leaf can count"))?;
        let mut hash = [0; 32];
        hash.copy_from_slice(list.hash.finish().as_ref());
        let leaf = map_leaf(list.tag, count, &hash);
        self.frontier.push(0, leaf_hash(&leaf, &mut self.scratch));
        self.tags += 1;
        self.pairs += list.pairs;
        Ok(())
    }
}

/// The list of one tag, hashed as it grows.
struct List {
    tag: u128,
    pairs: u64,
    last: (u64, u64),
    hash: Context,
}

impl List {
    fn new(pair: &Pair) -> Self {
        let mut list = Self { tag: pair.tag, pairs: 0, last: (0, 0), hash: Context::new(&SHA256) };
        list.put(pair);
        list
    }

    /// Adds a pair that is not smaller than the last; the same pair again adds nothing.
    fn add(&mut self, pair: &Pair) {
        if self.last != (pair.gateway, pair.index) {
            self.put(pair);
        }
    }

    fn put(&mut self, pair: &Pair) {
        self.last = (pair.gateway, pair.index);
        self.pairs += 1;
        self.hash.update(&pair.gateway.to_be_bytes());
        self.hash.update(&pair.index.to_be_bytes());
    }
}

/// Checks that no entry before `from`, or from `to` to before `end`, is of this day.
///
/// Times go back by at most 300 s in a log that holds (rule AUD-09), so the search ends where the day is that far away.
fn nothing_outside(day: u64, source: &Source<'_>, end: u64) -> Result<(), Problem> {
    let log = Log::new(Tree::new(source.folder), source.origin);
    let (start, over) = (day * DAY_SECONDS, (day + 1) * DAY_SECONDS);
    let found = |index| Problem::Outside { origin: source.origin.to_owned(), index, day };
    log.each(source.to, end, |header, _| {
        if header.time / DAY_SECONDS == day {
            return Err(found(header.sequence));
        }
        let far = header.time >= over + BACK_SECONDS_MAX;
        Ok(if far { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    let mut low = source.from;
    while low > 0 {
        let (high, mut far) = (low, false);
        low = (high - 1) / TILE_WIDTH * TILE_WIDTH;
        log.each(low, high, |header, _| {
            if header.time / DAY_SECONDS == day {
                return Err(found(header.sequence));
            }
            far |= header.time.saturating_add(BACK_SECONDS_MAX) < start;
            Ok(ControlFlow::Continue(()))
        })?;
        if far {
            break;
        }
    }
    Ok(())
}
