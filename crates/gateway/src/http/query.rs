//! The vault's own lanes: reading a person's fields, and counting people.

use crossing::{Ask, Refused, Selection, Treated};
use hyper::body::Incoming;
use model::catalogue::{Catalogue, FieldIndex};
use model::{Name, Reason, SubjectId, Treatment};
use transform::json::{Form, Limits};
use vault::records::Person;

use super::answer::Answer;
use super::route::{Context, own_name};

/// Longest query in bytes.
const QUERY_MAX: usize = 64 << 10;
/// Most fields of one query.
const FIELDS_MAX: usize = 256;
/// Most records read of one person in one query.
const RECORDS_MAX: u32 = 10_000;
/// Most bytes of records in one answer.
const ANSWER_MAX: usize = 16 << 20;
/// A count names nobody, so all that asks for one treatment is this.
const COUNTED: &[Treatment] = &[Treatment::Aggregate];

/// `POST /v1/read`: one person's fields.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRead {
    dataset: String,
    subject: String,
    fields: Vec<String>,
}

/// `POST /v1/count`: people by the values of one field.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCount {
    dataset: String,
    by: String,
}

/// Fields of one dataset by collection, with the pointers under which an answer holds them.
struct Wanted {
    collections: Vec<Name>,
    selection: Selection,
}

impl Wanted {
    /// `None` when a field is not declared: unknown is closed.
    fn new(catalogue: &Catalogue, dataset: &str, fields: &[String]) -> Option<Self> {
        let dataset = catalogue.dataset(dataset)?;
        let mut collections: Vec<Name> = Vec::new();
        let mut pointers: Vec<(String, FieldIndex)> = Vec::new();
        for name in fields {
            let index = catalogue.find(&format!("{}.{name}", dataset.name))?;
            let collection = dataset.collections.iter().find(|c| c.fields.contains(&index))?;
            if !collections.contains(&collection.name) {
                collections.push(collection.name.clone());
            }
            let field = catalogue.field(index)?;
            for key in std::iter::once(&field.key).chain(&field.also) {
                let key = key.replace('~', "~0").replace('/', "~1");
                pointers.push((format!("/*/{}/{key}", collection.name), index));
            }
        }
        pointers.sort();
        pointers.dedup();
        let selection = Selection::new(catalogue, &pointers, None).ok()?;
        Some(Self { collections, selection })
    }
}

