//! The vault's own lane for reading a person's fields.

use bytes::Bytes;
use crossing::{Ask, Format, Refused, Selection};
use model::catalogue::{Catalogue, FieldIndex};
use model::{Name, Reason, SubjectId};
use transform::json::Limits;
use vault::keys::KeyError;
use vault::records::{Person, RecordError};

use super::answer::Answer;
use super::route::{Context, own_name};
use crate::passage::Paid;

/// Longest query in bytes.
pub(super) const QUERY_MAX: usize = 64 << 10;
/// Most fields of one query.
const FIELDS_MAX: usize = 256;
/// Most records read of one person in one query.
const RECORDS_MAX: u32 = 10_000;
/// Most bytes of records in one answer.
pub(super) const ANSWER_MAX: usize = 16 << 20;
/// `POST /v1/read`: one person's fields.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRead {
    dataset: String,
    subject: String,
    fields: Vec<String>,
}

/// Fields of one dataset by collection, with the pointers under which an answer holds them.
pub(super) struct Wanted {
    pub(super) collections: Vec<Name>,
    pub(super) selection: Selection,
}

impl Wanted {
    /// `None` when a field is not declared: unknown is closed.
    pub(super) fn new(catalogue: &Catalogue, dataset: &str, fields: &[String]) -> Option<Self> {
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
    pub(super) async fn read(&self, body: Result<Bytes, Reason>) -> Answer {
        let name = match own_name("read") {
            Ok(name) => name,
            Err(answer) => return *answer,
        };
        let raw = body.and_then(|b| serde_json::from_slice::<RawRead>(&b).map_err(|_| Reason::Request));
        let raw = match raw {
            Ok(raw) => raw,
            Err(reason) => return self.refuse_early(&name, reason).await,
        };
        match self.read_through(&name, &raw).await {
            Ok(paid) => self.release(&name, paid).await,
            Err(reason) => {
                let subject = SubjectId::parse(&raw.subject).ok().and_then(|s| self.with_tag(s).ok());
                self.refuse_about(&name, reason, subject).await
            }
        }
    }

    async fn read_through(&self, name: &Name, raw: &RawRead) -> Result<Result<Paid, Refused>, Reason> {
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
        // No more is asked for than the ground gives in all.
        let rows_max = ground.rows_max(RECORDS_MAX);
        let ask = Ask { subject, rows_max, people_max: 1, ..base };
        let permitted = match self.decide(&ask, ground.bytes_max(ANSWER_MAX as u64)).await {
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
        let limits = Limits { bytes: ANSWER_MAX, depth: 32, members: 100_000, records: u64::from(rows_max) };
        let treated = match self.gather(&person, &wanted.collections) {
            Ok(body) => permitted.treat(&body, &Format::Json, &limits),
            Err(reason) => Err(permitted.refuse(reason)),
        };
        Ok(match treated {
            Ok(treated) => self.pay(&ground, treated).await,
            Err(refused) => Err(refused),
        })
    }

    /// The person's records of these collections, as one array.
    pub(super) fn gather(&self, person: &Person, collections: &[Name]) -> Result<Vec<u8>, Reason> {
        let enclave = &self.gateway.enclave;
        let records = enclave.records();
        let keys = records.keys_of(enclave.keys(), person).map_err(|e| match e {
            RecordError::Keys(KeyError::Down { .. }) => Reason::Upstream,
            _ => Reason::Subject,
        })?;
        let mut body = vec![b'['];
        let max = usize::try_from(RECORDS_MAX).unwrap_or(usize::MAX);
        for collection in collections {
            let room = ANSWER_MAX.saturating_sub(body.len());
            let all = records.collection(person, &keys, collection.as_str(), max.saturating_add(1), room);
            let all = all.map_err(|_| Reason::Upstream)?;
            // Nobody is given a part for the whole.
            if all.len() > max {
                return Err(Reason::Limit);
            }
            for record in all {
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
}
