//! A leaf of the site log, read strictly (`docs/formats/site-log.md`).

use crate::{
    cbor::{CborError, Reader},
    codes::{is_country, purpose_word},
    hash::Hash,
    header::Tag,
};

/// The fixed part of a leaf.
const FIXED_BYTES: usize = 32;
const BODY_BYTES_MAX: usize = 65_000;
/// The longest leaf.
pub(crate) const SITE_LEAF_BYTES_MAX: usize = FIXED_BYTES + BODY_BYTES_MAX;
/// No text is longer, but for the note of an override.
const TEXT_BYTES_MAX: usize = 500;
/// Folders in a prefix.
const PREFIX_PARTS_MAX: usize = 4;
/// The prefix of the site's own log.
pub(crate) const SITE_PREFIX: &str = "site";

/// One leaf of a site log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SiteLeaf {
    /// First 8 bytes of SHA-256 of the site log's origin.
    pub(crate) log: [u8; 8],
    pub(crate) sequence: u64,
    /// Unix seconds.
    pub(crate) time: u64,
    pub(crate) body: SiteBody,
}

/// What a leaf records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SiteBody {
    /// The newest checkpoint of every enrolled log, ascending by origin.
    Round(Vec<RoundLine>),
    /// The whole list of logs from here on, ascending by origin.
    Enrolment(Vec<Enrolled>),
    DayMap(DayMapEntry),
    /// Digest of the rulebook in force from here on.
    Activation(Hash),
    /// The signed order (`docs/formats/override.md`).
    Override(String),
    Sample(SampleEntry),
    /// The last that is said of a log: it ends so, and is enrolled no more.
    Retirement(RoundLine),
    /// Something was done to a request for access.
    Access(Box<AccessEntry>),
}

/// The checkpoint of one log in a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RoundLine {
    pub(crate) origin: String,
    pub(crate) size: u64,
    pub(crate) root: Hash,
}

/// One log of the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Enrolled {
    pub(crate) origin: String,
    /// The C2SP text of the log's key, not yet parsed.
    pub(crate) vkey: String,
    pub(crate) role: Role,
    /// Where the log lies below the base URL; safe to use as a relative path.
    pub(crate) prefix: String,
}

/// What writes a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Gateway,
    KeyService,
}

/// What a day-map entry claims (`docs/formats/day-map.md`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DayMapEntry {
    /// Days since 1970-01-01 UTC.
    pub(crate) day: u64,
    pub(crate) is_final: bool,
    pub(crate) root: Hash,
    /// Sentinels not counted.
    pub(crate) tags: u64,
    pub(crate) pairs: u64,
    /// Ascending by origin.
    pub(crate) inputs: Vec<DayMapInput>,
    pub(crate) calendar_root: Hash,
    pub(crate) calendar_records: u64,
}

/// The entries `from` ≤ index < `to` of one gateway's log, whose root at size `to` is `root`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DayMapInput {
    pub(crate) origin: String,
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) root: Hash,
}

/// Which entries the auditor had opened (`docs/formats/samples.md`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SampleEntry {
    pub(crate) origin: String,
    /// Size of the checkpoint that chose.
    pub(crate) size: u64,
    /// Ascending.
    pub(crate) indices: Vec<u64>,
}

/// Keyed pseudonym, employer and country of whoever acted.
pub(crate) type By = (Tag, String, String);

/// One act on a request for access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccessEntry {
    /// 1 ask, 2 approve, 3 deny, 4 withdraw, 5 revoke, 6 time-out, 7 escalate, 8 review.
    pub(crate) act: u64,
    pub(crate) request: Tag,
    pub(crate) number: u64,
    /// 1 waiting, 2 granted, 3 denied, 4 timed out, 5 withdrawn, 6 revoked.
    pub(crate) state: u64,
    pub(crate) by: Option<By>,
    pub(crate) requester: Tag,
    pub(crate) step: u64,
    /// 1 grant, 2 case, 3 break-glass.
    pub(crate) ground: u64,
    pub(crate) purpose: u16,
    pub(crate) dataset: String,
    pub(crate) procedure: String,
    /// Rows, bytes, people.
    pub(crate) amount: [u64; 3],
    pub(crate) asked_at: u64,
    pub(crate) step_began: u64,
    /// From when and until when it serves; zeros unless granted.
    pub(crate) serves: (u64, u64),
    pub(crate) decoy: bool,
    pub(crate) rulebook: Hash,
}

