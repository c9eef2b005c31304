//! Noise of OpenDP, scaled by exact ratios.

use dashu::integer::{IBig, UBig};
use dashu::rational::RBig;
use opendp::traits::samplers::{sample_discrete_gaussian, sample_discrete_laplace};

use super::exact::root_up;
use super::{DpError, Epsilon, Privacy, Rho};

/// Parts into which the width of Gaussian noise is rounded up.
const WIDTH_PARTS: u128 = 1_000;

/// A distribution of integers around zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Noise {
    /// Discrete Laplace of this scale: a numerator and a denominator.
    Laplace(u128, u128),
    /// Discrete Gaussian of this standard deviation, in thousandths.
    Gaussian(u128),
}

impl Noise {
    /// For a vector that one person changes by at most `most` in sum.
    pub(super) fn laplace(most: u64, epsilon: Epsilon) -> Self {
        Self::Laplace(u128::from(most) * 1_000_000, u128::from(epsilon.as_micro()))
    }

    /// For a vector in which one person changes at most `numbers` numbers by one each.
    pub(super) fn of(privacy: Privacy, numbers: u32) -> Self {
        match privacy {
            Privacy::Pure(epsilon) => Self::laplace(u64::from(numbers), epsilon),
            Privacy::Concentrated(rho) => Self::gaussian(u64::from(numbers), rho),
        }
    }

    /// For a vector in which one person changes at most `numbers` numbers by at most `most` each.
    pub(super) fn wide(privacy: Privacy, numbers: u32, most: u64) -> Self {
        match privacy {
            Privacy::Pure(epsilon) => Self::laplace(u64::from(numbers).saturating_mul(most), epsilon),
            Privacy::Concentrated(rho) => match Self::gaussian(u64::from(numbers), rho) {
                // The root was rounded up before, which makes it wider and never narrower.
                Self::Gaussian(width) => Self::Gaussian(width.saturating_mul(u128::from(most))),
                laplace @ Self::Laplace(..) => laplace,
            },
        }
    }

    /// Width^2 = square / (2 rho), where `square` is what one person changes, squared and in sum.
    fn gaussian(square: u64, rho: Rho) -> Self {
        let parts = u128::from(square) * WIDTH_PARTS * WIDTH_PARTS * 1_000_000_000;
        Self::Gaussian(root_up(parts.div_ceil(2 * u128::from(rho.as_nano()))))
    }

    /// Adds a draw to a number, and stays within 64 bits.
    pub(super) fn add(self, to: i128) -> Result<i64, DpError> {
        let drawn = self.draw()?;
        // After the draw: where a number is cut off at the ends of 64 bits says nothing about anybody.
        let sum = IBig::from(to) + drawn;
        Ok(i64::try_from(&sum).unwrap_or(if sum < IBig::ZERO { i64::MIN } else { i64::MAX }))
    }

    fn draw(self) -> Result<IBig, DpError> {
        let ratio = |n: u128, d: u128| RBig::from_parts(IBig::from(n), UBig::from(d));
        let drawn = match self {
            Self::Laplace(n, d) => sample_discrete_laplace(ratio(n, d)),
            Self::Gaussian(width) => sample_discrete_gaussian(ratio(width, WIDTH_PARTS)),
        };
        // What OpenDP says of it may name numbers, and is not passed on.
        drawn.map_err(|_| DpError::Noise)
    }

    /// A distance over which the noise goes, in one direction, with a chance of at most `n / d`; rounded up.
    pub(super) fn tail(self, n: u64, d: u128) -> Result<u64, DpError> {
        let ln = super::exact::ln_micro(d, u128::from(n));
        let far = match self {
            // P[X >= m] = a^m / (1 + a) with a = exp(-1/scale): at most exp(-m/scale).
            Self::Laplace(n, d) => n.checked_mul(ln).map(|far| far.div_ceil(d * 1_000_000)),
            // P[X >= m] <= exp(-m^2 / (2 width^2)): the discrete Gaussian is sub-Gaussian (the same paper, corollary 17).
            Self::Gaussian(width) => width
                .checked_mul(width)
                .and_then(|square| square.checked_mul(2 * ln))
                .map(|square| root_up(square.div_ceil(WIDTH_PARTS * WIDTH_PARTS * 1_000_000))),
        };
        far.and_then(|far| u64::try_from(far).ok()).ok_or(DpError::Parameter("noise"))
    }
}
