//! The JSON of a history, read strictly.

use data_encoding::{BASE64, HEXLOWER};
use jiff::{civil::Date, tz::TimeZone};
use serde::Deserialize;

use super::{HistoryError, Pair};
use crate::{
    bundle::ENTRY_BYTES_MAX,
    daymap::{DAY_SECONDS, LEAF_BYTES},
    hash::{Hash, sha256},
    siteleaf::SITE_LEAF_BYTES_MAX,
};

/// A history of a year is a megabyte.
const FILE_BYTES_MAX: usize = 256 << 20;
/// A proof in a tree of 2^64 leaves.
const PROOF_MAX: usize = 64;
const FORMAT: &str = "clover subject history v1";

/// A history whose parts are decoded, and not yet checked.
pub(super) struct History {
    pub(super) log_set: String,
    pub(super) tag_key: [u8; 32],
    /// Days since 1970-01-01.
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) checkpoint: String,
    pub(super) anchor: Option<Placed>,
    pub(super) calendar: Vec<[u8; LEAF_BYTES]>,
    pub(super) interim: Option<Placed>,
    pub(super) days: Vec<Found>,
    pub(super) entries: Vec<EntryProof>,
}

/// A leaf and where it stands.
pub(super) struct Placed {
    pub(super) index: u64,
    pub(super) leaf: Vec<u8>,
    pub(super) proof: Vec<Hash>,
}

/// What the file says of a day.
pub(super) struct Found {
    pub(super) day: u64,
    pub(super) proof: DayProof,
}

pub(super) enum DayProof {
    Present(Presence),
    Absent(Absence),
    /// Before the first record.
    Outside,
}

pub(super) struct Presence {
    pub(super) index: u64,
    pub(super) list: Vec<Pair>,
    pub(super) proof: Vec<Hash>,
}

pub(super) struct Absence {
    pub(super) low: Placed,
    pub(super) high: Placed,
}

pub(super) struct EntryProof {
    pub(super) origin: String,
    pub(super) placed: Placed,
}

