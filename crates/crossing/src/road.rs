//! From a request to a sealed payload or a sealed refusal.

mod intent;
mod steps;

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use model::facts::{Evidence, Facts, PrincipalKind};
use model::programme::Epochs;
use model::{
    Country, Digest, Direction, FlowId, Name, Purpose, Reason, SubjectId, Tag, Treatment, UnixSeconds,
};
use transform::pseudonym::Rotation;

use crate::identify::VerifiedActor;
use crate::in_force::InForce;
use crate::inside::Recipient;
use crate::rulebook::ActiveRulebook;
use crate::select::Selection;
use crate::shadow::Shadow;
use crate::treat::Fired;
use policy::Duty;
use steps::Outline;

pub use intent::Intent;
pub use steps::{
    Counted, Guarded, NoisyQuestion, OwnerKeys, PEOPLE_CLASS, Permitted, Refused, Told, Treated,
};
pub use transform::pseudonym::{Calendar, Shared as Pseudonyms};

/// Most decisions remembered. Facts hold the second they were made in, so none outlives it.
const MEMO_MAX: usize = 4096;

/// How open the border is: by the age of the newest checkpoint that a quorum of witnesses signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Border {
    /// What policy permits may cross.
    Green,
    /// Only the classes that the programme names for it.
    Amber,
    /// Red, and lifted by two people for minutes: only crossings inside the region.
    Lifted,
    /// Nothing may cross.
    Red,
}

/// One attempt to see or move data.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    /// Which crossing.
    pub flow: FlowId,
    /// When.
    pub now: UnixSeconds,
    /// How open the border is now.
    pub border: Border,
    /// By whom.
    pub actor: &'a VerifiedActor,
    /// Why.
    pub purpose: Purpose,
    /// Through which lane.
    pub lane: &'a Name,
    /// Which way.
    pub direction: Direction,
    /// Where the data goes.
    pub destination: Country,
    /// From which dataset.
    pub dataset: &'a Name,
    /// Which fields.
    pub selection: &'a Selection,
    /// Whose, when pinned to one person.
    pub subject: Option<(SubjectId, Tag)>,
    /// On what ground.
    pub evidence: Evidence,
    /// Name of the ground, for the sealed detail only.
    pub evidence_name: Option<&'a Name>,
    /// The digest of the statement of SQL that is asked, without its values.
    pub statement: Option<Digest>,
    /// Which treatments would do, plainest first.
    pub ladder: &'a [Treatment],
    /// Most rows.
    pub rows_max: u32,
    /// Most people.
    pub people_max: u32,
}

/// What was decided about one set of facts.
struct Decided {
    facts: Vec<u8>,
    outcomes: Vec<Option<Treatment>>,
    /// Ids of the policies that decided, then the duties that they carry.
    policies: Arc<[String]>,
    /// Whether the intent must be on the ledger first.
    intent: bool,
    /// Why nothing crosses, if nothing does.
    reason: Reason,
    /// What a shadow says of it.
    shadowed: policy::compare::Shadowed,
}

/// The facts, and the lane where a shadow is asked, which may have another under that name.
type Question = (Facts, Option<Name>);

/// The road under one rulebook.
pub struct Road {
    active: ActiveRulebook,
    pseudonyms: Pseudonyms,
    in_force: Arc<InForce>,
    memo: Mutex<HashMap<Question, Arc<Decided>>>,
    /// Bytes of prose that lanes let through in this minute.
    texts: Mutex<HashMap<Name, (u64, u64)>>,
    shadow: Option<Shadow>,
}

impl std::fmt::Debug for Road {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Road({})", self.active.rulebook.digest)
    }
}

impl Road {
    /// A road under a signed rulebook. What is in force outlives rulebooks: every road of an enclave has the same.
    #[must_use]
    pub fn new(active: ActiveRulebook, pseudonyms: Pseudonyms, in_force: Arc<InForce>) -> Self {
        let (memo, texts) = (Mutex::default(), Mutex::default());
        Self { active, pseudonyms, in_force, memo, texts, shadow: None }
    }

    /// How long epochs of pseudonyms last, and how many are kept behind the current one.
    #[must_use]
    pub fn rotation(&self) -> Rotation {
        let Epochs { days, kept } = self.active.rulebook.programme.epochs;
        Rotation { days, kept }
    }

    /// The epoch of a time, with its secret.
    fn epoch_at(&self, now: UnixSeconds) -> Option<(u32, impl Deref<Target = [u8; 32]>)> {
        let calendar = self.pseudonyms.read().unwrap_or_else(PoisonError::into_inner);
        let epoch = calendar.epoch(self.rotation(), now.day());
        Some((epoch, calendar.secret(epoch)?))
    }

    /// The oldest epoch whose tokens may be opened at a time, and the current one.
    pub(crate) fn kept(&self, now: UnixSeconds) -> Option<(u32, u32)> {
        let calendar = self.pseudonyms.read().ok()?;
        Some((calendar.oldest(self.rotation(), now.day()), calendar.epoch(self.rotation(), now.day())))
    }

