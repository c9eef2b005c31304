//! The leaf: a fixed 256-byte header and a block of facts. Byte form: `docs/formats/entry.md`.

use aws_lc_rs::digest;
use model::{Country, DataClass, Digest, Direction, FlowId, Purpose, Reason, Tag, Treatment, UnixSeconds};

use crate::merkle::{self, Hash};

/// Length of a header in bytes.
pub const HEADER_LEN: usize = 256;
/// Longest facts block in bytes.
pub const FACTS_MAX: usize = 4096;
/// Most tags that stand in the header itself.
pub const INLINE_TAGS: usize = 4;

const MAGIC: &[u8; 4] = b"CLV1";
const VERSION: u8 = 1;

/// What an entry records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A buffered crossing with its outcome.
    Answer,
    /// A refusal.
    Refusal,
    /// A batch of imported subjects.
    Import,
    /// A rulebook became active.
    Activation,
    /// The border opened again after it was closed.
    Border,
}

impl EntryKind {
    const ALL: [Self; 5] = [Self::Answer, Self::Refusal, Self::Import, Self::Activation, Self::Border];

    /// The stable number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Answer => 1,
            Self::Refusal => 2,
            Self::Import => 3,
            Self::Activation => 4,
            Self::Border => 5,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.code() == code)
    }
}

/// Whose data a crossing touches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subjects {
    /// Nobody's is named.
    None,
    /// These people, as keyed pseudonyms: sorted and distinct. Up to four stand in the header, more in
    /// a side record addressed by its root.
    Tags(Vec<Tag>),
    /// Everybody: aggregates over the whole population.
    Population,
}

impl Subjects {
    /// Sorts and de-duplicates.
    #[must_use]
    pub fn of(mut tags: Vec<Tag>) -> Self {
        tags.sort_unstable();
        tags.dedup();
        if tags.is_empty() { Self::None } else { Self::Tags(tags) }
    }

    /// The tags, if any are named.
    #[must_use]
    pub fn tags(&self) -> &[Tag] {
        if let Self::Tags(tags) = self { tags } else { &[] }
    }

    /// The side record that this needs: its root and its bytes.
    #[must_use]
    pub fn side_record(&self) -> Option<(Hash, Vec<u8>)> {
        let Self::Tags(tags) = self else { return None };
        (tags.len() > INLINE_TAGS).then(|| (tag_root(tags), tags.iter().flat_map(|t| *t.bytes()).collect()))
    }
}

fn tag_root(tags: &[Tag]) -> Hash {
    let mut tree = merkle::Frontier::new();
    for t in tags {
        tree.push(merkle::leaf_hash(t.bytes()));
    }
    tree.root()
}

/// An entry before the sequencer gives it its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What it records.
    pub kind: EntryKind,
    /// Which way data moves.
    pub direction: Direction,
    /// When.
    pub time: UnixSeconds,
    /// Which crossing.
    pub flow: FlowId,
    /// Under which rulebook.
    pub rulebook: Digest,
    /// Why.
    pub purpose: Purpose,
    /// Where the actor is.
    pub place: Country,
    /// Where the data goes.
    pub destination: Country,
    /// Classes released.
    pub classes: Vec<DataClass>,
    /// Treatments used.
    pub treatments: Vec<Treatment>,
    /// Why refused.
    pub reason: Reason,
    /// Values withheld because personal data was found in them.
    pub findings: u16,
    /// Bytes that the receipt releases.
    pub bytes: u64,
    /// Records in the payload.
    pub rows: u32,
    /// SHA-256 of the sealed detail record; zero if none.
    pub detail: Digest,
    /// Who, as a keyed pseudonym.
    pub actor: Tag,
    /// Whose, as keyed pseudonyms.
    pub subjects: Subjects,
    /// First 8 bytes of SHA-256 of the lane's name.
    pub lane: [u8; 8],
    /// The facts block, already in deterministic CBOR; may be empty.
    pub facts: Vec<u8>,
}

/// First 8 bytes of SHA-256 of a name, as headers carry it for gateways and lanes.
#[must_use]
pub fn short_name(name: &str) -> [u8; 8] {
    let d = digest::digest(&digest::SHA256, name.as_bytes());
    let mut short = [0; 8];
    short.iter_mut().zip(d.as_ref()).for_each(|(s, d)| *s = *d);
    short
}

/// What the header of an entry says besides the draft: where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Which log, as [`short_name`] of its origin.
    pub gateway: [u8; 8],
    /// Which leaf.
    pub sequence: u64,
    /// What it records. After decoding, a tag list that is not inline is left empty.
    pub draft: Draft,
    /// The root of the tag list, if the tags are not inline.
    pub tag_root: Option<Hash>,
    /// How many people the tags name.
    pub subject_count: u32,
}

/// Bytes that are not an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Shorter than a header, or longer than header and facts may be.
    #[error("an entry of `{0}` bytes is not between 256 and 4352")]
    Length(usize),
    /// A field whose value no writer of version 1 writes.
    #[error("the header's `{0}` is not of version 1")]
    Field(&'static str),
}

