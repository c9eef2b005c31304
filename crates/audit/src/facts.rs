//! The facts block of an entry: everything that policy read.

mod evidence;
#[cfg(test)]
mod tests;

pub(crate) use evidence::{Amount, Approver, Case, Evidence, Flow, Grant};

use crate::{
    cbor::{CborError, Reader},
    codes::{Class, PURPOSE_MAX, Treatment},
    header::Tag,
};

type Result<T> = std::result::Result<T, CborError>;

/// The facts of one request.
#[derive(Debug, PartialEq)]
pub(crate) struct Facts<'a> {
    pub(crate) principal: Principal<'a>,
    pub(crate) now: u64,
    pub(crate) purpose: u16,
    pub(crate) dataset: &'a str,
    pub(crate) rows: u64,
    pub(crate) subjects: u64,
    pub(crate) subject: Option<Tag>,
    pub(crate) k: u64,
    pub(crate) evidence: Option<Evidence<'a>>,
    pub(crate) ladder: Vec<Treatment>,
    pub(crate) groups: Vec<Group<'a>>,
    /// What a release with noise took of privacy budgets.
    pub(crate) spent: Option<Spent>,
    /// What was measured of a release's rows.
    pub(crate) risk: Option<Risk>,
    /// The digest of the statement of SQL that was asked.
    pub(crate) statement: Option<[u8; 32]>,
}

/// What one release took: millionths of epsilon, 10^-9 of rho, 10^-18 of delta.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spent {
    pub(crate) epsilon: u64,
    pub(crate) rho: u64,
    pub(crate) delta: u64,
}

/// What was measured: its verdict, how many people of a class were asked for, the fewest there were, the fewest sensitive
/// values, millionths of rows that stand alone, and whether tokens can be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Risk {
    pub(crate) verdict: u64,
    pub(crate) asked: u64,
    pub(crate) k: u64,
    pub(crate) l: u64,
    pub(crate) unique: u64,
    pub(crate) linkable: bool,
}

pub(crate) const VERDICT_HOLDS: u64 = 1;
pub(crate) const VERDICT_WEAK: u64 = 2;
pub(crate) const VERDICT_PLAIN: u64 = 3;

/// Who asks.
#[derive(Debug, PartialEq)]
pub(crate) struct Principal<'a> {
    pub(crate) kind: PrincipalKind,
    pub(crate) tag: Tag,
    pub(crate) country: &'a str,
    /// Empty for subjects and operators without one.
    pub(crate) employer: &'a str,
    pub(crate) seat: &'a str,
    pub(crate) qualified: bool,
    pub(crate) teams: Vec<&'a str>,
    pub(crate) device_managed: bool,
    pub(crate) device_attested: bool,
    pub(crate) strong: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PrincipalKind {
    Employee,
    Service,
    Subject,
    Operator,
}

/// All the asked fields of one class that stand in exactly these lists.
#[derive(Debug, PartialEq)]
pub(crate) struct Group<'a> {
    pub(crate) class: Class,
    /// Ascending.
    pub(crate) lists: Vec<&'a str>,
    pub(crate) fields: u64,
    pub(crate) outcome: Option<Treatment>,
}

impl<'a> Facts<'a> {
    /// Reads facts, and refuses any bytes that the deterministic encoder would not have written.
    pub(crate) fn decode(bytes: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let facts = Self::read(&mut reader)?;
        reader.end()?;
        Ok(facts)
    }

    fn read(reader: &mut Reader<'a>) -> Result<Self> {
        const MAP: &str = "the facts";
        let (mut version, mut principal, mut now, mut purpose, mut dataset) = (None, None, None, None, None);
        let (mut rows, mut subjects, mut subject, mut k, mut evidence) = (None, None, None, None, None);
        let (mut ladder, mut groups) = (Vec::new(), Vec::new());
        let (mut spent, mut risk, mut statement) = (None, None, None);
        let mut keys = reader.map()?;
        while let Some(key) = keys.next(reader)? {
            match key {
                0 => version = Some(reader.unsigned()?),
                1 => principal = Some(Principal::read(reader)?),
                2 => now = Some(reader.unsigned()?),
                3 => purpose = Some(read_purpose(reader)?),
                4 => dataset = Some(reader.text()?),
                5 => rows = Some(reader.unsigned()?),
                6 => subjects = Some(reader.unsigned()?),
                7 => subject = Some(reader.bytes()?),
                8 => k = Some(reader.unsigned()?),
                9 => evidence = Some(Evidence::read(reader)?),
                10 => ladder = read_ladder(reader)?,
                11 => groups = read_groups(reader)?,
                12 => spent = Some(read_spent(reader)?),
                13 => risk = Some(read_risk(reader)?),
                14 => statement = Some(reader.bytes()?),
                other => return Err(CborError::UnknownKey(MAP, other)),
            }
        }
        if version != Some(1) {
            return Err(CborError::Value("version of the facts"));
        }
        let absent = |key| CborError::AbsentKey(MAP, key);
        Ok(Self {
            principal: principal.ok_or(absent(1))?,
            now: now.ok_or(absent(2))?,
            purpose: purpose.ok_or(absent(3))?,
            dataset: dataset.ok_or(absent(4))?,
            rows: rows.ok_or(absent(5))?,
            subjects: subjects.ok_or(absent(6))?,
            subject,
            k: k.ok_or(absent(8))?,
            evidence,
            ladder,
            groups,
            spent,
            risk,
            statement,
        })
    }
}

