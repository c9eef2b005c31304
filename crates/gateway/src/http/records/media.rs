//! People's videos and photos, in parts.

use http::Method;
use model::UnixSeconds;
use model::inside::InsideAct;
use vault::keys::PersonKeys;
use vault::media::{MediaError, Medium, MediumId, Of};
use vault::records::Person;

use super::{Found, Refusal, Undone};
use crate::Enclave;
use crate::inside::Done;

/// Where the ways begin, behind the prefix of all.
const PATH: &str = "/media";

/// Whether a path is one of these.
pub(super) fn is_one(rest: &str) -> bool {
    rest == PATH || parts(rest).is_some()
}

/// What is to be done.
pub(super) enum Task {
    List { after: Option<MediumId> },
    Begin,
    Find { id: MediumId },
    Finish { id: MediumId, medium: Medium },
    Remove { id: MediumId },
    Get { id: MediumId, part: u32 },
    Put { id: MediumId, part: u32, bytes: Vec<u8> },
}

/// The parts of a path: the medium, and its part.
fn parts(rest: &str) -> Option<(&str, Option<&str>)> {
    let rest = rest.strip_prefix("/media/")?;
    Some(rest.split_once('/').map_or((rest, None), |(id, part)| (id, Some(part))))
}

pub(super) fn act_of(method: &Method, rest: &str) -> Option<InsideAct> {
    Some(match (method, rest == PATH, parts(rest)) {
        (&Method::GET, _, _) => InsideAct::Read,
        (&Method::POST, true, _) | (&Method::PUT, false, _) | (&Method::DELETE, false, Some((_, None))) => {
            InsideAct::Write
        }
        _ => return None,
    })
}

pub(super) fn task(method: &Method, rest: &str, after: Option<&str>, body: &[u8]) -> Result<Task, Refusal> {
    let id = |text: &str| MediumId::parse(text).map_err(|e| Refusal::Told(e.into()));
    let missing = || Refusal::Told(MediaError::Missing.into());
    let Some((name, part)) = parts(rest) else {
        return Ok(match *method {
            Method::POST => Task::Begin,
            _ => Task::List { after: after.map(id).transpose()? },
        });
    };
    let name = id(name)?;
    let Some(part) = part else {
        return Ok(match *method {
            Method::GET => Task::Find { id: name },
            Method::PUT => {
                let medium = serde_json::from_slice(body);
                Task::Finish {
                    id: name,
                    medium: medium.map_err(|_| Undone::Body(super::body::FORM.to_owned()))?,
                }
            }
            _ => Task::Remove { id: name },
        });
    };
    let part = part.parse().map_err(|_| missing())?;
    Ok(match *method {
        Method::GET => Task::Get { id: name, part },
        _ => Task::Put { id: name, part, bytes: body.to_vec() },
    })
}

pub(super) fn work(
    enclave: &Enclave,
    (person, keys): (&Person, &PersonKeys),
    task: &Task,
    now: UnixSeconds,
    done: &mut Done,
) -> Result<Found, Undone> {
    let media = enclave.media();
    let of = Of { records: enclave.records(), person, keys };
    let shown = |id: &MediumId, m: &Medium| serde_json::json!({ "medium": id.to_string(), "type": m.kind, "bytes": m.bytes, "parts": m.parts });
    let nothing = || Found::Json(serde_json::json!({}));
    Ok(match task {
        Task::List { after } => {
            let all = media.list(of, *after)?;
            done.read = all.len() as u64;
            Found::Json(
                serde_json::json!({ "media": all.iter().map(|(id, m)| shown(id, m)).collect::<Vec<_>>() }),
            )
        }
        Task::Begin => {
            let id = MediumId::fresh().map_err(MediaError::from)?;
            Found::Json(serde_json::json!({ "medium": id.to_string() }))
        }
        Task::Find { id } => {
            let medium = media.find(of, *id)?.ok_or(MediaError::Missing)?;
            done.read = 1;
            Found::Json(shown(id, &medium))
        }
        Task::Finish { id, medium } => {
            media.finish(of, *id, now, medium)?;
            done.written = 1;
            nothing()
        }
        Task::Remove { id } => {
            media.remove(of, *id, now)?;
            done.removed = 1;
            nothing()
        }
        Task::Get { id, part } => {
            let bytes = media.part(of, *id, *part)?;
            (done.read, done.bytes) = (1, bytes.len() as u64);
            Found::Part(bytes)
        }
        Task::Put { id, part, bytes } => {
            media.put(of, *id, *part, bytes)?;
            done.written = 1;
            nothing()
        }
    })
}
