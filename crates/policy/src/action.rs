//! A treatment is an action: the table of `docs/formats/policies.md`.

use model::facts::{Evidence, Facts, PrincipalKind};
use model::{Purpose, Treatment};

/// The actions that are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    Plain,
    Pseudonymised,
    Generalised,
    Masked,
    Aggregate,
    Export,
    ExportPseudonymised,
    SelfAccess,
}

/// Which context an action takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Rows,
    Counts,
    Transfer,
    Own,
}

impl Action {
    pub(crate) const ALL: [Self; 8] = [
        Self::Plain,
        Self::Pseudonymised,
        Self::Generalised,
        Self::Masked,
        Self::Aggregate,
        Self::Export,
        Self::ExportPseudonymised,
        Self::SelfAccess,
    ];

    /// The action that stands for a treatment of these facts; `None` when no policy can permit it.
    pub(crate) fn of(treatment: Treatment, facts: &Facts) -> Option<Self> {
        let data_purpose =
            !matches!(facts.purpose, Purpose::SelfAccess | Purpose::Migration | Purpose::Operation);
        let exports = match facts.principal.kind {
            PrincipalKind::Employee => false,
            PrincipalKind::Service => matches!(facts.evidence, Evidence::Flow(_)),
            PrincipalKind::Subject | PrincipalKind::Operator => return None,
        };
        let action = match treatment {
            Treatment::Plain if exports => Self::Export,
            Treatment::Pseudonymised if exports => Self::ExportPseudonymised,
            Treatment::Plain => Self::Plain,
            Treatment::Pseudonymised => Self::Pseudonymised,
            Treatment::Generalised => Self::Generalised,
            Treatment::Masked => Self::Masked,
            Treatment::Aggregate => Self::Aggregate,
            Treatment::Dp => return None,
        };
        data_purpose.then_some(action)
    }

    /// Its id in the schema.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Plain => "releasePlain",
            Self::Pseudonymised => "releasePseudonymised",
            Self::Generalised => "releaseGeneralised",
            Self::Masked => "releaseMasked",
            Self::Aggregate => "releaseAggregate",
            Self::Export => "exportField",
            Self::ExportPseudonymised => "exportFieldPseudonymised",
            Self::SelfAccess => "selfAccess",
        }
    }

    /// The context it takes.
    pub(crate) fn shape(self) -> Shape {
        match self {
            Self::Plain | Self::Pseudonymised | Self::Generalised | Self::Masked => Shape::Rows,
            Self::Aggregate => Shape::Counts,
            Self::Export | Self::ExportPseudonymised => Shape::Transfer,
            Self::SelfAccess => Shape::Own,
        }
    }

    /// The kinds of principal that may ask it.
    pub(crate) fn askers(self) -> &'static [PrincipalKind] {
        match self.shape() {
            Shape::Rows | Shape::Counts => &[PrincipalKind::Employee, PrincipalKind::Service],
            Shape::Transfer => &[PrincipalKind::Service],
            Shape::Own => &[PrincipalKind::Subject],
        }
    }
}
