//! What a release with noise took of privacy budgets. Policy does not read it; auditors add it up.

use ciborium::Value;

use super::beside::with;
use super::{FactsError, list, read, uint};

/// How noise was drawn. The numbers stand in ledger entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mechanism {
    /// Discrete Laplace.
    Laplace,
    /// Discrete Gaussian.
    Gaussian,
}

impl Mechanism {
    /// The stable number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Laplace => 1,
            Self::Gaussian => 2,
        }
    }

    /// The stable word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Laplace => "discrete-laplace",
            Self::Gaussian => "discrete-gaussian",
        }
    }
}

/// What one release took. A question that was answered before takes nothing, and says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// How its noise was drawn.
    pub mechanism: Mechanism,
    /// Millionths of epsilon, of what is pure.
    pub epsilon_micro: u64,
    /// Units of 10^-9 of rho, of what is zero-concentrated.
    pub rho_nano: u64,
    /// Units of 10^-18 of delta.
    pub delta_atto: u64,
}

impl Spent {
    pub(super) fn value(&self) -> Value {
        let numbers = [u64::from(self.mechanism.code()), self.epsilon_micro, self.rho_nano, self.delta_atto];
        Value::Array(numbers.into_iter().map(Value::from).collect())
    }

    pub(super) fn read(value: &Value) -> Result<Self, FactsError> {
        const WHAT: &str = "spent";
        let [mechanism, epsilon, rho, delta] = list(value, WHAT)? else {
            return Err(FactsError::Shape(WHAT));
        };
        let code = uint(mechanism, WHAT)?;
        let known =
            [Mechanism::Laplace, Mechanism::Gaussian].into_iter().find(|m| u64::from(m.code()) == code);
        Ok(Self {
            mechanism: known.ok_or(FactsError::Shape(WHAT))?,
            epsilon_micro: uint(epsilon, WHAT)?,
            rho_nano: uint(rho, WHAT)?,
            delta_atto: uint(delta, WHAT)?,
        })
    }
}

/// Encoded facts with what the release took.
///
/// # Errors
/// [`FactsError`] when these are no facts, or are too long then.
pub fn with_spent(facts: &[u8], spent: &Spent) -> Result<Vec<u8>, FactsError> {
    with(facts, 12, &spent.value())
}

/// What a release took, if it was one with noise.
///
/// # Errors
/// [`FactsError`] when these are no facts.
pub fn spent(facts: &[u8]) -> Result<Option<Spent>, FactsError> {
    read(facts).map(|(_, beside)| beside.spent)
}
