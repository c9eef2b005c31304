//! What a session stands on, asked anew for each part of each result: who it is, on what ground, and what policy says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crossing::identify::{Session as Who, VerifiedActor};
use crossing::{Ask, Permitted, Selection};
use model::tables::Table;
use model::{Country, Digest, Direction, FlowId, Name, Reason, SubjectId, Tag, Treatment, UnixSeconds};

use transform::dp::bound::VALUES_MAX;

use super::people::NAMED_MAX;
use super::wire::relay::Refused;
use super::words::{broken, told};
use crate::enclave::{self, Enclave, Live};
use crate::passage::{self, Named, Serving};

/// The treatments that rows are asked for in.
const ROWS: &[Treatment] = &[Treatment::Plain, Treatment::Pseudonymised];
/// The treatment that those ask for who see no rows.
const NUMBERS: &[Treatment] = &[Treatment::Aggregate];
/// Most rows of one entry.
pub(super) const ROWS_MAX: u32 = 10_000;

/// Who is there, on what ground, and about which tables.
pub(super) struct Stand {
    pub(super) enclave: Arc<Enclave>,
    pub(super) who: Who,
    pub(super) named: Named,
    pub(super) lane: Name,
    pub(super) dataset: Name,
    pub(super) tables: Vec<Table>,
    pub(super) selection: Selection,
    /// Under which rulebook the tables are as they are.
    pub(super) rulebook: Digest,
    /// When it was taken.
    pub(super) since: UnixSeconds,
}

/// Everything that a decision is made from, now.
pub(super) struct Now {
    pub(super) live: Arc<Live>,
    pub(super) actor: VerifiedActor,
    pub(super) serving: Serving,
    flow: FlowId,
    pub(super) at: UnixSeconds,
    subject: Option<(SubjectId, Tag)>,
}

impl Now {
    /// Whether nothing of the crossing is outside of the region.
    pub(super) fn is_inside(&self) -> bool {
        self.live.road.rulebook().programme.in_region(self.actor.principal().country)
    }

    /// The one person whom the ground is about, if it is about one.
    pub(super) fn subject(&self) -> Option<&SubjectId> {
        self.subject.as_ref().map(|(subject, _)| subject)
    }

    /// Most people whom one entry may name on this ground.
    pub(super) fn people_max(&self) -> u32 {
        let room = u32::try_from(NAMED_MAX).unwrap_or(u32::MAX);
        let most =
            self.serving.ground.amount.map(|amount| u32::try_from(amount.subjects).unwrap_or(u32::MAX));
        most.map_or(room, |most| most.min(room))
    }
}

impl Stand {
    /// Looks at who and what there is now.
    ///
    /// # Errors
    /// What the client is told. Of somebody who is known the refusal is on the ledger.
    pub(super) async fn now(&self) -> Result<Now, Refused> {
        let (at, _) = enclave::now();
        let enclave = &self.enclave;
        let live = enclave.live();
        let Ok(actor) = enclave.identify(&live, &self.who, at) else {
            enclave.metrics().strangers.inc();
            return Err(told("28000", "nobody of this programme"));
        };
        let flow = enclave.flow_id().map_err(|_| broken())?;
        let places = self.who.places();
        // Who is nowhere is where address or credential say: the road sees only the place on which all agree.
        let stopped = |places: &[Country]| enclave.in_force().passing().stops_any(places);
        let suspended = stopped(&places) && !stopped(&[actor.principal().country]);
        let serving = enclave.serving(&actor, &self.named, at, self.since);
        let (serving, reason) = match serving {
            Ok(serving) if suspended => (Some(serving), Some(Reason::Suspended)),
            Ok(serving) if live.road.rulebook().digest != self.rulebook => {
                (Some(serving), Some(Reason::Rulebook))
            }
            Ok(serving) => (Some(serving), None),
            Err(reason) => (None, Some(reason)),
        };
        let subject = serving.as_ref().and_then(|serving| serving.subject.clone());
        let tagged = subject.as_ref().map(|s| enclave.tag_of(s, at).map(|tag| (s.clone(), tag)));
        let (subject, reason) = match tagged {
            Some(None) => (None, reason.or(Some(Reason::Subject))),
            Some(known) => (known, reason),
            None => (None, reason),
        };
        match (serving, reason) {
            (Some(serving), None) => Ok(Now { live, actor, serving, flow, at, subject }),
            (_, reason) => {
                Err(self.refuse_early(&live, &actor, (flow, at), reason.unwrap_or(Reason::Evidence)).await)
            }
        }
    }

