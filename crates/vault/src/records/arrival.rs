//! People who come: written unseen, and made visible once their import is on the ledger.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use ledger::{Receipt, SecretKey};
use model::{Digest, SubjectId, Tag, UnixSeconds};

use super::engine::{At, Edit, Expect, Table, To};
use super::{About, Arriving, Home, RECORD_MAX, RecordError, RecordId, Records, row};
use crate::keys::{self, KeyError, KeyService, PersonKeys, TagKey};

/// Bytes of records that are handed to the store at once.
const CHUNK: usize = 1 << 20;
/// For how long what another process imports is left alone, in seconds.
const ABANDONED_SECONDS: u64 = 86_400;

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

/// A person being imported: invisible until [`Records::admit`].
pub struct Arrival<'a> {
    store: &'a Records,
    keys: PersonKeys,
    internal: [u8; 16],
    wrapped: Vec<u8>,
    now: UnixSeconds,
    waiting: Vec<(At, Vec<u8>)>,
    bytes: usize,
    counts: BTreeMap<String, u32>,
    claim: Claim,
}

/// Who comes, and what is known of them.
#[derive(Debug)]
pub struct Coming {
    /// Their handle.
    pub subject: SubjectId,
    /// Where they live.
    pub home: Home,
    /// Under which tags they are looked up.
    pub lookups: Vec<Tag>,
}

/// A person whose records are written, and who waits for the receipt of the import.
pub struct Arrived {
    coming: Coming,
    keys: PersonKeys,
    internal: [u8; 16],
    wrapped: Vec<u8>,
    since: UnixSeconds,
    /// Records written.
    pub records: u32,
    _claims: [Claim; 2],
}

impl Records {
    /// Begins a person's import.
    ///
    /// # Errors
    /// When the store or the keys refuse.
    pub fn arrival<'a>(&'a self, keys: &KeyService, now: UnixSeconds) -> Result<Arrival<'a>, RecordError> {
        let mut internal = [0; 16];
        keys::random(&mut internal)?;
        // Claimed first: a rotation that sees nobody on the way began before this key is wrapped, by its version.
        let claim = Claim::new(&self.arriving, &internal).ok_or(KeyError::Random)?;
        let (key, wrapped) = keys.new_person(&internal)?;
        let mark = [&self.owner[..], &now.0.to_be_bytes()].concat();
        self.engine.load(vec![(At::one(Table::Pending, &internal), mark)])?;
        let (waiting, counts) = (Vec::new(), BTreeMap::new());
        let keys = keys.person(&key);
        Ok(Arrival { store: self, keys, internal, wrapped, now, waiting, bytes: 0, counts, claim })
    }

    /// Makes people visible, durably, once their import's entry is on the ledger.
    ///
    /// # Errors
    /// When the receipt is not that of this entry, one of them came meanwhile, or the store refuses; then none of them is
    /// visible, unless it cannot be known.
    pub fn admit(&self, arrived: &[Arrived], entry: &Digest, receipt: &Receipt) -> Result<(), RecordError> {
        if !receipt.covers(entry) {
            return Err(RecordError::OtherReceipt);
        }
        let mut change = Vec::new();
        for one in arrived {
            change.extend(one.edits(receipt.index())?);
        }
        self.made(change).map_err(|e| match e {
            RecordError::Conflict => RecordError::Duplicate,
            other => other,
        })?;
        self.people.fetch_add(arrived.len(), Ordering::AcqRel);
        Ok(())
    }

    /// Throws away what was written for people who are not admitted, and whose [`Arrival`] or [`Arrived`] was
    /// dropped: another import that is under way keeps its own.
    ///
    /// # Errors
    /// When the store refuses; the next opening sweeps them anyway.
    pub fn dismiss(&self, now: UnixSeconds) -> Result<(), RecordError> {
        self.sweep(now)
    }

    pub(super) fn sweep(&self, now: UnixSeconds) -> Result<(), RecordError> {
        let mut after = Vec::new();
        loop {
            let page = self.engine.parts(Table::Pending, &after, 256)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after.clone_from(last);
            for (internal, cell) in page {
                if !self.is_arriving(&internal) && self.may_sweep(&cell.value, now) {
                    self.clear(&internal)?;
                }
            }
        }
    }

    /// Whether nobody can still be writing what a mark of this value stands for.
    fn may_sweep(&self, mark: &[u8], now: UnixSeconds) -> bool {
        let parts = mark.split_first_chunk::<8>().and_then(|(o, rest)| Some((o, rest.first_chunk::<8>()?)));
        let Some((owner, since)) = parts else { return true };
        let old = now.0.saturating_sub(u64::from_be_bytes(*since)) > ABANDONED_SECONDS;
        self.alone || *owner == self.owner || old
    }

    /// Removes the records of an internal id, then the mark that says so.
    pub(super) fn clear(&self, internal: &[u8]) -> Result<(), RecordError> {
        self.engine.clear(Table::Records, internal)?;
        let at = At::one(Table::Pending, internal);
        self.made(vec![Edit { at, expect: Expect::Any, to: To::Removed }])
    }
}

