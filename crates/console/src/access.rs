//! Requests for access and what people do with them: asked, approved, denied, revoked, by people who are signed in.
//!
//! The rules are those of [`access::request`]; here a session becomes a person on record, each act is on the site's log
//! before it counts, and people see what concerns them. [`Office`] does it, [`router`] offers it as JSON.

mod api;
mod shown;

use std::sync::Arc;

use access::request::Done;
use access::{Actor, ActorKind, NotAllowed, Person, Request, Wanted};
use crossing::identify::{Session, Who};
use ledger::Submission;
use ledger::site::SiteEntry;
use model::procedures::Procedures;
use model::programme::Programme;
use model::{ActorId, Digest, Name, UnixSeconds};
use vault::control::{ChangeError, Control, ControlError};
use vault::{KeyService, Log};

pub use api::router;
pub use shown::{Inbox, Shown};

/// What of the rulebook in force concerns requests.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Its digest.
    pub digest: Digest,
    /// The region and the employers.
    pub programme: Programme,
    /// Who approves what.
    pub procedures: Procedures,
}

/// What somebody does to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Approves the step that waits.
    Approve,
    /// Denies.
    Deny,
    /// Takes their own back.
    Withdraw,
    /// Ends what serves.
    Revoke,
    /// Has looked at what was done.
    Review,
}

impl Act {
    /// The act of a word, as addresses have it.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "approve" => Some(Self::Approve),
            "deny" => Some(Self::Deny),
            "withdraw" => Some(Self::Withdraw),
            "revoke" => Some(Self::Revoke),
            "review" => Some(Self::Review),
            _ => None,
        }
    }
}

/// Something happened to a request; whoever notifies people is told.
#[derive(Debug, Clone)]
pub struct Happened {
    /// The request, as it is now.
    pub request: Arc<Request>,
    /// The number of the act.
    pub number: usize,
}

/// What an office works with.
pub struct Office {
    /// Where requests are kept.
    pub control: Arc<Control>,
    /// Makes pseudonyms.
    pub keys: Arc<KeyService>,
    /// The site's log.
    pub log: Arc<Log>,
    /// The rulebook in force, whenever it is asked for.
    pub rules: Box<dyn Fn() -> Arc<Rules> + Send + Sync>,
    /// The time.
    pub clock: fn() -> UnixSeconds,
    /// Told what happened, after it counts. It must not wait.
    pub told: Box<dyn Fn(&Happened) + Send + Sync>,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OfficeError {
    /// The session is no employee's, or nobody's on record.
    #[error("only employees on record take part in requests")]
    Nobody,
    /// It concerns others.
    #[error("there is no such request, or it concerns others")]
    Unseen,
    /// The open incident that is named is not there.
    #[error("the incident is not open")]
    Incident,
    /// The store did not do it.
    #[error("it was not done")]
    Control(#[from] ControlError),
    /// No name could be drawn.
    #[error("it was not done: the system gives no random bytes")]
    Random,
}

impl From<vault::control::StoreError> for OfficeError {
    fn from(e: vault::control::StoreError) -> Self {
        Self::Control(e.into())
    }
}

impl OfficeError {
    /// The rule that is against it, if it is one.
    #[must_use]
    pub fn rule(&self) -> Option<NotAllowed> {
        use vault::control::StoreError;
        match self {
            Self::Control(ControlError::Store(StoreError::Change(ChangeError::NotAllowed(rule)))) => {
                Some(*rule)
            }
            _ => None,
        }
    }
}

/// Somebody who is signed in and on record.
pub struct Member {
    record: Arc<Actor>,
    session: Session,
}

impl Member {
    /// Who they are.
    #[must_use]
    pub fn id(&self) -> &ActorId {
        &self.record.id
    }

    /// Whether they are in one of these teams.
    #[must_use]
    pub fn is_in(&self, teams: &[Name]) -> bool {
        self.record.teams.iter().any(|team| teams.contains(team))
    }

    /// Where they are, by evidence that agrees.
    #[must_use]
    pub fn place(&self) -> model::Country {
        self.session.place()
    }

    fn person(&self, programme: &Programme) -> Person<'_> {
        let country = self.session.place();
        Person {
            record: &self.record,
            country,
            in_region: programme.in_region(country),
            strong: self.session.strong,
        }
    }
}

impl Office {
    /// Who a session is here.
    ///
    /// # Errors
    /// [`OfficeError::Nobody`] for services, for people whose data it is, and for those who are not on record.
    pub fn member(&self, session: &Session) -> Result<Member, OfficeError> {
        let Who::Employee(id) = &session.who else { return Err(OfficeError::Nobody) };
        let record = self.control.actor(id, (self.clock)()).map_err(|_| OfficeError::Nobody)?;
        let employed = (self.rules)().programme.employers.contains_key(&record.employer);
        if record.kind != ActorKind::Employee || !employed {
            return Err(OfficeError::Nobody);
        }
        Ok(Member { record, session: session.clone() })
    }

