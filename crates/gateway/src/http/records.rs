//! People's records for services inside (`docs/records.md`). Nothing crosses: what may be done is registered in the
//! rulebook, and what was done is summed up on the ledger each minute. Whoever may not is refused on the record, as
//! everybody is.

mod body;
mod media;
mod work;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crossing::inside::Opening;
use http::header::{AGE, CONTENT_TYPE, ETAG, HeaderValue};
use http::{Method, StatusCode};
use model::inside::InsideAct;
use model::{DataClass, Explain, Name, Reason, SubjectId};
use vault::media::MediaError;
use vault::records::{Precondition, RecordError, RecordId};

use self::body::{Admission, Batch, OwnedWrite, Search};
use super::answer::{self, Answer, RECEIPT};
use super::route::{Context, SUBJECT, own_name};
use crate::enclave::{self, NotAdmitted};
use crate::inside::{Done, Use};

/// Where the ways begin.
const PREFIX: &str = "/v1/records";
/// Largest body: a batch.
const BODY_MAX: usize = 8 << 20;
/// Most records of one answer.
const LISTED_MAX: usize = 1_000;
/// No more records than this many bytes are listed at once, the last one apart.
const LISTED_BYTES: usize = 1 << 20;
/// The name of the registered use.
const USE: &str = "clover-use";
/// Behind which record a list goes on.
const AFTER: &str = "clover-after";
/// Where the next page begins, if there is one.
const NEXT: http::HeaderName = http::HeaderName::from_static("clover-next");

/// The description for programs.
const OPENAPI: &str = include_str!("records/openapi.json");

/// Largest body that a request to this path may have; 0 when it has none, `None` when the path is not one of these.
pub(super) fn body_max(method: &Method, path: &str) -> Option<usize> {
    let rest = path.strip_prefix(PREFIX).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
    Some(match (method, rest.is_empty()) {
        (&Method::PUT, false) | (&Method::POST, _) => BODY_MAX,
        _ => 0,
    })
}

/// What is to be done.
enum Task {
    Get { collection: Name, id: RecordId },
    List { collection: Name, after: Option<RecordId> },
    Export { collections: BTreeSet<Name>, after: Option<(Name, RecordId)> },
    Change { writes: Vec<OwnedWrite> },
    Media(media::Task),
    About,
    Find(Search),
    Admit(Box<Admission>),
    Open(Box<Opening>),
}

/// What was asked for, and whose sum it counts in.
struct Wanted {
    task: Task,
    subject: Option<SubjectId>,
    by: Use,
    dataset: Name,
    classes: BTreeSet<DataClass>,
    /// How old what is only read may be.
    staleness: Option<Duration>,
}

