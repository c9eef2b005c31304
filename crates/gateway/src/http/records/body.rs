//! Bodies of requests about records, read strictly. What they hold is repeated in no message.

use crossing::inside::{Opening, Recipient};
use model::catalogue::{Catalogue, Dataset, Shape};
use model::{Country, Name, Purpose};
use serde::Deserialize;
use serde_json::Value;
use transform::json::{
    Bindings, FieldIndex, Form, Limits, NameVerdict, Scalar, Stop, Verdict, Visitor, rewrite,
};
use vault::keys::Lookup;
use vault::records::{HomeEvidence, Precondition, RecordId, WRITES_MAX};

/// The member that holds the label of a map in an import file.
const LABEL: &str = "_with";
/// Longest value by which people are found, in bytes.
const VALUE_MAX: usize = 320;

/// One record that is written or removed.
pub(super) struct OwnedWrite {
    pub(super) collection: Name,
    pub(super) id: RecordId,
    pub(super) expect: Precondition,
    pub(super) json: Option<Vec<u8>>,
}

/// Records that are written together.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Batch {
    writes: Vec<RawWrite>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWrite {
    collection: String,
    id: String,
    /// Absent: whatever is there.
    #[serde(default)]
    expect: Option<Expected>,
    /// `null` removes; what is not there is an error.
    #[serde(deserialize_with = "Option::deserialize")]
    record: Option<serde_json::Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Expected {
    New,
    Version(u64),
}

pub(super) const FORM: &str = "the body is not what /v1/records/openapi.json describes";

impl Batch {
    pub(super) fn read(body: &[u8]) -> Result<Vec<OwnedWrite>, String> {
        strict(body)?;
        let batch: Self = serde_json::from_slice(body).map_err(|_| FORM.to_owned())?;
        if batch.writes.len() > WRITES_MAX {
            return Err(format!("at most {WRITES_MAX} records are written together"));
        }
        let write = |(n, raw): (usize, RawWrite)| {
            let at = |what: &str| format!("write {n}: {what}");
            let collection = Name::parse(&raw.collection).map_err(|_| at("no such collection"))?;
            let id = RecordId::parse(&raw.id).map_err(|e| at(&e.to_string()))?;
            let expect = match raw.expect {
                None => Precondition::Any,
                Some(Expected::New) => Precondition::New,
                Some(Expected::Version(version)) => Precondition::Version(version),
            };
            let json = raw.record.map(Value::Object);
            if json.as_ref().is_some_and(is_inexact) {
                return Err(at("a number with a fraction, or beyond 64 bits: write this record alone"));
            }
            let json = json.map(|r| r.to_string().into_bytes());
            Ok(OwnedWrite { collection, id, expect, json })
        };
        batch.writes.into_iter().enumerate().map(write).collect()
    }
}

/// Whether a number would be spelled otherwise than it came.
fn is_inexact(value: &Value) -> bool {
    match value {
        Value::Number(n) => !n.is_u64() && !n.is_i64(),
        Value::Array(all) => all.iter().any(is_inexact),
        Value::Object(all) => all.values().any(is_inexact),
        _ => false,
    }
}

/// By what somebody is looked for.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum Search {
    Email(String),
    Phone(String),
    UserName(String),
}

impl Search {
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        let search: Self = serde_json::from_slice(body).map_err(|_| FORM.to_owned())?;
        if search.parts().1.is_empty() || search.parts().1.len() > VALUE_MAX {
            return Err(format!("a value has 1 to {VALUE_MAX} bytes"));
        }
        Ok(search)
    }

    pub(super) fn parts(&self) -> (Lookup, &str) {
        match self {
            Self::Email(value) => (Lookup::Email, value),
            Self::Phone(value) => (Lookup::Phone, value),
            Self::UserName(value) => (Lookup::UserName, value),
        }
    }
}

