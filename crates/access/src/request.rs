//! A request for access from asking to its end, as a pure state machine.
//!
//! Somebody asks; the people of each step approve, or one of them denies; the last approval makes it a grant with an
//! absolute end. Rules that no procedure can loosen: nobody approves for themselves, nobody counts twice in one
//! request, nobody approves from outside the region or with a weak sign-in, and nobody who stands in for the requester,
//! or for whom the requester stands in. They are looked at again when the grant is made: an approval of somebody who
//! is no longer on record, no longer in the step's sets, or has become a deputy meanwhile does not count.
//! There are no exceptions for administrators, since there are no administrators here.

use model::procedures::{Amount, Late, Procedure, Procedures, Step};
use model::{ActorId, CaseKind, Country, Ground, Name, Purpose, SubjectId, UnixSeconds};
use serde::{Deserialize, Serialize};

use crate::evidence::{Approval, CASE_SECONDS, Case, Grant};
use crate::registry::Actor;

#[cfg(test)]
mod tests;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// A grant, a case or a break-glass grant.
    pub ground: Ground,
    /// Why.
    pub purpose: Purpose,
    /// The number of the case or ticket that it is about.
    pub case: Name,
    /// What the person complained about; for a case only.
    #[serde(default)]
    pub kind: Option<CaseKind>,
    /// The open incident; for break-glass only.
    #[serde(default)]
    pub incident: Option<Name>,
    /// On which dataset.
    pub dataset: Name,
    /// On which list of fields only.
    #[serde(default)]
    pub fields: Option<Name>,
    /// On which person only.
    #[serde(default)]
    pub subject: Option<SubjectId>,
    /// For how long, in seconds from the last approval.
    pub seconds: u64,
    /// How much may cross in all.
    pub amount: Amount,
}

/// Somebody who acts on a request: their record, and where and how they are signed in.
#[derive(Debug, Clone, Copy)]
pub struct Person<'a> {
    /// What the operator has on record.
    pub record: &'a Actor,
    /// Where they are, by agreeing evidence.
    pub country: Country,
    /// Whether that is in the region.
    pub in_region: bool,
    /// Whether more than one factor was shown.
    pub strong: bool,
}

/// Where a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// A step waits for people.
    Waiting {
        /// Which, counted from 0.
        step: usize,
        /// Since when.
        since: UnixSeconds,
        /// Whether it was escalated.
        escalated: bool,
    },
    /// It serves.
    Granted {
        /// From when.
        from: UnixSeconds,
        /// Until when, exclusive.
        until: UnixSeconds,
    },
    /// Somebody denied it.
    Denied,
    /// Nobody decided in time.
    TimedOut,
    /// The requester took it back.
    Withdrawn,
    /// It served, and was ended before its time.
    Revoked,
}

impl State {
    /// The stable number, for the ledger.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Waiting { .. } => 1,
            Self::Granted { .. } => 2,
            Self::Denied => 3,
            Self::TimedOut => 4,
            Self::Withdrawn => 5,
            Self::Revoked => 6,
        }
    }

    /// The word for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting { .. } => "waiting",
            Self::Granted { .. } => "granted",
            Self::Denied => "denied",
            Self::TimedOut => "timed out",
            Self::Withdrawn => "withdrawn",
            Self::Revoked => "revoked",
        }
    }
}

/// What was done to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Asked.
    Ask,
    /// Approved at a step.
    Approve,
    /// Denied.
    Deny,
    /// Taken back by the requester.
    Withdraw,
    /// Ended before its time.
    Revoke,
    /// A step's time was over: denied.
    TimeOut,
    /// A step's time was over: others decide.
    Escalate,
    /// What was done under it was looked at afterwards.
    Review,
}

impl Act {
    /// Every act.
    pub const ALL: [Self; 8] = [
        Self::Ask,
        Self::Approve,
        Self::Deny,
        Self::Withdraw,
        Self::Revoke,
        Self::TimeOut,
        Self::Escalate,
        Self::Review,
    ];

