//! What may follow what, and what an incident is after it.

use serde::Serialize;

use super::{
    action::{Action, ActionKind, Body, Opening, Reference, Severity},
    clock::Clock,
    parties::{Parties, Party},
};
use crate::hash::Hash;

/// Where an incident stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its clock runs.
    Open,
    /// By hand, or because its time is over.
    Escalated,
    /// Dealt with.
    Closed,
}

/// One action, as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct ActionLine {
    /// What was done.
    pub action: ActionKind,
    /// By whom.
    pub party: String,
    /// The company of that party.
    pub company: String,
    /// When.
    pub clock: Clock,
    /// Whether the clock did it.
    pub by_clock: bool,
    /// Why.
    pub text: String,
}

/// An incident and its history.
#[derive(Clone, Debug, Serialize)]
pub struct Incident {
    /// The name of its folder.
    pub id: String,
    /// Where it stands.
    pub state: State,
    /// What was said when it was opened.
    pub opening: Opening,
    /// Every action, the opening first.
    pub actions: Vec<ActionLine>,
    /// What is wrong with its record; then its state is that before the first wrong action.
    pub damaged: Option<String>,
    /// SHA-256 of the newest note.
    #[serde(skip)]
    pub(super) head: Hash,
}

/// Why an action is not allowed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum Rejected {
    #[error("an incident begins with its opening")]
    NotOpen,
    #[error("the incident is open already")]
    OpenAlready,
    #[error("the incident is escalated already")]
    EscalatedAlready,
    #[error("the incident is closed")]
    Closed,
    #[error("only a closed incident is re-opened")]
    NotClosed,
    #[error("its time is not over")]
    NotDue,
    #[error("the party `{0}` caused it or works for the company that did, and cannot close it")]
    Cause(String),
    #[error("no party answers for the cause `{0}`")]
    Nobody(String),
    #[error("it does not follow the action before")]
    Chain,
    #[error("its clock is before that of the action before")]
    Clock,
}

impl Incident {
    /// The greatest times that its actions have seen.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.actions.iter().map(|action| action.clock).fold(Clock::default(), Clock::max)
    }

    /// When it was opened.
    #[must_use]
    pub fn opened(&self) -> Clock {
        self.actions.first().map(|action| action.clock).unwrap_or_default()
    }

    /// Seconds that are left of its time, or `None` if it is over.
    #[must_use]
    pub fn left(&self, now: Clock) -> Option<u64> {
        let left = self.opening.clock_seconds.checked_sub(now.max(self.clock()).since(self.opened()));
        left.filter(|left| *left > 0)
    }

    /// Whether it is open and its time is over. The time counts from the first opening, whatever happened in
    /// between.
    #[must_use]
    pub fn is_due(&self, now: Clock) -> bool {
        self.state == State::Open && self.left(now).is_none()
    }

    /// An incident of which nothing can be read.
    pub(super) fn nothing(id: &str) -> Self {
        let opening = Opening {
            rule: String::new(),
            severity: Severity::Grave,
            cause: String::new(),
            about: String::new(),
            clock_seconds: Opening::CLOCK_SECONDS,
            references: Vec::<Reference>::new(),
            text: String::new(),
        };
        Self {
            id: id.to_owned(),
            state: State::Open,
            opening,
            actions: Vec::new(),
            damaged: Some("nothing of it can be read".into()),
            head: [0; 32],
        }
    }
}

/// Checks that `action` of `party` may come next.
pub(super) fn allowed(
    found: Option<&Incident>,
    action: &Action,
    party: &Party,
    parties: &Parties,
) -> Result<(), Rejected> {
    let Some(found) = found else {
        let first = action.sequence == 0 && action.previous == [0; 32];
        return match action.body {
            Body::Open(_) if first => Ok(()),
            Body::Open(_) => Err(Rejected::Chain),
            _ => Err(Rejected::NotOpen),
        };
    };
    if action.sequence != found.actions.len() as u64 || action.previous != found.head {
        return Err(Rejected::Chain);
    }
    if !action.clock.follows(found.clock()) {
        return Err(Rejected::Clock);
    }
    match (&action.body, found.state) {
        (Body::Open(_), _) => Err(Rejected::OpenAlready),
        (Body::Escalate { .. } | Body::Close { .. }, State::Closed) => Err(Rejected::Closed),
        (Body::Escalate { .. }, State::Escalated) => Err(Rejected::EscalatedAlready),
        (Body::Escalate { by_clock: true, .. }, _) if !found.is_due(action.clock) => Err(Rejected::NotDue),
        (Body::Escalate { .. }, State::Open) => Ok(()),
        (Body::Reopen { .. }, State::Closed) => Ok(()),
        (Body::Reopen { .. }, _) => Err(Rejected::NotClosed),
        (Body::Close { .. }, _) => {
            let cause = &found.opening.cause;
            if parties.answering(cause).is_empty() {
                return Err(Rejected::Nobody(cause.clone()));
            }
            if parties.is_cause(party, cause) { Err(Rejected::Cause(party.name.clone())) } else { Ok(()) }
        }
    }
}

/// The incident after an action that is allowed.
pub(super) fn after(found: Option<&Incident>, action: Action, party: &Party, head: Hash) -> Incident {
    let mut incident = found.cloned().unwrap_or_else(|| Incident::nothing(&action.id));
    (incident.damaged, incident.head) = (None, head);
    incident.actions.push(ActionLine {
        action: action.body.kind(),
        party: party.name.clone(),
        company: party.company.clone(),
        clock: action.clock,
        by_clock: matches!(action.body, Body::Escalate { by_clock: true, .. }),
        text: action.body.text().to_owned(),
    });
    let escalated = incident.actions.iter().any(|line| line.action == ActionKind::Escalate);
    incident.state = match action.body {
        Body::Close { .. } => State::Closed,
        _ if escalated => State::Escalated,
        _ => State::Open,
    };
    if let Body::Open(opening) = action.body {
        incident.opening = opening;
    }
    incident
}