    /// Asks for access. Waits for the disk.
    ///
    /// # Errors
    /// [`OfficeError`]; then there is no request.
    pub fn ask(&self, by: &Member, id: Option<Name>, wanted: Wanted) -> Result<Arc<Request>, OfficeError> {
        self.ask_as(by, id, wanted, false)
    }

    fn ask_as(
        &self,
        by: &Member,
        id: Option<Name>,
        wanted: Wanted,
        decoy: bool,
    ) -> Result<Arc<Request>, OfficeError> {
        if let Some(incident) = &wanted.incident
            && !self.control.incident_open(incident)
        {
            return Err(OfficeError::Incident);
        }
        let (rules, now) = ((self.rules)(), (self.clock)());
        let id = id.map_or_else(drawn, Ok)?;
        let person = by.person(&rules.programme);
        let asked = Request::ask(id, wanted, person, &rules.procedures, now)
            .map_err(|rule| vault::control::StoreError::Change(ChangeError::NotAllowed(rule)))?;
        let asked = Request { decoy, ..asked };
        let request = self.control.ask(&asked, &mut |r, done| self.record(&rules, now, r, done))?;
        self.tell(&request, 0);
        Ok(request)
    }

    /// Does something to a request. Waits for the disk.
    ///
    /// # Errors
    /// [`OfficeError`]; then nothing was done.
    pub fn act(&self, by: &Member, id: &Name, act: Act) -> Result<Arc<Request>, OfficeError> {
        self.act_because(by, id, act, "")
    }

    /// The same with a reason in their own words, which those see whom the request concerns.
    ///
    /// # Errors
    /// As [`Office::act`].
    pub fn act_because(
        &self,
        by: &Member,
        id: &Name,
        act: Act,
        because: &str,
    ) -> Result<Arc<Request>, OfficeError> {
        let (rules, now) = ((self.rules)(), (self.clock)());
        let before = self.request(by, id)?.done.len();
        let registry = |id: &ActorId| self.control.actor(id, now).ok().map(|a| Actor::clone(&a));
        let mut done = |request: &mut Request| {
            let person = by.person(&rules.programme);
            // A step whose time is over is not decided any more, whether or not anybody has noted it.
            request.tick(&rules.procedures, now);
            apply(request, act, person, &rules.procedures, registry, now)?;
            request.because(because);
            Ok(())
        };
        let request = self.control.act(id, &mut done, &mut |r, done| self.record(&rules, now, r, done))?;
        (before..request.done.len()).for_each(|n| self.tell(&request, n));
        Ok(request)
    }

    /// What would come of asking: the request as it would wait, or the first rule against it. Nothing is kept.
    ///
    /// # Errors
    /// The rule.
    pub fn would(&self, by: &Member, wanted: Wanted) -> Result<Request, NotAllowed> {
        let (rules, now) = ((self.rules)(), (self.clock)());
        let id = Name::parse("would").map_err(|_| NotAllowed::Shape)?;
        Request::ask(id, wanted, by.person(&rules.programme), &rules.procedures, now)
    }

    /// What somebody could do to a request now.
    #[must_use]
    pub fn may(&self, by: &Member, request: &Request) -> Vec<Act> {
        let (rules, now) = ((self.rules)(), (self.clock)());
        let could = |act: &Act| {
            let registry = |id: &ActorId| self.control.actor(id, now).ok().map(|a| Actor::clone(&a));
            let mut copy = request.clone();
            apply(&mut copy, *act, by.person(&rules.programme), &rules.procedures, registry, now).is_ok()
        };
        [Act::Approve, Act::Deny, Act::Withdraw, Act::Revoke, Act::Review].into_iter().filter(could).collect()
    }

