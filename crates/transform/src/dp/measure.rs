//! Noisy numbers about everybody: counts, sums, means, quantiles.

use opendp::domains::{AtomDomain, VectorDomain};
use opendp::measurements::make_private_quantile;
use opendp::measures::MaxDivergence;
use opendp::metrics::SymmetricDistance;

use super::noise::Noise;
use super::{Answer, Bounded, DpError, Epsilon, Noised, Privacy};

/// Most values that a quantile is chosen from.
pub const CANDIDATES_MAX: usize = 10_000;

/// How many rows there are; how many people, where the bounds say one row each.
///
/// # Errors
/// [`DpError::Noise`] when none was drawn.
pub fn count(rows: &Bounded, epsilon: Epsilon) -> Result<Noised, DpError> {
    let counted = noisy_count(rows, epsilon)?;
    Ok(Noised::new(Answer::Number(counted), Privacy::Pure(epsilon).cost()))
}

/// The sum of the values, as the bounds cut them.
///
/// # Errors
/// [`DpError::Noise`] when none was drawn.
pub fn sum(rows: &Bounded, epsilon: Epsilon) -> Result<Noised, DpError> {
    let largest = rows.bounds.low.unsigned_abs().max(rows.bounds.high.unsigned_abs());
    let noise = Noise::laplace(largest * u64::from(rows.bounds.rows), epsilon);
    let sum = noise.add(total(rows))?;
    Ok(Noised::new(Answer::Number(sum), Privacy::Pure(epsilon).cost()))
}

/// The mean of the values in units of `1 / parts`. Half of the cost goes into the count and half into the sum of what values
/// differ from the middle of their bounds, which needs less noise than their sum. Where the noisy count is under `count_min`
/// no mean is said.
///
/// # Errors
/// [`DpError::Parameter`] when the epsilon cannot be split, or `parts` or `count_min` is no more than zero;
/// [`DpError::Noise`] when none was drawn.
pub fn mean(rows: &Bounded, parts: i64, count_min: i64, epsilon: Epsilon) -> Result<Noised, DpError> {
    if !(1..=1_000_000_000).contains(&parts) || count_min < 1 {
        return Err(DpError::Parameter("parts of a mean"));
    }
    let (for_count, for_sum) = epsilon.halves()?;
    let count = noisy_count(rows, for_count)?;
    let bounds = rows.bounds;
    let middle = bounds.low.midpoint(bounds.high);
    let farthest = bounds.high.abs_diff(middle).max(middle.abs_diff(bounds.low));
    let apart = total(rows) - i128::from(middle) * rows.values.len() as i128;
    let apart = i128::from(Noise::laplace(farthest * u64::from(bounds.rows), for_sum).add(apart)?);

    // From here on nothing of the data is read, only the two noisy numbers.
    let sum = apart + i128::from(middle) * i128::from(count);
    let inside = |mean: i128| mean.clamp(scaled(bounds.low, parts), scaled(bounds.high, parts));
    let mean = (count >= count_min).then(|| inside(nearest(sum * i128::from(parts), i128::from(count))));
    let narrow = |n: i128| i64::try_from(n).unwrap_or(if n < 0 { i64::MIN } else { i64::MAX });
    let answer = Answer::Mean { sum: narrow(sum), count, mean: mean.map(narrow) };
    Ok(Noised::new(answer, Privacy::Pure(epsilon).cost()))
}

/// One of the candidates, probably one with about `part` in `of` values under it. Chosen by OpenDP's permute-and-flip over
/// integer scores. Candidates must not be taken from the data.
///
/// # Errors
/// [`DpError::Parameter`] when there is no candidate, too many, two equal ones, or no such part; [`DpError::Noise`] when none
/// was drawn.
pub fn quantile(
    rows: &Bounded,
    (part, of): (u16, u16),
    mut candidates: Vec<i64>,
    epsilon: Epsilon,
) -> Result<Noised, DpError> {
    candidates.sort_unstable();
    let many = candidates.is_empty() || candidates.len() > CANDIDATES_MAX;
    if many || !candidates.is_sorted_by(|a, b| a < b) {
        return Err(DpError::Parameter("candidates"));
    }
    if part > of || of == 0 || of > 10_000 {
        return Err(DpError::Parameter("part of a quantile"));
    }
    // Floating-point numbers of parameters only: values, scores and draws stay exact inside OpenDP. A person moves a score
    // by at most as many as they have rows, and each of the two that are compared: twice that, divided by the epsilon.
    let (asked, rows_max) = (f64::from(epsilon.as_micro()) / 1e6, rows.bounds.rows);
    let scale = 2.0 * f64::from(rows_max) / asked * (1.0 + 1e-9);
    let domain = VectorDomain::new(AtomDomain::<i64>::default());
    let alpha = f64::from(part) / f64::from(of);
    let chooser = make_private_quantile(domain, SymmetricDistance, MaxDivergence, candidates, alpha, scale)
        .map_err(|_| DpError::Parameter("candidates"))?;
    // What OpenDP itself says that it costs must be no more than what is charged.
    match chooser.map(&rows_max) {
        Ok(cost) if cost <= asked => {}
        _ => return Err(DpError::Parameter("epsilon")),
    }
    let chosen = chooser.invoke(&rows.values).map_err(|_| DpError::Noise)?;
    Ok(Noised::new(Answer::Number(chosen), Privacy::Pure(epsilon).cost()))
}

fn noisy_count(rows: &Bounded, epsilon: Epsilon) -> Result<i64, DpError> {
    Noise::laplace(u64::from(rows.bounds.rows), epsilon).add(rows.values.len() as i128)
}

fn total(rows: &Bounded) -> i128 {
    rows.values.iter().map(|v| i128::from(*v)).sum()
}

fn scaled(value: i64, parts: i64) -> i128 {
    i128::from(value) * i128::from(parts)
}

/// Divides and rounds to the nearest, halves away from zero. The divisor is over zero.
fn nearest(n: i128, d: i128) -> i128 {
    let half = (n.abs() + d / 2) / d.max(1);
    if n < 0 { -half } else { half }
}
