//! Records of people, each sealed under its person's own key; on one machine, or in a PostgreSQL database.
//!
//! A person is there or not there, never half: records are written under a fresh internal id, and only the person's
//! cells, written last and durably, make them visible. What an interrupted import or erasure left is swept. The
//! associated data of a seal is where the bytes stand and which version they are, so a swapped or older ciphertext is
//! found. A person's wrapped key stands apart from their records and is destroyed by [`Records::erase`]; copies of it
//! end when the region's key is rotated (`docs/erasure.md`). Start reading at [`Records`], [`engine`] for what stores.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::{Explain, SubjectId, Tag, UnixSeconds};

use self::committer::Committer;
use self::engine::{At, Cell, Edit, Engine, EngineError, Expect, Table, To};
use self::near::Near;
use crate::disk::Folder;
use crate::keys::{self, KeyError, KeyService, PersonKeys};
use crate::log::{Database as Server, TagIndex};
use crate::tags::Tags;

mod arrival;
mod change;
mod committer;
mod embedded;
pub mod engine;
mod erase;
mod expire;
mod near;
mod postgres;
mod read;
mod renew;
mod row;
mod statement;

pub use arrival::{Arrival, Arrived, Coming};
pub use change::{Precondition, WRITES_MAX, Write};
pub use expire::{Expired, Keep};
pub use near::Nearby;
pub use read::Reader;
pub use renew::Renewal;
pub use row::{About, Home, HomeEvidence, Record, RecordId};

/// Largest record, in bytes.
pub const RECORD_MAX: usize = 1 << 20;
/// People of one page.
const PAGE: usize = 256;

/// Why records cannot be read or written. Never content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The store refuses.
    #[error("the record store did not do it")]
    Store(#[source] Arc<EngineError>),
    /// The tag index cannot be read or written.
    #[error("the tag index cannot be used")]
    Tags(#[source] std::io::Error),
    /// The keys refuse.
    #[error("the keys of a record refuse")]
    Keys(#[from] KeyError),
    /// A cell is not of this version, or not where it was written.
    #[error("a stored cell is of another form")]
    Form,
    /// The receipt is not that of the entry.
    #[error("the receipt is that of another entry; nothing was done")]
    OtherReceipt,
    /// The person is there already.
    #[error("the person is in the vault already")]
    Duplicate,
    /// Somebody else changed it in the meantime, or it is not as was asked.
    #[error("it is not of the version that was expected; nothing was done")]
    Conflict,
    /// No such id.
    #[error("a record's id is 1 to 64 letters, digits, `.`, `_`, `~` and `-`")]
    Name,
    /// Too long a record, or too many at once.
    #[error("a record has at most {RECORD_MAX} bytes, and a change at most {} records", change::WRITES_MAX)]
    TooLarge,
    /// A legal hold forbids it.
    #[error("a legal hold is on the person; nothing was done")]
    Held,
    /// Services work with the person's records by now.
    #[error("a service has written records of the person: an import would write over them; nothing was done")]
    Served,
    /// There is nobody without a place.
    #[error("a person has a home country, and there is no default; nothing was done")]
    Placeless,
}

impl RecordError {
    /// Whether nobody knows if it was done.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Store(e) if matches!(e.as_ref(), EngineError::Unknown(_)))
    }
}

impl From<EngineError> for RecordError {
    fn from(error: EngineError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<Arc<EngineError>> for RecordError {
    fn from(error: Arc<EngineError>) -> Self {
        Self::Store(error)
    }
}

impl Explain for RecordError {
    fn code(&self) -> &'static str {
        match self {
            Self::Duplicate => "CLV-0302",
            Self::Conflict | Self::Name | Self::TooLarge | Self::Held | Self::Served | Self::Placeless => {
                "CLV-0303"
            }
            _ => "CLV-0301",
        }
    }
    fn fix(&self) -> &'static str {
        match self {
            Self::Duplicate => "leave the file out: the person is here already",
            Self::Conflict => "read it again, and change what is there now",
            Self::Name | Self::TooLarge => "divide it, or name it otherwise",
            Self::Held => "lift the hold first, if the law allows it",
            Self::Served => "change them as a service does, or erase the person and import them anew",
            Self::Placeless => {
                "say in which country of the region the person lives, and by what that is known"
            }
            Self::Tags(_) => {
                "check that the vault's disk has space; `clover ledger rebuild` derives the tag index again"
            }
            _ => "check that no other process has the vault open and that its disk has space",
        }
    }
    fn public(&self) -> &'static str {
        "the request cannot be answered now"
    }
}