impl Draft {
    /// Writes the leaf for its place in a log.
    #[must_use]
    pub fn encode(&self, gateway: [u8; 8], sequence: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_LEN + self.facts.len());
        let released = self.kind != EntryKind::Refusal;
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[
            VERSION,
            self.kind.code(),
            self.direction.code(),
            if released { 1 } else { 2 },
        ]);
        out.extend_from_slice(&gateway);
        out.extend_from_slice(&sequence.to_be_bytes());
        out.extend_from_slice(&self.time.0.to_be_bytes());
        out.extend_from_slice(self.flow.bytes());
        out.extend_from_slice(self.rulebook.bytes());
        out.extend_from_slice(&self.purpose.code().to_be_bytes());
        out.extend_from_slice(&self.place.bytes());
        out.extend_from_slice(&self.destination.bytes());
        out.push(self.classes.iter().fold(0, |set, c| set | c.code()));
        out.push(self.treatments.iter().fold(0, |set, t| set | t.code()));
        out.extend_from_slice(&self.reason.code().to_be_bytes());
        out.extend_from_slice(&self.findings.to_be_bytes());
        let tags = self.subjects.tags();
        out.extend_from_slice(&u32::try_from(tags.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(&self.bytes.to_be_bytes());
        out.extend_from_slice(&self.rows.to_be_bytes());
        out.extend_from_slice(self.detail.bytes());
        out.extend_from_slice(self.actor.bytes());
        self.encode_subjects(&mut out);
        out.extend_from_slice(&self.lane);
        out.resize(HEADER_LEN, 0);
        out.extend_from_slice(&self.facts);
        out
    }

    fn encode_subjects(&self, out: &mut Vec<u8>) {
        let tags = self.subjects.tags();
        let mut block = Vec::with_capacity(64);
        let (mode, count) = match &self.subjects {
            Subjects::None => (0, 0),
            Subjects::Population => (3, 0),
            Subjects::Tags(_) if tags.len() <= INLINE_TAGS => {
                tags.iter().for_each(|t| block.extend_from_slice(t.bytes()));
                (1, tags.len())
            }
            Subjects::Tags(_) => {
                block.extend_from_slice(tag_root(tags).as_bytes());
                (2, 0)
            }
        };
        block.resize(64, 0);
        out.extend_from_slice(&[mode, u8::try_from(count).unwrap_or(0), 0, 0]);
        out.extend_from_slice(&block);
    }
}

/// Takes fixed-length pieces off a slice.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], EntryError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(EntryError::Length(self.0.len()))?;
        self.0 = rest;
        Ok(*head)
    }

    fn u8(&mut self) -> Result<u8, EntryError> {
        Ok(u8::from_be_bytes(self.take()?))
    }

    fn u16(&mut self) -> Result<u16, EntryError> {
        Ok(u16::from_be_bytes(self.take()?))
    }

    fn u32(&mut self) -> Result<u32, EntryError> {
        Ok(u32::from_be_bytes(self.take()?))
    }

    fn u64(&mut self) -> Result<u64, EntryError> {
        Ok(u64::from_be_bytes(self.take()?))
    }

    fn country(&mut self, field: &'static str) -> Result<Country, EntryError> {
        let bytes: [u8; 2] = self.take()?;
        std::str::from_utf8(&bytes).ok().and_then(|t| Country::parse(t).ok()).ok_or(EntryError::Field(field))
    }
}

fn set_of<T: Copy>(
    bits: u8,
    all: &[T],
    code: impl Fn(T) -> u8,
    field: &'static str,
) -> Result<Vec<T>, EntryError> {
    let members: Vec<T> = all.iter().copied().filter(|m| bits & code(*m) != 0).collect();
    let known = members.iter().fold(0, |set, m| set | code(*m));
    if known == bits { Ok(members) } else { Err(EntryError::Field(field)) }
}

