//! Videos, photos and other media: parts sealed under their person's key, as objects in files of this machine or in an
//! S3-compatible store. What a person has of them stands in their records, so that a medium is there or not there, never
//! half, and erasing the person makes all of it noise. Form: `docs/formats/records.md`.

mod http;
mod store;

use std::fmt;

use data_encoding::HEXLOWER;
use model::{Explain, UnixSeconds};
use object_store::path::Path as Place;
use serde::{Deserialize, Serialize};

use crate::keys::{self, KeyError, PersonKeys};
use crate::records::{Person, Precondition, RecordError, RecordId, Records, Write};

pub use self::store::{Bucket, Listed, Media, Object, Part, S3, called};

/// Longest part, in bytes.
pub const PART_MAX: usize = 8 << 20;
/// Most parts of one medium.
pub const PARTS_MAX: u32 = 10_000;
/// Most media of one list.
const LISTED_MAX: usize = 1_000;
/// Longest media type.
const KIND_MAX: usize = 100;
/// What a seal adds: nonce and tag.
const SEAL: u64 = 28;
/// The collection that says what a person has. No catalogue can declare it: no name begins so.
const COLLECTION: &str = ".media";

/// Why a medium cannot be kept or read. Never content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// The store refuses.
    #[error("the store of media did not do it")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It does not answer.
    #[error("the store of media does not answer in time")]
    Late,
    /// How it is set up.
    #[error("the store of media cannot be used: {0}")]
    Settings(String),
    /// The keys refuse.
    #[error("the key of a medium refuses")]
    Keys(#[from] KeyError),
    /// The records refuse.
    #[error(transparent)]
    Records(#[from] RecordError),
    /// It is not there, or not whole.
    #[error("there is no such medium, or a part of it is not there")]
    Missing,
    /// It is there already.
    #[error("the medium is whole already; nothing was changed")]
    Whole,
    /// Too long a part, or too many.
    #[error(
        "a part has 1 to {PART_MAX} bytes, a medium 1 to {PARTS_MAX} parts, and its type at most {KIND_MAX} plain characters"
    )]
    Form,
}

impl Explain for MediaError {
    fn code(&self) -> &'static str {
        match self {
            Self::Records(e) => e.code(),
            Self::Missing => "CLV-0304",
            Self::Whole | Self::Form => "CLV-0303",
            _ => "CLV-0306",
        }
    }
    fn fix(&self) -> &'static str {
        match self {
            Self::Records(e) => e.fix(),
            Self::Missing => "look at the person's list of media; an upload that did not end is begun again",
            Self::Whole => "begin another medium: one that is whole never changes",
            Self::Form => "divide it into parts, or name its type",
            _ => "check `vault.media` of enclave.toml, and that the store can be reached and has space",
        }
    }
    fn public(&self) -> &'static str {
        "the request cannot be answered now"
    }
}

/// The name of a medium: drawn, so that it says nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MediumId([u8; 16]);

impl MediumId {
    /// A new one.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn fresh() -> Result<Self, KeyError> {
        let mut id = [0; 16];
        keys::random(&mut id)?;
        Ok(Self(id))
    }

    /// Reads one: 32 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// [`MediaError::Missing`]: no medium has another name.
    pub fn parse(text: &str) -> Result<Self, MediaError> {
        let bytes = HEXLOWER.decode(text.as_bytes()).ok().and_then(|b| b.try_into().ok());
        bytes.map(Self).ok_or(MediaError::Missing)
    }
}

impl fmt::Display for MediumId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for MediumId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MediumId({self})")
    }
}

/// A medium that is whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Medium {
    /// Its media type (RFC 6838), as whoever brought it says.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its length.
    pub bytes: u64,
    /// Its parts.
    pub parts: u32,
}

impl Medium {
    fn fits(&self) -> bool {
        let plain = self.kind.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
        (1..=PARTS_MAX).contains(&self.parts) && self.bytes > 0 && plain && self.kind.len() <= KIND_MAX
    }
}

/// Whose, and which of theirs.
#[derive(Clone, Copy)]
pub struct Of<'a> {
    /// Where it is said what they have.
    pub records: &'a Records,
    /// The person.
    pub person: &'a Person,
    /// Their keys.
    pub keys: &'a PersonKeys,
}

impl Of<'_> {
    fn place(&self, id: MediumId, part: u32) -> Place {
        Place::from(format!("{}/{id}/{part:05}", folder(self.person.internal())))
    }

    fn aad(&self, id: MediumId, part: u32) -> Vec<u8> {
        [b"media\0".as_slice(), self.person.internal(), &id.0, &part.to_be_bytes()].concat()
    }
}

/// Where a person's objects are. The first two digits spread folders of files.
fn folder(internal: &[u8; 16]) -> String {
    let name = HEXLOWER.encode(internal);
    format!("{}/{name}", name.get(..2).unwrap_or_default())
}