/// A person as the store has them: their id, their wrapped key, and what is known of them, sealed.
#[derive(Clone)]
pub struct Person {
    subject: SubjectId,
    internal: [u8; 16],
    version: u64,
    sealed: Vec<u8>,
    key: Option<Cell>,
}

impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Person(version {})", self.version)
    }
}

impl Person {
    /// The same person's cell, where it must be unchanged.
    fn unchanged(&self, to: To) -> Edit {
        let at = At::one(Table::Subjects, self.subject.as_str().as_bytes());
        Edit { at, expect: Expect::Version(self.version), to }
    }

    fn place(&self, version: u64) -> (&SubjectId, &[u8; 16], u64) {
        (&self.subject, &self.internal, version)
    }
}

/// Internal ids and handles of the people who are being imported.
type Arriving = Arc<Mutex<HashSet<Vec<u8>>>>;

/// People and their records.
pub struct Records {
    engine: Arc<dyn Engine>,
    near: Option<Near>,
    committer: Committer,
    tags: Tags,
    arriving: Arriving,
    people: AtomicUsize,
    /// Marks what this process imports, where others share the store.
    owner: [u8; 8],
    /// No other process has the store.
    alone: bool,
}

impl Records {
    /// Opens the embedded store and sweeps what an interrupted import or erasure left.
    ///
    /// # Errors
    /// What the store says.
    pub fn open(folder: &Path) -> Result<Self, RecordError> {
        let store = Self::over(engine::embedded(folder)?, None, folder)?;
        store.sweep(UnixSeconds(0))?;
        Ok(store)
    }

    /// Makes the tables of a store in a database. Explicit, never a side effect.
    ///
    /// # Errors
    /// What the server says.
    pub fn create_in(server: &Server) -> Result<(), RecordError> {
        Ok(postgres::Database::migrate(server)?)
    }

    /// Opens a store in a database, which other processes may have open too. The tag index lies in the folder. What this or,
    /// more than a day ago, another process left of an interrupted import or erasure is swept. Who accepts an answer of a
    /// moment ago is served by the server near by, if there is one.
    ///
    /// # Errors
    /// What the server says.
    pub fn open_in(
        server: &Server,
        nearby: Option<&Nearby>,
        folder: &Path,
        now: UnixSeconds,
    ) -> Result<Self, RecordError> {
        let engine = Arc::new(postgres::Database::open(server)?);
        let near = nearby.map(|nearby| Near::open(nearby, &engine)).transpose()?;
        let mut store = Self::over(engine, near, folder)?;
        store.alone = false;
        store.sweep(now)?;
        Ok(store)
    }

    fn over(engine: Arc<dyn Engine>, near: Option<Near>, folder: &Path) -> Result<Self, RecordError> {
        let tags = Folder::open(&folder.join("tags")).and_then(|disk| Tags::open(Arc::new(disk)));
        let tags = tags.map_err(RecordError::Tags)?;
        let people = usize::try_from(engine.count(Table::Subjects)?).unwrap_or(usize::MAX);
        let committer = Committer::new(Arc::clone(&engine));
        let mut owner = [0; 8];
        keys::random(&mut owner)?;
        let (people, arriving) = (AtomicUsize::new(people), Arriving::default());
        Ok(Self { engine, near, committer, tags, arriving, people, owner, alone: true })
    }

