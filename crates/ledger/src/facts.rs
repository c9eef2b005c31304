//! Facts in deterministic CBOR (RFC 8949 §4.2.1). Byte form: `docs/formats/entry.md`.

use ciborium::Value;
use model::facts::{Approver, CaseFacts, Evidence, FlowFacts, GrantFacts, Group, Principal, PrincipalKind};
use model::procedures::Amount;
use model::{Basis, CaseKind, Country, DataClass, Facts, Name, Purpose, Tag, Treatment, UnixSeconds};

use crate::entry::FACTS_MAX;
use beside::Beside;

mod beside;
mod risk;
mod spent;
mod statement;

pub use risk::{Risk, RiskVerdict, risk, with_risk};
pub use spent::{Mechanism, Spent, spent, with_spent};
pub use statement::{statement, with_statement};

/// Facts that cannot be written, or bytes that are not facts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FactsError {
    /// The block would be longer than an entry allows.
    #[error("facts of `{0}` bytes are over 4096")]
    TooLong(usize),
    /// Not CBOR of the declared shape.
    #[error("facts: `{0}` is missing or of another type")]
    Shape(&'static str),
    /// The items of a list do not ascend.
    #[error("the teams, ladder or lists of the facts are not ascending and distinct")]
    Order,
    /// The same facts have a shorter or differently ordered form.
    #[error("facts are not in deterministic form")]
    NotDeterministic,
}

fn map(pairs: Vec<(u8, Option<Value>)>) -> Value {
    Value::Map(pairs.into_iter().filter_map(|(k, v)| Some((Value::from(k), v?))).collect())
}

fn text(value: &str) -> Option<Value> {
    Some(Value::Text(value.to_owned()))
}

fn tag(value: Tag) -> Option<Value> {
    Some(Value::Bytes(value.bytes().to_vec()))
}

fn number(value: impl Into<u64>) -> Option<Value> {
    Some(Value::from(value.into()))
}

fn names(list: &[Name]) -> Value {
    Value::Array(list.iter().filter_map(|n| text(n.as_str())).collect())
}

fn principal(p: &Principal) -> Value {
    map(vec![
        (0, number(p.kind.code())),
        (1, tag(p.tag)),
        (2, text(p.country.as_str())),
        (3, text(p.employer.as_str())),
        (4, text(p.seat.as_str())),
        (5, Some(Value::Bool(p.qualified))),
        (6, Some(names(&p.teams))),
        (7, Some(Value::Bool(p.device_managed))),
        (8, Some(Value::Bool(p.device_attested))),
        (9, Some(Value::Bool(p.strong))),
    ])
}

fn second(a: &Approver) -> Value {
    let items = [tag(a.tag), text(a.country.as_str()), text(a.employer.as_str())];
    Value::Array(items.into_iter().flatten().collect())
}

fn amount(a: &Amount) -> Value {
    Value::Array([a.rows, a.bytes, a.subjects].into_iter().map(Value::from).collect())
}

fn evidence(e: &Evidence) -> Option<Value> {
    let (kind, body) = match e {
        Evidence::None => return None,
        Evidence::Grant(g) => (
            1u8,
            map(vec![
                (0, tag(g.id)),
                (1, tag(g.holder)),
                (2, tag(g.approver.tag)),
                (3, text(g.approver.country.as_str())),
                (4, number(g.purpose.code())),
                (5, text(g.dataset.as_str())),
                (6, g.fields.as_ref().and_then(|f| text(f.as_str()))),
                (7, g.subject.and_then(tag)),
                (8, number(g.not_before.0)),
                (9, number(g.not_after.0)),
                (10, text(g.approver.employer.as_str())),
                (11, g.second.as_ref().map(second)),
                (12, g.incident.and_then(tag)),
                (13, Some(amount(&g.amount))),
            ]),
        ),
        Evidence::Case(c) => (
            2,
            map(vec![
                (0, tag(c.id)),
                (1, tag(c.engineer)),
                (2, tag(c.approver.tag)),
                (3, text(c.approver.country.as_str())),
                (4, number(c.kind.code())),
                (5, tag(c.subject)),
                (6, text(c.fields.as_str())),
                (7, number(c.approved_at.0)),
                (8, Some(Value::Bool(c.open))),
                (9, text(c.approver.employer.as_str())),
                (10, Some(amount(&c.amount))),
            ]),
        ),
        Evidence::Flow(f) => (
            3,
            map(vec![
                (0, text(f.name.as_str())),
                (1, tag(f.sink)),
                (2, text(f.fields.as_str())),
                (3, text(f.destination.as_str())),
                (4, number(f.basis.code())),
                (5, Some(Value::Bool(f.active))),
            ]),
        ),
    };
    Some(Value::Array(vec![Value::from(kind), body]))
}

