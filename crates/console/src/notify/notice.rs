//! What is told when, and to whom: a pure function of a request, an act or the time, and the rulebook's procedures.
//!
//! A notice says that something waits or has happened, and nothing about anybody. Start reading at [`Teller`].

use access::request::{Act, Done};
use access::{Request, State};
use data_encoding::BASE32_NOPAD;
use model::procedures::{Late, Procedure, Procedures, Step};
use model::{ActorId, Ground, Name, UnixSeconds};

#[cfg(test)]
pub(super) mod tests;

/// What happened, or is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A step waits for people.
    Waits,
    /// Somebody approved; more is needed.
    Approved,
    /// Denied.
    Denied,
    /// The last approval was given: it serves.
    Granted,
    /// Its requester took it back.
    Withdrawn,
    /// It was ended before its time.
    Revoked,
    /// Nobody decided in time.
    TimedOut,
    /// A step's time was over, and others decide too.
    Escalated,
    /// A break-glass grant serves from now.
    BreakGlass,
    /// What was done under it is to be looked at.
    ReviewDue,
    /// Nobody has looked at it in time.
    ReviewOverdue,
    /// A decoy was approved.
    DecoySigned,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Waits,
        Self::Approved,
        Self::Denied,
        Self::Granted,
        Self::Withdrawn,
        Self::Revoked,
        Self::TimedOut,
        Self::Escalated,
        Self::BreakGlass,
        Self::ReviewDue,
        Self::ReviewOverdue,
        Self::DecoySigned,
    ];

    /// The word, as it stands in configurations and in the type of an event.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waits => "waits",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Granted => "granted",
            Self::Withdrawn => "withdrawn",
            Self::Revoked => "revoked",
            Self::TimedOut => "timed-out",
            Self::Escalated => "escalated",
            Self::BreakGlass => "break-glass",
            Self::ReviewDue => "review-due",
            Self::ReviewOverdue => "review-overdue",
            Self::DecoySigned => "decoy-signed",
        }
    }

    /// Reads a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// The sentence for people.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Waits => "a request waits for approval",
            Self::Approved => "a request was approved at a step, and waits for more",
            Self::Denied => "a request was denied",
            Self::Granted => "a request was granted",
            Self::Withdrawn => "a request was taken back",
            Self::Revoked => "a grant was revoked",
            Self::TimedOut => "a request has expired: nobody decided in time",
            Self::Escalated => "a request was escalated and waits for approval",
            Self::BreakGlass => "BREAK-GLASS: a grant was opened for an incident",
            Self::ReviewDue => "a grant is over and waits for its review",
            Self::ReviewOverdue => "the review of a grant is overdue",
            Self::DecoySigned => "a decoy was approved",
        }
    }
}

/// One thing to tell.
// INVARIANT: of what was asked for it holds the ground alone: no person, no account, no case, no incident, no reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The same for the same happening, however often it is told.
    pub id: String,
    /// What.
    pub kind: Kind,
    /// When.
    pub at: UnixSeconds,
    /// The request's name.
    pub request: Name,
    /// The procedure that decides it.
    pub procedure: Name,
    /// Whether it is for a grant, a case or break-glass.
    pub ground: Ground,
    /// The act, unless it is time alone.
    pub act: Option<Act>,
    /// Which step it is about, counted from 1, and of how many.
    pub step: Option<(usize, usize)>,
    /// Until when people decide or review, or the grant serves.
    pub deadline: Option<UnixSeconds>,
}

impl Notice {
    /// Whether it goes before the others.
    #[must_use]
    pub const fn urgent(&self) -> bool {
        matches!(self.ground, Ground::BreakGlass)
    }
}

/// Who is to be told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Audience {
    /// These people.
    pub accounts: Vec<ActorId>,
    /// The people of these sets.
    pub sets: Vec<Name>,
    /// But not these.
    pub except: Vec<ActorId>,
    /// The auditor.
    pub auditor: bool,
    /// Whoever is on call.
    pub pager: bool,
}

/// A notice and who is to be told.
pub type Told = (Notice, Audience);

/// Tells under one rulebook.
#[derive(Debug, Clone, Copy)]
pub struct Teller<'r> {
    /// Where it happens; part of each notice's id.
    pub source: &'r str,
    /// The procedures in force.
    pub rules: &'r Procedures,
}

