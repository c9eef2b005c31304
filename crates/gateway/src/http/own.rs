//! What a person is shown of themselves: every recorded crossing that names them, each with its proof.

use std::sync::Arc;

use crossing::Ask;
use crossing::identify::Who;
use data_encoding::BASE64;
use ledger::detail::Detail;
use ledger::{Entry, EntryKind};
use model::{Purpose, Reason, SubjectId, UnixSeconds};

use super::answer::Answer;
use super::route::{Context, own_name};
use crate::Enclave;
use crate::enclave::PersonKey;
use crate::passage::{Ground, Paid};

/// Most entries of one list, as policy is told.
const ENTRIES_MAX: u32 = 1000;
/// Most records of one export.
const RECORDS_MAX: u32 = 100_000;
/// Most entries shown at once, newest first.
const SHOWN_MAX: usize = 1000;

impl Context<'_> {
    /// Every recorded crossing that names the caller.
    pub(super) async fn own(&self) -> Answer {
        let list = async |_: &SubjectId| {
            let (enclave, keys, now) = (Arc::clone(&self.gateway.enclave), self.keys(), self.now);
            let made = tokio::task::spawn_blocking(move || history(&enclave, &keys?, now)).await;
            made.ok().flatten().ok_or(Reason::Upstream)
        };
        self.own_through(ENTRIES_MAX, list).await
    }

    /// Everything that the vault keeps of the caller, in the collections that the catalogue declares.
    pub(super) async fn own_export(&self) -> Answer {
        self.own_through(RECORDS_MAX, async |subject: &SubjectId| self.kept(subject)).await
    }

    /// What is the caller's own, once policy lets them read it.
    async fn own_through(
        &self,
        rows_max: u32,
        made: impl AsyncFnOnce(&SubjectId) -> Result<(Vec<u8>, u32), Reason>,
    ) -> Answer {
        let name = match own_name("own") {
            Ok(name) => name,
            Err(answer) => return *answer,
        };
        let Who::Subject(subject) = self.actor.who() else {
            return self.refuse_early(&name, Reason::Unknown).await;
        };
        let ground = Ground::none();
        let named = match self.with_tag(subject.clone()) {
            Ok(named) => named,
            Err(reason) => return self.refuse_early(&name, reason).await,
        };
        let base = self.ask(&name, &name, &self.live.nothing, Purpose::SelfAccess, &ground);
        let ask = Ask { subject: Some(named), rows_max, ..base };
        let treated = match self.live.road.decide_own(&ask) {
            Ok(permitted) => match made(subject).await {
                Ok((body, rows)) => permitted.own(body, rows),
                Err(reason) => Err(permitted.refuse(reason)),
            },
            Err(refused) => Err(refused),
        };
        self.release(&name, treated.map(Paid::free)).await
    }

    /// The records of a person, and how many they are.
    fn kept(&self, subject: &SubjectId) -> Result<(Vec<u8>, u32), Reason> {
        let records = self.gateway.enclave.records();
        let person = records.person(subject).map_err(|_| Reason::Upstream)?.ok_or(Reason::Subject)?;
        let datasets = self.live.road.rulebook().catalogue.datasets().iter();
        let mut collections: Vec<_> = datasets.flat_map(|d| &d.collections).map(|c| c.name.clone()).collect();
        collections.sort();
        collections.dedup();
        let body = self.gather(&person, &collections)?;
        let rows =
            serde_json::from_slice::<Vec<serde::de::IgnoredAny>>(&body).map_err(|_| Reason::Upstream)?;
        let rows = u32::try_from(rows.len()).map_err(|_| Reason::Limit)?;
        Ok((body, rows))
    }

    /// The caller's own keys.
    fn keys(&self) -> Option<PersonKey> {
        let Who::Subject(subject) = self.actor.who() else { return None };
        self.gateway.enclave.person(subject, self.now).ok()
    }
}

/// The list, as JSON, and its length: the newest entries that name this person, as far as they are published.
fn history(enclave: &Enclave, keys: &PersonKey, now: UnixSeconds) -> Option<(Vec<u8>, u32)> {
    let listed = enclave.log().listed();
    let days = enclave.since()?.day()..=now.day();
    let tags = days.rev().map(|day| keys.tags.at(UnixSeconds::midnight(day)));
    let indices = enclave.records().entries_of(tags, SHOWN_MAX + 1).ok()?;
    let more = indices.len() > SHOWN_MAX;
    let mut list = Vec::new();
    for index in indices.into_iter().take(SHOWN_MAX).filter(|i| *i < listed) {
        list.push(one(enclave, index, keys)?);
    }
    let rows = u32::try_from(list.len()).ok()?;
    let body = serde_json::json!({
        "crossings": list,
        "older_ones_not_shown": more,
        "covers_entries_before": listed,
        "witnesses": enclave.witnesses(),
    });
    Some((body.to_string().into_bytes(), rows))
}

fn one(enclave: &Enclave, index: u64, keys: &PersonKey) -> Option<serde_json::Value> {
    let log = enclave.log();
    let (leaf, proof) = log.prove(index).ok()?;
    let draft = Entry::decode(&leaf).ok()?.draft;
    let detail = log.detail(index).ok()?;
    let tag = keys.tags.at(draft.time);
    let seen = Detail::read(&detail).ok().and_then(|d| d.open_person(&draft.flow, &tag, &keys.detail).ok());
    let seen: Option<serde_json::Value> = seen.and_then(|s| serde_json::from_slice(&s).ok());
    Some(serde_json::json!({
        "entry": index,
        "time": draft.time.rfc3339(),
        "what": what(draft.kind),
        "purpose": draft.purpose.word(),
        "from": draft.place.as_str(),
        "to": draft.destination.as_str(),
        "classes": draft.classes.iter().map(|c| c.word()).collect::<Vec<_>>(),
        "treatments": draft.treatments.iter().map(|t| t.word()).collect::<Vec<_>>(),
        "reason": draft.reason.word(),
        "seen": seen,
        "leaf": BASE64.encode(&leaf),
        "proof": proof.to_string(),
    }))
}

fn what(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Answer => "released",
        EntryKind::Refusal => "refused",
        EntryKind::Import => "imported",
        EntryKind::Activation => "rulebook activated",
        EntryKind::Border => "border opened again",
        EntryKind::Open => "stream opened",
        EntryKind::Extend => "stream extended",
        EntryKind::Close => "stream closed",
        EntryKind::Suspension => "suspension",
        EntryKind::Demand => "demand of an authority",
        EntryKind::Erasure => "erased",
        EntryKind::Home => "home country changed",
        EntryKind::Inside => "processed inside",
        EntryKind::Migration => "moved into the region",
    }
}
