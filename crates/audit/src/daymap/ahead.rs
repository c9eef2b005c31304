//! The map of a day, begun before the site log has it: a mirror reads entries as they come, so that judging the
//! final map of a large day takes the time of its last entries and not that of the day.
//!
//! Nothing is believed that [`build`] would not find: what was not read ahead is read when the map is there.

use std::{collections::BTreeMap, ops::ControlFlow};

use super::{
    BACK_SECONDS_MAX, Built, DAY_SECONDS, Held, PAIR_BYTES, Pair, Problem, Source, build, fold, read::Log,
};
use crate::{header::Header, runs::Sorter, tile::TILE_WIDTH, tree::Tree};

/// Pairs of one day that are held in 32 MiB of memory; the others lie in files.
pub(crate) const PAIRS_HELD_AHEAD: usize = 1 << 20;
/// So long after its end a day is taken for complete. Entries that come later yet are no harm: it is hashed again.
const SETTLED_SECONDS: u64 = 30;

/// The pairs of the day whose final map comes next, and of the one after it, whose entries come meanwhile.
pub(crate) struct Ahead {
    pairs_held: usize,
    /// The first of the two; unknown before anything was collected.
    day: Option<u64>,
    days: [Day; 2],
    logs: BTreeMap<String, Covered>,
    /// The newest time of an entry.
    newest: u64,
    work: Work,
}

/// What was done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// Entries that were read.
    pub(crate) entries: u64,
    /// Pairs that were sorted into a map and hashed.
    pub(crate) pairs: u64,
}

// INVARIANT: of every entry with `start` ≤ index < `next` that is of one of the two days, all pairs were added to that day.
#[derive(Clone, Copy)]
struct Covered {
    start: u64,
    next: u64,
}

/// The pairs of one day. All of them are real; one may stand there twice.
struct Day {
    pairs: Sorter<PAIR_BYTES>,
    added: u64,
    /// The first and the last entry of this day that was read, of each log.
    spans: BTreeMap<String, (u64, u64)>,
    /// The map of all pairs, and how many were there when it was built.
    whole: Option<(u64, Built)>,
}

impl Ahead {
    /// Holds at most `pairs_held` pairs of each day in memory.
    pub(crate) fn new(pairs_held: usize) -> Self {
        let days = [Day::new(pairs_held), Day::new(pairs_held)];
        Self { pairs_held, day: None, days, logs: BTreeMap::new(), newest: 0, work: Work::default() }
    }

