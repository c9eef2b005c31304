//! What one process knows of the store: enough to give evidence without asking it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use access::{Case, Grant, Request, State};
use model::{Digest, Name, UnixSeconds};
use serde::de::DeserializeOwned;

use super::incidents::{Incident, Sessions};
use super::rulebook::Active;
use super::store::{ChangeError, Row, StoreError, Table, removed};

/// Most requests that are remembered; of those that are over, the oldest go.
pub const REQUESTS_MAX: usize = 50_000;
/// Most requests that wait or serve at a time: more are not asked for.
pub const OPEN_MAX: usize = 10_000;
/// Most incidents, and most ended sessions, that are remembered.
const MARKS_MAX: usize = 1_000_000;

struct Known {
    version: u64,
    request: Arc<Request>,
    grant: Option<Arc<Grant>>,
    case: Option<Arc<Case>>,
}

impl Known {
    fn new(version: u64, request: Request) -> Self {
        let (grant, case) = (request.grant().map(Arc::new), request.case().map(Arc::new));
        Self { version, request: Arc::new(request), grant, case }
    }

    /// Until when it is in force.
    fn until(&self) -> Option<UnixSeconds> {
        let grant = self.grant.as_ref().map(|g| g.not_after);
        grant.or_else(|| self.case.as_ref().map(|c| c.not_after))
    }

    fn waits(&self) -> bool {
        matches!(self.request.state, State::Waiting { .. })
    }
}

/// The rows that matter, by their newest version.
#[derive(Default)]
pub(super) struct Memory {
    after: u64,
    read_at: Option<u64>,
    requests: HashMap<Name, Known>,
    /// Of all requests, by when they were asked for: the oldest are forgotten first.
    ages: BTreeSet<(UnixSeconds, Name)>,
    waiting: BTreeSet<Name>,
    /// What is in force, by its end.
    in_force: BTreeSet<(UnixSeconds, Name)>,
    /// What was in force and is not any more, until somebody takes note.
    over: Vec<Name>,
    incidents: HashMap<Name, (u64, Incident)>,
    buckets: HashMap<String, u64>,
    sessions: HashMap<String, UnixSeconds>,
    rulebook: Option<(u64, Digest)>,
}

pub(super) fn parse<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, ChangeError> {
    serde_json::from_slice(bytes).map_err(|_| ChangeError::Form(what))
}

impl Memory {
    /// Learns a row, unless a newer one is known. Returns whether something in force ended.
    pub(super) fn learn(&mut self, table: Table, key: &str, row: &Row) -> Result<bool, StoreError> {
        match table {
            Table::Requests => self.learn_request(key, row),
            Table::Incidents => self.learn_incident(key, row),
            Table::Sessions => self.learn_sessions(key, row),
            Table::Rulebook => self.learn_rulebook(row),
            Table::Removed => {
                for row in removed(&row.bytes)? {
                    self.unlearn(row.table, &row.key);
                }
                Ok(false)
            }
            Table::Budgets | Table::People | Table::Names | Table::Spent | Table::Answers | Table::Guards => {
                Ok(false)
            }
        }
    }

    /// Forgets a row that was removed.
    pub(super) fn unlearn(&mut self, table: Table, key: &str) {
        match (table, Name::parse(key)) {
            (Table::Requests, Ok(id)) => {
                let Some(known) = self.requests.remove(&id) else { return };
                self.ages.remove(&(known.request.asked_at(), id.clone()));
                self.waiting.remove(&id);
                if known.until().is_some_and(|end| self.in_force.remove(&(end, id.clone()))) {
                    self.over.push(id);
                }
            }
            (Table::Incidents, Ok(id)) => drop(self.incidents.remove(&id)),
            (Table::Sessions, _) => drop(self.buckets.remove(key)),
            _ => {}
        }
    }

    fn learn_request(&mut self, key: &str, row: &Row) -> Result<bool, StoreError> {
        let request: Request = parse("request", &row.bytes)?;
        if request.id.as_str() != key {
            return Err(ChangeError::Form("request").into());
        }
        let id = request.id.clone();
        if self.requests.get(&id).is_some_and(|known| known.version >= row.version) {
            return Ok(false);
        }
        let known = Known::new(row.version, request);
        self.ages.insert((known.request.asked_at(), id.clone()));
        if known.waits() {
            self.waiting.insert(id.clone());
        } else {
            self.waiting.remove(&id);
        }
        let until = known.until();
        let before = self.requests.insert(id.clone(), known).and_then(|old| old.until());
        // What had passed already was told then.
        let was = before.is_some_and(|end| self.in_force.remove(&(end, id.clone())));
        let ended = was && until.is_none();
        match until {
            Some(end) => {
                self.in_force.insert((end, id));
            }
            None if ended => self.over.push(id),
            None => {}
        }
        self.forget();
        Ok(ended)
    }

