//! Requests for access as the site log has them, and the crossings that lean on what came of them.
//!
//! A grant or case that a crossing names was asked for and approved on the record, by as many people as the rulebook's
//! procedure asks for, and serves at that time; all crossings under it together stay within its amount.

use std::collections::HashMap;

use crate::{
    codes::Kind,
    entries::{Problem, TIME_BACK_SECONDS_MAX},
    facts::{Amount, Approver, Evidence, Facts},
    header::{Header, Tag},
    noise::Budgets,
    report::{Report, Rule},
    rulebook::{Procedures, Programme},
    siteleaf::AccessEntry,
};

/// For how long a gateway may go on without having heard of a revocation.
const LEASE_SECONDS: u64 = 10;

const ASK: u64 = 1;
const APPROVE: u64 = 2;
const REVIEW: u64 = 8;
const WAITING: u64 = 1;
const GRANTED: u64 = 2;
const REVOKED: u64 = 6;
const CASE: u64 = 2;

/// One approval: at which step, and whose.
#[derive(Clone)]
struct Approval {
    step: u64,
    by: Tag,
    employer: String,
    country: String,
}

/// One request, as far as the site log has it.
struct Request {
    requester: Tag,
    ground: u64,
    purpose: u16,
    procedure: String,
    amount: [u64; 3],
    acts: u64,
    now: Standing,
    /// Before the last act: one that did not come about, since the store refused, is recorded again, and counts no more.
    before: Standing,
    /// When it was recorded that it does not serve any more; also of an act that was recorded again as another.
    revoked: Option<u64>,
    decoy: bool,
}

/// What the acts of a request have come to.
#[derive(Clone, Default)]
struct Standing {
    state: u64,
    approvals: Vec<Approval>,
    /// When it was recorded that it serves, and from when until when.
    granted: Option<(u64, u64, u64)>,
}

/// All requests of a site.
#[derive(Default)]
pub(crate) struct Grants {
    known: HashMap<Tag, Request>,
}

impl Grants {
    /// Takes note of an act, and says what is wrong with it.
    pub(crate) fn act(&mut self, time: u64, entry: &AccessEntry) -> Result<(), &'static str> {
        if entry.act == ASK {
            if entry.number != 0 || entry.state != WAITING {
                return Err("a request is asked for once, and waits then");
            }
            let request = Request {
                requester: entry.requester,
                ground: entry.ground,
                purpose: entry.purpose,
                procedure: entry.procedure.clone(),
                amount: entry.amount,
                acts: 1,
                now: Standing { state: WAITING, ..Standing::default() },
                before: Standing::default(),
                revoked: None,
                decoy: false,
            };
            // Asked for again before anybody acted: the store refused the first.
            return match self.known.insert(entry.request, request) {
                Some(before) if before.acts > 1 => Err("there was such a request before"),
                _ => Ok(()),
            };
        }
        let request = self.known.get_mut(&entry.request).ok_or("nobody asked for it")?;
        let outcome = request.follow(time, entry);
        request.acts = entry.number.saturating_add(1);
        request.now.state = entry.state;
        request.decoy |= entry.decoy;
        outcome
    }

    /// What is wrong with a crossing's grant or case.
    pub(crate) fn check(
        &self,
        header: &Header,
        facts: &Facts<'_>,
        programme: &Programme,
        procedures: Option<&Procedures>,
        problems: &mut Vec<Problem>,
    ) {
        let Some(claim) = Claim::of(facts) else { return };
        let mut wrong = |text: &str| problems.push((Rule::Grant, text.to_owned()));
        let Some(request) = self.known.get(claim.id) else {
            return wrong("its grant or case was never asked for on the site log");
        };
        let Some((recorded, from, until)) = request.now.granted.filter(|_| !request.decoy) else {
            return wrong("its grant or case was never granted on the site log");
        };
        if header.time.saturating_add(TIME_BACK_SECONDS_MAX) < recorded {
            wrong("its grant or case was recorded only after it was used");
        }
        if request.revoked.is_some_and(|at| header.time > at.saturating_add(LEASE_SECONDS)) {
            wrong("its grant or case was revoked before");
        }
        if header.time < from || header.time >= until {
            wrong("its grant or case does not serve at that time");
        }
        if let Some(text) = claim.differs(request, from, until) {
            wrong(text);
        }
        let inside = |a: &Approval| programme.countries.contains(&a.country);
        if !request.now.approvals.iter().all(inside) {
            wrong("its grant or case was approved outside the region");
        }
        match procedures.and_then(|all| all.find(&request.procedure)) {
            None => wrong("its rulebook has no such procedure"),
            Some(steps) => {
                for (number, step) in (0..).zip(steps) {
                    let votes: Vec<_> = request.now.approvals.iter().filter(|a| a.step == number).collect();
                    let mut employers: Vec<_> = votes.iter().map(|a| &a.employer).collect();
                    employers.sort_unstable();
                    employers.dedup();
                    if (votes.len() as u64) < step.need || (employers.len() as u64) < step.employers {
                        wrong("its grant or case lacks approvals that the procedure asks for");
                    }
                }
            }
        }
    }
}