    /// The stable number, for the ledger.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Ask => 1,
            Self::Approve => 2,
            Self::Deny => 3,
            Self::Withdraw => 4,
            Self::Revoke => 5,
            Self::TimeOut => 6,
            Self::Escalate => 7,
            Self::Review => 8,
        }
    }

    /// The word for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::Approve => "approve",
            Self::Deny => "deny",
            Self::Withdraw => "withdraw",
            Self::Revoke => "revoke",
            Self::TimeOut => "time-out",
            Self::Escalate => "escalate",
            Self::Review => "review",
        }
    }
}

/// One act, as it is kept. Time passing is nobody's act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// What.
    pub act: Act,
    /// Whose, if anybody's.
    pub by: Option<ActorId>,
    /// Their employer.
    pub employer: Option<Name>,
    /// Where they were.
    pub country: Country,
    /// When.
    pub at: UnixSeconds,
    /// At which step.
    pub step: usize,
    /// Why, in their own words, for those whom the request concerns. It is not on the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
}

/// Longest reason of an act, in bytes.
pub const BECAUSE_MAX: usize = 500;

/// Why something cannot be done to a request. Nothing personal, and nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// No procedure is for this.
    #[error("no procedure of the rulebook gives this ground for this purpose on this dataset")]
    Procedure,
    /// Only employees ask and approve.
    #[error("only employees ask for access or approve it")]
    Kind,
    /// The sign-in showed one factor.
    #[error("a sign-in with more than one factor is needed")]
    Weak,
    /// The request lacks what its ground needs, or has what it must not.
    #[error(
        "a case needs its kind, one person and a list of fields; break-glass needs an open incident; no other ground takes these"
    )]
    Shape,
    /// Longer than the procedure gives.
    #[error("it is asked for longer than the procedure gives, or for no time")]
    Time,
    /// More than the procedure gives.
    #[error("more rows, bytes or people are asked for than the procedure gives, or none")]
    Amount,
    /// It is decided already, or over.
    #[error("the request is decided already, or over")]
    Over,
    /// Not in the sets of the step that waits.
    #[error("this step is for others to decide")]
    NotInSet,
    /// The requester.
    #[error("nobody approves their own request")]
    Own,
    /// Has approved this request already.
    #[error("one person approves a request once")]
    Twice,
    /// Is not in the region.
    #[error("approvals are given inside the region")]
    Outside,
    /// Stands in for the requester, or the requester for them.
    #[error("a deputy does not approve, in either direction")]
    Deputy,
    /// Is neither the requester nor somebody who decides on it.
    #[error("this is not yours to end")]
    NotYours,
    /// There is nothing to review, or it is reviewed.
    #[error("there is nothing to review")]
    NothingToReview,
    /// The rulebook does not have the request's procedure any more.
    #[error("the procedure of this request is not in the rulebook any more")]
    ProcedureGone,
}

/// A request with everything that was done to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Its name; the grant or case that comes of it bears the same.
    pub id: Name,
    /// Who asks.
    pub requester: ActorId,
    /// What.
    pub wanted: Wanted,
    /// The procedure that decides it.
    pub procedure: Name,
    /// Where it stands.
    pub state: State,
    /// What was done, in order; the first is the asking.
    pub done: Vec<Done>,
    /// Whether it is a decoy: approving it is a finding, and it never grants.
    #[serde(default)]
    pub decoy: bool,
}

/// Most acts that a request holds: what nobody needs is refused before it grows.
pub const ACTS_MAX: usize = 64;