/// Most tokens that are opened together.
const TOKENS_MAX: usize = 1_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOpening {
    lane: String,
    field: String,
    recipient: RawRecipient,
    purpose: String,
    #[serde(default)]
    epoch: Option<u32>,
    tokens: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RawRecipient {
    Flow(String),
    Employer(String),
}

/// Tokens that are to be opened.
pub(super) fn opening(body: &[u8]) -> Result<Opening, String> {
    strict(body)?;
    let raw: RawOpening = serde_json::from_slice(body).map_err(|_| FORM.to_owned())?;
    if raw.tokens.is_empty() || raw.tokens.len() > TOKENS_MAX {
        return Err(format!("1 to {TOKENS_MAX} tokens are opened together"));
    }
    let name = |text: &str| Name::parse(text).map_err(|_| FORM.to_owned());
    let recipient = match raw.recipient {
        RawRecipient::Flow(text) => Recipient::Flow(name(&text)?),
        RawRecipient::Employer(text) => Recipient::Employer(name(&text)?),
    };
    let purpose = Purpose::parse(&raw.purpose).map_err(|_| FORM.to_owned())?;
    let RawOpening { field, epoch, tokens, .. } = raw;
    Ok(Opening { lane: name(&raw.lane)?, field, recipient, purpose, epoch, tokens })
}

/// Somebody who comes to live here.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Admission {
    pub(super) user_name: String,
    home: String,
    pub(super) evidence: HomeEvidence,
    #[serde(default)]
    pub(super) email: Option<String>,
    #[serde(default)]
    pub(super) phone: Option<String>,
}

impl Admission {
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        let admission: Self = serde_json::from_slice(body).map_err(|_| FORM.to_owned())?;
        let values = [Some(&admission.user_name), admission.email.as_ref(), admission.phone.as_ref()];
        if values.into_iter().flatten().any(|v| v.trim().is_empty() || v.len() > VALUE_MAX) {
            return Err(format!("a value has 1 to {VALUE_MAX} bytes"));
        }
        Ok(admission)
    }

    /// Where they live; nobody is without a place.
    pub(super) fn home(&self) -> Result<Country, String> {
        Country::parse(&self.home).map_err(|_| "the home is no country, ISO 3166-1 alpha-2".to_owned())
    }
}

/// Whether a record is a JSON object whose members the collection declares, and belongs there.
pub(super) fn fits(catalogue: &Catalogue, dataset: &Dataset, write: &OwnedWrite) -> Result<(), String> {
    let Some(json) = &write.json else { return Ok(()) };
    strict(json)?;
    let record: serde_json::Map<String, Value> =
        serde_json::from_slice(json).map_err(|_| "a record is a JSON object".to_owned())?;
    let collection = dataset.collections.iter().find(|c| c.name == write.collection);
    let collection = collection.ok_or_else(|| "no such collection".to_owned())?;
    let labelled = matches!(collection.shape, Shape::MapOfLists | Shape::MapOfObjects);
    let known = |key: &str| {
        let fields = collection.fields.iter().filter_map(|f| catalogue.field(*f));
        (labelled && key == LABEL)
            || fields.into_iter().any(|f| f.key == key || f.also.iter().any(|a| a == key))
    };
    if let Some(place) = record.keys().position(|key| !known(key)) {
        return Err(format!(
            "member {place}, in the order of their names, is no field that the catalogue declares"
        ));
    }
    let routed =
        collection.route.as_ref().filter(|r| record.get(&r.key).and_then(Value::as_str) == Some(&r.equals));
    match routed {
        Some(route) => Err(format!("the record belongs into the collection `{}`", route.to)),
        None => Ok(()),
    }
}

/// Refuses what readers of JSON disagree about: a name twice, lone surrogates, text behind the end, too deep.
fn strict(json: &[u8]) -> Result<(), String> {
    let limits = Limits { bytes: json.len(), depth: 32, members: 100_000, records: 1_000_000 };
    let nothing = Bindings::compile(std::iter::empty()).map_err(|e| e.to_string())?;
    let read = rewrite(json, Form::Json, &nothing, &limits, &mut Nothing, &mut Vec::new());
    read.map(|_| ()).map_err(|_| "the body is not JSON with one meaning (RFC 8259)".to_owned())
}

/// Looks at nothing: only the form counts.
struct Nothing;

impl Visitor for Nothing {
    fn scalar(&mut self, _: FieldIndex, _: Scalar<'_>, _: &mut Vec<u8>) -> Result<Verdict, Stop> {
        Ok(Verdict::Keep)
    }
    fn wild_name(&mut self, _: &[u8], _: bool) -> Result<NameVerdict, Stop> {
        Ok(NameVerdict::Drop)
    }
}