/// Writes facts.
///
/// # Errors
/// [`FactsError::TooLong`] when they do not fit into an entry.
pub fn encode(facts: &Facts) -> Result<Vec<u8>, FactsError> {
    write(facts, &Beside::default())
}

fn write(facts: &Facts, beside: &Beside) -> Result<Vec<u8>, FactsError> {
    let groups = facts.groups.iter().map(|g| {
        let outcome = g.outcome.map_or(0, Treatment::code);
        let items = [number(g.class.code()), Some(names(&g.lists)), number(g.fields), number(outcome)];
        Value::Array(items.into_iter().flatten().collect())
    });
    let value = map(vec![
        (0, number(1u8)),
        (1, Some(principal(&facts.principal))),
        (2, number(facts.now.0)),
        (3, number(facts.purpose.code())),
        (4, text(facts.dataset.as_str())),
        (5, number(facts.rows)),
        (6, number(facts.subjects)),
        (7, facts.subject.and_then(tag)),
        (8, number(facts.k)),
        (9, evidence(&facts.evidence)),
        (10, Some(Value::Array(facts.ladder.iter().filter_map(|t| number(t.code())).collect()))),
        (11, Some(Value::Array(groups.collect()))),
        (12, beside.spent.as_ref().map(Spent::value)),
        (13, beside.risk.as_ref().map(Risk::value)),
        (14, beside.statement.as_ref().map(statement::value)),
    ]);
    let mut out = Vec::with_capacity(256);
    ciborium::into_writer(&value, &mut out).map_err(|_| FactsError::Shape("value"))?;
    if out.len() > FACTS_MAX { Err(FactsError::TooLong(out.len())) } else { Ok(out) }
}

/// Reads facts, and refuses any other form of the same content.
///
/// # Errors
/// [`FactsError`] for bytes that [`encode`] would not write.
pub fn decode(bytes: &[u8]) -> Result<Facts, FactsError> {
    read(bytes).map(|(facts, _)| facts)
}

fn read(bytes: &[u8]) -> Result<(Facts, Beside), FactsError> {
    let value: Value = ciborium::from_reader(bytes).map_err(|_| FactsError::Shape("value"))?;
    let m = Fields::of(&value, "facts")?;
    if m.uint(0, "version")? != 1 {
        return Err(FactsError::Shape("version"));
    }
    let facts = Facts {
        principal: read_principal(m.get(1, "principal")?)?,
        now: UnixSeconds(m.uint(2, "now")?),
        purpose: m.code(3, "purpose", Purpose::from_code)?,
        dataset: m.name(4, "dataset")?,
        rows: m.small(5, "rows")?,
        subjects: m.small(6, "subjects")?,
        subject: m.maybe_tag(7, "subject")?,
        k: m.small(8, "k")?,
        evidence: m.opt(9).map_or(Ok(Evidence::None), read_evidence)?,
        ladder: list(m.get(10, "ladder")?, "ladder")?.iter().map(treatment).collect::<Result<_, _>>()?,
        groups: list(m.get(11, "groups")?, "groups")?.iter().map(group).collect::<Result<_, _>>()?,
    };
    let beside = Beside {
        spent: m.opt(12).map(Spent::read).transpose()?,
        risk: m.opt(13).map(Risk::read).transpose()?,
        statement: m.opt(14).map(statement::parse).transpose()?,
    };
    if !lists_ascend(&facts) {
        return Err(FactsError::Order);
    }
    if write(&facts, &beside)? == bytes { Ok((facts, beside)) } else { Err(FactsError::NotDeterministic) }
}

/// Whether teams, ladder and the lists of each group ascend, as the page asks.
fn lists_ascend(facts: &Facts) -> bool {
    let ascend = |names: &[Name]| names.is_sorted_by(|a, b| a.as_str() < b.as_str());
    ascend(&facts.principal.teams)
        && facts.ladder.is_sorted_by(|a, b| a.code() < b.code())
        && facts.groups.iter().all(|group| ascend(&group.lists))
}