    fn learn_rulebook(&mut self, row: &Row) -> Result<bool, StoreError> {
        let active: Active = parse("rulebook", &row.bytes)?;
        let digest = active.digest().ok_or(ChangeError::Form("rulebook"))?;
        if self.rulebook.as_ref().is_none_or(|(version, _)| *version < row.version) {
            self.rulebook = Some((row.version, digest));
        }
        Ok(false)
    }

    fn forget(&mut self) {
        while self.requests.len() > REQUESTS_MAX {
            let oldest = self.ages.iter().find(|(_, id)| !self.is_open(id)).cloned();
            let Some(oldest) = oldest else { return };
            self.requests.remove(&oldest.1);
            self.ages.remove(&oldest);
        }
    }

    fn is_open(&self, id: &Name) -> bool {
        let known = self.requests.get(id);
        // What broke the glass and was not looked at is not over: its incident is kept for it.
        let unreviewed = known.is_some_and(|known| known.request.glass_unreviewed());
        let end = known.and_then(Known::until);
        unreviewed
            || self.waiting.contains(id)
            || end.is_some_and(|end| self.in_force.contains(&(end, id.clone())))
    }

    fn learn_incident(&mut self, key: &str, row: &Row) -> Result<bool, StoreError> {
        let incident: Incident = parse("incident", &row.bytes)?;
        if incident.id.as_str() != key {
            return Err(ChangeError::Form("incident").into());
        }
        let known = self.incidents.get(&incident.id);
        if known.is_some_and(|(version, _)| *version >= row.version) {
            return Ok(false);
        }
        let closed = known.is_some_and(|(_, i)| i.closed_at.is_none()) && incident.closed_at.is_some();
        if self.incidents.len() >= MARKS_MAX {
            return Err(StoreError::Full);
        }
        self.incidents.insert(incident.id.clone(), (row.version, incident));
        Ok(closed)
    }

    fn learn_sessions(&mut self, key: &str, row: &Row) -> Result<bool, StoreError> {
        let bucket: Sessions = parse("list of ended sessions", &row.bytes)?;
        if self.buckets.get(key).is_some_and(|version| *version >= row.version) {
            return Ok(false);
        }
        self.buckets.insert(key.to_owned(), row.version);
        let before = self.sessions.len();
        if before + bucket.len() > MARKS_MAX {
            return Err(StoreError::Full);
        }
        self.sessions.extend(bucket);
        Ok(self.sessions.len() > before)
    }

    /// Lets time pass. Returns what was in force and is over since the last call.
    pub(super) fn pass(&mut self, now: UnixSeconds) -> Vec<Name> {
        while let Some((end, _)) = self.in_force.first()
            && *end <= now
        {
            self.over.extend(self.in_force.pop_first().map(|(_, id)| id));
        }
        self.sessions.retain(|_, until| *until > now);
        std::mem::take(&mut self.over)
    }

    pub(super) const fn after(&self) -> u64 {
        self.after
    }

    pub(super) const fn followed(&mut self, after: u64) {
        self.after = after;
    }

    /// By which clock the store was read last.
    pub(super) const fn read_at(&self) -> Option<u64> {
        self.read_at
    }

    pub(super) const fn fresh(&mut self, at: u64) {
        self.read_at = Some(at);
    }

    pub(super) fn request(&self, id: &Name) -> Option<Arc<Request>> {
        self.requests.get(id).map(|known| Arc::clone(&known.request))
    }

    pub(super) fn requests(&self) -> impl Iterator<Item = Arc<Request>> {
        self.requests.values().map(|known| Arc::clone(&known.request))
    }

    /// Requests whose step waits.
    pub(super) fn waiting(&self) -> impl Iterator<Item = Arc<Request>> {
        self.waiting.iter().filter_map(|id| self.request(id))
    }

    /// How many wait or serve.
    pub(super) fn open(&self) -> usize {
        self.waiting.len() + self.in_force.len()
    }

    pub(super) fn grant(&self, id: &Name) -> Option<Arc<Grant>> {
        self.requests.get(id)?.grant.clone()
    }

    pub(super) fn case(&self, id: &Name) -> Option<Arc<Case>> {
        self.requests.get(id)?.case.clone()
    }

    pub(super) fn incident_open(&self, id: &Name) -> bool {
        self.incidents.get(id).is_some_and(|(_, i)| i.closed_at.is_none())
    }

    pub(super) fn incidents(&self) -> Vec<Incident> {
        self.incidents.values().map(|(_, i)| i.clone()).collect()
    }

    pub(super) fn rulebook(&self) -> Option<Digest> {
        self.rulebook.map(|(_, digest)| digest)
    }

    /// Whether a session was ended. One that is over by itself is not remembered.
    pub(super) fn session_ended(&self, id: &str) -> bool {
        self.sessions.contains_key(id)
    }
}