    /// The secret of an epoch whose tokens may be opened at a time.
    pub(crate) fn secret_kept(&self, epoch: u32, now: UnixSeconds) -> Option<impl Deref<Target = [u8; 32]>> {
        let (oldest, current) = self.kept(now)?;
        let calendar = self.pseudonyms.read().ok()?;
        // Asked first: a secret far ahead costs a derivation for each epoch before it.
        if (oldest..=current).contains(&epoch) { calendar.secret(epoch) } else { None }
    }

    /// Lets so many bytes of prose through a lane, unless it had enough of them in this minute.
    fn let_text(&self, outline: &Outline, bytes: u64, most: u32) -> bool {
        let minute = outline.now.0 / 60;
        let mut texts = self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        let (of, had) = texts.entry(outline.lane.clone()).or_default();
        if *of != minute {
            (*of, *had) = (minute, 0);
        }
        let fits = had.saturating_add(bytes) <= u64::from(most);
        *had = had.saturating_add(if fits { bytes } else { 0 });
        fits
    }

    /// What is in force, whichever rulebook a crossing began under.
    #[must_use]
    pub fn in_force(&self) -> &Arc<InForce> {
        &self.in_force
    }

    /// The same road with a candidate asked beside its rulebook, which changes no answer.
    #[must_use]
    pub fn shadowed(self, shadow: Shadow) -> Self {
        Self { shadow: Some(shadow), ..self }
    }

    /// The candidate that is asked beside, if there is one.
    #[must_use]
    pub fn shadow(&self) -> Option<&Shadow> {
        self.shadow.as_ref()
    }

    /// The rulebook in force.
    #[must_use]
    pub fn rulebook(&self) -> &model::rulebook::Rulebook {
        &self.active.rulebook
    }

    fn outline(&self, ask: &Ask<'_>, facts: Vec<u8>) -> Box<Outline> {
        let p = ask.actor.principal();
        let kind = match p.kind {
            PrincipalKind::Employee => "employee",
            PrincipalKind::Service => "service",
            PrincipalKind::Subject => "yourself",
            PrincipalKind::Operator => "operator",
        };
        Box::new(Outline {
            flow: ask.flow,
            now: ask.now,
            rulebook: self.active.rulebook.digest,
            purpose: ask.purpose,
            direction: ask.direction,
            place: p.country,
            destination: ask.destination,
            lane: ask.lane.clone(),
            actor: p.tag,
            who: ask.actor.who().clone(),
            role: if p.kind == PrincipalKind::Subject {
                kind.to_owned()
            } else {
                format!("{kind} of {}", p.employer)
            },
            dataset: ask.dataset.to_string(),
            fields: Arc::clone(&ask.selection.names),
            evidence: ask.evidence_name.map(ToString::to_string),
            subject: ask.subject.clone(),
            policies: Arc::default(),
            facts,
            stream: None,
            measured: serde_json::Map::new(),
        })
    }

    /// Refuses before policy was asked: the request lacks what a decision needs.
    #[must_use]
    pub fn refuse(&self, ask: &Ask<'_>, reason: Reason) -> Refused {
        Refused { outline: self.outline(ask, Vec::new()), reason, findings: 0, fired: Fired::new() }
    }

    /// Asks policy. Fields without a permitted treatment are withheld; with none at all it is a refusal.
    ///
    /// # Errors
    /// [`Refused`], to be sealed and recorded like a release.
    pub fn decide<'a>(&'a self, ask: &Ask<'a>) -> Result<Permitted<'a>, Refused> {
        self.open(ask)?;
        let facts = self.facts(ask);
        let decided = self.memoised(facts, ask.lane);
        let Some(decided) = decided else { return Err(self.refuse(ask, Reason::Evaluation)) };
        self.shadow.iter().for_each(|shadow| shadow.count(decided.shadowed));
        let facts = match &ask.statement {
            Some(digest) => ledger::facts::with_statement(&decided.facts, digest),
            None => Ok(decided.facts.clone()),
        };
        let Ok(facts) = facts else { return Err(self.refuse(ask, Reason::Evaluation)) };
        let mut outline = self.outline(ask, facts);
        outline.policies = Arc::clone(&decided.policies);
        if decided.outcomes.iter().all(Option::is_none) {
            return Err(Refused { outline, reason: decided.reason, findings: 0, fired: Fired::new() });
        }
        if ask.border == Border::Amber && !self.amber(ask, &decided.outcomes) {
            return Err(Refused { outline, reason: Reason::Border, findings: 0, fired: Fired::new() });
        }
        outline.fields = ask.selection.crossing(&decided.outcomes);
        Ok(Permitted {
            outline,
            road: self,
            selection: Some(ask.selection),
            outcomes: decided.outcomes.clone(),
            intent: decided.intent,
            recipient: recipient(ask),
            rows_max: ask.rows_max,
            people_max: ask.people_max,
        })
    }

