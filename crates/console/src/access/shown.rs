//! Requests as JSON, for the people whom they concern.

use std::sync::Arc;

use access::request::Done;
use access::{Request, State};
use model::UnixSeconds;
use model::procedures::Amount;
use serde::Serialize;

/// One act.
#[derive(Debug, Serialize)]
struct ShownAct {
    what: &'static str,
    by: Option<String>,
    employer: Option<String>,
    country: String,
    at: String,
    step: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    because: Option<String>,
}

/// One request.
#[derive(Debug, Serialize)]
pub struct Shown {
    id: String,
    /// `waiting`, `granted`, `denied`, `timed out`, `withdrawn`, `revoked`, or `over`: it served, and its time is over.
    state: &'static str,
    requester: String,
    ground: &'static str,
    purpose: &'static str,
    case: String,
    kind: Option<&'static str>,
    incident: Option<String>,
    dataset: String,
    fields: Option<String>,
    subject: Option<String>,
    seconds: u64,
    amount: Amount,
    procedure: String,
    serves_from: Option<String>,
    serves_until: Option<String>,
    acts: Vec<ShownAct>,
}

fn act(done: &Done) -> ShownAct {
    ShownAct {
        what: done.act.word(),
        by: done.by.as_ref().map(|id| id.as_str().to_owned()),
        employer: done.employer.as_ref().map(ToString::to_string),
        country: done.country.to_string(),
        at: done.at.rfc3339(),
        step: done.step,
        because: done.because.clone(),
    }
}

impl Shown {
    /// A request as it is at a time.
    #[must_use]
    pub fn of(request: &Request, now: UnixSeconds) -> Self {
        let w = &request.wanted;
        let (from, until) = match request.state {
            State::Granted { from, until } => (Some(from.rfc3339()), Some(until.rfc3339())),
            _ => (None, None),
        };
        let over = matches!(request.state, State::Granted { until, .. } if now >= until);
        Self {
            id: request.id.to_string(),
            state: if over { "over" } else { request.state.word() },
            requester: request.requester.as_str().to_owned(),
            ground: w.ground.word(),
            purpose: w.purpose.word(),
            case: w.case.to_string(),
            kind: w.kind.map(model::CaseKind::word),
            incident: w.incident.as_ref().map(ToString::to_string),
            dataset: w.dataset.to_string(),
            fields: w.fields.as_ref().map(ToString::to_string),
            subject: w.subject.as_ref().map(|s| s.as_str().to_owned()),
            seconds: w.seconds,
            amount: w.amount,
            procedure: request.procedure.to_string(),
            serves_from: from,
            serves_until: until,
            acts: request.done.iter().map(act).collect(),
        }
    }
}

/// Most requests of each kind in a list.
const LIST_MAX: usize = 500;

/// What concerns one person, newest first.
#[derive(Debug, Serialize)]
pub struct Inbox {
    /// Waits for their decision.
    pub to_decide: Vec<Shown>,
    /// They asked for it.
    pub own: Vec<Shown>,
    /// They took part in it, or might have.
    pub others: Vec<Shown>,
}

impl Inbox {
    /// Of the lists of somebody whom they concern.
    pub(super) fn of(
        waiting: &[Arc<Request>],
        own: &[Arc<Request>],
        others: &[Arc<Request>],
        now: UnixSeconds,
    ) -> Self {
        let list = |all: &[Arc<Request>]| all.iter().take(LIST_MAX).map(|r| Shown::of(r, now)).collect();
        Self { to_decide: list(waiting), own: list(own), others: list(others) }
    }
}
