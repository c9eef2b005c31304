//! Amounts of grants: reserved in the store by chunks, taken from in memory.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use access::budget::PEOPLE_MAX;
use access::{Counted, Reserved, Share, Spent, Taken};
use model::procedures::Amount;
use model::{Explain, Name, Tag};

use super::memory::{OPEN_MAX, parse};
use super::store::{Becomes, ChangeError, Row, StoreError, Table};
use super::{Control, lock};

/// What this process has reserved of one grant.
#[derive(Default)]
struct Held {
    share: Share,
    /// It was settled: nothing is taken from it or given back to it any more.
    over: bool,
}

pub(super) type Shares = Mutex<HashMap<Name, Arc<SharedHeld>>>;

/// One lock for each grant: whoever waits for a chunk of another is not held up.
#[derive(Default)]
pub(super) struct SharedHeld(Mutex<Held>);

/// What one crossing took of a grant's amount. It is spent if it is dropped.
#[must_use = "what does not cross is given back"]
pub struct Ticket {
    held: Arc<SharedHeld>,
    taken: Taken,
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ticket(..)")
    }
}

/// Why nothing was taken of a grant's amount.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TakeError {
    /// There is not as much any more.
    #[error("nothing was taken")]
    Spent(#[from] Spent),
    /// The store does not say.
    #[error("the control store reserved nothing")]
    Store(#[source] StoreError),
}

impl From<StoreError> for TakeError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Change(ChangeError::Spent(spent)) => Self::Spent(spent),
            other => Self::Store(other),
        }
    }
}

impl Explain for TakeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Spent(_) => "CLV-0406",
            Self::Store(e) => e.code(),
        }
    }
    fn fix(&self) -> &'static str {
        match self {
            Self::Spent(_) => "ask for a new grant",
            Self::Store(e) => e.fix(),
        }
    }
    fn public(&self) -> &'static str {
        match self {
            Self::Spent(_) => "nothing is left of what was granted",
            Self::Store(e) => e.public(),
        }
    }
}

impl Control {
    /// Takes from a grant's or case's amount what one crossing needs: all of it or nothing. `people` are pseudonyms of
    /// those whom the payload names, which must be the same for as long as the grant lives; `unnamed` is how many it
    /// may hold besides.
    ///
    /// # Errors
    /// [`TakeError::Spent`] when there is not as much; [`TakeError::Store`] when a chunk had to be reserved and was not.
    pub fn take(
        &self,
        grant: &Name,
        most: &Amount,
        rows: u64,
        bytes: u64,
        people: &[Tag],
        unnamed: u64,
    ) -> Result<Ticket, TakeError> {
        let need = Amount { rows, bytes, subjects: unnamed };
        loop {
            let shared = self.share(grant)?;
            let mut held = lock(&shared.0);
            if held.over {
                // Settled between the look and the lock: the next look finds a new one.
                continue;
            }
            let strangers = held.share.strangers(people);
            let at_once = if strangers.is_empty() { held.share.take(&need).ok() } else { None };
            let taken = match at_once {
                Some(taken) => taken,
                None => self.reserve(grant, most, &need, &strangers, &mut held.share)?,
            };
            drop(held);
            return Ok(Ticket { held: shared, taken });
        }
    }

    /// The same for whom a grant names at once, if that much is reserved and nobody holds its share: it asks no store and waits
    /// for nobody. `None` says nothing of what is left.
    pub fn take_at_hand(&self, grant: &Name, rows: u64, bytes: u64, people: &[Tag]) -> Option<Ticket> {
        let shared = Arc::clone(lock(&self.shares).get(grant)?);
        let mut held = shared.0.try_lock().ok().filter(|held| !held.over)?;
        let all_known = held.share.strangers(people).is_empty();
        let taken =
            all_known.then(|| held.share.take(&Amount { rows, bytes, subjects: 0 }).ok()).flatten()?;
        drop(held);
        Some(Ticket { held: shared, taken })
    }

    /// What is left of a grant's amount: what nobody has reserved, and what this process has and has not taken.
    ///
    /// # Errors
    /// [`StoreError`]
    pub fn left(&self, grant: &Name, most: &Amount) -> Result<Amount, StoreError> {
        let row = self.store.get(Table::Budgets, grant.as_str())?;
        let all: Reserved = row.map_or(Ok(Reserved::default()), |row| parse("budget", &row.bytes))?;
        let (free, mine) = (all.left(most), lock(&self.shares).get(grant).cloned());
        let mine =
            mine.map_or(Amount { rows: 0, bytes: 0, subjects: 0 }, |shared| lock(&shared.0).share.rest());
        Ok(Amount {
            rows: free.rows.saturating_add(mine.rows),
            bytes: free.bytes.saturating_add(mine.bytes),
            subjects: free.subjects.saturating_add(mine.subjects),
        })
    }

    fn share(&self, grant: &Name) -> Result<Arc<SharedHeld>, StoreError> {
        let mut shares = lock(&self.shares);
        if let Some(share) = shares.get(grant) {
            return Ok(Arc::clone(share));
        }
        if shares.len() >= OPEN_MAX {
            return Err(StoreError::Full);
        }
        Ok(Arc::clone(shares.entry(grant.clone()).or_default()))
    }

