//! Entries that let nothing out: data that enters the region, and the enclave's own upkeep.

use std::collections::BTreeSet;

use ledger::entry::short_name;
use ledger::facts::FactsError;
use ledger::inside::Summary;
use ledger::migration::{Amount, Record, Stage};
use ledger::{Draft, EntryKind, Subjects, Submission, sha256};
use model::facts::{Evidence, Facts, Principal, PrincipalKind};
use model::{Country, DataClass, Digest, Direction, FlowId, Name, Purpose, Reason, Tag, UnixSeconds};

use crate::seal::{PersonSeal, SealError, Sealing, seal_detail};

/// A batch of people who enter.
#[derive(Debug)]
pub struct Import<'a> {
    /// Which crossing.
    pub flow: FlowId,
    /// When.
    pub now: UnixSeconds,
    /// Under which rulebook.
    pub rulebook: Digest,
    /// The programme, which stands as the operator's employer.
    pub programme: &'a Name,
    /// Tag of the operator.
    pub operator: Tag,
    /// Country of the site.
    pub site: Country,
    /// Into which dataset.
    pub dataset: &'a Name,
    /// Who.
    pub people: &'a [PersonSeal],
    /// Records of all of them.
    pub records: u32,
    /// Bytes of their files.
    pub bytes: u64,
}

impl Import<'_> {
    fn facts(&self) -> Facts {
        Facts {
            principal: Principal {
                kind: PrincipalKind::Operator,
                tag: self.operator,
                country: self.site,
                employer: self.programme.clone(),
                seat: self.site,
                qualified: true,
                teams: Vec::new(),
                device_managed: true,
                device_attested: false,
                strong: false,
            },
            now: self.now,
            purpose: Purpose::Migration,
            dataset: self.dataset.clone(),
            rows: self.records,
            subjects: u32::try_from(self.people.len()).unwrap_or(u32::MAX),
            subject: None,
            k: 0,
            evidence: Evidence::None,
            ladder: Vec::new(),
            groups: Vec::new(),
        }
    }

    /// Builds the entry. The people become visible only with its receipt.
    ///
    /// # Errors
    /// [`SealError`]; then nobody enters.
    pub fn seal(&self, mut sealing: Sealing<'_>) -> Result<Submission, SealError> {
        let text = serde_json::json!({
            "by": format!("operator of {}", self.programme),
            "in": self.site.as_str(),
            "dataset": self.dataset.as_str(),
            "outcome": "imported",
        })
        .to_string()
        .into_bytes();
        let actor = serde_json::json!({ "actor": "operator", "outcome": "imported", "nanos": sealing.nanos });
        let detail = seal_detail(&self.flow, actor.to_string().as_bytes(), self.people, &text, &mut sealing)?;
        let draft = Draft {
            direction: Direction::Inward,
            purpose: Purpose::Migration,
            place: self.site,
            bytes: self.bytes,
            rows: self.records,
            detail: sha256(&detail),
            actor: self.operator,
            subjects: Subjects::of(self.people.iter().map(|p| p.tag).collect()),
            facts: ledger::facts::encode(&self.facts())?,
            ..upkeep(EntryKind::Import, self.flow, self.now, self.rulebook)
        };
        Ok(Submission::new(&draft, detail))
    }
}

/// The entry by which a rulebook becomes the one that decides.
#[must_use]
pub fn activation(flow: FlowId, now: UnixSeconds, rulebook: Digest) -> Submission {
    Submission::new(&upkeep(EntryKind::Activation, flow, now, rulebook), Vec::new())
}

/// The entry by which the border opens again: the first durable write after one that was refused.
#[must_use]
pub fn reopening(flow: FlowId, now: UnixSeconds, rulebook: Digest) -> Submission {
    Submission::new(&upkeep(EntryKind::Border, flow, now, rulebook), Vec::new())
}

/// The entry by which crossings to a country are suspended, or are allowed again, by a signed order.
#[must_use]
pub fn suspension(
    flow: FlowId,
    now: UnixSeconds,
    rulebook: Digest,
    country: Country,
    order: &str,
) -> Submission {
    let base = upkeep(EntryKind::Suspension, flow, now, rulebook);
    Submission::new(&Draft { destination: country, facts: order.as_bytes().to_vec(), ..base }, Vec::new())
}

/// The entry that an authority of a country outside the region demanded data. It grants nothing.
#[must_use]
pub fn demand(
    flow: FlowId,
    now: UnixSeconds,
    rulebook: Digest,
    authority: Country,
    record: &str,
) -> Submission {
    let base = upkeep(EntryKind::Demand, flow, now, rulebook);
    Submission::new(&Draft { destination: authority, facts: record.as_bytes().to_vec(), ..base }, Vec::new())
}

