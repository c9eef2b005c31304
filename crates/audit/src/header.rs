//! The 256-byte header of an entry, read strictly: what contradicts the page is refused.

use crate::{
    codes::{CLASS_BITS, Kind, PURPOSE_MAX, REASON_MAX, TREATMENT_BITS, is_country},
    hash::Hash,
    rulebook::ShortName,
};

/// Length of a header.
const HEADER_BYTES: usize = 256;

/// A keyed pseudonym of a person or a service.
pub(crate) type Tag = [u8; 16];

/// The fields that are checked further.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    /// 0 none, 1 outward, 2 inward.
    pub(crate) direction: u8,
    pub(crate) gateway: [u8; 8],
    pub(crate) sequence: u64,
    pub(crate) time: u64,
    pub(crate) flow: [u8; 16],
    /// Zero if none was active.
    pub(crate) rulebook: Hash,
    pub(crate) purpose: u16,
    pub(crate) place: [u8; 2],
    pub(crate) destination: [u8; 2],
    pub(crate) classes: u8,
    pub(crate) treatments: u8,
    pub(crate) reason: u16,
    /// Values withheld because personal data was found in them.
    pub(crate) findings: u16,
    /// Bytes of the payload; a budget for the kinds *open* and *extend*.
    pub(crate) bytes: u64,
    pub(crate) rows: u32,
    /// Distinct people named.
    pub(crate) count: u32,
    /// SHA-256 of the sealed detail record; zero if there is none.
    pub(crate) detail: Hash,
    pub(crate) actor: Tag,
    pub(crate) subjects: Subjects,
    /// Zero if none.
    pub(crate) lane: ShortName,
    /// Index of the open entry of the stream that *extend* and *close* go on with; else 0.
    pub(crate) open: u64,
    /// Unix seconds until which the bytes of *open* and *extend* may leave; else 0.
    pub(crate) lease: u64,
    pub(crate) outcome: Option<Outcome>,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Complete,
    BrokenOff,
    /// Nobody knows how much left: at most the budget.
    Unknown,
}

/// Whom an entry names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Subjects {
    None,
    /// At most four tags.
    Inline(Vec<Tag>),
    /// The root of a tag list.
    List(Hash),
    Everyone,
}

impl Subjects {
    /// Appends what tells one from another: a mark of the kind, and the tags or their root.
    pub(crate) fn append(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::None => bytes.push(0),
            Self::Inline(tags) => {
                bytes.push(1);
                tags.iter().for_each(|tag| bytes.extend_from_slice(tag));
            }
            Self::List(root) => {
                bytes.push(2);
                bytes.extend_from_slice(root);
            }
            Self::Everyone => bytes.push(3),
        }
    }
}

/// What a header says that it must not.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the header's {field} {why}")]
pub(crate) struct HeaderError {
    field: &'static str,
    why: &'static str,
}

impl Header {
    /// Reads the header of `entry` and returns it with the bytes of the facts.
    pub(crate) fn parse(entry: &[u8]) -> Result<(Self, &[u8]), HeaderError> {
        let (header, facts) =
            entry.split_at_checked(HEADER_BYTES).ok_or(refused("length", "is less than 256 bytes"))?;
        let mut fields = Fields(header);
        if fields.take::<4>()? != *b"CLV1" {
            return Err(refused("magic", "is not `CLV1`"));
        }
        if fields.take::<1>()? != [1] {
            return Err(refused("version", "is not 1"));
        }
        let [kind, direction, decision] = fields.take()?;
        let kind = Kind::from_code(kind).ok_or(refused("kind", "is unknown"))?;
        if direction > 2 {
            return Err(refused("direction", "is unknown"));
        }
        if decision != if kind == Kind::Refusal { 2 } else { 1 } {
            return Err(refused("decision", "contradicts its kind"));
        }
        Ok((Self::after_kind(kind, direction, &mut fields)?, facts))
    }

    fn after_kind(kind: Kind, direction: u8, fields: &mut Fields<'_>) -> Result<Self, HeaderError> {
        let gateway = fields.take()?;
        let sequence = u64::from_be_bytes(fields.take()?);
        let time = u64::from_be_bytes(fields.take()?);
        let flow = fields.take()?;
        let rulebook = fields.take()?;
        let purpose = u16::from_be_bytes(fields.take()?);
        let (place, destination) = (fields.take::<2>()?, fields.take::<2>()?);
        let [classes, treatments] = fields.take()?;
        let reason = u16::from_be_bytes(fields.take()?);
        let findings = u16::from_be_bytes(fields.take()?);
        let count = u32::from_be_bytes(fields.take()?);
        let bytes = u64::from_be_bytes(fields.take()?);
        let rows = u32::from_be_bytes(fields.take()?);
        let detail = fields.take()?;
        let actor = fields.take()?;
        let subjects = fields.subjects(count)?;
        let lane = fields.take()?;
        let open = u64::from_be_bytes(fields.take()?);
        let lease = u64::from_be_bytes(fields.take()?);
        let [outcome] = fields.take()?;
        let outcome = outcome_of(kind, outcome)?;
        if fields.take::<7>()? != [0; 7] {
            return Err(refused("end", "is not zero"));
        }
        let header = Self {
            kind,
            direction,
            gateway,
            sequence,
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
            count,
            detail,
            actor,
            subjects,
            lane,
            open,
            lease,
            outcome,
        };
        header.codes_are_known()?;
        header.fields_agree()?;
        header.stream_agrees()?;
        Ok(header)
    }