/// Why something asked for by a service that may ask was not done.
#[derive(Debug, thiserror::Error)]
enum Undone {
    #[error("nobody here has this handle")]
    Nobody,
    #[error("there is no such record")]
    Missing,
    #[error("{0}")]
    Body(String),
    #[error(transparent)]
    Store(#[from] RecordError),
    #[error(transparent)]
    Media(#[from] MediaError),
    #[error(transparent)]
    Admission(#[from] NotAdmitted),
}

/// What is answered.
enum Found {
    Record { version: u64, json: Vec<u8> },
    Json(serde_json::Value),
    Part(Vec<u8>),
    Page { body: Vec<u8>, next: Option<String> },
    Admitted { subject: SubjectId, entry: u64 },
}

impl Context<'_> {
    pub(super) async fn records(&self, method: &Method, path: &str, body: Result<Bytes, Reason>) -> Answer {
        let name = match own_name("records") {
            Ok(name) => name,
            Err(answer) => return *answer,
        };
        let rest = path.strip_prefix(PREFIX).unwrap_or_default();
        if (method, rest) == (&Method::GET, "/openapi.json") {
            return answer::json(StatusCode::OK, OPENAPI.as_bytes().to_vec());
        }
        let wanted = match self.wanted(method, rest, body) {
            Ok(wanted) => wanted,
            Err(Refusal::Recorded(reason)) => return self.refuse_early(&name, reason).await,
            Err(Refusal::Told(undone)) => return told(&undone),
        };
        let enclave = Arc::clone(&self.gateway.enclave);
        // Nobody has asked for long which rulebook is in force.
        if !enclave.control().is_fresh() {
            return self.refuse_early(&name, Reason::Rulebook).await;
        }
        // INVARIANT: nobody works with records while nobody can say so on the ledger.
        if let Some(closed) = enclave.inside_closed(self.now) {
            return answer::broken(&closed);
        }
        let (place, now) = (self.place(), self.now);
        let done = tokio::task::spawn_blocking(move || {
            let reader = enclave.records().within(wanted.staleness);
            let (found, done) = work::work(&enclave, &reader, &wanted, place, now);
            let age = reader.age();
            // When it was done, however long it took.
            enclave.inside().add(wanted.by, enclave::now().0, Done { classes: wanted.classes, ..done });
            (found, age)
        });
        match done.await {
            Ok((Ok(found), age)) => aged(answered(found), age),
            Ok((Err(undone), age)) => aged(told(&undone), age),
            Err(_) => answer::broken(&vault::BorderClosed::Stopped),
        }
    }

    fn wanted(&self, method: &Method, rest: &str, body: Result<Bytes, Reason>) -> Result<Wanted, Refusal> {
        let name = self.header(USE)?.ok_or(Reason::Request)?;
        let name = Name::parse(name).map_err(|_| Reason::Request)?;
        let (act, collection) = act_of(method, rest).ok_or(Reason::Unknown)?;
        let road = &self.live.road;
        let inside = road.inside(self.actor, &name, act, collection)?;
        let of_media = media::is_one(rest);
        if of_media && !inside.media {
            return Err(Reason::Evidence.into());
        }
        let catalogue = &road.rulebook().catalogue;
        let body = body?;
        let task = self.task(method, rest, &body, &inside.collections)?;
        let touched: BTreeSet<&Name> = match &task {
            Task::Change { writes } => writes.iter().map(|w| &w.collection).collect(),
            Task::Get { collection, .. } | Task::List { collection, .. } => BTreeSet::from([collection]),
            Task::Export { collections, .. } => collections.iter().collect(),
            Task::About | Task::Find(_) | Task::Admit(_) | Task::Media(_) | Task::Open(_) => BTreeSet::new(),
        };
        let mut classes: BTreeSet<DataClass> =
            of_media.then_some(DataClass::Restricted).into_iter().collect();
        for collection in touched {
            // A batch may name what was not looked at above.
            let fields = inside.fields(catalogue, collection.as_str()).ok_or(Reason::Evidence)?;
            classes.extend(fields.iter().filter_map(|f| catalogue.field(*f)).map(|f| f.class));
        }
        if let Task::Open(opening) = &task {
            classes.insert(road.opens(inside, opening)?.class);
        }
        if let Task::Change { writes } = &task {
            let dataset = catalogue.dataset(inside.dataset.as_str()).ok_or(Reason::Evidence)?;
            for write in writes {
                body::fits(catalogue, dataset, write).map_err(Undone::Body)?;
            }
        }
        let subject = match (&task, self.header(SUBJECT)?) {
            (Task::Find(_) | Task::Admit(_) | Task::Open(_), None) => None,
            (Task::Find(_) | Task::Admit(_) | Task::Open(_), Some(_)) | (_, None) => {
                return Err(Reason::Request.into());
            }
            (_, Some(text)) => Some(SubjectId::parse(text).map_err(|_| Reason::Request)?),
        };
        let principal = self.actor.principal();
        let by = Use {
            rulebook: road.rulebook().digest,
            name,
            purpose: inside.purpose,
            actor: principal.tag,
            place: principal.country,
        };
        let staleness = self.staleness()?;
        Ok(Wanted { task, subject, by, dataset: inside.dataset.clone(), classes, staleness })
    }

    fn task(
        &self,
        method: &Method,
        rest: &str,
        body: &[u8],
        collections: &BTreeSet<Name>,
    ) -> Result<Task, Refusal> {
        let after = self.header(AFTER)?;
        let id = |text: &str| RecordId::parse(text).map_err(|e| Refusal::Told(e.into()));
        let name = |text: &str| Name::parse(text).map_err(|_| Refusal::from(Reason::Request));
        let task = match (method, rest) {
            (&Method::POST, "") => Task::Change { writes: Batch::read(body).map_err(Undone::Body)? },
            (&Method::GET, "/person") => Task::About,
            (&Method::PUT, "/person") => Task::Admit(Box::new(Admission::read(body).map_err(Undone::Body)?)),
            (&Method::GET, "/person/export") => {
                let after = after.and_then(|text| text.split_once('/'));
                let after = after.map(|(c, i)| Ok::<_, Refusal>((name(c)?, id(i)?))).transpose()?;
                Task::Export { collections: collections.clone(), after }
            }
            (method, rest) if media::is_one(rest) => Task::Media(media::task(method, rest, after, body)?),
            (&Method::POST, "/detokenise") => {
                Task::Open(Box::new(body::opening(body).map_err(Undone::Body)?))
            }
            (&Method::POST, "/find") => Task::Find(Search::read(body).map_err(Undone::Body)?),
            (method, rest) => {
                let mut parts = rest.strip_prefix("/in/").unwrap_or_default().splitn(2, '/');
                let (collection, record) = (name(parts.next().unwrap_or_default())?, parts.next());
                let Some(record) = record else {
                    return Ok(Task::List { collection, after: after.map(id).transpose()? });
                };
                let id = id(record)?;
                match *method {
                    Method::GET => Task::Get { collection, id },
                    Method::PUT => {
                        let write =
                            OwnedWrite { collection, id, expect: self.expect()?, json: Some(body.to_vec()) };
                        Task::Change { writes: vec![write] }
                    }
                    _ => {
                        let write = OwnedWrite { collection, id, expect: self.expect()?, json: None };
                        Task::Change { writes: vec![write] }
                    }
                }
            }
        };
        Ok(task)
    }

    /// How old what is read may be: the directive `max-stale` of RFC 9111 §5.2.1.2, in seconds, or without a bound of the
    /// client's own.
    fn staleness(&self) -> Result<Option<Duration>, Reason> {
        let directives = self.header("cache-control")?.unwrap_or_default().split(',').map(str::trim);
        let mut staleness = None;
        for directive in directives {
            let (name, value) = directive.split_once('=').unzip();
            if !name.unwrap_or(directive).eq_ignore_ascii_case("max-stale") {
                continue;
            }
            let most = value.map(|seconds| seconds.parse::<u32>().map_err(|_| Reason::Request));
            staleness = Some(most.transpose()?.map_or(Duration::MAX, |s| Duration::from_secs(s.into())));
        }
        Ok(staleness)
    }

    /// The condition of a write, by the headers of RFC 9110 §13.
    fn expect(&self) -> Result<Precondition, Refusal> {
        match (self.header("if-match")?, self.header("if-none-match")?) {
            (None, None) => Ok(Precondition::Any),
            (None, Some("*")) => Ok(Precondition::New),
            (Some(tag), None) => {
                let version =
                    tag.strip_prefix('"').and_then(|t| t.strip_suffix('"')).and_then(|t| t.parse().ok());
                Ok(Precondition::Version(version.ok_or(Reason::Request)?))
            }
            _ => Err(Reason::Request.into()),
        }
    }
}

/// Which act a path asks for, and for which collection.
fn act_of<'p>(method: &Method, rest: &'p str) -> Option<(InsideAct, Option<&'p str>)> {
    let collection = rest.strip_prefix("/in/").map(|rest| rest.split('/').next().unwrap_or_default());
    let single = rest.strip_prefix("/in/").is_some_and(|rest| rest.contains('/'));
    Some(match (method, rest, collection) {
        (&Method::GET, "/person" | "/person/export", _) => (InsideAct::Read, None),
        (&Method::PUT, "/person", _) => (InsideAct::Admit, None),
        (&Method::POST, "/find", _) => (InsideAct::Find, None),
        (&Method::POST, "/detokenise", _) => (InsideAct::Detokenise, None),
        (&Method::POST, "", _) => (InsideAct::Write, None),
        (method, rest, _) if media::is_one(rest) => (media::act_of(method, rest)?, None),
        (&Method::GET, _, Some(collection)) => (InsideAct::Read, Some(collection)),
        (&Method::PUT | &Method::DELETE, _, Some(collection)) if single => {
            (InsideAct::Write, Some(collection))
        }
        _ => return None,
    })
}

/// Why a request does not get as far as the store: a refusal that is recorded, or a fault that is told.
enum Refusal {
    Recorded(Reason),
    Told(Undone),
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self::Recorded(reason)
    }
}

