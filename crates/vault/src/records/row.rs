//! What stands in cells, as `docs/formats/records.md` says.

use model::{Country, SubjectId, Tag, UnixSeconds};
use serde::{Deserialize, Serialize};

use super::RecordError;
use crate::keys::{self, PersonKeys};

const ROW: u8 = 2;
const RECORD: u8 = 1;
/// Longest id of a record.
const ID_MAX: usize = 64;
/// Homes and holds that one person can have.
pub(super) const LISTED_MAX: usize = 64;

/// A record's name inside its collection: 1 to 64 letters, digits, `.`, `_`, `~` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(String);

impl RecordId {
    /// Reads an id.
    ///
    /// # Errors
    /// [`RecordError::Name`] when it is none.
    pub fn parse(text: &str) -> Result<Self, RecordError> {
        let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'~' | b'-');
        let fits = !text.is_empty() && text.len() <= ID_MAX && text.bytes().all(good);
        if fits { Ok(Self(text.to_owned())) } else { Err(RecordError::Name) }
    }

    /// The id of the record that stood at this place of an import.
    #[must_use]
    pub fn imported(place: u32) -> Self {
        Self(format!("{place:010}"))
    }

    /// Whether an import gave it.
    pub(super) fn is_imported(&self) -> bool {
        self.0.len() == 10 && self.0.bytes().all(|b| b.is_ascii_digit())
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// By what it is known where somebody lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HomeEvidence {
    /// The account's region, as their export has it.
    Account,
    /// They said so.
    Declared,
    /// A document was seen.
    Document,
}

/// Where somebody lives, from a moment on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The country.
    pub country: Country,
    /// From when on.
    pub from: UnixSeconds,
    /// By what it is known.
    pub evidence: HomeEvidence,
}

/// What is known of a person besides their records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Where they live and lived, newest last. Never empty: there is no default region.
    pub homes: Vec<Home>,
    /// Legal holds: while there is one, nothing of them is erased and nothing expires.
    pub holds: Vec<String>,
    /// Under which tags they are looked up.
    pub lookups: Vec<Tag>,
    /// When they came.
    pub since: UnixSeconds,
    /// The ledger's entry of their coming.
    pub entry: u64,
}