    /// Reads at most `entries_max` more entries of each log for the map of `day`, and hashes the map when the day is over.
    /// Says whether there was anything to do.
    ///
    /// # Errors
    /// If an entry or a file is no good; who checks the map then finds the same.
    pub(crate) fn collect(&mut self, day: u64, logs: &[Held<'_>], entries_max: u64) -> Result<bool, Problem> {
        self.turn(day);
        let before = self.work;
        for log in logs {
            let next = match self.logs.get(log.origin) {
                Some(covered) => covered.next,
                None => {
                    let start = beginning(day, log)?;
                    self.logs.insert(log.origin.to_owned(), Covered { start, next: start });
                    start
                }
            };
            self.advance(log.origin, log, log.size.min(next.saturating_add(entries_max)))?;
        }
        let over = day.saturating_add(1).saturating_mul(DAY_SECONDS).saturating_add(SETTLED_SECONDS);
        let [first, _] = &mut self.days;
        if self.work.entries == before.entries && self.newest >= over {
            first.whole(&mut self.work)?;
        }
        Ok(self.work != before)
    }

    /// Builds the map of `day` over these ranges, as [`build`] does.
    pub(crate) fn build(
        &mut self,
        day: u64,
        sources: &[Source<'_>],
        pairs_held: usize,
    ) -> Result<Built, Problem> {
        let ranges: Vec<_> = sources.iter().map(|source| Range::of(source)).collect();
        let distinct = ranges
            .iter()
            .enumerate()
            .all(|(place, one)| ranges.iter().skip(place + 1).all(|other| other.gateway != one.gateway));
        let place = self.day.and_then(|first| day.checked_sub(first));
        let place =
            place.and_then(|place| usize::try_from(place).ok()).filter(|place| *place < 2 && distinct);
        let Some(place) = place else { return build(day, sources, pairs_held) };
        for source in sources {
            if !self.reaches(source)? {
                return build(day, sources, pairs_held);
            }
        }
        let Some(collected) = self.days.get_mut(place) else { return build(day, sources, pairs_held) };
        if collected.lies_in(sources) {
            return collected.whole(&mut self.work);
        }
        let inside = |pair: &Pair| ranges.iter().any(|range| range.holds(pair));
        collected.fold(inside, &mut self.work)
    }

    /// What was done since the beginning.
    #[cfg(test)]
    pub(crate) fn work(&self) -> Work {
        self.work
    }

    /// Goes on to another day; what was collected of the second is kept if it becomes the first.
    fn turn(&mut self, day: u64) {
        if self.day == Some(day) {
            return;
        }
        if self.day.is_some_and(|first| first.checked_add(1) == Some(day)) {
            self.days.swap(0, 1);
        } else {
            (self.logs, self.newest) = (BTreeMap::new(), 0);
            self.days[0] = Day::new(self.pairs_held);
        }
        self.days[1] = Day::new(self.pairs_held);
        self.day = Some(day);
    }

    /// Reads what is not covered yet of a range; says whether all of it is then.
    fn reaches(&mut self, source: &Source<'_>) -> Result<bool, Problem> {
        let Source { origin, from, to, folder } = *source;
        if from >= to {
            return Ok(true);
        }
        let log = Held { origin, folder, size: to };
        let covered = *self.logs.entry(origin.to_owned()).or_insert(Covered { start: from, next: from });
        if from < covered.start {
            let end = self.read(&log, from, covered.start)?;
            if end < covered.start {
                return Ok(false);
            }
            self.logs.insert(origin.to_owned(), Covered { start: from, ..covered });
        }
        self.advance(origin, &log, to)?;
        Ok(self.logs.get(origin).is_some_and(|covered| covered.next >= to))
    }

    /// Reads on up to `to`, or to an entry of a later day than the two.
    fn advance(&mut self, origin: &str, log: &Held<'_>, to: u64) -> Result<(), Problem> {
        let Some(covered) = self.logs.get(origin).copied() else { return Ok(()) };
        if covered.next < to {
            let next = self.read(log, covered.next, to)?;
            self.logs.insert(origin.to_owned(), Covered { next, ..covered });
        }
        Ok(())
    }

    /// Adds the pairs of a range, and returns where it stopped.
    fn read(&mut self, held: &Held<'_>, from: u64, to: u64) -> Result<u64, Problem> {
        let Some(first) = self.day else { return Ok(from) };
        let log = Log::new(Tree::new(held.folder), held.origin);
        let mut next = from;
        log.each(from, to, |header, _| {
            match (header.time / DAY_SECONDS).checked_sub(first) {
                None => {}
                Some(0) => self.days[0].add(&log, &header)?,
                Some(1) => self.days[1].add(&log, &header)?,
                Some(_) => return Ok(ControlFlow::Break(())),
            }
            next = header.sequence + 1;
            self.newest = self.newest.max(header.time);
            self.work.entries += 1;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(next)
    }
}

impl Day {
    fn new(pairs_held: usize) -> Self {
        Self { pairs: Sorter::new(pairs_held), added: 0, spans: BTreeMap::new(), whole: None }
    }

    fn add(&mut self, log: &Log<'_>, header: &Header) -> Result<(), Problem> {
        let index = header.sequence;
        match self.spans.get_mut(log.origin) {
            Some((first, last)) => (*first, *last) = ((*first).min(index), (*last).max(index)),
            None => drop(self.spans.insert(log.origin.to_owned(), (index, index))),
        }
        let gateway = log.gateway();
        log.tags(header, |tag| {
            self.added += 1;
            let pair = Pair { tag: u128::from_be_bytes(tag), gateway, index };
            self.pairs.push(pair.to_bytes()).map_err(Problem::Sort)
        })
    }

    /// Whether every entry that was read is in the range of its log.
    fn lies_in(&self, sources: &[Source<'_>]) -> bool {
        self.spans.iter().all(|(origin, (first, last))| {
            sources.iter().any(|source| source.origin == origin && source.from <= *first && *last < source.to)
        })
    }

    /// The map of all pairs, hashed again only if there are new ones.
    fn whole(&mut self, work: &mut Work) -> Result<Built, Problem> {
        if let Some((added, built)) = &self.whole
            && *added == self.added
        {
            return Ok(built.clone());
        }
        let built = self.fold(|_| true, work)?;
        self.whole = Some((self.added, built.clone()));
        Ok(built)
    }

    fn fold(&mut self, inside: impl Fn(&Pair) -> bool, work: &mut Work) -> Result<Built, Problem> {
        work.pairs += self.added;
        let sorted = self.pairs.sorted().map_err(Problem::Sort)?;
        let pairs = sorted.map(|pair| pair.map(|pair| Pair::from_bytes(&pair)));
        fold(pairs.filter(|pair| pair.as_ref().map_or(true, &inside))).map_err(Problem::Sort)
    }
}

/// The range of a log, as pairs name it.
struct Range {
    gateway: u64,
    from: u64,
    to: u64,
}

impl Range {
    fn of(source: &Source<'_>) -> Self {
        let gateway = Log::new(Tree::new(source.folder), source.origin).gateway();
        Self { gateway, from: source.from, to: source.to }
    }

    fn holds(&self, pair: &Pair) -> bool {
        pair.gateway == self.gateway && (self.from..self.to).contains(&pair.index)
    }
}

/// Where to begin with a log: an index before which entries are of earlier days if times go back a little only. If they do
/// not, what was left out is read when the map asks for it.
fn beginning(day: u64, held: &Held<'_>) -> Result<u64, Problem> {
    let log = Log::new(Tree::new(held.folder), held.origin);
    let wanted = day.saturating_mul(DAY_SECONDS).saturating_sub(BACK_SECONDS_MAX);
    let (mut low, mut high) = (0, held.size);
    while low < high {
        let middle = low + (high - low) / 2;
        let mut early = false;
        log.each(middle, middle + 1, |header, _| {
            early = header.time < wanted;
            Ok(ControlFlow::Break(()))
        })?;
        if early { low = middle + 1 } else { high = middle }
    }
    Ok(low / TILE_WIDTH * TILE_WIDTH)
}

#[cfg(test)]
mod tests;