impl EntryProof {
    /// How lists name this entry.
    pub(super) fn pair(&self) -> Pair {
        let mut pair = [0; 16];
        if let ([gateway, index], _) = pair.as_chunks_mut::<8>() {
            *gateway = sha256(self.origin.as_bytes()).first_chunk().copied().unwrap_or_default();
            *index = self.placed.index.to_be_bytes();
        }
        pair
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHistory {
    format: String,
    log_set: String,
    tag_key: String,
    from: String,
    to: String,
    checkpoint: String,
    anchor: Option<RawPlaced>,
    calendar: Option<String>,
    interim: Option<RawPlaced>,
    days: Vec<RawDay>,
    entries: Vec<RawEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPlaced {
    index: u64,
    leaf: String,
    proof: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDay {
    day: String,
    present: Option<RawPresent>,
    absent: Option<RawAbsent>,
    outside: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPresent {
    index: u64,
    list: String,
    proof: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawAbsent {
    low: RawPlaced,
    high: RawPlaced,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    origin: String,
    index: u64,
    leaf: String,
    proof: Vec<String>,
}

type Result<T> = std::result::Result<T, HistoryError>;

impl History {
    pub(super) fn parse(file: &[u8]) -> Result<Self> {
        if file.len() > FILE_BYTES_MAX {
            return Err(form("it is too long"));
        }
        // Where, and not what: the file is about a person.
        let raw: RawHistory = serde_json::from_slice(file).map_err(|error| {
            form(&format!("line {}, column {} is not as the page says", error.line(), error.column()))
        })?;
        if raw.format != FORMAT {
            return Err(form("the format is another"));
        }
        if raw.anchor.is_some() != raw.calendar.is_some() {
            return Err(form("anchor and calendar are not both there"));
        }
        let (from, to) = (day(&raw.from)?, day(&raw.to)?);
        if from > to {
            return Err(form("the period ends before it begins"));
        }
        let tag_key = HEXLOWER.decode(raw.tag_key.as_bytes()).ok().and_then(|key| key.try_into().ok());
        let site = |placed: RawPlaced| placed.read(SITE_LEAF_BYTES_MAX);
        Ok(Self {
            log_set: raw.log_set,
            tag_key: tag_key.ok_or_else(|| form("the tag key is not 64 hexadecimal digits"))?,
            from,
            to,
            checkpoint: raw.checkpoint,
            anchor: raw.anchor.map(site).transpose()?,
            calendar: chunks(&raw.calendar.unwrap_or_default(), "calendar")?,
            interim: raw.interim.map(site).transpose()?,
            days: raw.days.into_iter().map(RawDay::read).collect::<Result<_>>()?,
            entries: raw.entries.into_iter().map(RawEntry::read).collect::<Result<_>>()?,
        })
    }
}

impl RawPlaced {
    fn read(self, longest: usize) -> Result<Placed> {
        let leaf = base64(&self.leaf, "leaf")?;
        if leaf.len() > longest {
            return Err(form("a leaf is too long"));
        }
        Ok(Placed { index: self.index, leaf, proof: hashes(&self.proof)? })
    }
}

impl RawDay {
    fn read(self) -> Result<Found> {
        let proof = match (self.present, self.absent, self.outside) {
            (Some(present), None, None) => DayProof::Present(Presence {
                index: present.index,
                list: chunks(&present.list, "list")?,
                proof: hashes(&present.proof)?,
            }),
            (None, Some(absent), None) => DayProof::Absent(Absence {
                low: absent.low.read(LEAF_BYTES)?,
                high: absent.high.read(LEAF_BYTES)?,
            }),
            (None, None, Some(true)) => DayProof::Outside,
            _ => return Err(form("a day has not just one proof")),
        };
        Ok(Found { day: day(&self.day)?, proof })
    }
}

impl RawEntry {
    fn read(self) -> Result<EntryProof> {
        let placed = RawPlaced { index: self.index, leaf: self.leaf, proof: self.proof };
        Ok(EntryProof { origin: self.origin, placed: placed.read(ENTRY_BYTES_MAX)? })
    }
}

fn form(why: &str) -> HistoryError {
    HistoryError::Form(why.to_owned())
}

fn base64(text: &str, what: &str) -> Result<Vec<u8>> {
    BASE64.decode(text.as_bytes()).map_err(|_| form(&format!("a {what} is not base64")))
}

fn chunks<const N: usize>(text: &str, what: &str) -> Result<Vec<[u8; N]>> {
    let bytes = base64(text, what)?;
    match bytes.as_chunks() {
        (chunks, []) => Ok(chunks.to_vec()),
        _ => Err(form(&format!("a {what} has a wrong length"))),
    }
}

fn hashes(texts: &[String]) -> Result<Vec<Hash>> {
    if texts.len() > PROOF_MAX {
        return Err(form("a proof is too long"));
    }
    let hash = |text: &String| crate::checkpoint::hash(text).ok_or_else(|| form("a hash is malformed"));
    texts.iter().map(hash).collect()
}

fn day(text: &str) -> Result<u64> {
    day_of_date(text).ok_or_else(|| form("a day is not of the form `YYYY-MM-DD`"))
}

/// The number of a day, counted from 1970-01-01 UTC; only the form `YYYY-MM-DD` is taken.
#[must_use]
pub fn day_of_date(text: &str) -> Option<u64> {
    let day: Date = text.parse().ok()?;
    let start = day.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second();
    let days = u64::try_from(start).ok()? / DAY_SECONDS;
    (date(days) == text).then_some(days)
}

/// `YYYY-MM-DD`.
pub(crate) fn date(day: u64) -> String {
    let instant = super::words::instant(day.saturating_mul(DAY_SECONDS));
    instant.split('T').next().unwrap_or_default().to_owned()
}