impl Entry {
    /// Reads a leaf. The facts are not looked into.
    ///
    /// # Errors
    /// [`EntryError`] for anything that [`Draft::encode`] would not write.
    pub fn decode(leaf: &[u8]) -> Result<Self, EntryError> {
        if leaf.len() < HEADER_LEN || leaf.len() > HEADER_LEN + FACTS_MAX {
            return Err(EntryError::Length(leaf.len()));
        }
        let (header, facts) = leaf.split_at_checked(HEADER_LEN).ok_or(EntryError::Length(leaf.len()))?;
        let c = &mut Cursor(header);
        if c.take::<4>()? != *MAGIC || c.u8()? != VERSION {
            return Err(EntryError::Field("magic"));
        }
        let kind = EntryKind::from_code(c.u8()?).ok_or(EntryError::Field("kind"))?;
        let direction = Direction::from_code(c.u8()?).ok_or(EntryError::Field("direction"))?;
        if c.u8()? != if kind == EntryKind::Refusal { 2 } else { 1 } {
            return Err(EntryError::Field("decision"));
        }
        let (gateway, sequence, time) = (c.take()?, c.u64()?, UnixSeconds(c.u64()?));
        let (flow, rulebook) = (FlowId::new(c.take()?), Digest::new(c.take()?));
        let purpose = Purpose::from_code(c.u16()?).ok_or(EntryError::Field("purpose"))?;
        let (place, destination) = (c.country("place")?, c.country("destination")?);
        let classes = set_of(c.u8()?, DataClass::ALL, DataClass::code, "classes")?;
        let treatments = set_of(c.u8()?, Treatment::ALL, Treatment::code, "treatments")?;
        let reason = Reason::from_code(c.u16()?).ok_or(EntryError::Field("reason"))?;
        let (findings, subject_count, bytes, rows) = (c.u16()?, c.u32()?, c.u64()?, c.u32()?);
        let (detail, actor) = (Digest::new(c.take()?), Tag::new(c.take()?));
        let (subjects, tag_root) = decode_subjects(c, subject_count)?;
        let lane = c.take()?;
        if c.0.iter().any(|b| *b != 0) || (kind == EntryKind::Refusal) != (reason != Reason::None) {
            return Err(EntryError::Field("reason or padding"));
        }
        let draft = Draft {
            kind,
            direction,
            time,
            flow,
            rulebook,
            purpose,
            place,
            destination,
            classes,
            treatments,
            reason,
            findings,
            bytes,
            rows,
            detail,
            actor,
            subjects,
            lane,
            facts: facts.to_vec(),
        };
        Ok(Self { gateway, sequence, draft, tag_root, subject_count })
    }
}

fn decode_subjects(c: &mut Cursor<'_>, named: u32) -> Result<(Subjects, Option<Hash>), EntryError> {
    let wrong = EntryError::Field("subjects");
    let [mode, count, zero, zero2] = c.take()?;
    let block: [u8; 64] = c.take()?;
    let used = match mode {
        1 => usize::from(count) * 16,
        2 => 32,
        _ => 0,
    };
    let (head, tail) = block.split_at_checked(used).ok_or_else(|| wrong.clone())?;
    let stray = zero != 0 || zero2 != 0 || tail.iter().any(|b| *b != 0) || (mode != 1 && count != 0);
    let tags: Vec<Tag> = head.as_chunks::<16>().0.iter().map(|t| Tag::new(*t)).collect();
    let root = head.first_chunk::<32>().map(|r| Hash::from_bytes(*r));
    match mode {
        _ if stray => Err(wrong),
        0 if named == 0 => Ok((Subjects::None, None)),
        1 if named == u32::from(count) && count > 0 && tags.is_sorted_by(|a, b| a < b) => {
            Ok((Subjects::Tags(tags), None))
        }
        2 if named > 4 => Ok((Subjects::None, root)),
        3 if named == 0 => Ok((Subjects::Population, None)),
        _ => Err(wrong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn draft() -> Draft {
        Draft {
            kind: EntryKind::Answer,
            direction: Direction::Outward,
            time: UnixSeconds(1_790_000_000),
            flow: FlowId::new([9; 16]),
            rulebook: Digest::new([8; 32]),
            purpose: Purpose::Support,
            place: Country::parse("SG").unwrap(),
            destination: Country::parse("SG").unwrap(),
            classes: vec![DataClass::Allowable],
            treatments: vec![Treatment::Plain],
            reason: Reason::None,
            findings: 1,
            bytes: 512,
            rows: 3,
            detail: Digest::new([7; 32]),
            actor: Tag::new([6; 16]),
            subjects: Subjects::of(vec![Tag::new([5; 16])]),
            lane: short_name("video-status"),
            facts: vec![0xa0],
        }
    }

    #[test]
    fn an_entry_reads_back_as_it_was_written() {
        let leaf = draft().encode(short_name("gw"), 17);
        assert_eq!(leaf.len(), 257);
        let entry = Entry::decode(&leaf).unwrap();
        assert_eq!((entry.sequence, entry.gateway, &entry.draft), (17, short_name("gw"), &draft()));
    }

    #[test]
    fn five_people_stand_in_a_side_record() {
        let tags: Vec<Tag> = (0..5).map(|i| Tag::new([i; 16])).collect();
        let d = Draft { subjects: Subjects::of(tags.clone()), ..draft() };
        let (root, bytes) = d.subjects.side_record().unwrap();
        assert_eq!(bytes.len(), 80);
        let entry = Entry::decode(&d.encode([0; 8], 0)).unwrap();
        assert_eq!((entry.tag_root, entry.subject_count), (Some(root), 5));
    }

    #[test]
    fn a_changed_header_byte_is_refused_or_read_as_another_entry() {
        let leaf = draft().encode([1; 8], 2);
        let original = Entry::decode(&leaf).unwrap();
        for i in 0..leaf.len() {
            let mut changed = leaf.clone();
            changed[i] ^= 0x40;
            assert!(Entry::decode(&changed).map_or(true, |e| e != original), "byte {i}");
        }
    }

    #[test]
    fn a_short_or_long_leaf_is_refused() {
        assert_eq!(Entry::decode(&[0; 255]).unwrap_err(), EntryError::Length(255));
        assert!(Entry::decode(&[0; 4353]).is_err());
    }
}
