//! Bodies in deterministic CBOR (RFC 8949 §4.2.1).

use ciborium::Value;
use model::Digest;

use super::{DayMapEntry, Enrolled, Input, LogState, Role, SiteEntry, SiteError, TEXT_MAX, access};
use crate::merkle::Hash;

/// Most names in a URL prefix.
const PREFIX_NAMES_MAX: usize = 4;

type Read<T> = Result<T, SiteError>;

/// Appends the body of an entry. Lists are written ascending, whatever their order.
pub(super) fn write(entry: &SiteEntry, out: &mut Vec<u8>) -> Read<()> {
    let values = match entry {
        SiteEntry::Round { logs } => vec![ascending(logs, |l| &l.origin, log_state)?],
        SiteEntry::Enrolment { logs } => {
            apart(logs)?;
            vec![ascending(logs, |l| &l.origin, enrolled)?]
        }
        SiteEntry::DayMap(map) => day_map(map)?,
        SiteEntry::Activation { rulebook } => vec![Value::Bytes(rulebook.bytes().to_vec())],
        SiteEntry::Override { note } => vec![Value::Text(note.clone())],
        SiteEntry::Sample { origin, size, indices } => {
            let mut indices = indices.clone();
            indices.sort_unstable();
            indices.dedup();
            let indices = indices.into_iter().map(Value::from).collect();
            vec![text(origin)?, Value::from(*size), Value::Array(indices)]
        }
        SiteEntry::Retirement(LogState { origin, size, root }) => {
            vec![text(origin)?, Value::from(*size), hash(root)]
        }
        SiteEntry::Access(entry) => access::write(entry),
    };
    let map = Value::Map((0u8..).map(Value::from).zip(values).collect());
    ciborium::into_writer(&map, out).map_err(|_| SiteError::Field("body"))
}

fn ascending<T: Ord>(items: &[T], origin: impl Fn(&T) -> &String, one: fn(&T) -> Read<Value>) -> Read<Value> {
    let mut sorted: Vec<&T> = items.iter().collect();
    sorted.sort_by(|a, b| origin(a).as_bytes().cmp(origin(b).as_bytes()));
    if !sorted.is_sorted_by(|a, b| origin(a) < origin(b)) {
        return Err(SiteError::Field("origin, which stands twice"));
    }
    sorted.into_iter().map(one).collect::<Read<Vec<_>>>().map(Value::Array)
}

fn text(value: &str) -> Read<Value> {
    if value.is_empty() || value.len() > TEXT_MAX || value.chars().any(char::is_control) {
        return Err(SiteError::Field("text"));
    }
    Ok(Value::Text(value.to_owned()))
}

/// A prefix becomes a path: it is a few plain names.
fn prefix(value: &str) -> Read<Value> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let name = |n: &str| !n.is_empty() && !n.starts_with('.') && n.bytes().all(plain);
    let names = value.split('/').count() <= PREFIX_NAMES_MAX && value.split('/').all(name);
    if names { text(value) } else { Err(SiteError::Field("URL prefix")) }
}

/// No log may lie within another's prefix, nor within the site's own.
fn apart(logs: &[Enrolled]) -> Read<()> {
    let mut prefixes: Vec<Vec<&str>> = logs.iter().map(|l| l.prefix.split('/').collect()).collect();
    prefixes.push(vec!["site"]);
    // Sorted by names, whatever begins with a prefix comes right behind it.
    prefixes.sort_unstable();
    let apart = prefixes.is_sorted_by(|a, b| !b.starts_with(a));
    if apart { Ok(()) } else { Err(SiteError::Field("URL prefix, which lies in another")) }
}

fn hash(value: &Hash) -> Value {
    Value::Bytes(value.as_bytes().to_vec())
}

fn log_state(log: &LogState) -> Read<Value> {
    Ok(Value::Array(vec![text(&log.origin)?, Value::from(log.size), hash(&log.root)]))
}

fn enrolled(log: &Enrolled) -> Read<Value> {
    let role = Value::from(log.role.code());
    Ok(Value::Array(vec![text(&log.origin)?, text(&log.vkey)?, role, prefix(&log.prefix)?]))
}

fn input(input: &Input) -> Read<Value> {
    let Input { origin, from, to, root } = input;
    if from > to {
        return Err(SiteError::Field("input"));
    }
    Ok(Value::Array(vec![text(origin)?, Value::from(*from), Value::from(*to), hash(root)]))
}

fn day_map(map: &DayMapEntry) -> Read<Vec<Value>> {
    Ok(vec![
        Value::from(map.day),
        Value::Bool(map.is_final),
        hash(&map.root),
        Value::from(map.tags),
        Value::from(map.pairs),
        ascending(&map.inputs, |i| &i.origin, input)?,
        hash(&map.calendar_root),
        Value::from(map.calendar_size),
    ])
}

