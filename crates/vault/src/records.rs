//! Records of people in the embedded store, each sealed under its person's own key.
//!
//! A person is there or not there, never half: records are written under a fresh internal id, and only the
//! subject row, written last and durably, makes them visible. What an interrupted import left is swept when
//! the store opens. Associated data of the seal is the record's key, so a swapped ciphertext is found.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use fjall::config::CompressionPolicy;
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use ledger::{Receipt, SecretKey};
use model::{Country, Digest, Explain, SubjectId, Tag, UnixSeconds};

use crate::disk::Folder;
use crate::keys::{self, KeyError, KeyService, PersonKeys, TagKey};
use crate::log::TagIndex;
use crate::tags::Tags;

const ROW_VERSION: u8 = 1;
/// Bytes of records that are handed to the store at once.
const CHUNK: usize = 1 << 20;

/// Why records cannot be read or written. Never content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The store refuses.
    #[error("the record store refuses")]
    Store(#[from] fjall::Error),
    /// The tag index cannot be read or written.
    #[error("the tag index cannot be used")]
    Tags(#[source] std::io::Error),
    /// The keys refuse.
    #[error("the keys of a record refuse")]
    Keys(#[from] KeyError),
    /// A row or record is not of this version.
    #[error("a stored row is not of version 1")]
    Form,
    /// The receipt is not that of the import's entry.
    #[error("the receipt is that of another entry; nobody was admitted")]
    OtherReceipt,
    /// The person is there already.
    #[error("the person is in the vault already")]
    Duplicate,
}

impl Explain for RecordError {
    fn code(&self) -> &'static str {
        if matches!(self, Self::Duplicate) { "CLV-0302" } else { "CLV-0301" }
    }
    fn fix(&self) -> &'static str {
        match self {
            Self::Duplicate => "leave the file out: the person is here already",
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

/// A person as the store knows them.
#[derive(Clone)]
pub struct Person {
    pub(crate) internal: [u8; 16],
    pub(crate) wrapped: Vec<u8>,
    /// Where they live, by the evidence of their import.
    pub home: Country,
    /// When they were imported.
    pub since: UnixSeconds,
}

impl std::fmt::Debug for Person {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Person({} bytes of key)", self.wrapped.len())
    }
}

/// Internal ids and handles of the people who are being imported.
type Arriving = Arc<Mutex<HashSet<Vec<u8>>>>;

/// Something that no other import may use or sweep away for as long as this lives.
struct Claim {
    arriving: Arriving,
    what: Vec<u8>,
}

impl Claim {
    /// `None` when another import has it.
    fn new(arriving: &Arriving, what: &[u8]) -> Option<Self> {
        let fresh = arriving.lock().unwrap_or_else(PoisonError::into_inner).insert(what.to_vec());
        fresh.then(|| Self { arriving: Arc::clone(arriving), what: what.to_vec() })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.arriving.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.what);
    }
}

/// The embedded store.
pub struct Records {
    db: Database,
    subjects: Keyspace,
    records: Keyspace,
    pending: Keyspace,
    tags: Tags,
    arriving: Arriving,
    people: AtomicUsize,
}

/// A person being imported: invisible until [`Records::admit`].
pub struct Arrival<'a> {
    store: &'a Records,
    keys: PersonKeys,
    internal: [u8; 16],
    wrapped: Vec<u8>,
    batch: fjall::OwnedWriteBatch,
    waiting: usize,
    counts: BTreeMap<String, u32>,
    claim: Claim,
}

/// A person whose records are written, and who waits for the receipt of the import.
pub struct Arrived {
    subject: SubjectId,
    person: Person,
    /// Makes their tag, for the entry.
    pub tags: TagKey,
    /// Their detail key, for the entry's detail.
    pub detail: SecretKey,
    /// Records written.
    pub records: u32,
    _claims: [Claim; 2],
}

impl Records {
    /// Opens the store and sweeps what an interrupted import left.
    ///
    /// # Errors
    /// What the store says.
    pub fn open(folder: &Path) -> Result<Self, RecordError> {
        // Sealed bytes do not get shorter.
        let db = Database::builder(folder).journal_compression(CompressionType::None).open()?;
        let plain = || CompressionPolicy::all(CompressionType::None);
        let keyspace = |name| {
            db.keyspace(name, || KeyspaceCreateOptions::default().data_block_compression_policy(plain()))
        };
        let (subjects, records) = (keyspace("subjects")?, keyspace("records")?);
        let pending = keyspace("pending")?;
        let tags = Folder::open(&folder.join("tags")).and_then(|disk| Tags::open(Arc::new(disk)));
        let tags = tags.map_err(RecordError::Tags)?;
        let people = AtomicUsize::new(subjects.len()?);
        let store = Self { db, subjects, records, pending, tags, people, arriving: Arriving::default() };
        store.sweep()?;
        Ok(store)
    }

