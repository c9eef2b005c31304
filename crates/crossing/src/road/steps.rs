//! The steps behind a decision: each consumes the one before it.

mod counts;
mod rows;

use std::sync::Arc;

use ledger::entry::short_name;
use ledger::facts::with_risk;
use ledger::stream::{Counts, Stream};
use ledger::{Draft, EntryKind, Outcome, Subjects, sha256};
use model::lanes::{Findings, Lane};
use model::{
    Country, DataClass, Digest, Direction, FlowId, Name, Purpose, Reason, SubjectId, Tag, Treatment,
    UnixSeconds,
};
use transform::json::{Limits, Outcome as Rewritten};
use transform::risk::{RiskError, Verdict};

use super::Road;
use crate::format::Format;
use crate::identify::Who;
use crate::in_force::Passing;
use crate::inward::upkeep;
use crate::seal::{Payload, PersonSeal, Recording, SealError, Sealed, SealedRefusal, Sealing, seal_detail};
use crate::select::Selection;
use crate::treat::{Amount, Fired, For, Joined, Keys, Measured, Prose, Treater, measured_facts, told};

pub use counts::{Counted, Guarded, NoisyQuestion, Told};
pub use rows::{OwnerKeys, PEOPLE_CLASS};

/// What every entry of a crossing says, whatever comes of it.
#[derive(Debug)]
pub(super) struct Outline {
    pub(super) flow: FlowId,
    pub(super) now: UnixSeconds,
    pub(super) rulebook: Digest,
    pub(super) purpose: Purpose,
    pub(super) direction: Direction,
    pub(super) place: Country,
    pub(super) destination: Country,
    pub(super) lane: Name,
    pub(super) actor: Tag,
    pub(super) who: Who,
    pub(super) role: String,
    pub(super) dataset: String,
    pub(super) fields: Arc<[String]>,
    pub(super) evidence: Option<String>,
    pub(super) subject: Option<(SubjectId, Tag)>,
    pub(super) policies: Arc<[String]>,
    pub(super) facts: Vec<u8>,
    /// Where its intent is on the ledger already.
    pub(super) stream: Option<Stream>,
    /// What was measured of its payload, for the sealed detail: numbers by name.
    pub(super) measured: serde_json::Map<String, serde_json::Value>,
}

/// A crossing that policy permits, at least in part.
#[derive(Debug)]
pub struct Permitted<'a> {
    pub(super) outline: Box<Outline>,
    pub(super) road: &'a Road,
    pub(super) selection: Option<&'a Selection>,
    pub(super) outcomes: Vec<Option<Treatment>>,
    /// Whether its intent must be on the ledger before anything of it is opened.
    pub(super) intent: bool,
    pub(super) recipient: String,
    pub(super) rows_max: u32,
    pub(super) people_max: u32,
}

/// A crossing that was refused, and says why.
#[derive(Debug)]
pub struct Refused {
    pub(super) outline: Box<Outline>,
    pub(super) reason: Reason,
    pub(super) findings: u32,
    pub(super) fired: Fired,
}

/// A payload that passed inspection and transformation.
#[derive(Debug)]
pub struct Treated {
    outline: Box<Outline>,
    payload: Payload,
    format: Format,
    people: Vec<SubjectId>,
    population: bool,
    rows: u32,
    findings: u32,
    fired: Fired,
    classes: Vec<DataClass>,
    treatments: Vec<Treatment>,
}