/// A CBOR map with small unsigned keys.
struct Fields<'a>(&'a [(Value, Value)]);

impl<'a> Fields<'a> {
    fn of(value: &'a Value, what: &'static str) -> Result<Self, FactsError> {
        value.as_map().map(|m| Self(m)).ok_or(FactsError::Shape(what))
    }

    fn opt(&self, key: u8) -> Option<&'a Value> {
        self.0.iter().find(|(k, _)| *k == Value::from(key)).map(|(_, v)| v)
    }

    fn get(&self, key: u8, what: &'static str) -> Result<&'a Value, FactsError> {
        self.opt(key).ok_or(FactsError::Shape(what))
    }

    fn uint(&self, key: u8, what: &'static str) -> Result<u64, FactsError> {
        uint(self.get(key, what)?, what)
    }

    fn small(&self, key: u8, what: &'static str) -> Result<u32, FactsError> {
        u32::try_from(self.uint(key, what)?).map_err(|_| FactsError::Shape(what))
    }

    fn code<N: TryFrom<u64>, T>(
        &self,
        key: u8,
        what: &'static str,
        from: impl Fn(N) -> Option<T>,
    ) -> Result<T, FactsError> {
        code(self.get(key, what)?, what, from)
    }

    fn flag(&self, key: u8, what: &'static str) -> Result<bool, FactsError> {
        self.get(key, what)?.as_bool().ok_or(FactsError::Shape(what))
    }

    fn str(&self, key: u8, what: &'static str) -> Result<&'a str, FactsError> {
        self.get(key, what)?.as_text().ok_or(FactsError::Shape(what))
    }

    fn name(&self, key: u8, what: &'static str) -> Result<Name, FactsError> {
        Name::parse(self.str(key, what)?).map_err(|_| FactsError::Shape(what))
    }

    fn country(&self, key: u8, what: &'static str) -> Result<Country, FactsError> {
        Country::parse(self.str(key, what)?).map_err(|_| FactsError::Shape(what))
    }

    fn maybe_tag(&self, key: u8, what: &'static str) -> Result<Option<Tag>, FactsError> {
        let Some(value) = self.opt(key) else { return Ok(None) };
        let bytes = value.as_bytes().and_then(|b| <[u8; 16]>::try_from(b.as_slice()).ok());
        bytes.map(|b| Some(Tag::new(b))).ok_or(FactsError::Shape(what))
    }

    fn tag(&self, key: u8, what: &'static str) -> Result<Tag, FactsError> {
        self.maybe_tag(key, what)?.ok_or(FactsError::Shape(what))
    }

    /// The approver under keys 2 and 3, with the employer under another.
    fn approver(&self, employer: u8) -> Result<Approver, FactsError> {
        Ok(Approver {
            tag: self.tag(2, "approver")?,
            country: self.country(3, "approver country")?,
            employer: self.name(employer, "approver employer")?,
        })
    }
}

fn read_second(value: &Value) -> Result<Approver, FactsError> {
    const WHAT: &str = "second approver";
    let [tag, country, employer] = list(value, WHAT)? else { return Err(FactsError::Shape(WHAT)) };
    let text = |v: &'_ Value| v.as_text().map(str::to_owned).ok_or(FactsError::Shape(WHAT));
    let bytes = tag.as_bytes().and_then(|b| <[u8; 16]>::try_from(b.as_slice()).ok());
    Ok(Approver {
        tag: bytes.map(Tag::new).ok_or(FactsError::Shape(WHAT))?,
        country: Country::parse(&text(country)?).map_err(|_| FactsError::Shape(WHAT))?,
        employer: Name::parse(&text(employer)?).map_err(|_| FactsError::Shape(WHAT))?,
    })
}

fn read_amount(value: &Value) -> Result<Amount, FactsError> {
    let [rows, bytes, subjects] = list(value, "amount")? else { return Err(FactsError::Shape("amount")) };
    let part = |v| uint(v, "amount");
    Ok(Amount { rows: part(rows)?, bytes: part(bytes)?, subjects: part(subjects)? })
}

fn uint(value: &Value, what: &'static str) -> Result<u64, FactsError> {
    value.as_integer().and_then(|i| u64::try_from(i).ok()).ok_or(FactsError::Shape(what))
}

fn code<N: TryFrom<u64>, T>(
    value: &Value,
    what: &'static str,
    from: impl Fn(N) -> Option<T>,
) -> Result<T, FactsError> {
    N::try_from(uint(value, what)?).ok().and_then(from).ok_or(FactsError::Shape(what))
}

fn list<'a>(value: &'a Value, what: &'static str) -> Result<&'a [Value], FactsError> {
    value.as_array().map(Vec::as_slice).ok_or(FactsError::Shape(what))
}

fn read_names(value: &Value, what: &'static str) -> Result<Vec<Name>, FactsError> {
    let one = |v: &Value| v.as_text().and_then(|t| Name::parse(t).ok()).ok_or(FactsError::Shape(what));
    list(value, what)?.iter().map(one).collect()
}

fn treatment(value: &Value) -> Result<Treatment, FactsError> {
    code(value, "treatment", Treatment::from_code)
}

fn group(value: &Value) -> Result<Group, FactsError> {
    let [class, lists, fields, outcome] = list(value, "group")? else {
        return Err(FactsError::Shape("group"));
    };
    let none = uint(outcome, "outcome")? == 0;
    Ok(Group {
        class: code(class, "class", DataClass::from_code)?,
        lists: read_names(lists, "lists")?,
        fields: u16::try_from(uint(fields, "fields")?).map_err(|_| FactsError::Shape("fields"))?,
        outcome: if none { None } else { Some(treatment(outcome)?) },
    })
}

fn read_principal(value: &Value) -> Result<Principal, FactsError> {
    let m = Fields::of(value, "principal")?;
    Ok(Principal {
        kind: m.code(0, "kind", PrincipalKind::from_code)?,
        tag: m.tag(1, "tag")?,
        country: m.country(2, "country")?,
        employer: m.name(3, "employer")?,
        seat: m.country(4, "seat")?,
        qualified: m.flag(5, "qualified")?,
        teams: read_names(m.get(6, "teams")?, "teams")?,
        device_managed: m.flag(7, "managed")?,
        device_attested: m.flag(8, "attested")?,
        strong: m.flag(9, "strong")?,
    })
}

fn read_evidence(value: &Value) -> Result<Evidence, FactsError> {
    let [kind, body] = list(value, "evidence")? else { return Err(FactsError::Shape("evidence")) };
    let m = Fields::of(body, "evidence")?;
    match uint(kind, "evidence")? {
        1 => Ok(Evidence::Grant(GrantFacts {
            id: m.tag(0, "id")?,
            holder: m.tag(1, "holder")?,
            approver: m.approver(10)?,
            second: m.opt(11).map(read_second).transpose()?,
            incident: m.maybe_tag(12, "incident")?,
            amount: read_amount(m.get(13, "amount")?)?,
            purpose: m.code(4, "purpose", Purpose::from_code)?,
            dataset: m.name(5, "dataset")?,
            fields: m.opt(6).map(|_| m.name(6, "fields")).transpose()?,
            subject: m.maybe_tag(7, "subject")?,
            not_before: UnixSeconds(m.uint(8, "not before")?),
            not_after: UnixSeconds(m.uint(9, "not after")?),
        })),
        2 => Ok(Evidence::Case(CaseFacts {
            id: m.tag(0, "id")?,
            engineer: m.tag(1, "engineer")?,
            approver: m.approver(9)?,
            amount: read_amount(m.get(10, "amount")?)?,
            kind: m.code(4, "case kind", CaseKind::from_code)?,
            subject: m.tag(5, "subject")?,
            fields: m.name(6, "fields")?,
            approved_at: UnixSeconds(m.uint(7, "approved at")?),
            open: m.flag(8, "open")?,
        })),
        3 => Ok(Evidence::Flow(FlowFacts {
            name: m.name(0, "name")?,
            sink: m.tag(1, "sink")?,
            fields: m.name(2, "fields")?,
            destination: m.country(3, "destination")?,
            basis: m.code(4, "basis", Basis::from_code)?,
            active: m.flag(5, "active")?,
        })),
        _ => Err(FactsError::Shape("evidence")),
    }
}

#[cfg(test)]
mod tests;
