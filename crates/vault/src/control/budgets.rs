//! Amounts of grants: reserved in the store by chunks, taken from in memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use access::{Reserved, Share, Spent, Taken};
use model::procedures::Amount;
use model::{Explain, Name, Tag};

use super::memory::{OPEN_MAX, parse};
use super::store::{ChangeError, StoreError, Table};
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

/// What one crossing needs.
struct Need<'a> {
    rows: u64,
    bytes: u64,
    people: &'a [Tag],
    unnamed: u64,
}

impl Need<'_> {
    fn of(&self, share: &mut Share) -> Result<Taken, Amount> {
        share.take(self.rows, self.bytes, self.people, self.unnamed)
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
        let need = Need { rows, bytes, people, unnamed };
        loop {
            let shared = self.share(grant)?;
            let mut held = lock(&shared.0);
            if held.over {
                // Settled between the look and the lock: the next look finds a new one.
                continue;
            }
            let taken = match need.of(&mut held.share) {
                Ok(taken) => taken,
                Err(_) => self.reserve(grant, most, &need, &mut held.share)?,
            };
            drop(held);
            return Ok(Ticket { held: shared, taken });
        }
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

    /// Reserves what is lacking, durably, and takes.
    fn reserve(
        &self,
        grant: &Name,
        most: &Amount,
        need: &Need<'_>,
        share: &mut Share,
    ) -> Result<Taken, TakeError> {
        let mut chunk = None;
        self.store.change(Table::Budgets, grant.as_str(), &mut |row| {
            let mut all = row.map_or(Ok(Reserved::default()), |row| parse("budget", &row.bytes))?;
            // People are counted at once and for good: a chunk of them would be lost in a crash, and a grant for one
            // person with it.
            all.count(most, need.people)?;
            share.learn(&all);
            if let Err(lacks) = need.of(&mut share.clone()) {
                chunk = Some(all.reserve(most, &lacks)?);
            }
            serde_json::to_vec(&all).map(Some).map_err(|_| ChangeError::Form("budget"))
        })?;
        if let Some(chunk) = chunk {
            share.add(&chunk);
        }
        need.of(share).map_err(|_| TakeError::Store(StoreError::Change(ChangeError::Form("budget"))))
    }

    /// Gives back what did not cross. After [`Control::settle`] it stays spent.
    pub fn give_back(&self, ticket: Ticket) {
        let mut held = lock(&ticket.held.0);
        if !held.over {
            held.share.give_back(&ticket.taken);
        }
    }

    /// At a clean stop: what was reserved and not taken goes back, and everybody who was counted is stored.
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
            if rest.is_empty() {
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
