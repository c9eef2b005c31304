//! Grants and support cases: what was approved, by whom, for whom, until when.

use model::facts::{Approver, CaseFacts, GrantFacts};
use model::procedures::Amount;
use model::{ActorId, CaseKind, Country, Name, Purpose, SubjectId, Tag, UnixSeconds};
use serde::{Deserialize, Serialize};

/// How long a support case serves after its approval, in seconds: two hours. Policy holds the same bound
/// (`G11`), this one lets the gateway name the reason.
pub const CASE_SECONDS: u64 = 2 * 60 * 60;

/// One approval that counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Whose.
    pub by: ActorId,
    /// Their employer.
    pub employer: Name,
    /// Where they were.
    pub country: Country,
}

/// A permission to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its name, as the caller gives it.
    pub id: Name,
    /// Who may use it.
    pub holder: ActorId,
    /// Who approved it, in order; never nobody.
    pub approvals: Vec<Approval>,
    /// The open incident, for break-glass.
    pub incident: Option<Name>,
    /// For what.
    pub purpose: Purpose,
    /// On which dataset.
    pub dataset: Name,
    /// On which list of fields only.
    pub fields: Option<Name>,
    /// On which person only.
    pub subject: Option<SubjectId>,
    /// From when.
    pub not_before: UnixSeconds,
    /// Until when, exclusive.
    pub not_after: UnixSeconds,
    /// How much may cross in all.
    pub amount: Amount,
}

/// A person's complaint that someone may look into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Its number.
    pub id: Name,
    /// Who works on it.
    pub engineer: ActorId,
    /// Who approved it, in order; never nobody.
    pub approvals: Vec<Approval>,
    /// What kind.
    pub kind: CaseKind,
    /// Whose.
    pub subject: SubjectId,
    /// Which fields serve it.
    pub fields: Name,
    /// When it was approved.
    pub approved_at: UnixSeconds,
    /// Until when it serves, exclusive: two hours later at most.
    pub not_after: UnixSeconds,
    /// How much may cross in all.
    pub amount: Amount,
}

/// Why evidence does not serve this caller now. Nothing personal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotUsable {
    /// Someone else's.
    #[error("it belongs to someone else")]
    Holder,
    /// Too early or too late.
    #[error("it is not valid now")]
    Time,
    /// Nobody approved it, or the holder did.
    #[error("nobody approves their own")]
    OwnApproval,
}

fn usable(
    holder: &ActorId,
    approvals: &[Approval],
    (from, until): (UnixSeconds, UnixSeconds),
    by: &ActorId,
    now: UnixSeconds,
) -> Result<(), NotUsable> {
    if holder != by {
        return Err(NotUsable::Holder);
    }
    if approvals.is_empty() || approvals.iter().any(|a| a.by == *holder) {
        return Err(NotUsable::OwnApproval);
    }
    if now < from || now >= until { Err(NotUsable::Time) } else { Ok(()) }
}

/// Of several approvals policy sees two: the first, and the first of another employer, or else the next.
fn approvers(approvals: &[Approval], tag: impl Fn(&ActorId) -> Tag) -> Option<(Approver, Option<Approver>)> {
    let seen = |a: &Approval| Approver { tag: tag(&a.by), country: a.country, employer: a.employer.clone() };
    let (first, rest) = approvals.split_first()?;
    let second = rest.iter().find(|a| a.employer != first.employer).or_else(|| rest.first());
    Some((seen(first), second.map(seen)))
}

impl Grant {
    /// Whether it serves this caller now. Policy decides again over the facts; this names the reason.
    ///
    /// # Errors
    /// [`NotUsable`] with the first reason against it.
    pub fn usable(&self, by: &ActorId, now: UnixSeconds) -> Result<(), NotUsable> {
        usable(&self.holder, &self.approvals, (self.not_before, self.not_after), by, now)
    }

    /// What policy sees of it; nothing without an approval. `tag` makes the pseudonyms of actors, `name` those of
    /// grants and incidents, `subject` those of people.
    #[must_use]
    pub fn facts(
        &self,
        name: impl Fn(&Name) -> Tag,
        tag: impl Fn(&ActorId) -> Tag,
        subject: impl Fn(&SubjectId) -> Option<Tag>,
    ) -> Option<GrantFacts> {
        let holder = tag(&self.holder);
        let (approver, second) = approvers(&self.approvals, tag)?;
        Some(GrantFacts {
            id: name(&self.id),
            holder,
            approver,
            second,
            incident: self.incident.as_ref().map(&name),
            amount: self.amount,
            purpose: self.purpose,
            dataset: self.dataset.clone(),
            fields: self.fields.clone(),
            // A person who is no longer there matches nobody: never "anyone".
            subject: self.subject.as_ref().map(|s| subject(s).unwrap_or(Tag::new([0; 16]))),
            not_before: self.not_before,
            not_after: self.not_after,
        })
    }
}