impl About {
    /// Where they live.
    #[must_use]
    pub fn home(&self) -> Country {
        self.homes.last().map_or(Country::UNKNOWN, |home| home.country)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    homes: Vec<(String, u64, HomeEvidence)>,
    holds: Vec<String>,
    lookups: Vec<String>,
    since: u64,
    entry: u64,
}

fn about_aad(subject: &SubjectId, internal: &[u8; 16], version: u64) -> Vec<u8> {
    [b"about\0".as_slice(), internal, &version.to_be_bytes(), subject.as_str().as_bytes()].concat()
}

/// The cell of a person: internal id, then what is known of them, sealed under their own key and bound to handle, id and
/// version, so that nobody can be put in another's place.
pub(super) fn seal_about(
    keys: &PersonKeys,
    (subject, internal, version): (&SubjectId, &[u8; 16], u64),
    about: &About,
) -> Result<Vec<u8>, RecordError> {
    let stored = Stored {
        homes: about.homes.iter().map(|h| (h.country.as_str().to_owned(), h.from.0, h.evidence)).collect(),
        holds: about.holds.clone(),
        lookups: about.lookups.iter().map(ToString::to_string).collect(),
        since: about.since.0,
        entry: about.entry,
    };
    let bytes = serde_json::to_vec(&stored).map_err(|_| RecordError::Form)?;
    let sealed = keys::seal(&keys.records, &about_aad(subject, internal, version), &bytes)?;
    Ok([&[ROW], &internal[..], &sealed].concat())
}

/// The internal id and the sealed rest of a person's cell.
pub(super) fn split(value: &[u8]) -> Result<([u8; 16], &[u8]), RecordError> {
    let rest = value.strip_prefix(&[ROW]).ok_or(RecordError::Form)?;
    let (internal, sealed) = rest.split_first_chunk::<16>().ok_or(RecordError::Form)?;
    Ok((*internal, sealed))
}

/// What is known of a person, not yet read: that it opens shows that nobody else is in their place.
pub(super) fn unseal_about(
    keys: &PersonKeys,
    (subject, internal, version): (&SubjectId, &[u8; 16], u64),
    sealed: &[u8],
) -> Result<Vec<u8>, RecordError> {
    Ok(keys::unseal(&keys.records, &about_aad(subject, internal, version), sealed)?)
}

pub(super) fn open_about(
    keys: &PersonKeys,
    place: (&SubjectId, &[u8; 16], u64),
    sealed: &[u8],
) -> Result<About, RecordError> {
    let bytes = unseal_about(keys, place, sealed)?;
    let read = || {
        let stored: Stored = serde_json::from_slice(&bytes).ok()?;
        let homes = stored.homes.into_iter().map(|(country, from, evidence)| {
            Some(Home { country: Country::parse(&country).ok()?, from: UnixSeconds(from), evidence })
        });
        let lookups = stored.lookups.iter().map(|tag| Tag::parse(tag).ok());
        Some(About {
            homes: homes.collect::<Option<_>>()?,
            holds: stored.holds,
            lookups: lookups.collect::<Option<_>>()?,
            since: UnixSeconds(stored.since),
            entry: stored.entry,
        })
    };
    read().ok_or(RecordError::Form)
}

/// The key of a record's cell.
pub(super) fn record_key(collection: &str, id: &RecordId) -> Vec<u8> {
    [collection.as_bytes(), &[0], id.0.as_bytes()].concat()
}

/// A record, opened.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Counts its changes, from 1.
    pub version: u64,
    /// When it was changed last.
    pub changed: UnixSeconds,
    /// A JSON object.
    pub json: Vec<u8>,
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Record(version {}, {} bytes)", self.version, self.json.len())
    }
}

fn record_aad(internal: &[u8; 16], key: &[u8], version: u64, changed: UnixSeconds) -> Vec<u8> {
    [b"record\0".as_slice(), internal, &version.to_be_bytes(), &changed.0.to_be_bytes(), key].concat()
}

pub(super) fn seal_record(
    keys: &PersonKeys,
    (internal, key): (&[u8; 16], &[u8]),
    (version, changed): (u64, UnixSeconds),
    json: &[u8],
) -> Result<Vec<u8>, RecordError> {
    let sealed = keys::seal(&keys.records, &record_aad(internal, key, version, changed), json)?;
    Ok([&[RECORD], &changed.0.to_be_bytes()[..], &sealed].concat())
}

/// When a record was changed last, as its cell says in the clear; `None` when it was removed.
pub(super) fn changed(value: &[u8]) -> Result<Option<UnixSeconds>, RecordError> {
    if value.is_empty() {
        return Ok(None);
    }
    let rest = value.strip_prefix(&[RECORD]).ok_or(RecordError::Form)?;
    let (changed, _) = rest.split_first_chunk::<8>().ok_or(RecordError::Form)?;
    Ok(Some(UnixSeconds(u64::from_be_bytes(*changed))))
}

/// Opens a record's cell; `None` when it was removed.
pub(super) fn open_record(
    keys: &PersonKeys,
    (internal, key): (&[u8; 16], &[u8]),
    version: u64,
    value: &[u8],
) -> Result<Option<Record>, RecordError> {
    if value.is_empty() {
        return Ok(None);
    }
    let rest = value.strip_prefix(&[RECORD]).ok_or(RecordError::Form)?;
    let (changed, sealed) = rest.split_first_chunk::<8>().ok_or(RecordError::Form)?;
    let changed = UnixSeconds(u64::from_be_bytes(*changed));
    let json = keys::unseal(&keys.records, &record_aad(internal, key, version, changed), sealed)?;
    Ok(Some(Record { version, changed, json }))
}
