//! What services inside did with records, added up until a minute's sum is on the ledger.
//!
//! A sum that cannot be written closes this door as the border is closed: nobody works with records while nobody can say so.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crossing::inward::Within;
use ledger::inside::{Counts, PERIOD_MAX, Summary};
use model::{Country, DataClass, Digest, Name, Purpose, Tag, UnixSeconds};

/// Most people of one sum that are told apart.
const PEOPLE_MAX: usize = 100_000;
/// For how long after its minute a sum may be unwritten, in seconds.
const LATE_MAX: u64 = 30;

/// Whose sum it is: of a rulebook, a registered use, and a place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Use {
    pub(crate) rulebook: Digest,
    pub(crate) name: Name,
    pub(crate) purpose: Purpose,
    pub(crate) actor: Tag,
    pub(crate) place: Country,
}

/// What one request did.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) read: u64,
    pub(crate) written: u64,
    pub(crate) removed: u64,
    pub(crate) searches: u64,
    pub(crate) opened: u64,
    pub(crate) bytes: u64,
    pub(crate) person: Option<[u8; 16]>,
    pub(crate) classes: BTreeSet<DataClass>,
}

#[derive(Debug)]
struct Sum {
    from: UnixSeconds,
    until: UnixSeconds,
    counts: Counts,
    bytes: u64,
    people: HashSet<[u8; 16]>,
    classes: BTreeSet<DataClass>,
}

/// The sums that are not on the ledger yet.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    open: Mutex<HashMap<Use, Sum>>,
    /// Ended, and not known to be durable.
    ended: Mutex<Vec<Within>>,
    /// Since when the oldest is that is on its way to the ledger.
    in_hand: Mutex<Option<UnixSeconds>>,
}

/// Sums are on their way: until this is dropped they count as not written.
pub(crate) struct InHand<'a>(&'a Sums);

impl Drop for InHand<'_> {
    fn drop(&mut self) {
        *self.0.in_hand() = None;
    }
}

impl Sums {
    fn open(&self) -> MutexGuard<'_, HashMap<Use, Sum>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self) -> MutexGuard<'_, Vec<Within>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn in_hand(&self) -> MutexGuard<'_, Option<UnixSeconds>> {
        self.in_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anything is so late that nothing more may be done.
    pub(crate) fn late(&self, now: UnixSeconds) -> bool {
        let late = |from: UnixSeconds| now.0.saturating_sub(from.0) > PERIOD_MAX + LATE_MAX;
        self.open().values().any(|s| late(s.from))
            || self.ended().iter().any(|w| late(w.summary.from))
            || self.in_hand().is_some_and(late)
    }

    /// Adds what a request did. Where the minute is over, the sum ends and another begins.
    pub(crate) fn add(&self, by: Use, now: UnixSeconds, done: Done) {
        let mut open = self.open();
        let over = |s: &Sum| now.0.saturating_sub(s.from.0) >= PERIOD_MAX || now < s.from;
        if open.get(&by).is_some_and(over)
            && let Some(sum) = open.remove(&by)
        {
            self.ended().push(sum.within(by.clone()));
        }
        let sum = open.entry(by).or_insert_with(|| Sum {
            from: now,
            until: now,
            counts: Counts::default(),
            bytes: 0,
            people: HashSet::new(),
            classes: BTreeSet::new(),
        });
        sum.until = sum.until.max(now);
        let counts = &mut sum.counts;
        let places = [&mut counts.requests, &mut counts.read, &mut counts.written, &mut counts.removed];
        for (place, n) in places.into_iter().zip([1, done.read, done.written, done.removed]) {
            *place = place.saturating_add(n);
        }
        counts.searches = counts.searches.saturating_add(done.searches);
        counts.opened = counts.opened.saturating_add(done.opened);
        sum.bytes = sum.bytes.saturating_add(done.bytes);
        sum.classes.extend(done.classes);
        if sum.people.len() < PEOPLE_MAX {
            sum.people.extend(done.person);
        }
    }