/// Reads the body of a kind. Whether it is in deterministic form, and the limits of its texts, the caller
/// finds by writing it again.
pub(super) fn read(kind: u8, bytes: &[u8]) -> Read<SiteEntry> {
    let value: Value = ciborium::from_reader(bytes).map_err(|_| SiteError::Field("body"))?;
    let Value::Map(pairs) = value else { return Err(SiteError::Field("body")) };
    let known = pairs.iter().zip(0u8..).all(|((key, _), n)| *key == Value::from(n));
    if !known {
        return Err(SiteError::Field("keys"));
    }
    let values: Vec<Value> = pairs.into_iter().map(|(_, value)| value).collect();
    match (kind, values.as_slice()) {
        (1, [logs]) => Ok(SiteEntry::Round { logs: list(logs, read_log_state)? }),
        (2, [logs]) => Ok(SiteEntry::Enrolment { logs: list(logs, read_enrolled)? }),
        (3, values) => read_day_map(values).map(SiteEntry::DayMap),
        (4, [rulebook]) => Ok(SiteEntry::Activation { rulebook: Digest::new(bytes32(rulebook)?) }),
        (5, [Value::Text(note)]) => Ok(SiteEntry::Override { note: note.clone() }),
        (6, [origin, size, indices]) => Ok(SiteEntry::Sample {
            origin: string(origin)?,
            size: uint(size)?,
            indices: list(indices, uint)?,
        }),
        (7, [origin, size, root]) => Ok(SiteEntry::Retirement(LogState {
            origin: string(origin)?,
            size: uint(size)?,
            root: read_hash(root)?,
        })),
        (access::KIND, values) => access::read(values).map(|entry| SiteEntry::Access(Box::new(entry))),
        (1..=7, _) => Err(SiteError::Field("body")),
        _ => Err(SiteError::Field("kind")),
    }
}

fn list<T>(value: &Value, one: fn(&Value) -> Read<T>) -> Read<Vec<T>> {
    value.as_array().ok_or(SiteError::Field("list"))?.iter().map(one).collect()
}

fn string(value: &Value) -> Read<String> {
    value.as_text().map(str::to_owned).ok_or(SiteError::Field("text"))
}

fn uint(value: &Value) -> Read<u64> {
    value.as_integer().and_then(|i| u64::try_from(i).ok()).ok_or(SiteError::Field("number"))
}

fn bytes32(value: &Value) -> Read<[u8; 32]> {
    value.as_bytes().and_then(|b| b.as_slice().try_into().ok()).ok_or(SiteError::Field("hash"))
}

fn read_hash(value: &Value) -> Read<Hash> {
    bytes32(value).map(Hash::from_bytes)
}

fn read_log_state(value: &Value) -> Read<LogState> {
    let Some([origin, size, root]) = value.as_array().map(Vec::as_slice) else {
        return Err(SiteError::Field("log"));
    };
    Ok(LogState { origin: string(origin)?, size: uint(size)?, root: read_hash(root)? })
}

fn read_enrolled(value: &Value) -> Read<Enrolled> {
    let Some([origin, vkey, role, prefix]) = value.as_array().map(Vec::as_slice) else {
        return Err(SiteError::Field("log"));
    };
    let role = match uint(role)? {
        1 => Role::Gateway,
        2 => Role::KeyService,
        _ => return Err(SiteError::Field("role")),
    };
    Ok(Enrolled { origin: string(origin)?, vkey: string(vkey)?, role, prefix: string(prefix)? })
}

fn read_input(value: &Value) -> Read<Input> {
    let Some([origin, from, to, root]) = value.as_array().map(Vec::as_slice) else {
        return Err(SiteError::Field("input"));
    };
    Ok(Input { origin: string(origin)?, from: uint(from)?, to: uint(to)?, root: read_hash(root)? })
}

fn read_day_map(values: &[Value]) -> Read<DayMapEntry> {
    let [day, Value::Bool(is_final), root, tags, pairs, inputs, calendar_root, calendar_size] = values else {
        return Err(SiteError::Field("day map"));
    };
    Ok(DayMapEntry {
        day: u32::try_from(uint(day)?).map_err(|_| SiteError::Field("day"))?,
        is_final: *is_final,
        root: read_hash(root)?,
        tags: uint(tags)?,
        pairs: uint(pairs)?,
        inputs: list(inputs, read_input)?,
        calendar_root: read_hash(calendar_root)?,
        calendar_size: uint(calendar_size)?,
    })
}