impl<'a> Permitted<'a> {
    /// Inspects and transforms a payload. What becomes of it has the same format, and nothing compresses it.
    ///
    /// # Errors
    /// [`Refused`] when the payload is not in its declared form or over a limit.
    pub fn treat(mut self, body: &[u8], format: &Format, limits: &Limits) -> Result<Treated, Refused> {
        let Some(selection) = self.selection else { return Err(self.refuse(Reason::Policy)) };
        if self.needs_intent() {
            return Err(self.refuse(Reason::Evidence));
        }
        let limits = Limits { records: u64::from(self.rows_max).min(limits.records), ..*limits };
        let released = format.released(&data_encoding::HEXLOWER.encode(self.outline.flow.bytes()));
        let mut out = Vec::with_capacity(body.len());
        let walked = self.walk(selection, |treater| {
            out.clear();
            format.rewrite(&released, body, selection, &limits, treater, &mut out)
        });
        let (outcome, mut treater) = match walked {
            Ok(walked) => walked,
            Err(reason) => return Err(self.refuse(reason)),
        };
        let (findings, fired) = (treater.findings, std::mem::take(&mut treater.fired));
        let (texts, measured) = (treater.texts, treater.measured.take());
        let mut people = std::mem::take(&mut treater.people);
        drop(treater);
        let looked = self.weigh(texts, measured);
        let found = findings > 0 && self.refuses_findings();
        if let Some(reason) = looked.err().or(found.then_some(Reason::Finding)) {
            let refused = self.refuse(reason);
            return Err(Refused { findings, fired, ..refused });
        }
        if let Some((subject, _)) = &self.outline.subject
            && !people.contains(subject)
        {
            people.push(subject.clone());
        }
        if let Some(reason) = self.beyond_intent(people.len(), out.len()) {
            return Err(self.refuse(reason));
        }
        Ok(Treated {
            classes: self.classes(),
            treatments: self.treatments(),
            outline: self.outline,
            payload: Payload::new(out),
            format: released,
            people,
            population: false,
            rows: u32::try_from(outcome.records).unwrap_or(u32::MAX),
            findings,
            fired,
        })
    }

    /// Walks a payload, and once more if an identifier was cut into several of its values.
    fn walk<'t>(
        &'t self,
        selection: &'t Selection,
        mut rewrite: impl FnMut(&mut Treater<'t>) -> Result<Rewritten, Reason>,
    ) -> Result<(Rewritten, Treater<'t>), Reason> {
        let mut treater = self.treater(selection, Joined::default())?;
        let outcome = rewrite(&mut treater)?;
        let Some(joined) = std::mem::take(&mut treater.joined).again() else { return Ok((outcome, treater)) };
        let mut treater = self.treater(selection, joined)?;
        Ok((rewrite(&mut treater)?, treater))
    }

    fn treater<'t>(&'t self, selection: &'t Selection, joined: Joined) -> Result<Treater<'t>, Reason> {
        let keys = self.outcomes.contains(&Some(Treatment::Pseudonymised)).then(|| self.keys()).flatten();
        let measured = self.measurer(selection).map_err(|_| Reason::Limit)?;
        let people_max = usize::try_from(self.people_max).unwrap_or(usize::MAX);
        let prose = (self.prose(), joined);
        Ok(Treater::new(selection, &self.outcomes, keys, prose, measured, people_max))
    }

    /// Why an outcome of so many people and bytes is more than its intent says, if it has one.
    pub(super) fn beyond_intent(&self, people: usize, bytes: usize) -> Option<Reason> {
        // The last entry names whom the first one did, and allows no more.
        let stream = self.outline.stream.as_ref()?;
        match () {
            () if people > 1 => Some(Reason::Subject),
            () if bytes as u64 > stream.budget() => Some(Reason::Limit),
            () => None,
        }
    }

