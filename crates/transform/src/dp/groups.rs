//! Noisy numbers of people by group.

use super::noise::Noise;
use super::{Answer, Delta, DpError, Grouped, Noised, Privacy};

/// Most groups that a histogram names.
pub const BINS_MAX: usize = 100_000;

/// Units of delta in one.
const ATTO: u128 = 1_000_000_000_000_000_000;

/// How many people are in each of the groups that the asker names. Groups that nobody is in get noise as well; groups that
/// nobody named are not told of.
///
/// # Errors
/// [`DpError::Parameter`] when no group is named, or too many, or one twice; [`DpError::Noise`] when none was drawn.
pub fn histogram(rows: &Grouped, named: &[&str], privacy: Privacy) -> Result<Noised, DpError> {
    let mut bins = named.to_vec();
    bins.sort_unstable();
    if bins.is_empty() || bins.len() > BINS_MAX || !bins.is_sorted_by(|a, b| a < b) {
        return Err(DpError::Parameter("groups"));
    }
    let noise = Noise::of(privacy, rows.per_person);
    let noisy = |bin: &str| {
        let people = rows.counts.get(bin).copied().unwrap_or(0);
        Ok((bin.to_owned(), noise.add(i128::from(people))?))
    };
    let groups: Vec<_> = bins.into_iter().map(noisy).collect::<Result<_, DpError>>()?;
    Ok(Noised::new(Answer::Groups(groups), privacy.cost()))
}

/// How many people are in each group, where the names of the groups come from the data themselves. A group shows only when
/// its noisy number reaches the threshold: one that a single person is in does so with a chance of `delta` at most, over all
/// groups of theirs. Groups under `k` people by their noisy number are withheld as well.
///
/// # Errors
/// [`DpError::Parameter`] when the noise would be too wide; [`DpError::Noise`] when none was drawn.
pub fn private_groups(rows: &Grouped, k: u32, privacy: Privacy, delta: Delta) -> Result<Noised, DpError> {
    let noise = Noise::of(privacy, rows.per_person);
    let least = threshold(noise, rows.per_person, delta)?.max(i64::from(k));
    let mut groups = Vec::new();
    for (group, people) in &rows.counts {
        let noisy = noise.add(i128::from(*people))?;
        if noisy >= least {
            groups.push((group.clone(), noisy));
        }
    }
    Ok(Noised::new(Answer::Groups(groups), privacy.cost_of_groups(delta)))
}

/// The noisy number that a group with one person reaches so seldom that, with all groups of one person, it is `delta`.
pub(super) fn threshold(noise: Noise, per_person: u32, delta: Delta) -> Result<i64, DpError> {
    let far = noise.tail(delta.as_atto(), ATTO * u128::from(per_person))?;
    i64::try_from(far).ok().and_then(|far| far.checked_add(1)).ok_or(DpError::Parameter("noise"))
}

#[cfg(test)]
pub(super) fn threshold_of(privacy: Privacy, per_person: u32, delta: Delta) -> Result<i64, DpError> {
    threshold(Noise::of(privacy, per_person), per_person, delta)
}
