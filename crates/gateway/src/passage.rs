//! What every protocol does around a crossing: on which ground it stands, what it takes of the ground's amount, and the one exit.

use std::sync::Arc;

use crossing::identify::VerifiedActor;
use crossing::seal::Witnessed;
use crossing::{Ask, Permitted, Refused, Road, Treated};
use model::facts::{Evidence, FlowFacts};
use model::lanes::Flow;
use model::procedures::Amount;
use model::{Country, Name, Purpose, Reason, SubjectId, Tag, UnixSeconds};
use vault::control::{TakeError, Ticket};

use crate::enclave::{Enclave, Held};

/// A ground for a request: what policy sees, and its name for the sealed detail.
#[derive(Debug, Clone)]
pub(crate) struct Ground {
    pub(crate) evidence: Evidence,
    pub(crate) name: Option<Name>,
    /// How much may cross on it in all, where it is a grant or case.
    pub(crate) amount: Option<Amount>,
}

/// A grant or case that a caller names, or none and a purpose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Named {
    Grant(Name),
    Case(Name),
    Purpose(Purpose),
}

impl Named {
    /// The name of the grant or case.
    pub(crate) const fn name(&self) -> Option<&Name> {
        match self {
            Self::Grant(name) | Self::Case(name) => Some(name),
            Self::Purpose(_) => None,
        }
    }
}

/// A purpose that somebody may claim who asks.
pub(crate) fn claimed(word: &str) -> Option<Purpose> {
    let purpose = Purpose::parse(word).ok()?;
    let free = !matches!(purpose, Purpose::SelfAccess | Purpose::Migration | Purpose::Operation);
    free.then_some(purpose)
}

/// As many people's keys are looked up where nothing may wait long.
const AT_ONCE: usize = 64;
/// How long a session without a grant or case stands at most, in seconds: as long as a sign-in.
const UNGRANTED_SECONDS: u64 = 12 * 3600;

impl Ground {
    /// Nothing to stand on.
    pub(crate) const fn none() -> Self {
        Self { evidence: Evidence::None, name: None, amount: None }
    }

    /// A registered flow.
    pub(crate) fn flow(enclave: &Enclave, flow: &Flow) -> Self {
        let facts = FlowFacts {
            name: flow.name.clone(),
            sink: enclave.keys().actor_tag(&flow.sink),
            fields: flow.fields.clone(),
            destination: flow.destination,
            basis: flow.basis,
            active: flow.active,
        };
        Self { evidence: Evidence::Flow(facts), name: Some(flow.name.clone()), amount: None }
    }

    /// Most bytes of one crossing, likewise.
    pub(crate) fn bytes_max(&self, most: u64) -> u64 {
        self.amount.map_or(most, |a| most.min(a.bytes))
    }

    /// Most rows of one crossing: as many as its way takes, and no more than the ground gives in all.
    pub(crate) fn rows_max(&self, most: u32) -> u32 {
        self.amount.map_or(most, |a| most.min(u32::try_from(a.rows).unwrap_or(u32::MAX)))
    }
}

/// A grant or case that serves somebody now, and what it is about.
#[derive(Debug, Clone)]
pub(crate) struct Serving {
    pub(crate) ground: Ground,
    /// For what it was given.
    pub(crate) purpose: Purpose,
    /// The one person whom it is about, if it is about one.
    pub(crate) subject: Option<SubjectId>,
    /// Until when it serves, exclusive.
    pub(crate) until: UnixSeconds,
}

impl Enclave {
    /// The grant or case of a name, if it serves this actor now. What stands on none serves for a while from `since` on.
    pub(crate) fn serving(
        &self,
        actor: &VerifiedActor,
        named: &Named,
        now: UnixSeconds,
        since: UnixSeconds,
    ) -> Result<Serving, Reason> {
        let (control, keys) = (self.control(), self.keys());
        let me = actor.actor().ok_or(Reason::Evidence)?;
        let tag = |id: &model::ActorId| keys.actor_tag(id);
        let name = |id: &Name| keys.evidence_tag(id);
        let person = |s: &SubjectId| self.tag_of(s, now);
        match named {
            Named::Purpose(purpose) => {
                let until = since.plus(UNGRANTED_SECONDS);
                if now >= until {
                    return Err(Reason::Evidence);
                }
                Ok(Serving { ground: Ground::none(), purpose: *purpose, subject: None, until })
            }
            Named::Grant(id) => {
                let grant = control.grant(id, now).map_err(|_| Reason::Evidence)?;
                grant.usable(me, now).map_err(|_| Reason::Evidence)?;
                let facts = grant.facts(name, tag, person).ok_or(Reason::Evidence)?;
                let (evidence, amount) = (Evidence::Grant(facts), Some(grant.amount));
                let ground = Ground { evidence, name: Some(id.clone()), amount };
                let (purpose, subject, until) = (grant.purpose, grant.subject.clone(), grant.not_after);
                Ok(Serving { ground, purpose, subject, until })
            }
            Named::Case(id) => {
                let case = control.case(id, now).map_err(|_| Reason::Evidence)?;
                case.usable(me, now).map_err(|_| Reason::Evidence)?;
                let subject = person(&case.subject).ok_or(Reason::Subject)?;
                let facts = case.facts(name, tag, subject, now).ok_or(Reason::Evidence)?;
                let (evidence, amount) = (Evidence::Case(facts), Some(case.amount));
                let ground = Ground { evidence, name: Some(id.clone()), amount };
                let (subject, until) = (Some(case.subject.clone()), case.not_after);
                Ok(Serving { ground, purpose: Purpose::Support, subject, until })
            }
        }
    }
}

