//! Changes of records and of what is known of a person, each under a version.

use model::UnixSeconds;

use super::engine::{At, Edit, Expect, Table, To};
use super::row::{self, LISTED_MAX};
use super::{About, Home, Person, RECORD_MAX, RecordError, RecordId, Records};
use crate::keys::PersonKeys;

/// Most records that are changed together.
pub const WRITES_MAX: usize = 256;
/// How often a change is tried again when somebody else was quicker and its preconditions may still hold.
const ATTEMPTS: usize = 8;

/// What must be there for a record to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition {
    /// No record.
    New,
    /// The record of this version.
    Version(u64),
    /// Either.
    Any,
}

/// One record that is written or removed.
#[derive(Clone, Copy)]
pub struct Write<'a> {
    /// In which collection.
    pub collection: &'a str,
    /// Under which id.
    pub id: &'a RecordId,
    /// Under which condition.
    pub expect: Precondition,
    /// The record; `None` removes it.
    pub json: Option<&'a [u8]>,
}

impl Records {
    /// Writes records of one person, durably, all or none. Returns their new versions. A record that was removed and
    /// comes again goes on counting, so that no older version is taken for it.
    ///
    /// # Errors
    /// [`RecordError::Conflict`] when a precondition does not hold or the person is not as they were read;
    /// [`RecordError::TooLarge`]; [`RecordError::Held`] when one would be removed while there is a legal hold; what store and
    /// keys say.
    pub fn change(
        &self,
        person: &Person,
        keys: &PersonKeys,
        now: UnixSeconds,
        writes: &[Write<'_>],
    ) -> Result<Vec<u64>, RecordError> {
        let too_long = |w: &Write<'_>| w.json.is_some_and(|json| json.len() > RECORD_MAX);
        if writes.len() > WRITES_MAX || writes.iter().any(too_long) {
            return Err(RecordError::TooLarge);
        }
        // A hold that comes meanwhile changes the person's cell, so that the change below does not hold.
        if writes.iter().any(|w| w.json.is_none()) && !self.about(keys, person)?.holds.is_empty() {
            return Err(RecordError::Held);
        }
        let at = |w: &Write<'_>| At {
            table: Table::Records,
            part: person.internal.to_vec(),
            key: row::record_key(w.collection, w.id),
        };
        let places: Vec<At> = writes.iter().map(at).collect();
        let all_new = writes.iter().all(|w| w.expect == Precondition::New);
        for attempt in 0..ATTEMPTS {
            // What is new was mostly never there: then it need not be looked for first.
            let cells =
                if all_new && attempt == 0 { vec![None; places.len()] } else { self.engine.get(&places)? };
            let mut edits = vec![person.unchanged(To::Kept)];
            let mut versions = Vec::with_capacity(writes.len());
            for ((write, at), cell) in writes.iter().zip(&places).zip(cells) {
                let there = cell.as_ref().filter(|c| !c.value.is_empty()).map(|c| c.version);
                let holds = match write.expect {
                    Precondition::New => there.is_none(),
                    Precondition::Version(version) => there == Some(version),
                    Precondition::Any => true,
                };
                if !holds {
                    return Err(RecordError::Conflict);
                }
                let expect = cell.map_or(Expect::Absent, |c| Expect::Version(c.version));
                let version = if let Expect::Version(v) = expect { v.saturating_add(1) } else { 1 };
                let sealed = match write.json {
                    Some(json) => row::seal_record(keys, (&person.internal, &at.key), (version, now), json)?,
                    None => Vec::new(),
                };
                versions.push(version);
                edits.push(Edit { at: at.clone(), expect, to: To::Put(sealed) });
            }
            match self.made(edits) {
                Ok(()) => return Ok(versions),
                Err(RecordError::Conflict) if self.is_as_read(person)? => {}
                Err(e) => return Err(e),
            }
        }
        Err(RecordError::Conflict)
    }

    fn is_as_read(&self, person: &Person) -> Result<bool, RecordError> {
        Ok(self.person(&person.subject)?.is_some_and(|p| p.version == person.version))
    }

    /// Writes where a person lives from a moment on, behind where they lived before.
    ///
    /// # Errors
    /// [`RecordError::Conflict`] when the person is not as they were read, or the home is not the newest.
    pub fn move_home(&self, person: &Person, keys: &PersonKeys, home: Home) -> Result<(), RecordError> {
        self.note(person, keys, |about| {
            if about.homes.last().is_some_and(|last| last.from >= home.from) {
                return Err(RecordError::Conflict);
            }
            about.homes.push(home);
            Ok(())
        })
    }

    /// Puts a legal hold on a person, by its reference: while there is one, nothing of them is erased.
    ///
    /// # Errors
    /// [`RecordError::Conflict`] when there is such a hold, or the person is not as they were read.
    pub fn hold(&self, person: &Person, keys: &PersonKeys, reference: &str) -> Result<(), RecordError> {
        self.note(person, keys, |about| {
            if about.holds.iter().any(|known| known == reference) {
                return Err(RecordError::Conflict);
            }
            about.holds.push(reference.to_owned());
            Ok(())
        })
    }

    /// Lifts a legal hold.
    ///
    /// # Errors
    /// [`RecordError::Conflict`] when there is no such hold, or the person is not as they were read.
    pub fn lift(&self, person: &Person, keys: &PersonKeys, reference: &str) -> Result<(), RecordError> {
        self.note(person, keys, |about| {
            let before = about.holds.len();
            about.holds.retain(|known| known != reference);
            if about.holds.len() == before { Err(RecordError::Conflict) } else { Ok(()) }
        })
    }

    fn note(
        &self,
        person: &Person,
        keys: &PersonKeys,
        edit: impl FnOnce(&mut About) -> Result<(), RecordError>,
    ) -> Result<(), RecordError> {
        let mut about = self.about(keys, person)?;
        edit(&mut about)?;
        if about.homes.len().max(about.holds.len()) > LISTED_MAX {
            return Err(RecordError::TooLarge);
        }
        let version = person.version.saturating_add(1);
        let sealed = row::seal_about(keys, person.place(version), &about)?;
        self.made(vec![person.unchanged(To::Put(sealed))])
    }
}