    /// Replaces people's wrapped keys, each only if it still is the one that was read. Returns how many were, durably.
    ///
    /// # Errors
    /// When the store refuses; then what was not replaced still is the old one.
    pub(crate) fn replace_wrapped(&self, people: &[(Person, Vec<u8>)]) -> Result<usize, RecordError> {
        // INVARIANT: conditional on the cell that was read, so that no key comes back that was destroyed meanwhile.
        let edit = |(person, wrapped): &(Person, Vec<u8>)| {
            let at = At::one(Table::Keys, person.subject.as_str().as_bytes());
            let expect = Expect::Version(person.key.as_ref()?.version);
            Some(vec![Edit { at, expect, to: To::Put(wrapped.clone()) }])
        };
        let mut replaced = 0;
        for held in self.committer.changes(people.iter().filter_map(edit).collect())? {
            replaced += usize::from(held?);
        }
        Ok(replaced)
    }

    /// Reads of which everything may be this old that a server near by serves; without an age, or such a server, all is as
    /// it stands.
    #[must_use]
    pub fn within(&self, staleness: Option<Duration>) -> Reader<'_> {
        Reader::new(&*self.engine, self.near.as_ref().zip(staleness))
    }

    /// [`Reader::person`], as it stands.
    ///
    /// # Errors
    /// As there.
    pub fn person(&self, subject: &SubjectId) -> Result<Option<Person>, RecordError> {
        self.within(None).person(subject)
    }

    /// Everyone, in the order of their handles. Who comes or goes meanwhile may be missed or not.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn people(&self) -> impl Iterator<Item = Result<Person, RecordError>> + '_ {
        let (mut after, mut ended) = (Vec::new(), false);
        let pages = std::iter::from_fn(move || {
            let page = (!ended).then(|| self.page_after(&after))?;
            match page {
                Ok((last, people)) => {
                    ended = last.is_empty();
                    after = last;
                    Some(people.into_iter().map(Ok).collect::<Vec<_>>())
                }
                Err(e) => {
                    ended = true;
                    Some(vec![Err(e)])
                }
            }
        });
        pages.flatten()
    }

    /// The people behind a handle, and the last handle; empty at the end.
    fn page_after(&self, after: &[u8]) -> Result<(Vec<u8>, Vec<Person>), RecordError> {
        let page = self.engine.parts(Table::Subjects, after, PAGE)?;
        let Some((last, _)) = page.last() else { return Ok((Vec::new(), Vec::new())) };
        let last = last.clone();
        let subject = |part: &[u8]| {
            let handle = std::str::from_utf8(part).ok().and_then(|s| SubjectId::parse(s).ok());
            handle.ok_or(RecordError::Form)
        };
        let places: Vec<At> = page.iter().map(|(part, _)| At::one(Table::Keys, part)).collect();
        let keys = self.engine.get(&places)?;
        let people = page.iter().zip(keys).map(|((part, cell), key)| person_of(&subject(part)?, cell, key));
        Ok((last, people.collect::<Result<_, _>>()?))
    }

    /// How many people. Counted once when the store opens, and kept; what other processes do is not seen.
    #[must_use]
    pub fn count(&self) -> usize {
        self.people.load(Ordering::Acquire)
    }

    /// A person's keys.
    ///
    /// # Errors
    /// When they were destroyed, are another region's, or somebody else was put in the person's place.
    pub fn keys_of(&self, keys: &KeyService, person: &Person) -> Result<PersonKeys, RecordError> {
        let wrapped = person.key.as_ref().ok_or(KeyError::Wrapped)?;
        let own = keys.person(&keys.open_person(&person.internal, &wrapped.value)?);
        row::unseal_about(&own, person.place(person.version), &person.sealed)?;
        Ok(own)
    }

    /// What is known of a person besides their records.
    ///
    /// # Errors
    /// When it does not open with these keys.
    pub fn about(&self, keys: &PersonKeys, person: &Person) -> Result<About, RecordError> {
        row::open_about(keys, person.place(person.version), &person.sealed)
    }

    /// [`Reader::get`], as it stands.
    ///
    /// # Errors
    /// As there.
    pub fn get(
        &self,
        person: &Person,
        keys: &PersonKeys,
        collection: &str,
        id: &RecordId,
    ) -> Result<Option<Record>, RecordError> {
        self.within(None).get(person, keys, collection, id)
    }

    /// [`Reader::list`], as it stands.
    ///
    /// # Errors
    /// As there.
    pub fn list(
        &self,
        person: &Person,
        keys: &PersonKeys,
        within: (&str, Option<&RecordId>),
        max: usize,
        bytes: usize,
    ) -> Result<Vec<(RecordId, Record)>, RecordError> {
        self.within(None).list(person, keys, within, max, bytes)
    }

    /// The same from the first one on, the JSON objects alone.
    ///
    /// # Errors
    /// When the store refuses or a record does not open.
    pub fn collection(
        &self,
        person: &Person,
        keys: &PersonKeys,
        collection: &str,
        max: usize,
        bytes: usize,
    ) -> Result<Vec<Vec<u8>>, RecordError> {
        let all = self.list(person, keys, (collection, None), max, bytes)?;
        Ok(all.into_iter().map(|(_, record)| record.json).collect())
    }

    /// [`Reader::lookup`], as it stands.
    ///
    /// # Errors
    /// As there.
    pub fn lookup(&self, tag: &Tag) -> Result<Vec<SubjectId>, RecordError> {
        self.within(None).lookup(tag)
    }

    /// The entries that name one of these tags, which come newest day first: newest first, at most `max`.
    ///
    /// # Errors
    /// When the tag index cannot be read.
    pub fn entries_of(
        &self,
        tags: impl IntoIterator<Item = Tag>,
        max: usize,
    ) -> Result<Vec<u64>, RecordError> {
        self.tags.entries_of(tags, max).map_err(RecordError::Tags)
    }

    /// Makes edits together, or says that they cannot be made any more.
    fn made(&self, change: Vec<Edit>) -> Result<(), RecordError> {
        if change.len() > engine::TOGETHER_MAX {
            return Err(RecordError::TooLarge);
        }
        if self.committer.change(change)? { Ok(()) } else { Err(RecordError::Conflict) }
    }

    /// Whether nobody else has the store and nobody is on the way into it.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.alone && self.arriving.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn is_arriving(&self, internal: &[u8]) -> bool {
        self.arriving.lock().unwrap_or_else(PoisonError::into_inner).contains(internal)
    }
}

fn person_of(subject: &SubjectId, cell: &Cell, key: Option<Cell>) -> Result<Person, RecordError> {
    let (internal, sealed) = row::split(&cell.value)?;
    let (subject, sealed) = (subject.clone(), sealed.to_vec());
    Ok(Person { subject, internal, version: cell.version, sealed, key })
}

impl Person {
    /// Whose.
    #[must_use]
    pub fn subject(&self) -> &SubjectId {
        &self.subject
    }

    /// By what the key service knows them.
    #[must_use]
    pub fn internal(&self) -> &[u8; 16] {
        &self.internal
    }

    /// Their key, wrapped by the region's; `None` when it was destroyed.
    #[must_use]
    pub fn wrapped(&self) -> Option<&[u8]> {
        self.key.as_ref().map(|cell| cell.value.as_slice())
    }
}

impl TagIndex for Records {
    fn clear(&self) -> Result<(), String> {
        self.tags.clear()
    }

    fn add(&self, pairs: &[(Tag, u64)]) -> Result<(), String> {
        self.tags.add(pairs)
    }

    fn flush(&self) -> Result<(), String> {
        self.tags.flush()
    }
}