impl Media {
    /// Keeps a part of a medium that is not whole yet, durably. The same bytes may come again, others may not.
    ///
    /// # Errors
    /// [`MediaError::Whole`]; [`MediaError::Form`]; what store and keys say.
    pub fn put(&self, of: Of<'_>, id: MediumId, part: u32, bytes: &[u8]) -> Result<(), MediaError> {
        if part >= PARTS_MAX || bytes.is_empty() || bytes.len() > PART_MAX {
            return Err(MediaError::Form);
        }
        if self.find(of, id)?.is_some() {
            return Err(MediaError::Whole);
        }
        let sealed = keys::seal(&of.keys.records, &of.aad(id, part), bytes)?;
        // INVARIANT: no part is written over, so that what was whole never changes, whoever comes late.
        if self.create(of.place(id, part), sealed)? || self.opened(of, id, part)? == bytes {
            return Ok(());
        }
        Err(MediaError::Whole)
    }

    fn opened(&self, of: Of<'_>, id: MediumId, part: u32) -> Result<Vec<u8>, MediaError> {
        let sealed =
            self.read(of.place(id, part), PART_MAX.saturating_add(64))?.ok_or(MediaError::Missing)?;
        Ok(keys::unseal(&of.keys.records, &of.aad(id, part), &sealed)?)
    }

    /// Says that a medium is whole: from here on it is there, and never changes.
    ///
    /// # Errors
    /// [`MediaError::Missing`] when a part is not there or the length is another; [`MediaError::Whole`]; what stores say.
    pub fn finish(
        &self,
        of: Of<'_>,
        id: MediumId,
        now: UnixSeconds,
        medium: &Medium,
    ) -> Result<(), MediaError> {
        if !medium.fits() {
            return Err(MediaError::Form);
        }
        let mut bytes = 0u64;
        for part in 0..medium.parts {
            let length = self.length(of.place(id, part))?.and_then(|n| n.checked_sub(SEAL));
            bytes = bytes.saturating_add(length.ok_or(MediaError::Missing)?);
        }
        if bytes != medium.bytes {
            return Err(MediaError::Missing);
        }
        let json = serde_json::to_vec(medium).map_err(|_| MediaError::Form)?;
        let record = name(id)?;
        let write =
            Write { collection: COLLECTION, id: &record, expect: Precondition::New, json: Some(&json) };
        match of.records.change(of.person, of.keys, now, &[write]) {
            Err(RecordError::Conflict) => Err(MediaError::Whole),
            other => Ok(other.map(|_| ())?),
        }
    }

    /// A medium that is whole.
    ///
    /// # Errors
    /// What the records say.
    pub fn find(&self, of: Of<'_>, id: MediumId) -> Result<Option<Medium>, MediaError> {
        let record = of.records.get(of.person, of.keys, COLLECTION, &name(id)?)?;
        record.map(|r| read(&r.json)).transpose()
    }

    /// What a person has, behind a medium, in the order of the names.
    ///
    /// # Errors
    /// What the records say.
    pub fn list(&self, of: Of<'_>, after: Option<MediumId>) -> Result<Vec<(MediumId, Medium)>, MediaError> {
        let after = after.map(name).transpose()?;
        let within = (COLLECTION, after.as_ref());
        let all = of.records.list(of.person, of.keys, within, LISTED_MAX, usize::MAX)?;
        all.iter().map(|(id, record)| Ok((MediumId::parse(id.as_str())?, read(&record.json)?))).collect()
    }

    /// One part.
    ///
    /// # Errors
    /// [`MediaError::Missing`]; a part that was swapped or changed does not open.
    pub fn part(&self, of: Of<'_>, id: MediumId, part: u32) -> Result<Vec<u8>, MediaError> {
        let medium = self.find(of, id)?.ok_or(MediaError::Missing)?;
        if part >= medium.parts {
            return Err(MediaError::Missing);
        }
        self.opened(of, id, part)
    }

    /// Removes a medium, whole or not: what says that it is there first, then its parts.
    ///
    /// # Errors
    /// [`MediaError::Missing`]; while a legal hold is on the person it stays; what stores say.
    pub fn remove(&self, of: Of<'_>, id: MediumId, now: UnixSeconds) -> Result<(), MediaError> {
        let was_whole = self.find(of, id)?.is_some();
        let record = name(id)?;
        let write = Write { collection: COLLECTION, id: &record, expect: Precondition::Any, json: None };
        // Also what is not whole stays while a hold is on the person.
        of.records.change(of.person, of.keys, now, &[write])?;
        let parts = self.delete_below(Place::from(format!("{}/{id}", folder(of.person.internal()))))?;
        if was_whole || parts > 0 { Ok(()) } else { Err(MediaError::Missing) }
    }

    /// Removes all objects of a person whose key is destroyed: they are noise already.
    ///
    /// # Errors
    /// What the store says; some may be gone.
    pub fn clear(&self, internal: &[u8; 16]) -> Result<u64, MediaError> {
        self.delete_below(Place::from(folder(internal)))
    }
}

fn name(id: MediumId) -> Result<RecordId, RecordError> {
    RecordId::parse(&id.to_string())
}

fn read(json: &[u8]) -> Result<Medium, MediaError> {
    serde_json::from_slice(json).map_err(|_| MediaError::Records(RecordError::Form))
}