impl From<Undone> for Refusal {
    fn from(undone: Undone) -> Self {
        Self::Told(undone)
    }
}

/// An answer that says how old it may be, in seconds, if a site near by gave it (RFC 9111 §5.1).
fn aged(mut answer: Answer, age: Option<Duration>) -> Answer {
    if let Some(age) = age {
        answer.headers_mut().insert(AGE, HeaderValue::from(age.as_secs().saturating_add(1)));
    }
    answer
}

fn answered(found: Found) -> Answer {
    match found {
        Found::Record { version, json } => {
            let mut answer = answer::json(StatusCode::OK, json);
            if let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\"")) {
                answer.headers_mut().insert(ETAG, tag);
            }
            answer
        }
        Found::Part(bytes) => {
            let mut answer = answer::json(StatusCode::OK, bytes);
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
            answer
        }
        Found::Json(value) => answer::json(StatusCode::OK, value.to_string().into_bytes()),
        Found::Page { body, next } => {
            let mut answer = answer::json(StatusCode::OK, body);
            answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
            if let Some(next) = next.and_then(|next| HeaderValue::from_str(&next).ok()) {
                answer.headers_mut().insert(NEXT, next);
            }
            answer
        }
        Found::Admitted { subject, entry } => {
            let body = serde_json::json!({ "subject": subject.as_str() });
            let mut answer = answer::json(StatusCode::CREATED, body.to_string().into_bytes());
            answer.headers_mut().insert(RECEIPT, HeaderValue::from(entry));
            answer
        }
    }
}

