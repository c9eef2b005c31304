//! Who may what, as it is now: actors from signed notes; requests, incidents and ended sessions from the store.
//!
//! The store is followed ([`Control::refresh`]) and answers come from memory. Evidence is given only while the memory
//! is fresh: a process that cannot reach the store gives none after [`LEASE_MS`], so that what was revoked elsewhere
//! does not serve here. What is done to a row is recorded before the row changes. Start reading at [`store`] for how
//! rows are kept, at `requests` for what is done to them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use access::{Actor, Case, Grant, Request, TextError};
use ledger::note::Verifier;
use model::{ActorId, Explain, Name, UnixSeconds};
use tokio::sync::watch;

mod budgets;
mod guards;
mod incidents;
mod memory;
mod names;
mod notes;
mod privacy;
mod prune;
mod requests;
mod rulebook;
pub mod store;

pub use budgets::{TakeError, Ticket};
pub use incidents::Incident;
pub use memory::{OPEN_MAX, REQUESTS_MAX};
pub use notes::{Notes, write};
pub use privacy::{Charged, Exhausted, Paid, Prepaid, Spend, SpendError, Tally};
pub use prune::{Keep, Pruned, Pruning, STEP_MAX};
pub use requests::Record;
pub use store::{ChangeError, Store, StoreError};

use budgets::Shares;
use memory::Memory;
use store::{PAGE_MAX, Row, Table};

/// For how many milliseconds after the store was read evidence is given.
pub const LEASE_MS: u64 = 10_000;

/// Milliseconds of a clock that never goes back.
pub type Clock = Box<dyn Fn() -> u64 + Send + Sync>;