impl Request {
    /// Asks.
    ///
    /// # Errors
    /// [`NotAllowed`] with the first reason against it; no request is made then.
    pub fn ask(
        id: Name,
        wanted: Wanted,
        by: Person<'_>,
        rules: &Procedures,
        now: UnixSeconds,
    ) -> Result<Self, NotAllowed> {
        able(by)?;
        let procedure =
            rules.for_request(wanted.ground, wanted.purpose, &wanted.dataset).ok_or(NotAllowed::Procedure)?;
        shape(&wanted)?;
        let longest = if wanted.ground == Ground::Case {
            procedure.seconds_max.min(CASE_SECONDS)
        } else {
            procedure.seconds_max
        };
        if wanted.seconds == 0 || wanted.seconds > longest {
            return Err(NotAllowed::Time);
        }
        let amount = wanted.amount;
        if !amount.within(&procedure.most) || amount.rows == 0 || amount.bytes == 0 || amount.subjects == 0 {
            return Err(NotAllowed::Amount);
        }
        let state = State::Waiting { step: 0, since: now, escalated: false };
        let (requester, procedure) = (by.record.id.clone(), procedure.name.clone());
        let mut request = Self { id, requester, wanted, procedure, state, done: Vec::new(), decoy: false };
        request.note(Act::Ask, Some(by), now, 0);
        Ok(request)
    }

    /// Approves the step that waits. The last approval makes the request serve, from now.
    ///
    /// `registry` tells what is on record about somebody now.
    ///
    /// # Errors
    /// [`NotAllowed`] with the first reason against it.
    pub fn approve(
        &mut self,
        by: Person<'_>,
        rules: &Procedures,
        registry: impl Fn(&ActorId) -> Option<Actor>,
        now: UnixSeconds,
    ) -> Result<(), NotAllowed> {
        let (procedure, step, escalated) = self.waiting(rules)?;
        able(by)?;
        if self.requester == by.record.id {
            return Err(NotAllowed::Own);
        }
        if !by.in_region {
            return Err(NotAllowed::Outside);
        }
        let requester = registry(&self.requester).ok_or(NotAllowed::Kind)?;
        if deputies(&requester, by.record) {
            return Err(NotAllowed::Deputy);
        }
        if !decides(rules, procedure, step, escalated, by.record) {
            return Err(NotAllowed::NotInSet);
        }
        if self.approvals().any(|d| d.by.as_ref() == Some(&by.record.id)) {
            return Err(NotAllowed::Twice);
        }
        if self.done.len() >= ACTS_MAX {
            return Err(NotAllowed::Over);
        }
        self.note(Act::Approve, Some(by), now, step);
        self.advance(rules, procedure, &requester, &registry, now);
        Ok(())
    }

    /// Goes to the first step that still lacks approvals that count, or grants.
    fn advance(
        &mut self,
        rules: &Procedures,
        procedure: &Procedure,
        requester: &Actor,
        registry: &impl Fn(&ActorId) -> Option<Actor>,
        now: UnixSeconds,
    ) {
        let counts = |done: &&Done| {
            let Some(actor) = done.by.as_ref().and_then(registry) else { return false };
            let escalated = self.done.iter().any(|d| d.act == Act::Escalate && d.step == done.step);
            decides(rules, procedure, done.step, escalated, &actor) && !deputies(requester, &actor)
        };
        let lacks = procedure.steps.iter().enumerate().find(|(n, step)| {
            let votes: Vec<&Done> = self.approvals().filter(|d| d.step == *n).filter(counts).collect();
            !enough(step, &votes)
        });
        self.state = match (lacks, self.state) {
            (None, _) => State::Granted { from: now, until: now.plus(self.wanted.seconds) },
            (Some((n, _)), State::Waiting { step, since, escalated }) if n == step => {
                State::Waiting { step, since, escalated }
            }
            (Some((n, _)), _) => {
                let escalated = self.done.iter().any(|d| d.act == Act::Escalate && d.step == n);
                State::Waiting { step: n, since: now, escalated }
            }
        };
    }