impl Teller<'_> {
    /// What one act on a request gives to tell. What others have overtaken is not told any more.
    #[must_use]
    pub fn of_act(&self, request: &Request, n: usize) -> Vec<Told> {
        let Some(done) = request.done.get(n) else { return Vec::new() };
        let last = n + 1 == request.done.len();
        match done.act {
            Act::Ask if last => self.waits(request, n, done, Kind::Waits).into_iter().collect(),
            Act::Escalate => self.waits(request, n, done, Kind::Escalated).into_iter().collect(),
            Act::Approve => self.approved(request, n, done, last),
            Act::Deny => vec![self.told(request, n, done, Kind::Denied, asker(request))],
            Act::Withdraw => vec![self.told(request, n, done, Kind::Withdrawn, Audience::default())],
            Act::TimeOut => vec![self.told(request, n, done, Kind::TimedOut, asker(request))],
            Act::Revoke => {
                let mut to = asker(request);
                to.accounts.extend(request.approvals().filter_map(|d| d.by.clone()));
                to.auditor = request.wanted.ground == Ground::BreakGlass;
                let revoked = self.told(request, n, done, Kind::Revoked, to);
                std::iter::once(revoked).chain(self.review(request, Kind::ReviewDue, done.at)).collect()
            }
            Act::Ask | Act::Review => Vec::new(),
        }
    }

    /// What fell due from one time until before another, and nobody has done.
    #[must_use]
    pub fn of_time(&self, request: &Request, from: UnixSeconds, until: UnixSeconds) -> Vec<Told> {
        let within = |at: &UnixSeconds| *at >= from && *at < until;
        let Some(end) = request.ended(until) else { return Vec::new() };
        // The end of what was revoked is an act, and told as one.
        let due = matches!(request.state, State::Granted { .. }).then_some(end);
        let late = self.procedure(request).map(|p| end.plus(p.review_seconds));
        let due = due.filter(within).and_then(|at| self.review(request, Kind::ReviewDue, at));
        let late = late.filter(within).and_then(|at| self.review(request, Kind::ReviewOverdue, at));
        due.into_iter().chain(late).collect()
    }

    fn procedure(&self, request: &Request) -> Option<&Procedure> {
        self.rules.named(&request.procedure)
    }

    /// That a step waits, if it is the one of this act or one that this act led to.
    fn waits(&self, request: &Request, n: usize, done: &Done, kind: Kind) -> Option<Told> {
        let State::Waiting { step, since, escalated } = request.state else { return None };
        if kind == Kind::Escalated && !(escalated && step == done.step) {
            return None;
        }
        let rule = self.procedure(request).and_then(|p| p.steps.get(step));
        let mut sets = rule.map(|s| s.of.clone()).unwrap_or_default();
        sets.extend(rule.filter(|_| escalated).and_then(beyond).cloned());
        let mut except: Vec<ActorId> = request.approvals().filter_map(|d| d.by.clone()).collect();
        except.push(request.requester.clone());
        let (mut notice, to) = self.told(request, n, done, kind, Audience::default());
        notice.step = self.procedure(request).map(|p| (step + 1, p.steps.len()));
        notice.deadline = rule.map(|s| since.plus(s.seconds));
        Some((notice, Audience { sets, except, ..to }))
    }

    fn approved(&self, request: &Request, n: usize, done: &Done, last: bool) -> Vec<Told> {
        let mut all = Vec::new();
        let served = matches!(request.state, State::Granted { .. } | State::Revoked);
        if served && !request.done.iter().skip(n + 1).any(|d| d.act == Act::Approve) {
            let until = Some(done.at.plus(request.wanted.seconds));
            let mut granted = self.told(request, n, done, Kind::Granted, asker(request));
            granted.0.deadline = until;
            all.push(granted);
            if request.wanted.ground == Ground::BreakGlass {
                let to = Audience { auditor: true, pager: true, ..Audience::default() };
                let mut opened = self.told(request, n, done, Kind::BreakGlass, to);
                opened.0.deadline = until;
                all.push(opened);
            }
        } else {
            all.push(self.told(request, n, done, Kind::Approved, asker(request)));
            let goes_on = matches!(request.state, State::Waiting { step, .. } if step != done.step);
            all.extend((last && goes_on).then(|| self.waits(request, n, done, Kind::Waits)).flatten());
        }
        if request.decoy {
            let to = Audience { auditor: true, ..Audience::default() };
            all.push(self.told(request, n, done, Kind::DecoySigned, to));
        }
        all
    }

    /// That a review is due or overdue, if there is to be one and nobody made it.
    fn review(&self, request: &Request, kind: Kind, at: UnixSeconds) -> Option<Told> {
        let procedure = self.procedure(request)?;
        let reviewed = request.done.iter().any(|d| d.act == Act::Review);
        if procedure.review_seconds == 0 || reviewed {
            return None;
        }
        let deadline = if kind == Kind::ReviewDue { at.plus(procedure.review_seconds) } else { at };
        let notice = Notice {
            id: self.id(request, None, kind),
            kind,
            at,
            request: request.id.clone(),
            procedure: request.procedure.clone(),
            ground: request.wanted.ground,
            act: None,
            step: None,
            deadline: Some(deadline),
        };
        let sets = procedure.steps.iter().flat_map(|s| s.of.iter().cloned()).collect();
        let except = vec![request.requester.clone()];
        let auditor = kind == Kind::ReviewOverdue;
        Some((notice, Audience { sets, except, auditor, ..Audience::default() }))
    }

    fn told(&self, request: &Request, n: usize, done: &Done, kind: Kind, to: Audience) -> Told {
        let steps = self.procedure(request).map(|p| p.steps.len());
        let decided = matches!(done.act, Act::Approve | Act::Deny | Act::TimeOut);
        let notice = Notice {
            id: self.id(request, Some(n), kind),
            kind,
            at: done.at,
            request: request.id.clone(),
            procedure: request.procedure.clone(),
            ground: request.wanted.ground,
            act: Some(done.act),
            step: steps.filter(|_| decided).map(|all| (done.step + 1, all)),
            deadline: None,
        };
        (notice, to)
    }

    /// The same for the same happening: receivers know by it what they have had. It has no dot, which the signature of a
    /// webhook uses to separate.
    fn id(&self, request: &Request, n: Option<usize>, kind: Kind) -> String {
        let n = n.map_or_else(|| "time".to_owned(), |n| n.to_string());
        let text = format!("{}\n{}\n{n}\n{}", self.source, request.id, kind.word());
        let digest = ledger::sha256(text.as_bytes());
        let short = digest.bytes().first_chunk::<16>().map_or(&[][..], |b| b.as_slice());
        format!("clv-{}", BASE32_NOPAD.encode(short).to_ascii_lowercase())
    }
}

/// Who asked. A decoy stands in the name of somebody who did not.
fn asker(request: &Request) -> Audience {
    let accounts = if request.decoy { Vec::new() } else { vec![request.requester.clone()] };
    Audience { accounts, ..Audience::default() }
}

fn beyond(step: &Step) -> Option<&Name> {
    match &step.late {
        Late::Escalate(set) => Some(set),
        Late::Deny => None,
    }
}