    fn codes_are_known(&self) -> Result<(), HeaderError> {
        if !(1..=PURPOSE_MAX).contains(&self.purpose) {
            return Err(refused("purpose", "is unknown"));
        }
        if !is_country(&self.place) || !is_country(&self.destination) {
            return Err(refused("place or destination", "is not a country code"));
        }
        if self.classes & !CLASS_BITS != 0 || self.treatments & !TREATMENT_BITS != 0 {
            return Err(refused("classes or treatments", "have an unknown bit"));
        }
        if self.reason > REASON_MAX {
            return Err(refused("reason", "is unknown"));
        }
        Ok(())
    }

    fn fields_agree(&self) -> Result<(), HeaderError> {
        let refusal = self.kind == Kind::Refusal;
        if refusal != (self.reason != 0) {
            return Err(refused("reason", "contradicts its kind"));
        }
        if refusal && self.bytes != 0 {
            return Err(refused("bytes", "are not 0 though nothing was released"));
        }
        if refusal && (self.classes != 0 || self.treatments != 0) {
            return Err(refused("classes or treatments", "are not 0 though nothing was released"));
        }
        if self.kind == Kind::Import && self.destination != *b"ZZ" {
            return Err(refused("destination", "is not `ZZ` though it is an import"));
        }
        let lets_out = self.subjects != Subjects::None || self.classes != 0 || self.treatments != 0;
        if self.kind == Kind::Migration && (self.direction != 2 || lets_out) {
            return Err(refused(
                "direction, classes or treatments",
                "are not those of a stage of a migration",
            ));
        }
        let within = self.kind == Kind::Inside;
        if within
            && (self.subjects != Subjects::None || self.treatments != 0 || self.place != self.destination)
        {
            return Err(refused(
                "subjects, treatments or places",
                "are those of a crossing, and nothing crossed",
            ));
        }
        let releases = self.bytes != 0 || self.classes != 0 || self.treatments != 0;
        if self.kind.is_of_one()
            && (self.count != 1 || !matches!(self.subjects, Subjects::Inline(_)) || releases)
        {
            return Err(refused("subjects", "are not one person, of whom nothing was released"));
        }
        Ok(())
    }

    fn stream_agrees(&self) -> Result<(), HeaderError> {
        if !self.kind.continues() && self.open != 0 {
            return Err(refused("open", "contradicts its kind"));
        }
        // An open entry stands before what goes on with it.
        if self.kind.continues() && self.open >= self.sequence {
            return Err(refused("open", "is not before the entry itself"));
        }
        if !matches!(self.kind, Kind::Open | Kind::Extend) && self.lease != 0 {
            return Err(refused("lease", "contradicts its kind"));
        }
        Ok(())
    }
}

fn outcome_of(kind: Kind, code: u8) -> Result<Option<Outcome>, HeaderError> {
    match (kind, code) {
        (Kind::Close, 1) => Ok(Some(Outcome::Complete)),
        (Kind::Close, 2) => Ok(Some(Outcome::BrokenOff)),
        (Kind::Close, 3) => Ok(Some(Outcome::Unknown)),
        (Kind::Close, _) => Err(refused("outcome", "is unknown")),
        (_, 0) => Ok(None),
        _ => Err(refused("outcome", "contradicts its kind")),
    }
}

fn refused(field: &'static str, why: &'static str) -> HeaderError {
    HeaderError { field, why }
}

/// The bytes that are still to be read.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], HeaderError> {
        let (field, rest) =
            self.0.split_first_chunk::<N>().ok_or(refused("length", "is less than 256 bytes"))?;
        self.0 = rest;
        Ok(*field)
    }

    fn subjects(&mut self, people: u32) -> Result<Subjects, HeaderError> {
        let [mode, count] = self.take()?;
        if self.take::<2>()? != [0; 2] {
            return Err(refused("bytes 158 and 159", "are not zero"));
        }
        let field: [u8; 64] = self.take()?;
        if mode != 1 && count != 0 {
            return Err(refused("tag count", "contradicts its subject mode"));
        }
        let (subjects, used) = match mode {
            0 => (Subjects::None, 0),
            1 => (inline(&field, count)?, usize::from(count) * 16),
            2 => {
                let (root, _) = field.split_first_chunk().ok_or(refused("tags", "are short"))?;
                (Subjects::List(*root), 32)
            }
            3 => (Subjects::Everyone, 0),
            _ => return Err(refused("subject mode", "is unknown")),
        };
        if field.iter().skip(used).any(|byte| *byte != 0) {
            return Err(refused("subject tags", "are not zero after the last one"));
        }
        let agrees = match mode {
            1 => people == u32::from(count),
            2 => people > 4,
            _ => people == 0,
        };
        if agrees { Ok(subjects) } else { Err(refused("number of subjects", "contradicts its tags")) }
    }
}