fn told(undone: &Undone) -> Answer {
    let (status, code) = match undone {
        Undone::Missing => (StatusCode::NOT_FOUND, "CLV-0304"),
        Undone::Nobody => (StatusCode::NOT_FOUND, "CLV-0305"),
        Undone::Body(_) => (StatusCode::UNPROCESSABLE_ENTITY, "CLV-0303"),
        Undone::Store(e) | Undone::Media(MediaError::Records(e)) => return told_of(e),
        Undone::Media(e) => match e {
            MediaError::Missing => (StatusCode::NOT_FOUND, e.code()),
            MediaError::Whole => (StatusCode::CONFLICT, e.code()),
            MediaError::Form => (StatusCode::UNPROCESSABLE_ENTITY, e.code()),
            e => {
                tracing::warn!(error = %e, "media could not be used");
                return not_done(StatusCode::SERVICE_UNAVAILABLE, e.code(), e.public());
            }
        },
        Undone::Admission(NotAdmitted::Store(e)) => return told_of(e),
        Undone::Admission(NotAdmitted::Border(e)) => return answer::broken(e),
        Undone::Admission(NotAdmitted::Sealed(e)) => {
            tracing::error!(error = %e, "an admission could not be sealed");
            return answer::broken(&vault::BorderClosed::Stopped);
        }
    };
    not_done(status, code, &undone.to_string())
}

fn told_of(error: &RecordError) -> Answer {
    let status = match error {
        RecordError::Conflict => StatusCode::PRECONDITION_FAILED,
        RecordError::Duplicate => StatusCode::CONFLICT,
        RecordError::Held => StatusCode::LOCKED,
        RecordError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        RecordError::Name | RecordError::Placeless => StatusCode::UNPROCESSABLE_ENTITY,
        // What it was stands in the log of the process, not in the answer.
        _ => {
            tracing::warn!(error = %error, "records could not be used");
            return not_done(StatusCode::SERVICE_UNAVAILABLE, error.code(), error.public());
        }
    };
    not_done(status, error.code(), &error.to_string())
}

fn not_done(status: StatusCode, code: &'static str, why: &str) -> Answer {
    answer::json(status, serde_json::json!({ "undone": code, "why": why }).to_string().into_bytes())
}
