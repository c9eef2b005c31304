//! What is said of each act on a request for access: who may see what is asked for and approved on the record, before it
//! takes effect. Tags and codes only. Byte form: `docs/formats/site-log.md`, kind 9.

use ciborium::Value;
use model::procedures::Amount;
use model::{Country, Digest, Ground, Name, Purpose, Tag, UnixSeconds};

use super::SiteError;

/// The number of the kind.
pub(super) const KIND: u8 = 9;

/// Highest numbers of the acts and of the states.
const ACTS: u8 = 8;
const STATES: u8 = 6;
/// Most acts of one request, and most steps of a procedure.
const ACTS_MAX: u64 = 64;
const STEPS_MAX: u64 = 8;

/// Who acted; nobody when only time passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct By {
    /// Keyed pseudonym.
    pub tag: Tag,
    /// Their employer.
    pub employer: Name,
    /// Where they were, by agreeing evidence.
    pub country: Country,
}

/// One act on one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessEntry {
    /// What was done: 1 ask, 2 approve, 3 deny, 4 withdraw, 5 revoke, 6 time-out, 7 escalate, 8 review.
    pub act: u8,
    /// Keyed pseudonym of the request, and of the grant or case that may come of it.
    pub request: Tag,
    /// Which act of the request this is; the asking is 0.
    pub number: u16,
    /// Where the request stands now: 1 waiting, 2 granted, 3 denied, 4 timed out, 5 withdrawn, 6 revoked.
    pub state: u8,
    /// Who acted.
    pub by: Option<By>,
    /// Who asked.
    pub requester: Tag,
    /// At which step of the procedure, counted from 0.
    pub step: u8,
    /// What it would be.
    pub ground: Ground,
    /// Why.
    pub purpose: Purpose,
    /// On which dataset.
    pub dataset: Name,
    /// Which procedure of the rulebook decides.
    pub procedure: Name,
    /// How much may cross in all.
    pub amount: Amount,
    /// When it was asked for.
    pub asked_at: UnixSeconds,
    /// When the step of this act began.
    pub step_began: UnixSeconds,
    /// When it began to serve, and until when, exclusive; zeros unless granted.
    pub serves: (UnixSeconds, UnixSeconds),
    /// That it is a decoy: said when it is over and not before.
    pub decoy: bool,
    /// Under which rulebook.
    pub rulebook: Digest,
}

type Read<T> = Result<T, SiteError>;

const BODY: SiteError = SiteError::Field("access");

/// The values of the body, in the order of their keys.
pub(super) fn write(e: &AccessEntry) -> Vec<Value> {
    let tag = |t: &Tag| Value::Bytes(t.bytes().to_vec());
    let text = |t: &str| Value::Text(t.to_owned());
    let by = e.by.iter().flat_map(|by| [tag(&by.tag), text(by.employer.as_str()), text(by.country.as_str())]);
    let times = [e.asked_at, e.step_began, e.serves.0, e.serves.1];
    let (dataset, procedure) = (text(e.dataset.as_str()), text(e.procedure.as_str()));
    let what = vec![Value::from(e.ground.code()), Value::from(e.purpose.code()), dataset, procedure];
    let amount = [e.amount.rows, e.amount.bytes, e.amount.subjects];
    vec![
        Value::from(e.act),
        tag(&e.request),
        Value::from(e.number),
        Value::from(e.state),
        Value::Array(by.collect()),
        tag(&e.requester),
        Value::from(e.step),
        Value::Array(what),
        Value::Array(amount.map(Value::from).into()),
        Value::Array(times.map(|t| Value::from(t.0)).into()),
        Value::Bool(e.decoy),
        Value::Bytes(e.rulebook.bytes().to_vec()),
    ]
}

/// Reads what [`write`] writes.
pub(super) fn read(values: &[Value]) -> Read<AccessEntry> {
    let [act, request, number, state, by, requester, step, what, amount, times, Value::Bool(decoy), rulebook] =
        values
    else {
        return Err(BODY);
    };
    let [ground, purpose, dataset, procedure] = list(what)? else { return Err(BODY) };
    let [rows, bytes, subjects] = list(amount)? else { return Err(BODY) };
    let [asked_at, step_began, from, until] = list(times)? else { return Err(BODY) };
    let by = match list(by)? {
        [] => None,
        [t, employer, country] => Some(By {
            tag: tag(t)?,
            employer: name(employer)?,
            country: Country::parse(string(country)?).map_err(|_| BODY)?,
        }),
        _ => return Err(BODY),
    };
    let entry = AccessEntry {
        act: small(act, 1, u64::from(ACTS))?,
        request: tag(request)?,
        number: u16::try_from(uint(number)?).ok().filter(|n| u64::from(*n) < ACTS_MAX).ok_or(BODY)?,
        state: small(state, 1, u64::from(STATES))?,
        by,
        requester: tag(requester)?,
        step: small(step, 0, STEPS_MAX - 1)?,
        ground: u8::try_from(uint(ground)?).ok().and_then(Ground::from_code).ok_or(BODY)?,
        purpose: u16::try_from(uint(purpose)?).ok().and_then(Purpose::from_code).ok_or(BODY)?,
        dataset: name(dataset)?,
        procedure: name(procedure)?,
        amount: Amount { rows: uint(rows)?, bytes: uint(bytes)?, subjects: uint(subjects)? },
        asked_at: time(asked_at)?,
        step_began: time(step_began)?,
        serves: (time(from)?, time(until)?),
        decoy: *decoy,
        rulebook: rulebook
            .as_bytes()
            .and_then(|b| <[u8; 32]>::try_from(b.as_slice()).ok())
            .map(Digest::new)
            .ok_or(BODY)?,
    };
    consistent(&entry)
}

/// Time acts alone when it times out or escalates, and at no other time; only what serves says from when until when.
fn consistent(entry: &AccessEntry) -> Read<AccessEntry> {
    let alone = matches!(entry.act, 6 | 7) == entry.by.is_none();
    let serves = (entry.state == 2) == (entry.serves.0 < entry.serves.1);
    let nothing = entry.state == 2 || entry.serves == (UnixSeconds(0), UnixSeconds(0));
    if alone && serves && nothing { Ok(entry.clone()) } else { Err(BODY) }
}

fn list(value: &Value) -> Read<&[Value]> {
    value.as_array().map(Vec::as_slice).ok_or(BODY)
}

fn uint(value: &Value) -> Read<u64> {
    value.as_integer().and_then(|i| u64::try_from(i).ok()).ok_or(BODY)
}

fn small(value: &Value, least: u64, most: u64) -> Read<u8> {
    let number = uint(value)?;
    if number < least || number > most { Err(BODY) } else { u8::try_from(number).map_err(|_| BODY) }
}

fn time(value: &Value) -> Read<UnixSeconds> {
    uint(value).map(UnixSeconds)
}

fn string(value: &Value) -> Read<&str> {
    value.as_text().ok_or(BODY)
}

fn name(value: &Value) -> Read<Name> {
    Name::parse(string(value)?).map_err(|_| BODY)
}

fn tag(value: &Value) -> Read<Tag> {
    value.as_bytes().and_then(|b| <[u8; 16]>::try_from(b.as_slice()).ok()).map(Tag::new).ok_or(BODY)
}