impl Arrival<'_> {
    /// Adds one record.
    ///
    /// # Errors
    /// [`RecordError::TooLarge`]; when the store or the keys refuse.
    pub fn put(&mut self, collection: &str, json: &[u8]) -> Result<(), RecordError> {
        if json.len() > RECORD_MAX {
            return Err(RecordError::TooLarge);
        }
        let place = self.counts.entry(collection.to_owned()).or_default();
        let key = row::record_key(collection, &RecordId::imported(*place));
        *place = place.saturating_add(1);
        let sealed = row::seal_record(&self.keys, (&self.internal, &key), (1, self.now), json)?;
        self.bytes += sealed.len();
        let at = At { table: Table::Records, part: self.internal.to_vec(), key };
        self.waiting.push((at, sealed));
        if self.bytes > CHUNK { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), RecordError> {
        self.bytes = 0;
        Ok(self.store.engine.load(std::mem::take(&mut self.waiting))?)
    }

    /// Ends the person's import. They stay invisible until [`Records::admit`].
    ///
    /// # Errors
    /// [`RecordError::Duplicate`] when they are there already, or arrive elsewhere at this moment.
    pub fn finish(mut self, coming: Coming) -> Result<Arrived, RecordError> {
        // The claim comes first: whoever is admitted in between is seen by the look-up.
        let handle = coming.subject.as_str().as_bytes();
        let claim = Claim::new(&self.store.arriving, handle).ok_or(RecordError::Duplicate)?;
        if self.store.person(&coming.subject)?.is_some() {
            return Err(RecordError::Duplicate);
        }
        self.write()?;
        let records = self.counts.values().fold(0u32, |n, c| n.saturating_add(*c));
        let (keys, internal, wrapped, since) = (self.keys, self.internal, self.wrapped, self.now);
        Ok(Arrived { coming, keys, internal, wrapped, since, records, _claims: [self.claim, claim] })
    }
}

impl Arrived {
    /// Whose.
    #[must_use]
    pub fn subject(&self) -> &SubjectId {
        &self.coming.subject
    }

    /// Makes their tag, for the entry.
    #[must_use]
    pub fn tags(&self) -> &TagKey {
        &self.keys.tags
    }

    /// Their detail key, for the entry's detail.
    #[must_use]
    pub fn detail(&self) -> &SecretKey {
        &self.keys.detail
    }

    fn edits(&self, entry: u64) -> Result<Vec<Edit>, RecordError> {
        let Coming { subject, home, lookups } = &self.coming;
        let handle = subject.as_str().as_bytes();
        let about = About {
            homes: vec![home.clone()],
            holds: Vec::new(),
            lookups: lookups.clone(),
            since: self.since,
            entry,
        };
        let sealed = row::seal_about(&self.keys, (subject, &self.internal, 1), &about)?;
        let put = |table, expect, value| Edit { at: At::one(table, handle), expect, to: To::Put(value) };
        let mut edits = vec![
            put(Table::Subjects, Expect::Absent, sealed),
            put(Table::Keys, Expect::Absent, self.wrapped.clone()),
        ];
        edits.extend(lookups.iter().map(|tag| {
            let at = At { table: Table::Lookups, part: tag.bytes().to_vec(), key: handle.to_vec() };
            Edit { at, expect: Expect::Any, to: To::Put(vec![1]) }
        }));
        let at = At::one(Table::Pending, &self.internal);
        edits.push(Edit { at, expect: Expect::Any, to: To::Removed });
        Ok(edits)
    }
}
