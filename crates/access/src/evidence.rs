//! Grants and support cases: what was approved, by whom, for whom, until when.

use model::facts::{CaseFacts, GrantFacts};
use model::{ActorId, CaseKind, Country, Name, Purpose, SubjectId, Tag, UnixSeconds};

use crate::text::{Lines, TextError, flag, or_dash, yes_no};

/// First line of a grant's text.
pub const GRANT: &str = "clover-grant/v1";
/// First line of a case's text.
pub const CASE: &str = "clover-case/v1";
/// How long a support case serves after its approval, in seconds: two hours. Policy holds the same bound
/// (`G11`), this one lets the gateway name the reason.
pub const CASE_SECONDS: u64 = 2 * 60 * 60;

/// A permission to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Its name, as the caller gives it.
    pub id: Name,
    /// Who may use it.
    pub holder: ActorId,
    /// Who approved it.
    pub approver: ActorId,
    /// Where the approver was.
    pub approver_country: Country,
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
}

/// A person's complaint that someone may look into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// Its number.
    pub id: Name,
    /// Who works on it.
    pub engineer: ActorId,
    /// Who approved it.
    pub approver: ActorId,
    /// Where the approver was.
    pub approver_country: Country,
    /// What kind.
    pub kind: CaseKind,
    /// Whose.
    pub subject: SubjectId,
    /// Which fields serve it.
    pub fields: Name,
    /// When it was approved.
    pub approved_at: UnixSeconds,
    /// Whether it is open.
    pub open: bool,
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
    /// The approver is the holder.
    #[error("nobody approves their own")]
    OwnApproval,
    /// Closed.
    #[error("the case is closed")]
    Closed,
}

impl Grant {
    /// The text that the control store signs.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "{GRANT}\nid {}\nholder {}\napprover {}\napprover-country {}\npurpose {}\ndataset {}\nfields {}\nsubject {}\n\
             not-before {}\nnot-after {}\n",
            self.id,
            self.holder.as_str(),
            self.approver.as_str(),
            self.approver_country,
            self.purpose,
            self.dataset,
            or_dash(self.fields.as_ref(), Name::as_str),
            or_dash(self.subject.as_ref(), SubjectId::as_str),
            self.not_before.rfc3339(),
            self.not_after.rfc3339()
        )
    }

    /// Reads a text whose signature was verified.
    ///
    /// # Errors
    /// [`TextError`] for any other text.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let mut l = Lines::parse(text, GRANT)?;
        let grant = Self {
            id: l.take("id", Name::parse)?,
            holder: l.take("holder", ActorId::parse)?,
            approver: l.take("approver", ActorId::parse)?,
            approver_country: l.take("approver-country", Country::parse)?,
            purpose: l.take("purpose", Purpose::parse)?,
            dataset: l.take("dataset", Name::parse)?,
            fields: l.take_option("fields", Name::parse)?,
            subject: l.take_option("subject", SubjectId::parse)?,
            not_before: l.take("not-before", UnixSeconds::parse)?,
            not_after: l.take("not-after", UnixSeconds::parse)?,
        };
        l.end()?;
        Ok(grant)
    }

    /// Whether it serves this caller now. Policy decides again over the facts; this names the reason.
    ///
    /// # Errors
    /// [`NotUsable`] with the first reason against it.
    pub fn usable(&self, by: &ActorId, now: UnixSeconds) -> Result<(), NotUsable> {
        if self.holder != *by {
            return Err(NotUsable::Holder);
        }
        if self.approver == self.holder {
            return Err(NotUsable::OwnApproval);
        }
        if now < self.not_before || now >= self.not_after { Err(NotUsable::Time) } else { Ok(()) }
    }

    /// What policy sees of it. `tag` makes the pseudonyms of actors, `subject` those of people.
    #[must_use]
    pub fn facts(
        &self,
        id: Tag,
        tag: impl Fn(&ActorId) -> Tag,
        subject: impl Fn(&SubjectId) -> Option<Tag>,
    ) -> GrantFacts {
        GrantFacts {
            id,
            holder: tag(&self.holder),
            approver: tag(&self.approver),
            approver_country: self.approver_country,
            purpose: self.purpose,
            dataset: self.dataset.clone(),
            fields: self.fields.clone(),
            // A person who is no longer there matches nobody: never "anyone".
            subject: self.subject.as_ref().map(|s| subject(s).unwrap_or(Tag::new([0; 16]))),
            not_before: self.not_before,
            not_after: self.not_after,
        }
    }
}

impl Case {
    /// The text that the control store signs.
    #[must_use]
    pub fn text(&self) -> String {
        format!(
            "{CASE}\nid {}\nengineer {}\napprover {}\napprover-country {}\nkind {}\nsubject {}\nfields {}\napproved-at {}\nopen {}\n",
            self.id,
            self.engineer.as_str(),
            self.approver.as_str(),
            self.approver_country,
            self.kind,
            self.subject.as_str(),
            self.fields,
            self.approved_at.rfc3339(),
            yes_no(self.open)
        )
    }

