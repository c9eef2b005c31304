//! Differential privacy: answers about many people in which no one person shows.
//!
//! The unit is a person. First [`Bounded`] or [`Grouped`] bounds how much one person can contribute, then one of
//! [`measure`] or [`groups`] adds noise, and what comes of it, [`Noised`], can be read only through
//! [`crate::budget::charge`], which counts what it costs. Two datasets are neighbours when one has a person more.
//!
//! Integers go in and integers come out. Scales are exact ratios, the noise is that of OpenDP (discrete Laplace and
//! Gaussian, Canonne, Kamath and Steinke 2020), and what a release costs is computed in integers and rounded against the
//! asker: no floating-point number touches a value. OpenDP's sampler reads the system's random bytes itself, the one place
//! in this crate; how long it takes depends on what it draws, so answers should leave at times that do not depend on
//! the computation. Start reading at [`Bounded`].

use serde::{Deserialize, Serialize};

pub mod bound;
pub mod groups;
pub mod measure;
pub mod table;

mod exact;
mod noise;
#[cfg(test)]
mod tests;

pub use bound::{Bounded, Bounds, Grouped};

pub use model::counts::EPSILON_MAX_MICRO;
/// Most that may go wrong in one release, and for one recipient in thirty days, in units of 10^-18: 10^-9.
pub const DELTA_MAX_ATTO: u64 = 1_000_000_000;
/// The part of that at which zero-concentrated costs are told as epsilon.
pub const CONVERSION_ATTO: u64 = DELTA_MAX_ATTO / 2;

/// Why no answer was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DpError {
    /// A parameter is outside of what is permitted.
    #[error("`{0}` is outside of its limits")]
    Parameter(&'static str),
    /// There is more data than one question may hold.
    #[error("more than `{most}` {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are permitted.
        most: usize,
    },
    /// The sampler did not draw.
    #[error("no noise was drawn")]
    Noise,
}

/// What a pure release costs, in millionths: more than none, one at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epsilon(u32);

impl Epsilon {
    /// So many millionths.
    ///
    /// # Errors
    /// [`DpError::Parameter`] when it is none, or more than one.
    pub const fn micro(micro: u32) -> Result<Self, DpError> {
        if micro == 0 || micro > EPSILON_MAX_MICRO {
            Err(DpError::Parameter("epsilon"))
        } else {
            Ok(Self(micro))
        }
    }

    /// In millionths.
    #[must_use]
    pub const fn as_micro(self) -> u32 {
        self.0
    }

    /// Two parts that together are this one.
    ///
    /// # Errors
    /// [`DpError::Parameter`] when there is nothing to split.
    pub fn halves(self) -> Result<(Self, Self), DpError> {
        Ok((Self::micro(self.0 / 2)?, Self::micro(self.0 - self.0 / 2)?))
    }
}

/// The chance that a release may show a group which only one person is in, in units of 10^-18.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Delta(u64);

impl Delta {
    /// So many units of 10^-18.
    ///
    /// # Errors
    /// [`DpError::Parameter`] when it is none, or more than 10^-9.
    pub const fn atto(atto: u64) -> Result<Self, DpError> {
        if atto == 0 || atto > DELTA_MAX_ATTO { Err(DpError::Parameter("delta")) } else { Ok(Self(atto)) }
    }

    /// In units of 10^-18.
    #[must_use]
    pub const fn as_atto(self) -> u64 {
        self.0
    }
}

/// What a zero-concentrated release costs, in units of 10^-9.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rho(u64);

impl Rho {
    /// So many units of 10^-9.
    ///
    /// # Errors
    /// [`DpError::Parameter`] when it is none, or tells more than one of epsilon.
    pub fn nano(nano: u64) -> Result<Self, DpError> {
        let much = exact::epsilon_of(nano, CONVERSION_ATTO) > u64::from(EPSILON_MAX_MICRO);
        if nano == 0 || much { Err(DpError::Parameter("rho")) } else { Ok(Self(nano)) }
    }

    /// The most that costs no more than this epsilon, at the delta of the conversion.
    ///
    /// # Errors
    /// [`DpError::Parameter`] when the epsilon is too small for any.
    pub fn within(epsilon: Epsilon) -> Result<Self, DpError> {
        Self::nano(exact::rho_within(u64::from(epsilon.0), CONVERSION_ATTO))
    }

    /// In units of 10^-9.
    #[must_use]
    pub const fn as_nano(self) -> u64 {
        self.0
    }
}

/// Which noise, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privacy {
    /// Discrete Laplace noise.
    Pure(Epsilon),
    /// Discrete Gaussian noise: less of it where one person can be in many groups.
    Concentrated(Rho),
}