    /// Counts whom nobody counted yet, reserves what is lacking, durably and together, and takes.
    fn reserve(
        &self,
        grant: &Name,
        most: &Amount,
        need: &Amount,
        strangers: &BTreeSet<Tag>,
        share: &mut Share,
    ) -> Result<Taken, TakeError> {
        // More than can have a row of their own are not looked for.
        let asked: Vec<Tag> =
            if strangers.len() > PEOPLE_MAX { Vec::new() } else { strangers.iter().copied().collect() };
        let keys: Vec<String> = asked.iter().map(|person| person_key(grant, person)).collect();
        let mut at = vec![(Table::Budgets, grant.as_str())];
        at.extend(keys.iter().map(|key| (Table::People, key.as_str())));
        let mut reserved = None;
        self.store.change_all(&at, &mut |rows| {
            let mut count = Count::new(rows, &asked)?;
            let known = count.people(most)?;
            let others = (strangers.len() - known.len()) as u64;
            let need = Amount { subjects: need.subjects.saturating_add(others), ..*need };
            let chunk = count.all.reserve(most, &share.lacks(&need))?;
            reserved = Some((known, need, chunk));
            count.becomes()
        })?;
        let form = || TakeError::Store(StoreError::Change(ChangeError::Form("budget")));
        let (known, need, chunk) = reserved.ok_or_else(form)?;
        share.learn(known);
        share.add(&chunk);
        share.take(&need).map_err(|_| form())
    }

    /// Gives back what did not cross. After [`Control::settle`] it stays spent.
    pub fn give_back(&self, ticket: Ticket) {
        let mut held = lock(&ticket.held.0);
        if !held.over {
            held.share.give_back(&ticket.taken);
        }
    }

    /// At a clean stop: what was reserved and not taken goes back.
    ///
    /// # Errors
    /// The first [`StoreError`]; what it is about stays reserved, the rest is settled all the same.
    pub fn settle(&self) -> Result<(), StoreError> {
        let shares: Vec<_> = lock(&self.shares).drain().collect();
        let mut refused = None;
        for (grant, shared) in shares {
            let mut held = lock(&shared.0);
            held.over = true;
            let rest = held.share.rest();
            if (rest.rows, rest.bytes, rest.subjects) == (0, 0, 0) {
                continue;
            }
            let done = self.store.change(Table::Budgets, grant.as_str(), &mut |row| {
                let Some(row) = row else { return Ok(None) };
                let mut all: Reserved = parse("budget", &row.bytes)?;
                all.settle(&rest);
                serde_json::to_vec(&all).map(Some).map_err(|_| ChangeError::Form("budget"))
            });
            refused = refused.or(done.err());
        }
        refused.map_or(Ok(()), Err)
    }

    /// Grants that are over need no share. Whoever takes from one at this moment takes what was reserved.
    pub(super) fn forget_shares(&self, over: &[Name]) {
        let mut shares = lock(&self.shares);
        over.iter().for_each(|grant| drop(shares.remove(grant)));
    }
}

/// Where somebody who is counted under a grant has their row.
pub(super) fn person_key(grant: &Name, person: &Tag) -> String {
    format!("{grant}/{person}")
}

/// A budget's row and those of people beside it, while they are changed.
struct Count<'a> {
    was: Option<&'a Row>,
    all: Reserved,
    /// Each who was asked for, and whether they have a row.
    people: Vec<(Tag, bool)>,
    counted: Vec<Counted>,
}

impl<'a> Count<'a> {
    fn new(rows: &'a [Option<Row>], asked: &[Tag]) -> Result<Self, ChangeError> {
        let (was, people) = rows.split_first().ok_or(ChangeError::Form("budget"))?;
        let all = was.as_ref().map_or(Ok(Reserved::default()), |row| parse("budget", &row.bytes))?;
        let people = asked.iter().zip(people).map(|(person, row)| (*person, row.is_some())).collect();
        Ok(Self { was: was.as_ref(), all, people, counted: Vec::new() })
    }

    /// Counts who has no row, at once and for good: a chunk of them would be lost in a crash, and a grant for one person
    /// with it. Returns who is counted then.
    fn people(&mut self, most: &Amount) -> Result<Vec<Tag>, ChangeError> {
        let of = |there: bool| self.people.iter().filter(move |p| p.1 == there).map(|p| p.0);
        let counted = self.all.count(most, &of(false).collect())?;
        let known = of(true).chain(counted.iter().map(|c| c.person)).collect();
        self.counted = counted;
        Ok(known)
    }

    /// What becomes of the rows.
    fn becomes(self) -> Result<Vec<Becomes>, ChangeError> {
        let bytes = serde_json::to_vec(&self.all).map_err(|_| ChangeError::Form("budget"))?;
        let same = self.was.is_some_and(|row| row.bytes == bytes);
        let mut becomes = vec![if same { Becomes::Same } else { Becomes::Put(bytes) }];
        // Those who have no row are counted in their order, or none of them is.
        let mut counted = self.counted.iter();
        becomes.extend(self.people.iter().map(|(person, there)| {
            let row = if *there { None } else { counted.next() };
            match row {
                Some(row) if row.person == *person => {
                    Becomes::Put(row.before.map_or_else(Vec::new, |before| before.bytes().to_vec()))
                }
                _ => Becomes::Same,
            }
        }));
        Ok(becomes)
    }
}
