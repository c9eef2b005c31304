//! The bytes of a history, read strictly.

use jiff::{civil::Date, tz::TimeZone};

use super::Pair;
use crate::{
    bundle::ENTRY_BYTES_MAX,
    cbor::{CborError, Keys, Reader},
    daymap::{DAY_SECONDS, LEAF_BYTES},
    hash::Hash,
    siteleaf::SITE_LEAF_BYTES_MAX,
};

/// A history of a year is a megabyte at most.
const FILE_BYTES_MAX: usize = 256 << 20;
const DAYS_MAX: u64 = 3_660;
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
    /// One for each day of the period.
    pub(super) days: Vec<Found>,
    pub(super) logs: Vec<LogProof>,
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

/// Two neighbours, and one proof for both.
pub(super) struct Absence {
    /// Of the first.
    pub(super) index: u64,
    pub(super) low: [u8; LEAF_BYTES],
    pub(super) high: [u8; LEAF_BYTES],
    pub(super) proof: Vec<Hash>,
}

/// The entries of one log that the days name, and one proof for all.
pub(super) struct LogProof {
    pub(super) origin: String,
    pub(super) leaves: Vec<Vec<u8>>,
    pub(super) proof: Vec<Hash>,
}

type Result<T> = std::result::Result<T, CborError>;

impl History {
    pub(super) fn parse(file: &[u8]) -> Result<Self> {
        if file.len() > FILE_BYTES_MAX {
            return Err(CborError::Value("length of the file"));
        }
        let mut members = Members::open(file)?;
        if members.must(0, Reader::text)? != FORMAT {
            return Err(CborError::Value("format"));
        }
        let log_set = members.must(1, Reader::text)?.to_owned();
        let tag_key = members.must(2, Reader::bytes)?;
        let (from, to) = (members.must(3, Reader::unsigned)?, members.must(4, Reader::unsigned)?);
        // The tag of a day has four bytes for it.
        let period = u32::try_from(to).is_ok() && to.checked_sub(from).is_some_and(|days| days < DAYS_MAX);
        if !period {
            return Err(CborError::Value("period"));
        }
        let checkpoint = members.must(5, Reader::text)?.to_owned();
        let anchor = members.may(6, placed)?;
        let calendar = members.may(7, chunks)?;
        if anchor.is_some() != calendar.is_some() {
            return Err(CborError::Value("calendar without its anchor, or anchor without its calendar,"));
        }
        let interim = members.may(8, placed)?;
        let proofs = members.must(9, |reader| list(reader, day))?;
        if proofs.len() as u64 != to - from + 1 {
            return Err(CborError::Value("number of days"));
        }
        let days = (from..=to).zip(proofs).map(|(day, proof)| Found { day, proof }).collect();
        let logs = members.must(10, |reader| list(reader, log))?;
        members.end()?;
        let calendar = calendar.unwrap_or_default();
        Ok(Self { log_set, tag_key, from, to, checkpoint, anchor, calendar, interim, days, logs })
    }
}

/// The members of the file, read in the order of their keys.
struct Members<'a> {
    reader: Reader<'a>,
    keys: Keys,
    next: Option<u64>,
}

impl<'a> Members<'a> {
    fn open(file: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(file);
        let mut keys = reader.map()?;
        let next = keys.next(&mut reader)?;
        Ok(Self { reader, keys, next })
    }

    fn may<T>(&mut self, key: u64, read: impl FnOnce(&mut Reader<'a>) -> Result<T>) -> Result<Option<T>> {
        if self.next != Some(key) {
            return Ok(None);
        }
        let value = read(&mut self.reader)?;
        self.next = self.keys.next(&mut self.reader)?;
        Ok(Some(value))
    }

    fn must<T>(&mut self, key: u64, read: impl FnOnce(&mut Reader<'a>) -> Result<T>) -> Result<T> {
        self.may(key, read)?.ok_or(CborError::AbsentKey("the history", key))
    }

    fn end(self) -> Result<()> {
        match self.next {
            Some(key) => Err(CborError::UnknownKey("the history", key)),
            None => self.reader.end(),
        }
    }
}

fn list<T>(reader: &mut Reader<'_>, item: impl Fn(&mut Reader<'_>) -> Result<T>) -> Result<Vec<T>> {
    // The count is a stranger's word: it reserves nothing.
    let mut items = Vec::new();
    for _ in 0..reader.array()? {
        items.push(item(reader)?);
    }
    Ok(items)
}

fn chunks<const N: usize>(reader: &mut Reader<'_>) -> Result<Vec<[u8; N]>> {
    match reader.byte_string(FILE_BYTES_MAX)?.as_chunks() {
        (chunks, []) => Ok(chunks.to_vec()),
        _ => Err(CborError::Value("length of a byte string")),
    }
}

fn placed(reader: &mut Reader<'_>) -> Result<Placed> {
    parts(reader, 3)?;
    let (index, leaf) = (reader.unsigned()?, reader.byte_string(SITE_LEAF_BYTES_MAX)?.to_vec());
    Ok(Placed { index, leaf, proof: chunks(reader)? })
}

fn day(reader: &mut Reader<'_>) -> Result<DayProof> {
    match reader.array()? {
        0 => Ok(DayProof::Outside),
        3 => {
            let (index, list) = (reader.unsigned()?, chunks(reader)?);
            Ok(DayProof::Present(Presence { index, list, proof: chunks(reader)? }))
        }
        4 => {
            let (index, low, high) = (reader.unsigned()?, reader.bytes()?, reader.bytes()?);
            Ok(DayProof::Absent(Absence { index, low, high, proof: chunks(reader)? }))
        }
        _ => Err(CborError::Value("number of parts of a day")),
    }
}

fn log(reader: &mut Reader<'_>) -> Result<LogProof> {
    parts(reader, 3)?;
    let origin = reader.text()?.to_owned();
    let leaves = list(reader, |reader| Ok(reader.byte_string(ENTRY_BYTES_MAX)?.to_vec()))?;
    Ok(LogProof { origin, leaves, proof: chunks(reader)? })
}

fn parts(reader: &mut Reader<'_>, count: u64) -> Result<()> {
    if reader.array()? == count { Ok(()) } else { Err(CborError::Type) }
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