/// A payload, with what it took of its ground's amount.
pub(crate) struct Paid {
    pub(crate) treated: Treated,
    ticket: Option<Ticket>,
}

impl Paid {
    /// A payload on a ground without an amount: a registered flow, public data, one's own record.
    pub(crate) fn free(treated: Treated) -> Self {
        Self { treated, ticket: None }
    }

    /// Takes what a payload needs from the amount of its ground, durably, before anything of it is recorded.
    ///
    /// # Errors
    /// [`Refused`] when the amount is spent, or nobody can say whether it is.
    pub(crate) async fn of(
        enclave: &Arc<Enclave>,
        ground: &Ground,
        treated: Treated,
    ) -> Result<Self, Refused> {
        let Some((name, amount)) = ground.name.clone().zip(ground.amount) else {
            return Ok(Self::free(treated));
        };
        let (rows, bytes) = (u64::from(treated.rows()), treated.bytes());
        let people: Vec<Tag> = treated.people().iter().map(|s| enclave.keys().counted_tag(s)).collect();
        // Keys of many are looked up before anything is held: nobody who suspends a country waits for that.
        let many = treated.people().len() > AT_ONCE;
        if !many && let Some(ticket) = enclave.control().take_at_hand(&name, rows, bytes, &people) {
            return Ok(Self { treated, ticket: Some(ticket) });
        }
        let enclave = Arc::clone(enclave);
        let subjects = if many { treated.people().to_vec() } else { Vec::new() };
        let taken = tokio::task::spawn_blocking(move || {
            let now = crate::enclave::now().0;
            subjects.iter().for_each(|person| drop(enclave.person(person, now)));
            enclave.control().take(&name, &amount, rows, bytes, &people, 0)
        });
        match taken.await {
            Ok(Ok(ticket)) => Ok(Self { treated, ticket: Some(ticket) }),
            Ok(Err(TakeError::Spent(_))) => Err(treated.refuse(Reason::Budget)),
            _ => Err(treated.refuse(Reason::Evidence)),
        }
    }

    /// Seals the payload, records it, and opens it with its receipt: the one exit. What it took is given back if it does not come
    /// to that.
    ///
    /// # Errors
    /// [`Held`]; then nothing left.
    pub(crate) async fn release(self, enclave: &Enclave, places: &[Country]) -> Result<(Vec<u8>, u64), Held> {
        let Self { treated, ticket } = self;
        let done = release(enclave, treated, places).await;
        if let (Err(_), Some(ticket)) = (&done, ticket) {
            enclave.control().give_back(ticket);
        }
        done
    }
}

/// Asks policy, and has the intent of releasing at most so many bytes be on the ledger, where policy demands that, before anything
/// is opened.
///
/// # Errors
/// [`Refused`]; then nothing was opened.
pub(crate) async fn decide<'p>(
    enclave: &Enclave,
    road: &'p Road,
    ask: &Ask<'p>,
    most: u64,
    places: &[Country],
) -> Result<Permitted<'p>, Refused> {
    let mut permitted = road.decide(ask)?;
    if !permitted.needs_intent() {
        return Ok(permitted);
    }
    let recorded = match enclave.send_intent(&permitted, most, places) {
        Ok((intent, queued)) => queued.receipts().await.map(|receipts| (intent, receipts)),
        Err(reason) => return Err(permitted.refuse(reason)),
    };
    match recorded {
        Ok((intent, receipts)) if permitted.intended(&intent, &receipts).is_ok() => Ok(permitted),
        _ => Err(permitted.refuse(Reason::Border)),
    }
}

/// Records a refusal, before it is told.
///
/// # Errors
/// [`Held`], but not as refused; then nobody is told more than that the border is closed.
pub(crate) async fn refuse(enclave: &Enclave, refused: Refused) -> Result<Witnessed, Held> {
    let (sealed, queued) = enclave.send_refusal(refused)?;
    let receipts = queued.receipts().await.map_err(Held::Closed)?;
    sealed.release(&receipts).map_err(|_| Held::Closed(vault::BorderClosed::Stopped))
}

async fn release(enclave: &Enclave, treated: Treated, places: &[Country]) -> Result<(Vec<u8>, u64), Held> {
    let findings = treated.findings();
    let (sealed, queued) = enclave.send(treated, places)?;
    let receipts = queued.receipts().await.map_err(Held::Closed)?;
    let index = receipts.entry.index();
    let payload = sealed.release(&receipts).map_err(|e| {
        tracing::error!(error = %e, "a receipt did not fit its payload");
        Held::Closed(vault::BorderClosed::Stopped)
    })?;
    let bytes = payload.into_bytes();
    let metrics = enclave.metrics();
    metrics.released_bytes.inc_by(bytes.len() as u64);
    metrics.findings.inc_by(u64::from(findings));
    Ok((bytes, index))
}