    /// Records a refusal that came before a decision could be asked for.
    async fn refuse_early(
        &self,
        live: &Live,
        actor: &VerifiedActor,
        (flow, now): (FlowId, UnixSeconds),
        reason: Reason,
    ) -> Refused {
        let ask = Ask {
            flow,
            now,
            border: self.enclave.border(),
            actor,
            purpose: model::Purpose::Operation,
            lane: &self.lane,
            direction: Direction::Outward,
            destination: actor.principal().country,
            dataset: &self.dataset,
            // The tables may be another rulebook's.
            selection: &live.nothing,
            subject: None,
            evidence: model::facts::Evidence::None,
            evidence_name: self.named.name(),
            statement: None,
            ladder: ROWS,
            rows_max: 1,
            people_max: 1,
        };
        self.record(live.road.refuse(&ask, reason)).await
    }

    /// Records a refusal, and says what the client is told of it.
    pub(super) async fn record(&self, refused: crossing::Refused) -> Refused {
        let reason = refused.reason();
        self.count("refused", reason);
        match passage::refuse(&self.enclave, refused).await {
            Ok(witnessed) => super::words::refused(witnessed.reason, witnessed.index),
            Err(e) => {
                tracing::error!(error = ?e, "a refusal was not recorded; nothing was told of it");
                broken()
            }
        }
    }

    pub(super) fn count(&self, outcome: &'static str, reason: Reason) {
        let labels = crate::metrics::Labels { lane: self.lane.to_string(), outcome, reason: reason.word() };
        self.enclave.metrics().crossings.get_or_create(&labels).inc();
    }

    /// What is asked of policy, about a statement where there is one.
    pub(super) fn ask<'a>(&'a self, now: &'a Now, statement: Option<Digest>) -> Ask<'a> {
        let ground = &now.serving.ground;
        Ask {
            flow: now.flow,
            now: now.at,
            border: self.enclave.border(),
            actor: &now.actor,
            purpose: now.serving.purpose,
            lane: &self.lane,
            direction: Direction::Outward,
            destination: now.actor.principal().country,
            dataset: &self.dataset,
            selection: &self.selection,
            subject: now.subject.clone(),
            evidence: ground.evidence.clone(),
            evidence_name: ground.name.as_ref(),
            statement,
            ladder: ROWS,
            rows_max: ground.rows_max(ROWS_MAX),
            people_max: if now.subject.is_some() { 1 } else { now.people_max() },
        }
    }

    /// What is asked of policy about numbers of these fields, of everybody.
    pub(super) fn ask_numbers<'a>(
        &'a self,
        now: &'a Now,
        selection: &'a Selection,
        statement: Option<Digest>,
    ) -> Ask<'a> {
        // How many people there are is told by no entry, as with other counts.
        let people_max = u32::try_from(VALUES_MAX).unwrap_or(u32::MAX);
        Ask { selection, ladder: NUMBERS, subject: None, people_max, ..self.ask(now, statement) }
    }

    /// The fields of these columns of its tables.
    pub(super) fn columns(&self, live: &Live, table: &str, columns: &BTreeSet<&str>) -> Option<Selection> {
        let table = self.tables.iter().find(|t| t.name == table)?;
        // A question that names no column is about all that may be asked of.
        let wanted =
            |name: &str| if columns.is_empty() { table.asked.names(name) } else { columns.contains(name) };
        let named = table.columns.iter().filter(|(name, _)| wanted(name));
        let pointers: Vec<_> =
            named.map(|(name, field)| (format!("/{}/{name}", table.name), *field)).collect();
        Selection::new(&live.road.rulebook().catalogue, &pointers, None).ok()
    }

    /// From where the caller seems to be.
    pub(super) fn places(&self) -> Vec<Country> {
        self.who.places()
    }
}

/// What is decided of fields, and the epoch of their tokens: what views are made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    fields: BTreeMap<u16, Treatment>,
    epoch: Option<u32>,
    recipient: String,
}

impl Shown {
    pub(super) fn of(permitted: &Permitted<'_>, tables: &[Table]) -> Self {
        let fields = tables.iter().flat_map(|table| &table.columns);
        let fields = fields.filter_map(|(_, field)| Some((field.0, permitted.shown(*field)?))).collect();
        Self { fields, epoch: permitted.epoch(), recipient: permitted.recipient().to_owned() }
    }

    /// No field at all.
    pub(super) fn nothing(permitted: &Permitted<'_>) -> Self {
        Self::of(permitted, &[])
    }

    /// Whom its tokens are made for.
    pub(super) fn recipient(&self) -> &str {
        &self.recipient
    }

    /// How a field is shown.
    pub(super) fn field(&self, field: model::catalogue::FieldIndex) -> Option<Treatment> {
        self.fields.get(&field.0).copied()
    }

    /// The fields and the epoch as bytes, by which a role is named.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.epoch.unwrap_or(0).to_be_bytes().to_vec();
        for (field, treatment) in &self.fields {
            bytes.extend_from_slice(&field.to_be_bytes());
            bytes.push(treatment.code());
        }
        bytes
    }
}