    /// What its lane says, if it is one of the rulebook's.
    fn lane(&self) -> Option<&'a Lane> {
        let road: &'a Road = self.road;
        road.rulebook().lanes.lanes.get(&self.outline.lane)
    }

    /// Whether the lane has a payload refused in which personal data is found where none is declared.
    fn refuses_findings(&self) -> bool {
        self.lane().is_some_and(|lane| lane.findings == Findings::Refuse)
    }

    /// Prose crosses the border where its lane says so, and else nowhere.
    fn prose(&self) -> Prose {
        let programme = &self.road.rulebook().programme;
        if programme.in_region(self.outline.place) && programme.in_region(self.outline.destination) {
            return Prose::Inside;
        }
        self.lane().and_then(|lane| lane.terms.free_text).map_or(Prose::Withheld, Prose::Slow)
    }

    /// Measures what the lane says of the payload's rows.
    fn measurer(&self, selection: &Selection) -> Result<Option<Measured>, RiskError> {
        let risk = self.lane().and_then(|lane| lane.terms.risk.as_ref());
        risk.map(|risk| Measured::new(risk, selection.names_people)).transpose()
    }

    /// Takes down what was measured, and says whether the payload may go on.
    fn weigh(&mut self, texts: Amount, measured: Option<Measured>) -> Result<(), Reason> {
        let mut may = Ok(());
        if texts != Amount::default() {
            self.outline.measured.insert("text".to_owned(), texts.told());
            if let Some(bounds) = self.lane().and_then(|lane| lane.terms.free_text) {
                if bounds.findings == Findings::Refuse && texts.found > 0 {
                    may = Err(Reason::Finding);
                } else if !self.road.let_text(&self.outline, texts.bytes, bounds.minute_bytes_max) {
                    may = Err(Reason::Limit);
                }
            }
        }
        if let Some(measured) = measured {
            // A release that was not measured is not known to be harmless.
            let report = measured.finish().map_err(|_| Reason::Limit)?;
            self.outline.measured.insert("risk".to_owned(), told(&report));
            let facts = with_risk(&self.outline.facts, &measured_facts(&report));
            self.outline.facts = facts.map_err(|_| Reason::Limit)?;
            let treated = self.outcomes.iter().flatten().any(|outcome| *outcome != Treatment::Plain);
            // Pseudonyms that can be undone are clear text, and that is not what was permitted.
            if report.verdict() == Verdict::Plain && treated {
                may = may.and(Err(Reason::Finding));
            }
        }
        may
    }

    /// A person's own data, as it is.
    ///
    /// # Errors
    /// [`Refused`] when this is no person's own reading.
    pub fn own(self, body: Vec<u8>, rows: u32) -> Result<Treated, Refused> {
        let Who::Subject(subject) = self.outline.who.clone() else { return Err(self.refuse(Reason::Policy)) };
        Ok(Treated {
            outline: self.outline,
            payload: Payload::new(body),
            format: Format::Json,
            people: vec![subject],
            population: false,
            rows,
            findings: 0,
            fired: Fired::new(),
            classes: Vec::new(),
            treatments: Vec::new(),
        })
    }

    /// Refuses after all: the upstream failed, the person is not here.
    #[must_use]
    pub fn refuse(self, reason: Reason) -> Refused {
        Refused { outline: self.outline, reason, findings: 0, fired: Fired::new() }
    }

    pub(super) fn classes(&self) -> Vec<DataClass> {
        let groups = self.selection.map_or(&[][..], |s| &s.groups);
        let mut classes: Vec<_> =
            groups.iter().zip(&self.outcomes).filter(|(_, o)| o.is_some()).map(|(g, _)| g.class).collect();
        classes.sort_unstable();
        classes.dedup();
        classes
    }

    pub(super) fn treatments(&self) -> Vec<Treatment> {
        let mut treatments: Vec<_> = self.outcomes.iter().flatten().copied().collect();
        treatments.sort_unstable();
        treatments.dedup();
        treatments
    }

    /// Keys of the epoch into which the entry's time falls; `None` when there are none, and then nothing gets a token.
    fn keys(&self) -> Option<Keys> {
        let (epoch, secret) = self.road.epoch_at(self.outline.now)?;
        let to = For { recipient: &self.recipient, purpose: self.outline.purpose.word(), epoch };
        let reversible = self.lane().is_some_and(|lane| !lane.terms.reversible.is_empty());
        Some(Keys::new(&secret, to, reversible))
    }
}