    /// Denies: one person of the step that waits is enough, wherever they are.
    ///
    /// # Errors
    /// [`NotAllowed`] with the first reason against it: what is granted already is to be revoked instead.
    pub fn deny(&mut self, by: Person<'_>, rules: &Procedures, now: UnixSeconds) -> Result<(), NotAllowed> {
        let (procedure, step, escalated) = self.waiting(rules)?;
        able(by)?;
        if !decides(rules, procedure, step, escalated, by.record) {
            return Err(NotAllowed::NotInSet);
        }
        self.note(Act::Deny, Some(by), now, step);
        self.state = State::Denied;
        Ok(())
    }

    /// Takes a request back that is not decided.
    ///
    /// # Errors
    /// [`NotAllowed::NotYours`] for others, [`NotAllowed::Over`] when it is decided.
    pub fn withdraw(&mut self, by: Person<'_>, now: UnixSeconds) -> Result<(), NotAllowed> {
        let State::Waiting { step, .. } = self.state else { return Err(NotAllowed::Over) };
        if self.requester != by.record.id {
            return Err(NotAllowed::NotYours);
        }
        self.note(Act::Withdraw, Some(by), now, step);
        self.state = State::Withdrawn;
        Ok(())
    }

    /// Ends a grant before its time: its holder may, and everybody who could have approved it, wherever they are.
    ///
    /// # Errors
    /// [`NotAllowed::Over`] when it does not serve, [`NotAllowed::NotYours`] for anybody else.
    pub fn revoke(&mut self, by: Person<'_>, rules: &Procedures, now: UnixSeconds) -> Result<(), NotAllowed> {
        let State::Granted { until, .. } = self.state else { return Err(NotAllowed::Over) };
        if now >= until {
            return Err(NotAllowed::Over);
        }
        // A procedure that is gone leaves nobody but the holder and those who did approve.
        let could = rules.named(&self.procedure).is_some_and(|procedure| {
            (0..procedure.steps.len()).any(|n| {
                decides(rules, procedure, n, true, by.record)
                    || decides(rules, procedure, n, false, by.record)
            })
        });
        let did = self.approvals().any(|d| d.by.as_ref() == Some(&by.record.id));
        if self.requester != by.record.id && !could && !did {
            return Err(NotAllowed::NotYours);
        }
        self.note(Act::Revoke, Some(by), now, 0);
        self.state = State::Revoked;
        Ok(())
    }

    /// Notes that somebody looked at what was done, once it is over. The holder does not review themselves.
    ///
    /// # Errors
    /// [`NotAllowed`] with the first reason against it.
    pub fn review(&mut self, by: Person<'_>, rules: &Procedures, now: UnixSeconds) -> Result<(), NotAllowed> {
        let procedure = rules.named(&self.procedure).ok_or(NotAllowed::ProcedureGone)?;
        if procedure.review_seconds == 0 || self.ended(now).is_none() || self.reviewed() {
            return Err(NotAllowed::NothingToReview);
        }
        able(by)?;
        if self.requester == by.record.id {
            return Err(NotAllowed::Own);
        }
        if !(0..procedure.steps.len()).any(|n| decides(rules, procedure, n, false, by.record)) {
            return Err(NotAllowed::NotInSet);
        }
        self.note(Act::Review, Some(by), now, 0);
        Ok(())
    }

    /// Lets time pass: a step whose time is over denies or escalates. Whether anything changed.
    pub fn tick(&mut self, rules: &Procedures, now: UnixSeconds) -> bool {
        let State::Waiting { step, since, escalated } = self.state else { return false };
        let late = match rules.named(&self.procedure).and_then(|p| p.steps.get(step)) {
            Some(s) if now.0.saturating_sub(since.0) < s.seconds => return false,
            Some(s) if !escalated => s.late.clone(),
            // It was escalated already, or the rulebook does not know it any more.
            _ => Late::Deny,
        };
        if matches!(late, Late::Escalate(_)) {
            self.note(Act::Escalate, None, now, step);
            self.state = State::Waiting { step, since: now, escalated: true };
        } else {
            self.note(Act::TimeOut, None, now, step);
            self.state = State::TimedOut;
        }
        true
    }