impl Case {
    /// Whether it serves this caller now. Policy decides again over the facts; this names the reason.
    ///
    /// # Errors
    /// [`NotUsable`] with the first reason against it.
    pub fn usable(&self, by: &ActorId, now: UnixSeconds) -> Result<(), NotUsable> {
        usable(&self.engineer, &self.approvals, (self.approved_at, self.not_after), by, now)
    }

    /// What policy sees of it; nothing without an approval. `tag` makes the pseudonyms of actors, `name` that of the
    /// case; `subject` is the person's.
    #[must_use]
    pub fn facts(
        &self,
        name: impl Fn(&Name) -> Tag,
        tag: impl Fn(&ActorId) -> Tag,
        subject: Tag,
        now: UnixSeconds,
    ) -> Option<CaseFacts> {
        let engineer = tag(&self.engineer);
        let (approver, _) = approvers(&self.approvals, tag)?;
        Some(CaseFacts {
            id: name(&self.id),
            engineer,
            approver,
            amount: self.amount,
            kind: self.kind,
            subject,
            fields: self.fields.clone(),
            approved_at: self.approved_at,
            open: now < self.not_after,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: UnixSeconds = UnixSeconds(1_790_000_000);
    const AMOUNT: Amount = Amount { rows: 200, bytes: 1_000_000, subjects: 1 };

    fn id(text: &str) -> ActorId {
        ActorId::parse(text).unwrap()
    }

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn by(who: &str, employer: &str) -> Approval {
        Approval { by: id(who), employer: name(employer), country: Country::parse("IE").unwrap() }
    }

    fn case() -> Case {
        Case {
            id: name("C-1"),
            engineer: id("mei"),
            approvals: vec![by("aoife", "acme-eu")],
            kind: CaseKind::VideoNotShown,
            subject: SubjectId::from_index(&[1; 16]),
            fields: name("video-status"),
            approved_at: AT,
            not_after: AT.plus(CASE_SECONDS),
            amount: AMOUNT,
        }
    }

    fn grant(approvals: Vec<Approval>) -> Grant {
        Grant {
            id: name("g-1"),
            holder: id("ana"),
            approvals,
            incident: None,
            purpose: Purpose::Support,
            dataset: name("export"),
            fields: None,
            subject: None,
            not_before: UnixSeconds(100),
            not_after: UnixSeconds(200),
            amount: AMOUNT,
        }
    }

    #[test]
    fn a_case_serves_its_engineer_for_two_hours_and_not_a_second_longer() {
        let (c, mei) = (case(), id("mei"));
        assert_eq!(c.usable(&mei, AT), Ok(()));
        assert_eq!(c.usable(&mei, AT.plus(7199)), Ok(()));
        assert_eq!(c.usable(&mei, AT.plus(7200)), Err(NotUsable::Time));
        assert_eq!(c.usable(&id("bob"), AT), Err(NotUsable::Holder));
    }

    #[test]
    fn a_grant_ends_at_its_expiry_and_is_never_self_approved_or_approved_by_nobody() {
        let holder = id("ana");
        let good = grant(vec![by("ben", "acme-eu")]);
        assert_eq!(good.usable(&holder, UnixSeconds(199)), Ok(()));
        assert_eq!(good.usable(&holder, UnixSeconds(200)), Err(NotUsable::Time));
        let own = grant(vec![by("ben", "acme-eu"), by("ana", "acme-eu")]);
        assert_eq!(own.usable(&holder, UnixSeconds(150)), Err(NotUsable::OwnApproval));
        assert_eq!(grant(vec![]).usable(&holder, UnixSeconds(150)), Err(NotUsable::OwnApproval));
        assert!(grant(vec![]).facts(|_| Tag::new([0; 16]), |_| Tag::new([0; 16]), |_| None).is_none());
    }

    #[test]
    fn policy_sees_a_second_approver_of_another_employer_where_there_is_one() {
        let tag = |who: &ActorId| Tag::new([who.as_str().as_bytes()[0]; 16]);
        let seen = |approvals| {
            let facts = grant(approvals).facts(|_| Tag::new([0; 16]), tag, |_| None).unwrap();
            facts.second.map(|s| s.employer.to_string())
        };
        let (ben, cian) = (by("ben", "acme-eu"), by("cian", "acme-eu"));
        assert_eq!(seen(vec![ben.clone()]), None);
        assert_eq!(seen(vec![ben.clone(), cian.clone()]), Some("acme-eu".into()));
        assert_eq!(seen(vec![ben, cian, by("dora", "auditor-eu")]), Some("auditor-eu".into()));
    }
}
