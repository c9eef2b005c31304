//! What is done in the vault, on a thread that may wait.

use model::{Country, Name, UnixSeconds};
use vault::keys::{Lookup, PersonKeys};
use vault::records::{Coming, Home, Person, Reader, Record, RecordError, RecordId, Write};

use super::body::{Admission, OwnedWrite};
use super::{Found, LISTED_BYTES, LISTED_MAX, Task, Undone, Wanted};
use crate::Enclave;
use crate::inside::Done;

/// Does it. What was done counts also where a part of it failed.
pub(super) fn work(
    enclave: &Enclave,
    reader: &Reader<'_>,
    wanted: &Wanted,
    place: Country,
    now: UnixSeconds,
) -> (Result<Found, Undone>, Done) {
    let mut done = Done::default();
    let found = match &wanted.task {
        Task::Find(search) => {
            done.searches = 1;
            let (kind, value) = search.parts();
            let tag = enclave.keys().lookup_tag(kind, value);
            let people = reader.lookup(&tag).map_err(Undone::from);
            people.map(|people| {
                let people: Vec<&str> = people.iter().map(model::SubjectId::as_str).collect();
                Found::Json(serde_json::json!({ "people": people }))
            })
        }
        Task::Open(opening) => {
            // INVARIANT: under the rulebook that let the service, which is the one that the sum names.
            let live = enclave.live();
            if live.road.rulebook().digest != wanted.by.rulebook {
                return (
                    Err(Undone::Body("the rulebook was replaced meanwhile: ask again".to_owned())),
                    done,
                );
            }
            let values = live.road.open_tokens(opening, now);
            done.opened = values.iter().flatten().count() as u64;
            done.bytes = values.iter().flatten().map(|value| value.len() as u64).sum();
            Ok(Found::Json(serde_json::json!({ "values": values })))
        }
        Task::Admit(admission) => admit(enclave, wanted, admission, place, now),
        task => match of_person(enclave, reader, wanted, task, now, &mut done) {
            // A copy may have a key under a version that was retired meanwhile, or cells of two moments.
            Err(_) if reader.age().is_some() => {
                done = Done::default();
                let here = enclave.records().within(None);
                of_person(enclave, &here, wanted, task, now, &mut done)
            }
            done => done,
        },
    };
    (found, done)
}

fn of_person(
    enclave: &Enclave,
    reader: &Reader<'_>,
    wanted: &Wanted,
    task: &Task,
    now: UnixSeconds,
    done: &mut Done,
) -> Result<Found, Undone> {
    let records = enclave.records();
    let subject = wanted.subject.as_ref().ok_or(Undone::Nobody)?;
    let read_only = matches!(task, Task::Get { .. } | Task::List { .. } | Task::Export { .. } | Task::About);
    let person = if read_only { reader.person(subject)? } else { records.person(subject)? };
    let person = person.ok_or(Undone::Nobody)?;
    let keys = records.keys_of(enclave.keys(), &person)?;
    done.person = Some(*person.internal());
    let read = |done: &mut Done, record: &Record| {
        done.read += 1;
        done.bytes = done.bytes.saturating_add(record.json.len() as u64);
    };
    match task {
        Task::Get { collection, id } => {
            let record = reader.get(&person, &keys, collection.as_str(), id)?.ok_or(Undone::Missing)?;
            read(done, &record);
            Ok(Found::Record { version: record.version, json: record.json })
        }
        Task::List { collection, after } => {
            let page = page(reader, (&person, &keys), collection, after.as_ref())?;
            page.records.iter().for_each(|(_, record)| read(done, record));
            let next = page.next();
            Ok(Found::Page { body: lines(collection, &page.records)?, next })
        }
        Task::Export { collections, after } => {
            let (mut body, mut next) = (Vec::new(), None);
            for collection in collections {
                let after = match after {
                    Some((at, _)) if collection < at => continue,
                    Some((at, id)) if collection == at => Some(id),
                    _ => None,
                };
                let page = page(reader, (&person, &keys), collection, after)?;
                page.records.iter().for_each(|(_, record)| read(done, record));
                body.extend(lines(collection, &page.records)?);
                let last = page.records.last().map(|(id, _)| format!("{collection}/{}", id.as_str()));
                // The last one of the last collection would give an empty page, which ends it too.
                if page.more || body.len() > LISTED_BYTES {
                    next = last;
                    break;
                }
            }
            Ok(Found::Page { body, next })
        }
        Task::Change { writes } => change(enclave, (&person, &keys), writes, now, done),
        Task::Media(task) => super::media::work(enclave, (&person, &keys), task, now, done),
        _ => about(enclave, &person, &keys),
    }
}