/// Why something in the control store does not count.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// There is no such thing.
    #[error("no such {0} is on record")]
    Missing(&'static str),
    /// The file cannot be used.
    #[error("a file of the control store refuses")]
    Io(#[source] std::io::Error),
    /// The signature is missing or another's.
    #[error("a {0} is not signed by the operator")]
    Unsigned(&'static str),
    /// The text is not what was asked for.
    #[error("a {0} cannot be read")]
    Text(&'static str, #[source] TextError),
    /// The file speaks of another name.
    #[error("a {0} stands under another name")]
    OtherName(&'static str),
    /// It does not serve, or not any more.
    #[error("the {0} does not serve now")]
    Over(&'static str),
    /// The store was not reached for too long.
    #[error("the control store was not read for more than {} s: no evidence is given", LEASE_MS / 1000)]
    Stale,
    /// The store did not do it.
    #[error("the control store did not do it")]
    Store(#[from] StoreError),
}

impl Explain for ControlError {
    fn code(&self) -> &'static str {
        match self {
            Self::Stale => "CLV-0404",
            Self::Store(e) => e.code(),
            _ => "CLV-0401",
        }
    }
    fn fix(&self) -> &'static str {
        match self {
            Self::Stale => "bring the control store back; evidence is given again within a second",
            Self::Store(e) => e.fix(),
            Self::Missing("actor")
            | Self::Io(_)
            | Self::Unsigned(_)
            | Self::Text(..)
            | Self::OtherName(_) => "issue it again with `clover actor`",
            _ => "ask for access: grants and cases come of requests that were approved",
        }
    }
    fn public(&self) -> &'static str {
        match self {
            Self::Stale => "the request cannot be answered now",
            Self::Store(e) => e.public(),
            _ => "what the request refers to is not on record",
        }
    }
}

/// The control store of one process.
pub struct Control {
    notes: Notes,
    store: Arc<dyn Store>,
    clock: Clock,
    memory: RwLock<Memory>,
    /// Held while the store is followed.
    following: Mutex<()>,
    shares: Shares,
    ended: watch::Sender<u64>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Control {
    /// Uses a folder whose notes are signed by this key, and a store. It knows nothing before the first
    /// [`Control::refresh`].
    #[must_use]
    pub fn new(folder: &Path, operator: Verifier, store: Arc<dyn Store>, clock: Clock) -> Self {
        Self {
            notes: Notes::new(folder, operator),
            store,
            clock,
            memory: RwLock::default(),
            following: Mutex::default(),
            shares: Mutex::new(HashMap::new()),
            ended: watch::Sender::new(0),
        }
    }

    /// What is on record about an actor.
    ///
    /// # Errors
    /// [`ControlError`] when nothing is that counts.
    pub fn actor(&self, id: &ActorId, now: UnixSeconds) -> Result<Arc<Actor>, ControlError> {
        self.notes.actor(id, now)
    }

    /// A request, as of the last refresh. It may be old: decide nothing by it.
    ///
    /// # Errors
    /// [`ControlError::Missing`].
    pub fn request(&self, id: &Name) -> Result<Arc<Request>, ControlError> {
        self.known().request(id).ok_or(ControlError::Missing("request"))
    }

    /// All requests that are remembered, as of the last refresh: whatever is open, and at most [`REQUESTS_MAX`].
    #[must_use]
    pub fn requests(&self) -> Vec<Arc<Request>> {
        self.known().requests().collect()
    }

    /// A grant that serves now. A break-glass grant serves only while its incident is open.
    ///
    /// # Errors
    /// [`ControlError::Stale`] when the store was not read for too long; [`ControlError::Missing`],
    /// [`ControlError::Over`].
    pub fn grant(&self, id: &Name, now: UnixSeconds) -> Result<Arc<Grant>, ControlError> {
        let memory = self.fresh()?;
        let grant = memory.grant(id).ok_or(ControlError::Missing("grant"))?;
        let open = grant.incident.as_ref().is_none_or(|incident| memory.incident_open(incident));
        if open && now < grant.not_after { Ok(grant) } else { Err(ControlError::Over("grant")) }
    }

    /// A case that serves now.
    ///
    /// # Errors
    /// As with [`Control::grant`].
    pub fn case(&self, id: &Name, now: UnixSeconds) -> Result<Arc<Case>, ControlError> {
        let case = self.fresh()?.case(id).ok_or(ControlError::Missing("case"))?;
        if now < case.not_after { Ok(case) } else { Err(ControlError::Over("case")) }
    }

    /// Follows the store. To be called every 250 ms. Returns whether anything that was in force has ended.
    ///
    /// # Errors
    /// [`StoreError`]; what was remembered serves until its lease is over.
    pub fn refresh(&self, now: UnixSeconds) -> Result<bool, StoreError> {
        let _following = lock(&self.following);
        // INVARIANT: read before the store is, so that the memory is never younger than it says.
        let at = (self.clock)();
        let (mut after, mut ended) = (self.known().after(), false);
        loop {
            let page = self.store.changes(after, PAGE_MAX)?;
            let mut memory = self.memory();
            for changed in &page {
                ended |= memory.learn(changed.table, &changed.key, &changed.row)?;
                after = changed.sequence;
            }
            memory.followed(after);
            if page.len() < PAGE_MAX {
                break;
            }
        }
        let mut memory = self.memory();
        let over = memory.pass(now);
        memory.fresh(at);
        drop(memory);
        self.forget_shares(&over);
        Ok(self.tell(ended || !over.is_empty()))
    }

    /// How many milliseconds ago the store was read, if it was. Evidence is given up to [`LEASE_MS`].
    #[must_use]
    pub fn read_ms_ago(&self) -> Option<u64> {
        let read = self.known().read_at()?;
        Some((self.clock)().saturating_sub(read))
    }

    /// Counts up whenever something that was in force has ended: a grant or case was revoked or is over, an incident
    /// was closed, a session was ended. Whoever holds a connection looks again then.
    #[must_use]
    pub fn ended(&self) -> watch::Receiver<u64> {
        self.ended.subscribe()
    }

    /// Whether evidence is given: the store was read not long ago.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.fresh().is_ok()
    }

    fn tell(&self, ended: bool) -> bool {
        if ended {
            self.ended.send_modify(|n| *n += 1);
        }
        ended
    }

    /// Learns of a change of our own, which the next refresh finds again.
    fn learn(&self, table: Table, key: &str, row: Option<&Row>) -> Result<(), StoreError> {
        let Some(row) = row else { return Ok(()) };
        let ended = self.memory().learn(table, key, row)?;
        self.tell(ended);
        Ok(())
    }

    fn known(&self) -> RwLockReadGuard<'_, Memory> {
        self.memory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn memory(&self) -> RwLockWriteGuard<'_, Memory> {
        self.memory.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The memory, if it is young enough for evidence.
    fn fresh(&self) -> Result<RwLockReadGuard<'_, Memory>, ControlError> {
        let memory = self.known();
        let read = memory.read_at().ok_or(ControlError::Stale)?;
        if (self.clock)().saturating_sub(read) <= LEASE_MS { Ok(memory) } else { Err(ControlError::Stale) }
    }
}
