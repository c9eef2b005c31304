//! Incidents: what went wrong, who caused it, and a clock that nobody can stop (`docs/formats/incident.md`).
//!
//! An incident is a chain of signed actions, each a C2SP note. The rules stand in `book.rs` and are applied
//! alike when an action is written and whenever the chain is read: an action that should not have been
//! possible makes the incident *damaged*, and a damaged incident is never closed.
//!
//! Start reading at [`Incidents`] (this file), then `action.rs` (the text that is signed), `book.rs` (what may
//! follow what), `clock.rs` (which time counts) and `parties.rs` (who is who).

mod action;
mod book;
mod clock;
pub(crate) mod disk;
mod parties;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use self::{
    action::{Action, Body, id_is_good, text_is_good},
    book::Rejected,
};
pub use self::{
    action::{ActionKind, Opening, Reference, Severity},
    book::{ActionLine, Incident, State},
    clock::Clock,
    parties::{Parties, PartiesError, Party},
};
use crate::{cosign::SigningKey, hash::sha256, tree::hex_of};

/// The file of an incident's actions.
const ACTIONS: &str = "actions.ndjson";
const CLOCK: &str = "clock.json";
const LOCK: &str = "lock";
const DRAFTS: &str = "tmp";
/// No incident comes near it.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// More actions than people take; what a loop would write.
const ACTIONS_MAX: usize = 10_000;

/// Why something could not be done to an incident. Nothing was written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IncidentError {
    /// The folder or a file in it cannot be used.
    #[error("cannot use `{}`", path.display())]
    Io {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is none of that id.
    #[error("there is no incident `{0}`")]
    Unknown(String),
    /// There is one of that id already.
    #[error("there is an incident `{0}` already")]
    Exists(String),
    /// A text, an id or a reference is not of the form that the page says.
    #[error("{0}")]
    Form(&'static str),
    /// The key belongs to nobody in the list of parties.
    #[error("the key `{0}` belongs to no party")]
    Stranger(String),
    /// Nobody in the list answers for the cause.
    #[error("no party answers for the cause `{0}`")]
    Cause(String),
    /// The rules of incidents forbid it.
    #[error("refused: {0}")]
    Refused(String),
    /// The chain was tampered with or cut.
    #[error("the incident `{id}` is damaged: {why}")]
    Damaged {
        /// Which one.
        id: String,
        /// What is wrong.
        why: String,
    },
}

/// The incidents of a folder.
pub struct Incidents {
    folder: PathBuf,
    parties: Parties,
}

/// One line of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    sequence: u64,
    action: ActionKind,
    party: String,
    /// Unix seconds.
    time: u64,
    note: String,
}

impl Incidents {
    /// Uses `<folder>/incidents`, which is made if it is not there.
    ///
    /// # Errors
    /// If the folder cannot be made.
    pub fn at(folder: &Path, parties: Parties) -> Result<Self, IncidentError> {
        let folder = folder.join("incidents");
        let drafts = folder.join(DRAFTS);
        fs::create_dir_all(&drafts).map_err(|source| IncidentError::Io { path: drafts, source })?;
        Ok(Self { folder, parties })
    }

    /// Reads `<folder>/incidents`, and makes and writes nothing; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be looked at.
    pub(crate) fn reading(folder: &Path, parties: Parties) -> Result<Option<Self>, IncidentError> {
        let own = folder.join("incidents");
        let there = own.try_exists().map_err(|source| IncidentError::Io { path: own.clone(), source })?;
        Ok(there.then_some(Self { folder: own, parties }))
    }

    /// The time that counts, as [`Incidents::clock`] says, which keeps nothing.
    pub(crate) fn clock_seen(&self, wall: u64, ledger: Option<u64>) -> Clock {
        let saved = disk::read(&self.folder.join(CLOCK), FILE_BYTES_MAX).ok();
        let saved = saved.and_then(|bytes| serde_json::from_slice::<Clock>(&bytes).ok()).unwrap_or_default();
        saved.max(Clock { wall, ledger: ledger.unwrap_or(0), running: 0 })
    }

    /// Who may act.
    #[must_use]
    pub fn parties(&self) -> &Parties {
        &self.parties
    }