impl<'a> Principal<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self> {
        const MAP: &str = "the principal";
        let (mut kind, mut tag, mut country, mut employer, mut seat) = (None, None, None, None, None);
        let (mut qualified, mut teams, mut managed, mut attested, mut strong) =
            (None, Vec::new(), None, None, None);
        let mut keys = reader.map()?;
        while let Some(key) = keys.next(reader)? {
            match key {
                0 => kind = Some(PrincipalKind::from_code(reader.unsigned()?)?),
                1 => tag = Some(reader.bytes()?),
                2 => country = Some(reader.text()?),
                3 => employer = Some(reader.text()?),
                4 => seat = Some(reader.text()?),
                5 => qualified = Some(reader.boolean()?),
                6 => teams = read_names(reader, "teams")?,
                7 => managed = Some(reader.boolean()?),
                8 => attested = Some(reader.boolean()?),
                9 => strong = Some(reader.boolean()?),
                other => return Err(CborError::UnknownKey(MAP, other)),
            }
        }
        let absent = |key| CborError::AbsentKey(MAP, key);
        let kind = kind.ok_or(absent(0))?;
        let employed = matches!(kind, PrincipalKind::Employee | PrincipalKind::Service);
        let optional = |value: Option<&'a str>, key| match value {
            None if employed => Err(absent(key)),
            value => Ok(value.unwrap_or_default()),
        };
        Ok(Self {
            kind,
            tag: tag.ok_or(absent(1))?,
            country: country.ok_or(absent(2))?,
            employer: optional(employer, 3)?,
            seat: optional(seat, 4)?,
            qualified: qualified.ok_or(absent(5))?,
            teams,
            device_managed: managed.ok_or(absent(7))?,
            device_attested: attested.ok_or(absent(8))?,
            strong: strong.ok_or(absent(9))?,
        })
    }
}

impl PrincipalKind {
    fn from_code(code: u64) -> Result<Self> {
        Ok(match code {
            1 => Self::Employee,
            2 => Self::Service,
            3 => Self::Subject,
            4 => Self::Operator,
            _ => return Err(CborError::Value("kind of the principal")),
        })
    }
}

fn read_purpose(reader: &mut Reader<'_>) -> Result<u16> {
    u16::try_from(reader.unsigned()?)
        .ok()
        .filter(|code| (1..=PURPOSE_MAX).contains(code))
        .ok_or(CborError::Value("purpose"))
}

fn read_treatment(code: u64) -> Result<Treatment> {
    Treatment::from_code(code).ok_or(CborError::Value("treatment"))
}

/// Number of the mechanism (1 discrete Laplace, 2 discrete Gaussian), then the three amounts.
fn read_spent(reader: &mut Reader<'_>) -> Result<Spent> {
    const WHAT: CborError = CborError::Value("what a release took");
    if reader.array()? != 4 || !(1..=2).contains(&reader.unsigned()?) {
        return Err(WHAT);
    }
    Ok(Spent { epsilon: reader.unsigned()?, rho: reader.unsigned()?, delta: reader.unsigned()? })
}

/// Number of the verdict, four numbers, and 1 or 0.
fn read_risk(reader: &mut Reader<'_>) -> Result<Risk> {
    const WHAT: CborError = CborError::Value("what was measured");
    if reader.array()? != 6 {
        return Err(WHAT);
    }
    let verdict = reader.unsigned()?;
    if !(VERDICT_HOLDS..=VERDICT_PLAIN).contains(&verdict) {
        return Err(WHAT);
    }
    let (asked, k, l) = (reader.unsigned()?, reader.unsigned()?, reader.unsigned()?);
    let (unique, linkable) = (reader.unsigned()?, reader.unsigned()?);
    if linkable > 1 {
        return Err(WHAT);
    }
    Ok(Risk { verdict, asked, k, l, unique, linkable: linkable == 1 })
}

/// An array of texts, ascending and distinct.
fn read_names<'a>(reader: &mut Reader<'a>, what: &'static str) -> Result<Vec<&'a str>> {
    let mut names: Vec<&str> = Vec::new();
    for _ in 0..reader.array()? {
        names.push(reader.text()?);
    }
    if names.is_sorted_by(|left, right| left < right) { Ok(names) } else { Err(CborError::Order(what)) }
}

fn read_ladder(reader: &mut Reader<'_>) -> Result<Vec<Treatment>> {
    let mut ladder = Vec::new();
    for _ in 0..reader.array()? {
        ladder.push(read_treatment(reader.unsigned()?)?);
    }
    let ascending = ladder.is_sorted_by(|left: &Treatment, right| left.bit() < right.bit());
    if ascending { Ok(ladder) } else { Err(CborError::Order("treatments of the ladder")) }
}

fn read_groups<'a>(reader: &mut Reader<'a>) -> Result<Vec<Group<'a>>> {
    let mut groups = Vec::new();
    for _ in 0..reader.array()? {
        if reader.array()? != 4 {
            return Err(CborError::Value("length of a group"));
        }
        let class = Class::from_code(reader.unsigned()?).ok_or(CborError::Value("class"))?;
        let lists = read_names(reader, "lists of a group")?;
        let fields = reader.unsigned()?;
        let outcome = match reader.unsigned()? {
            0 => None,
            code => Some(read_treatment(code)?),
        };
        groups.push(Group { class, lists, fields, outcome });
    }
    Ok(groups)
}
