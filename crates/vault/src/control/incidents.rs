//! Incidents, without which no glass is broken, and sessions that were ended before their time.

use std::collections::BTreeMap;

use model::{ActorId, Name, UnixSeconds};
use serde::{Deserialize, Serialize};

use super::memory::parse;
use super::store::{ChangeError, StoreError, Table};
use super::{Control, ControlError};

/// Ended sessions lie together by the hour in which they would have been over.
pub(super) const BUCKET_SECONDS: u64 = 3600;
/// Longest id of a session.
const SESSION_MAX: usize = 128;

/// Something that went wrong, for as long as it may need break-glass grants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incident {
    /// Its name.
    pub id: Name,
    /// Since when.
    pub opened_at: UnixSeconds,
    /// By whom.
    pub opened_by: ActorId,
    /// Until when; open without it. What is closed is not opened again.
    pub closed_at: Option<UnixSeconds>,
}

/// Sessions of one bucket, and when they would have been over.
pub(super) type Sessions = BTreeMap<String, UnixSeconds>;

/// Records what happened to an incident, durably, before it counts.
type Record<'a> = &'a mut dyn FnMut(&Incident) -> Result<(), ChangeError>;

fn encode(what: &'static str, value: &impl Serialize) -> Result<Vec<u8>, ChangeError> {
    serde_json::to_vec(value).map_err(|_| ChangeError::Form(what))
}

impl Control {
    /// Opens an incident.
    ///
    /// # Errors
    /// [`StoreError::Change`] when its name is taken or it could not be recorded.
    pub fn open_incident(
        &self,
        id: &Name,
        by: &ActorId,
        now: UnixSeconds,
        record: Record<'_>,
    ) -> Result<(), StoreError> {
        self.put_new(Table::Incidents, id.as_str(), "incident", &mut || {
            let (id, opened_by) = (id.clone(), by.clone());
            let incident = Incident { id, opened_at: now, opened_by, closed_at: None };
            let bytes = encode("incident", &incident)?;
            record(&incident)?;
            Ok(bytes)
        })
    }

    /// Closes an incident: break-glass grants under it serve no longer.
    ///
    /// # Errors
    /// [`StoreError::Change`] when there is none, it is closed, or it could not be recorded.
    pub fn close_incident(&self, id: &Name, now: UnixSeconds, record: Record<'_>) -> Result<(), StoreError> {
        let row = self.store.change(Table::Incidents, id.as_str(), &mut |row| {
            let row = row.ok_or(ChangeError::Missing("incident"))?;
            let mut incident: Incident = parse("incident", &row.bytes)?;
            if incident.closed_at.is_some() {
                return Err(ChangeError::Over("incident"));
            }
            incident.closed_at = Some(now);
            let bytes = encode("incident", &incident)?;
            record(&incident)?;
            Ok(Some(bytes))
        })?;
        self.learn(Table::Incidents, id.as_str(), row.as_ref())
    }

    /// Whether an incident is open. Unknown is closed, and so is everything when the store was not read for too long.
    #[must_use]
    pub fn incident_open(&self, id: &Name) -> bool {
        self.fresh().is_ok_and(|memory| memory.incident_open(id))
    }

    /// All incidents, as of the last refresh.
    #[must_use]
    pub fn incidents(&self) -> Vec<Incident> {
        self.known().incidents()
    }

    /// Ends a session before its time, everywhere. `until` is when it would have been over.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn end_session(&self, id: &str, until: UnixSeconds) -> Result<(), StoreError> {
        if id.len() > SESSION_MAX {
            return Err(StoreError::Large(id.len()));
        }
        let key = (until.0 / BUCKET_SECONDS).to_string();
        let what = "list of ended sessions";
        let row = self.store.change(Table::Sessions, &key, &mut |row| {
            let mut bucket: Sessions = row.map_or(Ok(Sessions::new()), |row| parse(what, &row.bytes))?;
            if bucket.insert(id.to_owned(), until).is_some() {
                return Ok(None);
            }
            encode(what, &bucket).map(Some)
        })?;
        self.learn(Table::Sessions, &key, row.as_ref())
    }

    /// Whether a session was ended before its time.
    ///
    /// # Errors
    /// [`ControlError::Stale`] when the store was not read for too long: nobody can say.
    pub fn session_ended(&self, id: &str) -> Result<bool, ControlError> {
        Ok(self.fresh()?.session_ended(id))
    }
}