/// Why bytes are no leaf of a site log.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum SiteLeafError {
    #[error("the leaf's {0}")]
    Fixed(&'static str),
    #[error("the leaf's body is longer than 65000 bytes")]
    Long,
    #[error("the leaf's body is refused: {0}")]
    Body(#[from] CborError),
}

type Result<T> = std::result::Result<T, SiteLeafError>;

impl SiteLeaf {
    /// Reads a leaf.
    pub(crate) fn parse(leaf: &[u8]) -> Result<Self> {
        let short = SiteLeafError::Fixed("length is less than 32 bytes");
        let Some((fixed, body)) = leaf.split_first_chunk::<FIXED_BYTES>() else { return Err(short) };
        let ([head, log, sequence, time], []) = fixed.as_chunks::<8>() else { return Err(short) };
        let [b'C', b'L', b'V', b'S', version, kind, zeros @ ..] = head else {
            return Err(SiteLeafError::Fixed("magic is not `CLVS`"));
        };
        if *version != 1 {
            return Err(SiteLeafError::Fixed("version is not 1"));
        }
        if *zeros != [0; 2] {
            return Err(SiteLeafError::Fixed("bytes 6 and 7 are not zero"));
        }
        if body.len() > BODY_BYTES_MAX {
            return Err(SiteLeafError::Long);
        }
        let mut reader = Reader::new(body);
        let body = read_body(*kind, &mut reader)?;
        reader.end()?;
        let (sequence, time) = (u64::from_be_bytes(*sequence), u64::from_be_bytes(*time));
        Ok(Self { log: *log, sequence, time, body })
    }
}

fn read_body(kind: u8, reader: &mut Reader<'_>) -> Result<SiteBody> {
    let mut body = Body::open(reader)?;
    Ok(match kind {
        1 => {
            body.key(0)?;
            let lines = body.list(read_round_line)?;
            body.ascending(&lines, |line| &line.origin)?;
            SiteBody::Round(body.close(lines)?)
        }
        2 => {
            body.key(0)?;
            let logs = body.list(read_enrolled)?;
            body.ascending(&logs, |log| &log.origin)?;
            if !prefixes_are_apart(&logs) {
                return Err(CborError::Value("URL prefix").into());
            }
            SiteBody::Enrolment(body.close(logs)?)
        }
        3 => SiteBody::DayMap(read_day_map(body)?),
        4 => {
            body.key(0)?;
            let digest = body.reader.bytes()?;
            SiteBody::Activation(body.close(digest)?)
        }
        5 => {
            body.key(0)?;
            let note = body.reader.text()?.to_owned();
            SiteBody::Override(body.close(note)?)
        }
        6 => {
            body.key(0)?;
            let origin = text(body.reader)?;
            body.key(1)?;
            let size = body.reader.unsigned()?;
            body.key(2)?;
            let indices = body.list(|reader| Ok(reader.unsigned()?))?;
            body.ascending(&indices, |index| index)?;
            SiteBody::Sample(body.close(SampleEntry { origin, size, indices })?)
        }
        7 => {
            body.key(0)?;
            let origin = text(body.reader)?;
            body.key(1)?;
            let size = body.reader.unsigned()?;
            body.key(2)?;
            let root = body.reader.bytes()?;
            SiteBody::Retirement(body.close(RoundLine { origin, size, root })?)
        }
        9 => SiteBody::Access(Box::new(read_access(body)?)),
        _ => return Err(SiteLeafError::Fixed("kind is unknown")),
    })
}

/// The highest act, state, ground and step, and the most acts of a request.
const ACTS: u64 = 8;
const STATES: u64 = 6;
const GROUNDS: u64 = 3;
const STEPS: u64 = 8;
const ACTS_OF_ONE: u64 = 64;

fn read_access(mut body: Body<'_, '_>) -> Result<AccessEntry> {
    body.key(0)?;
    let act = body.reader.unsigned()?;
    body.key(1)?;
    let request = body.reader.bytes()?;
    body.key(2)?;
    let number = body.reader.unsigned()?;
    body.key(3)?;
    let state = body.reader.unsigned()?;
    body.key(4)?;
    let by = match body.reader.array()? {
        0 => None,
        3 => Some((body.reader.bytes()?, name(body.reader)?, country(body.reader)?)),
        _ => return Err(CborError::Type.into()),
    };
    body.key(5)?;
    let requester = body.reader.bytes()?;
    body.key(6)?;
    let step = body.reader.unsigned()?;
    body.key(7)?;
    tuple(body.reader, 4)?;
    let (ground, purpose) = (body.reader.unsigned()?, body.reader.unsigned()?);
    let (dataset, procedure) = (name(body.reader)?, name(body.reader)?);
    body.key(8)?;
    tuple(body.reader, 3)?;
    let amount = [body.reader.unsigned()?, body.reader.unsigned()?, body.reader.unsigned()?];
    body.key(9)?;
    tuple(body.reader, 4)?;
    let (asked_at, step_began) = (body.reader.unsigned()?, body.reader.unsigned()?);
    let serves = (body.reader.unsigned()?, body.reader.unsigned()?);
    body.key(10)?;
    let decoy = body.reader.boolean()?;
    body.key(11)?;
    let rulebook = body.reader.bytes()?;
    let known = u16::try_from(purpose).ok().filter(|code| purpose_word(*code).is_some());
    let Some(purpose) = known else { return Err(CborError::Value("purpose").into()) };
    let in_range = (1..=ACTS).contains(&act)
        && (1..=STATES).contains(&state)
        && (1..=GROUNDS).contains(&ground)
        && step < STEPS
        && number < ACTS_OF_ONE;
    // Time alone times out and escalates, and does nothing else; what does not serve has no times.
    let by_time = matches!(act, 6 | 7) == by.is_none();
    let times = if state == 2 { serves.0 < serves.1 } else { serves == (0, 0) };
    if !in_range || !by_time || !times {
        return Err(CborError::Value("act on a request").into());
    }
    let entry = AccessEntry {
        act,
        request,
        number,
        state,
        by,
        requester,
        step,
        ground,
        purpose,
        dataset,
        procedure,
        amount,
        asked_at,
        step_began,
        serves,
        decoy,
        rulebook,
    };
    body.close(entry)
}

/// 1 to 64 of `A-Z a-z 0-9 - _ .`, beginning with a letter or digit.
fn name(reader: &mut Reader<'_>) -> Result<String> {
    let text = reader.text()?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let good = text.len() <= 64
        && text.bytes().all(plain)
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if good { Ok(text.to_owned()) } else { Err(CborError::Value("name").into()) }
}

fn country(reader: &mut Reader<'_>) -> Result<String> {
    let text = reader.text()?;
    if is_country(text.as_bytes()) { Ok(text.to_owned()) } else { Err(CborError::Value("country").into()) }
}

fn read_day_map(mut body: Body<'_, '_>) -> Result<DayMapEntry> {
    body.key(0)?;
    let day = body.reader.unsigned()?;
    // The record of the day has four bytes for it.
    if u32::try_from(day).is_err() {
        return Err(CborError::Value("day").into());
    }
    body.key(1)?;
    let is_final = body.reader.boolean()?;
    body.key(2)?;
    let root = body.reader.bytes()?;
    body.key(3)?;
    let tags = body.reader.unsigned()?;
    body.key(4)?;
    let pairs = body.reader.unsigned()?;
    body.key(5)?;
    let inputs = body.list(read_input)?;
    body.ascending(&inputs, |input| &input.origin)?;
    body.key(6)?;
    let calendar_root = body.reader.bytes()?;
    body.key(7)?;
    let calendar_records = body.reader.unsigned()?;
    let entry = DayMapEntry { day, is_final, root, tags, pairs, inputs, calendar_root, calendar_records };
    body.close(entry)
}

fn read_round_line(reader: &mut Reader<'_>) -> Result<RoundLine> {
    tuple(reader, 3)?;
    Ok(RoundLine { origin: text(reader)?, size: reader.unsigned()?, root: reader.bytes()? })
}

fn read_enrolled(reader: &mut Reader<'_>) -> Result<Enrolled> {
    tuple(reader, 4)?;
    let (origin, vkey) = (text(reader)?, text(reader)?);
    let role = match reader.unsigned()? {
        1 => Role::Gateway,
        2 => Role::KeyService,
        _ => return Err(CborError::Value("role").into()),
    };
    let prefix = text(reader)?;
    if !prefix_is_good(&prefix) {
        return Err(CborError::Value("URL prefix").into());
    }
    Ok(Enrolled { origin, vkey, role, prefix })
}

fn read_input(reader: &mut Reader<'_>) -> Result<DayMapInput> {
    tuple(reader, 4)?;
    let input = DayMapInput {
        origin: text(reader)?,
        from: reader.unsigned()?,
        to: reader.unsigned()?,
        root: reader.bytes()?,
    };
    if input.from > input.to {
        return Err(CborError::Value("range of an input").into());
    }
    Ok(input)
}

fn tuple(reader: &mut Reader<'_>, length: u64) -> Result<()> {
    if reader.array()? == length { Ok(()) } else { Err(CborError::Type.into()) }
}

fn text(reader: &mut Reader<'_>) -> Result<String> {
    let text = reader.text()?;
    if text.is_empty() || text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(CborError::Value("text").into());
    }
    Ok(text.to_owned())
}