    fn sweep(&self) -> Result<(), RecordError> {
        let mut left = Vec::new();
        for row in self.pending.iter() {
            let internal = row.key()?;
            if !self.arriving.lock().unwrap_or_else(PoisonError::into_inner).contains(&internal[..]) {
                left.push(internal);
            }
        }
        for internal in left {
            for row in self.records.prefix(&internal) {
                self.records.remove(row.key()?)?;
            }
            self.pending.remove(internal)?;
        }
        self.db.persist(PersistMode::SyncAll)?;
        Ok(())
    }

    /// Begins a person's import.
    ///
    /// # Errors
    /// When the store or the keys refuse.
    pub fn arrival<'a>(&'a self, keys: &KeyService) -> Result<Arrival<'a>, RecordError> {
        let mut internal = [0; 16];
        keys::random(&mut internal)?;
        let (key, wrapped) = keys.new_person(&internal)?;
        let claim = Claim::new(&self.arriving, &internal).ok_or(KeyError::Random)?;
        self.pending.insert(internal, [])?;
        let (batch, counts) = (self.db.batch(), BTreeMap::new());
        Ok(Arrival {
            store: self,
            keys: keys.person(&key),
            internal,
            wrapped,
            batch,
            waiting: 0,
            counts,
            claim,
        })
    }

    /// Makes people visible, durably, once their import's entry is on the ledger.
    ///
    /// # Errors
    /// When the receipt is not that of this entry, or the store refuses; then none of them is visible.
    pub fn admit(&self, arrived: &[Arrived], entry: &Digest, receipt: &Receipt) -> Result<(), RecordError> {
        if !receipt.covers(entry) {
            return Err(RecordError::OtherReceipt);
        }
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncAll));
        for a in arrived {
            batch.insert(&self.subjects, a.subject.as_str(), row(&a.person, receipt.index()));
            batch.remove(&self.pending, a.person.internal);
        }
        batch.commit()?;
        self.people.fetch_add(arrived.len(), Ordering::AcqRel);
        Ok(())
    }

    /// Throws away what was written for people who are not admitted, and whose [`Arrival`] or [`Arrived`] was
    /// dropped: another import that is under way keeps its own.
    ///
    /// # Errors
    /// When the store refuses; the next opening sweeps them anyway.
    pub fn dismiss(&self) -> Result<(), RecordError> {
        self.sweep()
    }

    /// Replaces people's wrapped keys, each only if it still is the one that was read. Returns how many were, durably.
    ///
    /// # Errors
    /// When the store refuses; then none of these was replaced.
    pub(crate) fn replace_wrapped(
        &self,
        people: &[(SubjectId, Person, Vec<u8>)],
    ) -> Result<usize, RecordError> {
        // INVARIANT: whoever removes or replaces a subject's row holds this lock, so that no key comes back.
        let _rows = self.arriving.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut batch, mut replaced) = (self.db.batch().durability(Some(PersistMode::SyncAll)), 0);
        for (subject, person, wrapped) in people {
            let Some(row) = self.subjects.get(subject.as_str())? else { continue };
            if let Some(head) = row.strip_suffix(&person.wrapped[..]) {
                batch.insert(&self.subjects, subject.as_str(), [head, wrapped].concat());
                replaced += 1;
            }
        }
        batch.commit()?;
        Ok(replaced)
    }

    /// The person of a handle.
    ///
    /// # Errors
    /// When the store refuses or the row is not of this version.
    pub fn person(&self, subject: &SubjectId) -> Result<Option<Person>, RecordError> {
        self.subjects.get(subject.as_str())?.map(|bytes| read_row(&bytes)).transpose()
    }

    /// Everyone, in the order of their handles.
    ///
    /// # Errors
    /// When the store refuses.
    pub fn people(&self) -> impl Iterator<Item = Result<(SubjectId, Person), RecordError>> + '_ {
        self.subjects.iter().map(|row| {
            let (key, value) = row.into_inner()?;
            let subject = std::str::from_utf8(&key).ok().and_then(|s| SubjectId::parse(s).ok());
            Ok((subject.ok_or(RecordError::Form)?, read_row(&value)?))
        })
    }

    /// How many people. Counted once when the store opens, and kept.
    #[must_use]
    pub fn count(&self) -> usize {
        self.people.load(Ordering::Acquire)
    }

    /// A person's keys.
    ///
    /// # Errors
    /// When they were destroyed or are another region's.
    pub fn keys_of(&self, keys: &KeyService, person: &Person) -> Result<PersonKeys, RecordError> {
        Ok(keys.person(&keys.open_person(&person.internal, &person.wrapped)?))
    }

    /// A person's records of one collection, as JSON objects in the order of the import: at most `max`, and no more
    /// after they are `bytes` long together.
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
        let prefix = record_prefix(&person.internal, collection);
        let (mut all, mut length) = (Vec::new(), 0);
        for row in self.records.prefix(&prefix).take(max) {
            let (key, value) = row.into_inner()?;
            let record = keys::unseal(&keys.records, &key, &value)?;
            length += record.len();
            all.push(record);
            if length > bytes {
                break;
            }
        }
        Ok(all)
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

