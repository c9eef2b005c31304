//! What a decision is made from: codes, dates and tags, nothing personal.
//!
//! Policy sees a [`Facts`] and nothing else, and the ledger records the same value, so whoever holds
//! the entry can decide again. Byte form: `docs/formats/entry.md`.

use crate::codes::{Basis, CaseKind, DataClass, Purpose, Treatment};
use crate::id::{Country, Name, Tag, UnixSeconds};
use crate::procedures::Amount;

/// What kind of principal asks. The numbers stand in ledger entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PrincipalKind {
    /// A person who works for somebody.
    Employee,
    /// A workload.
    Service,
    /// A person whose data it is.
    Subject,
    /// The enclave's operator at the command line of a site.
    Operator,
}

impl PrincipalKind {
    /// The stable number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Employee => 1,
            Self::Service => 2,
            Self::Subject => 3,
            Self::Operator => 4,
        }
    }

    /// The kind of a number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        [Self::Employee, Self::Service, Self::Subject, Self::Operator].into_iter().find(|k| k.code() == code)
    }
}

/// Who asks, as evidence and not as a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    /// Person or workload.
    pub kind: PrincipalKind,
    /// Keyed pseudonym of the actor.
    pub tag: Tag,
    /// Where the session is now, by agreeing evidence; [`Country::UNKNOWN`] otherwise.
    pub country: Country,
    /// The employing (or operating) legal entity.
    pub employer: Name,
    /// Where that entity sits.
    pub seat: Country,
    /// An employee is trained; a workload is attested.
    pub qualified: bool,
    /// Teams, sorted.
    pub teams: Vec<Name>,
    /// The device is managed.
    pub device_managed: bool,
    /// The device is attested.
    pub device_attested: bool,
    /// The sign-in used more than one factor.
    pub strong: bool,
}

/// Somebody who approved, as policy sees them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Approver {
    /// Keyed pseudonym.
    pub tag: Tag,
    /// Where they were when they approved.
    pub country: Country,
    /// Their employer.
    pub employer: Name,
}

/// A grant as policy sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GrantFacts {
    /// Keyed pseudonym of the grant's id.
    pub id: Tag,
    /// Who may use it.
    pub holder: Tag,
    /// Who approved it.
    pub approver: Approver,
    /// Who approved it besides: somebody of another employer, if there is one.
    pub second: Option<Approver>,
    /// Keyed pseudonym of the open incident, for break-glass.
    pub incident: Option<Tag>,
    /// How much may cross under it in all.
    pub amount: Amount,
    /// For what.
    pub purpose: Purpose,
    /// On which dataset.
    pub dataset: Name,
    /// On which list of fields only, if narrowed.
    pub fields: Option<Name>,
    /// On which person only, if narrowed.
    pub subject: Option<Tag>,
    /// From when.
    pub not_before: UnixSeconds,
    /// Until when, exclusive.
    pub not_after: UnixSeconds,
}

/// A support case as policy sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CaseFacts {
    /// Keyed pseudonym of the case's id.
    pub id: Tag,
    /// Who may use it.
    pub engineer: Tag,
    /// Who approved it.
    pub approver: Approver,
    /// How much may cross under it in all.
    pub amount: Amount,
    /// What the person complained about.
    pub kind: CaseKind,
    /// The one person.
    pub subject: Tag,
    /// The fields that serve this kind of case.
    pub fields: Name,
    /// When it was approved; two hours count from here.
    pub approved_at: UnixSeconds,
    /// Whether it is open.
    pub open: bool,
}

/// A registered flow as policy sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FlowFacts {
    /// The flow's name in the rulebook.
    pub name: Name,
    /// The receiving workload.
    pub sink: Tag,
    /// The fields that it may carry.
    pub fields: Name,
    /// Where they go.
    pub destination: Country,
    /// On which ground.
    pub basis: Basis,
    /// Whether it runs.
    pub active: bool,
}

/// On what ground the caller asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Evidence {
    /// On none: public data, aggregates, one's own record.
    None,
    /// A grant.
    Grant(GrantFacts),
    /// A support case.
    Case(CaseFacts),
    /// A registered flow.
    Flow(FlowFacts),
}

/// Fields that no policy can tell apart: same class, same lists. One decision serves them all.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Group {
    /// Their class.
    pub class: DataClass,
    /// The named lists they stand in, sorted.
    pub lists: Vec<Name>,
    /// How many fields.
    pub fields: u16,
    /// What was decided: the treatment, or `None` for "does not cross".
    pub outcome: Option<Treatment>,
}

/// Everything that policy reads about one crossing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Facts {
    /// Who asks.
    pub principal: Principal,
    /// When.
    pub now: UnixSeconds,
    /// Why.
    pub purpose: Purpose,
    /// On which dataset.
    pub dataset: Name,
    /// Upper bound on rows that will be enforced.
    pub rows: u32,
    /// Upper bound on distinct people, likewise.
    pub subjects: u32,
    /// The person, when the request is pinned to one.
    pub subject: Option<Tag>,
    /// Smallest group that would be shown, for aggregates; 0 otherwise.
    pub k: u32,
    /// On what ground.
    pub evidence: Evidence,
    /// The treatments that the request would accept, plainest first.
    pub ladder: Vec<Treatment>,
    /// The groups of fields asked for, with what was decided for each.
    pub groups: Vec<Group>,
}