    /// What else the requester of a request asked for, newest first, for those who decide on it.
    #[must_use]
    pub fn others_of(&self, by: &Member, request: &Request) -> Vec<Arc<Request>> {
        if by.record.id == request.requester || !self.concerns(by, request) {
            return Vec::new();
        }
        let mut others = self.control.requests();
        others.retain(|r| r.requester == request.requester && r.id != request.id);
        others.sort_by_key(|r| std::cmp::Reverse((r.asked_at(), r.id.clone())));
        others
    }

    /// The requests that concern somebody, newest first: that wait for them, their own, and others.
    #[must_use]
    pub fn lists(&self, by: &Member) -> [Vec<Arc<Request>>; 3] {
        let rules = (self.rules)();
        let mut all: Vec<_> = self.control.requests().into_iter().filter(|r| self.concerns(by, r)).collect();
        all.sort_by_key(|r| std::cmp::Reverse((r.asked_at(), r.id.clone())));
        let (own, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|r| r.requester == by.record.id);
        let (waiting, others) = rest.into_iter().partition(|r| self.waits_for(by, &rules, r));
        [waiting, own, others]
    }

    /// Lets time pass: steps whose time is over deny or escalate. Waits for the disk.
    ///
    /// # Errors
    /// [`OfficeError`]; what could not be done is done the next time.
    pub fn tick(&self) -> Result<bool, OfficeError> {
        let (rules, now) = ((self.rules)(), (self.clock)());
        let mut happened = Vec::new();
        let ticked = self.control.tick(&rules.procedures, now, &mut |r, done| {
            self.record(&rules, now, r, done)?;
            happened.push(r.id.clone());
            Ok(())
        });
        for id in happened {
            if let Ok(request) = self.control.request(&id) {
                let number = request.done.len().saturating_sub(1);
                self.tell(&request, number);
            }
        }
        Ok(ticked?)
    }

    /// The requests that concern somebody, newest first: to decide, their own, and those they took part in.
    #[must_use]
    pub fn inbox(&self, by: &Member) -> Inbox {
        let now = (self.clock)();
        let [waiting, own, others] = self.lists(by);
        Inbox::of(&waiting, &own, &others, now)
    }

    /// One request.
    ///
    /// # Errors
    /// [`OfficeError::Unseen`] when there is none, or it concerns others.
    pub fn request(&self, by: &Member, id: &Name) -> Result<Arc<Request>, OfficeError> {
        let request = self.control.request(id).map_err(|_| OfficeError::Unseen)?;
        if self.concerns(by, &request) { Ok(request) } else { Err(OfficeError::Unseen) }
    }

    /// How approvers decided, for those who approve anything.
    ///
    /// # Errors
    /// [`OfficeError::Unseen`] for those who do not.
    pub fn quality(&self, by: &Member, from: UnixSeconds) -> Result<access::quality::Quality, OfficeError> {
        self.approves(by)?;
        let requests = self.control.requests();
        let until = (self.clock)().plus(1);
        Ok(access::quality::measure(requests.iter().map(AsRef::as_ref), from, until))
    }

    /// Puts a decoy on record: a request in a colleague's name that must be refused, and that serves nobody whatever is
    /// decided. Only who approves something may, and who approves it is told by the numbers and by the auditor.
    ///
    /// # Errors
    /// As [`Office::ask`]; [`OfficeError::Unseen`] for those who approve nothing.
    pub fn decoy(
        &self,
        by: &Member,
        whose: &ActorId,
        id: Option<Name>,
        wanted: Wanted,
    ) -> Result<Arc<Request>, OfficeError> {
        self.approves(by)?;
        let record = self.control.actor(whose, (self.clock)()).map_err(|_| OfficeError::Nobody)?;
        let seat = (self.rules)().programme.employers.get(&record.employer).copied();
        // Where a colleague would ask from: their employer's seat.
        let session = Session {
            country: seat,
            device_country: None,
            network: seat,
            strong: true,
            ..by.session.clone()
        };
        self.ask_as(&Member { record, session }, id, wanted, true)
    }

    /// Opens an incident, without which no break-glass grant is asked for or serves.
    ///
    /// # Errors
    /// [`OfficeError::Unseen`] for those who approve nothing; else as [`Office::act`].
    pub fn open_incident(&self, by: &Member, id: &Name) -> Result<(), OfficeError> {
        self.approves(by)?;
        Ok(self.control.open_incident(id, &by.record.id, (self.clock)(), &mut |_| Ok(()))?)
    }