    /// The time that counts: the greatest ever seen of each of three clocks, kept from now on.
    ///
    /// `wall` is the machine's clock and `ledger` the newest time in the mirror, both in Unix seconds; `ran`
    /// are the seconds that a steady clock counted since the last call.
    ///
    /// # Errors
    /// If what was seen cannot be kept.
    pub fn clock(&self, wall: u64, ledger: Option<u64>, ran: u64) -> Result<Clock, IncidentError> {
        let _lock = self.lock()?;
        let path = self.folder.join(CLOCK);
        let saved = match fs::read(&path) {
            // Without the file the other two clocks still count, and every action holds the clock of its time.
            Ok(bytes) => serde_json::from_slice::<Clock>(&bytes).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Clock::default(),
            Err(source) => return Err(IncidentError::Io { path, source }),
        };
        // Not from the actions of others: who signs one with a time far ahead would hold every clock.
        let running = saved.running.saturating_add(ran);
        let now = saved.max(Clock { wall, ledger: ledger.unwrap_or(0), running });
        if now != saved {
            let bytes = serde_json::to_vec(&now).map_err(|error| self.failed(&path, error.into()))?;
            self.replace(&path, &bytes)?;
        }
        Ok(now)
    }

    /// All incidents, by id.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Incident>, IncidentError> {
        let failed = |source| self.failed(&self.folder, source);
        let mut ids = BTreeSet::new();
        for item in fs::read_dir(&self.folder).map_err(failed)? {
            let item = item.map_err(failed)?;
            let name = item.file_name().to_string_lossy().into_owned();
            if item.path().join(ACTIONS).exists() && id_is_good(&name) {
                ids.insert(name);
            }
        }
        ids.iter().map(|id| self.find(id)).collect()
    }

    /// One incident.
    ///
    /// # Errors
    /// If there is none, or it cannot be read.
    pub fn find(&self, id: &str) -> Result<Incident, IncidentError> {
        if !id_is_good(id) {
            return Err(IncidentError::Unknown(id.to_owned()));
        }
        let path = self.path(id);
        let bytes = match disk::read(&path, FILE_BYTES_MAX) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(IncidentError::Unknown(id.to_owned()));
            }
            Err(source) => return Err(IncidentError::Io { path, source }),
        };
        Ok(self.replay(id, &bytes))
    }

    /// Opens an incident; its clock runs from `now` on.
    ///
    /// # Errors
    /// If there is one of that id, nobody answers for its cause, or it cannot be written.
    pub fn open(
        &self,
        id: &str,
        opening: &Opening,
        key: &SigningKey,
        now: Clock,
    ) -> Result<Incident, IncidentError> {
        if !id_is_good(id) || id == DRAFTS || id == LOCK {
            return Err(IncidentError::Form("an id has 1 to 64 of the characters a-z, 0-9 and `-`"));
        }
        opening.check().map_err(IncidentError::Form)?;
        if self.parties.answering(&opening.cause).is_empty() {
            return Err(IncidentError::Cause(opening.cause.clone()));
        }
        let _lock = self.lock()?;
        if self.path(id).exists() {
            return Err(IncidentError::Exists(id.to_owned()));
        }
        self.append(id, None, Body::Open(opening.clone()), key, now)
    }

    /// Escalates, closes or re-opens an incident, for the reason in `text`.
    ///
    /// # Errors
    /// If the rules forbid it, or it cannot be written.
    pub fn act(
        &self,
        id: &str,
        kind: ActionKind,
        text: &str,
        key: &SigningKey,
        now: Clock,
    ) -> Result<Incident, IncidentError> {
        if !text_is_good(text) {
            return Err(IncidentError::Form("a reason is one line of 1 to 2000 bytes"));
        }
        let body = match kind {
            ActionKind::Open => return Err(IncidentError::Form("an incident is opened once")),
            ActionKind::Escalate => Body::Escalate { by_clock: false, text: text.to_owned() },
            ActionKind::Close => Body::Close { text: text.to_owned() },
            ActionKind::Reopen => Body::Reopen { text: text.to_owned() },
        };
        let _lock = self.lock()?;
        let found = self.find(id)?;
        self.append(id, Some(found), body, key, now)
    }

    /// Escalates every open incident whose time is over, and returns those.
    ///
    /// # Errors
    /// If one cannot be read or written. The others are escalated at the next call.
    pub fn escalate_due(&self, key: &SigningKey, now: Clock) -> Result<Vec<Incident>, IncidentError> {
        let _lock = self.lock()?;
        let due = self.list()?.into_iter().filter(|found| found.damaged.is_none() && found.is_due(now));
        due.map(|found| {
            let text = format!("{} s are over and it is not closed", found.opening.clock_seconds);
            let id = found.id.clone();
            self.append(&id, Some(found), Body::Escalate { by_clock: true, text }, key, now)
        })
        .collect()
    }

    fn append(
        &self,
        id: &str,
        found: Option<Incident>,
        body: Body,
        key: &SigningKey,
        now: Clock,
    ) -> Result<Incident, IncidentError> {
        let party = self.parties.of_key(&key.vkey()).ok_or(IncidentError::Stranger(key.name().to_owned()))?;
        if let Some(Incident { damaged: Some(why), .. }) = &found {
            return Err(IncidentError::Damaged { id: id.to_owned(), why: why.clone() });
        }
        let path = self.path(id);
        let mut bytes = match &found {
            Some(_) => disk::read(&path, FILE_BYTES_MAX).map_err(|source| self.failed(&path, source))?,
            None => Vec::new(),
        };
        let seen = found.as_ref().map(Incident::clock).unwrap_or_default();
        let action = Action {
            id: id.to_owned(),
            sequence: found.as_ref().map_or(0, |found| found.actions.len() as u64),
            previous: found.as_ref().map_or([0; 32], |found| found.head),
            clock: now.max(seen),
            body,
        };
        book::allowed(found.as_ref(), &action, party, &self.parties).map_err(refused)?;
        let text = action.text();
        let note = format!("{text}\n{}", key.line(&text, action.clock.wall));
        let line = Line {
            sequence: action.sequence,
            action: action.body.kind(),
            party: party.name.clone(),
            time: action.clock.wall,
            note,
        };
        let json = serde_json::to_string(&line).map_err(|error| self.failed(&path, error.into()))?;
        bytes.extend_from_slice(json.as_bytes());
        bytes.push(b'\n');
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|source| self.failed(parent, source))?;
        }
        self.replace(&path, &bytes)?;
        let written = self.replay(id, &bytes);
        match &written.damaged {
            None => Ok(written),
            Some(why) => Err(IncidentError::Damaged { id: id.to_owned(), why: why.clone() }),
        }
    }

    /// Reads the chain from its beginning, and stops at the first action that is not right.
    fn replay(&self, id: &str, bytes: &[u8]) -> Incident {
        let mut found: Option<Incident> = None;
        let mut why = None;
        let whole = bytes.is_empty() || bytes.ends_with(b"\n");
        for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            if line.is_empty() && number > 0 {
                continue;
            }
            if number >= ACTIONS_MAX {
                why = Some("it has too many actions".to_owned());
                break;
            }
            match self.step(id, found.as_ref(), line) {
                Ok(next) => found = Some(next),
                Err(error) => {
                    why = Some(format!("line {}: {error}", number + 1));
                    break;
                }
            }
        }
        let mut found = found.unwrap_or_else(|| Incident::nothing(id));
        found.damaged = why.or_else(|| (!whole).then(|| "its last line has no end".to_owned()));
        found
    }

    fn step(&self, id: &str, found: Option<&Incident>, line: &[u8]) -> Result<Incident, String> {
        let line: Line =
            serde_json::from_slice(line).map_err(|_| "it is no line of an incident".to_owned())?;
        let note = line.note.as_bytes();
        let (party, text) = self.parties.signer(note).ok_or("no party has signed it")?;
        let action = Action::parse(text)?;
        let agrees = line.sequence == action.sequence
            && line.action == action.body.kind()
            && line.party == party.name
            && line.time == action.clock.wall;
        if !agrees {
            return Err("the line and its note differ".into());
        }
        if action.id != id {
            return Err("it is of another incident".into());
        }
        book::allowed(found, &action, party, &self.parties).map_err(|error| error.to_string())?;
        Ok(book::after(found, action, party, sha256(note)))
    }

    fn path(&self, id: &str) -> PathBuf {
        self.folder.join(id).join(ACTIONS)
    }

    fn lock(&self) -> Result<File, IncidentError> {
        let path = self.folder.join(LOCK);
        let failed = |source| self.failed(&path, source);
        // Held until it is dropped: two processes never write one incident at once.
        let file = File::create(&path).map_err(failed)?;
        file.lock().map_err(failed)?;
        Ok(file)
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> Result<(), IncidentError> {
        disk::replace(&self.folder.join(DRAFTS), path, bytes).map_err(|source| self.failed(path, source))
    }

    fn failed(&self, path: &Path, source: io::Error) -> IncidentError {
        IncidentError::Io { path: path.to_owned(), source }
    }
}

/// An id for an incident that a rule opens: the same for the same rule, thing and time.
pub(crate) fn id_of(rule: &str, about: &str, now: Clock) -> String {
    let text = format!("clover incident\n{rule}\n{about}\n{} {} {}", now.wall, now.ledger, now.running);
    hex_of(&sha256(text.as_bytes())).chars().take(16).collect()
}

fn refused(why: Rejected) -> IncidentError {
    IncidentError::Refused(why.to_string())
}

/// Whether a text is an action, whoever signed it.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn reads_action(text: &str) -> bool {
    Action::parse(text).is_ok()
}
