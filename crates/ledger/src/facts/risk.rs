//! What was measured of a release's rows, in numbers that tell of nobody. Policy does not read it; auditors hold it against the
//! lane and against what became of the release.

use ciborium::Value;

use super::beside::with;
use super::{FactsError, list, read, uint};

/// How a measured release is to be taken. The numbers stand in ledger entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RiskVerdict {
    /// Nothing speaks against it.
    Holds,
    /// It holds people in small classes.
    Weak,
    /// Its pseudonyms can be undone.
    Plain,
}

impl RiskVerdict {
    const ALL: [Self; 3] = [Self::Holds, Self::Weak, Self::Plain];

    /// The stable number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Holds => 1,
            Self::Weak => 2,
            Self::Plain => 3,
        }
    }
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Risk {
    /// How it is to be taken.
    pub verdict: RiskVerdict,
    /// People of a class, as many as the lane asks for.
    pub asked: u64,
    /// People of the smallest class, counted up to a bound; 0 when there is no row.
    pub k: u64,
    /// Fewest values of a sensitive field in a class; 0 when no field is sensitive, or there is no row.
    pub l: u64,
    /// Rows of people who are alone in their class, in millionths of all rows, rounded up.
    pub unique_micro: u64,
    /// Whether a token stands beside content that can be found again.
    pub linkable: bool,
}

impl Risk {
    pub(super) fn value(&self) -> Value {
        let numbers = [
            u64::from(self.verdict.code()),
            self.asked,
            self.k,
            self.l,
            self.unique_micro,
            u64::from(self.linkable),
        ];
        Value::Array(numbers.into_iter().map(Value::from).collect())
    }

    pub(super) fn read(value: &Value) -> Result<Self, FactsError> {
        const WHAT: FactsError = FactsError::Shape("risk");
        let [verdict, asked, k, l, unique, linkable] = list(value, "risk")? else { return Err(WHAT) };
        let number = |value| uint(value, "risk");
        let code = number(verdict)?;
        let known = RiskVerdict::ALL.into_iter().find(|verdict| u64::from(verdict.code()) == code);
        Ok(Self {
            verdict: known.ok_or(WHAT)?,
            asked: number(asked)?,
            k: number(k)?,
            l: number(l)?,
            unique_micro: number(unique)?,
            linkable: match number(linkable)? {
                0 => false,
                1 => true,
                _ => return Err(WHAT),
            },
        })
    }
}

/// Encoded facts with what was measured of the release.
///
/// # Errors
/// [`FactsError`] when these are no facts, or are too long then.
pub fn with_risk(facts: &[u8], risk: &Risk) -> Result<Vec<u8>, FactsError> {
    with(facts, 13, &risk.value())
}

/// What was measured of a release, if anything was.
///
/// # Errors
/// [`FactsError`] when these are no facts.
pub fn risk(facts: &[u8]) -> Result<Option<Risk>, FactsError> {
    read(facts).map(|(_, beside)| beside.risk)
}