    /// Closes an incident; grants under it end.
    ///
    /// # Errors
    /// As [`Office::open_incident`].
    pub fn close_incident(&self, by: &Member, id: &Name) -> Result<(), OfficeError> {
        self.approves(by)?;
        Ok(self.control.close_incident(id, (self.clock)(), &mut |_| Ok(()))?)
    }

    /// That somebody is in a set of the rulebook.
    fn approves(&self, by: &Member) -> Result<(), OfficeError> {
        if self.is_approver(by) { Ok(()) } else { Err(OfficeError::Unseen) }
    }

    /// Whether somebody is in a set of the rulebook.
    #[must_use]
    pub fn is_approver(&self, by: &Member) -> bool {
        let rules = (self.rules)();
        let all: Vec<Name> = rules.procedures.sets.keys().cloned().collect();
        rules.procedures.in_sets(&all, &by.record.id, &by.record.teams)
    }

    /// Whether a request concerns somebody: it is theirs, they took part, or they may decide on it.
    fn concerns(&self, by: &Member, request: &Request) -> bool {
        let me = &by.record.id;
        let took_part = request.done.iter().any(|d| d.by.as_ref() == Some(me));
        let rules = (self.rules)();
        let decides = rules.procedures.named(&request.procedure).is_some_and(|p| {
            let sets: Vec<Name> = p.steps.iter().flat_map(|s| s.of.iter().cloned().chain(late(s))).collect();
            rules.procedures.in_sets(&sets, me, &by.record.teams)
        });
        request.requester == *me || took_part || decides
    }

    /// Whether a request waits for somebody: an approval of theirs would be taken now.
    fn waits_for(&self, by: &Member, rules: &Rules, request: &Request) -> bool {
        let now = (self.clock)();
        let registry = |id: &ActorId| self.control.actor(id, now).ok().map(|a| Actor::clone(&a));
        let mut copy = request.clone();
        copy.approve(by.person(&rules.programme), &rules.procedures, registry, now).is_ok()
    }

    /// Puts an act on the site's log, durably.
    fn record(
        &self,
        rules: &Rules,
        now: UnixSeconds,
        request: &Request,
        done: &Done,
    ) -> Result<(), ChangeError> {
        let number = request.done.iter().position(|d| std::ptr::eq(d, done)).unwrap_or(request.done.len());
        let entry = crossing::acts::entry(
            request,
            number,
            rules.digest,
            |name| self.keys.evidence_tag(name),
            |actor| self.keys.actor_tag(actor),
        )
        .ok_or(ChangeError::Form("request"))?;
        let leaf =
            SiteEntry::Access(Box::new(entry)).encode(now).map_err(|e| ChangeError::Record(Box::new(e)))?;
        let receipt = self.log.submit_and_wait(Submission::leaf(leaf));
        receipt.map(drop).map_err(|e| ChangeError::Record(Box::new(e)))
    }

    fn tell(&self, request: &Arc<Request>, number: usize) {
        (self.told)(&Happened { request: Arc::clone(request), number });
    }
}

/// Does something to a request, by its rules.
fn apply(
    request: &mut Request,
    act: Act,
    by: Person<'_>,
    rules: &Procedures,
    registry: impl Fn(&ActorId) -> Option<Actor>,
    now: UnixSeconds,
) -> Result<(), NotAllowed> {
    match act {
        Act::Approve => request.approve(by, rules, registry, now),
        Act::Deny => request.deny(by, rules, now),
        Act::Withdraw => request.withdraw(by, now),
        Act::Revoke => request.revoke(by, rules, now),
        Act::Review => request.review(by, rules, now),
    }
}

/// The set that a step is escalated to.
fn late(step: &model::procedures::Step) -> Option<Name> {
    match &step.late {
        model::procedures::Late::Escalate(set) => Some(set.clone()),
        model::procedures::Late::Deny => None,
    }
}

/// A name that nobody can guess.
fn drawn() -> Result<Name, OfficeError> {
    let mut bytes = [0; 10];
    vault::keys::random(&mut bytes).map_err(|_| OfficeError::Random)?;
    let text = data_encoding::BASE32_NOPAD.encode(&bytes).to_ascii_lowercase();
    Name::parse(&format!("r-{text}")).map_err(|_| OfficeError::Random)
}