/// The entry how far a set of records is on its way into the region, by a signed text.
#[must_use]
pub fn migration(
    flow: FlowId,
    now: UnixSeconds,
    rulebook: Digest,
    record: &Record,
    note: &str,
) -> Submission {
    let came = if record.stage == Stage::Copied { record.amount } else { Amount::default() };
    let draft = Draft {
        direction: Direction::Inward,
        purpose: Purpose::Migration,
        place: record.source.1,
        destination: record.target.1,
        bytes: came.bytes,
        rows: u32::try_from(came.rows).unwrap_or(u32::MAX),
        facts: note.as_bytes().to_vec(),
        ..upkeep(EntryKind::Migration, flow, now, rulebook)
    };
    Submission::new(&draft, Vec::new())
}

/// The entry that a person's key is destroyed. Nothing opens their part of the record any more, so it has no detail.
#[must_use]
pub fn erasure(flow: FlowId, now: UnixSeconds, rulebook: Digest, tag: Tag) -> Submission {
    let base = upkeep(EntryKind::Erasure, flow, now, rulebook);
    Submission::new(&Draft { subjects: Subjects::of(vec![tag]), ..base }, Vec::new())
}

/// The entry that a person lives in another country from here on.
#[must_use]
pub fn moved(
    flow: FlowId,
    now: UnixSeconds,
    rulebook: Digest,
    tag: Tag,
    (from, to): (Country, Country),
) -> Submission {
    let base = upkeep(EntryKind::Home, flow, now, rulebook);
    let subjects = Subjects::of(vec![tag]);
    Submission::new(&Draft { place: from, destination: to, subjects, ..base }, Vec::new())
}

/// What a service inside did, as one entry says it. Nothing of it crossed.
#[derive(Debug)]
pub struct Within {
    /// The rulebook under which it began.
    pub rulebook: Digest,
    /// For what.
    pub purpose: Purpose,
    /// Tag of the service.
    pub actor: Tag,
    /// Where the service is.
    pub place: Country,
    /// Classes of the collections that it worked with.
    pub classes: BTreeSet<DataClass>,
    /// Bytes of records that it was handed.
    pub bytes: u64,
    /// The sum.
    pub summary: Summary,
}

impl Within {
    /// The entry.
    ///
    /// # Errors
    /// [`FactsError`] when the sum cannot be written.
    pub fn entry(&self, flow: FlowId, now: UnixSeconds) -> Result<Submission, FactsError> {
        let counts = &self.summary.counts;
        let rows = counts.read.saturating_add(counts.written).saturating_add(counts.removed);
        let draft = Draft {
            purpose: self.purpose,
            place: self.place,
            destination: self.place,
            classes: self.classes.iter().copied().collect(),
            bytes: self.bytes,
            rows: u32::try_from(rows).unwrap_or(u32::MAX),
            actor: self.actor,
            lane: short_name(self.summary.name.as_str()),
            facts: self.summary.encode()?,
            ..upkeep(EntryKind::Inside, flow, now, self.rulebook)
        };
        Ok(Submission::new(&draft, Vec::new()))
    }
}

/// The refusal that stands for a crossing whose gateway ended after people's keys were used and before anything was
/// recorded: nothing was released.
#[must_use]
pub fn broken_off(
    flow: FlowId,
    now: UnixSeconds,
    rulebook: Digest,
    purpose: Purpose,
    subjects: Subjects,
) -> Submission {
    let base = upkeep(EntryKind::Refusal, flow, now, rulebook);
    Submission::new(&Draft { purpose, reason: Reason::Border, subjects, ..base }, Vec::new())
}

/// An entry that says when, which crossing and under which rulebook, and nothing else: others are written over it.
pub(crate) fn upkeep(kind: EntryKind, flow: FlowId, time: UnixSeconds, rulebook: Digest) -> Draft {
    Draft {
        kind,
        direction: Direction::None,
        time,
        flow,
        rulebook,
        purpose: Purpose::Operation,
        place: Country::UNKNOWN,
        destination: Country::UNKNOWN,
        classes: Vec::new(),
        treatments: Vec::new(),
        reason: Reason::None,
        findings: 0,
        bytes: 0,
        rows: 0,
        detail: Digest::new([0; 32]),
        actor: Tag::new([0; 16]),
        subjects: Subjects::None,
        lane: [0; 8],
        stream: None,
        facts: Vec::new(),
    }
}