    /// The grant that this request is, if it serves and is no case. A decoy is none.
    #[must_use]
    pub fn grant(&self) -> Option<Grant> {
        let State::Granted { from, until } = self.state else { return None };
        if self.wanted.ground == Ground::Case || self.decoy {
            return None;
        }
        Some(Grant {
            id: self.id.clone(),
            holder: self.requester.clone(),
            approvals: self.approved_by(),
            incident: self.wanted.incident.clone(),
            purpose: self.wanted.purpose,
            dataset: self.wanted.dataset.clone(),
            fields: self.wanted.fields.clone(),
            subject: self.wanted.subject.clone(),
            not_before: from,
            not_after: until,
            amount: self.wanted.amount,
        })
    }

    /// The case that this request is, if it serves and is one. A decoy is none.
    #[must_use]
    pub fn case(&self) -> Option<Case> {
        let State::Granted { from, until } = self.state else { return None };
        if self.wanted.ground != Ground::Case || self.decoy {
            return None;
        }
        Some(Case {
            id: self.id.clone(),
            engineer: self.requester.clone(),
            approvals: self.approved_by(),
            kind: self.wanted.kind?,
            subject: self.wanted.subject.clone()?,
            fields: self.wanted.fields.clone()?,
            approved_at: from,
            not_after: until,
            amount: self.wanted.amount,
        })
    }

    /// Adds why somebody did what was done last: one line of printable characters, cut at [`BECAUSE_MAX`] bytes.
    pub fn because(&mut self, text: &str) {
        let mut line: String = text.trim().chars().filter(|c| !c.is_control()).collect();
        line.truncate(line.floor_char_boundary(BECAUSE_MAX));
        if let Some(done) = self.done.last_mut().filter(|_| !line.is_empty()) {
            done.because = Some(line);
        }
    }

    /// When it ended, if it served and does not any more.
    #[must_use]
    pub fn ended(&self, now: UnixSeconds) -> Option<UnixSeconds> {
        match self.state {
            State::Granted { until, .. } if now >= until => Some(until),
            State::Revoked => self.done.iter().rev().find(|d| d.act == Act::Revoke).map(|d| d.at),
            _ => None,
        }
    }

    /// Since when nothing comes of it any more, in whatever way it ended; `None` while it waits or serves.
    #[must_use]
    pub fn over(&self, now: UnixSeconds) -> Option<UnixSeconds> {
        match self.state {
            State::Waiting { .. } => None,
            State::Granted { until, .. } => (now >= until).then_some(until),
            State::Denied | State::TimedOut | State::Withdrawn | State::Revoked => {
                self.done.last().map(|d| d.at)
            }
        }
    }

    /// Whether what was done under it is still to be looked at: it served, nobody has reviewed it, and its procedure
    /// asks for that. Of a procedure that the rulebook does not have any more nobody knows; break-glass always is.
    #[must_use]
    pub fn review_open(&self, rules: &Procedures) -> bool {
        let served = matches!(self.state, State::Granted { .. } | State::Revoked) && !self.decoy;
        let asked = match rules.named(&self.procedure) {
            Some(procedure) => procedure.review_seconds > 0,
            None => self.wanted.ground == Ground::BreakGlass,
        };
        served && asked && !self.reviewed()
    }

    /// Whether glass was broken under it and nobody has looked at what was done.
    #[must_use]
    pub fn glass_unreviewed(&self) -> bool {
        let served = matches!(self.state, State::Granted { .. } | State::Revoked) && !self.decoy;
        served && self.wanted.ground == Ground::BreakGlass && !self.reviewed()
    }

    /// Whether a review is due that nobody has made.
    #[must_use]
    pub fn review_overdue(&self, rules: &Procedures, now: UnixSeconds) -> bool {
        let within = rules.named(&self.procedure).map_or(0, |p| p.review_seconds);
        within > 0 && !self.reviewed() && self.ended(now).is_some_and(|end| now.0 > end.plus(within).0)
    }