fn about(enclave: &Enclave, person: &Person, keys: &PersonKeys) -> Result<Found, Undone> {
    let about = enclave.records().about(keys, person)?;
    let home = |h: &Home| serde_json::json!({ "country": h.country.as_str(), "from": h.from.rfc3339(), "evidence": h.evidence });
    Ok(Found::Json(serde_json::json!({
        "homes": about.homes.iter().map(home).collect::<Vec<_>>(),
        "held": !about.holds.is_empty(),
        "since": about.since.rfc3339(),
        "entry": about.entry,
    })))
}

fn change(
    enclave: &Enclave,
    (person, keys): (&Person, &PersonKeys),
    writes: &[OwnedWrite],
    now: UnixSeconds,
    done: &mut Done,
) -> Result<Found, Undone> {
    let borrowed: Vec<Write<'_>> = writes
        .iter()
        .map(|w| Write {
            collection: w.collection.as_str(),
            id: &w.id,
            expect: w.expect,
            json: w.json.as_deref(),
        })
        .collect();
    let twice =
        |w: &OwnedWrite| writes.iter().filter(|o| o.collection == w.collection && o.id == w.id).count() > 1;
    if writes.iter().any(twice) {
        return Err(Undone::Body("a record stands twice in what is written together".to_owned()));
    }
    let removed = writes.iter().filter(|w| w.json.is_none()).count() as u64;
    let written = (writes.len() as u64).saturating_sub(removed);
    let changed = enclave.records().change(person, keys, now, &borrowed);
    // What may be done counts.
    if changed.as_ref().map_or_else(RecordError::is_unknown, |_| true) {
        (done.removed, done.written) = (removed, written);
    }
    let versions = changed?;
    Ok(Found::Json(serde_json::json!({ "versions": versions })))
}

struct Page {
    records: Vec<(RecordId, Record)>,
    more: bool,
}

impl Page {
    fn next(&self) -> Option<String> {
        let last = self.records.last().filter(|_| self.more);
        last.map(|(id, _)| id.as_str().to_owned())
    }
}

fn page(
    reader: &Reader<'_>,
    (person, keys): (&Person, &PersonKeys),
    collection: &Name,
    after: Option<&RecordId>,
) -> Result<Page, RecordError> {
    let within = (collection.as_str(), after);
    let records = reader.list(person, keys, within, LISTED_MAX, LISTED_BYTES)?;
    let bytes: usize = records.iter().map(|(_, r)| r.json.len()).sum();
    let more = records.len() >= LISTED_MAX || bytes > LISTED_BYTES;
    Ok(Page { records, more })
}

/// A line for each record.
fn lines(collection: &Name, records: &[(RecordId, Record)]) -> Result<Vec<u8>, Undone> {
    let mut body = Vec::new();
    for (id, record) in records {
        let (id, version, changed) = (id.as_str(), record.version, record.changed.rfc3339());
        let head = format!(
            r#"{{"collection":"{collection}","id":"{id}","version":{version},"changed":"{changed}","record":"#
        );
        body.extend_from_slice(head.as_bytes());
        // What was written by an import may hold line ends between its values, and only there.
        body.extend(record.json.iter().map(|b| if matches!(b, b'\n' | b'\r') { b' ' } else { *b }));
        body.extend_from_slice(b"}\n");
    }
    Ok(body)
}

fn admit(
    enclave: &Enclave,
    wanted: &Wanted,
    admission: &Admission,
    place: Country,
    now: UnixSeconds,
) -> Result<Found, Undone> {
    let home = admission.home().map_err(Undone::Body)?;
    if !enclave.live().road.rulebook().programme.in_region(home) {
        return Err(RecordError::Placeless.into());
    }
    let (keys, records) = (enclave.keys(), enclave.records());
    let subject = keys.subject_id(&admission.user_name);
    let named = [
        (Lookup::UserName, Some(&admission.user_name)),
        (Lookup::Email, admission.email.as_ref()),
        (Lookup::Phone, admission.phone.as_ref()),
    ];
    let lookups = named.into_iter().filter_map(|(kind, value)| Some(keys.lookup_tag(kind, value?))).collect();
    let home = Home { country: home, from: now, evidence: admission.evidence };
    let arrival = records.arrival(keys, now)?;
    let arrived = arrival.finish(Coming { subject: subject.clone(), home, lookups });
    let admitted = arrived.map_err(Undone::from).and_then(|arrived| {
        let people = [arrived];
        Ok(enclave.admit(place, &wanted.dataset, &people, 0)?)
    });
    if admitted.is_err() {
        records.dismiss(now)?;
    }
    Ok(Found::Admitted { subject, entry: admitted? })
}