impl Context<'_> {
    pub(super) async fn read(&self, body: Incoming) -> Answer {
        let name = match own_name("read") {
            Ok(name) => name,
            Err(answer) => return *answer,
        };
        match self.read_through(&name, body).await {
            Ok(treated) => self.release(&name, treated, "application/json").await,
            Err(reason) => self.refuse_early(&name, reason).await,
        }
    }

    async fn read_through(&self, name: &Name, body: Incoming) -> Result<Result<Treated, Refused>, Reason> {
        let bytes = self.caller_body(body, QUERY_MAX).await?;
        let raw: RawRead = serde_json::from_slice(&bytes).map_err(|_| Reason::Request)?;
        if raw.fields.is_empty() || raw.fields.len() > FIELDS_MAX {
            return Err(Reason::Request);
        }
        let catalogue = &self.live.road.rulebook().catalogue;
        let dataset = Name::parse(&raw.dataset).map_err(|_| Reason::Request)?;
        let wanted = Wanted::new(catalogue, &raw.dataset, &raw.fields).ok_or(Reason::Request)?;
        let subject = SubjectId::parse(&raw.subject).map_err(|_| Reason::Request)?;
        let purpose = self.purpose()?;
        let ground = self.ground(None)?;
        let subject = Some(self.with_tag(subject)?);
        let base = self.ask(name, &dataset, &wanted.selection, purpose, &ground);
        let ask = Ask { subject, rows_max: RECORDS_MAX, people_max: 1, ..base };
        let permitted = match self.live.road.decide(&ask) {
            Ok(permitted) => permitted,
            Err(refused) => return Ok(Err(refused)),
        };
        // Whether the person is here at all is told only to whom reading them is permitted.
        let Some((subject, _)) = &ask.subject else { return Err(Reason::Request) };
        let person = match self.gateway.enclave.records().person(subject) {
            Ok(Some(person)) => person,
            Ok(None) => return Ok(Err(permitted.refuse(Reason::Subject))),
            Err(_) => return Ok(Err(permitted.refuse(Reason::Upstream))),
        };
        let limits =
            Limits { bytes: ANSWER_MAX, depth: 32, members: 100_000, records: u64::from(RECORDS_MAX) };
        Ok(match self.gather(&person, &wanted.collections) {
            Ok(body) => permitted.treat(&body, Form::Json, &limits),
            Err(reason) => Err(permitted.refuse(reason)),
        })
    }

    /// The person's records of these collections, as one array.
    fn gather(&self, person: &Person, collections: &[Name]) -> Result<Vec<u8>, Reason> {
        let enclave = &self.gateway.enclave;
        let records = enclave.records();
        let keys = records.keys_of(enclave.keys(), person).map_err(|_| Reason::Subject)?;
        let mut body = vec![b'['];
        let max = usize::try_from(RECORDS_MAX).unwrap_or(usize::MAX);
        for collection in collections {
            let all = records.collection(person, &keys, collection.as_str(), max.saturating_add(1));
            for record in all.map_err(|_| Reason::Upstream)? {
                if body.len() > 1 {
                    body.push(b',');
                }
                body.extend_from_slice(format!("{{\"{collection}\":").as_bytes());
                body.extend_from_slice(&record);
                body.push(b'}');
                if body.len() > ANSWER_MAX {
                    return Err(Reason::Limit);
                }
            }
        }
        body.push(b']');
        Ok(body)
    }

    pub(super) async fn count(&self, body: Incoming) -> Answer {
        let name = match own_name("count") {
            Ok(name) => name,
            Err(answer) => return *answer,
        };
        match self.count_through(&name, body).await {
            Ok(treated) => self.release(&name, treated, "application/json").await,
            Err(reason) => self.refuse_early(&name, reason).await,
        }
    }

    async fn count_through(&self, name: &Name, body: Incoming) -> Result<Result<Treated, Refused>, Reason> {
        let bytes = self.caller_body(body, QUERY_MAX).await?;
        let raw: RawCount = serde_json::from_slice(&bytes).map_err(|_| Reason::Request)?;
        let catalogue = &self.live.road.rulebook().catalogue;
        let dataset = Name::parse(&raw.dataset).map_err(|_| Reason::Request)?;
        let wanted =
            Wanted::new(catalogue, &raw.dataset, std::slice::from_ref(&raw.by)).ok_or(Reason::Request)?;
        let purpose = self.purpose()?;
        let ground = self.ground(None)?;
        let base = self.ask(name, &dataset, &wanted.selection, purpose, &ground);
        let people = u32::try_from(self.gateway.enclave.records().count().map_err(|_| Reason::Upstream)?);
        let people_max = people.unwrap_or(u32::MAX);
        let ask = Ask { ladder: COUNTED, rows_max: 10_000, people_max, ..base };
        let permitted = match self.live.road.decide(&ask) {
            Ok(permitted) => permitted,
            Err(refused) => return Ok(Err(refused)),
        };
        let (Some(collection), Some((_, key))) =
            (wanted.collections.first().cloned(), raw.by.split_once('.'))
        else {
            return Err(Reason::Request);
        };
        let (enclave, key) = (std::sync::Arc::clone(&self.gateway.enclave), key.to_owned());
        let values = tokio::task::spawn_blocking(move || values(&enclave, &collection, &key)).await;
        Ok(match values {
            Ok(Ok(values)) => permitted.count(values),
            _ => Err(permitted.refuse(Reason::Upstream)),
        })
    }
}

/// One value a person: the first record of the collection that has the key. Inside the region; only counts
/// of large groups leave.
fn values(
    enclave: &crate::Enclave,
    collection: &Name,
    key: &str,
) -> Result<Vec<String>, vault::records::RecordError> {
    let records = enclave.records();
    let mut values = Vec::new();
    for person in records.people() {
        let (_, person) = person?;
        let keys = records.keys_of(enclave.keys(), &person)?;
        let first = records.collection(&person, &keys, collection.as_str(), 1)?;
        let value = first.first().and_then(|json| serde_json::from_slice::<serde_json::Value>(json).ok());
        let value = value.as_ref().and_then(|v| v.get(key)).and_then(|v| v.as_str());
        values.push(value.unwrap_or("unknown").to_owned());
    }
    Ok(values)
}