impl Request {
    fn follow(&mut self, time: u64, entry: &AccessEntry) -> Result<(), &'static str> {
        if entry.requester != self.requester
            || entry.ground != self.ground
            || entry.purpose != self.purpose
            || entry.procedure != self.procedure
            || entry.amount != self.amount
        {
            return Err("it is not the request that was asked for");
        }
        if entry.number == self.acts {
            self.before = self.now.clone();
        } else if entry.number != 0 && entry.number.saturating_add(1) == self.acts {
            self.now = self.before.clone();
        } else {
            return Err("the acts of the request do not follow one another");
        }
        let now = &mut self.now;
        if entry.act == REVIEW {
            return if matches!(now.state, GRANTED | REVOKED) {
                Ok(())
            } else {
                Err("there is nothing to review")
            };
        }
        let revokes = entry.act == 5;
        if now.state != if revokes { GRANTED } else { WAITING } {
            return Err("the request was over before");
        }
        if revokes {
            self.revoked = Some(time);
            return if entry.state == REVOKED { Ok(()) } else { Err("what is revoked does not serve") };
        }
        if entry.act != APPROVE {
            return if entry.state == GRANTED { Err("it serves without an approval") } else { Ok(()) };
        }
        let Some((by, employer, country)) = &entry.by else { return Err("nobody approved it") };
        if *by == self.requester {
            return Err("its requester approved it");
        }
        now.approvals.retain(|a| a.by != *by || a.step == entry.step);
        if now.approvals.iter().all(|a| a.by != *by) {
            let (employer, country) = (employer.clone(), country.clone());
            now.approvals.push(Approval { step: entry.step, by: *by, employer, country });
        }
        if entry.state == GRANTED {
            now.granted = Some((time, entry.serves.0, entry.serves.1));
        }
        Ok(())
    }
}

/// What a crossing says of its grant or case.
struct Claim<'a> {
    id: &'a Tag,
    user: &'a Tag,
    case: bool,
    approvers: [Option<&'a Approver<'a>>; 2],
    amount: Amount,
    from: u64,
    until: Option<u64>,
}

impl<'a> Claim<'a> {
    fn of(facts: &'a Facts<'_>) -> Option<Self> {
        match facts.evidence.as_ref()? {
            Evidence::Grant(g) => Some(Self {
                id: &g.id,
                user: &g.holder,
                case: false,
                approvers: [Some(&g.approver), g.second.as_ref()],
                amount: g.amount,
                from: g.not_before,
                until: Some(g.not_after),
            }),
            Evidence::Case(c) => Some(Self {
                id: &c.id,
                user: &c.engineer,
                case: true,
                approvers: [Some(&c.approver), None],
                amount: c.amount,
                from: c.approved_at,
                until: None,
            }),
            Evidence::Flow(_) => None,
        }
    }

    fn differs(&self, request: &Request, from: u64, until: u64) -> Option<&'static str> {
        let amount = [self.amount.rows, self.amount.bytes, self.amount.subjects];
        let approved = |a: &&Approver<'_>| {
            request.now.approvals.iter().any(|known| known.by == a.tag && known.country == a.country)
        };
        if *self.user != request.requester || self.case != (request.ground == CASE) {
            Some("its grant or case was granted to somebody else, or as something else")
        } else if self.from != from || self.until.is_some_and(|u| u != until) {
            Some("its grant or case has other times than were granted")
        } else if amount != request.amount {
            Some("its grant or case has another amount than was granted")
        } else if !self.approvers.iter().flatten().all(approved) {
            Some("its grant or case names an approver who did not approve it")
        } else {
            None
        }
    }
}

/// What one crossing takes of a grant's amount.
pub(crate) struct Taken {
    id: Tag,
    most: Amount,
    rows: u64,
    bytes: u64,
}