fn inline(field: &[u8; 64], count: u8) -> Result<Subjects, HeaderError> {
    if !(1..=4).contains(&count) {
        return Err(refused("tag count", "is not 1 to 4"));
    }
    let (all, _) = field.as_chunks::<16>();
    let tags: Vec<Tag> = all.iter().take(usize::from(count)).copied().collect();
    if !tags.is_sorted_by(|left, right| left < right) {
        return Err(refused("subject tags", "are not ascending and distinct"));
    }
    Ok(Subjects::Inline(tags))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Vec<u8> {
        let mut header = vec![0; 256];
        header[..8].copy_from_slice(b"CLV1\x01\x01\x01\x01");
        header[81] = 1;
        header[82..86].copy_from_slice(b"IEIE");
        header
    }

    fn with(change: impl Fn(&mut Vec<u8>)) -> Result<Subjects, HeaderError> {
        let mut header = good();
        change(&mut header);
        Header::parse(&header).map(|(header, _)| header.subjects)
    }

    #[test]
    fn every_contradiction_is_refused() {
        assert_eq!(with(|_| ()), Ok(Subjects::None));
        let lies: [(usize, u8, &str); 28] = [
            (3, b'2', "magic"),
            (4, 2, "version"),
            (5, 0, "kind"),
            (5, 15, "kind"),
            (5, 14, "direction, classes or treatments"),
            (5, 11, "subjects"),
            (5, 7, "open"),
            (5, 8, "outcome"),
            (239, 1, "open"),
            (247, 1, "lease"),
            (248, 1, "outcome"),
            (5, 3, "destination"),
            (6, 3, "direction"),
            (7, 2, "decision"),
            (5, 2, "decision"),
            (81, 0, "purpose"),
            (81, 12, "purpose"),
            (82, b'i', "place or destination"),
            (85, 0, "place or destination"),
            (86, 8, "classes or treatments"),
            (87, 64, "classes or treatments"),
            (89, 1, "reason"),
            (89, 15, "reason"),
            (95, 1, "number of subjects"),
            (156, 4, "subject mode"),
            (157, 1, "tag count"),
            (159, 1, "bytes 158 and 159"),
            (160, 1, "subject tags"),
        ];
        for (offset, value, field) in lies {
            let error = with(|header| header[offset] = value).unwrap_err();
            assert_eq!(error.field, field, "byte {offset} = {value}");
        }
        assert_eq!(with(|header| header[255] = 1).unwrap_err().field, "end");
        assert_eq!(with(|header| header.truncate(255)).unwrap_err().field, "length");
    }

    #[test]
    fn what_a_service_did_inside_crossed_nothing() {
        let inside = |change: fn(&mut Vec<u8>)| {
            with(|header| {
                header[5] = 13;
                change(header);
            })
        };
        assert_eq!(inside(|_| ()), Ok(Subjects::None));
        for crossed in
            [|h: &mut Vec<u8>| h[87] = 1, |h: &mut Vec<u8>| h[84] = b'U', |h: &mut Vec<u8>| h[156] = 3]
        {
            assert_eq!(inside(crossed).unwrap_err().field, "subjects, treatments or places");
        }
    }

    #[test]
    fn a_refusal_released_nothing() {
        let refusal = |header: &mut Vec<u8>| {
            header[5] = 2;
            header[7] = 2;
            header[89] = 1;
        };
        assert!(with(refusal).is_ok());
        for (offset, field) in [(103, "bytes"), (86, "classes or treatments"), (87, "classes or treatments")]
        {
            let error = with(|header| {
                refusal(header);
                header[offset] = 1;
            });
            assert_eq!(error.unwrap_err().field, field);
        }
    }

    #[test]
    fn inline_tags_are_counted_and_ascending() {
        let two = |first: u8, second: u8, people: u8| {
            with(|header| {
                header[156] = 1;
                header[157] = 2;
                header[95] = people;
                header[160] = first;
                header[176] = second;
            })
        };
        assert!(matches!(two(1, 2, 2), Ok(Subjects::Inline(tags)) if tags.len() == 2));
        assert!(two(2, 1, 2).is_err());
        assert!(two(1, 1, 2).is_err());
        assert!(two(1, 2, 3).is_err());
        // Mode 1 names somebody: nobody is mode 0.
        let nobody = with(|header| header[156] = 1);
        assert_eq!(nobody.unwrap_err().field, "tag count");
    }
}
