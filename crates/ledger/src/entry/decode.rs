//! Reading a leaf. Everything here may come from an adversary.

use model::{Country, DataClass, Digest, Direction, FlowId, Purpose, Reason, Tag, Treatment, UnixSeconds};

use super::{
    Draft, Entry, EntryError, EntryKind, FACTS_MAX, HEADER_LEN, INLINE_TAGS, LEASE_MAX, MAGIC, Outcome,
    StreamPlace, Subjects, VERSION,
};
use crate::merkle::Hash;

/// Takes fixed-length pieces off a slice.
pub(crate) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn take<const N: usize>(&mut self) -> Result<[u8; N], EntryError> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(EntryError::Length(self.0.len()))?;
        self.0 = rest;
        Ok(*head)
    }

    fn u8(&mut self) -> Result<u8, EntryError> {
        Ok(u8::from_be_bytes(self.take()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, EntryError> {
        Ok(u16::from_be_bytes(self.take()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, EntryError> {
        Ok(u32::from_be_bytes(self.take()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, EntryError> {
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

/// The tags that stand in the header of a leaf that this enclave wrote, without looking at anything else. None for the
/// leaves of other logs.
#[must_use]
pub fn inline_tags(leaf: &[u8]) -> &[[u8; 16]] {
    const MODE: usize = 156;
    let inline = leaf.starts_with(MAGIC) && leaf.get(4) == Some(&VERSION) && leaf.get(MODE) == Some(&1);
    let count = leaf.get(MODE + 1).map_or(0, |count| usize::from(*count)).min(INLINE_TAGS);
    let tags = leaf.get(MODE + 4..MODE + 4 + 16 * count).filter(|_| inline);
    tags.unwrap_or_default().as_chunks().0
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
        let [mode, count, zeros @ ..]: [u8; 4] = c.take()?;
        let (subjects, tag_root) = read_subjects([mode, count], &c.take()?, subject_count)?;
        let lane = c.take()?;
        let stream = read_stream(kind, c.u64()?, UnixSeconds(c.u64()?), c.u8()?)?;
        if zeros != [0; 2] || c.0.iter().any(|b| *b != 0) {
            return Err(EntryError::Field("padding"));
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
            stream,
            facts: facts.to_vec(),
        };
        agree(&draft)?;
        if matches!(stream, Some(StreamPlace::Extend { open, .. } | StreamPlace::Close { open, .. }) if open >= sequence)
        {
            return Err(EntryError::Field("open, which is not before the entry"));
        }
        Ok(Self { gateway, sequence, draft, tag_root, subject_count })
    }
}

/// Refuses fields that contradict one another.
fn agree(draft: &Draft) -> Result<(), EntryError> {
    let refusal = draft.kind == EntryKind::Refusal;
    if refusal != (draft.reason != Reason::None) {
        return Err(EntryError::Field("reason"));
    }
    let released = !draft.classes.is_empty() || !draft.treatments.is_empty() || draft.bytes != 0;
    if refusal && released {
        return Err(EntryError::Field("refusal, which releases"));
    }
    if draft.kind == EntryKind::Import && draft.destination != Country::UNKNOWN {
        return Err(EntryError::Field("destination of an import"));
    }
    let of_one = matches!(draft.kind, EntryKind::Erasure | EntryKind::Home);
    if of_one && (draft.subjects.tags().len() != 1 || !draft.facts.is_empty() || released) {
        return Err(EntryError::Field("subjects or facts of an entry about one person"));
    }
    let crosses =
        !draft.treatments.is_empty() || draft.subjects != Subjects::None || draft.place != draft.destination;
    if draft.kind == EntryKind::Inside && (draft.facts.is_empty() || crosses) {
        return Err(EntryError::Field("summary of work inside, which crosses"));
    }
    let lets_out =
        draft.direction != Direction::Inward || !draft.classes.is_empty() || draft.subjects != Subjects::None;
    if draft.kind == EntryKind::Migration && (lets_out || !draft.treatments.is_empty()) {
        return Err(EntryError::Field("stage of a migration, which lets nothing out"));
    }
    let lease = match draft.stream {
        Some(StreamPlace::Open { lease } | StreamPlace::Extend { lease, .. }) => Some(lease),
        _ => None,
    };
    if lease.is_some_and(|end| end > draft.time.plus(LEASE_MAX)) {
        return Err(EntryError::Field("lease"));
    }
    match draft.kind {
        EntryKind::Open | EntryKind::Suspension | EntryKind::Demand | EntryKind::Migration
            if draft.facts.is_empty() =>
        {
            Err(EntryError::Field("facts, which are not there"))
        }
        EntryKind::Extend | EntryKind::Close if !draft.facts.is_empty() => {
            Err(EntryError::Field("facts, which the open has"))
        }
        _ => Ok(()),
    }
}

fn read_stream(
    kind: EntryKind,
    open: u64,
    lease: UnixSeconds,
    outcome: u8,
) -> Result<Option<StreamPlace>, EntryError> {
    let known = [Outcome::Complete, Outcome::BrokenOff, Outcome::Unknown];
    let stream = match (kind, known.into_iter().find(|o| o.code() == outcome)) {
        (EntryKind::Open, None) => Some(StreamPlace::Open { lease }),
        (EntryKind::Extend, None) => Some(StreamPlace::Extend { open, lease }),
        (EntryKind::Close, Some(outcome)) => Some(StreamPlace::Close { open, outcome }),
        _ => None,
    };
    let same = StreamPlace::fields(stream) == (open, lease.0, outcome);
    let right = stream.is_some() == matches!(kind, EntryKind::Open | EntryKind::Extend | EntryKind::Close);
    if same && right { Ok(stream) } else { Err(EntryError::Field("open, lease or outcome")) }
}

/// Reads mode and count, and the 64 bytes of tags or root, which name so many people.
pub(crate) fn read_subjects(
    [mode, count]: [u8; 2],
    block: &[u8; 64],
    named: u32,
) -> Result<(Subjects, Option<Hash>), EntryError> {
    let wrong = EntryError::Field("subjects");
    let used = match mode {
        1 => usize::from(count) * 16,
        2 => 32,
        _ => 0,
    };
    let (head, tail) = block.split_at_checked(used).ok_or_else(|| wrong.clone())?;
    let stray = tail.iter().any(|b| *b != 0) || (mode != 1 && count != 0);
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