impl Outline {
    /// Why it may not go on, if its country was suspended or its rulebook replaced meanwhile.
    pub(super) fn stopped(&self, passing: &Passing<'_>) -> Option<Reason> {
        if passing.rulebook() != Some(self.rulebook) {
            return Some(Reason::Rulebook);
        }
        passing.stops(self.place, self.destination).then_some(Reason::Suspended)
    }

    pub(super) fn draft(&self, kind: EntryKind) -> Draft {
        Draft {
            direction: self.direction,
            purpose: self.purpose,
            place: self.place,
            destination: self.destination,
            actor: self.actor,
            lane: short_name(self.lane.as_str()),
            facts: self.facts.clone(),
            ..upkeep(kind, self.flow, self.now, self.rulebook)
        }
    }

    /// What the regulator's key opens.
    pub(super) fn actor_text(
        &self,
        sealing: &Sealing<'_>,
        outcome: &str,
        content: Option<&str>,
        fired: &Fired,
    ) -> Vec<u8> {
        let who = match &self.who {
            Who::Employee(id) | Who::Service(id) => id.as_str(),
            Who::Subject(id) => id.as_str(),
        };
        let mut told = serde_json::json!({
            "actor": who,
            "as": self.role,
            "lane": self.lane.as_str(),
            "dataset": self.dataset,
            "fields": &self.fields[..],
            "evidence": self.evidence,
            "policies": &self.policies[..],
            "outcome": outcome,
            "content": content,
            "findings": fired,
            "nanos": sealing.nanos,
        });
        if let Some(told) = told.as_object_mut() {
            told.extend(self.measured.clone());
        }
        told.to_string().into_bytes()
    }

    /// What the person's own key opens: who, in what role and where, but no employee's name.
    pub(super) fn person_text(&self, outcome: &str, treatments: &[Treatment]) -> Vec<u8> {
        let treatments: Vec<_> = treatments.iter().map(|t| t.word()).collect();
        serde_json::json!({
            "by": self.role,
            "in": self.place.as_str(),
            "dataset": self.dataset,
            "fields": &self.fields[..],
            "treatments": treatments,
            "outcome": outcome,
        })
        .to_string()
        .into_bytes()
    }
}

impl Treated {
    /// Values withheld because personal data was found in them.
    #[must_use]
    pub fn findings(&self) -> u32 {
        self.findings
    }

    /// When the crossing was asked for: the time of its entry, and so of the tags in it.
    #[must_use]
    pub fn at(&self) -> UnixSeconds {
        self.outline.now
    }

    /// The media type of the payload.
    #[must_use]
    pub fn media_type(&self) -> String {
        self.format.media_type()
    }