fn record_prefix(internal: &[u8; 16], collection: &str) -> Vec<u8> {
    [&internal[..], collection.as_bytes(), &[0]].concat()
}

fn row(person: &Person, entry: u64) -> Vec<u8> {
    let mut out = vec![ROW_VERSION];
    out.extend_from_slice(&person.internal);
    out.extend_from_slice(&person.home.bytes());
    out.extend_from_slice(&person.since.0.to_be_bytes());
    out.extend_from_slice(&entry.to_be_bytes());
    out.extend_from_slice(&person.wrapped);
    out
}

fn read_row(bytes: &[u8]) -> Result<Person, RecordError> {
    let parts = || {
        let rest = bytes.strip_prefix(&[ROW_VERSION])?;
        let (internal, rest) = rest.split_first_chunk::<16>()?;
        let (home, rest) = rest.split_first_chunk::<2>()?;
        let (since, rest) = rest.split_first_chunk::<8>()?;
        let (_entry, wrapped) = rest.split_first_chunk::<8>()?;
        let home = Country::parse(std::str::from_utf8(home).ok()?).ok()?;
        let since = UnixSeconds(u64::from_be_bytes(*since));
        Some(Person { internal: *internal, wrapped: wrapped.to_vec(), home, since })
    };
    parts().ok_or(RecordError::Form)
}

impl Arrival<'_> {
    /// Adds one record.
    ///
    /// # Errors
    /// When the store or the keys refuse.
    pub fn put(&mut self, collection: &str, json: &[u8]) -> Result<(), RecordError> {
        let sequence = self.counts.entry(collection.to_owned()).or_default();
        let key = [&record_prefix(&self.internal, collection)[..], &sequence.to_be_bytes()].concat();
        *sequence = sequence.saturating_add(1);
        let sealed = keys::seal(&self.keys.records, &key, json)?;
        self.waiting += sealed.len();
        self.batch.insert(&self.store.records, key, sealed);
        if self.waiting > CHUNK { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), RecordError> {
        self.waiting = 0;
        Ok(std::mem::replace(&mut self.batch, self.store.db.batch()).commit()?)
    }

    /// Ends the person's import. They stay invisible until [`Records::admit`].
    ///
    /// # Errors
    /// [`RecordError::Duplicate`] when they are there already, or arrive elsewhere at this moment.
    pub fn finish(
        mut self,
        subject: SubjectId,
        home: Country,
        now: UnixSeconds,
    ) -> Result<Arrived, RecordError> {
        // The claim comes first: whoever is admitted in between is seen by the look-up.
        let claim =
            Claim::new(&self.store.arriving, subject.as_str().as_bytes()).ok_or(RecordError::Duplicate)?;
        if self.store.person(&subject)?.is_some() {
            return Err(RecordError::Duplicate);
        }
        self.write()?;
        let records = self.counts.values().fold(0u32, |n, c| n.saturating_add(*c));
        let person = Person { internal: self.internal, wrapped: self.wrapped, home, since: now };
        let (tags, detail) = (self.keys.tags, self.keys.detail);
        Ok(Arrived { subject, person, tags, detail, records, _claims: [self.claim, claim] })
    }
}

impl Arrived {
    /// Whose.
    #[must_use]
    pub fn subject(&self) -> &SubjectId {
        &self.subject
    }
}