/// A prefix becomes a path on the auditor's disk and a path of a URL: nothing in it may mean more than a name.
fn prefix_is_good(prefix: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let part_is_good = |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(plain);
    prefix.split('/').count() <= PREFIX_PARTS_MAX && prefix.split('/').all(part_is_good)
}

/// No tree may lie within another, and none where the site's own log lies.
fn prefixes_are_apart(logs: &[Enrolled]) -> bool {
    let mut paths: Vec<Vec<&str>> = logs.iter().map(|log| log.prefix.split('/').collect()).collect();
    paths.push(vec![SITE_PREFIX]);
    // Sorted by their parts, whatever begins with a path follows it.
    paths.sort_unstable();
    paths.is_sorted_by(|left, right| !right.starts_with(left))
}

/// The map of a body: its keys are read one by one, and no other may follow.
struct Body<'r, 'a> {
    reader: &'r mut Reader<'a>,
    keys: crate::cbor::Keys,
}

impl<'r, 'a> Body<'r, 'a> {
    fn open(reader: &'r mut Reader<'a>) -> Result<Self> {
        let keys = reader.map()?;
        Ok(Self { reader, keys })
    }

    fn key(&mut self, expected: u64) -> Result<()> {
        match self.keys.next(self.reader)? {
            Some(key) if key == expected => Ok(()),
            Some(key) if key < expected => Err(CborError::UnknownKey("the body", key).into()),
            _ => Err(CborError::AbsentKey("the body", expected).into()),
        }
    }

    /// Checks that no key follows, and returns `value`.
    fn close<T>(mut self, value: T) -> Result<T> {
        match self.keys.next(self.reader)? {
            None => Ok(value),
            Some(key) => Err(CborError::UnknownKey("the body", key).into()),
        }
    }

    fn list<T>(&mut self, mut item: impl FnMut(&mut Reader<'a>) -> Result<T>) -> Result<Vec<T>> {
        // The count is a stranger's word: it reserves nothing.
        let mut items = Vec::new();
        for _ in 0..self.reader.array()? {
            items.push(item(self.reader)?);
        }
        Ok(items)
    }

    fn ascending<T, K: Ord + ?Sized>(&self, items: &[T], key: impl Fn(&T) -> &K) -> Result<()> {
        if items.is_sorted_by(|left, right| key(left) < key(right)) {
            return Ok(());
        }
        Err(CborError::Order("items of a list").into())
    }
}

#[cfg(test)]
mod tests;