    /// Reads a text whose signature was verified.
    ///
    /// # Errors
    /// [`TextError`] for any other text.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let mut l = Lines::parse(text, CASE)?;
        let case = Self {
            id: l.take("id", Name::parse)?,
            engineer: l.take("engineer", ActorId::parse)?,
            approver: l.take("approver", ActorId::parse)?,
            approver_country: l.take("approver-country", Country::parse)?,
            kind: l.take("kind", CaseKind::parse)?,
            subject: l.take("subject", SubjectId::parse)?,
            fields: l.take("fields", Name::parse)?,
            approved_at: l.take("approved-at", UnixSeconds::parse)?,
            open: l.take("open", flag)?,
        };
        l.end()?;
        Ok(case)
    }

    /// Whether it serves this caller now. Policy decides again over the facts; this names the reason.
    ///
    /// # Errors
    /// [`NotUsable`] with the first reason against it.
    pub fn usable(&self, by: &ActorId, now: UnixSeconds) -> Result<(), NotUsable> {
        if self.engineer != *by {
            return Err(NotUsable::Holder);
        }
        if self.approver == self.engineer {
            return Err(NotUsable::OwnApproval);
        }
        if !self.open {
            return Err(NotUsable::Closed);
        }
        let late = now.0.saturating_sub(self.approved_at.0) > CASE_SECONDS;
        if now < self.approved_at || late { Err(NotUsable::Time) } else { Ok(()) }
    }

    /// What policy sees of it. `tag` makes the pseudonyms of actors; `subject` is the person's.
    #[must_use]
    pub fn facts(&self, id: Tag, tag: impl Fn(&ActorId) -> Tag, subject: Tag) -> CaseFacts {
        CaseFacts {
            id,
            engineer: tag(&self.engineer),
            approver: tag(&self.approver),
            approver_country: self.approver_country,
            kind: self.kind,
            subject,
            fields: self.fields.clone(),
            approved_at: self.approved_at,
            open: self.open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case() -> Case {
        let id = |s| ActorId::parse(s).unwrap();
        Case {
            id: Name::parse("C-1").unwrap(),
            engineer: id("mei"),
            approver: id("aoife"),
            approver_country: Country::parse("IE").unwrap(),
            kind: CaseKind::VideoNotShown,
            subject: SubjectId::from_index(&[1; 16]),
            fields: Name::parse("video-status").unwrap(),
            approved_at: UnixSeconds(1_790_000_000),
            open: true,
        }
    }

    #[test]
    fn a_case_serves_its_engineer_for_two_hours_and_not_a_second_longer() {
        let (c, mei) = (case(), ActorId::parse("mei").unwrap());
        assert_eq!(c.usable(&mei, c.approved_at), Ok(()));
        assert_eq!(c.usable(&mei, c.approved_at.plus(7200)), Ok(()));
        assert_eq!(c.usable(&mei, c.approved_at.plus(7201)), Err(NotUsable::Time));
        assert_eq!(c.usable(&ActorId::parse("bob").unwrap(), c.approved_at), Err(NotUsable::Holder));
        assert_eq!(Case { open: false, ..case() }.usable(&mei, c.approved_at), Err(NotUsable::Closed));
    }

    #[test]
    fn texts_read_back_and_refuse_a_line_too_many_or_too_few() {
        let c = case();
        assert_eq!(Case::parse(&c.text()).unwrap(), c);
        assert!(Case::parse(&format!("{}also yes\n", c.text())).is_err());
        assert!(Case::parse(&c.text().replace("open yes\n", "")).is_err());
        assert!(Case::parse(&c.text().replace("open yes", "open maybe")).is_err());
    }

    #[test]
    fn a_grant_ends_at_its_expiry_and_is_never_self_approved() {
        let holder = ActorId::parse("ana").unwrap();
        let grant = Grant {
            id: Name::parse("g-1").unwrap(),
            holder: holder.clone(),
            approver: ActorId::parse("ben").unwrap(),
            approver_country: Country::parse("IE").unwrap(),
            purpose: Purpose::Support,
            dataset: Name::parse("export").unwrap(),
            fields: None,
            subject: None,
            not_before: UnixSeconds(100),
            not_after: UnixSeconds(200),
        };
        assert_eq!(Grant::parse(&grant.text()).unwrap(), grant);
        assert_eq!(grant.usable(&holder, UnixSeconds(199)), Ok(()));
        assert_eq!(grant.usable(&holder, UnixSeconds(200)), Err(NotUsable::Time));
        let own = Grant { approver: holder.clone(), ..grant };
        assert_eq!(own.usable(&holder, UnixSeconds(150)), Err(NotUsable::OwnApproval));
    }
}