impl Privacy {
    /// Whichever of the two needs less noise for this epsilon, when a person is in at most so many groups. At the delta that
    /// we take, Gaussian noise is less above twenty-one of them.
    ///
    /// # Errors
    /// [`DpError::Parameter`] when the epsilon is too small to be told.
    pub fn least_noise(epsilon: Epsilon, groups_per_person: u32) -> Result<Self, DpError> {
        let groups = u128::from(groups_per_person);
        // Variances: of Laplace 2 (L/e)^2, of Gauss L/(2 rho); compared without a division.
        let Ok(rho) = Rho::within(epsilon) else { return Ok(Self::Pure(epsilon)) };
        let micro = u128::from(epsilon.0);
        let laplace = 4 * groups * u128::from(rho.0) * 1_000;
        Ok(if laplace > micro * micro { Self::Concentrated(rho) } else { Self::Pure(epsilon) })
    }

    /// What a release of groups that the data name costs, where one with one person shows with a chance of `delta`.
    #[must_use]
    pub const fn cost_of_groups(self, delta: Delta) -> Cost {
        self.cost().plus(Cost { epsilon: 0, rho: 0, delta: delta.0 })
    }

    pub(crate) const fn cost(self) -> Cost {
        match self {
            Self::Pure(epsilon) => Cost { epsilon: epsilon.0 as u64, rho: 0, delta: 0 },
            Self::Concentrated(rho) => Cost { epsilon: 0, rho: rho.0, delta: 0 },
        }
    }
}

/// What releases have cost. Costs add up, whoever chose the questions in whatever order: pure parts as epsilon, concentrated
/// parts as rho, and what may go wrong as delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// Millionths of epsilon.
    epsilon: u64,
    /// Units of 10^-9 of rho.
    rho: u64,
    /// Units of 10^-18 of delta.
    delta: u64,
}

impl Cost {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            epsilon: self.epsilon.saturating_add(other.epsilon),
            rho: self.rho.saturating_add(other.rho),
            delta: self.delta.saturating_add(other.delta),
        }
    }

    /// All of it as millionths of epsilon, at the delta that [`Cost::total_delta_atto`] tells.
    #[must_use]
    pub fn total_epsilon_micro(self) -> u64 {
        let told = if self.rho == 0 { 0 } else { exact::epsilon_of(self.rho, CONVERSION_ATTO) };
        self.epsilon.saturating_add(told)
    }

    /// What may go wrong, in units of 10^-18, the telling of rho as epsilon included.
    #[must_use]
    pub const fn total_delta_atto(self) -> u64 {
        self.delta.saturating_add(if self.rho == 0 { 0 } else { CONVERSION_ATTO })
    }

    /// The pure part alone, in millionths of epsilon.
    #[must_use]
    pub const fn pure_micro(self) -> u64 {
        self.epsilon
    }

    /// What may go wrong besides the telling of rho as epsilon, in units of 10^-18.
    #[must_use]
    pub const fn pure_delta_atto(self) -> u64 {
        self.delta
    }

    /// The concentrated part alone, in units of 10^-9.
    #[must_use]
    pub const fn rho_nano(self) -> u64 {
        self.rho
    }

    pub(crate) const fn is_nothing(self) -> bool {
        self.epsilon == 0 && self.rho == 0 && self.delta == 0
    }
}

/// What a question is answered with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Answer {
    /// A count, a sum or a quantile. May be under zero: that is noise, and cutting it off would shift every mean.
    Number(i64),
    /// A mean, with what it was made of.
    Mean {
        /// Of the values.
        sum: i64,
        /// Of the rows.
        count: i64,
        /// In the unit asked for; none where the noisy count is too small to say one.
        mean: Option<i64>,
    },
    /// Groups with their numbers of people.
    Groups(Vec<(String, i64)>),
    /// Groups with numbers of several kinds, people first.
    Table(Vec<(table::Key, Vec<i64>)>),
    /// None yet: it was charged for, and what it is made of is still being read.
    Owed,
}

/// An answer whose cost nobody has counted yet: it cannot be read before.
///
/// ```compile_fail
/// use transform::dp::{Bounded, Bounds, Epsilon, measure};
/// let rows = Bounded::new([("a", 1)], Bounds::new(1, 0, 1).unwrap()).unwrap();
/// let noised = measure::count(&rows, Epsilon::micro(1_000_000).unwrap()).unwrap();
/// let transform::dp::Answer::Number(_) = noised.answer else { return };
/// ```
///
/// ```
/// use transform::dp::{Bounded, Bounds, Epsilon, measure};
/// let rows = Bounded::new([("a", 1)], Bounds::new(1, 0, 1).unwrap()).unwrap();
/// let noised = measure::count(&rows, Epsilon::micro(1_000_000).unwrap()).unwrap();
/// assert_eq!(noised.cost().total_epsilon_micro(), 1_000_000);
/// ```
#[must_use = "an answer is read by charging a budget"]
pub struct Noised {
    answer: Answer,
    cost: Cost,
}

impl Noised {
    const fn new(answer: Answer, cost: Cost) -> Self {
        Self { answer, cost }
    }

    /// What reading it will cost.
    #[must_use]
    pub const fn cost(&self) -> Cost {
        self.cost
    }

    pub(crate) fn into_answer(self) -> Answer {
        self.answer
    }
}

impl std::fmt::Debug for Noised {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Noised").field("cost", &self.cost).finish_non_exhaustive()
    }
}