    /// Asks policy whether a person may read what is theirs.
    ///
    /// # Errors
    /// [`Refused`], to be sealed and recorded like a release.
    pub fn decide_own<'a>(&'a self, ask: &Ask<'a>) -> Result<Permitted<'a>, Refused> {
        self.open(ask)?;
        let facts = Facts { groups: Vec::new(), ladder: Vec::new(), ..self.facts(ask) };
        let Ok(bytes) = ledger::facts::encode(&facts) else {
            return Err(self.refuse(ask, Reason::Evaluation));
        };
        let outline = self.outline(ask, bytes);
        let allowed = self.active.engine.self_access(&facts);
        self.shadow.iter().for_each(|shadow| shadow.count(shadow.compare(&facts, ask.lane, allowed)));
        if !allowed {
            return Err(Refused { outline, reason: Reason::Policy, findings: 0, fired: Fired::new() });
        }
        Ok(Permitted {
            outline,
            road: self,
            selection: None,
            outcomes: Vec::new(),
            intent: false,
            recipient: String::new(),
            rows_max: ask.rows_max,
            people_max: 1,
        })
    }

    /// Whether the border is open for this crossing at all.
    fn open(&self, ask: &Ask<'_>) -> Result<(), Refused> {
        if self.in_force.passing().stops(ask.actor.principal().country, ask.destination) {
            return Err(self.refuse(ask, Reason::Suspended));
        }
        let programme = &self.active.rulebook.programme;
        let inside = |c| programme.in_region(c);
        let open = match ask.border {
            Border::Green | Border::Amber => true,
            Border::Lifted => inside(ask.actor.principal().country) && inside(ask.destination),
            Border::Red => false,
        };
        if open { Ok(()) } else { Err(self.refuse(ask, Reason::Border)) }
    }

    /// Whether only such classes would cross as may cross while the border is amber.
    fn amber(&self, ask: &Ask<'_>, outcomes: &[Option<Treatment>]) -> bool {
        let may = &self.active.rulebook.programme.border.amber_classes;
        let groups = ask.selection.groups.iter().zip(outcomes);
        groups.filter(|(_, o)| o.is_some()).all(|(g, _)| may.contains(&g.class))
    }

    fn facts(&self, ask: &Ask<'_>) -> Facts {
        let aggregate = ask.ladder.first() == Some(&Treatment::Aggregate);
        Facts {
            principal: ask.actor.principal().clone(),
            now: ask.now,
            purpose: ask.purpose,
            dataset: ask.dataset.clone(),
            rows: ask.rows_max,
            subjects: ask.people_max,
            subject: ask.subject.as_ref().map(|(_, tag)| *tag),
            k: if aggregate { self.active.rulebook.programme.k } else { 0 },
            evidence: ask.evidence.clone(),
            ladder: ask.ladder.to_vec(),
            groups: ask.selection.groups.clone(),
        }
    }

    fn memoised(&self, facts: Facts, lane: &Name) -> Option<Arc<Decided>> {
        let key = (facts, self.shadow.as_ref().map(|_| lane.clone()));
        if let Ok(memo) = self.memo.lock()
            && let Some(known) = memo.get(&key)
        {
            return Some(Arc::clone(known));
        }
        let decision = self.active.engine.decide(key.0.clone());
        let bytes = ledger::facts::encode(&decision.facts).ok()?;
        let outcomes = decision.facts.groups.iter().map(|g| g.outcome).collect();
        let intent = decision.duties.contains(&Duty::RecordIntent);
        let duties = decision.duties.iter().map(|d| format!("duty {d:?}").to_lowercase());
        let policies = decision.policies.iter().cloned().chain(duties).collect();
        let reason = match (decision.errors, decision.assessment) {
            (true, _) => Reason::Evaluation,
            (false, true) => Reason::Assessment,
            (false, false) => Reason::Policy,
        };
        let shadowed = self.shadow.as_ref().map(|s| s.compare(&decision.facts, lane, true));
        let shadowed = shadowed.unwrap_or_default();
        let decided = Arc::new(Decided { facts: bytes, outcomes, policies, intent, reason, shadowed });
        if let Ok(mut memo) = self.memo.lock() {
            if memo.len() >= MEMO_MAX {
                memo.clear();
            }
            memo.insert(key, Arc::clone(&decided));
        }
        Some(decided)
    }
}

/// Whom pseudonyms are made for: the flow's destination workload, or the caller's employer.
fn recipient(ask: &Ask<'_>) -> String {
    match &ask.evidence {
        Evidence::Flow(flow) => Recipient::Flow(flow.name.clone()).text(),
        _ => Recipient::Employer(ask.actor.principal().employer.clone()).text(),
    }
}