impl Taken {
    /// Of a released crossing under a grant or case.
    pub(crate) fn of(header: &Header, facts: &Facts<'_>) -> Option<Self> {
        let claim = Claim::of(facts)?;
        Some(Self { id: *claim.id, most: claim.amount, rows: u64::from(header.rows), bytes: header.bytes })
    }
}

/// Streams under a grant of one log that are open, by the index of their open entry. They take what their close says.
#[derive(Default)]
pub(crate) struct OpenTaken(HashMap<u64, Taken>);

impl OpenTaken {
    /// What an entry takes: that of a crossing itself, and of a stream when it is closed.
    pub(crate) fn follow(&mut self, index: u64, header: &Header, taken: Option<Taken>) -> Option<Taken> {
        match header.kind {
            Kind::Open => {
                self.0.extend(taken.map(|taken| (index, taken)));
                None
            }
            Kind::Close => {
                let open = self.0.remove(&header.open)?;
                Some(Taken { rows: u64::from(header.rows), bytes: header.bytes, ..open })
            }
            _ => taken,
        }
    }
}

/// What was taken of each grant and privacy budget, in all logs that were read.
#[derive(Default)]
pub(crate) struct Totals {
    grants: HashMap<Tag, (u64, u64)>,
    pub(crate) noise: Budgets,
}

impl Totals {
    /// Adds a crossing; reported is the one that goes over the amount.
    pub(crate) fn add(&mut self, index: u64, taken: &Taken, report: &mut Report) {
        let (rows, bytes) = self.grants.entry(taken.id).or_default();
        let within = *rows <= taken.most.rows && *bytes <= taken.most.bytes;
        *rows = rows.saturating_add(taken.rows);
        *bytes = bytes.saturating_add(taken.bytes);
        if within && (*rows > taken.most.rows || *bytes > taken.most.bytes) {
            report.entry(
                Rule::Amount,
                index,
                "with it, more crossed under its grant or case than was granted",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::approvals::tests::{act, ask};

    #[test]
    fn an_act_that_did_not_come_about_counts_only_as_what_was_recorded_in_its_place() {
        let after = |acts: &[(u8, u8, u8, u8)]| {
            let mut grants = Grants::default();
            grants.act(1, &ask(1).entry()).unwrap();
            for (number, what, state, by) in acts {
                grants.act(10, &act(*what, 1, *number, *state, *by).entry())?;
            }
            let now = &grants.known[&[1; 16]].now;
            Ok::<_, &str>((now.approvals.iter().map(|a| a.by[0]).collect::<Vec<_>>(), now.granted.is_some()))
        };
        let (first, second) = (7, 8);
        assert_eq!(after(&[(1, 2, 1, first), (2, 2, 2, second)]), Ok((vec![first, second], true)));
        assert_eq!(after(&[(1, 2, 1, first), (1, 2, 1, second)]), Ok((vec![second], false)), "one of them");
        assert_eq!(after(&[(1, 2, 2, first), (1, 2, 2, first)]), Ok((vec![first], true)));
        assert_eq!(after(&[(1, 2, 2, first), (1, 3, 3, second)]), Ok((vec![], false)), "denied instead");
        let asked_again = (0, 1, 1, second);
        assert_eq!(after(&[asked_again, (1, 2, 2, first)]), Ok((vec![first], true)));
        assert!(after(&[(1, 2, 2, first), asked_again]).is_err());
        assert!(after(&[(1, 2, 2, first), (2, 2, 2, second)]).is_err(), "over, and approved again");
        assert!(after(&[(1, 2, 1, first), (3, 2, 2, second)]).is_err(), "one is left out");
        assert!(after(&[(1, 2, 1, first), (2, 2, 1, second), (1, 2, 2, first)]).is_err(), "two back");
    }

    #[test]
    fn the_crossing_that_goes_over_the_amount_is_found_and_no_other() {
        let most = Amount { rows: 5, bytes: 100, subjects: 1 };
        let taken = |id: u8, rows, bytes| Taken { id: [id; 16], most, rows, bytes };
        let (mut totals, mut report) = (Totals::default(), Report::default());
        for (index, one) in [taken(1, 3, 50), taken(2, 5, 100), taken(1, 2, 50)].iter().enumerate() {
            totals.add(index as u64, one, &mut report);
        }
        assert!(report.is_clean());
        totals.add(7, &taken(1, 0, 1), &mut report);
        totals.add(8, &taken(1, 0, 1), &mut report);
        assert_eq!(report.findings.len(), 1);
    }
}