    /// Takes the sums whose minute is over, or all. What is not written after all comes [`Self::back`].
    pub(crate) fn take(&self, now: UnixSeconds, all: bool) -> (Vec<Within>, InHand<'_>) {
        let mut open = self.open();
        let over: Vec<Use> = open
            .iter()
            .filter(|(_, s)| all || now.0.saturating_sub(s.from.0) >= PERIOD_MAX || now < s.from)
            .map(|(by, _)| by.clone())
            .collect();
        let mut taken = std::mem::take(&mut *self.ended());
        taken.extend(over.into_iter().filter_map(|by| Some(open.remove(&by)?.within(by))));
        *self.in_hand() = taken.iter().map(|w| w.summary.from).min();
        (taken, InHand(self))
    }

    /// Keeps sums that were not written, for the next time.
    pub(crate) fn back(&self, sums: Vec<Within>) {
        self.ended().extend(sums);
    }
}

impl Sum {
    fn within(self, by: Use) -> Within {
        let people = u64::try_from(self.people.len()).unwrap_or(u64::MAX);
        let counts = Counts { people, ..self.counts };
        let Use { rulebook, name, purpose, actor, place } = by;
        let summary = Summary { name, from: self.from, until: self.until, counts };
        Within { rulebook, purpose, actor, place, classes: self.classes, bytes: self.bytes, summary }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by(name: &str) -> Use {
        Use {
            rulebook: Digest::new([1; 32]),
            name: Name::parse(name).unwrap(),
            purpose: Purpose::Operation,
            actor: Tag::new([2; 16]),
            place: Country::parse("IE").unwrap(),
        }
    }

    fn done(person: u8) -> Done {
        Done { read: 2, bytes: 10, person: Some([person; 16]), ..Done::default() }
    }

    #[test]
    fn a_minute_of_a_use_becomes_one_sum_and_nothing_is_counted_twice() {
        let sums = Sums::default();
        for second in 0..90 {
            sums.add(by("a"), UnixSeconds(1_000 + second), done(u8::try_from(second % 3).unwrap()));
        }
        sums.add(by("b"), UnixSeconds(1_089), done(9));
        let (taken, _) = sums.take(UnixSeconds(1_090), false);
        assert_eq!(taken.len(), 1, "the second minute of `a` and that of `b` go on");
        let all: Vec<Within> = taken.into_iter().chain(sums.take(UnixSeconds(1_090), true).0).collect();
        let total = |name: &str| -> u64 {
            all.iter().filter(|w| w.summary.name.as_str() == name).map(|w| w.summary.counts.requests).sum()
        };
        assert_eq!((total("a"), total("b")), (90, 1));
        for w in &all {
            assert!(w.summary.until.0 - w.summary.from.0 < PERIOD_MAX);
            assert_eq!(w.summary.counts.read, 2 * w.summary.counts.requests);
            assert_eq!(w.bytes, 10 * w.summary.counts.requests);
            assert!(w.summary.counts.people <= 3);
        }
        assert!(sums.take(UnixSeconds(5_000), true).0.is_empty());
    }

    #[test]
    fn a_sum_that_cannot_be_written_closes_the_door_and_opens_it_once_it_is() {
        let sums = Sums::default();
        sums.add(by("a"), UnixSeconds(1_000), done(1));
        assert!(!sums.late(UnixSeconds(1_000 + PERIOD_MAX + LATE_MAX)));
        assert!(sums.late(UnixSeconds(1_001 + PERIOD_MAX + LATE_MAX)));
        let (taken, in_hand) = sums.take(UnixSeconds(1_100), false);
        assert!(sums.late(UnixSeconds(1_100)), "what is on its way is not written");
        sums.back(taken);
        drop(in_hand);
        assert!(sums.late(UnixSeconds(1_100)), "what came back is as old as it was");
        assert_eq!(sums.take(UnixSeconds(1_100), false).0.len(), 1);
        assert!(!sums.late(UnixSeconds(1_100)));
    }
}