    /// When the step of an act began: at the asking, at its escalation, or at the last act of the step before.
    #[must_use]
    pub fn step_began(&self, n: usize) -> UnixSeconds {
        let Some(act) = self.done.get(n) else { return self.asked_at() };
        let began = self.done.iter().take(n).rev().find(|d| d.step != act.step || d.act != Act::Approve);
        began.map_or_else(|| self.asked_at(), |d| d.at)
    }

    /// When it was asked for.
    #[must_use]
    pub fn asked_at(&self) -> UnixSeconds {
        self.done.first().map_or(UnixSeconds(0), |d| d.at)
    }

    fn reviewed(&self) -> bool {
        self.done.iter().any(|d| d.act == Act::Review)
    }

    /// The approvals that were given, whether they still count or not.
    pub fn approvals(&self) -> impl Iterator<Item = &Done> {
        self.done.iter().filter(|d| d.act == Act::Approve)
    }

    fn approved_by(&self) -> Vec<Approval> {
        let approval = |d: &Done| {
            Some(Approval { by: d.by.clone()?, employer: d.employer.clone()?, country: d.country })
        };
        self.approvals().filter_map(approval).collect()
    }

    /// The step that waits, with its procedure, and whether it was escalated.
    fn waiting<'r>(&self, rules: &'r Procedures) -> Result<(&'r Procedure, usize, bool), NotAllowed> {
        let State::Waiting { step, escalated, .. } = self.state else { return Err(NotAllowed::Over) };
        let procedure = rules.named(&self.procedure).ok_or(NotAllowed::ProcedureGone)?;
        Ok((procedure, step, escalated))
    }

    fn note(&mut self, act: Act, by: Option<Person<'_>>, at: UnixSeconds, step: usize) {
        self.done.push(Done {
            act,
            by: by.map(|p| p.record.id.clone()),
            employer: by.map(|p| p.record.employer.clone()),
            country: by.map_or(Country::UNKNOWN, |p| p.country),
            at,
            step,
            because: None,
        });
    }
}

/// Whether somebody may take part at all.
fn able(by: Person<'_>) -> Result<(), NotAllowed> {
    if by.record.kind != crate::registry::ActorKind::Employee {
        return Err(NotAllowed::Kind);
    }
    if by.strong { Ok(()) } else { Err(NotAllowed::Weak) }
}

/// What each ground needs, and what it must not have.
fn shape(w: &Wanted) -> Result<(), NotAllowed> {
    let fits = match w.ground {
        Ground::Case => w.kind.is_some() && w.subject.is_some() && w.fields.is_some() && w.incident.is_none(),
        Ground::Grant => w.kind.is_none() && w.incident.is_none(),
        Ground::BreakGlass => w.kind.is_none() && w.incident.is_some(),
    };
    if fits { Ok(()) } else { Err(NotAllowed::Shape) }
}

/// Whether one of two stands in for the other.
fn deputies(a: &Actor, b: &Actor) -> bool {
    a.deputies.contains(&b.id) || b.deputies.contains(&a.id)
}

/// Whether somebody may decide a step: they are in its sets, or in the one that it was escalated to.
fn decides(rules: &Procedures, procedure: &Procedure, n: usize, escalated: bool, who: &Actor) -> bool {
    let Some(step) = procedure.steps.get(n) else { return false };
    let in_sets = |sets: &[Name]| rules.in_sets(sets, &who.id, &who.teams);
    let beyond = match &step.late {
        Late::Escalate(set) if escalated => in_sets(std::slice::from_ref(set)),
        _ => false,
    };
    in_sets(&step.of) || beyond
}

fn enough(step: &Step, votes: &[&Done]) -> bool {
    let mut employers: Vec<&Name> = votes.iter().filter_map(|d| d.employer.as_ref()).collect();
    employers.sort_unstable();
    employers.dedup();
    votes.len() >= usize::from(step.need) && employers.len() >= usize::from(step.employers)
}