    /// Records in the payload.
    #[must_use]
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Bytes of the payload.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.payload.bytes().len() as u64
    }

    /// The people whom it names.
    #[must_use]
    pub fn people(&self) -> &[SubjectId] {
        &self.people
    }

    /// Refuses after all: the ground does not give as much.
    #[must_use]
    pub fn refuse(self, reason: Reason) -> Refused {
        Refused { outline: self.outline, reason, findings: self.findings, fired: self.fired }
    }

    /// Looks once more, on the way to the log, whether its country was suspended or its rulebook replaced meanwhile.
    /// While `passing` is held neither can be.
    ///
    /// # Errors
    /// [`Refused`], to be recorded like any other.
    pub fn past(self, passing: &Passing<'_>) -> Result<Self, Refused> {
        match self.outline.stopped(passing) {
            Some(reason) => Err(self.refuse(reason)),
            None => Ok(self),
        }
    }

    /// Builds the entry and its sealed detail; the payload now waits for the receipt of just this entry.
    ///
    /// # Errors
    /// [`SealError`]; then nothing leaves.
    pub fn seal(mut self, mut sealing: Sealing<'_>) -> Result<(Sealed, Recording), SealError> {
        let mut people = Vec::with_capacity(self.people.len());
        for subject in &self.people {
            people.push((sealing.resolve)(subject).map_err(SealError::Person)?);
        }
        people.sort_by_key(|p: &PersonSeal| p.tag);
        people.dedup_by_key(|p| p.tag);
        let content = blake3::hash(self.payload.bytes()).to_hex();
        let actor = self.outline.actor_text(&sealing, "released", Some(&content), &self.fired);
        let text = self.outline.person_text("released", &self.treatments);
        let detail = seal_detail(&self.outline.flow, &actor, &people, &text, &mut sealing)?;
        let findings = u16::try_from(self.findings).unwrap_or(u16::MAX);
        if let Some(mut stream) = self.outline.stream.take() {
            let (bytes, counts) = (self.payload.bytes().len() as u64, Counts { rows: self.rows, findings });
            let now = sealing.now().max(self.outline.now);
            let recording = Outline::close(&mut stream, Outcome::Complete, (bytes, counts), detail, now)?;
            return Ok((Sealed::new(self.payload, recording.expected()), recording));
        }
        let subjects = match self.population {
            true => Subjects::Population,
            false => Subjects::of(people.iter().map(|p| p.tag).collect()),
        };
        let draft = Draft {
            classes: self.classes,
            treatments: self.treatments,
            findings,
            bytes: self.payload.bytes().len() as u64,
            rows: self.rows,
            detail: sha256(&detail),
            subjects,
            ..self.outline.draft(EntryKind::Answer)
        };
        let recording = Recording::new(&draft, detail);
        Ok((Sealed::new(self.payload, recording.expected()), recording))
    }
}

impl Refused {
    /// Why.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// When the crossing was asked for: the time of its entry, and so of the tags in it.
    #[must_use]
    pub fn at(&self) -> UnixSeconds {
        self.outline.now
    }

    /// The refusal as it can be recorded now. One that another rulebook decided than the one in force is told as just
    /// that: what stands behind an activation was decided by what it activates.
    #[must_use]
    pub fn past(mut self, passing: &Passing<'_>) -> Self {
        if passing.rulebook() != Some(self.outline.rulebook) {
            self.outline.rulebook = passing.rulebook().unwrap_or(Digest::new([0; 32]));
            (self.outline.facts, self.outline.policies) = (Vec::new(), Arc::default());
            (self.reason, self.findings, self.fired) = (Reason::Rulebook, 0, Fired::new());
        }
        self
    }

    /// Builds the entry of the refusal. The person concerned, if one was named, sees it in their list.
    ///
    /// # Errors
    /// [`SealError`]; then the caller is told nothing but that the border is closed.
    pub fn seal(mut self, mut sealing: Sealing<'_>) -> Result<(SealedRefusal, Recording), SealError> {
        let mut people = Vec::new();
        if let Some((subject, _)) = &self.outline.subject {
            people.push((sealing.resolve)(subject).map_err(SealError::Person)?);
        }
        let outcome = format!("refused: {}", self.reason);
        let actor = self.outline.actor_text(&sealing, &outcome, None, &self.fired);
        let text = self.outline.person_text(&outcome, &[]);
        let detail = seal_detail(&self.outline.flow, &actor, &people, &text, &mut sealing)?;
        let findings = u16::try_from(self.findings).unwrap_or(u16::MAX);
        if let Some(mut stream) = self.outline.stream.take() {
            let (counts, now) = (Counts { rows: 0, findings }, sealing.now().max(self.outline.now));
            let recording = Outline::close(&mut stream, Outcome::BrokenOff, (0, counts), detail, now)?;
            return Ok((SealedRefusal { reason: self.reason, expected: recording.expected() }, recording));
        }
        let draft = Draft {
            reason: self.reason,
            findings,
            detail: sha256(&detail),
            subjects: Subjects::of(people.iter().map(|p| p.tag).collect()),
            ..self.outline.draft(EntryKind::Refusal)
        };
        let recording = Recording::new(&draft, detail);
        Ok((SealedRefusal { reason: self.reason, expected: recording.expected() }, recording))
    }
}
